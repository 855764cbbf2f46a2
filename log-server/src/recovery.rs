//! Starting: from a database, a guard and two keys to a writer that may sign, or to a reason why not.
//!
//! The guard is locked first. It may be equal to the database's head, or one epoch behind with its root on our log, which
//! is a crash between commit and guard. Anything else could mean signing a second history, and is refused.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use pds_core::checkpoint::SignedCheckpoint;
use pds_core::cose;
use pds_core::hash::leaf_hash;
use pds_core::log::{self, Frontier};
use pds_core::prefix::PrefixTree;
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::Head;
use pds_schemas::{Artefact, EpochNumber, SignedTreeRoot, TreeSize};
use pds_service::guard::{Guard, GuardError};
use pds_store::{Blob, BlobKind, Store};
use tracing::{info, warn};

use crate::config::Config;
use crate::epoch_writer::EpochWriter;
use crate::identity::Identity;
use crate::shared::Published;

/// Opens what `init` made and earlier runs left.
///
/// # Errors
/// Says what does not fit, and what to do.
pub fn open(config: &Config) -> anyhow::Result<EpochWriter> {
    let mut guard = open_guard(config)?;
    let identity = Identity::load(config)?;
    let store = Store::open(config.store_dir(), &config.memory())
        .with_context(|| format!("open the database in {}", config.data_dir.display()))?;
    let head = store.head().context("read head")?;
    let log_key = identity.log.verifier();
    if let Some(head) = &head {
        let signed = SignedCheckpoint::open(head.checkpoint.as_bytes(), log_key)
            .context("the database's head is not signed by this validator's log key")?;
        let checkpoint = signed.checkpoint();
        ensure!(
            checkpoint.size == head.size && checkpoint.root == head.log_root,
            "the database's head is damaged: it and its checkpoint differ; run fsck"
        );
        let root = log::root(&store, head.size).context("read log")?;
        ensure!(root == head.log_root, "the log in the database does not hash to its head; run fsck");
    }
    settle_guard(&mut guard, head.as_ref(), &store, config)?;
    let dropped = store.drop_unfinished().context("drop an unfinished epoch")?;
    if dropped.transitions > 0 {
        info!(pages = dropped.pages, "dropped an epoch that was not committed");
    }
    let size = head.as_ref().map_or(TreeSize(0), |head| head.size);
    let frontier = Frontier::load(&store, size).context("read log")?;
    let tree = match head.as_ref().and_then(|head| head.prefix) {
        Some((root, page)) => PrefixTree::open(root, Some(page)).context("open prefix tree")?,
        None => PrefixTree::empty(),
    };
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
    let epoch = EpochNumber(head.size.0 - 1);
    let entry = writer.store.entry(epoch).context("read STR")?;
    let entry = entry.with_context(|| format!("the STR of epoch {epoch} is gone; run fsck"))?;
    ensure!(leaf_hash(&entry) == head.str_hash, "the STR of epoch {epoch} is damaged; run fsck");
    let key = cose::public_key(&writer.identity.str);
    let str: SignedTreeRoot = cose::open(&entry, SignedKind::SignedTreeRoot, &key)?;
    Ok(Some(Published { head: head.clone(), str, entry, tree: writer.tree.clone() }))
}

fn open_guard(config: &Config) -> anyhow::Result<Guard> {
    Guard::open(&config.guard_file()).map_err(|error| match error {
        GuardError::Missing(path) => anyhow::anyhow!(
            "there is no guard at {}. Run `pds-log-server init` for a new validator. If this one has signed before, find the \
             guard: without it, nothing shows that this database is not an old copy",
            path.display()
        ),
        other => other.into(),
    })
}

fn settle_guard(
    guard: &mut Guard,
    head: Option<&Head>,
    store: &Store,
    config: &Config,
) -> anyhow::Result<()> {
    let path = config.guard_file();
    let path = path.display();
    let bytes = head.map(Artefact::to_bytes).unwrap_or_default();
    if guard.value() == bytes {
        return Ok(());
    }
    let held = match guard.value() {
        [] => None,
        value => Some(Head::from_bytes(value).with_context(|| format!("the guard {path} is malformed"))?),
    };
    let held_size = held.as_ref().map_or(TreeSize(0), |held| held.size);
    let Some(head) = head else {
        bail!(
            "the guard {path} holds a head of {held_size} epochs, the database none: it is not the one that signed"
        );
    };
    if held_size > head.size {
        bail!(
            "the database is behind the guard {path}: {} epochs, the guard says {held_size} were signed. It was restored \
             from an old copy; signing on would show a second history. Restore the newest copy",
            head.size
        );
    }
    let on_our_log = match &held {
        Some(held) => log::root(store, held_size).context("read log")? == held.log_root,
        None => true,
    };
    if !on_our_log || held_size.0 + 1 != head.size.0 {
        bail!(
            "the guard {path} holds a head of {held_size} epochs that the database's {} epochs do not follow on by one: one of \
             them is of another history, or of another validator",
            head.size
        );
    }
    warn!(epochs = head.size.0, "the last run ended between commit and guard; moving the guard");
    guard.swap(&bytes).context("move the guard")
}
