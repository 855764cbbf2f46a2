//! The property `termination`: a finite bound on the instructions of every execution; and `within-budget`, that it is a low one.
//!
//! Pure. A program without loops has one. A loop has one if on every way round it passes an exit whose test compares a
//! *counter*, a register or a word of the stack that moves by the same step in every round, with a limit, and must end the
//! loop whatever the helpers gave: because the counter, as the machine counts, wraps and all, cannot avoid the values that do.
//! The limit may change from round to round where it is an order that is tested, since the worst of its values is assumed
//! each time. What a test compares may have been copied, shifted by a constant, or cut to fewer bits. Loops in loops
//! multiply. Counting down a list, halving, and whatever is not understood is inconclusive; so is irreducible flow.
//!
//! Assumed: helpers and the operations they run return (see [`recursion`] for those that run each other);
//! what [`crate::analysis`] assumes of them; and that the pluglet is not changed while it runs.
//!
//! A bound may be astronomic, as of a 64-bit counter that may start anywhere: it is finite, and `within-budget` says no.

mod bound;
mod count;
mod counter;
mod facts;
mod formula;
pub mod recursion;
mod round;
mod rounds;
mod word;

use crate::analysis::Analysis;
use crate::cfg::{Cfg, Loop};
use crate::program::{Operand, Program, Reg};
use crate::verdict::{Cause, Judgement, Verdict};
pub use bound::{LoopBound, Reason, Unbounded};
pub use count::Count;
use facts::{Changes, Facts};
pub use word::Place;

/// Loops nested deeper than this are not looked into, since the work grows with it.
const MAX_DEPTH: usize = 16;

/// What is found out about a program's length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// Of the property, with a cause for each loop that has no bound.
    pub judgement: Judgement,
    /// Loops that have a bound, an outer one before those in it.
    pub loops: Vec<LoopBound>,
    /// Instructions executed, if every loop has one.
    pub count: Option<Count>,
}

/// Finds bounds for a program's loops. Without an analysis, which may take too much work, less is known.
pub fn verify(program: &Program, cfg: &Cfg, analysis: Option<&Analysis<'_>>) -> Termination {
    let flow = flow(cfg);
    if !flow.is_empty() {
        return Termination { judgement: Judgement::of(flow), loops: vec![], count: None };
    }
    let facts = Facts::new(program, cfg, analysis);
    let changes: Vec<Changes> = cfg.loops().map(|(id, _)| facts.changes(id)).collect();
    let (mut loops, mut causes) = (Vec::new(), Vec::new());
    for (id, _) in cfg.loops() {
        match bound::bound(&facts, id, &changes) {
            Ok(bound) => loops.push(bound),
            Err(unbounded) => causes.push(cause(&facts, unbounded)),
        }
    }
    let count = causes.is_empty().then(|| count::count(program, cfg, &loops));
    Termination { judgement: Judgement::of(causes), loops, count }
}

impl Termination {
    /// Whether the program never executes more than `budget` instructions; refuted when every way to an exit has more.
    pub fn within_budget(&self, budget: u64) -> Judgement {
        let cause = |verdict, text| Cause { verdict, slot: 0, line: None, text, registers: vec![] };
        let causes = match &self.count {
            None => self.judgement.causes.clone(),
            Some(count) if count.least > budget => {
                let text = format!(
                    "every way to an exit has {} instructions or more, the budget is {budget}",
                    count.least
                );
                vec![cause(Verdict::Refuted, text)]
            }
            Some(count) if count.most > budget => {
                let most = match (&count.formula, count.most) {
                    (Some(formula), _) => formula.clone(),
                    (None, u64::MAX) => "2^64-1 or more".to_owned(),
                    (None, most) => most.to_string(),
                };
                vec![cause(
                    Verdict::Inconclusive,
                    format!("up to {most} instructions, the budget is {budget}"),
                )]
            }
            Some(_) => vec![],
        };
        Judgement {
            more: if self.count.is_none() { self.judgement.more } else { 0 },
            ..Judgement::of(causes)
        }
    }
}

/// What makes a flow one that is not looked into.
fn flow(cfg: &Cfg) -> Vec<Cause> {
    let cause = |slot, text: &str| Cause {
        verdict: Verdict::Inconclusive,
        slot,
        line: None,
        text: text.to_owned(),
        registers: vec![],
    };
    let irreducible = cfg.irreducible_edges().map(|(_, to)| {
        cause(cfg.block(to).slots.start, "irreducible flow: a loop that is entered here, and elsewhere too")
    });
    let is_deep = |natural: &Loop| natural.depth == MAX_DEPTH + 1;
    let deep = cfg
        .loops()
        .filter(|(_, natural)| is_deep(natural))
        .map(|(_, natural)| cause(cfg.block(natural.head).slots.start, "loops are nested too deep"));
    irreducible.chain(deep).collect()
}

fn cause(facts: &Facts<'_>, unbounded: Unbounded) -> Cause {
    let Unbounded { head, test, reason, registers } = unbounded;
    let at = test.map_or_else(String::new, |test| format!(", at the exit at instruction {test}"));
    let text = format!("no bound is found for the loop that begins here: {reason}{at}");
    let describe = |register: &Reg| {
        let numbers = facts.compared(test.unwrap_or(head), Operand::Reg(*register));
        format!("{register}: {numbers}")
    };
    let registers = registers.iter().map(describe).collect();
    Cause { verdict: Verdict::Inconclusive, slot: head, line: None, text, registers }
}
