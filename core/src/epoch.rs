//! Closing an epoch: from the previous tree and what happened since, to what is stored, signed and published.
//!
//! Pure, in two halves with a disk between them. [`plan`] makes the name records, the changes, the new tree's pages and
//! the unsigned STR. Once they are written, [`EpochPlan::check_read_back`] recomputes everything from what was read back;
//! only then [`EpochPlan::seal`] signs. The order of writes and syncs around these calls is the sequencer's; the rules are
//! in ARCHITECTURE.md, "Closing an epoch".

use ed25519_dalek::SigningKey;
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::Head;
use pds_schemas::prefix::Change;
use pds_schemas::{
    Artefact, ChangeSet, DecodeError, Digest, EpochNumber, NameRecord, PluginName, PosixTime, SignedTreeRoot,
    Transition, TreeSize,
};

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::cose;
use crate::hash::{leaf_hash, sha256};
use crate::log::{EMPTY_ROOT, Frontier, LogFull, Node};
use crate::name_record::{NameEvent, commitment_of, next_record};
use crate::note::NoteSigner;
use crate::prefix::{
    ApplyError, PageId, PageSource, PrefixTree, RecomputeError, TransitionError, key_of, recompute_root,
    verify_transition,
};

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
    /// One entry for each name to which something happened, in any order.
    pub names: &'a [NameEvents],
}

/// An epoch that is planned and not signed.
#[derive(Clone, Debug)]
pub struct EpochPlan {
    /// What will be signed.
    pub str: SignedTreeRoot,
    /// New name records and their SHA-256, in the order of the changes.
    pub records: Vec<(Digest, Vec<u8>)>,
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

/// Why what was read back must not be signed: the disk does not hold what was written.
#[derive(Debug, thiserror::Error)]
pub enum ReadBackError {
    /// The pages do not give a root.
    #[error("pages read back do not give the prefix root")]
    Pages(#[from] RecomputeError),
    /// The pages give another root.
    #[error("pages read back give prefix root {found}, planned was {planned}")]
    Root {
        /// What was planned.
        planned: Digest,
        /// What the pages give.
        found: Digest,
    },
    /// A page is another than was written in what no hash covers: the epochs by which it names other pages.
    #[error("page {0} read back is not what was written")]
    Altered(PageId),
    /// The transition read back is malformed.
    #[error("transition read back is malformed: {0}")]
    Malformed(DecodeError),
    /// The transition read back is filed under another epoch.
    #[error("transition read back is of epoch {found}, planned was {planned}")]
    Epoch {
        /// What was planned.
        planned: EpochNumber,
        /// What was read.
        found: EpochNumber,
    },
    /// The transition read back is another one.
    #[error("changes read back hash to {found}, planned was {planned}")]
    Changes {
        /// What was planned.
        planned: Digest,
        /// Hash of what was read.
        found: Digest,
    },
    /// The transition read back does not lead from the previous root to the new one.
    #[error("transition read back does not hold")]
    Transition(#[from] TransitionError),
    /// A changed name's record is not there, or another.
    #[error("name record {0} was not read back")]
    Record(Digest),
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

/// Plans the epoch after `input.head`: an empty `names` makes a heartbeat, whose tree is the previous one.
///
/// # Errors
/// [`PlanError`].
pub fn plan<S: PageSource>(input: EpochInput<'_>, source: &S) -> Result<EpochPlan, PlanError<S::Error>> {
    let previous_size = input.head.map_or(TreeSize(0), |head| head.size);
    let epoch = EpochNumber(previous_size.0);
    let head_root = input.head.and_then(|head| head.prefix).map_or(Digest::ZERO, |(root, _)| root);
    if input.tree.root() != head_root {
        return Err(PlanError::OtherTree { head: head_root, tree: input.tree.root() });
    }
    let mut changed = Vec::new();
    for NameEvents { name, current, events } in input.names {
        let Some(next) = next_record(name, current.as_ref(), events, epoch) else { continue };
        let bytes = next.to_bytes();
        let new = sha256(&bytes);
        let old = current.as_ref().map(commitment_of);
        changed.push((Change { key: key_of(name), name: name.clone(), old, new }, (new, bytes)));
    }
    changed.sort_by_key(|(change, _)| change.key);
    let (changes, records): (Vec<_>, Vec<_>) = changed.into_iter().unzip();
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
        previous_size,
        previous_log_root: input.head.map_or(EMPTY_ROOT, |head| head.log_root),
    })
}

impl EpochPlan {
    /// Recomputes what is about to be signed from what was read back: the pages in the order of their keys, the
    /// transition's bytes, and each changed name's record by its digest.
    ///
    /// # Errors
    /// [`ReadBackError`]; nothing may be signed then.
    pub fn check_read_back<B: AsRef<[u8]>>(
        &self,
        pages: impl IntoIterator<Item = (PageId, B)>,
        transition: &[u8],
        mut record: impl FnMut(&Digest) -> Option<Vec<u8>>,
    ) -> Result<(), ReadBackError> {
        let read = Transition::from_bytes(transition).map_err(ReadBackError::Malformed)?;
        if read.epoch != self.str.epoch {
            return Err(ReadBackError::Epoch { planned: self.str.epoch, found: read.epoch });
        }
        let found = sha256(&read.changes.to_bytes());
        if found != self.str.changes {
            return Err(ReadBackError::Changes { planned: self.str.changes, found });
        }
        let changes = &read.changes.changes;
        verify_transition(&self.previous_root, &self.str.prefix_root, changes, &read.proof)?;
        let mut written = self.pages.iter();
        let mut altered = None;
        let mut pages = pages.into_iter().inspect(|(id, bytes)| {
            let same = written.next().is_some_and(|page| page.0 == *id && page.1 == bytes.as_ref());
            altered = altered.or((!same).then_some(*id));
        });
        if !changes.is_empty() {
            let found = recompute_root(self.str.epoch, pages)?;
            if found != self.str.prefix_root {
                return Err(ReadBackError::Root { planned: self.str.prefix_root, found });
            }
        } else if let Some((id, _)) = pages.next() {
            return Err(RecomputeError::Unreachable(id).into());
        }
        if let Some(id) = altered {
            return Err(ReadBackError::Altered(id));
        }
        let lost = |change: &&Change| record(&change.new).is_none_or(|bytes| sha256(&bytes) != change.new);
        match changes.iter().find(lost) {
            Some(change) => Err(ReadBackError::Record(change.new)),
            None => Ok(()),
        }
    }

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
