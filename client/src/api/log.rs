//! The log: checkpoint, tiles, bundles, proofs. Paths are C2SP tlog-tiles'.

use pds_core::log::tile::{EntriesAddress, TileAddress, decode_entries, decode_tile};
use pds_core::note::Note;
use pds_schemas::json::LogProof;
use pds_schemas::{Digest, EpochNumber, TreeSize, limits};

use super::{ApiError, ValidatorApi};

impl ValidatorApi {
    /// The latest checkpoint with all its signatures, none of them verified.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn checkpoint(&self) -> Result<Note, ApiError> {
        let url = self.url("checkpoint");
        let bytes = self.http.get(&url, None, limits::NOTE_BYTES).await?;
        Note::parse(&bytes).map_err(|source| ApiError::Note { url: url.into(), source })
    }

    /// The hashes of a tile.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn tile(&self, address: TileAddress) -> Result<Vec<Digest>, ApiError> {
        let url = self.url(&address.to_string());
        let bytes = self.http.get(&url, None, usize::from(address.width()) * 32).await?;
        decode_tile(&bytes, address.width()).map_err(|source| ApiError::Tile { url: url.into(), source })
    }

    /// The entries of a bundle: STRs as COSE_Sign1.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn entries(&self, address: EntriesAddress) -> Result<Vec<Vec<u8>>, ApiError> {
        self.bundle(address, limits::STR_BYTES).await
    }

    /// The entries of any log's bundle, at most `entry_cap` bytes each on average.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn bundle(&self, address: EntriesAddress, entry_cap: usize) -> Result<Vec<Vec<u8>>, ApiError> {
        let url = self.url(&address.to_string());
        let cap = usize::from(address.width()) * (entry_cap + 2);
        let bytes = self.http.get(&url, None, cap).await?;
        match decode_entries(&bytes, address.width()) {
            Ok(entries) => Ok(entries.into_iter().map(<[u8]>::to_vec).collect()),
            Err(source) => Err(ApiError::Tile { url: url.into(), source }),
        }
    }

    /// Proof that entry `leaf` is in the log of `size` entries.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn inclusion(&self, leaf: EpochNumber, size: TreeSize) -> Result<LogProof, ApiError> {
        self.json(&format!("proofs/inclusion?leaf={leaf}&size={size}")).await
    }

    /// Proof that the log of `to` entries begins with that of `from` entries.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn consistency(&self, from: TreeSize, to: TreeSize) -> Result<LogProof, ApiError> {
        self.json(&format!("proofs/consistency?from={from}&to={to}")).await
    }
}
