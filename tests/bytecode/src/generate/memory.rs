//! Loads and stores, most of which stay inside.

use pds_validator::program::{AluOp, Condition, Op, Operand, Reg};

use super::{FRAME, Maker, SAVED};

impl Maker<'_> {
    /// A word of the frame that no loop counts with.
    pub(super) fn free_slot(&mut self) -> Option<u32> {
        let index = self.random.u32(..12);
        (self.busy_slots & 1 << index == 0).then_some(index)
    }

    pub(super) fn slot_offset(index: u32) -> i16 {
        -8 * (index as i16 + 1)
    }

    pub(super) fn spill(&mut self) {
        let Some(index) = self.free_slot() else { return self.arithmetic() };
        let (offset, source) = (Self::slot_offset(index), self.readable());
        if self.chance(80) {
            self.emit(Op::Store { base: Reg::FRAME, offset, size: 8, source });
            self.state.slots |= 1 << index;
        } else {
            let size = self.pick(&[1, 2, 4]);
            let inside = i16::from(size) * self.random.i16(0..8 / i16::from(size));
            self.emit(Op::Store { base: Reg::FRAME, offset: offset + inside, size, source });
        }
    }

    pub(super) fn fill(&mut self) {
        let index = self.random.u32(..12);
        if self.state.slots & 1 << index == 0 && !self.chance(3) {
            return self.spill();
        }
        let (dst, size) = (self.writable(), self.pick(&[8, 8, 8, 4, 2, 1]));
        self.emit(Op::Load { dst, base: Reg::FRAME, offset: Self::slot_offset(index), size });
    }

    /// Makes `register` point at bytes of the frame below those for words, or at all of them.
    pub(super) fn point(&mut self, register: Reg, bytes: u16, written: bool) {
        let bytes = i16::try_from(bytes).unwrap_or(i16::MAX).min(128);
        let offset = -FRAME + 8 * self.random.i16(0..4);
        if written {
            for word in 0..(bytes + 7) / 8 {
                let source = Operand::Imm(self.number());
                self.emit(Op::Store { base: Reg::FRAME, offset: offset + 8 * word, size: 8, source });
            }
        }
        self.alu(AluOp::Move, register, Operand::Reg(Reg::FRAME));
        self.imm(AluOp::Add, register, offset.into());
    }

    /// An array in the frame, with an index that was checked, most often.
    pub(super) fn indexed(&mut self) {
        let skip = self.label();
        let (index, size) = (self.changeable(), self.pick(&[1, 2, 4, 8]));
        if self.chance(70) {
            let most = self.pick(&[3, 4, 7, 8, 15, 200]);
            self.branch(Condition::Greater, index, Operand::Imm(most), skip);
        } else {
            self.imm(AluOp::And, index, 7);
        }
        if self.chance(90) {
            self.imm(AluOp::Mul, index, size.into());
        }
        self.alu(AluOp::Add, index, Operand::Reg(Reg::FRAME));
        let offset = -FRAME + 128;
        let source = self.readable();
        self.emit(Op::Store { base: index, offset, size, source });
        if self.chance(20) {
            self.emit(Op::Load { dst: index, base: index, offset, size });
        }
        self.place(skip);
    }

    /// Keeps a new allocation of `size` bytes that is in r0, unless it is null.
    pub(super) fn keep(&mut self, size: u16) {
        let free = |reg: &Reg| self.busy & reg.bit() == 0;
        let Some(holder) = SAVED.into_iter().find(free) else { return };
        self.alu(AluOp::Move, holder, Operand::Reg(Reg::R0));
        if self.chance(90) {
            let there = self.label();
            self.branch(Condition::NotEqual, Reg::R0, Operand::Imm(0), there);
            self.emit(Op::Exit);
            self.place(there);
        }
        self.state.pointers[holder.index()] = Some(size);
    }

    /// A load or a store in an allocation.
    pub(super) fn through_pointer(&mut self) {
        let holder = SAVED.into_iter().find(|reg| self.state.pointers[reg.index()].is_some());
        let Some((base, bytes)) = holder.and_then(|reg| Some((reg, self.state.pointers[reg.index()]?)))
        else {
            return self.arithmetic();
        };
        let size = self.pick(&[1, 2, 4, 8]);
        let most = if self.chance(90) { bytes.saturating_sub(size.into()) } else { bytes };
        let offset = self.random.i16(0..=i16::try_from(most).unwrap_or(i16::MAX));
        let source = self.readable();
        self.emit(Op::Store { base, offset, size, source });
        if self.chance(50) {
            let dst = self.writable();
            self.emit(Op::Load { dst, base, offset, size });
        }
    }
}
