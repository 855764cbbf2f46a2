//! The Merkle tree of an append-only log: growing it and taking its root.
//!
//! Pure: no I/O, no clock, no randomness; stored hashes come through a [`NodeReader`]. The tree is that of RFC 6962
//! section 2.1. What is stored of it are its *complete subtrees*, each addressed by a level (0 for leaves) and an index
//! in that level, and covering the leaves `index << level` up to, not including, `(index + 1) << level`. Once complete, a
//! subtree never changes, so a log of `n` leaves is at most `2n` write-once hashes.
//!
//! Proofs are in [`proof`], tiles in [`tile`]. Out of scope: who signs a root (see `checkpoint`), what a leaf says.

mod memory;
pub mod proof;
pub mod tile;

use std::borrow::Cow;

pub use memory::{MemoryLog, MissingNode};
use pds_schemas::{Digest, TreeSize};

use crate::hash::{node_hash, node_hashes};

/// Root of a log without leaves: SHA-256 of nothing, RFC 6962 section 2.1.
pub const EMPTY_ROOT: Digest = Digest([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// A complete subtree and its hash, to be stored once and for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Height of the subtree; 0 for a leaf, at most 63.
    pub level: u8,
    /// Position in its level, from 0.
    pub index: u64,
    /// Its RFC 6962 hash.
    pub hash: Digest,
}

/// Where the hashes of complete subtrees are kept.
pub trait NodeReader {
    /// Why a node could not be read.
    type Error;

    /// Hash of the complete subtree at `level` and `index`.
    ///
    /// # Errors
    /// When the node is not stored or cannot be read; there is no "absent" answer, because only nodes that a log of the
    /// size in question must have are asked for.
    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Error>;
}

impl<R: NodeReader + ?Sized> NodeReader for &R {
    type Error = R::Error;

    fn node(&self, level: u8, index: u64) -> Result<Digest, R::Error> {
        (**self).node(level, index)
    }
}

/// Why a log cannot be appended to, or a proof not be made. `E` is the reader's error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError<E> {
    /// There is no number for one more leaf.
    #[error("a log holds at most 2^64 - 1 leaves")]
    Full,
    /// Asked to prove a leaf that the log does not have.
    #[error("no leaf {index} in a log of {size} leaves")]
    IndexBeyondSize {
        /// Index asked for, from 0.
        index: u64,
        /// Leaves the log has.
        size: TreeSize,
    },
    /// Asked to prove growth to a smaller size.
    #[error("a log does not grow from {from} to {to} leaves")]
    SizesOutOfOrder {
        /// Size said to come first.
        from: TreeSize,
        /// Size said to come later.
        to: TreeSize,
    },
    /// Asked to prove growth from the empty log, for which RFC 9162 section 2.1.4 (0 < m) has no proof.
    #[error("growth from an empty log has no proof, and needs none")]
    FromEmpty,
    /// A stored hash could not be read.
    #[error("read a stored node of the log")]
    Read(#[source] E),
}

/// No further leaf fits: the log has 2^64 - 1 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a log holds at most 2^64 - 1 leaves")]
pub struct LogFull;

/// The nodes that become complete when `leaf` is appended to a log of `size` leaves, the leaf itself first.
///
/// Two nodes an append on average, 64 at most. To append many leaves, a [`Frontier`] reads nothing back.
///
/// # Errors
/// [`LogError::Full`], [`LogError::Read`].
pub fn append<R: NodeReader>(
    reader: &R,
    size: TreeSize,
    leaf: Digest,
) -> Result<Vec<Node>, LogError<R::Error>> {
    if size.0 == u64::MAX {
        return Err(LogError::Full);
    }
    let mut node = Node { level: 0, index: size.0, hash: leaf };
    let mut complete = vec![node];
    while node.index % 2 == 1 {
        let left = reader.node(node.level, node.index - 1).map_err(LogError::Read)?;
        node = parent(&left, node);
        complete.push(node);
    }
    Ok(complete)
}

/// Root of the log's first `size` leaves; [`EMPTY_ROOT`] for none.
///
/// Reads one node for every set bit of `size`.
///
/// # Errors
/// The reader's.
pub fn root<R: NodeReader>(reader: &R, size: TreeSize) -> Result<Digest, R::Error> {
    if size.0 == 0 { Ok(EMPTY_ROOT) } else { edge_root(reader, 0, size.0) }
}

/// The right edge of a log: all it takes to append without reading anything back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Hashes of the complete subtrees the log falls into, leftmost and largest first: one for each set bit of `size`.
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The edge of an empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a stored log of `size` leaves.
    ///
    /// # Errors
    /// The reader's.
    pub fn load<R: NodeReader>(reader: &R, size: TreeSize) -> Result<Self, R::Error> {
        let mut peaks = Vec::with_capacity(size.0.count_ones() as usize + 1);
        for level in (0..64).rev().filter(|level| size.0 >> level & 1 == 1) {
            peaks.push(reader.node(level, (size.0 >> level) - 1)?);
        }
        Ok(Self { size: size.0, peaks })
    }

    /// Appends a leaf hash, and hands every newly complete node to `store`, the leaf itself first.
    ///
    /// # Errors
    /// [`LogFull`], before anything is stored.
    pub fn append(&mut self, leaf: Digest, mut store: impl FnMut(Node)) -> Result<(), LogFull> {
        if self.size == u64::MAX {
            return Err(LogFull);
        }
        let mut node = Node { level: 0, index: self.size, hash: leaf };
        store(node);
        while node.index % 2 == 1 {
            let left = self.peaks.pop().expect("an odd index has a left neighbour among the peaks");
            node = parent(&left, node);
            store(node);
        }
        self.peaks.push(node.hash);
        self.size += 1;
        Ok(())
    }

    /// Appends leaf hashes, as [`Frontier::append`] does one after the other, at less cost: each level's nodes are made
    /// together. They go to `store` level by level, the leaves first.
    ///
    /// Of very many, some hundred at a time stay in the processor's caches.
    ///
    /// # Errors
    /// [`LogFull`], before anything is stored.
    pub fn extend(&mut self, leaves: &[Digest], mut store: impl FnMut(Node)) -> Result<(), LogFull> {
        let size = self.size.checked_add(leaves.len() as u64).ok_or(LogFull)?;
        let mut row = Cow::Borrowed(leaves);
        let mut first = self.size;
        let mut peaks = Vec::new();
        for level in 0.. {
            if row.is_empty() {
                break;
            }
            (first..).zip(row.iter()).for_each(|(index, hash)| store(Node { level, index, hash: *hash }));
            if first % 2 == 1 {
                let left = self.peaks.pop().expect("an odd index has a left neighbour among the peaks");
                row.to_mut().insert(0, left);
            }
            if row.len() % 2 == 1 {
                peaks.extend(row.last());
            }
            row = Cow::Owned(node_hashes(&row));
            first /= 2;
        }
        self.peaks.extend(peaks.iter().rev());
        self.size = size;
        Ok(())
    }

    /// Root of the log so far; [`EMPTY_ROOT`] for no leaves.
    pub fn root(&self) -> Digest {
        let from_the_right = self.peaks.iter().rev().copied();
        from_the_right.reduce(|right, left| node_hash(&left, &right)).unwrap_or(EMPTY_ROOT)
    }

    /// Leaves so far.
    pub fn size(&self) -> TreeSize {
        TreeSize(self.size)
    }
}

fn parent(left: &Digest, right: Node) -> Node {
    Node { level: right.level + 1, index: right.index / 2, hash: node_hash(left, &right.hash) }
}

/// Hash over leaves `start..end`, where `start` is a multiple of a power of two that is no smaller than `end - start`,
/// and the range is not empty: the tree under a node at the right edge of a log of `end` leaves.
fn edge_root<R: NodeReader>(reader: &R, start: u64, end: u64) -> Result<Digest, R::Error> {
    let length = end - start;
    let mut hash = None;
    let mut rest = end;
    for level in (0..64).filter(|level| length >> level & 1 == 1) {
        let left = reader.node(level, (rest >> level) - 1)?;
        hash = Some(hash.map_or(left, |right| node_hash(&left, &right)));
        rest -= 1 << level;
    }
    Ok(hash.expect("the range is not empty"))
}
