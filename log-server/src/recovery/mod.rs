//! Starting: from a database, a guard and two keys to a writer that may sign, or to a reason why not.
//!
//! The guard is locked first. It may be equal to the database's head, or one epoch behind with its root on our log, which
//! is a crash between commit and guard. Anything else could mean signing a second history, and is refused.

pub mod standing;

use std::sync::Arc;

use anyhow::{Context, ensure};
use pds_core::checkpoint::SignedCheckpoint;
use pds_core::cose;
use pds_core::hash::leaf_hash;
use pds_core::log::{self, Frontier};
use pds_core::note::VerifierKey;
use pds_core::prefix::PrefixTree;
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::Head;
use pds_schemas::{Artefact, EpochNumber, PublicKey, SignedTreeRoot, TreeSize};
use pds_store::{Blob, BlobKind, Store};
use tracing::{info, warn};

use crate::config::Config;
use crate::epoch_writer::EpochWriter;
use crate::identity::{Identity, PublicIdentity};
use crate::shared::Published;
use standing::{Standing, open_guard, standing};

/// Opens what `init` made and earlier runs left.
///
/// # Errors
/// Says what does not fit, and what to do.
pub fn open(config: &Config) -> anyhow::Result<EpochWriter> {
    let path = config.guard_file();
    let mut guard = open_guard(&path)?;
    let identity = Identity::load(config)?;
    let (store, head) = open_store(config, identity.log.verifier())?;
    match standing(&guard, &path, head.as_ref(), &store)? {
        Standing::Equal => {}
        Standing::GuardOneBehind => {
            let head = head.as_ref().map(Artefact::to_bytes).unwrap_or_default();
            warn!("the last run ended between commit and guard; moving the guard");
            guard.swap(&head).context("move the guard")?;
        }
    }
    let dropped = store.drop_unfinished().context("drop an unfinished epoch")?;
    if dropped.transitions > 0 {
        info!(pages = dropped.pages, "dropped an epoch that was not committed");
    }
    let size = head.as_ref().map_or(TreeSize(0), |head| head.size);
    let frontier = Frontier::load(&store, size).context("read log")?;
    let tree = tree_of(head.as_ref())?;
    Ok(EpochWriter {
        store: Arc::new(store),
        guard,
        identity,
        origin: config.origin.clone(),
        policy: Blob::new(BlobKind::Policy, config.policy().to_bytes()),
        head,
        frontier,
        tree,
    })
}

/// What `writer`'s head shows to the world; `None` before epoch 0.
///
/// # Errors
/// When the database does not hold the head's STR.
pub fn published(writer: &EpochWriter) -> anyhow::Result<Option<Published>> {
    let Some(head) = &writer.head else { return Ok(None) };
    let key = cose::public_key(&writer.identity.str);
    published_of(&writer.store, head, &key, writer.tree.clone()).map(Some)
}

/// Opens what a copy holds, to serve and nothing else: without keys and guard, and without changing a file.
///
/// # Errors
/// Says what does not fit.
pub fn open_to_serve(config: &Config) -> anyhow::Result<(Arc<Store>, Published)> {
    let identity = PublicIdentity::load(&config.data_dir)?;
    ensure!(
        identity.log.origin() == config.origin,
        "{} is of {}, the configuration is of {}",
        config.data_dir.display(),
        identity.log.origin(),
        config.origin
    );
    let store = Store::open_read_only(config.store_dir(), &config.memory());
    let store = store.with_context(|| format!("open the database in {}", config.data_dir.display()))?;
    let head = checked_head(&store, &identity.log)?.context("there is no epoch to serve yet")?;
    let tree = tree_of(Some(&head))?;
    let published = published_of(&store, &head, &identity.str.public_key(), tree)?;
    Ok((Arc::new(store), published))
}

/// The prefix tree of `head`.
///
/// # Errors
/// When its root and page name no tree.
pub fn tree_of(head: Option<&Head>) -> anyhow::Result<PrefixTree> {
    match head.and_then(|head| head.prefix) {
        Some((root, page)) => PrefixTree::open(root, Some(page)).context("open prefix tree"),
        None => Ok(PrefixTree::empty()),
    }
}

fn published_of(store: &Store, head: &Head, key: &PublicKey, tree: PrefixTree) -> anyhow::Result<Published> {
    let epoch = EpochNumber(head.size.0 - 1);
    let entry = store.entry(epoch).context("read STR")?;
    let entry = entry.with_context(|| format!("the STR of epoch {epoch} is gone; run fsck"))?;
    ensure!(leaf_hash(&entry) == head.str_hash, "the STR of epoch {epoch} is damaged; run fsck");
    let str: SignedTreeRoot = cose::open(&entry, SignedKind::SignedTreeRoot, key)?;
    Ok(Published { head: head.clone(), str, entry, tree })
}

/// Opens the database, whose head must bear `log_key`'s signature, and be that of the log in it.
///
/// # Errors
/// Says what does not fit.
pub fn open_store(config: &Config, log_key: &VerifierKey) -> anyhow::Result<(Store, Option<Head>)> {
    let store = Store::open(config.store_dir(), &config.memory())
        .with_context(|| format!("open the database in {}", config.data_dir.display()))?;
    let head = checked_head(&store, log_key)?;
    Ok((store, head))
}

fn checked_head(store: &Store, log_key: &VerifierKey) -> anyhow::Result<Option<Head>> {
    let head = store.head().context("read head")?;
    if let Some(head) = &head {
        let signed = SignedCheckpoint::open(head.checkpoint.as_bytes(), log_key)
            .context("the database's head is not signed by this validator's log key")?;
        let checkpoint = signed.checkpoint();
        ensure!(
            checkpoint.size == head.size && checkpoint.root == head.log_root,
            "the database's head is damaged: it and its checkpoint differ; run fsck"
        );
        let root = log::root(store, head.size).context("read log")?;
        ensure!(root == head.log_root, "the log in the database does not hash to its head; run fsck");
    }
    Ok(head)
}
