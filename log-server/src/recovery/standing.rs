//! How a database stands to its guard: whether it may sign, and if not, why and what to do.

use std::path::{Path, PathBuf};

use pds_core::log;
use pds_schemas::disk::Head;
use pds_schemas::{Artefact, DecodeError, TreeSize};
use pds_service::guard::{Guard, GuardError};
use pds_store::{Store, StoreError};

/// How a database stands to its guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Both have the same head: it may sign.
    Equal,
    /// The last run ended between commit and guard: the guard's head is the one before the database's, on the same log.
    /// It may sign once the guard has moved.
    GuardOneBehind,
}

/// Why a database may not sign.
#[derive(Debug, thiserror::Error)]
pub enum MayNotSign {
    /// It is an old copy.
    #[error(
        "the database is behind the guard {}: {database} epochs, the guard says {guard} were signed. It was restored from an \
         old copy; signing on would show a second history. Restore the newest copy there is, and what is still missing with \
         `pds-log-server restore --from URL` from any server that has the rest of the log",
        path.display()
    )]
    Behind {
        /// The guard.
        path: PathBuf,
        /// Epochs of the database.
        database: TreeSize,
        /// Epochs that were signed.
        guard: TreeSize,
    },
    /// It does not follow on what was signed.
    #[error(
        "the guard {} holds a head of {guard} epochs that the database's {database} epochs do not follow on by one: one of \
         them is of another history, or of another validator",
        path.display()
    )]
    Apart {
        /// The guard.
        path: PathBuf,
        /// Epochs of the database.
        database: TreeSize,
        /// Epochs of the guard's head.
        guard: TreeSize,
    },
    /// The guard holds something that is no head.
    #[error("the guard {} is malformed: {source}", path.display())]
    Malformed {
        /// The guard.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// There is no guard.
    #[error(
        "there is no guard at {}. Run `pds-log-server init` for a new validator. If this one has signed before, find the \
         guard: without it, nothing shows that this database is not an old copy",
        .0.display()
    )]
    NoGuard(PathBuf),
    /// The guard cannot be used.
    #[error(transparent)]
    Guard(GuardError),
    /// The log in the database cannot be read.
    #[error("read log")]
    Log(#[from] StoreError),
}

/// Locks and reads the guard at `path`.
///
/// # Errors
/// [`MayNotSign::NoGuard`], [`MayNotSign::Guard`].
pub fn open_guard(path: &Path) -> Result<Guard, MayNotSign> {
    Guard::open(path).map_err(|error| match error {
        GuardError::Missing(path) => MayNotSign::NoGuard(path),
        other => MayNotSign::Guard(other),
    })
}

/// How `head`, that of `store`, stands to `guard`, which is at `path`.
///
/// # Errors
/// [`MayNotSign`].
pub fn standing(
    guard: &Guard,
    path: &Path,
    head: Option<&Head>,
    store: &Store,
) -> Result<Standing, MayNotSign> {
    if guard.value() == head.map(Artefact::to_bytes).unwrap_or_default() {
        return Ok(Standing::Equal);
    }
    let path = path.to_owned();
    let held = match held(guard) {
        Ok(held) => held,
        Err(source) => return Err(MayNotSign::Malformed { path, source }),
    };
    let (database, guard) = (size(head), size(held.as_ref()));
    if guard > database {
        return Err(MayNotSign::Behind { path, database, guard });
    }
    let is_on_our_log = match &held {
        Some(held) => log::root(store, held.size)? == held.log_root,
        None => true,
    };
    if is_on_our_log && guard.0 + 1 == database.0 {
        return Ok(Standing::GuardOneBehind);
    }
    Err(MayNotSign::Apart { path, database, guard })
}

/// The head that `guard` holds; `None` before epoch 0.
///
/// # Errors
/// For what is no head.
pub fn held(guard: &Guard) -> Result<Option<Head>, DecodeError> {
    match guard.value() {
        [] => Ok(None),
        value => Head::from_bytes(value).map(Some),
    }
}

fn size(head: Option<&Head>) -> TreeSize {
    head.map_or(TreeSize(0), |head| head.size)
}
