//! The properties `memory`, `memory-monitored` and `memory-calls`: a pluglet keeps to its memory.
//!
//! Pure. What each says when it is *proved*, under the assumptions of [`analysis`](crate::analysis):
//!
//! - `memory`: every load and store of the pluglet's own code is within its stack frame, memory that it allocated in this run
//!   and has not freed, not null and of known size, memory that the plugin's contract says a word of metadata leads to, or
//!   (loads only) read-only data; and loads of stack read what was written.
//! - `memory-monitored`: that holds of every access through an address of the stack frame or of read-only data. Other accesses
//!   go through pointers that are loaded, given by the host or allocated, and are left to the platform's run-time monitor,
//!   which looks at each as far as the platform says (PQUIC's only at the first byte). No address of the frame is where such
//!   a pointer could be one unseen. On a platform without a monitor it is the same as `memory`.
//! - `memory-calls`: `memory`, and every argument of every call is what the platform's table asks for: memory long enough,
//!   initialised where it is read, not null where it must not be, host pointers of the right kind and not dangling, numbers
//!   in range.
//!
//! *Refuted* means that some instruction does it wrong in every execution that gets there, as far as can be known without
//! running it. Whether it is ever reached is not asked. Out of scope: what a value means, leaks of memory, and memory that
//! other pluglets own.

use crate::analysis::{Access, Analysis, Finding, Grade, State, Subject};
use crate::program::Reg;
use crate::verdict::{Cause, Judgement, Verdict};

/// What was found of a pluglet's memory accesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryReport {
    /// The property `memory`.
    pub memory: Judgement,
    /// The property `memory-monitored`.
    pub monitored: Judgement,
    /// The property `memory-calls`.
    pub calls: Judgement,
    /// Loads and stores that can be reached.
    pub accesses: Tally,
    /// Divisions that end the pluglet if their divisor is zero, which it may be.
    pub divisions: Vec<Cause>,
}

/// How many accesses are how good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Proved.
    pub proved: usize,
    /// Left to the monitor.
    pub left: usize,
    /// Neither, and not wrong for certain.
    pub unproved: usize,
    /// Wrong.
    pub bad: usize,
}

/// Judges a pluglet's memory accesses.
pub fn memory(analysis: &Analysis<'_>) -> MemoryReport {
    let mut accesses = Tally::default();
    let (mut own, mut unmonitored, mut calls, mut divisions) = (vec![], vec![], vec![], vec![]);
    analysis.walk(
        |_, _| {},
        |state, finding| {
            let verdict = match finding.grade {
                Grade::Proved => Verdict::Proved,
                Grade::Left | Grade::Unproved => Verdict::Inconclusive,
                Grade::Bad => Verdict::Refuted,
            };
            if matches!(finding.subject, Subject::Access(..)) {
                accesses.count(finding.grade);
            }
            if verdict == Verdict::Proved {
                return;
            }
            let cause = cause(analysis, state, &finding, verdict);
            match finding.subject {
                Subject::Access(..) => {
                    if finding.grade != Grade::Left {
                        unmonitored.push(cause.clone());
                    }
                    own.push(cause);
                }
                Subject::Argument { .. } => calls.push(cause),
                Subject::Division(_) => divisions.push(cause),
            }
        },
    );
    calls.extend(own.iter().cloned());
    MemoryReport {
        memory: Judgement::of(own),
        monitored: Judgement::of(unmonitored),
        calls: Judgement::of(calls),
        accesses,
        divisions,
    }
}

impl Tally {
    fn count(&mut self, grade: Grade) {
        *match grade {
            Grade::Proved => &mut self.proved,
            Grade::Left => &mut self.left,
            Grade::Unproved => &mut self.unproved,
            Grade::Bad => &mut self.bad,
        } += 1;
    }
}

fn cause(analysis: &Analysis<'_>, state: &State, finding: &Finding, verdict: Verdict) -> Cause {
    let slot = finding.slot;
    let describe = |register: Reg| analysis.describe(state, register);
    let helper = || analysis.program().helper(slot).unwrap_or_default();
    let (text, registers) = match &finding.subject {
        Subject::Access(Access { base, offset, size, is_store }, wrong) => {
            let kind = if *is_store { "store" } else { "load" };
            let wrong = wrong.map(|wrong| wrong.to_string()).unwrap_or_default();
            (format!("the {kind} of {size} bytes at {base}{offset:+} {wrong}"), vec![describe(*base)])
        }
        Subject::Division(divisor) => {
            (format!("{divisor} may be zero, which ends the pluglet"), vec![describe(*divisor)])
        }
        Subject::Argument { register, part, cause } => {
            let register_name = register.map(|register| register.to_string());
            let names: Vec<String> = register_name.into_iter().chain(part.clone()).collect();
            let what = if names.is_empty() { String::new() } else { format!(" with {}", names.join(", ")) };
            let registers = register.iter().map(|register| describe(*register)).collect();
            (format!("the call of {}{what}: {cause}", helper()), registers)
        }
    };
    Cause { verdict, slot, line: None, text, registers }
}
