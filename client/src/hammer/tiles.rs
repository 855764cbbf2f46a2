//! Tiles of a log, believed once they hash to a signed root.
//!
//! The partial tiles at the right edge of a log are all it takes to compute its root (each holds the complete subtrees
//! that one byte of the size stands for). A full tile hashes to one hash of the tile above it. So a head vouches for
//! every tile of its log, through as many tiles as the log has levels. Source: C2SP tlog-tiles.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pds_core::log::tile::{FULL_WIDTH, TileAddress, tile_root, tile_width_at};
use pds_core::log::{self, NodeReader};
use pds_schemas::{Digest, TreeSize};

use super::finding::{Finding, Trouble};
use crate::api::{ApiError, ValidatorApi};

/// Hashes of a tile.
pub type Hashes = Arc<[Digest]>;

/// Most tiles that are kept: 32 MiB of them.
const KEPT: usize = 4096;

/// Tile level that every log's edge has the whole of, if it has it.
const TOP_LEVEL: u8 = 7;

/// Full tiles that hash to the root of some head; of a log that only grows, all heads share them.
#[derive(Debug, Default)]
pub struct Tiles {
    kept: Mutex<BTreeMap<(u8, u64), Hashes>>,
}

/// The partial tiles at a log's right edge, by level and index, which hash to its root.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    size: TreeSize,
    tiles: BTreeMap<(u8, u64), Hashes>,
}

/// A node that no tile at hand has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingNode;

impl Edge {
    /// Fetches the edge of a log, and holds it against its root.
    ///
    /// # Errors
    /// [`Finding::Edge`], and what [`fetch`] has.
    pub async fn fetch(api: &ValidatorApi, size: TreeSize, root: &Digest) -> Result<Self, Trouble> {
        let mut tiles = BTreeMap::new();
        for (level, index, width) in partial_tiles(size) {
            tiles.insert((level, index), fetch(api, level, index, width).await?);
        }
        let edge = Self { size, tiles };
        if log::root(&edge, size) == Ok(*root) { Ok(edge) } else { Err(Finding::Edge { size }.into()) }
    }
}

impl NodeReader for Edge {
    type Error = MissingNode;

    fn node(&self, level: u8, index: u64) -> Result<Digest, MissingNode> {
        // The node is the root over 2^(level % 8) neighbouring hashes of a tile.
        let (tile_level, below) = (level / 8, u32::from(level % 8));
        let first = index.checked_shl(below).ok_or(MissingNode)?;
        let width = u64::from(FULL_WIDTH);
        let tile = self.tiles.get(&(tile_level, first / width)).ok_or(MissingNode)?;
        let at = usize::try_from(first % width).map_err(|_| MissingNode)?;
        tile.get(at..at + (1 << below)).map(tile_root).ok_or(MissingNode)
    }
}

impl Tiles {
    /// The root that a log of `size` entries has if it is the beginning of the log that `edge` is of.
    ///
    /// # Errors
    /// As [`Tiles::verified`].
    pub async fn root_of_beginning(
        &self,
        api: &ValidatorApi,
        edge: &Edge,
        size: TreeSize,
    ) -> Result<Digest, Trouble> {
        let mut beginning = Edge { size, tiles: BTreeMap::new() };
        for (level, index, _) in partial_tiles(size) {
            beginning.tiles.insert((level, index), self.verified(api, edge, level, index).await?);
        }
        // Only a server that has fewer entries than the edge could lack a node.
        log::root(&beginning, size).map_err(|MissingNode| Finding::Edge { size }.into())
    }

    /// A tile as wide as the log that `edge` is of has it, from memory if it is there.
    ///
    /// # Errors
    /// [`Finding::Tile`], and what [`fetch`] has.
    pub async fn verified(
        &self,
        api: &ValidatorApi,
        edge: &Edge,
        level: u8,
        index: u64,
    ) -> Result<Hashes, Trouble> {
        let mut missing = Vec::new();
        let (mut level, mut index) = (level, index);
        let mut hashes = loop {
            match self.at_hand(edge, level, index) {
                Some(hashes) => break hashes,
                None => missing.push((level, index)),
            }
            if level >= TOP_LEVEL {
                return Err(Finding::Edge { size: edge.size }.into());
            }
            (level, index) = (level + 1, index / u64::from(FULL_WIDTH));
        };
        while let Some((level, index)) = missing.pop() {
            let tile = fetch(api, level, index, FULL_WIDTH).await?;
            check_full(&hashes, level, index, &tile)?;
            self.keep(level, index, &tile);
            hashes = tile;
        }
        Ok(hashes)
    }

    /// Holds a tile that was fetched for its own sake against the log that `edge` is of.
    ///
    /// # Errors
    /// As [`Tiles::verified`].
    pub async fn check(
        &self,
        api: &ValidatorApi,
        edge: &Edge,
        address: TileAddress,
        found: &[Digest],
    ) -> Result<(), Trouble> {
        let (level, index) = (address.level(), address.index());
        if address.width() == FULL_WIDTH {
            let above = self.verified(api, edge, level + 1, index / u64::from(FULL_WIDTH)).await?;
            return check_full(&above, level, index, found);
        }
        let ours = self.verified(api, edge, level, index).await?;
        if ours.starts_with(found) { Ok(()) } else { Err(Finding::Tile(address).into()) }
    }

    /// What needs no request: the edge is at the top of every log.
    fn at_hand(&self, edge: &Edge, level: u8, index: u64) -> Option<Hashes> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&(level, index)).cloned();
        edge.tiles.get(&(level, index)).cloned().or_else(kept)
    }

    fn keep(&self, level: u8, index: u64, tile: &Hashes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            // The lowest level goes first: there are most of it.
            kept.pop_first();
        }
        kept.insert((level, index), Arc::clone(tile));
    }
}

/// A full tile hashes to its place in the tile above.
fn check_full(above: &[Digest], level: u8, index: u64, tile: &[Digest]) -> Result<(), Trouble> {
    let place = usize::try_from(index % u64::from(FULL_WIDTH)).ok().and_then(|at| above.get(at));
    if place == Some(&tile_root(tile)) {
        return Ok(());
    }
    let address = TileAddress::new(level, index, FULL_WIDTH).map_err(not_an_address)?;
    Err(Finding::Tile(address).into())
}

/// Level, index and width of the partial tiles of a log.
fn partial_tiles(size: TreeSize) -> impl Iterator<Item = (u8, u64, u16)> {
    (0..=TOP_LEVEL).filter_map(move |level| {
        let index = (size.0 >> (8 * level)) / u64::from(FULL_WIDTH);
        let width = tile_width_at(size, level, index)?;
        Some((level, index, width))
    })
}

/// A tile, of whose hashes nothing is known.
///
/// tlog-tiles: a server may delete a partial tile once the full one is there, which then has what it had.
///
/// # Errors
/// What the server answers.
pub async fn fetch(api: &ValidatorApi, level: u8, index: u64, width: u16) -> Result<Hashes, Trouble> {
    let address = |width| TileAddress::new(level, index, width).map_err(not_an_address);
    match api.tile(address(width)?).await {
        Err(error) if error.is_not_found() && width < FULL_WIDTH => {
            let full = api.tile(address(FULL_WIDTH)?).await?;
            Ok(full[..usize::from(width)].into())
        }
        answer => Ok(answer?.into()),
    }
}

/// Addresses here are computed from sizes, which have no other.
pub(super) fn not_an_address(source: pds_core::log::tile::TileError) -> Trouble {
    Finding::Answer(ApiError::Tile { url: String::new(), source }).into()
}
