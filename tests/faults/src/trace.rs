//! The points that a run came by, as the shim wrote them down, with the scenario's own marks between them.

use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::plan::Point;

/// From here on the validator had halted.
pub const HALTED: &str = "halted";
/// From here on the scenario only closed what it had opened.
pub const CLOSING: &str = "closing";

/// A line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A call on a watched file.
    Call {
        /// Where.
        point: Point,
        /// Whether something went wrong here.
        faulty: bool,
        /// The file's name.
        file: String,
    },
    /// What the scenario was at.
    Mark(String),
}

/// Reads a trace; an empty one if there is no file.
///
/// # Errors
/// When it is malformed or cannot be read.
pub fn read(file: &Path) -> anyhow::Result<Vec<Event>> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        other => other.with_context(|| format!("read {}", file.display()))?,
    };
    text.lines().map(|line| event(line).with_context(|| format!("{}: {line}", file.display()))).collect()
}

/// Appends a mark to a trace.
///
/// # Errors
/// The system's.
pub fn mark(file: &Path, mark: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::options().append(true).create(true).open(file)?;
    file.write_all(format!("mark {mark}\n").as_bytes())
}

/// The points of a trace, in the order in which they came.
pub fn points(events: &[Event]) -> impl Iterator<Item = &Point> {
    events.iter().filter_map(|event| match event {
        Event::Call { point, .. } => Some(point),
        Event::Mark(_) => None,
    })
}

/// How many faults were injected.
pub fn injected(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Call { faulty: true, .. })).count()
}

fn event(line: &str) -> Option<Event> {
    if let Some(mark) = line.strip_prefix("mark ") {
        return Some(Event::Mark(mark.to_owned()));
    }
    let mut words = line.strip_prefix("point ")?.splitn(5, ' ');
    let mut word = || words.next().map(str::to_owned);
    let (class, operation) = (word()?, word()?);
    let point = Point { class, operation, ordinal: word()?.parse().ok()? };
    Some(Event::Call { point, faulty: word()? != "nothing", file: word()? })
}
