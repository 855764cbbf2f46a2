//! Loops, most of which end.

use pds_validator::program::{AluOp, Condition, Op, Operand, Reg};

use super::{Label, Maker, SAVED, SCRATCH};

/// What a loop counts with.
#[derive(Clone, Copy)]
enum Counter {
    Register(Reg),
    /// Offset from the frame pointer.
    Slot(i16),
}

impl Maker<'_> {
    /// A loop that counts, with its test before or after the body.
    pub(super) fn repeat(&mut self, depth: usize) {
        let Some(counter) = self.counter() else { return self.arithmetic() };
        let (busy, busy_slots) = (self.busy, self.busy_slots);
        let step = self.step();
        let limit = self.limit();
        // What the head cannot rely on: a later round may find it lost.
        self.state.set &= !SCRATCH.iter().fold(0, |bits, register| bits | register.bit());
        self.hold(counter);
        if let Operand::Reg(register) = limit
            && self.chance(95)
        {
            self.busy |= register.bit();
        }
        // Pointers are not written over in a loop, or the next round would find something else.
        for saved in SAVED {
            if self.state.pointers[saved.index()].is_some() {
                self.busy |= saved.bit();
            }
        }
        let (head, end) = (self.label(), self.label());
        let before = self.state.clone();
        self.place(head);
        let first = self.chance(50);
        if first {
            self.test(counter, step, limit, end, false);
        }
        self.statements(depth + 1);
        if self.chance(15) {
            let (left, right, condition) = (self.changeable(), self.readable(), self.condition());
            self.branch(condition, left, right, end);
        }
        self.advance(counter, step);
        if first {
            self.jump(head);
        } else {
            self.test(counter, step, limit, head, true);
        }
        self.place(end);
        self.state.meet(&before);
        (self.busy, self.busy_slots) = (busy, busy_slots);
    }

    fn counter(&mut self) -> Option<Counter> {
        let start = self.number();
        if self.chance(20) {
            let index = self.free_slot()?;
            let offset = Self::slot_offset(index);
            let source = if self.chance(85) { Operand::Imm(start) } else { self.readable() };
            self.emit(Op::Store { base: Reg::FRAME, offset, size: 8, source });
            self.state.slots |= 1 << index;
            return Some(Counter::Slot(offset));
        }
        let free = |reg: &Reg| self.busy & reg.bit() == 0;
        let saved: Vec<Reg> = SAVED.into_iter().filter(free).collect();
        let register = saved.get(self.random.usize(..saved.len().max(1))).copied()?;
        let source = if self.chance(85) { Operand::Imm(start) } else { self.readable() };
        self.alu(AluOp::Move, register, source);
        Some(Counter::Register(register))
    }

    /// Mostly small and away from zero.
    fn step(&mut self) -> i32 {
        let size = self.pick(&[1, 1, 1, 1, 1, 2, 3, 4, 8]);
        match self.random.u8(..20) {
            0 => 0,
            1..7 => -size,
            _ => size,
        }
    }

    fn limit(&mut self) -> Operand {
        let set: Vec<Reg> =
            SAVED[1..].iter().copied().filter(|reg| self.state.set & reg.bit() != 0).collect();
        if self.chance(60) {
            Operand::Imm(self.random.i32(-5..30))
        } else if set.is_empty() || self.chance(50) {
            Operand::Imm(self.number())
        } else {
            Operand::Reg(self.pick(&set))
        }
    }

    /// Most often nothing but the loop itself changes its counter.
    fn hold(&mut self, counter: Counter) {
        if self.chance(7) {
            return;
        }
        match counter {
            Counter::Register(register) => self.busy |= register.bit(),
            Counter::Slot(offset) => self.busy_slots |= 1 << (-offset / 8 - 1),
        }
    }

    /// The counter in a register that may be changed.
    fn count(&mut self, counter: Counter, into: Reg) {
        match counter {
            Counter::Register(register) => self.alu(AluOp::Move, into, Operand::Reg(register)),
            Counter::Slot(offset) => self.emit(Op::Load { dst: into, base: Reg::FRAME, offset, size: 8 }),
        }
    }

    fn advance(&mut self, counter: Counter, step: i32) {
        let into = match counter {
            Counter::Register(register) => register,
            Counter::Slot(_) => self.pick(&SCRATCH),
        };
        if matches!(counter, Counter::Slot(_)) {
            self.count(counter, into);
        }
        self.imm(AluOp::Add, into, step);
        if self.chance(15) {
            self.narrow(into);
        }
        if let Counter::Slot(offset) = counter {
            self.emit(Op::Store { base: Reg::FRAME, offset, size: 8, source: Operand::Reg(into) });
        }
        if self.chance(5) {
            let skip = self.label();
            let (left, condition) = (self.changeable(), self.condition());
            self.branch(condition, left, Operand::Imm(3), skip);
            self.imm(AluOp::Add, into, step);
            self.place(skip);
        }
    }

    fn narrow(&mut self, register: Reg) {
        match self.random.u8(..4) {
            0 => self.imm(AluOp::And, register, 0xff),
            1 => self.imm(AluOp::And, register, 0xffff),
            _ => {
                let back = self.pick(&[AluOp::ShiftRight, AluOp::ShiftRightSigned]);
                self.imm(AluOp::ShiftLeft, register, 32);
                self.imm(back, register, 32);
            }
        }
    }

    /// Goes to `label` when the loop is to go on, or when it is not.
    fn test(&mut self, counter: Counter, step: i32, limit: Operand, label: Label, goes_on: bool) {
        use Condition as C;
        let up = step > 0;
        let mut go_on = match (self.random.u8(..8), up) {
            (0, _) => C::NotEqual,
            (1..4, true) => C::Less,
            (4, true) => C::LessOrEqual,
            (5..8, true) => C::LessSigned,
            (1..3, false) => C::Greater,
            (3..7, false) => C::GreaterSigned,
            (_, false) => C::GreaterOrEqualSigned,
            (_, true) => C::LessOrEqualSigned,
        };
        if self.chance(6) {
            go_on = self.condition();
        }
        let mut left = self.pick(&SCRATCH);
        match counter {
            Counter::Register(register) if self.chance(60) => left = register,
            _ => {
                self.count(counter, left);
                if self.chance(15) {
                    let by = self.random.i32(-4..5);
                    self.imm(AluOp::Add, left, by);
                }
                if self.chance(25) {
                    self.narrow(left);
                }
            }
        }
        let condition = if goes_on { go_on } else { opposite(go_on) };
        self.branch(condition, left, limit, label);
    }
}

/// True when the other is false. Nothing is the opposite of `Set`: that one is kept.
fn opposite(condition: Condition) -> Condition {
    use Condition as C;
    match condition {
        C::Equal => C::NotEqual,
        C::NotEqual => C::Equal,
        C::Less => C::GreaterOrEqual,
        C::GreaterOrEqual => C::Less,
        C::Greater => C::LessOrEqual,
        C::LessOrEqual => C::Greater,
        C::LessSigned => C::GreaterOrEqualSigned,
        C::GreaterOrEqualSigned => C::LessSigned,
        C::GreaterSigned => C::LessOrEqualSigned,
        C::LessOrEqualSigned => C::GreaterSigned,
        C::Set => C::Set,
    }
}
