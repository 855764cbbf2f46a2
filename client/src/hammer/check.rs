//! Holding a server to a journal, after a crash or a restart: nothing that was acknowledged is lost, and the log that it
//! serves now begins with every log that it ever signed.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pds_core::checkpoint::CheckpointError;
use pds_core::cose::{self, CoseError};
use pds_schemas::Receipt;
use pds_schemas::TreeSize;
use pds_schemas::cose::SignedKind;

use super::finding::{FailureKind, Finding, Trouble};
use super::journal::{self, Entry, JournalError};
use super::operation::Operation;
use super::promise::{Promise, Standing};
use super::run::HammerError;
use super::session::{Answered, Session};
use super::target::{Offered, Target};
use super::view::{Contradiction, ContradictionKind};
use crate::parallel;
use crate::trust::KnownValidator;

/// Submissions asked about at a time.
const WIDTH: usize = 16;

/// What a check came to.
#[derive(Debug)]
pub struct Checked {
    /// Entries of the log now.
    pub size: TreeSize,
    /// Checkpoints of the journal, each held against the log of now.
    pub checkpoints: usize,
    /// Receipts of the journal, each asked about.
    pub receipts: usize,
    /// Of these, decided, as evidence shows.
    pub decided: usize,
    /// What does not hold.
    pub findings: Vec<(Operation, Finding)>,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A receipt in the journal that this validator did not sign.
    #[error("a receipt in the journal is none of this validator: {0}")]
    Receipt(CoseError),
    /// A checkpoint in the journal that this log did not sign.
    #[error("a checkpoint in the journal is none of this log: {0}")]
    Checkpoint(CheckpointError),
    /// Receipts in the journal, and no keys of a validator.
    #[error("the journal has receipts: to check them takes --trust and --validator")]
    NotAValidator,
    /// What ends a run; a check does nothing of it.
    #[error(transparent)]
    Run(HammerError),
    /// Nobody there, or overloaded.
    #[error("the server does not answer: {0}")]
    Unreachable(FailureKind),
}

/// Holds a server to the journal at `path`.
///
/// # Errors
/// [`CheckError`]; whatever the server does wrong is in what comes back.
pub async fn check(target: Target, path: &Path) -> Result<Checked, CheckError> {
    let (promises, checkpoints) = read(&target, path)?;
    let known = target.validator.clone();
    let session = Arc::new(Session::new(target, None));
    let (receipts, signed) = (promises.len(), checkpoints.len());
    let mut checked =
        Checked { size: TreeSize(0), checkpoints: signed, receipts, decided: 0, findings: Vec::new() };
    match session.head().await {
        Ok(head) => checked.size = head.checkpoint.size,
        Err(trouble) => {
            checked.findings.push((Operation::Checkpoint, finding(trouble)?));
            return Ok(checked);
        }
    }
    for offered in &checkpoints {
        if let Err(trouble) = hold_checkpoint(&session, offered).await {
            checked.findings.push((Operation::Checkpoint, finding(trouble)?));
        }
    }
    let Some(known) = known else { return Ok(checked) };
    for promise in &promises {
        if let Err(finding) = session.promises.take(promise.clone()) {
            checked.findings.push((Operation::Status, finding));
        }
    }
    for result in ask(&session, &known, promises).await {
        match result {
            Ok(Standing::Decided) => checked.decided += 1,
            Ok(Standing::Waits) => {}
            Err(trouble) => checked.findings.push((Operation::Status, finding(trouble)?)),
        }
    }
    Ok(checked)
}

/// A journal's promises and checkpoints, signatures verified anew: whoever wrote the file need not be believed.
fn read(target: &Target, path: &Path) -> Result<(Vec<Promise>, Vec<Offered>), CheckError> {
    let (mut promises, mut checkpoints) = (Vec::new(), Vec::new());
    for entry in journal::read(path)? {
        match entry {
            Entry::Receipt(bytes) => {
                let known = target.validator.as_ref().ok_or(CheckError::NotAValidator)?;
                let key = known.trusted.str_key().public_key();
                let receipt: Receipt =
                    cose::open(&bytes, SignedKind::Receipt, &key).map_err(CheckError::Receipt)?;
                promises.push(Promise { receipt, base64: STANDARD.encode(bytes) });
            }
            Entry::Checkpoint(note) => {
                checkpoints.push(target.reopen(&note).map_err(CheckError::Checkpoint)?);
            }
        }
    }
    // The same submission again was answered with the same receipt.
    promises.sort_by_key(|promise| promise.receipt.index);
    promises.dedup();
    Ok((promises, checkpoints))
}

async fn hold_checkpoint(session: &Session, signed: &Offered) -> Result<(), Trouble> {
    let head = session.head().await?;
    if signed.size <= head.checkpoint.size {
        return session.view.meet(signed, None).await.map(|_| ());
    }
    let (from, to) = (signed.size, head.checkpoint.size);
    let (held, offered) = (signed.note.clone(), head.checkpoint.note.clone());
    let kind = ContradictionKind::Rollback;
    Err(Finding::Contradiction(Box::new(Contradiction { kind, from, to, held, offered })).into())
}

async fn ask(
    session: &Arc<Session>,
    known: &KnownValidator,
    promises: Vec<Promise>,
) -> Vec<Result<Standing, Trouble>> {
    parallel::map(promises, WIDTH, |promise| {
        let (session, known) = (Arc::clone(session), known.clone());
        async move { session.status(&known, &promise, &mut Answered::default()).await }
    })
    .await
}

/// What the server did wrong; an error if nothing can be told.
fn finding(trouble: Trouble) -> Result<Finding, CheckError> {
    match trouble {
        Trouble::Finding(finding) => Ok(*finding),
        Trouble::Failure(failure) => Err(CheckError::Unreachable(failure.kind)),
        Trouble::End(error) => Err(CheckError::Run(error)),
    }
}
