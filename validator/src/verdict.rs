//! What a verifier says of a property, with causes that a developer can act on.

use std::fmt;

/// Most causes that are written down; the rest is counted.
pub const MAX_CAUSES: usize = 16;

/// Whether a property holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// In every execution.
    Proved,
    /// Not known.
    Inconclusive,
    /// Not in those that get to what the first cause is of.
    Refuted,
}

/// A verdict and why it is not better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// What stands in the way, the worst first and then in order of instruction; at most [`MAX_CAUSES`].
    pub causes: Vec<Cause>,
    /// How many more there are.
    pub more: usize,
}

/// Something about one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The verdict it leads to.
    pub verdict: Verdict,
    /// The instruction, counted in slots from 0.
    pub slot: usize,
    /// Its line in the source, where debug information tells.
    pub line: Option<u32>,
    /// What is wrong.
    pub text: String,
    /// The registers involved and what is known of them, such as `r3: number [0,64]`.
    pub registers: Vec<String>,
}

impl Judgement {
    /// The verdict that all of some causes lead to.
    pub fn of(mut causes: Vec<Cause>) -> Self {
        let verdict = causes.iter().map(|cause| cause.verdict).max().unwrap_or(Verdict::Proved);
        causes.sort_by_key(|cause| (std::cmp::Reverse(cause.verdict), cause.slot));
        let more = causes.len().saturating_sub(MAX_CAUSES);
        causes.truncate(MAX_CAUSES);
        Self { verdict, causes, more }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {}", self.slot)?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        write!(f, ": {}", self.text)?;
        if self.registers.is_empty() { Ok(()) } else { write!(f, " ({})", self.registers.join("; ")) }
    }
}
