//! One round of a loop: what becomes of the places from its head to its end.
//!
//! Pure.

use std::collections::BTreeMap;

use super::facts::{Changes, Entry, Facts};
use super::word::{Place, Word, Words};
use crate::cfg::{BlockId, LoopId};
use crate::program::{AluOp, Op, Reg, Width};

/// What places hold at the end of each block of a loop, in terms of what they held at its head.
pub(super) struct Round {
    /// At the end of each block, before its branch is taken.
    ends: BTreeMap<BlockId, Words>,
    /// On every way back to the head.
    next: Option<Words>,
    slots: Vec<i16>,
}

impl Round {
    /// Follows one round of a loop. Of an inner loop nothing is known but what it leaves alone.
    pub fn new(facts: &Facts<'_>, id: LoopId, entry: &Entry, changes: &[Changes]) -> Self {
        let cfg = facts.cfg;
        let head = cfg.natural_loop(id).head;
        let mut ends: BTreeMap<BlockId, Words> = BTreeMap::new();
        let mut blocks = cfg.loop_blocks(id).to_vec();
        blocks.sort_unstable();
        for block in blocks {
            let mut words = if block == head {
                at_head(facts, entry, changes[id.0])
            } else {
                let before = cfg.block(block).predecessors.iter().filter(|from| **from < block);
                let mut before = before.filter_map(|from| ends.get(from));
                let Some(mut words) = before.next().cloned() else { continue };
                before.for_each(|other| words.meet(other));
                words
            };
            let inner = cfg.innermost_loop(block).filter(|inner| *inner != id);
            if let Some(inner) = inner.filter(|inner| cfg.natural_loop(*inner).head == block) {
                words.forget(changes[inner.0]);
            }
            for slot in cfg.block(block).slots.clone() {
                if let Some(op) = facts.program.op(slot) {
                    step(facts, slot, op, &mut words);
                }
            }
            ends.insert(block, words);
        }
        let mut latches = cfg.natural_loop(id).latches.iter().map(|latch| ends.get(latch));
        let next = latches.next().flatten().cloned().and_then(|mut next| {
            for latch in latches {
                next.meet(latch?);
            }
            Some(next)
        });
        Self { ends, next, slots: facts.slots.clone() }
    }

    /// At the end of a block.
    pub fn end(&self, block: BlockId) -> Option<&Words> {
        self.ends.get(&block)
    }

    /// What a place holds when the next round begins.
    pub fn next(&self, place: Place) -> Option<Word> {
        let next = self.next.as_ref()?;
        match place {
            Place::Register(register) => next.register(register),
            Place::Slot(offset) => next.slot(self.slots.iter().position(|slot| *slot == offset)?),
        }
    }

    /// Whether a word is the same in every round.
    pub fn is_fixed(&self, word: Word) -> bool {
        word.base.is_none_or(|place| self.next(place) == Some(Word::at_head(place)))
    }
}

/// Every place holds what it holds; of those that the loop leaves alone that may be known.
fn at_head(facts: &Facts<'_>, entry: &Entry, changes: Changes) -> Words {
    let mut words = Words::at_head(&facts.slots);
    for register in Reg::all().filter(|register| changes.registers & register.bit() == 0) {
        if let Some(value) = entry.number(Place::Register(register)).as_constant() {
            words.set(register, Some(Word::constant(value)));
        }
    }
    words
}

impl Words {
    fn forget(&mut self, changes: Changes) {
        for register in Reg::all().filter(|register| changes.registers & register.bit() != 0) {
            self.set(register, None);
        }
        self.forget_slots(changes.slots);
    }

    fn forget_slots(&mut self, slots: u64) {
        for number in (0..self.slot_count()).filter(|number| slots & 1 << number != 0) {
            self.set_slot(number, None);
        }
    }
}

fn step(facts: &Facts<'_>, slot: usize, op: &Op, words: &mut Words) {
    let result = match *op {
        Op::Alu { operation: AluOp::Move, width: Width::W64, source, .. } => words.operand(source),
        // uBPF's compiler moves all of a register even so.
        Op::Alu { operation: AluOp::Move, source, .. } => {
            let word = words.operand(source).filter(|_| source.register().is_none());
            word.and_then(Word::as_constant).map(|value| Word::constant(value & u64::from(u32::MAX)))
        }
        Op::Alu { operation, width, dst, source } => {
            let pair = words.register(dst).zip(words.operand(source));
            pair.and_then(|(left, right)| left.alu(operation, width, right))
        }
        Op::LoadImm { value, .. } if facts.program.data(slot).is_none() => Some(Word::constant(value)),
        Op::Load { base: Reg::FRAME, offset, size: 8, .. } => {
            facts.slots.iter().position(|slot| *slot == offset).and_then(|number| words.slot(number))
        }
        _ => None,
    };
    let (hit, whole) = facts.stores(slot, op);
    let stored = whole.map(|(number, source)| (number, words.operand(source)));
    words.forget_slots(hit);
    if let Some((number, word)) = stored {
        words.set_slot(number, word);
    }
    if *op == Op::Call {
        Reg::arguments().for_each(|register| words.set(register, None));
    }
    if let Some(dst) = op.writes() {
        words.set(dst, result);
    }
}
