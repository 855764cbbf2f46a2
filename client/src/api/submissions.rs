//! Submitting, and asking what became of it.

use pds_schemas::json::SubmissionStatus;
use pds_schemas::{Artefact, Digest, Upload};

use super::{ApiError, JSON_BYTES, ValidatorApi};
use crate::http::CBOR;

impl ValidatorApi {
    /// Hands in a submission, whose digest is `submission`. Doing so again changes nothing.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn submit(&self, upload: &Upload, submission: &Digest) -> Result<SubmissionStatus, ApiError> {
        let url = self.url("submissions");
        let bytes = self.http.post(&url, CBOR, upload.to_bytes(), JSON_BYTES).await?;
        let status = serde_json::from_slice(&bytes);
        let status = status.map_err(|source| ApiError::Json { url: url.to_string(), source })?;
        check_subject(status, submission, url)
    }

    /// What became of a submission so far.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn submission(&self, submission: &Digest) -> Result<SubmissionStatus, ApiError> {
        let path = format!("submissions/{submission}");
        check_subject(self.json(&path).await?, submission, self.url(&path))
    }
}

fn check_subject(
    status: SubmissionStatus,
    submission: &Digest,
    url: reqwest::Url,
) -> Result<SubmissionStatus, ApiError> {
    if status.submission == *submission {
        return Ok(status);
    }
    Err(ApiError::OtherSubject { url: url.into(), found: format!("submission {}", status.submission) })
}
