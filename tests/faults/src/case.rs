//! One case: a validator on a faulty disk, started again on a sound one, and judged.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use pds_core::hash::sha256;
use pds_schemas::Digest;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::journal::{self, Line};
use crate::plan::{Effect, Fault, Point};
use crate::shim::Settings;
use crate::template::{Layout, Template};
use crate::trace::{self, Event};
use crate::{judge, scenario};

/// Number of the run that follows on a faulty one, without faults.
const LAST_RUN: u32 = 9;

/// Longest that a run may take; one that hangs is a finding. It takes a tenth of a second.
const RUN_SECONDS: u32 = 60;

/// Runs cases, each on a copy of one template.
#[derive(Debug)]
pub struct Injector {
    /// The binary `pds-faults`.
    pub program: PathBuf,
    /// What every case starts from.
    pub template: Template,
    /// Whether the watched disk only says that it syncs the files of a class: a disk on which nothing can hold.
    pub lying: Option<String>,
}

/// How a run on a faulty disk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It came to its end as if nothing had been.
    WentOn,
    /// It accepted and signed no more.
    Halted,
    /// It did not start.
    Refused,
    /// An assertion of RocksDB's, which Debian builds with them, ended it: while it started, or because RocksDB could not
    /// write its diary.
    Aborted,
    /// It was killed.
    Killed,
}

/// A run on a faulty disk.
#[derive(Debug)]
pub struct Injured {
    /// How it ended.
    pub end: End,
    /// The points it came by.
    pub events: Vec<Event>,
}

impl Injector {
    /// A copy of the template.
    ///
    /// # Errors
    /// The system's.
    pub fn fresh(&self) -> anyhow::Result<TempDir> {
        self.template.layout().copy()
    }

    /// Runs the scenario in a process of its own, with `faults`, and holds what it does against the rules.
    ///
    /// # Errors
    /// Says what the validator did that it must not.
    pub fn injure(&self, folder: &Path, number: u32, faults: &[Fault]) -> anyhow::Result<Injured> {
        let layout = Layout(folder.to_owned());
        let trace = folder.join(format!("trace-{number}"));
        // What an earlier run's power cut did not bring back never comes back.
        std::fs::remove_dir_all(layout.stash())?;
        std::fs::create_dir(layout.stash())?;
        let told_before = journal::read(&layout.journal())?.len();
        let settings = Settings {
            roots: layout.roots(),
            stash: layout.stash(),
            trace: Some(trace.clone()),
            faults: faults.to_vec(),
            clock: Some(self.template.clock),
            lying: self.lying.clone(),
            seconds: Some(RUN_SECONDS),
            ..Settings::default()
        };
        let mut command = Command::new(&self.program);
        command
            .arg("scenario")
            .arg(layout.config())
            .arg(layout.journal())
            .arg(&trace)
            .arg(number.to_string());
        settings.apply(&mut command)?;
        let output = command.stdin(Stdio::null()).output().context("run the scenario")?;
        let events = trace::read(&trace)?;
        let told = journal::read(&layout.journal())?.split_off(told_before);
        let killed = output.status.signal() == Some(Signal::KILL.as_raw());
        let diary = faults.iter().any(|fault| fault.point.class == "other");
        // RocksDB as Debian builds it asserts that `sync_file_range` fails for no other reason than that there is none.
        let range = faults.iter().any(|fault| fault.point.operation == "range");
        let aborted =
            output.status.signal() == Some(Signal::ABORT.as_raw()) && (diary || range || told.is_empty());
        ensure!(
            killed || aborted || output.status.success(),
            "the run ended with {}: {}, after {:?}, having told {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end(),
            events.last(),
            told.len()
        );
        let full = faults.iter().any(|fault| matches!(fault.effect, Effect::EnospcDone | Effect::EnospcLost));
        judge::check_silence(&events, full)?;
        let reached = trace::injected(&events) == faults.len();
        let to_be_killed = reached && faults.last().is_some_and(|fault| fault.effect.kills());
        ensure!(killed == to_be_killed, "the run ended with {}", output.status);
        let end = if aborted { End::Aborted } else { end_of(&told, killed)? };
        Ok(Injured { end, events })
    }

    /// Starts the validator again on a sound disk, has it go on, and judges, all in a process of its own: one that is being
    /// started by another thread would for a moment hold the locks of this one.
    ///
    /// # Errors
    /// Says what does not hold.
    pub fn judge(&self, folder: &Path) -> anyhow::Result<()> {
        let output =
            Command::new(&self.program).arg("judge").arg(folder).output().context("run the judge")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", said.trim_end().trim_start_matches("Error: "));
        Ok(())
    }

    /// The points of a run on a copy of what is in `folder`.
    ///
    /// # Errors
    /// As [`Injector::injure`].
    pub fn points(&self, folder: &Path, number: u32) -> anyhow::Result<Vec<Point>> {
        let copy = Layout(folder.to_owned()).copy()?;
        let counted = self.injure(copy.path(), number, &[])?;
        ensure!(counted.end == End::WentOn, "a run without faults: {:?}", counted.end);
        Ok(trace::points(&counted.events).cloned().collect())
    }
}

/// What [`Injector::judge`] runs.
///
/// # Errors
/// Says what does not hold.
pub fn judge_folder(folder: &Path) -> anyhow::Result<()> {
    let layout = Layout(folder.to_owned());
    let told_before = journal::read(&layout.journal())?.len();
    let (config, journal) = (layout.config(), layout.journal());
    scenario::run(&scenario::Run { config, journal, trace: None, number: LAST_RUN })
        .context("the restart")?;
    let told = journal::read(&layout.journal())?;
    match end_of(&told[told_before..], false)? {
        End::WentOn => judge::check(&layout.config(), &told),
        end => bail!("the restart on a sound disk: {end:?}: {:?}", told.last()),
    }
}

/// What a disk holds, as far as it matters to a start: two disks with one fingerprint have the same points.
///
/// # Errors
/// The system's.
pub fn fingerprint(folder: &Path) -> anyhow::Result<Digest> {
    let mut files = BTreeMap::new();
    for root in Layout(folder.to_owned()).roots() {
        for sub in [root.clone(), root.join("store")] {
            for entry in std::fs::read_dir(&sub).into_iter().flatten() {
                let path = entry?.path();
                if path.is_file() {
                    files.insert(path.clone(), content_that_matters(&path)?);
                }
            }
        }
    }
    let text: Vec<String> = files
        .iter()
        .filter_map(|(path, content)| {
            Some(format!("{} {content:?}", path.strip_prefix(folder).ok()?.display()))
        })
        .collect();
    Ok(sha256(text.join("\n").as_bytes()))
}

/// Tables and manifests have random identifiers in them, and are as long whatever these are.
fn content_that_matters(path: &Path) -> anyhow::Result<(u64, Option<Digest>)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let random = name.ends_with(".sst")
        || ["MANIFEST", "LOG", "OPTIONS", "IDENTITY"].iter().any(|n| name.starts_with(n));
    let bytes = std::fs::read(path)?;
    Ok((bytes.len() as u64, (!random).then(|| sha256(&bytes))))
}

fn end_of(told: &[Line], killed: bool) -> anyhow::Result<End> {
    if let Some(Line::Broken(what)) = told.iter().find(|line| matches!(line, Line::Broken(_))) {
        bail!("{what}");
    }
    let has = |wanted: fn(&Line) -> bool| told.iter().any(wanted);
    Ok(match () {
        () if killed => End::Killed,
        () if has(|line| matches!(line, Line::Refused(_))) => End::Refused,
        () if has(|line| matches!(line, Line::Halted(_))) => End::Halted,
        () if has(|line| matches!(line, Line::Ended)) => End::WentOn,
        () => bail!("the run ended without a word"),
    })
}
