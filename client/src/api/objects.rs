//! What is asked for by its digest: whoever gives it, it is that or it is refused.

use pds_core::hash::sha256;
use pds_schemas::{Artefact, Binding, Digest, FailureCause, NameRecord, OwnerRecord, Policy};

use super::{ApiError, ValidatorApi};
use crate::http::CBOR;

const OCTETS: &str = "application/octet-stream";

impl ValidatorApi {
    /// A name record.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn record(&self, digest: &Digest) -> Result<NameRecord, ApiError> {
        self.addressed("records", digest, CBOR).await
    }

    /// A failure cause.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn cause(&self, digest: &Digest) -> Result<FailureCause, ApiError> {
        self.addressed("causes", digest, CBOR).await
    }

    /// A validator's policy.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn policy(&self, digest: &Digest) -> Result<Policy, ApiError> {
        self.addressed("policies", digest, CBOR).await
    }

    /// A binding.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn binding(&self, digest: &Digest) -> Result<Binding, ApiError> {
        self.addressed("bindings", digest, CBOR).await
    }

    /// An owner record.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn owner(&self, digest: &Digest) -> Result<OwnerRecord, ApiError> {
        self.addressed("objects", digest, OCTETS).await
    }

    /// Bytecode, a manifest or a build environment, at most `cap` bytes.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn object(&self, digest: &Digest, cap: usize) -> Result<Vec<u8>, ApiError> {
        self.bytes("objects", digest, OCTETS, cap).await
    }

    async fn addressed<T: Artefact>(
        &self,
        kind: &str,
        digest: &Digest,
        media_type: &'static str,
    ) -> Result<T, ApiError> {
        let bytes = self.bytes(kind, digest, media_type, T::MAX_BYTES).await?;
        let malformed =
            |cause| ApiError::Malformed { url: self.url(&format!("{kind}/{digest}")).into(), cause };
        T::from_bytes(&bytes).map_err(malformed)
    }

    async fn bytes(
        &self,
        kind: &str,
        digest: &Digest,
        media_type: &'static str,
        cap: usize,
    ) -> Result<Vec<u8>, ApiError> {
        let url = self.url(&format!("{kind}/{digest}"));
        let bytes = self.http.get(&url, Some(media_type), cap).await?;
        let found = sha256(&bytes);
        if found == *digest { Ok(bytes) } else { Err(ApiError::OtherBytes { url: url.into(), found }) }
    }
}
