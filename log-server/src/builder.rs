//! Deciding what is queued: one submission at a time, in the order of the queue.
//!
//! A thread of its own, which reads the database and never writes it. What it finds goes to the sequencer. When the
//! validator itself is to blame, the submission goes to the end of the line and is tried again.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::Context;
use metrics::{counter, histogram};
use pds_core::acceptance::Acceptance;
use pds_core::cose;
use pds_plugin::archive::ArchiveLimits;
use pds_schemas::cose::SignedKind;
use pds_schemas::json::Progress;
use pds_schemas::{Digest, Submission};
use pds_validator::build::Recipe;
use tracing::{error, info};

use crate::decide::{Decision, decide};
use crate::sequencer::Command;
use crate::shared::Shared;

/// Time before a submission is tried again that failed for a reason of ours.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What the builder decides by.
pub struct Builder {
    /// How plugins are built.
    pub recipe: Recipe,
    /// What must be proved.
    pub acceptance: Acceptance,
    /// SHA-256 of the policy.
    pub policy: Digest,
    /// For progress, and the database.
    pub shared: Arc<Shared>,
    /// Set to end the deciding, also of the submission that it is at.
    pub stop: Arc<AtomicBool>,
}

impl Builder {
    /// Works until stopped, or until the sequencer has ended.
    pub fn run(self, places: &Receiver<u64>, decisions: &Sender<Command>) {
        let mut again: VecDeque<(Instant, u64)> = VecDeque::new();
        while !self.stop.load(Ordering::Relaxed) {
            let due = again.front().map(|(due, _)| due.saturating_duration_since(Instant::now()));
            let place = match due {
                Some(Duration::ZERO) => again.pop_front().map(|(_, place)| place),
                Some(wait) => match places.recv_timeout(wait) {
                    Ok(place) => Some(place),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => None,
                },
                None => places.recv().ok(),
            };
            let Some(place) = place else { return };
            match caught(|| self.decide_one(place)) {
                Ok(decision) => {
                    if decisions.send(Command::Decided(place, Box::new(decision))).is_err() {
                        return;
                    }
                }
                Err(_) if self.stop.load(Ordering::Relaxed) => return,
                Err(error) => {
                    counter!("pds_validations_retried_total").increment(1);
                    error!(
                        place,
                        error = format!("{error:#}"),
                        "this validator could not do its work; trying again later"
                    );
                    again.push_back((Instant::now() + RETRY_AFTER, place));
                }
            }
        }
    }

    fn decide_one(&self, place: u64) -> anyhow::Result<Decision> {
        let started = Instant::now();
        let store = &self.shared.store;
        let queued = store.queue(place, 1).context("read queue")?;
        let (_, digest) = queued.first().filter(|(index, _)| *index == place).context("not queued")?;
        let entry = store.submission(digest).context("read submission")?.context("submission is gone")?;
        let (submission, _): (Submission, _) = cose::open_any_key(&entry.signed, SignedKind::Submission)?;
        let archive = store.archive(place).context("read archive")?.context("archive is gone")?;
        self.shared.set_progress(*digest, Some(Progress::Building));
        let tree = pds_plugin::archive::unpack(&archive, &ArchiveLimits::default());
        let tree = tree.context("unpack a stored archive")?;
        let manifest = tree.get(&submission.manifest).context("the manifest is gone")?.to_vec();
        let expected = submission
            .bytecode
            .as_ref()
            .map(|map| map.iter().map(|(name, digest)| (name.to_owned(), *digest)).collect());
        let outcome =
            pds_validator::validate(&tree, &submission.manifest, &self.recipe, expected.as_ref(), &self.stop);
        let decision = decide(&submission, *digest, &manifest, &self.acceptance, self.policy, outcome);
        let decision = decision.map_err(|failure| anyhow::anyhow!("{}", failure.message))?;
        let validated = matches!(decision.decision, pds_core::name_record::Decision::Validated(_));
        let outcome = if validated { "validated" } else { "failed" };
        counter!("pds_validations_total", "outcome" => outcome).increment(1);
        histogram!("pds_validation_seconds").record(started.elapsed().as_secs_f64());
        info!(
            name = %submission.name,
            release = submission.release.0,
            outcome,
            ms = started.elapsed().as_millis() as u64,
            "submission decided"
        );
        Ok(decision)
    }
}

/// `work`, with a panic as an error: one submission must not end the deciding of all.
fn caught<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let worked = std::panic::catch_unwind(AssertUnwindSafe(work));
    worked.unwrap_or_else(|_| Err(anyhow::anyhow!("the validator panicked; its message is above")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_is_an_error_like_others() {
        assert_eq!(caught(|| Ok(1)).unwrap(), 1);
        assert!(caught::<()>(|| anyhow::bail!("no")).is_err());
        assert!(caught::<()>(|| panic!("a verifier's mistake")).is_err());
    }
}
