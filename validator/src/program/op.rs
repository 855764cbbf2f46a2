//! One instruction of the legacy BPF instruction set, decoded and checked by itself.
//!
//! The set is what PQUIC's uBPF runs (its `ebpf.h`): ALU and ALU64, byte swaps, the two-slot 64-bit load, loads, stores,
//! jumps, calls, exit (RFC 9669 sections 4 and 5, groups base32 and base64 without JMP32 and sign extension, divmul).
//! 32-bit jumps, atomics, legacy packet access and `callx` are unknown opcodes here, as they are to uBPF.

use std::fmt;

/// Fields of one 8-byte slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub opcode: u8,
    pub dst: u8,
    pub src: u8,
    pub offset: i16,
    pub imm: i32,
}

impl Slot {
    pub fn decode(bytes: [u8; 8]) -> Self {
        let [opcode, registers, o0, o1, i0, i1, i2, i3] = bytes;
        let offset = i16::from_le_bytes([o0, o1]);
        Self {
            opcode,
            dst: registers & 15,
            src: registers >> 4,
            offset,
            imm: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }
}

/// A register, r0 to r10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

impl Reg {
    /// Results of calls and of the whole pluglet.
    pub const R0: Self = Self(0);
    /// The pluglet's one argument, and the first of a call.
    pub const R1: Self = Self(1);
    /// End of the stack frame, which grows down from it; never written.
    pub const FRAME: Self = Self(10);
    /// How many there are.
    pub const COUNT: usize = 11;

    /// Register `number`; `None` above r10.
    pub const fn new(number: u8) -> Option<Self> {
        if number <= Self::FRAME.0 { Some(Self(number)) } else { None }
    }

    /// Its number, 0 to 10.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// A set of registers that holds this one: bit *n* stands for r*n*.
    pub const fn bit(self) -> u16 {
        1 << self.0
    }

    /// r0 to r10.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=Self::FRAME.0).map(Self)
    }

    /// r1 to r5, in which a call takes its arguments.
    pub fn arguments() -> impl Iterator<Item = Self> {
        (1..=5).map(Self)
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// How many bits of its operands an arithmetic instruction takes; one of 32 leaves the upper half of its result zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// The lower half.
    W32,
    /// All.
    W64,
}

/// The second operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// A constant, extended by its sign to 64 bits.
    Imm(i32),
}

/// Arithmetic with two operands, unsigned but for `ShiftRightSigned` (RFC 9669, section 4.1). Shifts take their amount
/// modulo the width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum AluOp {
    Add,
    Sub,
    Mul,
    /// By zero: uBPF ends the pluglet; RFC 9669 gives zero.
    Div,
    Or,
    And,
    ShiftLeft,
    ShiftRight,
    /// By zero: uBPF ends the pluglet; RFC 9669 leaves the operand.
    Mod,
    Xor,
    Move,
    ShiftRightSigned,
}

/// Comparisons of all 64 bits (RFC 9669, section 4.3); `Set` is true when the operands share a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Condition {
    Equal,
    Greater,
    GreaterOrEqual,
    Set,
    NotEqual,
    GreaterSigned,
    GreaterOrEqualSigned,
    Less,
    LessOrEqual,
    LessSigned,
    LessOrEqualSigned,
}

/// To which byte order a swap converts the lower bits of a register; the bits above become zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// From or to what these machines have: only cuts.
    Little,
    /// Reverses the bytes.
    Big,
}

/// A checked instruction. Displacements of jumps count slots from the one after the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the instruction set")]
pub enum Op {
    /// `dst = dst operation source`; a move takes the source alone.
    Alu { operation: AluOp, width: Width, dst: Reg, source: Operand },
    /// `dst = -dst`
    Negate { width: Width, dst: Reg },
    /// Bytes of the lower 16, 32 or 64 bits.
    Swap { dst: Reg, order: ByteOrder, bits: u8 },
    /// `dst = value`; two slots. With a relocation a reference to read-only data: see [`super::Program::data`].
    LoadImm { dst: Reg, value: u64 },
    /// `dst = *(base + offset)`, `size` bytes, the rest zero.
    Load { dst: Reg, base: Reg, offset: i16, size: u8 },
    /// `*(base + offset) = source`, `size` bytes.
    Store { base: Reg, offset: i16, size: u8, source: Operand },
    /// Unconditional.
    Jump { displacement: i16 },
    /// Jumps when `left condition right`, goes on otherwise.
    Branch { condition: Condition, left: Reg, right: Operand, displacement: i16 },
    /// Of what [`super::Program::helper`] says. Arguments in r1 to r5, which are lost; the result in r0.
    Call,
    /// Ends the pluglet with r0.
    Exit,
}

impl Operand {
    /// The register, if it is one.
    pub const fn register(self) -> Option<Reg> {
        match self {
            Self::Reg(register) => Some(register),
            Self::Imm(_) => None,
        }
    }
}

impl Op {
    /// Registers read, a bit each; a call's arguments are not counted, since its arity is the platform's to say.
    pub fn reads(&self) -> u16 {
        let operand = |operand: Operand| operand.register().map_or(0, Reg::bit);
        match *self {
            Self::Alu { operation: AluOp::Move, source, .. } => operand(source),
            Self::Alu { dst, source, .. } => dst.bit() | operand(source),
            Self::Negate { dst, .. } | Self::Swap { dst, .. } => dst.bit(),
            Self::Load { base, .. } => base.bit(),
            Self::Store { base, source, .. } => base.bit() | operand(source),
            Self::Branch { left, right, .. } => left.bit() | operand(right),
            Self::Exit => Reg::R0.bit(),
            Self::LoadImm { .. } | Self::Jump { .. } | Self::Call => 0,
        }
    }

    /// The register written; a call's is r0, and it loses r1 to r5 besides.
    pub fn writes(&self) -> Option<Reg> {
        match *self {
            Self::Alu { dst, .. }
            | Self::Negate { dst, .. }
            | Self::Swap { dst, .. }
            | Self::LoadImm { dst, .. }
            | Self::Load { dst, .. } => Some(dst),
            Self::Call => Some(Reg::R0),
            Self::Store { .. } | Self::Jump { .. } | Self::Branch { .. } | Self::Exit => None,
        }
    }

    /// Base register, offset and bytes of a memory access.
    pub fn access(&self) -> Option<(Reg, i16, u8)> {
        match *self {
            Self::Load { base, offset, size, .. } | Self::Store { base, offset, size, .. } => {
                Some((base, offset, size))
            }
            _ => None,
        }
    }

    /// Where it may jump to, in slots from the one after it.
    pub fn displacement(&self) -> Option<i16> {
        match *self {
            Self::Jump { displacement } | Self::Branch { displacement, .. } => Some(displacement),
            _ => None,
        }
    }

    /// Slots it takes.
    pub fn slots(&self) -> usize {
        if matches!(self, Self::LoadImm { .. }) { 2 } else { 1 }
    }
}

/// What is wrong with an instruction by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsnError {
    /// Not of the legacy instruction set.
    #[error("opcode {0:#04x} is unknown")]
    Opcode(u8),
    /// A register above r10.
    #[error("register r{0} does not exist")]
    Register(u8),
    /// The frame pointer as a destination.
    #[error("r10 is read-only")]
    FramePointer,
    /// A field that this opcode does not use, and that is not zero.
    #[error("a reserved field is not zero")]
    Reserved,
    /// Division or remainder by a constant zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A shift by a constant that is negative or not below the width.
    #[error("shift by {0}")]
    Shift(i32),
    /// A byte swap of other than 16, 32 or 64 bits.
    #[error("byte swap of {0} bits")]
    Swap(i32),
    /// A 64-bit load without its second slot.
    #[error("the second slot of a 64-bit load is missing or malformed")]
    HalfLoad,
}

/// Checks the instruction at the head of `slots`, which are not empty.
pub(crate) fn check(slots: &[Slot]) -> Result<Op, InsnError> {
    let slot = slots[0];
    let register = |number| Reg::new(number).ok_or(InsnError::Register(number));
    let (dst, src) = (register(slot.dst)?, register(slot.src)?);
    let op = match slot.opcode & 0x07 {
        0 => load_imm64(slot, dst, slots.get(1))?,
        1..=3 => memory(slot, dst, src)?,
        4 | 7 => alu(slot, dst, src)?,
        5 => jump(slot, dst, src)?,
        _ => return Err(InsnError::Opcode(slot.opcode)),
    };
    if op.writes() == Some(Reg::FRAME) {
        return Err(InsnError::FramePointer);
    }
    Ok(op)
}

fn reserved(all_zero: bool) -> Result<(), InsnError> {
    if all_zero { Ok(()) } else { Err(InsnError::Reserved) }
}

fn load_imm64(slot: Slot, dst: Reg, second: Option<&Slot>) -> Result<Op, InsnError> {
    if slot.opcode != 0x18 {
        return Err(InsnError::Opcode(slot.opcode));
    }
    reserved(slot.src == 0 && slot.offset == 0)?;
    let second = second.filter(|second| Slot { imm: 0, ..**second } == Slot::default());
    let upper = second.ok_or(InsnError::HalfLoad)?.imm;
    Ok(Op::LoadImm { dst, value: u64::from(upper as u32) << 32 | u64::from(slot.imm as u32) })
}

fn memory(slot: Slot, dst: Reg, src: Reg) -> Result<Op, InsnError> {
    const MODE_MEM: u8 = 0x60;
    if slot.opcode & 0xe0 != MODE_MEM {
        return Err(InsnError::Opcode(slot.opcode));
    }
    let (offset, size) = (slot.offset, [4, 2, 1, 8][usize::from(slot.opcode >> 3 & 3)]);
    let store = |source| Op::Store { base: dst, offset, size, source };
    match slot.opcode & 0x07 {
        1 => reserved(slot.imm == 0).map(|()| Op::Load { dst, base: src, offset, size }),
        2 => reserved(slot.src == 0).map(|()| store(Operand::Imm(slot.imm))),
        _ => reserved(slot.imm == 0).map(|()| store(Operand::Reg(src))),
    }
}

/// The second operand of arithmetic or of a branch, whose other field is to be zero.
fn operand(slot: Slot, src: Reg) -> Result<Operand, InsnError> {
    if slot.opcode & 8 != 0 {
        reserved(slot.imm == 0).map(|()| Operand::Reg(src))
    } else {
        reserved(slot.src == 0).map(|()| Operand::Imm(slot.imm))
    }
}

fn alu(slot: Slot, dst: Reg, src: Reg) -> Result<Op, InsnError> {
    let width = if slot.opcode & 7 == 7 { Width::W64 } else { Width::W32 };
    reserved(slot.offset == 0)?;
    let operation = match slot.opcode >> 4 {
        0x0 => AluOp::Add,
        0x1 => AluOp::Sub,
        0x2 => AluOp::Mul,
        0x3 => AluOp::Div,
        0x4 => AluOp::Or,
        0x5 => AluOp::And,
        0x6 => AluOp::ShiftLeft,
        0x7 => AluOp::ShiftRight,
        0x8 if slot.opcode & 8 == 0 => {
            return reserved(slot.src == 0 && slot.imm == 0).map(|()| Op::Negate { width, dst });
        }
        0x9 => AluOp::Mod,
        0xa => AluOp::Xor,
        0xb => AluOp::Move,
        0xc => AluOp::ShiftRightSigned,
        // The source bit of a swap is its direction.
        0xd if width == Width::W32 => {
            reserved(slot.src == 0)?;
            let order = if slot.opcode & 8 == 0 { ByteOrder::Little } else { ByteOrder::Big };
            let bits = u8::try_from(slot.imm).ok().filter(|bits| [16, 32, 64].contains(bits));
            return Ok(Op::Swap { dst, order, bits: bits.ok_or(InsnError::Swap(slot.imm))? });
        }
        _ => return Err(InsnError::Opcode(slot.opcode)),
    };
    let source = operand(slot, src)?;
    match (operation, source) {
        (AluOp::Div | AluOp::Mod, Operand::Imm(0)) => Err(InsnError::DivisionByZero),
        (AluOp::ShiftLeft | AluOp::ShiftRight | AluOp::ShiftRightSigned, Operand::Imm(amount))
            if !(0..if width == Width::W64 { 64 } else { 32 }).contains(&amount) =>
        {
            Err(InsnError::Shift(amount))
        }
        _ => Ok(Op::Alu { operation, width, dst, source }),
    }
}

fn jump(slot: Slot, left: Reg, src: Reg) -> Result<Op, InsnError> {
    let unknown = Err(InsnError::Opcode(slot.opcode));
    let condition = match slot.opcode >> 4 {
        0x0 | 0x8 | 0x9 if slot.opcode & 8 != 0 => return unknown,
        0x0 => {
            reserved(slot.dst == 0 && slot.src == 0 && slot.imm == 0)?;
            return Ok(Op::Jump { displacement: slot.offset });
        }
        // The source of a call tells helpers from local functions; what it calls is its relocation's to say.
        0x8 => {
            reserved(slot.dst == 0 && slot.offset == 0 && slot.src <= 1)?;
            return Ok(Op::Call);
        }
        0x9 => {
            reserved(slot.dst == 0 && slot.src == 0 && slot.offset == 0 && slot.imm == 0)?;
            return Ok(Op::Exit);
        }
        0x1 => Condition::Equal,
        0x2 => Condition::Greater,
        0x3 => Condition::GreaterOrEqual,
        0x4 => Condition::Set,
        0x5 => Condition::NotEqual,
        0x6 => Condition::GreaterSigned,
        0x7 => Condition::GreaterOrEqualSigned,
        0xa => Condition::Less,
        0xb => Condition::LessOrEqual,
        0xc => Condition::LessSigned,
        0xd => Condition::LessOrEqualSigned,
        _ => return unknown,
    };
    Ok(Op::Branch { condition, left, right: operand(slot, src)?, displacement: slot.offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_are_those_of_ubpf() {
        // Counted in uBPF's ebpf.h: 2 * 25 ALU (with both swaps in the 32-bit class alone), 12 memory, lddw, 22
        // branches, ja, call, exit.
        let known = |opcode: &u8| {
            // Width 16, divisor 16 and shift 16 are all valid immediates; register forms want none.
            let slot = |imm| Slot { opcode: *opcode, imm, ..Slot::default() };
            [0, 16].into_iter().any(|imm| check(&[slot(imm), Slot::default()]).is_ok())
        };
        let opcodes: Vec<u8> = (0..=255).filter(known).collect();
        assert_eq!(opcodes.len(), 25 + 25 + 2 + 12 + 1 + 22 + 3);
        for unknown in [0x00, 0x06, 0x16, 0x20, 0x40, 0x8d, 0x9d, 0xc3, 0xdb, 0xd7, 0x8c, 0x81, 0xff] {
            assert!(!opcodes.contains(&unknown), "{unknown:#04x}");
        }
    }

    #[test]
    fn instruction_is_refused_with_its_cause() {
        let slot = |opcode, dst, src, offset, imm| Slot { opcode, dst, src, offset, imm };
        let refused = |slot, expect| {
            assert_eq!(check(&[slot, Slot::default()]), Err(expect), "{slot:?}");
        };
        refused(slot(0xbf, 11, 0, 0, 0), InsnError::Register(11));
        refused(slot(0xbf, 0, 15, 0, 0), InsnError::Register(15));
        refused(slot(0xb7, 10, 0, 0, 0), InsnError::FramePointer);
        refused(slot(0x07, 10, 0, 0, -8), InsnError::FramePointer);
        refused(slot(0x79, 10, 1, 0, 0), InsnError::FramePointer);
        refused(slot(0x18, 10, 0, 0, 0), InsnError::FramePointer);
        refused(slot(0x37, 0, 0, 0, 0), InsnError::DivisionByZero);
        refused(slot(0x94, 0, 0, 0, 0), InsnError::DivisionByZero);
        refused(slot(0x67, 0, 0, 0, 64), InsnError::Shift(64));
        refused(slot(0x64, 0, 0, 0, 32), InsnError::Shift(32));
        refused(slot(0xc7, 0, 0, 0, -1), InsnError::Shift(-1));
        refused(slot(0xdc, 0, 0, 0, 8), InsnError::Swap(8));
        for reserved in [
            slot(0x0f, 0, 1, 0, 7),
            slot(0x07, 0, 1, 0, 7),
            slot(0x07, 0, 0, 1, 7),
            slot(0x18, 0, 1, 0, 0),
            slot(0x79, 0, 1, 0, 1),
            slot(0x7a, 1, 1, 0, 1),
            slot(0x7b, 1, 1, 0, 1),
            slot(0x05, 1, 0, 1, 0),
            slot(0x85, 0, 2, 0, 1),
            slot(0x95, 0, 0, 0, 1),
            slot(0x15, 0, 1, 1, 0),
            slot(0x1d, 0, 1, 1, 1),
        ] {
            refused(reserved, InsnError::Reserved);
        }
    }

    #[test]
    fn store_to_the_frame_is_not_a_write_to_the_frame_pointer() {
        let store = check(&[Slot { opcode: 0x7b, dst: 10, src: 1, offset: -8, imm: 0 }]).unwrap();
        assert_eq!((store.reads(), store.writes()), (Reg::FRAME.bit() | Reg::R1.bit(), None));
        assert_eq!(store.access(), Some((Reg::FRAME, -8, 8)));
    }

    #[test]
    fn constant_of_64_bits_takes_both_slots() {
        let first = Slot { opcode: 0x18, dst: 3, imm: -1, ..Slot::default() };
        let load = |second: &[Slot]| check(&[&[first], second].concat());
        let second = Slot { imm: 7, ..Slot::default() };
        let expect = Op::LoadImm { dst: Reg(3), value: 0x7_ffff_ffff };
        assert_eq!(load(&[second]), Ok(expect));
        assert_eq!((expect.slots(), expect.writes()), (2, Some(Reg(3))));
        assert_eq!(load(&[]), Err(InsnError::HalfLoad));
        for malformed in [
            Slot { opcode: 1, ..second },
            Slot { dst: 1, ..second },
            Slot { src: 1, ..second },
            Slot { offset: 1, ..second },
        ] {
            assert_eq!(load(&[malformed]), Err(InsnError::HalfLoad), "{malformed:?}");
        }
    }
}
