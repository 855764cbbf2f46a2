//! Checking that a change set leads from one root to another: what an auditor does who does not have the tree.
//!
//! Pure: one walk over the proof with the sorted changes, recomputing both roots; at most 255 calls deep, and it
//! allocates nothing but the updates. The encoding is described at [`TransitionProof`]; one old tree and one change set
//! have one proof, every other one is refused. Out of scope: whether the change set is the one an STR names.
//!
//! Not decidable here: whether a hash beside a missing child stands for a leaf, which would have to sit higher up. Who
//! checked every transition since the empty tree knows that it does not.

use pds_schemas::Digest;
use pds_schemas::prefix::{Change, TransitionProof};

use super::hash::{leaf_hash, parent_hash};
use super::update::{ChangeError, Planting, Update, check_changes, check_order, split};
use super::verify::MAX_LEAF_DEPTH;

/// Why a transition proof proves nothing. Nodes count from 0, in the order of the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// Not a change set.
    #[error(transparent)]
    Changes(#[from] ChangeError),
    /// The kinds end before the walk does.
    #[error("no kind for node {0}")]
    KindsEnd(usize),
    /// The values end before the walk does.
    #[error("no value for node {0}")]
    ValuesEnd(usize),
    /// Kinds or values are left after the walk, or unused bits are set.
    #[error("bytes or bits are left over")]
    LeftOver,
    /// A kind that has no meaning at a node off the path of every change.
    #[error("node {node}, which no change touches, has kind {kind}")]
    Kind {
        /// The node.
        node: usize,
        /// Its kind, 2 or 3.
        kind: u8,
    },
    /// A subtree known by the hash of a missing child.
    #[error("node {0} is an explicit zero hash")]
    ZeroHash(usize),
    /// A leaf at depth 0: the root is always a parent.
    #[error("a leaf at depth 0")]
    LeafAtRoot,
    /// A leaf at depth 256, in the old tree or the new one.
    #[error("deeper than 255 levels")]
    TooDeep,
    /// A parent without children.
    #[error("node {0} is a parent without children")]
    NoChildren(usize),
    /// A parent, other than the root, with one leaf and nothing else below it.
    #[error("node {0} is a parent of one leaf, which would have to sit there itself")]
    LoneLeaf(usize),
    /// Another leaf that does not belong where the proof puts it.
    #[error("the leaf at node {0} is not on the path to it")]
    LeafOffPath(usize),
    /// Another leaf whose key changes.
    #[error("the leaf at node {0} is given as another one's, but its key changes")]
    LeafChanges(usize),
    /// A changed leaf where no change says so, or a change of a key that is not there.
    #[error("the proof and the old commitment of {key} disagree on whether the key is new")]
    Old {
        /// Key of the change; at a changed leaf that no change accounts for, the first key on its path.
        key: Digest,
    },
    /// The proof is for another old tree.
    #[error("the proof starts from root {computed}")]
    OldRoot {
        /// The root it starts from.
        computed: Digest,
    },
    /// The changes lead to another tree.
    #[error("the changes lead to root {computed}")]
    NewRoot {
        /// The root they lead to.
        computed: Digest,
    },
}

/// Checks that `changes`, and nothing else, lead from the tree of `old_root` to the tree of `new_root`.
///
/// # Errors
/// [`TransitionError`]. Only `Changes` and `NewRoot` (of a proof that is otherwise in order) say anything about the change
/// set; the others are about the proof.
pub fn verify_transition(
    old_root: &Digest,
    new_root: &Digest,
    changes: &[Change],
    proof: &TransitionProof,
) -> Result<(), TransitionError> {
    verify_updates(old_root, new_root, &check_changes(changes)?, proof)
}

/// As [`verify_transition`] for any number of updates, whose keys come from anywhere.
///
/// # Errors
/// [`TransitionError`].
pub fn verify_updates(
    old_root: &Digest,
    new_root: &Digest,
    updates: &[Update],
    proof: &TransitionProof,
) -> Result<(), TransitionError> {
    check_order(updates)?;
    let mut reader = ProofReader { kinds: &proof.kinds, values: &proof.values, nodes: 0 };
    let root = reader.node(0, updates)?;
    reader.check_end()?;
    if root.old != *old_root {
        return Err(TransitionError::OldRoot { computed: root.old });
    }
    if root.new != *new_root {
        return Err(TransitionError::NewRoot { computed: root.new });
    }
    Ok(())
}

const MISSING: u8 = 0;
const CHANGED_LEAF: u8 = 1;
const UNTOUCHED: u8 = 1;
const OTHER_LEAF: u8 = 2;
const PARENT: u8 = 3;

/// Writes a proof node by node, in pre-order.
#[derive(Default)]
pub(super) struct ProofWriter {
    proof: TransitionProof,
    nodes: usize,
}

impl ProofWriter {
    /// A node off every path, by its hash; zero if it is missing.
    pub fn untouched(&mut self, hash: &Digest) {
        if *hash == Digest::ZERO {
            return self.kind(MISSING);
        }
        self.kind(UNTOUCHED);
        self.proof.values.extend_from_slice(&hash.0);
    }

    pub fn missing(&mut self) {
        self.kind(MISSING);
    }

    pub fn changed_leaf(&mut self) {
        self.kind(CHANGED_LEAF);
    }

    pub fn other_leaf(&mut self, key: &Digest, commitment: &Digest) {
        self.kind(OTHER_LEAF);
        self.proof.values.extend_from_slice(&key.0);
        self.proof.values.extend_from_slice(&commitment.0);
    }

    pub fn parent(&mut self) {
        self.kind(PARENT);
    }

    pub fn finish(self) -> TransitionProof {
        self.proof
    }

    fn kind(&mut self, kind: u8) {
        if self.nodes.is_multiple_of(4) {
            self.proof.kinds.push(0);
        }
        self.proof.kinds[self.nodes / 4] |= kind << (6 - 2 * (self.nodes % 4));
        self.nodes += 1;
    }
}

struct ProofReader<'a> {
    kinds: &'a [u8],
    values: &'a [u8],
    /// Nodes read so far.
    nodes: usize,
}

/// A node's hash before and after the changes, and what is known of its old self.
struct Seen {
    old: Digest,
    new: Digest,
    was_leaf: bool,
}

impl ProofReader<'_> {
    fn node(&mut self, depth: usize, updates: &[Update]) -> Result<Seen, TransitionError> {
        let node = self.nodes;
        let kind = self.kind()?;
        if updates.is_empty() {
            let hash = self.untouched(node, kind)?;
            return Ok(Seen { old: hash, new: hash, was_leaf: false });
        }
        match kind {
            MISSING => {
                check_new(updates, None)?;
                Ok(Seen {
                    old: Digest::ZERO,
                    new: plant(depth, Planting { updates, other: None })?,
                    was_leaf: false,
                })
            }
            PARENT => self.parent(node, depth, updates),
            _ if depth == 0 => Err(TransitionError::LeafAtRoot),
            CHANGED_LEAF => {
                let changed = updates.iter().find_map(|update| Some((update.key, update.old?)));
                let (key, commitment) = changed.ok_or(TransitionError::Old { key: updates[0].key })?;
                check_new(updates, Some(&key))?;
                let new = plant(depth, Planting { updates, other: None })?;
                Ok(Seen { old: leaf_hash(&key, &commitment), new, was_leaf: true })
            }
            _ => {
                let other = self.other_leaf(node, depth, updates)?;
                check_new(updates, None)?;
                let new = plant(depth, Planting { updates, other: Some(other) })?;
                Ok(Seen { old: leaf_hash(&other.0, &other.1), new, was_leaf: true })
            }
        }
    }

    fn parent(&mut self, node: usize, depth: usize, updates: &[Update]) -> Result<Seen, TransitionError> {
        if depth >= MAX_LEAF_DEPTH {
            return Err(TransitionError::TooDeep);
        }
        let (left, right) = split(updates, depth);
        let left = self.node(depth + 1, left)?;
        let right = self.node(depth + 1, right)?;
        match (left.old == Digest::ZERO, right.old == Digest::ZERO) {
            (true, true) => return Err(TransitionError::NoChildren(node)),
            (true, false) if right.was_leaf && depth > 0 => return Err(TransitionError::LoneLeaf(node)),
            (false, true) if left.was_leaf && depth > 0 => return Err(TransitionError::LoneLeaf(node)),
            _ => {}
        }
        let old = parent_hash(&left.old, &right.old);
        Ok(Seen { old, new: parent_hash(&left.new, &right.new), was_leaf: false })
    }

    fn untouched(&mut self, node: usize, kind: u8) -> Result<Digest, TransitionError> {
        match kind {
            MISSING => Ok(Digest::ZERO),
            UNTOUCHED => match self.value(node)? {
                Digest::ZERO => Err(TransitionError::ZeroHash(node)),
                hash => Ok(hash),
            },
            _ => Err(TransitionError::Kind { node, kind }),
        }
    }

    fn other_leaf(
        &mut self,
        node: usize,
        depth: usize,
        updates: &[Update],
    ) -> Result<(Digest, Digest), TransitionError> {
        let (key, commitment) = (self.value(node)?, self.value(node)?);
        if key.common_prefix(&updates[0].key) < depth {
            return Err(TransitionError::LeafOffPath(node));
        }
        if updates.binary_search_by_key(&key, |update| update.key).is_ok() {
            return Err(TransitionError::LeafChanges(node));
        }
        Ok((key, commitment))
    }

    fn kind(&mut self) -> Result<u8, TransitionError> {
        let byte = self.kinds.get(self.nodes / 4).ok_or(TransitionError::KindsEnd(self.nodes))?;
        let kind = byte >> (6 - 2 * (self.nodes % 4)) & 3;
        self.nodes += 1;
        Ok(kind)
    }

    fn value(&mut self, node: usize) -> Result<Digest, TransitionError> {
        let (value, rest) = self.values.split_first_chunk().ok_or(TransitionError::ValuesEnd(node))?;
        self.values = rest;
        Ok(Digest(*value))
    }

    fn check_end(&self) -> Result<(), TransitionError> {
        let whole = self.kinds.len() == self.nodes.div_ceil(4) && self.values.is_empty();
        let used = 2 * (self.nodes % 4);
        let padded = used > 0 && self.kinds.last().is_some_and(|byte| byte << used != 0);
        if whole && !padded { Ok(()) } else { Err(TransitionError::LeftOver) }
    }
}

/// Checks that all updates but the one of `held` are of new keys, and that one is not.
fn check_new(updates: &[Update], held: Option<&Digest>) -> Result<(), TransitionError> {
    match updates.iter().find(|update| update.old.is_some() != (held == Some(&update.key))) {
        Some(update) => Err(TransitionError::Old { key: update.key }),
        None => Ok(()),
    }
}

/// Hash of a node at `depth` that holds these leaves and nothing else.
fn plant(depth: usize, leaves: Planting<'_>) -> Result<Digest, TransitionError> {
    if leaves.len() == 0 {
        return Ok(Digest::ZERO);
    }
    if let Some((key, commitment)) = leaves.single().filter(|_| depth > 0) {
        return Ok(leaf_hash(&key, &commitment));
    }
    if depth >= MAX_LEAF_DEPTH {
        return Err(TransitionError::TooDeep);
    }
    let [left, right] = leaves.split(depth);
    Ok(parent_hash(&plant(depth + 1, left)?, &plant(depth + 1, right)?))
}
