//! Workers: one operation after the other, each when it is due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::finding::{FailureKind, Trouble};
use super::generate::Generator;
use super::operation::Operation;
use super::pace::{Due, Pace};
use super::promise::{Promise, Standing};
use super::random::Random;
use super::run::{HammerError, Plan};
use super::session::{Answered, Session};
use super::tally::Board;
use crate::trust::KnownValidator;

/// Longest that a busy server's `Retry-After` is heeded.
const LONGEST_HOLD: Duration = Duration::from_secs(30);
/// Pause of a worker without a timetable after its connection failed: a server that is away is not to be asked in a loop.
const PAUSE: Duration = Duration::from_millis(50);

/// All workers of a run, and what they have in common.
pub(super) struct Crew {
    pub session: Session,
    pub board: Board,
    pub plan: Plan,
    pub begin: Instant,
    /// From here on it counts.
    pub measured: Instant,
    pub end: Instant,
}

/// An operation that is under way.
#[derive(Clone, Copy)]
struct Started {
    due: Due,
    /// From when its latency counts.
    since: Instant,
}

impl Crew {
    /// A reader, to the end of the run.
    pub async fn read(self: Arc<Self>, number: u64) -> Result<(), HammerError> {
        let mut random = Random::of_worker(self.plan.seed, number);
        let mut pace = self.pace(number, self.plan.readers, self.plan.read_rate);
        while let Some(started) = self.start(&mut pace).await {
            let picked = self.plan.mix.pick(&mut random);
            let mut answered = Answered::default();
            let (operation, result) = self.perform(picked, &mut random, &mut answered).await;
            self.count(operation, started, answered, result, &mut pace)?;
        }
        self.board.missed(pace.held_back(), pace.left_undone(self.end));
        Ok(())
    }

    /// A writer, to the end of the run.
    pub async fn write(self: Arc<Self>, number: u64) -> Result<(), HammerError> {
        let Some(known) = self.session.target.validator.clone() else { return Ok(()) };
        let Plan { seed, plugin_bytes, broken_percent, writers, write_rate, .. } = self.plan;
        let mut generator = Generator::new(seed, number, plugin_bytes, broken_percent);
        let mut pace = self.pace(number, writers, write_rate);
        // Made before it is due: making it is not the server's time.
        let mut prepared = generator.make();
        while let Some(started) = self.start(&mut pace).await {
            let mut answered = Answered::default();
            let result = self.session.submit(&known, &prepared, &mut answered).await;
            // Whether one without an answer was taken is not known: the same again is answered with the same receipt.
            let is_in_doubt =
                matches!(&result, Err(Trouble::Failure(f)) if !matches!(f.kind, FailureKind::Status(_)));
            if !is_in_doubt {
                prepared = generator.make();
            }
            self.count(Operation::Submit, started, answered, result, &mut pace)?;
        }
        self.board.missed(pace.held_back(), pace.left_undone(self.end));
        Ok(())
    }

    /// Asks what became of a submission; one that is decided, or found to be handled wrongly, is not asked about again.
    pub async fn ask(
        &self,
        known: &KnownValidator,
        promise: Promise,
        answered: &mut Answered,
    ) -> Result<(), Trouble> {
        let promises = &self.session.promises;
        match self.session.status(known, &promise, answered).await {
            Ok(Standing::Decided) => {
                promises.settle();
                self.session.names.add(promise.receipt.name);
            }
            Ok(Standing::Waits) => promises.give_back(promise),
            Err(trouble @ Trouble::Failure(_)) => {
                promises.give_back(promise);
                return Err(trouble);
            }
            Err(trouble) => return Err(trouble),
        }
        Ok(())
    }

    /// Timetables are spread over the time between two operations of one worker.
    fn pace(&self, number: u64, workers: usize, rate: Option<f64>) -> Pace {
        let every = rate.and_then(|rate| Duration::try_from_secs_f64(workers as f64 / rate).ok());
        let share = number as f64 / workers as f64;
        Pace::new(self.begin + every.map_or(Duration::ZERO, |every| every.mul_f64(share)), every)
    }

    /// Waits for the next operation. One that a worker was free for counts from when it woke up: how late a timer of this
    /// machine goes off is not the server's doing. One that had to wait for the one before counts from when it was due.
    async fn start(&self, pace: &mut Pace) -> Option<Started> {
        let now = Instant::now();
        let due = pace.next(now, self.end)?;
        if due.is_late {
            return Some(Started { due, since: due.at });
        }
        if due.at > now {
            tokio::time::sleep_until(due.at.into()).await;
        }
        Some(Started { due, since: Instant::now() })
    }

    /// Does what was picked, or asks for the checkpoint where there is nothing yet to ask about.
    async fn perform(
        &self,
        picked: Operation,
        random: &mut Random,
        answered: &mut Answered,
    ) -> (Operation, Result<(), Trouble>) {
        let session = &self.session;
        if let Some(known) = &session.target.validator {
            let promise = if picked == Operation::Status { session.promises.next() } else { None };
            let name = if picked.takes_a_name() { session.names.pick(random) } else { None };
            let result = match (picked, promise, &name) {
                (Operation::Status, Some(promise), _) => self.ask(known, promise, answered).await,
                (Operation::Evidence, _, Some(name)) => session.evidence(known, name, answered).await,
                (Operation::Old, _, Some(name)) => session.old(known, name, random, answered).await,
                (Operation::History, _, Some(name)) => session.history(known, name, random, answered).await,
                (Operation::Absence, ..) => session.absence(known, random, answered).await,
                (Operation::Epoch, ..) => session.epoch(known, random, answered).await,
                _ => return self.perform_on_log(picked, random, answered).await,
            };
            return (picked, result);
        }
        self.perform_on_log(picked, random, answered).await
    }

    async fn perform_on_log(
        &self,
        picked: Operation,
        random: &mut Random,
        answered: &mut Answered,
    ) -> (Operation, Result<(), Trouble>) {
        match picked {
            Operation::Tile => (picked, self.session.tile(random, answered).await),
            Operation::Entries => (picked, self.session.entries(random, answered).await),
            _ => (Operation::Checkpoint, self.session.checkpoint(answered).await),
        }
    }

    fn count(
        &self,
        operation: Operation,
        started: Started,
        answered: Answered,
        result: Result<(), Trouble>,
        pace: &mut Pace,
    ) -> Result<(), HammerError> {
        let is_measured = started.due.at >= self.measured;
        match result {
            Ok(()) if is_measured => self.board.held(operation, answered.at() - started.since),
            Ok(()) => {}
            Err(Trouble::Failure(failure)) => {
                let pause = match failure.kind {
                    FailureKind::Connection => Some(PAUSE).filter(|_| !pace.has_timetable()),
                    _ => failure.retry_after.map(|wait| wait.min(LONGEST_HOLD)),
                };
                if let Some(pause) = pause {
                    pace.hold(Instant::now() + pause);
                }
                if is_measured {
                    self.board.failed(operation, failure);
                }
            }
            Err(trouble) => self.board.troubled(operation, trouble)?,
        }
        Ok(())
    }
}
