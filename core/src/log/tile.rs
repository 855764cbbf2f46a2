//! Tiles and entry bundles: which there are, how they are named, what is in them.
//!
//! Pure. Source: C2SP tlog-tiles. A tile is up to 256 neighbouring nodes of one level, that level being a multiple of 8;
//! its hash, once it is full, is a node of the next tile level. Out of scope: serving, fetching, compression.

use std::fmt;
use std::str::FromStr;

use pds_schemas::{Digest, TreeSize};

use super::EMPTY_ROOT;
use crate::canonical;
use crate::hash::node_hashes;

/// Hashes in a full tile, and entries in a full bundle.
pub const FULL_WIDTH: u16 = 256;
/// Highest tile level that has a name.
pub const MAX_LEVEL: u8 = 63;
/// Highest index at any level: the tile of the last leaf that a log of 2^64 - 1 leaves has.
pub const MAX_INDEX: u64 = u64::MAX >> 8;
/// Most bytes in one entry of a bundle, whose length has 16 bits.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;

/// Why something is no tile, bundle, or name of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// A path that is not the one path of any tile or bundle.
    #[error("not a path as tlog-tiles writes it: tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]")]
    Path,
    /// A level over [`MAX_LEVEL`].
    #[error("tile level {0} is over {MAX_LEVEL}")]
    Level(u8),
    /// An index over [`MAX_INDEX`].
    #[error("tile index {0} is over {MAX_INDEX}")]
    Index(u64),
    /// A width that is not 1 to 256.
    #[error("tile width {0} is not 1 to {FULL_WIDTH}")]
    Width(u16),
    /// Tile bytes of another length than 32 a hash.
    #[error("a tile of width {width} has {found} bytes")]
    TileLength {
        /// Hashes it should have.
        width: u16,
        /// Bytes it has.
        found: usize,
    },
    /// A bundle that ends inside an entry or its length.
    #[error("entry bundle ends inside entry {entry}")]
    BundleTruncated {
        /// Position in the bundle, from 0.
        entry: u16,
    },
    /// A bundle with bytes after its last entry.
    #[error("entry bundle has {0} bytes too many")]
    BundleTrailing(usize),
    /// An entry over [`MAX_ENTRY_BYTES`].
    #[error("an entry of {0} bytes does not fit a bundle")]
    EntryTooLong(usize),
}

/// Position of a tile of hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileAddress {
    level: u8,
    span: Span,
}

/// Position of a bundle of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntriesAddress {
    span: Span,
}

/// Index and width, which tiles and bundles write alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Span {
    index: u64,
    width: u16,
}

impl TileAddress {
    /// A tile's address: its level, its index in that level, and how many hashes it has.
    ///
    /// # Errors
    /// [`TileError::Level`], [`TileError::Index`], [`TileError::Width`].
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        if level > MAX_LEVEL {
            return Err(TileError::Level(level));
        }
        Ok(Self { level, span: Span::new(index, width)? })
    }

    /// Tile level: 0 to 63. The tile's nodes are at level `8 * level` of the tree.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Position among the tiles of its level.
    pub fn index(&self) -> u64 {
        self.span.index
    }

    /// Hashes in it: 1 to 256, where 256 is a full tile.
    pub fn width(&self) -> u16 {
        self.span.width
    }

    /// Level and index of the tree nodes that are this tile's hashes, in order; none at a level that no tree reaches.
    pub fn nodes(&self) -> impl Iterator<Item = (u8, u64)> + use<> {
        let level = self.level.checked_mul(8).filter(|level| *level < 64);
        let first = self.span.index * u64::from(FULL_WIDTH);
        let width = u64::from(self.span.width);
        level.into_iter().flat_map(move |level| (0..width).map(move |i| (level, first + i)))
    }

    /// Whether a log of `size` leaves has all of this tile's hashes, be the tile partial or full by now.
    pub fn is_within(&self, size: TreeSize) -> bool {
        tile_width_at(size, self.level, self.span.index).is_some_and(|width| self.span.width <= width)
    }
}

impl EntriesAddress {
    /// A bundle's address: its index, and how many entries it has.
    ///
    /// # Errors
    /// [`TileError::Index`], [`TileError::Width`].
    pub fn new(index: u64, width: u16) -> Result<Self, TileError> {
        Ok(Self { span: Span::new(index, width)? })
    }

    /// Position among the bundles; its first entry is leaf `256 * index`.
    pub fn index(&self) -> u64 {
        self.span.index
    }

    /// Entries in it: 1 to 256, where 256 is a full bundle.
    pub fn width(&self) -> u16 {
        self.span.width
    }

    /// Indices of the log's leaves whose entries are in this bundle, in order.
    pub fn leaves(&self) -> impl Iterator<Item = u64> + use<> {
        let first = self.span.index * u64::from(FULL_WIDTH);
        (0..u64::from(self.span.width)).map(move |i| first + i)
    }

    /// Whether a log of `size` leaves has all of this bundle's entries.
    pub fn is_within(&self, size: TreeSize) -> bool {
        tile_width_at(size, 0, self.span.index).is_some_and(|width| self.span.width <= width)
    }
}

/// Width of the tile at `level` and `index` in a log of `size` leaves; `None` when it would be empty.
///
/// Bundles are as wide as the tiles of level 0.
pub fn tile_width_at(size: TreeSize, level: u8, index: u64) -> Option<u16> {
    let hashes = hashes_at(size, level);
    let full = hashes / u64::from(FULL_WIDTH);
    let partial = u16::try_from(hashes % u64::from(FULL_WIDTH)).expect("less than 256");
    match index {
        _ if index < full => Some(FULL_WIDTH),
        _ if index == full && partial > 0 => Some(partial),
        _ => None,
    }
}

/// The tiles that a log of `to` leaves has and that it had not, or not as wide, at `from` leaves; lowest level first.
///
/// From size 0, every tile of a log.
pub fn tiles_between(from: TreeSize, to: TreeSize) -> impl Iterator<Item = TileAddress> {
    let levels = (0..=7).take_while(move |level| hashes_at(to, *level) > 0);
    levels.flat_map(move |level| {
        let (before, after) = (hashes_at(from, level), hashes_at(to, level));
        let width = u64::from(FULL_WIDTH);
        let changed = if before < after { before / width..after.div_ceil(width) } else { 0..0 };
        changed.map(move |index| TileAddress {
            level,
            span: Span { index, width: tile_width_at(to, level, index).expect("the log has this tile") },
        })
    })
}

/// The RFC 6962 hash over hashes of equal subtrees side by side: of a full tile, the node that stands for it one tile
/// level up.
pub fn tile_root(hashes: &[Digest]) -> Digest {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        let lifted = row.last().copied().filter(|_| row.len() % 2 == 1);
        row = node_hashes(&row);
        row.extend(lifted);
    }
    row.first().copied().unwrap_or(EMPTY_ROOT)
}

/// The bytes of a tile: its hashes one after the other.
pub fn encode_tile(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The hashes of a tile that has `width` of them.
///
/// # Errors
/// [`TileError::TileLength`].
pub fn decode_tile(bytes: &[u8], width: u16) -> Result<Vec<Digest>, TileError> {
    let (hashes, rest) = bytes.as_chunks();
    if hashes.len() != usize::from(width) || !rest.is_empty() {
        return Err(TileError::TileLength { width, found: bytes.len() });
    }
    Ok(hashes.iter().copied().map(Digest).collect())
}

/// The bytes of a bundle: each entry after its length, 16 bits big-endian.
///
/// # Errors
/// [`TileError::EntryTooLong`].
pub fn encode_entries<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, TileError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_| TileError::EntryTooLong(entry.len()))?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle that has `width` of them.
///
/// # Errors
/// [`TileError::BundleTruncated`], [`TileError::BundleTrailing`], [`TileError::Width`].
pub fn decode_entries(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    Span::new(0, width)?;
    let mut rest = bytes;
    let mut entries = Vec::with_capacity(usize::from(width));
    for entry in 0..width {
        let truncated = TileError::BundleTruncated { entry };
        let (length, after) = rest.split_first_chunk().ok_or(truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (bytes, after) = after.split_at_checked(length).ok_or(truncated)?;
        entries.push(bytes);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(TileError::BundleTrailing(rest.len())) }
}

impl fmt::Display for TileAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/{}", self.level, self.span)
    }
}

impl fmt::Display for EntriesAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/entries/{}", self.span)
    }
}

impl FromStr for TileAddress {
    type Err = TileError;

    /// Reads `tile/<L>/<N>[.p/<W>]`, the part of a URL after the log's prefix.
    fn from_str(path: &str) -> Result<Self, TileError> {
        let (level, span) =
            path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(TileError::Path)?;
        let level = canonical::decimal(level).and_then(|l| u8::try_from(l).ok()).ok_or(TileError::Path)?;
        if level > MAX_LEVEL {
            return Err(TileError::Level(level));
        }
        Ok(Self { level, span: span.parse()? })
    }
}

impl FromStr for EntriesAddress {
    type Err = TileError;

    /// Reads `tile/entries/<N>[.p/<W>]`, the part of a URL after the log's prefix.
    fn from_str(path: &str) -> Result<Self, TileError> {
        let span = path.strip_prefix("tile/entries/").ok_or(TileError::Path)?;
        Ok(Self { span: span.parse()? })
    }
}

impl Span {
    fn new(index: u64, width: u16) -> Result<Self, TileError> {
        if index > MAX_INDEX {
            return Err(TileError::Index(index));
        }
        if width == 0 || width > FULL_WIDTH {
            return Err(TileError::Width(width));
        }
        Ok(Self { index, width })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.index.to_string();
        let padded = format!("{:0>1$}", digits, digits.len().next_multiple_of(3));
        let groups: Vec<&str> = (0..padded.len()).step_by(3).map(|at| &padded[at..at + 3]).collect();
        let (last, first) = groups.split_last().expect("a number has a digit");
        for group in first {
            write!(f, "x{group}/")?;
        }
        f.write_str(last)?;
        if self.width < FULL_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for Span {
    type Err = TileError;

    fn from_str(text: &str) -> Result<Self, TileError> {
        let (groups, width) = match text.split_once(".p/") {
            Some((groups, width)) => (groups, canonical::decimal(width).ok_or(TileError::Path)?),
            None => (text, u64::from(FULL_WIDTH)),
        };
        let width = u16::try_from(width).map_err(|_| TileError::Path)?;
        let mut index: u64 = 0;
        for group in groups.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            let three = digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
            let group: u64 = digits.parse().ok().filter(|_| three).ok_or(TileError::Path)?;
            index = index.checked_mul(1000).and_then(|i| i.checked_add(group)).ok_or(TileError::Path)?;
        }
        let span = Self::new(index, width)?;
        // What is left to check, such as which groups have an x and that none is superfluous, is that this is the one form.
        if span.to_string() == text { Ok(span) } else { Err(TileError::Path) }
    }
}

/// Hashes at a tile level, full and partial tiles together.
fn hashes_at(size: TreeSize, level: u8) -> u64 {
    size.0.checked_shr(8 * u32::from(level)).unwrap_or(0)
}
