//! One instruction of the legacy BPF instruction set, decoded and checked by itself.
//!
//! The set is what PQUIC's uBPF runs (its `ebpf.h`): ALU and ALU64, byte swaps, the two-slot 64-bit load, loads, stores,
//! jumps, calls, exit (RFC 9669 sections 4 and 5, groups base32 and base64 without JMP32 and sign extension, divmul).
//! 32-bit jumps, atomics, legacy packet access and `callx` are unknown opcodes here, as they are to uBPF.

/// Fields of one 8-byte slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
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

/// What an instruction does, as far as structure is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Arithmetic, a move or a byte swap; which registers it reads is in [`Effect`].
    Alu,
    /// First slot of a 64-bit constant.
    LoadImm64,
    /// From memory at `src + offset`.
    Load,
    /// To memory at `dst + offset`.
    Store,
    /// Unconditional.
    Jump,
    /// Conditional.
    Branch,
    Call,
    Exit,
}

/// A checked instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Insn {
    pub kind: Kind,
    /// Registers read, a bit each; a call's arguments are not counted, since its arity is the platform's to say.
    pub reads: u16,
    /// Register written.
    pub writes: Option<u8>,
    /// Jump displacement or memory offset.
    pub offset: i16,
    /// Base register and size in bytes of a memory access.
    pub access: Option<(u8, u8)>,
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

const FRAME_POINTER: u8 = 10;

/// Checks the fields of one instruction; a 64-bit load's second slot is [`is_second_slot`]'s.
pub(super) fn check(slot: Slot) -> Result<Insn, InsnError> {
    for register in [slot.dst, slot.src] {
        if register > FRAME_POINTER {
            return Err(InsnError::Register(register));
        }
    }
    let insn = match slot.opcode & 0x07 {
        0 => load_imm64(slot)?,
        1..=3 => memory(slot)?,
        4 | 7 => alu(slot)?,
        5 => jump(slot)?,
        _ => return Err(InsnError::Opcode(slot.opcode)),
    };
    if insn.writes == Some(FRAME_POINTER) {
        return Err(InsnError::FramePointer);
    }
    Ok(insn)
}

/// Whether a slot is the second half of a 64-bit load.
pub(super) fn is_second_slot(slot: Slot) -> bool {
    Slot { imm: 0, ..slot } == Slot { opcode: 0, dst: 0, src: 0, offset: 0, imm: 0 }
}

const fn bit(register: u8) -> u16 {
    1 << register
}

fn reserved(all_zero: bool) -> Result<(), InsnError> {
    if all_zero { Ok(()) } else { Err(InsnError::Reserved) }
}

fn load_imm64(slot: Slot) -> Result<Insn, InsnError> {
    if slot.opcode != 0x18 {
        return Err(InsnError::Opcode(slot.opcode));
    }
    reserved(slot.src == 0 && slot.offset == 0)?;
    Ok(Insn { kind: Kind::LoadImm64, reads: 0, writes: Some(slot.dst), offset: 0, access: None })
}

fn memory(slot: Slot) -> Result<Insn, InsnError> {
    const MODE_MEM: u8 = 0x60;
    if slot.opcode & 0xe0 != MODE_MEM {
        return Err(InsnError::Opcode(slot.opcode));
    }
    let size = [4, 2, 1, 8][usize::from(slot.opcode >> 3 & 3)];
    let (dst, src, offset) = (slot.dst, slot.src, slot.offset);
    let store = |reads| Insn { kind: Kind::Store, reads, writes: None, offset, access: Some((dst, size)) };
    match slot.opcode & 0x07 {
        1 => {
            reserved(slot.imm == 0)?;
            Ok(Insn {
                kind: Kind::Load,
                reads: bit(src),
                writes: Some(dst),
                offset,
                access: Some((src, size)),
            })
        }
        2 => reserved(src == 0).map(|()| store(bit(dst))),
        _ => reserved(slot.imm == 0).map(|()| store(bit(dst) | bit(src))),
    }
}

fn alu(slot: Slot) -> Result<Insn, InsnError> {
    let (operation, from_register, is_64) = (slot.opcode >> 4, slot.opcode & 8 != 0, slot.opcode & 7 == 7);
    reserved(slot.offset == 0)?;
    let mut reads = bit(slot.dst);
    match operation {
        // Negation and byte swaps have one operand; the source bit of a swap is its direction.
        0x8 if !from_register => reserved(slot.src == 0 && slot.imm == 0)?,
        0xd if !is_64 => {
            reserved(slot.src == 0)?;
            if ![16, 32, 64].contains(&slot.imm) {
                return Err(InsnError::Swap(slot.imm));
            }
        }
        0x0..=0x7 | 0x9..=0xc if from_register => {
            reserved(slot.imm == 0)?;
            reads |= bit(slot.src);
        }
        0x0..=0x7 | 0x9..=0xc => reserved(slot.src == 0)?,
        _ => return Err(InsnError::Opcode(slot.opcode)),
    }
    match operation {
        0x3 | 0x9 if !from_register && slot.imm == 0 => return Err(InsnError::DivisionByZero),
        0x6 | 0x7 | 0xc if !from_register && !(0..if is_64 { 64 } else { 32 }).contains(&slot.imm) => {
            return Err(InsnError::Shift(slot.imm));
        }
        // A move reads its source alone.
        0xb => reads = if from_register { bit(slot.src) } else { 0 },
        _ => {}
    }
    Ok(Insn { kind: Kind::Alu, reads, writes: Some(slot.dst), offset: 0, access: None })
}

fn jump(slot: Slot) -> Result<Insn, InsnError> {
    let (operation, from_register) = (slot.opcode >> 4, slot.opcode & 8 != 0);
    let insn = |kind, reads| Insn { kind, reads, writes: None, offset: slot.offset, access: None };
    match operation {
        0x0 | 0x8 | 0x9 if from_register => Err(InsnError::Opcode(slot.opcode)),
        0x0 => reserved(slot.dst == 0 && slot.src == 0 && slot.imm == 0).map(|()| insn(Kind::Jump, 0)),
        // The source of a call tells helpers from local functions; what it calls is its relocation's to say.
        0x8 => reserved(slot.dst == 0 && slot.offset == 0 && slot.src <= 1).map(|()| insn(Kind::Call, 0)),
        0x9 => {
            reserved(slot.dst == 0 && slot.src == 0 && slot.offset == 0 && slot.imm == 0)?;
            Ok(insn(Kind::Exit, bit(0)))
        }
        0x1..=0x7 | 0xa..=0xd if from_register => {
            reserved(slot.imm == 0).map(|()| insn(Kind::Branch, bit(slot.dst) | bit(slot.src)))
        }
        0x1..=0x7 | 0xa..=0xd => reserved(slot.src == 0).map(|()| insn(Kind::Branch, bit(slot.dst))),
        _ => Err(InsnError::Opcode(slot.opcode)),
    }
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
            [0, 16]
                .into_iter()
                .any(|imm| check(Slot { opcode: *opcode, dst: 0, src: 0, offset: 0, imm }).is_ok())
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
        let refused = |slot, expect| assert_eq!(check(slot), Err(expect), "{slot:?}");
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
        let store = check(Slot { opcode: 0x7b, dst: 10, src: 1, offset: -8, imm: 0 }).unwrap();
        assert_eq!((store.kind, store.reads, store.writes), (Kind::Store, bit(10) | bit(1), None));
        assert_eq!(store.access, Some((10, 8)));
    }
}
