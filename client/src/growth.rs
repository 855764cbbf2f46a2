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

/// How a log grew, and from which checkpoint that was proved.
#[derive(Clone, Debug)]
pub struct Grown {
    /// How it grew.
    pub growth: Growth,
    held: Option<SignedCheckpoint>,
}

/// Checks that the log of `offered`, whose signatures were verified, grew from the remembered head.
///
/// Remembers nothing: the caller does, with [`remember`], once all else that came with the checkpoint is verified.
///
/// # Errors
/// [`GrowthError`].
pub async fn check(
    api: &ValidatorApi,
    memory: &Memory,
    validator: &TrustedValidator,
    offered: &SignedCheckpoint,
) -> Result<Grown, GrowthError> {
    let Some(held) = memory.recall(validator)? else {
        return Ok(Grown { growth: Growth::FirstSeen, held: None });
    };
    let (from, to) = (held.checkpoint().size, offered.checkpoint().size);
    if from > to {
        return Err(GrowthError::Shrank { from, to, kept: memory.keep_conflict(&held, offered)? });
    }
    prove(api, memory, &held, offered).await?;
    let growth = if from == to { Growth::Same } else { Growth::Grew { from } };
    Ok(Grown { growth, held: Some(held) })
}

/// Remembers `offered`, from which all that came with it was verified, and of which `grown` was found.
///
/// Somebody else using the memory may have moved it on meanwhile: then the log must be one with that head too, so that
/// no two views of a log pass one beside the other.
///
/// # Errors
/// [`GrowthError`].
pub async fn remember(
    api: &ValidatorApi,
    memory: &Memory,
    validator: &TrustedValidator,
    offered: &SignedCheckpoint,
    grown: Grown,
) -> Result<(), GrowthError> {
    let mut proved = grown.held;
    while let Some(held) = memory.remember(validator, offered, proved.as_ref())? {
        prove(api, memory, &held, offered).await?;
        proved = Some(held);
    }
    Ok(())
}

/// Proves that the smaller of two checkpoints is one of the larger's history.
async fn prove(
    api: &ValidatorApi,
    memory: &Memory,
    held: &SignedCheckpoint,
    offered: &SignedCheckpoint,
) -> Result<(), GrowthError> {
    let (a, b) = (held.checkpoint(), offered.checkpoint());
    let (old, new) = if a.size <= b.size { (a, b) } else { (b, a) };
    let (from, to) = (old.size, new.size);
    let needs_proof = from < to && from.0 > 0;
    let hashes = if needs_proof { api.consistency(from, to).await?.hashes } else { Vec::new() };
    match verify_consistency(from, &old.root, to, &new.root, &hashes) {
        // Every log begins with the empty one.
        Ok(()) | Err(ConsistencyError::FromEmpty) => Ok(()),
        Err(ConsistencyError::TwoRoots { size }) => {
            Err(GrowthError::TwoRoots { size, kept: memory.keep_conflict(held, offered)? })
        }
        Err(cause) => {
            Err(GrowthError::NotProved { from, to, cause, kept: memory.keep_conflict(held, offered)? })
        }
    }
}
