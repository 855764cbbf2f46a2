//! Why a well-formed submission is not taken.

use metrics::counter;
use pds_schemas::{Digest, PluginName, Release};

use crate::admission::Full;

/// Why a well-formed submission is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name has another owner.
    #[error("{0} belongs to another owner, whose record is {1}")]
    NotOwner(PluginName, Digest),
    /// Nobody has the name, and the owner record is not a first one.
    #[error("nobody has {0} yet, so the owner record must have sequence 0")]
    NotFirstOwner(PluginName),
    /// The release is not new.
    #[error(
        "release {found} of {name} is not above {highest}, the highest ever seen: submit it under a higher number"
    )]
    OldRelease {
        /// The name.
        name: PluginName,
        /// What was submitted.
        found: Release,
        /// The highest seen.
        highest: Release,
    },
    /// Too many wait.
    #[error(transparent)]
    QueueFull(#[from] Full),
    /// The disk is nearly full.
    #[error("the validator's disk is nearly full")]
    NoSpace,
    /// An earlier write failed.
    #[error("the validator stopped accepting and signing after a fault, and needs its operator")]
    Halted,
    /// The process is about to end.
    #[error("the validator is shutting down")]
    Finishing,
    /// The log is frozen, or about to be.
    #[error("this log is frozen: it has its last epoch, and takes no more submissions")]
    Frozen,
}

impl Refusal {
    /// Counts it in the metrics.
    pub fn count(&self) {
        counter!("pds_submissions_refused_total", "reason" => self.metric()).increment(1);
    }

    fn metric(&self) -> &'static str {
        match self {
            Self::NotOwner(..) | Self::NotFirstOwner(_) => "owner",
            Self::OldRelease { .. } => "release",
            Self::QueueFull(Full::All(_)) => "queue-full",
            Self::QueueFull(Full::Owner(_)) => "owner-queue-full",
            Self::QueueFull(Full::Client(_)) => "client-queue-full",
            Self::NoSpace => "no-space",
            Self::Halted => "halted",
            Self::Finishing => "finishing",
            Self::Frozen => "frozen",
        }
    }
}
