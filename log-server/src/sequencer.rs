//! The one writer: accepts submissions, closes epochs.
//!
//! One thread owns the [`EpochWriter`] and the [`Queue`], and does all writing. It gathers commands and applies them in
//! groups, so that many submissions share one sync; when the interval is over it closes an epoch. After any error of the
//! disk or the guard it never writes or signs again: the published head stays served, and the process needs a restart.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics::{counter, gauge, histogram};
use pds_core::cose;
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::{Head, SubmissionEntry};
use pds_schemas::json::Progress;
use pds_schemas::{Artefact, Digest, PosixTime, PublicKey, Receipt};
use pds_store::Accepted;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use crate::admission::{Holder, QueueLimits};
use crate::config::Config;
use crate::decide::{self, Decision, Undecided};
use crate::epoch_writer::EpochWriter;
use crate::intake::Candidate;
use crate::line::Line;
use crate::queue::{Frozen, Queue, Settled};
use crate::refusal::Refusal;
use crate::shared::Shared;

/// Most submissions that share one sync.
const GROUP: usize = 512;

/// Something for the sequencer to do.
#[derive(Debug)]
pub enum Command {
    /// Take a checked submission, if its name and release allow it.
    Accept(Box<Candidate>, Answer),
    /// The submission at this place of the queue is decided.
    Decided(u64, Box<Decision>),
    /// Take nothing more, wait until then for what is queued, close a last epoch, and end.
    Finish(Instant),
    /// Take nothing more, wait until then for what is queued, and close the log's last epoch for ever.
    Freeze(Instant, FreezeAnswer),
}

/// Where the answer to [`Command::Freeze`] goes: the last head, or why there is none.
pub type FreezeAnswer = oneshot::Sender<Result<Head, String>>;

/// Where the answer to [`Command::Accept`] goes.
pub type Answer = oneshot::Sender<Result<Acknowledged, Refusal>>;

/// A submission that is durably stored.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// As stored.
    pub entry: SubmissionEntry,
    /// Whether it was there before.
    pub known: bool,
}

/// Fixed choices of the sequencer.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Time between epochs.
    pub interval: Duration,
    /// Seconds from acceptance to the promised decision.
    pub decide_within_s: u64,
    /// Most undecided submissions.
    pub queue: QueueLimits,
    /// Folder whose disk must have `reserve_bytes` free for a submission to be taken.
    pub disk: PathBuf,
    /// See `disk`.
    pub reserve_bytes: u64,
}

/// The writer thread's state; all of it is that thread's alone.
pub struct Sequencer {
    rules: Rules,
    writer: EpochWriter,
    shared: Arc<Shared>,
    queue: Queue,
    next_index: u64,
    /// Places of the queue, for the builders to decide.
    line: Arc<Line>,
    finish: Option<Instant>,
    /// When to freeze the log, and whom to tell.
    freeze: Option<(Instant, Vec<FreezeAnswer>)>,
}

impl Rules {
    /// What `config` says.
    pub fn of(config: &Config) -> Self {
        Self {
            interval: Duration::from_secs(config.epoch_interval_s),
            decide_within_s: config.decide_within_s,
            queue: config.queue_limits(),
            disk: config.data_dir.clone(),
            reserve_bytes: config.free_space_reserve_mib << 20,
        }
    }
}

impl Sequencer {
    /// Takes up `queue`, and gives the builders what is undecided. `next_index` is the next place in the queue.
    pub fn new(
        rules: Rules,
        writer: EpochWriter,
        shared: Arc<Shared>,
        queue: Queue,
        next_index: u64,
        line: Arc<Line>,
    ) -> Self {
        for (index, owner) in queue.undecided_places() {
            line.push(owner, index);
        }
        Self { rules, writer, shared, queue, next_index, line, finish: None, freeze: None }
    }

    /// Works until told to finish, or until nobody can tell it anything any more.
    pub fn run(mut self, commands: &Receiver<Command>) {
        let mut next_epoch = Instant::now() + self.rules.interval;
        loop {
            let deadlines = [self.finish, self.freeze.as_ref().map(|(deadline, _)| *deadline)];
            let wake =
                deadlines.into_iter().flatten().min().map_or(next_epoch, |deadline| deadline.min(next_epoch));
            match commands.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(first) => self.apply(std::iter::once(first).chain(commands.try_iter().take(GROUP - 1))),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let instant = Instant::now();
            let done = self.queue.undecided() == 0 || self.shared.halted().is_some();
            if self.freeze.as_ref().is_some_and(|(deadline, _)| done || instant >= *deadline) {
                self.close_for_ever();
            }
            if self.finish.is_some_and(|deadline| done || instant >= deadline) {
                break;
            }
            if instant >= next_epoch {
                self.close_epoch(now());
                // Missed ticks are missed: no backfill.
                next_epoch = (next_epoch + self.rules.interval).max(Instant::now());
            }
        }
        if self.queue.has_news() {
            self.close_epoch(now());
        }
        info!(waiting = self.queue.len(), "sequencer ended; what waits is in the queue");
    }

    /// Carries out commands that came together: their submissions share one sync.
    pub fn apply(&mut self, commands: impl Iterator<Item = Command>) {
        let mut group = Vec::new();
        for command in commands {
            match command {
                Command::Accept(candidate, answer) => group.push((*candidate, answer)),
                Command::Decided(index, decision) => self.decided(index, *decision),
                Command::Finish(deadline) => self.finish = Some(deadline),
                Command::Freeze(deadline, answer) => {
                    let (earliest, answers) = self.freeze.get_or_insert_with(|| (deadline, Vec::new()));
                    *earliest = deadline.min(*earliest);
                    answers.push(answer);
                }
            }
        }
        if !group.is_empty() {
            self.accept(group);
        }
    }

    /// Keeps what the decision names in the database, and only its digests in memory until an epoch publishes it.
    fn decided(&mut self, index: u64, decision: Decision) {
        if !self.queue.is_undecided(index) || self.shared.halted().is_some() {
            return;
        }
        let Decision { decision, blobs } = decision;
        if let Err(error) = self.writer.store.keep_blobs(&blobs) {
            self.halt("store what a decision names", &error);
            return;
        }
        let progress = match decision {
            pds_core::name_record::Decision::Validated(_) => Progress::Verified,
            pds_core::name_record::Decision::Failed(_) => Progress::Failed,
        };
        let named = blobs.iter().map(|blob| (blob.kind(), *blob.digest())).collect();
        if let Some(digest) = self.queue.decide(index, Settled { decision, named }) {
            self.shared.set_progress(digest, Some(progress));
        }
    }

    /// Stores the group in one synced write; only then anybody is answered.
    fn accept(&mut self, group: Vec<(Candidate, Answer)>) {
        // Never before the last STR, whose time is what a promise is held against: the clock may have gone back.
        let time = self.writer.head.as_ref().map_or(now(), |head| head.time.max(now()));
        let mut accepted = Vec::new();
        // With the owner of what is new.
        let mut answers: Vec<(Answer, SubmissionEntry, Option<PublicKey>)> = Vec::new();
        let mut in_group: HashMap<Digest, SubmissionEntry> = HashMap::new();
        let has_space = self.has_space();
        let first_new = self.next_index;
        for (candidate, answer) in group {
            let known = match in_group.get(&candidate.digest) {
                Some(entry) => Ok(Some(entry.clone())),
                None => self.shared.store.submission(&candidate.digest),
            };
            let taken = match known {
                Ok(Some(entry)) => {
                    answers.push((answer, entry, None));
                    continue;
                }
                Ok(None) if !has_space => Err(Refusal::NoSpace),
                Ok(None) => self.admit(&candidate),
                Err(error) => Err(self.halt("look up a submission", &error)),
            };
            if let Err(refusal) = taken {
                refusal.count();
                let _ = answer.send(Err(refusal));
                continue;
            }
            let Candidate { digest, submission, signer, client, signed, archive } = candidate;
            let receipt = self.receipt(digest, &submission, time);
            let entry = SubmissionEntry { signed, receipt, index: self.next_index };
            let decide_by = PosixTime(time.0 + self.rules.decide_within_s);
            let holder = Holder { owner: signer, client };
            self.queue.push(self.next_index, digest, &submission, holder, decide_by);
            self.next_index += 1;
            in_group.insert(digest, entry.clone());
            answers.push((answer, entry.clone(), Some(signer)));
            accepted.push(Accepted { digest, entry, archive, owner: submission.owner.to_bytes() });
        }
        // Nothing is written any more after a fault, also one that came up in this group.
        let faulty = self.shared.halted().is_some();
        let stored = if accepted.is_empty() || faulty { Ok(()) } else { self.writer.store.accept(&accepted) };
        if let Err(error) = &stored {
            self.halt("store submissions", error);
        }
        let kept = stored.is_ok() && !faulty;
        for (answer, entry, new_of) in answers {
            if !kept && entry.index >= first_new {
                let _ = answer.send(Err(Refusal::Halted));
                continue;
            }
            if let Some(owner) = new_of {
                self.line.push(owner, entry.index);
            }
            let _ = answer.send(Ok(Acknowledged { entry, known: new_of.is_none() }));
        }
        if !kept {
            return;
        }
        counter!("pds_submissions_accepted_total").increment(accepted.len() as u64);
        gauge!("pds_queue_length").set(self.queue.len() as f64);
    }

    fn admit(&mut self, candidate: &Candidate) -> Result<(), Refusal> {
        if self.shared.halted().is_some() {
            return Err(Refusal::Halted);
        }
        if self.freeze.is_some() || self.writer.is_frozen() {
            return Err(Refusal::Frozen);
        }
        if self.finish.is_some() {
            return Err(Refusal::Finishing);
        }
        let holder = Holder { owner: candidate.signer, client: candidate.client };
        self.queue.places().check(&self.rules.queue, holder)?;
        let submission = &candidate.submission;
        let claim = self.queue.claim(&submission.name, &self.writer.store, &self.writer.tree);
        let claim = claim.map_err(|error| self.halt("look up a name", &*error))?;
        let Some(claim) = claim else {
            let first = submission.owner.sequence == 0;
            return if first { Ok(()) } else { Err(Refusal::NotFirstOwner(submission.name.clone())) };
        };
        if pds_core::hash::sha256(&submission.owner.to_bytes()) != claim.owner {
            return Err(Refusal::NotOwner(submission.name.clone(), claim.owner));
        }
        let (store, tree) = (&self.writer.store, &self.writer.tree);
        let is_missing = || self.queue.is_missing(&submission.name, submission.release, store, tree);
        if submission.release <= claim.highest
            && !is_missing().map_err(|error| self.halt("look up a release", &*error))?
        {
            return Err(Refusal::OldRelease {
                name: submission.name.clone(),
                found: submission.release,
                highest: claim.highest,
            });
        }
        Ok(())
    }

    fn receipt(&self, digest: Digest, submission: &pds_schemas::Submission, time: PosixTime) -> Vec<u8> {
        let receipt = Receipt {
            origin: self.writer.origin.clone(),
            submission: digest,
            name: submission.name.clone(),
            release: submission.release,
            index: self.next_index,
            time,
            decide_by: PosixTime(time.0 + self.rules.decide_within_s),
        };
        cose::sign(SignedKind::Receipt, &receipt, &self.writer.identity.str).to_bytes()
    }

    fn has_space(&self) -> bool {
        match rustix::fs::statvfs(&self.rules.disk) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize) >= self.rules.reserve_bytes,
            Err(error) => {
                warn!(%error, "cannot tell how much room the disk has; taking no submissions");
                false
            }
        }
    }

    /// Decides what was promised to be decided by `time`: nobody is to hold a broken promise of ours.
    fn decide_overdue(&mut self, time: PosixTime) {
        for (index, waiting) in self.queue.overdue(time) {
            let policy = *self.writer.policy.digest();
            match decide::undecided(
                Undecided::Overdue,
                &waiting.name,
                waiting.release,
                waiting.digest,
                policy,
            ) {
                Ok(decision) => {
                    warn!(name = %waiting.name, release = waiting.release.0, "not decided in time: failed");
                    counter!("pds_submissions_overdue_total").increment(1);
                    self.decided(index, decision);
                }
                Err(failure) => error!(message = failure.message, "could not fail an overdue submission"),
            }
        }
    }

    /// Fails what is undecided, closes the log's last epoch, and tells those who asked for it.
    fn close_for_ever(&mut self) {
        let Some((_, answers)) = self.freeze.take() else { return };
        for (index, waiting) in self.queue.overdue(PosixTime(u64::MAX)) {
            let policy = *self.writer.policy.digest();
            match decide::undecided(Undecided::Frozen, &waiting.name, waiting.release, waiting.digest, policy)
            {
                Ok(decision) => {
                    warn!(name = %waiting.name, release = waiting.release.0, "not decided before the log ends: failed");
                    self.decided(index, decision);
                }
                Err(failure) => {
                    self.halt("fail a submission", &std::io::Error::other(failure.message));
                }
            }
        }
        // More than one when more names wait than one epoch changes.
        while self.shared.halted().is_none() && !self.writer.is_frozen() {
            self.close(now(), true);
        }
        let frozen = match (&self.writer.head, self.shared.halted()) {
            (Some(head), None) => Ok(head.clone()),
            (_, reason) => Err(reason.unwrap_or_default()),
        };
        for answer in answers {
            let _ = answer.send(frozen.clone());
        }
    }

    /// Closes the next epoch at `now` and publishes it; after a fault it does nothing.
    pub fn close_epoch(&mut self, now: PosixTime) {
        self.close(now, false);
    }

    /// Closes the next epoch, which is the last one if it may be and nothing is left to say.
    fn close(&mut self, now: PosixTime, may_be_last: bool) {
        if self.shared.halted().is_some() || self.writer.is_frozen() {
            return;
        }
        let started = Instant::now();
        self.decide_overdue(self.writer.head.as_ref().map_or(now, |head| head.time.max(now)));
        let epoch = self.writer.next_epoch();
        let frozen = self.queue.freeze(epoch, &self.writer.store, &self.writer.tree);
        let Frozen { mut content, covered } = match frozen {
            Ok(frozen) => frozen,
            Err(error) => {
                self.halt("freeze an epoch", &*error);
                return;
            }
        };
        let published: HashSet<Digest> = content.decided.iter().map(|d| d.outcome.submission).collect();
        let changed = content.names.len();
        content.is_last = may_be_last && published.len() == self.queue.len();
        match self.writer.close(now, content) {
            Ok(epoch) => {
                let (number, names) = (epoch.str.epoch.0, epoch.str.names);
                // Before anybody can see the epoch.
                gauge!("pds_epoch").set(number as f64);
                gauge!("pds_names").set(names as f64);
                self.shared.publish(epoch);
                info!(
                    epoch = number,
                    names,
                    changed,
                    published = published.len(),
                    ms = started.elapsed().as_millis() as u64,
                    "epoch closed"
                );
                histogram!("pds_epoch_close_seconds").record(started.elapsed().as_secs_f64());
            }
            Err(error) => {
                self.halt("close an epoch", &error);
                return;
            }
        }
        for digest in self.queue.settle(&covered, &published) {
            self.shared.set_progress(digest, None);
        }
        gauge!("pds_queue_length").set(self.queue.len() as f64);
    }

    fn halt(&mut self, doing: &str, cause: &(dyn std::error::Error + 'static)) -> Refusal {
        let mut reason = format!("{doing}: {cause}");
        let mut source = cause.source();
        while let Some(error) = source {
            reason = format!("{reason}: {error}");
            source = error.source();
        }
        error!(
            reason,
            "this process signs and accepts no more; it serves what is published and needs a restart"
        );
        gauge!("pds_halted").set(1.0);
        self.shared.halt(reason);
        Refusal::Halted
    }
}

/// The clock.
pub fn now() -> PosixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    PosixTime(since.map_or(0, |since| since.as_secs()))
}

#[cfg(test)]
mod tests;
