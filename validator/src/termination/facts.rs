//! What the abstract interpreter tells about a program's loops.
//!
//! Pure. Without its analysis, which may take too long, nothing is known: any number may be anywhere, and any call or store
//! may overwrite the stack.

use std::collections::{BTreeMap, BTreeSet};

use super::word::Place;
use crate::analysis::{Analysis, Id, Interval, State};
use crate::cfg::{Cfg, LoopId};
use crate::program::{Op, Operand, Program, Reg};

/// Most words of the stack that are followed; those behind them are unknown.
const MAX_SLOTS: usize = 64;

/// What is known of a program, for all its loops.
pub(super) struct Facts<'a> {
    pub program: &'a Program,
    pub cfg: &'a Cfg,
    analysis: Option<&'a Analysis<'a>>,
    /// Offsets from r10 of words that loops load or store; a bit each in sets of them.
    pub slots: Vec<i16>,
    /// The words that a call, or a store that is not to a known place, may overwrite.
    overwritten: BTreeMap<usize, u64>,
}

/// Places that may change, a bit each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes {
    pub registers: u16,
    pub slots: u64,
}

impl<'a> Facts<'a> {
    pub fn new(program: &'a Program, cfg: &'a Cfg, analysis: Option<&'a Analysis<'a>>) -> Self {
        let mut facts = Self { program, cfg, analysis, slots: Vec::new(), overwritten: BTreeMap::new() };
        let Some(analysis) = analysis else { return facts };
        let in_loops =
            |slot: &usize| cfg.block_of(*slot).is_some_and(|block| cfg.innermost_loop(block).is_some());
        let mut slots = BTreeSet::new();
        for (slot, op) in program.ops().filter(|(slot, _)| in_loops(slot)) {
            match (op, op.access()) {
                (_, Some((Reg::FRAME, offset, 8))) => {
                    slots.insert(offset);
                }
                (Op::Store { .. } | Op::Call, _) => {
                    facts.overwritten.insert(slot, u64::MAX);
                }
                _ => {}
            }
        }
        facts.slots = slots.into_iter().rev().take(MAX_SLOTS).collect();
        facts.find_kept(analysis);
        facts
    }

    /// Finds out which words calls and stores leave alone: those that the analysis knows under the same number before
    /// and after.
    fn find_kept(&mut self, analysis: &Analysis<'_>) {
        let stack_bytes = analysis.platform().limits.stack_bytes;
        let ids = |state: &State, slots: &[i16]| -> Vec<Option<Id>> {
            let word = |offset: &i16| state.stack_word(*offset, stack_bytes);
            // What is not initialised has no number of its own.
            slots
                .iter()
                .map(|offset| word(offset).map(|word| word.id).filter(|id| *id != Id::default()))
                .collect()
        };
        // Both known, and the same.
        let changed = |before: &[Option<Id>], after: &[Option<Id>]| {
            let pairs = before.iter().zip(after).enumerate();
            pairs
                .filter(|(_, (before, after))| before.is_none() || before != after)
                .fold(0, |bits, (n, _)| bits | 1 << n)
        };
        let mut pending: Option<(usize, Vec<Option<Id>>)> = None;
        let mut last: Vec<(usize, Vec<Option<Id>>)> = Vec::new();
        let mut kept = BTreeMap::new();
        let see = |slot: usize, state: &State| {
            let now = ids(state, &self.slots);
            if let Some((writer, before)) = pending.take() {
                if self.cfg.block_of(writer) == self.cfg.block_of(slot) {
                    kept.insert(writer, changed(&before, &now));
                } else {
                    last.push((writer, before));
                }
            }
            if self.overwritten.contains_key(&slot) {
                pending = Some((slot, now));
            }
        };
        analysis.walk(see, |_, _| {});
        // Those that end their block.
        for (writer, before) in last.into_iter().chain(pending) {
            let edges = self.cfg.block_of(writer).map(|block| analysis.edges(block)).unwrap_or_default();
            if let Some(Some(after)) = edges.first() {
                kept.insert(writer, changed(&before, &ids(after, &self.slots)));
            }
        }
        self.overwritten.extend(kept);
    }

    /// The words of the stack that an instruction may change, and the one that it sets to what it stores.
    pub fn stores(&self, slot: usize, op: &Op) -> (u64, Option<(usize, Operand)>) {
        let Op::Store { base: Reg::FRAME, offset, size, source } = *op else {
            let none = if matches!(op, Op::Store { .. } | Op::Call) { u64::MAX } else { 0 };
            return (self.overwritten.get(&slot).copied().unwrap_or(none), None);
        };
        let (start, end) = (i32::from(offset), i32::from(offset) + i32::from(size));
        let overlaps = |word: &i16| i32::from(*word) < end && i32::from(*word) + 8 > start;
        let hit = self.slots.iter().enumerate().filter(|(_, word)| overlaps(word));
        let whole = self.slots.iter().position(|word| *word == offset && size == 8);
        (hit.fold(0, |bits, (number, _)| bits | 1 << number), whole.map(|number| (number, source)))
    }

    /// What the blocks of a loop may change.
    pub fn changes(&self, id: LoopId) -> Changes {
        let mut changes = Changes::default();
        for block in self.cfg.loop_blocks(id) {
            for slot in self.cfg.block(*block).slots.clone() {
                let Some(op) = self.program.op(slot) else { continue };
                changes.registers |= op.writes().map_or(0, Reg::bit);
                if *op == Op::Call {
                    changes.registers |= Reg::arguments().fold(0, |bits, register| bits | register.bit());
                }
                changes.slots |= self.stores(slot, op).0;
            }
        }
        changes
    }

    /// What a side of the branch at a slot is, whenever it is executed.
    pub fn compared(&self, slot: usize, operand: Operand) -> Interval {
        match operand {
            Operand::Imm(value) => Interval::constant(i64::from(value) as u64),
            Operand::Reg(register) => {
                let state = self.analysis.and_then(|analysis| analysis.before(slot));
                state.map_or(Interval::FULL, |state| state.register(register).value.number())
            }
        }
    }

    /// What is known at the head of a loop in every round.
    pub fn head(&self, id: LoopId) -> Entry {
        let analysis = self
            .analysis
            .and_then(|analysis| Some((analysis, analysis.entry(self.cfg.natural_loop(id).head)?)));
        analysis.map_or_else(Entry::default, |(analysis, state)| Entry {
            states: vec![state.clone()],
            stack_bytes: analysis.platform().limits.stack_bytes,
        })
    }

    /// What is known when a loop is entered.
    pub fn entry(&self, id: LoopId) -> Entry {
        let Some(analysis) = self.analysis else { return Entry::default() };
        let head = self.cfg.natural_loop(id).head;
        let stack_bytes = analysis.platform().limits.stack_bytes;
        // Nothing is known where execution begins.
        if head == Cfg::ENTRY {
            return Entry::default();
        }
        let outside =
            self.cfg.block(head).predecessors.iter().filter(|from| !self.cfg.loop_contains(id, **from));
        let edges =
            outside.flat_map(|from| analysis.edges(*from).into_iter().zip(&self.cfg.block(*from).successors));
        let states = edges.filter(|(_, to)| **to == head).filter_map(|(state, _)| state).collect();
        Entry { states, stack_bytes }
    }
}

/// What is known on each of some ways to a loop's head.
#[derive(Default)]
pub(super) struct Entry {
    states: Vec<State>,
    stack_bytes: u16,
}

impl Entry {
    /// What a place holds.
    pub fn number(&self, place: Place) -> Interval {
        let number = |state: &State| match place {
            Place::Register(register) => state.register(register).value.number(),
            Place::Slot(offset) => {
                let word = state.stack_word(offset, self.stack_bytes);
                word.map_or(Interval::FULL, |word| word.value.number())
            }
        };
        self.states.iter().map(number).reduce(Interval::join).unwrap_or(Interval::FULL)
    }
}
