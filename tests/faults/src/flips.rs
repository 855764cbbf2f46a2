//! One flipped bit in a stopped validator's files: it is told of, or it keeps the validator from going on, or it changes
//! nothing. Never is anything signed or acknowledged that the undamaged validator would not have.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use pds_tests::random::Random;
use rustix::process::Signal;

use crate::case::Injector;
use crate::journal::{self, Line};
use crate::regions::{self, Regions};
use crate::shim::Settings;
use crate::template::Layout;

/// A bit of a file.
#[derive(Clone, Debug)]
pub struct Flip {
    /// Relative to the validator's folder.
    pub file: PathBuf,
    /// Counts bits from the file's beginning, the lowest of each byte first.
    pub bit: usize,
}

/// What came of flips in one kind of bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row {
    /// Bits flipped.
    pub flips: usize,
    /// `fsck` named the place, or could not open the database.
    pub named: usize,
    /// The validator refused to start, or halted.
    pub refused: usize,
    /// Nobody noticed, and nothing was different.
    pub harmless: usize,
}

/// What came of all flips.
#[derive(Debug, Default)]
pub struct Report {
    /// By the kind of bytes; see [`regions`].
    pub rows: BTreeMap<String, Row>,
    /// Something was signed or answered that must not be, or is gone and nobody noticed.
    pub violations: Vec<String>,
}

/// Flips `each` bits, drawn by `seed`, in every kind of stored bytes.
///
/// # Errors
/// When a validator cannot be run at all.
pub fn run(injector: &Injector, each: usize, seed: u64) -> anyhow::Result<Report> {
    let mut random = Random::new(seed);
    let sound = told_by(injector, injector.fresh()?.path())?.0;
    ensure!(matches!(sound.last(), Some(Line::Ended)), "the undamaged validator does not come to its end");
    let mut report = Report::default();
    for (kind, places) in kinds(&injector.template.layout())? {
        let row = report.rows.entry(kind.clone()).or_default();
        for _ in 0..each {
            let flip = drawn(&places, &mut random);
            row.flips += 1;
            if let Err(error) = check(injector, &flip, &sound, row) {
                let place = format!("{kind}, bit {} of {}", flip.bit, flip.file.display());
                report.violations.push(format!("{place}: {error:#}"));
            }
        }
    }
    Ok(report)
}

/// What bytes are for, and where such bytes are: a file and the range in it.
type Kinds = BTreeMap<String, Vec<(PathBuf, std::ops::Range<usize>)>>;

/// All files with bytes in them, by what these are for.
fn kinds(layout: &Layout) -> anyhow::Result<Kinds> {
    let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for folder in ["data", "data/store", "keys"] {
        for entry in std::fs::read_dir(layout.0.join(folder))? {
            let path = entry?.path();
            let diary = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"LOG"));
            if diary || !path.is_file() {
                continue;
            }
            let found: Regions = regions::of(&path, &std::fs::read(&path)?)?;
            for (kind, ranges) in found {
                let file = path.strip_prefix(&layout.0)?.to_owned();
                let places =
                    ranges.into_iter().filter(|range| !range.is_empty()).map(|range| (file.clone(), range));
                kinds.entry(kind).or_default().extend(places);
            }
        }
    }
    kinds.retain(|_, places| !places.is_empty());
    Ok(kinds)
}

fn drawn(places: &[(PathBuf, std::ops::Range<usize>)], random: &mut Random) -> Flip {
    let (file, range) = &places[random.below(places.len() as u64) as usize];
    let byte = range.start + random.below(range.len() as u64) as usize;
    Flip { file: file.clone(), bit: byte * 8 + random.below(8) as usize }
}

fn check(injector: &Injector, flip: &Flip, sound: &[Line], row: &mut Row) -> anyhow::Result<()> {
    let folder = injector.fresh()?;
    let file = folder.path().join(&flip.file);
    let mut bytes = std::fs::read(&file)?;
    bytes[flip.bit / 8] ^= 1 << (flip.bit % 8);
    std::fs::write(&file, bytes)?;
    let copy = Layout(folder.path().to_owned()).copy()?;
    let named = !is_sound(injector, copy.path())?;
    let (told, ended) = told_by(injector, folder.path())?;
    let said = told.iter().filter(|line| matches!(line, Line::Acknowledged { .. } | Line::Head { .. }));
    let expected = sound.iter().filter(|line| matches!(line, Line::Acknowledged { .. } | Line::Head { .. }));
    ensure!(
        said.zip(expected).all(|(said, expected)| said == expected),
        "it signed what the undamaged validator does not sign"
    );
    let broken = told.iter().find(|line| matches!(line, Line::Broken(_)));
    let refused = !ended;
    ensure!(broken.is_none() || refused || named, "{broken:?}");
    row.named += usize::from(named);
    row.refused += usize::from(refused);
    if !named && !refused {
        injector.judge(folder.path()).context("nobody noticed, and not all is there")?;
        row.harmless += 1;
    }
    Ok(())
}

/// What a validator tells in a run of the scenario, and whether it came to its end without refusing or halting.
fn told_by(injector: &Injector, folder: &Path) -> anyhow::Result<(Vec<Line>, bool)> {
    let layout = Layout(folder.to_owned());
    let before = journal::read(&layout.journal())?.len();
    // The clock is the same in all runs, and with it every signature.
    let settings =
        Settings { clock: Some(injector.template.clock), seconds: Some(60), ..Settings::default() };
    let mut command = Command::new(&injector.program);
    command.arg("scenario").arg(layout.config()).arg(layout.journal()).arg(folder.join("trace")).arg("1");
    settings.apply(&mut command)?;
    let output = command.output().context("run the scenario")?;
    // RocksDB as Debian builds it has assertions, and ends so on some damage while it opens.
    let ended_itself =
        output.status.code().is_some() || output.status.signal() == Some(Signal::ABORT.as_raw());
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(ended_itself && !said.contains("panicked"), "the run ended with {}: {said}", output.status);
    let told = journal::read(&layout.journal())?.split_off(before);
    let stopped = told.iter().any(|line| matches!(line, Line::Refused(_) | Line::Halted(_)));
    Ok((told, output.status.success() && !stopped))
}

/// Whether `fsck` finds nothing.
fn is_sound(injector: &Injector, folder: &Path) -> anyhow::Result<bool> {
    let output =
        Command::new(&injector.program).arg("fsck").arg(folder.join("data")).output().context("run fsck")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!said.contains("panicked"), "fsck: {said}");
    Ok(output.status.success())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = "-".repeat(60);
        writeln!(f, "{:<20}{:>7}{:>8}{:>9}{:>10}\n{line}", "bytes", "flips", "named", "refused", "harmless")?;
        for (kind, Row { flips, named, refused, harmless }) in &self.rows {
            writeln!(f, "{kind:<20}{flips:>7}{named:>8}{refused:>9}{harmless:>10}")?;
        }
        let flips: usize = self.rows.values().map(|row| row.flips).sum();
        write!(f, "{line}\nbits flipped {flips}, violations {}", self.violations.len())
    }
}
