//! Whether a log only grew since it was last seen.
//!
//! What a log's own key signed and what contradicts it are kept: two roots of one size are proof of a split view that a
//! stranger can check. A head older than the remembered one is a rollback of this server, and maybe no more than that.

use std::path::PathBuf;

use pds_core::checkpoint::SignedCheckpoint;
use pds_core::evidence::TrustedValidator;
use pds_core::log::proof::{ConsistencyError, verify_consistency};
use pds_schemas::TreeSize;

use crate::api::{ApiError, ValidatorApi};
use crate::state::{Memory, StateError};

/// How a checkpoint relates to the remembered one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Nothing was remembered.
    FirstSeen,
    /// The same head.
    Same,
    /// Grown from this size, which was proved.
    Grew {
        /// Size remembered.
        from: TreeSize,
    },
}

/// Why growth is not shown.
#[derive(Debug, thiserror::Error)]
pub enum GrowthError {
    /// Proof that the log shows two histories.
    #[error(
        "SPLIT VIEW: the log signed two different roots of {size} epochs; both checkpoints are kept in {}",
        kept.display()
    )]
    TwoRoots {
        /// Size of both.
        size: TreeSize,
        /// Where both are.
        kept: PathBuf,
    },
    /// The server shows an older head than the one remembered.
    #[error(
        "ROLLBACK: a head of {to} epochs is offered, {from} epochs were seen before; both checkpoints are kept in {}",
        kept.display()
    )]
    Shrank {
        /// Size remembered.
        from: TreeSize,
        /// Size offered.
        to: TreeSize,
        /// Where both are.
        kept: PathBuf,
    },
    /// The server's proof does not lead from the remembered head to the offered one.
    #[error(
        "growth from {from} to {to} epochs is not proved ({cause}); both checkpoints are kept in {}",
        kept.display()
    )]
    NotProved {
        /// Size remembered.
        from: TreeSize,
        /// Size offered.
        to: TreeSize,
        /// What is wrong with the proof.
        cause: ConsistencyError,
        /// Where both checkpoints are.
        kept: PathBuf,
    },
    /// The proof could not be had.
    #[error("ask for the consistency proof")]
    Api(#[from] ApiError),
    /// Memory fails.
    #[error("remembered state")]
    State(#[from] StateError),
}

/// Checks that the log of `offered`, whose signatures were verified, grew from the remembered head.
///
/// Remembers nothing: the caller does, once all else that came with the checkpoint is verified.
///
/// # Errors
/// [`GrowthError`].
pub async fn check(
    api: &ValidatorApi,
    memory: &Memory,
    validator: &TrustedValidator,
    offered: &SignedCheckpoint,
) -> Result<Growth, GrowthError> {
    let Some(held) = memory.recall(validator)? else { return Ok(Growth::FirstSeen) };
    let (old, new) = (held.checkpoint(), offered.checkpoint());
    let (from, to) = (old.size, new.size);
    let needs_proof = from < to && from.0 > 0;
    let hashes = if needs_proof { api.consistency(from, to).await?.hashes } else { Vec::new() };
    match verify_consistency(from, &old.root, to, &new.root, &hashes) {
        Ok(()) if from == to => Ok(Growth::Same),
        // Every log begins with the empty one.
        Ok(()) | Err(ConsistencyError::FromEmpty) => Ok(Growth::Grew { from }),
        Err(ConsistencyError::TwoRoots { size }) => {
            Err(GrowthError::TwoRoots { size, kept: memory.keep_conflict(&held, offered)? })
        }
        Err(ConsistencyError::Shrank { .. }) => {
            Err(GrowthError::Shrank { from, to, kept: memory.keep_conflict(&held, offered)? })
        }
        Err(cause) => {
            Err(GrowthError::NotProved { from, to, cause, kept: memory.keep_conflict(&held, offered)? })
        }
    }
}
