//! A run: how it begins, what it tells meanwhile, and how it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pds_schemas::PluginName;
use tokio::task::JoinSet;

use super::finding::{FailureKind, Finding, Trouble};
use super::journal::Journal;
use super::operation::{Mix, Operation};
use super::promise::Promise;
use super::session::{Answered, Session};
use super::tally::{Board, Report};
use super::target::Target;
use super::worker::Crew;
use crate::parallel;

/// Submissions asked about at a time, once the run is over.
const WIDTH: usize = 16;
/// Pause between two rounds of asking about all of them.
const ROUND: Duration = Duration::from_millis(250);

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Workers that read.
    pub readers: usize,
    /// Workers that submit; only with a validator.
    pub writers: usize,
    /// What readers do.
    pub mix: Mix,
    /// Operations a second of all readers together; `None`: each as soon as it was answered.
    pub read_rate: Option<f64>,
    /// Submissions a second of all writers together; `None`: each as soon as it was answered.
    pub write_rate: Option<f64>,
    /// Time before anything is measured.
    pub warm_up: Duration,
    /// Time that is measured.
    pub length: Duration,
    /// Most time after that until every accepted submission is decided.
    pub settle: Duration,
    /// Of all choices.
    pub seed: u64,
    /// Bytes of a submitted plugin's source, about.
    pub plugin_bytes: usize,
    /// Of 100 submitted plugins, those that do not compile.
    pub broken_percent: u8,
    /// Names that are there, by the user's word; empty: those that changed in the latest epochs.
    pub names: Vec<PluginName>,
    /// Most names that are learned from the latest epochs.
    pub learn: usize,
    /// How often progress is told.
    pub tick: Duration,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// The figures.
    pub report: Report,
    /// The first findings, with the operation that met each.
    pub findings: Vec<(Operation, Finding)>,
    /// Submissions that were accepted.
    pub accepted: usize,
    /// Of these, those that evidence shows to be decided.
    pub decided: u64,
    /// Of these, those that are not known to be.
    pub waiting: usize,
}

/// Why there was no run, or why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum HammerError {
    /// An operation that only a validator has, and no keys of one.
    #[error("{0} asks a validator: it takes --trust and --validator")]
    NotAValidator(Operation),
    /// Nobody there.
    #[error("the server does not answer: {0}")]
    Unreachable(FailureKind),
    /// The journal cannot be written.
    #[error("write the journal")]
    Journal(#[source] std::io::Error),
    /// A name of the plan that is not there, and was not seen to be.
    #[error("{0} is given as a name that is there, and the validator proves that it is not")]
    NeverThere(PluginName),
}

/// Drives a server as `plan` says, until its time is up or `stop` completes. `on_tick` is told the figures now and then.
///
/// # Errors
/// [`HammerError`]; whatever the server does wrong is in the outcome.
pub async fn run(
    target: Target,
    plan: Plan,
    journal: Option<Journal>,
    stop: impl Future<Output = ()>,
    mut on_tick: impl FnMut(&Report),
) -> Result<Outcome, HammerError> {
    check_operations(&target, &plan)?;
    let session = Session::new(target, journal);
    if let Err(trouble) = prepare(&session, &plan).await {
        return end_early(&session, trouble);
    }
    let begin = Instant::now();
    let measured = begin + plan.warm_up;
    let end = measured + plan.length;
    let crew = Arc::new(Crew { session, board: Board::new(measured), plan, begin, measured, end });
    let mut workers = JoinSet::new();
    for number in 0..crew.plan.readers as u64 {
        workers.spawn(Arc::clone(&crew).read(number));
    }
    for number in 0..crew.plan.writers as u64 {
        workers.spawn(Arc::clone(&crew).write(number));
    }
    let mut ticks = tokio::time::interval(crew.plan.tick);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            joined = workers.join_next() => match joined {
                Some(Ok(result)) => result?,
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                None => {
                    crew.board.stop(end);
                    settle(&crew).await?;
                    break;
                }
            },
            _ = ticks.tick() => on_tick(&crew.board.report(Instant::now().min(end))),
            () = &mut stop => {
                workers.shutdown().await;
                crew.board.stop(Instant::now());
                break;
            }
        }
    }
    Ok(outcome(&crew.session, &crew.board))
}

fn check_operations(target: &Target, plan: &Plan) -> Result<(), HammerError> {
    let read = plan.mix.operations().filter(|_| plan.readers > 0);
    let mut all = read.chain((plan.writers > 0).then_some(Operation::Submit));
    match all.find(|operation| target.validator.is_none() && !operation.is_of_any_log()) {
        Some(operation) => Err(HammerError::NotAValidator(operation)),
        None => Ok(()),
    }
}

/// The first checkpoint, and names to ask about.
async fn prepare(session: &Session, plan: &Plan) -> Result<(), Trouble> {
    let head = session.head().await?;
    session.names.give(plan.names.iter().cloned());
    let wants_names = plan.readers > 0 && plan.mix.operations().any(Operation::takes_a_name);
    if wants_names && session.names.is_empty() {
        session.names.learn(&session.target.api, head.checkpoint.size.0, plan.learn).await?;
    }
    Ok(())
}

/// A server that is caught before the run began, or not there.
fn end_early(session: &Session, trouble: Trouble) -> Result<Outcome, HammerError> {
    let now = Instant::now();
    let board = Board::new(now);
    board.stop(now);
    match trouble {
        Trouble::Failure(failure) => Err(HammerError::Unreachable(failure.kind)),
        Trouble::End(error) => Err(error),
        Trouble::Finding(finding) => {
            board.found(Operation::Checkpoint, *finding);
            Ok(outcome(session, &board))
        }
    }
}

fn outcome(session: &Session, board: &Board) -> Outcome {
    Outcome {
        report: board.report(Instant::now()),
        findings: board.take_findings(),
        accepted: session.promises.accepted(),
        decided: session.promises.decided(),
        waiting: session.promises.waiting(),
    }
}

/// Asks about all that was accepted until it is decided, or time is up.
async fn settle(crew: &Arc<Crew>) -> Result<(), HammerError> {
    let Some(known) = &crew.session.target.validator else { return Ok(()) };
    let deadline = Instant::now() + crew.plan.settle;
    let promises = &crew.session.promises;
    while promises.waiting() > 0 && Instant::now() < deadline {
        let round: Vec<Promise> = std::iter::from_fn(|| promises.next()).collect();
        let asked = parallel::map(round, WIDTH, |promise| {
            let (crew, known) = (Arc::clone(crew), known.clone());
            async move {
                if Instant::now() >= deadline {
                    crew.session.promises.give_back(promise);
                    return None;
                }
                let result = crew.ask(&known, promise, &mut Answered::default()).await;
                result.err().map(|trouble| crew.board.troubled(Operation::Status, trouble))
            }
        })
        .await;
        asked.into_iter().flatten().collect::<Result<(), HammerError>>()?;
        tokio::time::sleep(ROUND.min(deadline.saturating_duration_since(Instant::now()))).await;
    }
    Ok(())
}
