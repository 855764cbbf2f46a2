//! Epochs: signed tree roots and what changed.

use pds_schemas::{EpochNumber, Transition, limits};

use super::{ApiError, ValidatorApi};

/// Media type of a COSE_Sign1.
const COSE: &str = "application/cose";

impl ValidatorApi {
    /// The STR of an epoch, a COSE_Sign1.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn signed_tree_root(&self, epoch: EpochNumber) -> Result<Vec<u8>, ApiError> {
        Ok(self.http.get(&self.url(&format!("epochs/{epoch}")), Some(COSE), limits::STR_BYTES).await?)
    }

    /// The STR of the latest epoch, a COSE_Sign1.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn latest_signed_tree_root(&self) -> Result<Vec<u8>, ApiError> {
        Ok(self.http.get(&self.url("epochs/latest"), Some(COSE), limits::STR_BYTES).await?)
    }

    /// What changed in an epoch.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn changes(&self, epoch: EpochNumber) -> Result<Transition, ApiError> {
        self.artefact(&format!("epochs/{epoch}/changes")).await
    }
}
