//! Inclusion and consistency proofs of a log: made from stored nodes, checked from bare hashes.
//!
//! Pure: no I/O, no clock, no randomness. Proofs are those of RFC 6962 sections 2.1.1 and 2.1.2 (RFC 9162 sections 2.1.3
//! and 2.1.4), hashes in the order given there. Safe for any size up to 2^64 - 1. A checker computes from index and
//! sizes how many hashes there must be and on which side each goes; nothing in a proof says so itself.
//! Out of scope: signatures (see `checkpoint`); subtree proofs.

use pds_schemas::{Digest, TreeSize};

use super::{LogError, NodeReader, edge_root};
use crate::hash::node_hash;

/// Why a leaf was not shown to be in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InclusionError {
    /// The log has no such leaf.
    #[error("no leaf {index} in a log of {size} leaves")]
    IndexBeyondSize {
        /// Index claimed, from 0.
        index: u64,
        /// Leaves the log has.
        size: TreeSize,
    },
    /// Index and size demand another number of hashes.
    #[error("the inclusion proof has {found} hashes, not {expected}")]
    ProofLength {
        /// Hashes a proof for this index and size has, at most 64.
        expected: usize,
        /// Hashes it has.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the inclusion proof does not lead to the log's root")]
    BadProof,
}

/// Why a log was not shown to have only grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsistencyError {
    /// The later head is smaller. When both are signed and their order is known, a rollback: keep both.
    #[error("log shrank from {from} to {to} leaves")]
    Shrank {
        /// Size known before.
        from: TreeSize,
        /// Size offered.
        to: TreeSize,
    },
    /// Two heads of one size differ. When both are signed, proof of a split view whatever the given hashes are: keep both.
    #[error("log has two roots at {size} leaves")]
    TwoRoots {
        /// Size of both heads.
        size: TreeSize,
    },
    /// The earlier log is empty, so there is nothing to be consistent with: RFC 9162 section 2.1.4 has 0 < m.
    ///
    /// Whoever accepts growth from nothing decides that without a proof.
    #[error("growth from an empty log has no proof, and needs none")]
    FromEmpty,
    /// The sizes demand another number of hashes. Says nothing about the log, only about who made the proof.
    #[error("the consistency proof has {found} hashes, not {expected}")]
    ProofLength {
        /// Hashes a proof for these sizes has, at most 65.
        expected: usize,
        /// Hashes it has.
        found: usize,
    },
    /// The hashes do not lead to both roots. Says nothing about the log, only that this proof is none.
    #[error("the consistency proof does not lead to both roots")]
    BadProof,
}

/// Proof that leaf `index` is in the log of `size` leaves: its siblings, the lowest first.
///
/// # Errors
/// [`LogError::IndexBeyondSize`], [`LogError::Read`].
pub fn prove_inclusion<R: NodeReader>(
    reader: &R,
    index: u64,
    size: TreeSize,
) -> Result<Vec<Digest>, LogError<R::Error>> {
    if index >= size.0 {
        return Err(LogError::IndexBeyondSize { index, size });
    }
    siblings(0, index, size.0).map(|s| s.hash(reader, size.0).map_err(LogError::Read)).collect()
}

/// Proof that the log of `to` leaves begins with the log of `from` leaves; empty when both are the same size.
///
/// # Errors
/// [`LogError::SizesOutOfOrder`], [`LogError::FromEmpty`], [`LogError::Read`].
pub fn prove_consistency<R: NodeReader>(
    reader: &R,
    from: TreeSize,
    to: TreeSize,
) -> Result<Vec<Digest>, LogError<R::Error>> {
    if from > to {
        return Err(LogError::SizesOutOfOrder { from, to });
    }
    if from.0 == 0 {
        return Err(LogError::FromEmpty);
    }
    if from == to {
        return Ok(Vec::new());
    }
    let (level, index) = last_subtree(from.0);
    let first = (index > 0).then(|| reader.node(level, index));
    let path = siblings(level, index, to.0).map(|s| s.hash(reader, to.0));
    first.into_iter().chain(path).map(|hash| hash.map_err(LogError::Read)).collect()
}

/// Checks that the log with `root` over `size` leaves has `leaf_hash` at `index`.
///
/// # Errors
/// [`InclusionError`]; the first that applies, in the order of its variants.
pub fn verify_inclusion(
    leaf_hash: &Digest,
    index: u64,
    size: TreeSize,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), InclusionError> {
    if index >= size.0 {
        return Err(InclusionError::IndexBeyondSize { index, size });
    }
    let expected = siblings(0, index, size.0).count();
    if proof.len() != expected {
        return Err(InclusionError::ProofLength { expected, found: proof.len() });
    }
    let path = siblings(0, index, size.0).zip(proof);
    let found = path.fold(*leaf_hash, |hash, (sibling, other)| sibling.join(&hash, other));
    if found == *root { Ok(()) } else { Err(InclusionError::BadProof) }
}

/// Checks that a log only grew, from the head (`from`, `from_root`) to the head (`to`, `to_root`).
///
/// # Errors
/// [`ConsistencyError`]; the first that applies, in the order of its variants.
pub fn verify_consistency(
    from: TreeSize,
    from_root: &Digest,
    to: TreeSize,
    to_root: &Digest,
    proof: &[Digest],
) -> Result<(), ConsistencyError> {
    if from > to {
        return Err(ConsistencyError::Shrank { from, to });
    }
    if from == to && from_root != to_root {
        return Err(ConsistencyError::TwoRoots { size: from });
    }
    if from.0 == 0 {
        return Err(ConsistencyError::FromEmpty);
    }
    let (level, index) = last_subtree(from.0);
    let given = from != to && index > 0;
    let climb = if from == to { 0 } else { siblings(level, index, to.0).count() };
    let expected = climb + usize::from(given);
    if proof.len() != expected {
        return Err(ConsistencyError::ProofLength { expected, found: proof.len() });
    }
    if from == to {
        return Ok(());
    }

    // When the earlier log is one complete subtree, its root is where both climbs start; otherwise the proof says where.
    let (start, path) = if given { (proof[0], &proof[1..]) } else { (*from_root, proof) };
    let (mut earlier, mut later) = (start, start);
    for (sibling, other) in siblings(level, index, to.0).zip(path) {
        // To the left of the climb lies what both logs have, to the right what only the later one has.
        if sibling.is_left() {
            earlier = node_hash(other, &earlier);
        }
        later = sibling.join(&later, other);
    }
    if earlier == *from_root && later == *to_root { Ok(()) } else { Err(ConsistencyError::BadProof) }
}

/// The node beside one on the way up to the root.
#[derive(Clone, Copy)]
struct Sibling {
    level: u8,
    index: u64,
}

impl Sibling {
    fn is_left(self) -> bool {
        self.index.is_multiple_of(2)
    }

    fn join(self, hash: &Digest, other: &Digest) -> Digest {
        if self.is_left() { node_hash(other, hash) } else { node_hash(hash, other) }
    }

    /// Its hash in a log of `size` leaves, in which it may be the incomplete right edge.
    fn hash<R: NodeReader>(self, reader: &R, size: u64) -> Result<Digest, R::Error> {
        let start = self.index << self.level;
        if (size - start) >> self.level > 0 {
            reader.node(self.level, self.index)
        } else {
            edge_root(reader, start, size)
        }
    }
}

/// The siblings met when climbing from a node to the root of a log of `size` leaves, lowest first; at most 64.
///
/// Where a level ends with the node, RFC 6962 lifts the node to the next level unchanged: no sibling there.
fn siblings(level: u8, index: u64, size: u64) -> impl Iterator<Item = Sibling> {
    (level..64)
        .zip(0u32..)
        .map(move |(level, height)| (Sibling { level, index: (index >> height) ^ 1 }, (size - 1) >> level))
        .take_while(|(_, last)| *last > 0)
        .filter(|(sibling, last)| sibling.index <= *last)
        .map(|(sibling, _)| sibling)
}

/// Level and index of the rightmost of the complete subtrees that a log of `size` > 0 leaves falls into.
fn last_subtree(size: u64) -> (u8, u64) {
    let level = size.trailing_zeros();
    (u8::try_from(level).expect("a u64 has 64 bits"), (size >> level) - 1)
}
