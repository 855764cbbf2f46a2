//! Closing an epoch: from the previous tree and what happened since, to what is stored, signed and published.
//!
//! Pure, in two halves with a disk between them. [`NamePlan`] makes the name records, [`plan`] the new tree's pages and
//! the unsigned STR. Once they are written, [`EpochPlan::check_read_back`] recomputes everything from what was read back;
//! only then [`EpochPlan::seal`] signs. The order of writes and syncs around these calls is the sequencer's; the rules are
//! in ARCHITECTURE.md, "Closing an epoch".

mod read_back;

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::Head;
use pds_schemas::prefix::Change;
use pds_schemas::{
    Artefact, ChangeSet, Digest, EpochNumber, NameRecord, PluginName, PosixTime, SignedTreeRoot, Transition,
    TreeSize,
};

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::cose;
use crate::hash::{leaf_hash, sha256};
use crate::log::{EMPTY_ROOT, Frontier, LogFull, Node};
use crate::name_record::{NameEvent, commitment_of, next_record};
use crate::note::NoteSigner;
use crate::prefix::{ApplyError, PageId, PageSource, PrefixTree, key_of};

pub use read_back::{PagesRead, ReadBackError, check_record};

/// What happened to one name since the last epoch.
#[derive(Clone, Debug)]
pub struct NameEvents {
    /// The name.
    pub name: PluginName,
    /// Its record in the previous tree, if it has one.
    pub current: Option<NameRecord>,
    /// What happened, oldest first.
    pub events: Vec<NameEvent>,
}

/// From what an epoch is closed.
#[derive(Clone, Copy, Debug)]
pub struct EpochInput<'a> {
    /// The validator.
    pub origin: &'a str,
    /// SHA-256 of the policy in force.
    pub policy: Digest,
    /// The head so far; `None` for epoch 0.
    pub head: Option<&'a Head>,
    /// The tree so far.
    pub tree: &'a PrefixTree,
    /// The clock. A clock that went back is not followed: time never decreases.
    pub now: PosixTime,
}

/// What becomes of names in an epoch: the part of its plan that needs no tree.
#[derive(Clone, Debug, Default)]
pub struct NamePlan {
    /// In the order of their keys.
    changes: Vec<Change>,
    /// New name records and their SHA-256, in the order of the changes.
    records: Arc<[(Digest, Vec<u8>)]>,
}

/// A name's change in an epoch, and its new record's bytes.
#[derive(Clone, Debug)]
pub struct ChangedName(Change, Vec<u8>);

/// An epoch that is planned and not signed.
#[derive(Clone, Debug)]
pub struct EpochPlan {
    /// What will be signed.
    pub str: SignedTreeRoot,
    /// New name records and their SHA-256, in the order of the changes.
    pub records: Arc<[(Digest, Vec<u8>)]>,
    /// Changes and their proof.
    pub transition: Transition,
    /// New tree pages, in the order of their keys; none when nothing changed.
    pub pages: Vec<(PageId, Vec<u8>)>,
    /// The new tree.
    pub tree: PrefixTree,
    previous_root: Digest,
    previous_size: TreeSize,
    previous_log_root: Digest,
}

/// An epoch that is signed and not published.
#[derive(Clone, Debug)]
pub struct SealedEpoch {
    /// The log entry: COSE_Sign1 of the STR.
    pub entry: Vec<u8>,
    /// Log nodes that the entry completes.
    pub nodes: Vec<Node>,
    /// The log's edge with the entry.
    pub frontier: Frontier,
    /// The checkpoint over the log with the entry, signed by the log alone.
    pub checkpoint: SignedCheckpoint,
    /// The new head.
    pub head: Head,
}

/// Why an epoch cannot be planned. `E` is the page source's error.
#[derive(Debug, thiserror::Error)]
pub enum PlanError<E: std::error::Error + 'static> {
    /// The tree is not the head's.
    #[error("the tree to change has root {tree}, the head's has {head}")]
    OtherTree {
        /// Root in the head; zeros for an empty tree, and for no head.
        head: Digest,
        /// Root of the tree.
        tree: Digest,
    },
    /// The tree does not take the changes.
    #[error("apply changes to the prefix tree")]
    Tree(#[from] ApplyError<E>),
}

/// Why an epoch cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The log's edge is not that of the head.
    #[error("the log's edge has {found} leaves, the head has {expected}")]
    Frontier {
        /// Leaves of the head.
        expected: TreeSize,
        /// Leaves of the edge.
        found: TreeSize,
    },
    /// The log's edge has the head's size and another root: signing over it would fork the log.
    #[error("the log's edge has root {found}, the head has {expected}")]
    FrontierRoot {
        /// Root of the head; that of the empty log for no head.
        expected: Digest,
        /// Root of the edge.
        found: Digest,
    },
    /// The log is full.
    #[error(transparent)]
    Full(#[from] LogFull),
    /// The log's key does not sign for this origin.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl EpochInput<'_> {
    /// The epoch to plan.
    pub fn epoch(&self) -> EpochNumber {
        EpochNumber(self.head.map_or(0, |head| head.size.0))
    }
}

impl NamePlan {
    /// What becomes in `epoch` of `names`, one entry for each name to which something happened, in any order. None makes a
    /// heartbeat, whose tree is the previous one.
    pub fn of(epoch: EpochNumber, names: &[NameEvents]) -> Self {
        Self::join(change_names(epoch, names))
    }

    /// The plan of all the names of which these are the changes: those of [`change_names`], which may be asked for
    /// some names at a time.
    pub fn join(changed: impl IntoIterator<Item = ChangedName>) -> Self {
        let mut changed: Vec<_> = changed.into_iter().collect();
        changed.sort_by_key(|ChangedName(change, _)| change.key);
        let part = |ChangedName(change, bytes)| {
            let digest = change.new;
            (change, (digest, bytes))
        };
        let (changes, records): (_, Vec<_>) = changed.into_iter().map(part).unzip();
        Self { changes, records: records.into() }
    }

    /// New name records and their SHA-256, in the order of the changes.
    pub fn records(&self) -> &[(Digest, Vec<u8>)] {
        &self.records
    }
}

/// The change of each of `names` that changes in `epoch`, with the bytes of its new record.
pub fn change_names(epoch: EpochNumber, names: &[NameEvents]) -> Vec<ChangedName> {
    let change = |NameEvents { name, current, events }: &NameEvents| {
        let bytes = next_record(name, current.as_ref(), events, epoch)?.to_bytes();
        let old = current.as_ref().map(commitment_of);
        let change = Change { key: key_of(name), name: name.clone(), old, new: sha256(&bytes) };
        Some(ChangedName(change, bytes))
    };
    names.iter().filter_map(change).collect()
}

/// Plans the epoch after `input.head`, in which `names` change.
///
/// # Errors
/// [`PlanError`].
pub fn plan<S: PageSource>(
    input: EpochInput<'_>,
    names: NamePlan,
    source: &S,
) -> Result<EpochPlan, PlanError<S::Error>> {
    let epoch = input.epoch();
    let head_root = input.head.and_then(|head| head.prefix).map_or(Digest::ZERO, |(root, _)| root);
    if input.tree.root() != head_root {
        return Err(PlanError::OtherTree { head: head_root, tree: input.tree.root() });
    }
    let NamePlan { changes, records } = names;
    let applied = input.tree.apply(source, epoch, &changes)?;
    let added = changes.iter().filter(|change| change.old.is_none()).count() as u64;
    let changes = ChangeSet { changes };
    let str = SignedTreeRoot {
        origin: input.origin.to_owned(),
        epoch,
        time: input.head.map_or(input.now, |head| head.time.max(input.now)),
        previous: input.head.map_or(Digest::ZERO, |head| head.str_hash),
        prefix_root: applied.tree.root(),
        names: input.head.map_or(0, |head| head.names) + added,
        changes: sha256(&changes.to_bytes()),
        policy: input.policy,
        extensions: Digest::ZERO,
    };
    Ok(EpochPlan {
        str,
        records,
        transition: Transition { epoch, changes, proof: applied.proof },
        pages: applied.pages,
        tree: applied.tree,
        previous_root: input.tree.root(),
        previous_size: TreeSize(epoch.0),
        previous_log_root: input.head.map_or(EMPTY_ROOT, |head| head.log_root),
    })
}

impl EpochPlan {
    /// Signs the STR and the checkpoint over the log that it is appended to. `frontier` is the log's edge before.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(
        &self,
        mut frontier: Frontier,
        log: &NoteSigner,
        str_key: &SigningKey,
    ) -> Result<SealedEpoch, SealError> {
        if frontier.size() != self.previous_size {
            return Err(SealError::Frontier { expected: self.previous_size, found: frontier.size() });
        }
        if frontier.root() != self.previous_log_root {
            let (expected, found) = (self.previous_log_root, frontier.root());
            return Err(SealError::FrontierRoot { expected, found });
        }
        let entry = cose::sign(SignedKind::SignedTreeRoot, &self.str, str_key).to_bytes();
        let str_hash = leaf_hash(&entry);
        let mut nodes = Vec::new();
        frontier.append(str_hash, |node| nodes.push(node))?;
        let (size, root) = (frontier.size(), frontier.root());
        let checkpoint = Checkpoint { origin: self.str.origin.clone(), size, root }.sign(log)?;
        let head = Head {
            size,
            log_root: root,
            str_hash,
            time: self.str.time,
            prefix: self.tree.root_page().map(|page| (self.tree.root(), page)),
            names: self.str.names,
            checkpoint: checkpoint.to_string(),
            frozen: false,
        };
        Ok(SealedEpoch { entry, nodes, frontier, checkpoint, head })
    }
}
