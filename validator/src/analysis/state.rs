//! What is known before an instruction: registers, the frame, allocations.
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use super::frame::Frame;
use super::interval::{Interval, Thresholds};
use super::value::{Allocation, Id, Known, Pointer, Region, Taint, Value, Word};
use crate::platform::HandleId;
use crate::program::Reg;

/// What is known before an instruction, of every execution that gets there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    registers: [Word; Reg::COUNT],
    /// The stack frame.
    pub frame: Frame,
    /// What became of the pluglet's own allocations.
    pub allocations: BTreeMap<Allocation, Memory>,
    /// Whether others may hold an address in the frame.
    pub frame_escaped: bool,
    /// Whether memory may have been written through a pointer that is not known to be good: allocations and the host's
    /// memory may then be anything.
    pub corrupted: bool,
    /// Words of the plugin's contract that lead to memory whose address was given to somebody besides.
    pub(super) shared: BTreeSet<u16>,
    /// Whether that may be so of any of them.
    pub(super) shared_any: bool,
    /// Above all ids in use.
    next_id: u32,
}

/// What became of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Its bytes.
    pub bytes: Interval,
    /// Whether it was freed.
    pub freed: Known,
    /// Whether others may hold its address, and free it when they get to run.
    pub escaped: bool,
}

impl Memory {
    fn join(self, other: Self, bytes: Interval) -> Self {
        Self { bytes, freed: self.freed.join(other.freed), escaped: self.escaped || other.escaped }
    }
}

impl State {
    /// Nothing is known but where the frame ends.
    pub(super) fn new(frame_bytes: u16) -> Self {
        let uninitialised = Word::new(Value::Uninitialised, Id(0));
        let mut state = Self {
            registers: [uninitialised; Reg::COUNT],
            frame: Frame::new(frame_bytes),
            allocations: BTreeMap::new(),
            frame_escaped: false,
            corrupted: false,
            shared: BTreeSet::new(),
            shared_any: false,
            next_id: 1,
        };
        let base = state.fresh_id();
        state.set(Reg::FRAME, Value::Pointer(Pointer::to(Region::Frame, false, base)));
        state
    }

    /// What is known of a register.
    pub fn register(&self, register: Reg) -> Word {
        self.registers[register.index()]
    }

    /// The registers that hold the same word.
    pub fn copies(&self, id: Id) -> impl Iterator<Item = Reg> {
        (0..Reg::COUNT as u8).filter_map(Reg::new).filter(move |register| self.register(*register).id == id)
    }

    /// What an aligned or unaligned word of the frame is known to hold, `offset` being from r10; `None` when not one store,
    /// and nothing after it, made it what it is.
    pub fn stack_word(&self, offset: i16, frame_bytes: u16) -> Option<Word> {
        let at = u16::try_from(i32::from(frame_bytes) + i32::from(offset)).ok()?;
        self.frame.load(at, 8)
    }

    pub(super) fn fresh_id(&mut self) -> Id {
        let id = Id(self.next_id);
        self.next_id += 1;
        id
    }

    /// Sets a register to a value of its own.
    pub(super) fn set(&mut self, register: Reg, value: Value) {
        let id = self.fresh_id();
        self.set_word(register, Word::new(value, id));
    }

    /// Sets a register to a word there is already.
    pub(super) fn set_word(&mut self, register: Reg, word: Word) {
        self.registers[register.index()] = word;
    }

    /// What the call of a helper leaves in r1 to r5.
    pub(super) fn lose_arguments(&mut self) {
        for register in &mut self.registers[1..=5] {
            *register = Word::new(Value::Uninitialised, Id(0));
        }
    }

    /// Drops what is known of registers that are not read any more.
    pub(super) fn forget_all_but(&mut self, live: u16) {
        for (index, register) in self.registers.iter_mut().enumerate() {
            if live & 1 << index == 0 {
                *register = Word::new(Value::Uninitialised, Id(0));
            }
        }
    }

    fn words_mut(&mut self) -> impl Iterator<Item = &mut Word> {
        self.registers.iter_mut().chain(self.frame.cells.values_mut().map(|cell| &mut cell.word))
    }

    /// A word turned out to be `value`, and so did its copies.
    pub(super) fn refine(&mut self, id: Id, value: Value) {
        for word in self.words_mut().filter(|word| word.id == id && word.value != Value::Uninitialised) {
            word.value = value;
        }
    }

    /// Pointers with this base turned out to be null or not; a null one is its offset.
    pub(super) fn refine_null(&mut self, base: Id, null: bool) {
        for word in self.words_mut() {
            let Value::Pointer(pointer) = &mut word.value else { continue };
            if pointer.base == base && pointer.nullable {
                if null {
                    word.value = Value::Scalar(pointer.offset);
                } else {
                    pointer.nullable = false;
                }
            }
        }
    }

    /// The latest allocation of a site is about to be followed by another: it joins the older ones.
    fn retire(&mut self, site: usize) {
        let (latest, older) = (Allocation { site, older: false }, Allocation { site, older: true });
        let Some(memory) = self.allocations.remove(&latest) else { return };
        let joined = match self.allocations.get(&older) {
            Some(before) => before.join(memory, before.bytes.join(memory.bytes)),
            None => memory,
        };
        self.allocations.insert(older, joined);
        self.frame.rename(Region::Allocation(latest), Region::Allocation(older));
        for word in self.words_mut() {
            if let Value::Pointer(pointer) = &mut word.value
                && pointer.region == Region::Allocation(latest)
            {
                pointer.region = Region::Allocation(older);
            }
        }
    }

    /// Sets r0 to new memory, which joins what earlier calls at this place gave.
    pub(super) fn allocate(&mut self, site: usize, bytes: Interval, nullable: bool) {
        self.retire(site);
        let allocation = Allocation { site, older: false };
        self.allocations.insert(allocation, Memory { bytes, freed: Known::Never, escaped: false });
        let base = self.fresh_id();
        self.set(Reg::R0, Value::Pointer(Pointer::to(Region::Allocation(allocation), nullable, base)));
    }

    /// A word was given to somebody who may use it later.
    pub(super) fn escape(&mut self, value: Value) {
        self.frame_escaped |= value.taint() == Taint::Frame;
        self.lose_track(value);
    }

    /// The program made a number of what may be an address: it may be one again.
    pub(super) fn lose_track(&mut self, value: Value) {
        match value {
            Value::MaybeOwn | Value::MaybeFrame => self.lose_track_of_all(),
            _ => value.region().into_iter().for_each(|region| self.lose_track_of(region)),
        }
    }

    fn lose_track_of_all(&mut self) {
        self.allocations.values_mut().for_each(|memory| memory.escaped = true);
        self.shared_any = true;
    }

    /// Somebody may know what some bytes of the frame hold, or a part of it.
    pub(super) fn escape_bytes(&mut self, bytes: &Range<u16>) {
        for region in self.frame.regions_in(bytes) {
            self.frame_escaped |= region == Region::Frame;
            self.lose_track_of(region);
        }
        if self.frame.may_hold_own(bytes) {
            self.lose_track_of_all();
        }
    }

    fn lose_track_of(&mut self, region: Region) {
        match region {
            Region::Allocation(allocation) => {
                if let Some(memory) = self.allocations.get_mut(&allocation) {
                    memory.escaped = true;
                }
            }
            Region::Metadata { word, .. } => {
                self.shared.insert(word);
            }
            Region::Frame | Region::Data { .. } | Region::Host(_) => {}
        }
    }

    /// An allocation was put into a word of the plugin's contract: it is what is found there from now on.
    pub(super) fn keep(&mut self, allocation: Allocation, word: u16, bytes: u32) {
        let (before, after) = (Region::Allocation(allocation), Region::Metadata { word, bytes });
        self.frame.rename(before, after);
        for one in self.words_mut() {
            if let Value::Pointer(pointer) = &mut one.value
                && pointer.region == before
            {
                pointer.region = after;
            }
        }
    }

    /// Memory was written through a pointer that may lead anywhere.
    pub(super) fn corrupt(&mut self) {
        self.corrupted = true;
        self.frame.may_write_all();
    }

    /// The address of an allocation was given back to its allocator.
    pub(super) fn free(&mut self, allocation: Allocation) {
        if let Some(memory) = self.allocations.get_mut(&allocation) {
            // Of the older ones it is one of many.
            memory.freed = if allocation.older { Known::Maybe } else { Known::Always };
        }
    }

    /// Something was freed, and nobody knows what.
    pub(super) fn free_any(&mut self) {
        for memory in self.allocations.values_mut() {
            memory.freed = memory.freed.join(Known::Maybe);
        }
    }

    /// Others got to run, who may free what they know of.
    pub(super) fn free_escaped(&mut self) {
        // Who may read the frame knows of all that are there.
        let is_known = |memory: &Memory| memory.escaped || self.frame_escaped;
        for memory in self.allocations.values_mut().filter(|memory| is_known(memory)) {
            memory.freed = memory.freed.join(Known::Maybe);
        }
    }

    /// Pointers of these kinds may be dangling.
    pub(super) fn forget_handles(&mut self, stale: &BTreeSet<HandleId>) {
        for word in self.words_mut() {
            if let Value::Pointer(Pointer { region: Region::Host(handle), .. }) = word.value
                && stale.contains(&handle)
            {
                word.value = Value::Unknown;
            }
        }
    }

    /// What holds whichever of two paths was taken. With `thresholds`, and `self` what was known before, a chain of such
    /// steps soon ends.
    pub(super) fn join(&self, other: &Self, thresholds: Option<&Thresholds>) -> Self {
        let mut joiner = Joiner { ids: HashMap::new(), thresholds };
        let mut registers = self.registers;
        for (mine, other) in registers.iter_mut().zip(other.registers) {
            *mine = joiner.word(*mine, other);
        }
        let frame = self.frame.join(&other.frame, |mine, other| joiner.word(mine, other));
        let mut allocations = self.allocations.clone();
        for (allocation, other) in &other.allocations {
            let joined = match allocations.get(allocation) {
                Some(mine) => mine.join(*other, joiner.interval(mine.bytes, other.bytes)),
                None => *other,
            };
            allocations.insert(*allocation, joined);
        }
        Self {
            registers,
            frame,
            allocations,
            frame_escaped: self.frame_escaped || other.frame_escaped,
            corrupted: self.corrupted || other.corrupted,
            shared: self.shared.union(&other.shared).copied().collect(),
            shared_any: self.shared_any || other.shared_any,
            next_id: joiner.ids.len() as u32 + 1,
        }
    }

    /// The same with ids as a join leaves them.
    pub(super) fn canonical(&self) -> Self {
        self.join(self, None)
    }

    /// How much there is to copy and to compare.
    pub(super) fn weight(&self) -> usize {
        Reg::COUNT + self.frame.cells.len() + self.allocations.len()
    }
}

/// Joins the words of two states, which have ids of their own.
struct Joiner<'a> {
    ids: HashMap<(Id, Id), Id>,
    thresholds: Option<&'a Thresholds>,
}

impl Joiner<'_> {
    /// Words that are equal on both paths are equal afterwards.
    fn id(&mut self, mine: Id, other: Id) -> Id {
        let next = Id(self.ids.len() as u32 + 1);
        *self.ids.entry((mine, other)).or_insert(next)
    }

    fn interval(&self, mine: Interval, other: Interval) -> Interval {
        match self.thresholds {
            Some(thresholds) => mine.widen(other, thresholds),
            None => mine.join(other),
        }
    }

    fn word(&mut self, mine: Word, other: Word) -> Word {
        let value = self.value(mine.value, other.value);
        if value == Value::Uninitialised {
            return Word::new(value, Id(0));
        }
        let id = self.id(mine.id, other.id);
        Word::new(value, id)
    }

    fn value(&mut self, mine: Value, other: Value) -> Value {
        match (mine, other) {
            (Value::Uninitialised, _) | (_, Value::Uninitialised) => Value::Uninitialised,
            (Value::Scalar(mine), Value::Scalar(other)) => Value::Scalar(self.interval(mine, other)),
            (Value::Pointer(mine), Value::Pointer(other)) if mine.region == other.region => {
                Value::Pointer(Pointer {
                    region: mine.region,
                    offset: self.interval(mine.offset, other.offset),
                    nullable: mine.nullable || other.nullable,
                    base: self.id(mine.base, other.base),
                })
            }
            // A null pointer is its offset.
            (Value::Pointer(pointer), Value::Scalar(number)) if number == pointer.offset => {
                let base = self.id(pointer.base, Id(0));
                Value::Pointer(Pointer { nullable: true, base, ..pointer })
            }
            (Value::Scalar(number), Value::Pointer(pointer)) if number == pointer.offset => {
                let base = self.id(Id(0), pointer.base);
                Value::Pointer(Pointer { nullable: true, base, ..pointer })
            }
            _ => Value::unknown(mine.taint().max(other.taint())),
        }
    }
}
