//! Names: evidence and history.

use pds_core::tlog_proof::{MAX_PROOF_BYTES, TlogProof};
use pds_schemas::{Digest, EpochNumber, Evidence, NameHistory, PluginName};

use super::{ApiError, ValidatorApi};

impl ValidatorApi {
    /// Evidence about a name, now or at an epoch; of its absence too.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn evidence(
        &self,
        name: &PluginName,
        epoch: Option<EpochNumber>,
    ) -> Result<Evidence, ApiError> {
        self.artefact(&evidence_path(name, epoch)).await
    }

    /// The same as a C2SP tlog-proof.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn tlog_proof(
        &self,
        name: &PluginName,
        epoch: Option<EpochNumber>,
    ) -> Result<TlogProof, ApiError> {
        let url = self.url(&evidence_path(name, epoch));
        let bytes = self.http.get(&url, Some("text/plain"), MAX_PROOF_BYTES).await?;
        TlogProof::parse(&bytes).map_err(|source| ApiError::TlogProof { url: url.into(), source })
    }

    /// A name's records, newest first, from the one of digest `from` on or from the latest.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn history(&self, name: &PluginName, from: Option<Digest>) -> Result<NameHistory, ApiError> {
        let query = from.map_or(String::new(), |from| format!("?from={from}"));
        self.artefact(&format!("plugins/{name}/history{query}")).await
    }
}

fn evidence_path(name: &PluginName, epoch: Option<EpochNumber>) -> String {
    let query = epoch.map_or(String::new(), |epoch| format!("?epoch={epoch}"));
    format!("plugins/{name}{query}")
}
