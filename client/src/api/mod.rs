//! A validator's HTTP interface, call by call, typed.
//!
//! What comes back is well formed and within its bounds, and what was asked for by digest has that digest. More than that
//! is not known of it: signatures and proofs are for [`crate::fetch`] and [`crate::audit`] to check.

mod epochs;
mod log;
mod names;
mod objects;
mod submissions;

use pds_core::checkpoint::CheckpointError;
use pds_core::log::tile::TileError;
use pds_core::note::NoteError;
use pds_core::tlog_proof::TlogProofError;
use pds_schemas::{Artefact, DecodeError, Digest};
use reqwest::Url;
use serde::de::DeserializeOwned;

use crate::http::{self, CBOR, Http, HttpError, JSON};

/// Most bytes of a JSON answer: a proof of 65 hashes, or a submission's status.
const JSON_BYTES: usize = 32 << 10;

/// One validator, at one URL.
#[derive(Clone, Debug)]
pub struct ValidatorApi {
    http: Http,
    base: Url,
}

/// Why a call gave nothing to use.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer, or none that is read.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer is not the artefact asked for.
    #[error("{url}: {cause}")]
    Malformed {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        cause: DecodeError,
    },
    /// The answer is not the JSON asked for.
    #[error("{url}")]
    Json {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        source: serde_json::Error,
    },
    /// The answer is no signed note.
    #[error("{url}")]
    Note {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        source: NoteError,
    },
    /// The answer is no checkpoint.
    #[error("{url}")]
    Checkpoint {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        source: CheckpointError,
    },
    /// The answer is no tile or bundle of the width asked for.
    #[error("{url}")]
    Tile {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        source: TileError,
    },
    /// The answer is no tlog-proof.
    #[error("{url}")]
    TlogProof {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        source: TlogProofError,
    },
    /// The answer is about something else than was asked for.
    #[error("{url} answers about something else: {found}")]
    OtherSubject {
        /// What was asked for.
        url: String,
        /// What it is about.
        found: String,
    },
    /// The bytes do not have the digest they were asked for by.
    #[error("{url} answers with bytes that hash to {found}")]
    OtherBytes {
        /// What was asked for.
        url: String,
        /// SHA-256 of the answer.
        found: Digest,
    },
}

impl ApiError {
    /// Whether the server said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Http(e) if matches!(e.status(), Some(404 | 410)))
    }

    /// Whether the server looked at what it was asked and said no.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Http(e) if e.is_refusal())
    }

    /// Whether the server answered, with what no honest server answers.
    pub fn is_nonsense(&self) -> bool {
        match self {
            Self::Http(e) => e.is_nonsense(),
            _ => true,
        }
    }
}

impl ValidatorApi {
    /// The validator at `base`, e.g. `http://127.0.0.1:7400`.
    ///
    /// # Errors
    /// [`HttpError::Url`].
    pub fn new(http: Http, base: &str) -> Result<Self, HttpError> {
        Ok(Self { http, base: http::parse_base(base)? })
    }

    /// Where it is.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The URL of `path`, which is made of digests, numbers and checked names only.
    fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("a relative path of plain characters joins any base")
    }

    async fn artefact<T: Artefact>(&self, path: &str) -> Result<T, ApiError> {
        let url = self.url(path);
        let bytes = self.http.get(&url, Some(CBOR), T::MAX_BYTES).await?;
        T::from_bytes(&bytes).map_err(|cause| ApiError::Malformed { url: url.into(), cause })
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let url = self.url(path);
        let bytes = self.http.get(&url, Some(JSON), JSON_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|source| ApiError::Json { url: url.into(), source })
    }
}
