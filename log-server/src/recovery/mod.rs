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
use pds_schemas::{Artefact, EpochNumber, SignedTreeRoot, TreeSize};
use pds_store::{Blob, BlobKind, Store};
use tracing::{info, warn};

use crate::config::Config;
use crate::epoch_writer::EpochWriter;
use crate::identity::Identity;
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

/// Opens the database, whose head must bear `log_key`'s signature, and be that of the log in it.
///
/// # Errors
/// Says what does not fit.
pub fn open_store(config: &Config, log_key: &VerifierKey) -> anyhow::Result<(Store, Option<Head>)> {
    let store = Store::open(config.store_dir(), &config.memory())
        .with_context(|| format!("open the database in {}", config.data_dir.display()))?;
    let head = store.head().context("read head")?;
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
    Ok((store, head))
}
