//! What a validator does while faults are injected: start, take submissions, decide them, close epochs, end.
//!
//! The log-server's own recovery, sequencer and store on one thread, so that a run comes by the same points each time. Only
//! the builder is played: decisions come at once. Everything that is told to the world goes to the journal first.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use pds_core::acceptance::Acceptance;
use pds_log_server::config::Config;
use pds_log_server::decide::{Decision, decide};
use pds_log_server::intake::{Candidate, check};
use pds_log_server::line::Line;
use pds_log_server::queue::{Queue, current_record};
use pds_log_server::recovery;
use pds_log_server::refusal::Refusal;
use pds_log_server::sequencer::{Acknowledged, Command, Rules, Sequencer, now};
use pds_log_server::shared::{Published, Shared};
use pds_schemas::{Artefact, Digest};
use pds_service::http::Client;
use pds_tests::plugins::{HOLDS, developer, name, signed, tiny};
use pds_validator::build::BuildEnvironment;
use pds_validator::reproducible::{Against, Reproducible};
use pds_validator::structure::StructureReport;
use pds_validator::{Failure, Outcome, Stage};

use crate::journal::Journal;
use crate::trace;

/// A name that is published before any fault.
pub const PUBLISHED: &str = "org.example.published";
/// A name whose first submission is undecided when a run starts.
pub const WAITING: &str = "org.example.waiting";

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The validator's configuration file.
    pub config: PathBuf,
    /// Goes on with this file.
    pub journal: PathBuf,
    /// For marks between the shim's points, if there is a trace.
    pub trace: Option<PathBuf>,
    /// Runs on one disk submit different things when they have different numbers.
    pub number: u32,
}

/// A started validator.
struct Session {
    config: Config,
    acceptance: Acceptance,
    policy: Digest,
    shared: Arc<Shared>,
    sequencer: Sequencer,
    journal: Journal,
    trace: Option<PathBuf>,
    /// The head that was told last.
    told: Arc<Published>,
    halted: bool,
}

/// Runs it to its end. A validator that does not start, or halts, is no error: the journal says so.
///
/// # Errors
/// When the scenario itself does not go as it must.
pub fn run(run: &Run) -> anyhow::Result<()> {
    let mut journal = Journal::open(&run.journal)?;
    let config = Config::load(&run.config)?;
    match start(config, journal, run.trace.clone()) {
        Ok(mut session) => {
            session.submissions_and_epochs(run.number)?;
            session.end()
        }
        Err(refused) => {
            journal = Journal::open(&run.journal)?;
            Ok(journal.say("refused", &format!("{refused:#}"))?)
        }
    }
}

/// Makes the history that every run starts from: epoch 0, a published name, one that waits.
///
/// # Errors
/// When anything goes wrong.
pub fn prepare(config: &Path, journal: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    pds_log_server::identity::init(&config)?;
    let mut writer = recovery::open(&config)?;
    drop(writer.close(now(), Default::default())?);
    drop(writer);
    let mut session = start(config, Journal::open(journal)?, None)?;
    let accepted = session.submit(&[(PUBLISHED, 1), (WAITING, 1)])?;
    ensure!(accepted.len() == 2, "the first submissions were not taken");
    session.decide(&accepted[0], true)?;
    session.close()?;
    session.end()
}

fn start(config: Config, journal: Journal, trace: Option<PathBuf>) -> anyhow::Result<Session> {
    let writer = recovery::open(&config)?;
    let published = recovery::published(&writer)?.context("there is no epoch")?;
    let store = Arc::clone(&writer.store);
    let queue = Queue::load(&store)?;
    let next_index = store.next_queue_index()?;
    let policy = *writer.policy.digest();
    let acceptance = Acceptance::of_policy(&config.policy())?;
    let shared = Arc::new(Shared::new(store, published));
    // Nobody builds: the scenario decides.
    let line = Line::new(0, Duration::ZERO);
    let sequencer = Sequencer::new(Rules::of(&config), writer, Arc::clone(&shared), queue, next_index, line);
    let told = shared.published();
    let mut session =
        Session { config, acceptance, policy, shared, sequencer, journal, trace, told, halted: false };
    session.journal.head(&session.told)?;
    Ok(session)
}

impl Session {
    /// A submission and its epoch; a group and its epoch, with a name's second release; an epoch without news.
    fn submissions_and_epochs(&mut self, number: u32) -> anyhow::Result<()> {
        let (alone, new) = (format!("org.example.r{number}a"), format!("org.example.r{number}b"));
        let accepted = self.submit(&[(&alone, 1)])?;
        for acknowledged in &accepted {
            self.decide(acknowledged, true)?;
        }
        self.close()?;
        let accepted = self.submit(&[(&new, 1), (PUBLISHED, u64::from(number) + 1), (&alone, 2)])?;
        for (i, acknowledged) in accepted.iter().enumerate() {
            self.decide(acknowledged, i == 1)?;
        }
        self.close()?;
        self.close()
    }

    fn submit(&mut self, wanted: &[(&str, u64)]) -> anyhow::Result<Vec<Acknowledged>> {
        let (mut group, mut answers) = (Vec::new(), Vec::new());
        for (name, release) in wanted {
            let candidate = candidate(name, *release)?;
            let (answer, result) = tokio::sync::oneshot::channel();
            answers.push((candidate.digest, result));
            group.push(Command::Accept(Box::new(candidate), answer));
        }
        self.sequencer.apply(group.into_iter());
        let mut accepted = Vec::new();
        for (digest, mut answer) in answers {
            match answer.try_recv().context("a submission is not answered")? {
                Ok(acknowledged) if self.halted => {
                    let text =
                        format!("submission {digest} was taken after a fault: {}", acknowledged.entry.index);
                    self.journal.say("broken", &text)?;
                }
                Ok(acknowledged) => {
                    self.journal.acknowledged(&digest, &acknowledged)?;
                    accepted.push(acknowledged);
                }
                Err(Refusal::Halted) => {}
                Err(other) => {
                    self.journal.say("broken", &format!("submission {digest} was refused: {other}"))?
                }
            }
        }
        self.look()?;
        Ok(accepted)
    }

    fn decide(&mut self, acknowledged: &Acknowledged, holds: bool) -> anyhow::Result<()> {
        let decision = self.decision(&acknowledged.entry.signed, holds)?;
        self.sequencer.apply(std::iter::once(Command::Decided(acknowledged.entry.index, Box::new(decision))));
        self.look()
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.sequencer.close_epoch(now());
        self.look()
    }

    /// Tells the world what is new, and holds a halted validator to being one that serves.
    fn look(&mut self) -> anyhow::Result<()> {
        let published = self.shared.published();
        if published.head.size != self.told.head.size {
            self.journal.head(&published)?;
            if self.halted {
                self.journal.say("broken", "an epoch was published after a fault")?;
            }
        }
        self.told = published;
        if let Some(reason) = self.shared.halted().filter(|_| !self.halted) {
            self.halted = true;
            self.journal.say("halted", &reason)?;
            self.mark(trace::HALTED)?;
        }
        if self.halted {
            let record = current_record(&self.shared.store, &self.told.tree, &name(PUBLISHED));
            if !matches!(record, Ok(Some(_))) {
                self.journal
                    .say("broken", &format!("what was published is not served any more: {record:?}"))?;
            }
        }
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<()> {
        self.mark(trace::CLOSING)?;
        drop((self.sequencer, self.shared, self.config));
        Ok(self.journal.say("ended", "")?)
    }

    fn mark(&mut self, text: &str) -> anyhow::Result<()> {
        if let Some(file) = &self.trace {
            trace::mark(file, text)?;
        }
        Ok(())
    }

    /// What the builder would make of a submission that holds, or whose build fails.
    fn decision(&self, signed: &[u8], holds: bool) -> anyhow::Result<Decision> {
        use pds_schemas::cose::CoseSign1;
        let payload = CoseSign1::from_bytes(signed)?.payload;
        let submission = pds_schemas::Submission::from_bytes(&payload)?;
        let digest = pds_core::hash::sha256(&payload);
        let outcome = if holds { built() } else { not_built() };
        decide(&submission, digest, b"a manifest", &self.acceptance, self.policy, outcome)
            .map_err(|failure| anyhow::anyhow!("decide: {}", failure.message))
    }
}

fn candidate(plugin: &str, release: u64) -> anyhow::Result<Candidate> {
    let plugin = tiny(plugin, &format!("{HOLDS}// {release}\n"));
    let prepared = signed(&plugin, release, &developer(1));
    check(&prepared.upload.to_bytes(), Client::Many).context("a submission is unsound")
}

fn built() -> Outcome {
    let object = "f.o".to_owned();
    let report = StructureReport {
        entry: "f".to_owned(),
        instructions: 2,
        checked_instructions: 2,
        stack_bytes: 0,
        helpers: Default::default(),
        warnings: Vec::new(),
    };
    Outcome {
        objects: [(object.clone(), b"bytecode".to_vec())].into(),
        environment: Some(BuildEnvironment {
            compiler: "none".to_owned(),
            flags: Vec::new(),
            platform: "pquic".to_owned(),
            confined: false,
        }),
        structure: [(object, Ok(report))].into(),
        reproducible: Some(Reproducible::Proved(Against::SecondBuild)),
        ..Outcome::default()
    }
}

fn not_built() -> Outcome {
    let failure =
        Failure { stage: Stage::Build, object: None, message: "does not compile".to_owned(), is_ours: false };
    Outcome { failure: Some(failure), ..Outcome::default() }
}
