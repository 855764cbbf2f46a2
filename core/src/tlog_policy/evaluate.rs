//! Holding a signed checkpoint against a policy.
//!
//! Pure: the clock is an argument. Source: C2SP tlog-policy; that cosignatures outside a window of time are dropped
//! before the quorum is counted is this system's rule.

use std::fmt;

use pds_schemas::PosixTime;

use super::{Policy, WitnessSet};
use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::cosignature::{Freshness, Window};
use crate::note::{Note, NoteError, VerifierKey};

/// Why a checkpoint cannot be held against a policy at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The note is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A log's or witness's signature does not hold, which makes the whole note worthless.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// No log of the policy signed this as a checkpoint of its own.
    #[error("no log of the policy signed the checkpoint of {origin:?}")]
    NoKnownLog {
        /// Origin that the checkpoint names.
        origin: String,
    },
}

/// What one witness of the policy counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WitnessVerdict {
    /// It cosigned inside the window, at this time.
    Counted(PosixTime),
    /// It cosigned, at this time, before the window.
    TooOld(PosixTime),
    /// It cosigned, at this time, after the window.
    InFuture(PosixTime),
    /// It did not cosign.
    Absent,
}

impl fmt::Display for WitnessVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted(time) => write!(f, "cosigned at {time}"),
            Self::TooOld(time) => write!(f, "cosigned at {time}, too long ago"),
            Self::InFuture(time) => write!(f, "cosigned at {time}, in the future"),
            Self::Absent => f.write_str("did not cosign"),
        }
    }
}

/// What a checkpoint comes to under a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The checkpoint, its log's signature verified.
    pub checkpoint: SignedCheckpoint,
    /// Position of that log in [`Policy::logs`].
    pub log: usize,
    /// A verdict for each of [`Policy::witnesses`], in their order.
    pub witnesses: Vec<WitnessVerdict>,
    /// Whether those that counted are a quorum.
    pub has_quorum: bool,
}

impl Evaluation {
    /// The witnesses that counted.
    pub fn counted(&self) -> WitnessSet {
        let counted = |verdict: &WitnessVerdict| matches!(verdict, WitnessVerdict::Counted(_));
        self.witnesses.iter().enumerate().filter(|(_, verdict)| counted(verdict)).map(|(i, _)| i).collect()
    }
}

impl Policy {
    /// Verifies a checkpoint's signatures by this policy's logs and witnesses, and counts those inside the window.
    ///
    /// A checkpoint without quorum is an [`Evaluation`] too: look at `has_quorum`.
    ///
    /// # Errors
    /// [`EvaluationError`]; with an empty set of logs always `NoKnownLog`, as no log's key is known.
    pub fn evaluate(&self, note: &Note, window: &Window) -> Result<Evaluation, EvaluationError> {
        let Checkpoint { origin, .. } = note.text().parse()?;
        let logs = self.logs.iter().map(|log| &log.key);
        let known: Vec<&VerifierKey> = logs.chain(self.witnesses.iter().map(|w| &w.key)).collect();
        let verified = match note.verify(&known) {
            Err(NoteError::NoKnownSignature) => return Err(EvaluationError::NoKnownLog { origin }),
            verified => verified?,
        };
        let signed = |key: &VerifierKey| verified.iter().any(|signature| signature.key == key);
        let log = self.logs.iter().position(|log| log.key.name().as_str() == origin && signed(&log.key));
        let log = log.ok_or(EvaluationError::NoKnownLog { origin })?;
        let times = |key| verified.iter().filter(move |s| s.key == key).filter_map(|s| s.time);
        let witnesses: Vec<_> = self.witnesses.iter().map(|w| best(times(&w.key), window)).collect();
        let mut evaluation = Evaluation {
            checkpoint: SignedCheckpoint::from_note(note.clone(), &self.logs[log].key)?,
            log,
            witnesses,
            has_quorum: false,
        };
        evaluation.has_quorum = self.is_satisfied(&evaluation.counted());
        Ok(evaluation)
    }
}

/// The verdict over all cosignatures that one witness left on a note: its newest that counts, else its newest.
fn best(times: impl Iterator<Item = PosixTime>, window: &Window) -> WitnessVerdict {
    let judged = times.map(|time| (window.judge(time), time));
    let newest = judged.max_by_key(|(freshness, time)| (*freshness == Freshness::Fresh, *time));
    match newest {
        Some((Freshness::Fresh, time)) => WitnessVerdict::Counted(time),
        Some((Freshness::TooOld, time)) => WitnessVerdict::TooOld(time),
        Some((Freshness::InFuture, time)) => WitnessVerdict::InFuture(time),
        None => WitnessVerdict::Absent,
    }
}
