//! `pds-log-server restore --from URL`: the epochs that a database lacks, from any server that has them.
//!
//! A database that is behind its guard is an old copy. What was signed since is public, and is fetched from whoever serves
//! it; nothing of it is believed. The guard's head is the one thing known to be true: from our own nodes and the leaves
//! that the server gives, its root must come out. Then entry by entry: its leaf, its signature, its place behind the one
//! before; its changes, which must lead our own tree to its prefix root; and every record and blob by its hash. Each epoch
//! is one commit, so this can be killed anywhere and run again.
//!
//! No statement is new here: the checkpoints written for epochs in between are of roots that the guard's head extends, and
//! Ed25519 signs the same bytes the same way. The last head is the guard's own, byte for byte.
//!
//! What cannot come back: submissions acknowledged after the copy was made, with their archives and receipts, which no
//! server publishes. [`CaughtUp`] counts those that can be told.

mod bring;
mod epoch;
mod settle;

use anyhow::{Context, bail, ensure};
use pds_client::api::ValidatorApi;
use pds_client::http::{Http, Timeouts};
use pds_core::checkpoint::SignedCheckpoint;
use pds_core::log::Frontier;
use pds_core::log::tile::{EntriesAddress, FULL_WIDTH, TileAddress, tile_width_at};
use pds_core::note::VerifierKey;
use pds_schemas::disk::Head;
use pds_schemas::{Digest, EpochNumber, TreeSize};

use self::epoch::Follower;
use self::settle::Unsettled;
use crate::config::Config;
use crate::identity::Identity;
use crate::recovery::standing::{MayNotSign, held, open_guard, standing};
use crate::recovery::{open_store, tree_of};

/// What came of catching up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Epochs that came.
    pub epochs: u64,
    /// Submissions that waited in the copy, and whose decision came.
    pub settled: u64,
    /// Decisions that came, of submissions accepted after the copy was made: their entries and archives are gone.
    pub unknown: u64,
    /// Names whose highest release has no decision and is not in the queue: accepted after the copy was made, and gone.
    pub lost: u64,
}

/// Catches up with the guard from the server at `url`. `progress` is told each epoch that came, and the last to come.
///
/// # Errors
/// When the database is not just behind its guard, when the server has not what is missing, or for the first thing it
/// gives that does not hold. All epochs until then are kept.
pub fn run(
    config: &Config,
    url: &str,
    progress: &mut dyn FnMut(EpochNumber, EpochNumber),
) -> anyhow::Result<CaughtUp> {
    let path = config.guard_file();
    let guard = open_guard(&path)?;
    let identity = Identity::load(config)?;
    let (store, head) = open_store(config, identity.log.verifier())?;
    let target = match standing(&guard, &path, head.as_ref(), &store) {
        Ok(_) => return Ok(CaughtUp::default()),
        Err(MayNotSign::Behind { .. }) => held(&guard)?.context("the guard is empty")?,
        Err(other) => return Err(other.into()),
    };
    store.drop_unfinished().context("drop an unfinished epoch")?;
    let api = ValidatorApi::new(Http::new(Timeouts::default())?, url)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut follower = Follower {
        frontier: Frontier::load(&store, head.as_ref().map_or(TreeSize(0), |head| head.size))
            .context("read log")?,
        tree: tree_of(head.as_ref())?,
        unsettled: Unsettled::load(&store)?,
        api,
        store,
        identity,
        origin: config.origin.clone(),
        head,
        counts: CaughtUp::default(),
    };
    runtime.block_on(follow(&mut follower, &target, progress))?;
    follower.counts.lost = settle::lost(&follower.store, &follower.tree, &follower.unsettled)?;
    Ok(follower.counts)
}

async fn follow(
    follower: &mut Follower,
    target: &Head,
    progress: &mut dyn FnMut(EpochNumber, EpochNumber),
) -> anyhow::Result<()> {
    check_checkpoint(&follower.api, follower.identity.log.verifier(), target).await?;
    let (from, url) = (follower.frontier.size(), follower.api.base().to_string());
    let leaves = leaves(&follower.api, follower.frontier.clone(), target).await?;
    let last = EpochNumber(target.size.0 - 1);
    let width = u64::from(FULL_WIDTH);
    for bundle in from.0 / width..=last.0 / width {
        let entries = entries(&follower.api, bundle, target.size).await?;
        for (index, entry) in (bundle * width..).zip(entries).skip_while(|(index, _)| *index < from.0) {
            let leaf = &leaves[usize::try_from(index - from.0)?];
            let epoch = EpochNumber(index);
            let doing = || format!("epoch {epoch} from {url}");
            follower
                .take(epoch, &entry, leaf, (epoch == last).then_some(target))
                .await
                .with_context(doing)?;
            progress(epoch, last);
        }
    }
    Ok(())
}

/// Checks that the server has exactly the log that the guard's head is of.
async fn check_checkpoint(api: &ValidatorApi, log_key: &VerifierKey, target: &Head) -> anyhow::Result<()> {
    let note = api.checkpoint().await?;
    let signed = SignedCheckpoint::from_note(note, log_key)
        .with_context(|| format!("{} serves no checkpoint by this validator's log key", api.base()))?;
    let served = signed.checkpoint();
    if served.size < target.size {
        bail!(
            "{} has {} of the {} epochs that were signed: it cannot bring all of the rest; find a server that has more",
            api.base(),
            served.size,
            target.size
        );
    }
    if served.size > target.size {
        bail!(
            "{} serves {} epochs signed by this validator's log key, the guard knows of {}: the guard is an old copy itself, \
             and nothing shows what was signed last. Find the newest guard",
            api.base(),
            served.size,
            target.size
        );
    }
    ensure!(
        served.root == target.log_root,
        "{} serves another log of {} epochs, signed by this validator's log key, than the guard knows of: two histories were \
         signed with this key. Keep both, and sign no more",
        api.base(),
        target.size
    );
    Ok(())
}

/// The leaf hashes behind `frontier`, our log's edge, which make it the log of `target`.
async fn leaves(api: &ValidatorApi, mut frontier: Frontier, target: &Head) -> anyhow::Result<Vec<Digest>> {
    let from = frontier.size();
    let width = u64::from(FULL_WIDTH);
    let mut leaves = Vec::new();
    for index in from.0 / width..target.size.0.div_ceil(width) {
        let address = TileAddress::new(0, index, width_at(target.size, index)?)?;
        let tile = api.tile(address).await?;
        let new = (index * width..).zip(tile).filter(|(leaf, _)| *leaf >= from.0);
        leaves.extend(new.map(|(_, hash)| hash));
    }
    frontier.extend(&leaves, |_| {})?;
    ensure!(
        frontier.root() == target.log_root,
        "the leaves that {} serves do not make our log of {from} epochs the guard's of {}: either they are not the log's, or \
         this database is of another history",
        api.base(),
        target.size
    );
    Ok(leaves)
}

async fn entries(api: &ValidatorApi, bundle: u64, size: TreeSize) -> anyhow::Result<Vec<Vec<u8>>> {
    Ok(api.entries(EntriesAddress::new(bundle, width_at(size, bundle)?)?).await?)
}

fn width_at(size: TreeSize, index: u64) -> anyhow::Result<u16> {
    tile_width_at(size, 0, index).with_context(|| format!("a log of {size} epochs has no tile {index}"))
}
