//! Operations on the log: what any tlog-tiles log answers, and the STRs in a validator's.

use pds_core::cose;
use pds_core::hash::leaf_hash;
use pds_core::log::tile::{EntriesAddress, FULL_WIDTH, MAX_ENTRY_BYTES, TileAddress, tile_width_at};
use pds_schemas::cose::SignedKind;
use pds_schemas::{EpochNumber, SignedTreeRoot, limits};

use super::finding::{Finding, Trouble};
use super::random::Random;
use super::session::{Answered, Session};
use super::tiles::not_an_address;
use crate::trust::KnownValidator;

impl Session {
    /// [`super::Operation::Checkpoint`].
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn checkpoint(&self, answered: &mut Answered) -> Result<(), Trouble> {
        let before = self.view.newest();
        let note = answered.by(self.target.api.checkpoint()).await?;
        self.meet(note, before.as_deref()).await
    }

    /// [`super::Operation::Tile`]; an upper level about as often as a log has more tiles of it, but at least once in eight.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn tile(&self, random: &mut Random, answered: &mut Answered) -> Result<(), Trouble> {
        let head = self.head().await?;
        let size = head.checkpoint.size;
        if size.0 == 0 {
            return Ok(());
        }
        let leaf = random.below(size.0);
        let lowest = u8::from(random.below(8) == 0);
        let index = |level: u8| (leaf >> (8 * level)) / u64::from(FULL_WIDTH);
        let width = |level| tile_width_at(size, level, index(level)).map(|width| (level, width));
        // The upper tile above a leaf may not be there yet.
        let Some((level, width)) = width(lowest).or_else(|| width(0)) else { return Ok(()) };
        let address = TileAddress::new(level, index(level), width).map_err(not_an_address)?;
        let fetched = super::tiles::fetch(&self.target.api, level, address.index(), width);
        let found = answered.by(fetched).await?;
        self.view.tiles().check(&self.target.api, &head.edge, address, &found).await
    }

    /// [`super::Operation::Entries`].
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn entries(&self, random: &mut Random, answered: &mut Answered) -> Result<(), Trouble> {
        let head = self.head().await?;
        let size = head.checkpoint.size;
        let index = random.below(size.0) / u64::from(FULL_WIDTH);
        let Some(width) = tile_width_at(size, 0, index) else { return Ok(()) };
        let bundle = EntriesAddress::new(index, width).map_err(not_an_address)?;
        let is_validator = self.target.validator.is_some();
        let cap = if is_validator { limits::STR_BYTES } else { MAX_ENTRY_BYTES };
        let entries = match answered.by(self.target.api.bundle(bundle, cap)).await {
            // As with tiles: the full bundle has what the partial one had.
            Err(error) if error.is_not_found() && width < FULL_WIDTH => {
                let full = EntriesAddress::new(index, FULL_WIDTH).map_err(not_an_address)?;
                answered.by(self.target.api.bundle(full, cap)).await?
            }
            answer => answer?,
        };
        let tile = self.view.tiles().verified(&self.target.api, &head.edge, 0, index).await?;
        let differs = entries.iter().zip(tile.iter()).position(|(entry, hash)| leaf_hash(entry) != *hash);
        match differs.and_then(|at| bundle.leaves().nth(at)) {
            Some(index) => Err(Finding::Entry { bundle, index }.into()),
            None => Ok(()),
        }
    }

    /// [`super::Operation::Epoch`].
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn epoch(
        &self,
        known: &KnownValidator,
        random: &mut Random,
        answered: &mut Answered,
    ) -> Result<(), Trouble> {
        let head = self.head().await?;
        let epoch = EpochNumber(random.below(head.checkpoint.size.0));
        let entry = answered.by(self.target.api.signed_tree_root(epoch)).await?;
        let key = known.trusted.str_key().public_key();
        let str: SignedTreeRoot = cose::open(&entry, SignedKind::SignedTreeRoot, &key)
            .map_err(|cause| Finding::Str { epoch, cause })?;
        let width = u64::from(FULL_WIDTH);
        let tile = self.view.tiles().verified(&self.target.api, &head.edge, 0, epoch.0 / width).await?;
        let hash = usize::try_from(epoch.0 % width).ok().and_then(|at| tile.get(at));
        let is_it = str.epoch == epoch && str.origin == known.trusted.origin();
        if is_it && hash == Some(&leaf_hash(&entry)) { Ok(()) } else { Err(Finding::OtherStr(epoch).into()) }
    }
}
