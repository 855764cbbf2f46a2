//! `pds hammer`.

mod options;
mod report;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, Subcommand};
use pds_client::hammer::check::{self, CheckError};
use pds_client::hammer::journal::{Journal, JournalError};
use pds_client::hammer::{self, HammerError, Report};

use self::options::{PlanArgs, TargetArgs};
use crate::outcome::{Failure, Outcome};
use crate::progress;

/// Seconds between lines of progress where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

#[derive(ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  pds hammer --trust trust.toml --validator PV1 --readers 32 --writers 4 --seconds 60
  pds hammer --trust trust.toml --validator PV1 --mix evidence=4,absence=1 --rate 2000
  pds hammer https://log.example/ --vkey 'log.example+a1b2c3d4+AfX...'
  pds hammer --trust trust.toml --validator PV1 --writers 8 --readers 0 --journal j --journal-sync
  pds hammer check j --trust trust.toml --validator PV1

Every answer is verified. With --rate, operations are due at fixed times whatever the server does, and latency counts from \
when an operation was due if it had to wait for the one before it. Exit code 1 if the server answered anything that no \
honest server answers; failures such as 503 or a broken connection are counted by kind, and end nothing."
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    plan: PlanArgs,
    /// Write every receipt and every new checkpoint down, for `pds hammer check`; goes on with a file that is there. A
    /// submission counts as accepted once its line is written; a line that is cut off says nothing
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Have each line of the journal on the disk before it counts
    #[arg(long, requires = "journal")]
    journal_sync: bool,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Hold a server to a journal: nothing acknowledged is lost, no signed checkpoint is contradicted
    Check(CheckArgs),
}

#[derive(ClapArgs)]
#[command(after_help = "Example:
  pds hammer check j --trust trust.toml --validator PV1

Exit code 1 if anything does not hold, 3 if the server does not answer.")]
struct CheckArgs {
    /// The journal
    #[arg(value_name = "JOURNAL")]
    journal: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
}

pub async fn run(args: Args) -> Result<Outcome, Failure> {
    let Args { command, target, plan, journal, journal_sync, quiet } = args;
    if let Some(Command::Check(CheckArgs { journal, target })) = command {
        return Ok(report::checked(&check::check(target.target()?, &journal).await?));
    }
    let plan = plan.plan(&target)?;
    let target = target.target()?;
    let journal = journal.map(|path| Journal::open(&path, journal_sync)).transpose()?;
    let (seed, length) = (plan.seed, plan.warm_up + plan.length);
    let mut view = View::new(quiet, length);
    let stop = async {
        // Without a handler for it, the run ends when its time is up.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    };
    let outcome = hammer::run(target, plan, journal, stop, |figures| view.show(figures)).await;
    view.end();
    Ok(report::outcome(&outcome?, seed))
}

/// Progress: a table that is redrawn on a terminal, a line now and then elsewhere.
enum View {
    Quiet,
    Live { spinner: indicatif::ProgressBar, length: Duration },
    Lines { next: Instant },
}

impl View {
    fn new(quiet: bool, length: Duration) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (_, true) => Self::Live { spinner: progress::spinner(String::new()), length },
            _ => Self::Lines { next: Instant::now() + LINE_EVERY },
        }
    }

    fn show(&mut self, figures: &Report) {
        match self {
            Self::Quiet => {}
            Self::Live { spinner, length } => {
                let head = format!("{:.0} s of {:.0} s", figures.seconds, length.as_secs_f64());
                spinner.set_message(format!("{head}\n{}", report::table(figures)));
            }
            Self::Lines { next } if Instant::now() >= *next => {
                *next = Instant::now() + LINE_EVERY;
                eprintln!("{}", report::line(figures));
            }
            Self::Lines { .. } => {}
        }
    }

    fn end(self) {
        if let Self::Live { spinner, .. } = self {
            spinner.finish_and_clear();
        }
    }
}

impl From<HammerError> for Failure {
    fn from(error: HammerError) -> Self {
        match error {
            HammerError::NotAValidator(_) | HammerError::NeverThere(_) => Self::usage(error),
            HammerError::Unreachable(_) | HammerError::Journal(_) => Self::unknown(error),
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Io { .. } => Self::unknown(error),
            JournalError::Header(_) | JournalError::Line { .. } => Self::usage(error),
        }
    }
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Journal(error) => error.into(),
            CheckError::Unreachable(_) => Self::unknown(error),
            CheckError::Run(error) => error.into(),
            CheckError::Receipt(_) | CheckError::Checkpoint(_) | CheckError::NotAValidator => {
                Self::usage(error)
            }
        }
    }
}
