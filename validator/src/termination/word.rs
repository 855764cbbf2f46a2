//! Words in terms of what the places at a loop's head hold when a round begins.
//!
//! Pure. A word is followed as long as it is such a word or a constant, plus a constant, perhaps cut to fewer bits: what
//! compilers do to counters. All else is unknown.

use std::fmt;

use crate::program::{AluOp, Operand, Reg, Width};

/// Where a word is kept from one round of a loop to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A register.
    Register(Reg),
    /// The 8 bytes of the stack at this offset from r10.
    Slot(i16),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(register) => write!(f, "{register}"),
            Self::Slot(offset) => write!(f, "*(r10{offset:+})"),
        }
    }
}

/// A word: `view(base + add) + more`, modulo 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// What the place held when the round began; 0 without one.
    pub base: Option<Place>,
    pub add: u64,
    pub view: View,
    /// Zero unless the view is `Zero` or `Sign`.
    pub more: u64,
}

/// Which bits of a sum a word has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Whole,
    /// So many lower bits, zeros above; fewer than 64.
    Zero(u32),
    /// So many lower bits, copies of the highest of them above; fewer than 64.
    Sign(u32),
    /// All bits, so many to the left.
    Left(u32),
}

impl View {
    /// How many lower bits of the word are those of the sum plus `more`.
    pub fn bits(self) -> u32 {
        match self {
            Self::Whole => u64::BITS,
            Self::Zero(bits) | Self::Sign(bits) => bits,
            Self::Left(_) => 0,
        }
    }
}

impl Word {
    pub const fn constant(value: u64) -> Self {
        Self { base: None, add: value, view: View::Whole, more: 0 }
    }

    pub const fn at_head(place: Place) -> Self {
        Self { base: Some(place), add: 0, view: View::Whole, more: 0 }
    }

    /// The number, if it is one whatever the places hold.
    pub fn as_constant(self) -> Option<u64> {
        (self.base.is_none() && self.view == View::Whole).then_some(self.add)
    }

    fn plus(self, number: u64) -> Option<Self> {
        match self.view {
            View::Whole => Some(Self { add: self.add.wrapping_add(number), ..self }),
            View::Zero(_) | View::Sign(_) => Some(Self { more: self.more.wrapping_add(number), ..self }),
            // A sum may be shifted as a whole.
            View::Left(bits) if number.trailing_zeros() >= bits => {
                Some(Self { add: self.add.wrapping_add(number >> bits), ..self })
            }
            View::Left(_) => None,
        }
    }

    /// The lower `bits`, fewer than 64, seen another way.
    fn low(self, bits: u32, view: View) -> Option<Self> {
        if let Some(value) = self.as_constant() {
            let left = u64::BITS - bits;
            let value = value << left;
            let value = if view == View::Sign(bits) { (value as i64 >> left) as u64 } else { value >> left };
            return Some(Self::constant(value));
        }
        if bits <= self.view.bits() {
            return Some(Self { base: self.base, add: self.add.wrapping_add(self.more), view, more: 0 });
        }
        // Nothing is cut from a smaller number.
        let is_smaller = matches!(self.view, View::Zero(_)) && self.more == 0;
        is_smaller.then_some(self)
    }

    /// The result of arithmetic, as far as it can be told.
    pub fn alu(self, operation: AluOp, width: Width, right: Self) -> Option<Self> {
        if width == Width::W32 {
            return match operation {
                AluOp::Add | AluOp::Sub => self.alu(operation, Width::W64, right)?.low(32, View::Zero(32)),
                _ => None,
            };
        }
        if let (None, Some(number)) = (self.as_constant(), right.as_constant()) {
            return self.with_constant(operation, number);
        }
        let (left, right) = (self.as_constant(), right.as_constant().ok_or(right));
        match (operation, left, right) {
            (AluOp::Add, Some(number), Err(other)) => other.plus(number),
            (AluOp::Add, Some(left), Ok(right)) => Some(Self::constant(left.wrapping_add(right))),
            (AluOp::Sub, Some(left), Ok(right)) => Some(Self::constant(left.wrapping_sub(right))),
            (AluOp::Or, Some(left), Ok(right)) => Some(Self::constant(left | right)),
            (AluOp::And, Some(left), Ok(right)) => Some(Self::constant(left & right)),
            (AluOp::ShiftLeft, Some(left), Ok(right)) => Some(Self::constant(left << (right & 63))),
            (AluOp::ShiftRight, Some(left), Ok(right)) => Some(Self::constant(left >> (right & 63))),
            _ => None,
        }
    }

    fn with_constant(self, operation: AluOp, number: u64) -> Option<Self> {
        let bits = u64::BITS.checked_sub(u32::try_from(number).unwrap_or(u32::MAX)).filter(|bits| *bits > 0);
        match operation {
            AluOp::Add => self.plus(number),
            AluOp::Sub => self.plus(number.wrapping_neg()),
            AluOp::And if number != 0 && number.wrapping_add(1).is_power_of_two() => {
                let bits = number.trailing_ones();
                self.low(bits, View::Zero(bits))
            }
            AluOp::ShiftLeft | AluOp::ShiftRight | AluOp::ShiftRightSigned if number == 0 => Some(self),
            AluOp::ShiftLeft => {
                let bits = bits?;
                let kept = bits <= self.view.bits();
                let add = self.add.wrapping_add(self.more);
                kept.then_some(Self { base: self.base, add, view: View::Left(u64::BITS - bits), more: 0 })
            }
            AluOp::ShiftRight if self.view == View::Left(number as u32) => {
                Some(Self { view: View::Zero(bits?), ..self })
            }
            AluOp::ShiftRightSigned if self.view == View::Left(number as u32) => {
                Some(Self { view: View::Sign(bits?), ..self })
            }
            _ => None,
        }
    }
}

/// What registers and slots hold at one point of a round; what is not listed is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    registers: [Option<Word>; Reg::COUNT],
    /// In the order of the places that are followed.
    slots: Vec<Option<Word>>,
}

impl Words {
    /// At the head, where every place holds what it holds.
    pub fn at_head(slots: &[i16]) -> Self {
        let mut registers = [None; Reg::COUNT];
        for register in Reg::all() {
            registers[register.index()] = Some(Word::at_head(Place::Register(register)));
        }
        let slots = slots.iter().map(|offset| Some(Word::at_head(Place::Slot(*offset)))).collect();
        Self { registers, slots }
    }

    pub fn register(&self, register: Reg) -> Option<Word> {
        self.registers[register.index()]
    }

    pub fn set(&mut self, register: Reg, word: Option<Word>) {
        self.registers[register.index()] = word;
    }

    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// Of a slot by its number.
    pub fn slot(&self, number: usize) -> Option<Word> {
        self.slots[number]
    }

    pub fn set_slot(&mut self, number: usize, word: Option<Word>) {
        self.slots[number] = word;
    }

    pub fn operand(&self, operand: Operand) -> Option<Word> {
        match operand {
            Operand::Reg(register) => self.register(register),
            Operand::Imm(number) => Some(Word::constant(i64::from(number) as u64)),
        }
    }

    /// What holds on both of two paths.
    pub fn meet(&mut self, other: &Self) {
        let mine = self.registers.iter_mut().chain(&mut self.slots);
        for (mine, other) in mine.zip(other.registers.iter().chain(&other.slots)) {
            *mine = mine.filter(|_| *mine == *other);
        }
    }
}
