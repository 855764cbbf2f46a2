//! Submitting, and holding a validator to what it promised.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pds_core::evidence::Verified;
use pds_schemas::json::{Outcome, Progress, SubmissionStatus};
use pds_schemas::{Digest, EpochNumber, Receipt, State};

use super::finding::{Finding, Trouble};
use super::run::HammerError;
use super::session::{Answered, Session};
use super::target;
use crate::submit::{Prepared, ReceiptError, check_receipt};
use crate::trust::KnownValidator;

/// Accepted submissions.
#[derive(Debug, Default)]
pub struct Promises {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Whose each place in the queue is.
    places: HashMap<u64, Digest>,
    /// Not known to be decided yet; asked about from the front.
    waiting: VecDeque<Promise>,
    decided: u64,
}

/// A receipt that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// What it says.
    pub receipt: Receipt,
    /// Itself, as base64 of its COSE_Sign1.
    pub base64: String,
}

/// Whether a promise needs to be asked about again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was kept.
    Decided,
    /// Its time has not come.
    Waits,
}

impl Promises {
    /// Takes a promise.
    ///
    /// # Errors
    /// [`Finding::PlaceTwice`].
    pub fn take(&self, promise: Promise) -> Result<(), Finding> {
        let mut kept = self.lock();
        let (index, second) = (promise.receipt.index, promise.receipt.submission);
        let first = *kept.places.entry(index).or_insert(second);
        if first != second {
            return Err(Finding::PlaceTwice { index, first, second });
        }
        kept.waiting.push_back(promise);
        Ok(())
    }

    /// The one that was not asked about for longest; whoever takes it gives it back unless it is decided.
    pub fn next(&self) -> Option<Promise> {
        self.lock().waiting.pop_front()
    }

    /// Puts one back that is to be asked about again.
    pub fn give_back(&self, promise: Promise) {
        self.lock().waiting.push_back(promise);
    }

    /// Counts one that was kept.
    pub fn settle(&self) {
        self.lock().decided += 1;
    }

    /// How many are not known to be decided.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// How many were kept.
    pub fn decided(&self) -> u64 {
        self.lock().decided
    }

    /// How many submissions were accepted.
    pub fn accepted(&self) -> usize {
        self.lock().places.len()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// [`super::Operation::Submit`]. The receipt is in the journal before it counts.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn submit(
        &self,
        known: &KnownValidator,
        prepared: &Prepared,
        answered: &mut Answered,
    ) -> Result<(), Trouble> {
        let Prepared { submission, digest, upload } = prepared;
        let status = answered.by(self.target.api.submit(upload, digest)).await?;
        let receipt = check_receipt(&status, digest, &known.trusted);
        let receipt = receipt.map_err(|cause| Finding::Receipt { submission: *digest, cause })?;
        let about = |what, holds: bool| {
            let cause = ReceiptError::About(what);
            if holds { Ok(()) } else { Err(Finding::Receipt { submission: *digest, cause }) }
        };
        about("name", receipt.name == submission.name)?;
        about("release", receipt.release == submission.release)?;
        if let Some(journal) = &self.journal {
            journal.receipt(&status.receipt).await.map_err(HammerError::Journal)?;
        }
        Ok(self.promises.take(Promise { receipt, base64: status.receipt })?)
    }

    /// [`super::Operation::Status`].
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn status(
        &self,
        known: &KnownValidator,
        promise: &Promise,
        answered: &mut Answered,
    ) -> Result<Standing, Trouble> {
        let digest = promise.receipt.submission;
        let status = match answered.by(self.target.api.submission(&digest)).await {
            Err(error) if error.is_not_found() => return Err(Finding::Lost(digest).into()),
            status => status?,
        };
        if status.receipt != promise.base64 || status.index != promise.receipt.index {
            return Err(Finding::OtherReceipt(digest).into());
        }
        if status.progress == Progress::Published {
            self.hold_decision(known, &promise.receipt, &status).await?;
            return Ok(Standing::Decided);
        }
        if target::now() >= promise.receipt.decide_by {
            self.hold_in_time(known, &promise.receipt, None).await?;
        }
        Ok(Standing::Waits)
    }

    /// Holds a decision that is said to be published against evidence of its epoch, and of the one before.
    async fn hold_decision(
        &self,
        known: &KnownValidator,
        receipt: &Receipt,
        status: &SubmissionStatus,
    ) -> Result<(), Trouble> {
        let (name, release) = (&receipt.name, receipt.release);
        let Some(epoch) = status.epoch else {
            let epoch = EpochNumber(0);
            let rule = "it names no epoch";
            return Err(Finding::Outcome { name: name.clone(), release, epoch, rule }.into());
        };
        let unused = &mut Answered::default();
        let verified = self.verified_evidence(known, name, Some(epoch), unused).await?;
        if let Err(rule) = check_decision(receipt, status, &verified) {
            return Err(Finding::Outcome { name: name.clone(), release, epoch, rule }.into());
        }
        self.names.hold(name, epoch, verified.record.as_ref(), false)?;
        // Only then was the epoch before possibly of after the promise.
        if let Some(before) = epoch.0.checked_sub(1).filter(|_| verified.str.time >= receipt.decide_by) {
            self.hold_in_time(known, receipt, Some(EpochNumber(before))).await?;
        }
        Ok(())
    }

    /// Receipt: "An STR of this time or later under which the release is still undecided is a broken promise."
    async fn hold_in_time(
        &self,
        known: &KnownValidator,
        receipt: &Receipt,
        asked: Option<EpochNumber>,
    ) -> Result<(), Trouble> {
        let unused = &mut Answered::default();
        let Verified { str, record, .. } =
            self.verified_evidence(known, &receipt.name, asked, unused).await?;
        // Of a release beside an earlier decided one, a record does not say whether it is decided.
        let is_undecided = record
            .as_ref()
            .is_none_or(|record| record.state == State::Pending || record.highest_release < receipt.release);
        if str.time < receipt.decide_by || !is_undecided {
            return Ok(());
        }
        let Receipt { name, release, decide_by, .. } = receipt.clone();
        Err(Finding::Late { name, release, decide_by, epoch: str.epoch, time: str.time }.into())
    }
}

/// Holds what a server says of a decision against evidence of the epoch in which it says so.
fn check_decision(
    receipt: &Receipt,
    status: &SubmissionStatus,
    verified: &Verified,
) -> Result<(), &'static str> {
    let record = verified.record.as_ref().ok_or("the name is absent")?;
    if record.highest_release < receipt.release {
        return Err("the release was not seen");
    }
    match (status.outcome, &verified.binding) {
        (None, _) => Err("no outcome is told"),
        (Some(Outcome::Validated), None) => Err("nothing is validated"),
        // A later release may have been decided in the same epoch.
        (Some(Outcome::Validated), Some(binding)) if binding.release < receipt.release => {
            Err("an earlier release is validated")
        }
        (Some(Outcome::Validated), Some(binding))
            if binding.release == receipt.release && binding.submission != receipt.submission =>
        {
            Err("another submission is validated")
        }
        (Some(Outcome::Failed), Some(binding)) if binding.release == receipt.release => {
            Err("the release is validated")
        }
        (Some(Outcome::Failed), None) if record.state == State::Pending => Err("nothing is decided"),
        (Some(_), _) => Ok(()),
    }
}
