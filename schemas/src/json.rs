//! JSON answers of a validator. For people and scripts: nothing here is signed but what the receipt carries.

use serde::{Deserialize, Serialize};

use crate::{Digest, EpochNumber, PluginName, Release};

/// How far a submission got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Accepted durably; its turn has not come.
    Queued,
    /// Being rebuilt and verified.
    Building,
    /// Accepted by the policy; waits for the epoch to close.
    Verified,
    /// Refused by the policy; waits for the epoch to close.
    Failed,
    /// In a signed epoch; `outcome` says how.
    Published,
}

/// What a validation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The policy's acceptance expression holds.
    Validated,
    /// It does not; the cause says why.
    Failed,
}

/// Answer of `POST /submissions` and `GET /submissions/{hash}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmissionStatus {
    /// SHA-256 of the submission, hex.
    pub submission: Digest,
    /// The plugin's name.
    pub name: PluginName,
    /// The submitted release.
    pub release: Release,
    /// Place in the queue.
    pub index: u64,
    /// How far it got.
    pub progress: Progress,
    /// Set from `verified` or `failed` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The epoch that covers the decision, once published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<EpochNumber>,
    /// SHA-256 of the failure cause, once published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Digest>,
    /// Standard base64 of the signed receipt, a COSE_Sign1.
    pub receipt: String,
}

/// An RFC 9457 problem: every error answer of a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A short stable name, e.g. `archive-too-large`, as a relative URI.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request, and how to mend it.
    pub detail: String,
    /// The field or parameter that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The limit that was exceeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Answer of `GET /proofs/inclusion` and `GET /proofs/consistency`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogProof {
    /// Hashes in the order of RFC 6962, hex.
    pub hashes: Vec<Digest>,
}
