//! From what single instructions do to what holds before each, in every execution.
//!
//! Pure. Blocks are executed in reverse postorder until nothing changes; where a retreating edge leads, bounds that still grow
//! are widened to the program's own constants. What widening gave away is then taken back, as far as two more rounds do
//! (Cousot and Cousot 1977).

use std::collections::BTreeSet;

use super::interval::Thresholds;
use super::liveness::live;
use super::machine::{Flow, Machine};
use super::report::Sink;
use super::state::State;
use crate::cfg::{BlockId, Cfg};
use crate::program::{Op, Operand, Program};

/// How often paths may meet at a loop's head before bounds are widened there.
const PATIENCE: usize = 3;
/// Rounds that take back what widening gave away.
const NARROWING_ROUNDS: usize = 2;

/// The work that may go into one program ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the analysis of the program takes more than {0} steps")]
pub struct Exhausted(pub usize);

/// What holds at a block's end on each of its edges, in the order of its successors.
type Edges = Vec<Option<State>>;

pub(super) struct Fixpoint<'a, 'b> {
    machine: &'b Machine<'a>,
    cfg: &'b Cfg,
    thresholds: Thresholds,
    /// Registers that may still be read from each block's beginning on.
    live: Vec<u16>,
    /// What holds at each block's beginning; `None` where no execution gets.
    entries: Vec<Option<State>>,
    steps: usize,
    limit: usize,
}

/// What holds at each block's beginning.
pub(super) fn solve(machine: &Machine<'_>, cfg: &Cfg, limit: usize) -> Result<Vec<Option<State>>, Exhausted> {
    let thresholds = Thresholds::new(constants(machine.program));
    let live = live(machine.program, cfg, machine.platform);
    let mut fixpoint =
        Fixpoint { machine, cfg, thresholds, live, entries: vec![None; cfg.len()], steps: 0, limit };
    fixpoint.ascend()?;
    fixpoint.narrow()?;
    Ok(fixpoint.entries)
}

/// Executes a block on what holds at its beginning.
pub(super) fn edges(machine: &Machine<'_>, cfg: &Cfg, block: BlockId, entry: &State) -> Edges {
    let block = cfg.block(block);
    let mut state = entry.clone();
    for slot in block.slots.clone() {
        let Some(op) = machine.program.op(slot) else { continue };
        if machine.step(slot, op, &mut state, &mut Sink::silent()) == Flow::Ends {
            return vec![None; block.successors.len()];
        }
    }
    match machine.program.op(block.last) {
        Some(&Op::Branch { condition, left, right, .. }) => [false, true]
            .into_iter()
            .map(|taken| {
                let mut state = state.clone();
                machine.branch(condition, left, right, taken, &mut state).then_some(state)
            })
            .collect(),
        _ => block.successors.iter().map(|_| Some(state.clone())).collect(),
    }
}

impl Fixpoint<'_, '_> {
    fn ascend(&mut self) -> Result<(), Exhausted> {
        self.entries[Cfg::ENTRY.0] = Some(self.machine.entry().canonical());
        let mut meetings = vec![0; self.cfg.len()];
        let mut open = BTreeSet::from([Cfg::ENTRY]);
        while let Some(block) = open.pop_first() {
            let edges = self.edges(block)?;
            for (state, to) in edges.into_iter().zip(&self.cfg.block(block).successors) {
                let Some(mut state) = state else { continue };
                state.forget_all_but(self.live[to.0]);
                self.spend(state.weight())?;
                let is_retreating = *to <= block;
                meetings[to.0] += usize::from(is_retreating);
                let joined = match &self.entries[to.0] {
                    None => state.canonical(),
                    Some(before) => {
                        let widens = is_retreating && meetings[to.0] > PATIENCE;
                        before.join(&state, widens.then_some(&self.thresholds))
                    }
                };
                if self.entries[to.0].as_ref() != Some(&joined) {
                    self.entries[to.0] = Some(joined);
                    open.insert(*to);
                }
            }
        }
        Ok(())
    }

    /// What holds at each beginning, executed once more, holds there too, and may say more.
    fn narrow(&mut self) -> Result<(), Exhausted> {
        if !self.cfg.blocks().any(|(block, _)| self.cfg.is_retreat_target(block)) {
            return Ok(());
        }
        let mut edges: Vec<Edges> = Vec::with_capacity(self.cfg.len());
        for (block, _) in self.cfg.blocks() {
            edges.push(self.edges(block)?);
        }
        for _ in 0..NARROWING_ROUNDS {
            for (id, block) in self.cfg.blocks() {
                let mut entry = (id == Cfg::ENTRY).then(|| self.machine.entry().canonical());
                for from in &block.predecessors {
                    let arriving = edges[from.0].iter().zip(&self.cfg.block(*from).successors);
                    for state in arriving.filter(|(_, to)| **to == id).filter_map(|(state, _)| state.as_ref())
                    {
                        let mut state = state.clone();
                        state.forget_all_but(self.live[id.0]);
                        let joined = entry.map(|entry| entry.join(&state, None));
                        entry = Some(joined.unwrap_or_else(|| state.canonical()));
                    }
                }
                self.spend(entry.as_ref().map_or(0, State::weight))?;
                self.entries[id.0] = entry;
                edges[id.0] = self.edges(id)?;
            }
        }
        Ok(())
    }

    fn edges(&mut self, block: BlockId) -> Result<Edges, Exhausted> {
        let Some(entry) = &self.entries[block.0] else {
            return Ok(vec![None; self.cfg.block(block).successors.len()]);
        };
        let steps = self.cfg.block(block).slots.len() + entry.weight();
        let edges = edges(self.machine, self.cfg, block, entry);
        self.spend(steps)?;
        Ok(edges)
    }

    fn spend(&mut self, steps: usize) -> Result<(), Exhausted> {
        self.steps += steps;
        if self.steps > self.limit { Err(Exhausted(self.limit)) } else { Ok(()) }
    }
}

/// The constants of a program: where its loops may end.
fn constants(program: &Program) -> impl Iterator<Item = i64> {
    program.ops().filter_map(|(_, op)| match *op {
        Op::Alu { source: Operand::Imm(value), .. }
        | Op::Store { source: Operand::Imm(value), .. }
        | Op::Branch { right: Operand::Imm(value), .. } => Some(value.into()),
        Op::LoadImm { value, .. } => Some(value as i64),
        _ => None,
    })
}
