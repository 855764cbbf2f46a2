//! What goes wrong: answers that no honest server gives, and those that a loaded or stopped one may.

use std::fmt;
use std::time::Duration;

use pds_core::checkpoint::CheckpointError;
use pds_core::cose::CoseError;
use pds_core::evidence::EvidenceError;
use pds_core::log::tile::{EntriesAddress, TileAddress};
use pds_core::tlog_policy::EvaluationError;
use pds_schemas::{Digest, EpochNumber, PluginName, PosixTime, Release, TreeSize};

use super::run::HammerError;
use super::view::Contradiction;
use crate::api::ApiError;
use crate::http::HttpError;
use crate::submit::ReceiptError;

/// What no honest server answers.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    /// What must be there is not, or is nonsense.
    #[error("withheld or malformed: {0}")]
    Answer(ApiError),
    /// A checkpoint that the log did not sign, or of another log.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint that does not hold under the trust policy.
    #[error("checkpoint: {0}")]
    Policy(#[from] EvaluationError),
    /// A checkpoint with too few witnesses.
    #[error("{counted} of {known} witnesses cosigned the checkpoint in time, which is no quorum")]
    NoQuorum {
        /// How many counted.
        counted: usize,
        /// How many the policy knows.
        known: usize,
    },
    /// Signed checkpoints that cannot both be of one growing log.
    #[error(transparent)]
    Contradiction(Box<Contradiction>),
    /// Tiles at the log's right edge that do not hash to the signed root.
    #[error("the tiles at the edge of {size} entries do not hash to the signed root")]
    Edge {
        /// Entries.
        size: TreeSize,
    },
    /// A tile that is not the one under the signed root.
    #[error("{0} does not hash to the signed root")]
    Tile(TileAddress),
    /// An entry that is not the one under the signed root.
    #[error("entry {index} in {bundle} is not the one that its tile has")]
    Entry {
        /// The bundle.
        bundle: EntriesAddress,
        /// Index of the entry in the log.
        index: u64,
    },
    /// An STR that the validator did not sign.
    #[error("the STR of epoch {epoch}: {cause}")]
    Str {
        /// The epoch.
        epoch: EpochNumber,
        /// What is wrong.
        cause: CoseError,
    },
    /// An STR that is not the log's entry of its epoch.
    #[error("the STR served for epoch {0} is not the log's entry, or is of another epoch or origin")]
    OtherStr(EpochNumber),
    /// Evidence that proves nothing.
    #[error("the evidence about {name} does not hold: {cause}")]
    Evidence {
        /// The name asked for.
        name: PluginName,
        /// What is wrong.
        cause: EvidenceError,
    },
    /// Evidence of another epoch than was asked for, or of the past for now.
    #[error("the evidence about {name} is of epoch {found}, {}", asked.map_or("now was asked for".to_owned(), |e| format!("{e} was asked for")))]
    OtherEpoch {
        /// The name.
        name: PluginName,
        /// What was asked for; `None` is now.
        asked: Option<EpochNumber>,
        /// What came.
        found: EpochNumber,
    },
    /// A name that was there, and is proved not to have been. Leaves never leave the tree.
    #[error("{name} is absent in epoch {epoch}, and was there before")]
    Vanished {
        /// The name.
        name: PluginName,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// A name at random that is there.
    #[error("{0}, which nobody submitted, is there")]
    Appeared(PluginName),
    /// A name whose highest release fell from one epoch to a later one.
    #[error("{name} had release {earlier} in epoch {first}, and has only {later} in epoch {second}")]
    Receded {
        /// The name.
        name: PluginName,
        /// The earlier epoch.
        first: EpochNumber,
        /// Highest release then.
        earlier: Release,
        /// The later epoch.
        second: EpochNumber,
        /// Highest release then.
        later: Release,
    },
    /// A history that is no chain of one name's records.
    #[error("the history of {name}: {rule}")]
    History {
        /// The name.
        name: PluginName,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A receipt that promises nothing, or something else.
    #[error("the receipt of submission {submission}: {cause}")]
    Receipt {
        /// The submission.
        submission: Digest,
        /// What is wrong.
        cause: ReceiptError,
    },
    /// A receipt other than the one that was given before.
    #[error("submission {0} has another receipt than it was acknowledged with")]
    OtherReceipt(Digest),
    /// One place in the queue, given to two.
    #[error("submissions {first} and {second} were both given place {index}")]
    PlaceTwice {
        /// The place.
        index: u64,
        /// Whose it was.
        first: Digest,
        /// Who got it too.
        second: Digest,
    },
    /// An acknowledged submission that the server does not know.
    #[error("submission {0} was acknowledged, and is lost")]
    Lost(Digest),
    /// A broken promise.
    #[error(
        "{name} {release} was to be decided by {decide_by}, and is undecided in epoch {epoch}, of {time}"
    )]
    Late {
        /// The name.
        name: PluginName,
        /// The release.
        release: Release,
        /// The promise.
        decide_by: PosixTime,
        /// An epoch in which it is undecided.
        epoch: EpochNumber,
        /// That epoch's time.
        time: PosixTime,
    },
    /// A decision that is told, and not in the epoch that it is said to be in.
    #[error("{name} {release} is said to be decided in epoch {epoch}; the evidence says otherwise: {rule}")]
    Outcome {
        /// The name.
        name: PluginName,
        /// The release.
        release: Release,
        /// The epoch.
        epoch: EpochNumber,
        /// What is wrong.
        rule: &'static str,
    },
}

/// Why an operation has no answer that holds.
#[derive(Debug)]
pub enum Trouble {
    /// The server is caught.
    Finding(Box<Finding>),
    /// Nothing can be told.
    Failure(Failure),
    /// The run cannot go on, and that is not the server's doing.
    End(HammerError),
}

/// An operation that failed as operations may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// How long a busy server asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// Kinds of failures, by which they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// No connection, or it broke.
    Connection,
    /// No answer in time.
    Timeout,
    /// 429 or 503: too busy.
    Refused(u16),
    /// Another status than 200, but 404, which is a finding; 410 is how a frozen log answers.
    Status(u16),
    /// Pointed elsewhere.
    Redirect,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str("connection"),
            Self::Timeout => f.write_str("timeout"),
            Self::Refused(status) => write!(f, "refused-{status}"),
            Self::Status(status) => write!(f, "status-{status}"),
            Self::Redirect => f.write_str("redirect"),
        }
    }
}

impl Finding {
    /// Signed statements that show it to a stranger.
    pub fn exhibits(&self) -> Vec<&str> {
        match self {
            Self::Contradiction(contradiction) => vec![&contradiction.held, &contradiction.offered],
            _ => Vec::new(),
        }
    }
}

impl From<Finding> for Trouble {
    fn from(finding: Finding) -> Self {
        Self::Finding(Box::new(finding))
    }
}

impl From<HammerError> for Trouble {
    fn from(error: HammerError) -> Self {
        Self::End(error)
    }
}

impl From<EvaluationError> for Trouble {
    fn from(error: EvaluationError) -> Self {
        Finding::from(error).into()
    }
}

impl From<ApiError> for Trouble {
    /// What was asked for is there on every honest server: that it is not found is a finding, as is nonsense.
    fn from(error: ApiError) -> Self {
        let kind = match &error {
            ApiError::Http(HttpError::Timeout(_)) => FailureKind::Timeout,
            ApiError::Http(HttpError::Redirect { .. }) => FailureKind::Redirect,
            ApiError::Http(http) => match http.status() {
                Some(404) => return Finding::Answer(error).into(),
                Some(status @ (429 | 503)) => FailureKind::Refused(status),
                Some(status) => FailureKind::Status(status),
                None if http.is_nonsense() => return Finding::Answer(error).into(),
                None => FailureKind::Connection,
            },
            _ => return Finding::Answer(error).into(),
        };
        let retry_after = if let ApiError::Http(http) = &error { http.retry_after() } else { None };
        Self::Failure(Failure { kind, retry_after })
    }
}
