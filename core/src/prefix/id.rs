//! Names of the pages that a prefix tree is stored in.
//!
//! Pure. A page's key begins with the epoch that wrote it, so one epoch's pages lie side by side, and a page is found
//! by an exact get because its parent names that epoch.

use std::fmt;

use pds_schemas::{Digest, EpochNumber};

/// Levels of the tree in one page; bits of a key that choose one of its 16 slots.
pub(super) const LEVELS: u8 = 4;
/// Depth of the deepest page.
pub(super) const MAX_DEPTH: u8 = 252;

/// Name of one page: the epoch that wrote it, and where in the tree its topmost node is.
///
/// Ordered as the bytes of [`PageId::to_key`] are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId {
    epoch: u32,
    depth: u8,
    // Zero beyond the first `depth` bits.
    prefix: Digest,
}

/// An epoch above 2^32 - 1: page keys have four bytes for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("epoch {0} does not fit the four bytes that page keys have for it")]
pub struct EpochTooLarge(pub EpochNumber);

/// Why bytes, or a depth and a prefix, name no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageIdError {
    /// The epoch has more than 32 bits.
    #[error(transparent)]
    Epoch(#[from] EpochTooLarge),
    /// Not a multiple of 4 from 0 to 252.
    #[error("page depth {0} is not a multiple of 4 up to 252")]
    Depth(u8),
    /// A one bit at or beyond the page's depth.
    #[error("the prefix of a page at depth {0} has bits beyond that depth")]
    PrefixBits(u8),
    /// A key whose length is not what its depth calls for.
    #[error("page key of {0} bytes")]
    Length(usize),
}

impl PageId {
    /// Names the page that `epoch` wrote for the node whose path from the root is the first `depth` bits of `prefix`.
    ///
    /// # Errors
    /// [`PageIdError`], all but `Length`.
    pub fn new(epoch: EpochNumber, depth: u8, prefix: Digest) -> Result<Self, PageIdError> {
        let epoch = page_epoch(epoch)?;
        if depth > MAX_DEPTH || !depth.is_multiple_of(LEVELS) {
            return Err(PageIdError::Depth(depth));
        }
        let id = Self { epoch, depth, prefix };
        let (whole, bits) = (usize::from(depth / 8), depth % 8);
        if prefix.0[whole] & (0xff >> bits) != 0 || prefix.0[whole + 1..].iter().any(|byte| *byte != 0) {
            return Err(PageIdError::PrefixBits(depth));
        }
        Ok(id)
    }

    /// The epoch that wrote the page.
    pub fn epoch(&self) -> EpochNumber {
        EpochNumber(self.epoch.into())
    }

    /// Depth of the page's topmost node in bits: 0, 4, 8 to 252.
    pub fn depth(&self) -> u8 {
        self.depth
    }

    /// Path from the root to the page's topmost node: the first [`PageId::depth`] bits; the rest are zero.
    pub fn prefix(&self) -> &Digest {
        &self.prefix
    }

    /// Key in a store: epoch (4 bytes, big-endian) ‖ depth (1 byte) ‖ prefix (as many bytes as hold `depth` bits).
    pub fn to_key(&self) -> Vec<u8> {
        let prefix = &self.prefix.0[..prefix_bytes(self.depth)];
        [&self.epoch.to_be_bytes()[..], &[self.depth], prefix].concat()
    }

    /// The page that `key` names; the only key that names it.
    ///
    /// # Errors
    /// [`PageIdError`], all but `Epoch`.
    pub fn from_key(key: &[u8]) -> Result<Self, PageIdError> {
        let Some((&[a, b, c, d, depth], prefix)) = key.split_first_chunk() else {
            return Err(PageIdError::Length(key.len()));
        };
        if prefix.len() != prefix_bytes(depth) {
            return Err(PageIdError::Length(key.len()));
        }
        let mut padded = Digest::ZERO;
        padded.0[..prefix.len()].copy_from_slice(prefix);
        Self::new(EpochNumber(u32::from_be_bytes([a, b, c, d]).into()), depth, padded)
    }

    /// First bytes of the keys of all pages that `epoch` wrote, and of no other.
    ///
    /// # Errors
    /// [`EpochTooLarge`].
    pub fn key_prefix(epoch: EpochNumber) -> Result<[u8; 4], EpochTooLarge> {
        page_epoch(epoch).map(u32::to_be_bytes)
    }

    pub(super) fn root(epoch: u32) -> Self {
        Self { epoch, depth: 0, prefix: Digest::ZERO }
    }

    /// The page below slot `nibble`, written by `epoch`. Pages at depth 252 have none: their decoder and the writer
    /// refuse what would need one.
    pub(super) fn child(&self, epoch: u32, nibble: usize) -> Self {
        let mut prefix = self.prefix;
        let shift = if self.depth.is_multiple_of(8) { 4 } else { 0 };
        prefix.0[usize::from(self.depth / 8)] |= (nibble as u8) << shift;
        Self { epoch, depth: self.depth + LEVELS, prefix }
    }

    /// The slot of this page that `key` belongs in.
    pub(super) fn nibble(&self, key: &Digest) -> usize {
        nibble(key, self.depth)
    }

    pub(super) fn raw_epoch(&self) -> u32 {
        self.epoch
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.depth / LEVELS);
        write!(f, "epoch {} depth {} prefix {:.digits$}", self.epoch, self.depth, self.prefix.to_string())
    }
}

impl fmt::Debug for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageId({self})")
    }
}

/// The four bits of `key` from bit `depth` on, which is a multiple of 4 up to 252.
pub(super) fn nibble(key: &Digest, depth: u8) -> usize {
    let byte = key.0[usize::from(depth / 8)];
    usize::from(if depth.is_multiple_of(8) { byte >> 4 } else { byte & 15 })
}

pub(super) fn page_epoch(epoch: EpochNumber) -> Result<u32, EpochTooLarge> {
    u32::try_from(epoch.0).map_err(|_| EpochTooLarge(epoch))
}

fn prefix_bytes(depth: u8) -> usize {
    usize::from(depth).div_ceil(8)
}
