//! What a check finds.

use std::fmt;

use pds_core::checkpoint::CheckpointError;
use pds_core::cose::CoseError;
use pds_core::prefix::{PageError, ReadError, RecomputeError, TransitionError};

use crate::{Damage, Place, StoreError};

/// One thing that is wrong, and where.
#[derive(Debug)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// What can be wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// What is stored there is not what was stored there.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// RocksDB does not give it out; with a block, all keys in it are affected.
    #[error("cannot be read: {}", cause(.0))]
    Unreadable(#[source] StoreError),
    /// It is not there, and is named elsewhere.
    #[error("is missing, and {0} names it")]
    Unresolved(Place),
    /// Nothing is ever stored under this key.
    #[error("has a key that nothing has")]
    Key,
    /// The head does not cover it.
    #[error("is beyond the head")]
    Beyond,
    /// The head does not cover it, which is no damage: the process ended within an epoch, and the next start drops it.
    #[error("is left from an unfinished epoch; the next start drops it")]
    Unfinished,
    /// An STR, submission or receipt that is not signed as it should be.
    #[error(transparent)]
    Signature(#[from] CoseError),
    /// The head's checkpoint is not signed as it should be.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// An epoch's changes do not lead from the STR before to its own.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// A page is no page.
    #[error(transparent)]
    Page(#[from] PageError),
    /// An epoch's pages are not one tree's.
    #[error(transparent)]
    Pages(#[from] RecomputeError),
    /// The last tree cannot be walked.
    #[error("the last tree is not whole: {0}")]
    Tree(#[source] ReadError<StoreError>),
    /// It contradicts something else; the text says what.
    #[error("{0}")]
    Rule(&'static str),
}

/// What RocksDB says, rather than what we were doing.
fn cause(error: &StoreError) -> &dyn fmt::Display {
    match error {
        StoreError::Database { source, .. } => source,
        other => other,
    }
}
