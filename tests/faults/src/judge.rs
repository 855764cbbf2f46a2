//! Whether a validator kept what it told the world: ARCHITECTURE.md's invariants, held against its disk and the journal.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use pds_core::checkpoint::SignedCheckpoint;
use pds_core::cose;
use pds_core::log;
use pds_log_server::config::Config;
use pds_log_server::identity::PublicIdentity;
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::Head;
use pds_schemas::{Artefact, Digest, EpochNumber, Receipt, SignedTreeRoot, TreeSize};
use pds_store::{Store, fsck};

use crate::journal::Line;
use crate::trace::{CLOSING, Event, HALTED};

/// Checks a stopped validator against all that its journal says. It holds when this returns.
///
/// # Errors
/// The first thing that does not hold.
pub fn check(config: &Path, journal: &[Line]) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let identity = PublicIdentity::load(&config.data_dir)?;
    let store = Store::open_read_only(config.store_dir(), &config.memory()).context("open the database")?;
    check_soundness(&store, &identity)?;
    let head = store.head()?.context("the database has no head")?;
    let guard = std::fs::read(config.guard_file()).context("read the guard")?;
    ensure!(guard == head.to_bytes(), "the guard is not at the head");
    check_heads(&store, &identity, &head, journal)?;
    check_acknowledged(&store, &identity, journal)?;
    for line in journal {
        if let Line::Broken(what) = line {
            anyhow::bail!("{what}");
        }
    }
    Ok(())
}

fn check_soundness(store: &Store, identity: &PublicIdentity) -> anyhow::Result<()> {
    let keys = fsck::Keys {
        origin: identity.log.origin().to_owned(),
        log: identity.log.clone(),
        str: identity.str.public_key(),
    };
    let mut findings = Vec::new();
    fsck::check(store, &keys, &mut |finding| findings.push(finding.to_string()), &mut |_| {});
    ensure!(findings.is_empty(), "fsck: {}", findings.join("; "));
    Ok(())
}

/// One root a size, one STR an epoch, all of them in the log that there is now.
fn check_heads(
    store: &Store,
    identity: &PublicIdentity,
    head: &Head,
    journal: &[Line],
) -> anyhow::Result<()> {
    let mut told = BTreeMap::new();
    for line in journal {
        let Line::Head { size, checkpoint, entry } = line else { continue };
        let before = told.entry(*size).or_insert((checkpoint, entry));
        ensure!(before.0 == checkpoint, "two checkpoints of {size} epochs");
        ensure!(before.1 == entry, "two STRs of epoch {}", size - 1);
    }
    let key = identity.str.public_key();
    for (size, (checkpoint, entry)) in told {
        let signed = SignedCheckpoint::open(checkpoint, &identity.log)?;
        ensure!(size <= head.size.0, "a published head of {size} epochs is gone");
        ensure!(signed.checkpoint().size == TreeSize(size), "a checkpoint is of another size");
        let root = log::root(store, TreeSize(size)).context("read log")?;
        ensure!(
            signed.checkpoint().root == root,
            "the log of {size} epochs has another root than was published"
        );
        let epoch = EpochNumber(size - 1);
        ensure!(
            store.entry(epoch)?.as_ref() == Some(entry),
            "the STR of epoch {epoch} is not what was published"
        );
        let str: SignedTreeRoot = cose::open(entry, SignedKind::SignedTreeRoot, &key)?;
        ensure!(str.epoch == epoch, "an STR is of another epoch");
    }
    Ok(())
}

/// What was acknowledged is there, in the place it was given, and waits or is decided.
fn check_acknowledged(store: &Store, identity: &PublicIdentity, journal: &[Line]) -> anyhow::Result<()> {
    let queue: BTreeMap<u64, Digest> = store.queue(0, usize::MAX)?.into_iter().collect();
    let mut places = BTreeMap::new();
    for line in journal {
        let Line::Acknowledged { digest, index, receipt } = line else { continue };
        ensure!(*places.entry(*index).or_insert(*digest) == *digest, "place {index} was given twice");
        let entry = store.submission(digest)?;
        let entry = entry.with_context(|| format!("acknowledged submission {digest} is gone"))?;
        ensure!(
            entry.index == *index && entry.receipt == *receipt,
            "submission {digest} has another receipt"
        );
        ensure!(store.archive(*index)?.is_some(), "the archive of acknowledged submission {digest} is gone");
        let receipt: Receipt = cose::open(receipt, SignedKind::Receipt, &identity.str.public_key())?;
        ensure!(
            receipt.submission == *digest && receipt.index == *index,
            "a receipt is of another submission"
        );
        if queue.get(index) == Some(digest) {
            continue;
        }
        ensure!(
            store.outcome(*index)?.is_some(),
            "acknowledged submission {digest} neither waits nor is decided"
        );
    }
    Ok(())
}

/// Checks that nothing was written between the halt of a validator and the closing of its files. After ENOSPC (`full`),
/// RocksDB begins to recover on its own before it reports the failure, and the store can only stop it then: what it had
/// accepted before may still go from memory into a table, but nothing of ours is added.
///
/// # Errors
/// Names the first call that changes something.
pub fn check_silence(events: &[Event], full: bool) -> anyhow::Result<()> {
    let mut halted = false;
    for event in events {
        match event {
            Event::Mark(mark) if mark == HALTED => halted = true,
            Event::Mark(mark) if mark == CLOSING => halted = false,
            Event::Call { point, .. } if !halted || point.operation == "open" => {}
            Event::Call { point, .. } if full && point.class != "guard" => {}
            Event::Call { point, file, .. } => {
                anyhow::bail!("{point} of {file} after the validator had halted");
            }
            Event::Mark(_) => {}
        }
    }
    Ok(())
}
