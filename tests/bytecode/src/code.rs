//! Programs as lists of instructions that can be changed: jumps lead to an item, not over so many slots.

use pds_validator::program::{AluOp, ByteOrder, Condition, Op, Operand, Program, Reg, Width};
use pds_validator::structure::{StructureError, StructureLimits, check};

use crate::elf::{DATA, Elf, Insn, OBJECT, insn};

/// One instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it does; the displacement of a jump does not count.
    pub op: Op,
    /// The item a jump leads to; the number of items for one to the end.
    pub target: usize,
    /// The helper of a call.
    pub helper: String,
    /// The data that a 64-bit constant refers to, up to and with a zero byte; empty when it is a number.
    pub data: Vec<u8>,
}

impl From<Op> for Item {
    fn from(op: Op) -> Self {
        Self { op, target: 0, helper: String::new(), data: Vec::new() }
    }
}

/// A program in the making.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Code(pub Vec<Item>);

impl Code {
    /// The instructions of a program.
    pub fn of(program: &Program) -> Self {
        let slots: Vec<usize> = program.ops().map(|(slot, _)| slot).collect();
        let place = |slot: usize| slots.partition_point(|other| *other < slot);
        let item = |(slot, op): (usize, &Op)| {
            let jump = op.displacement().map(|by| place((slot as i64 + 1 + i64::from(by)) as usize));
            Item {
                op: *op,
                target: jump.unwrap_or(0),
                helper: program.helper(slot).unwrap_or_default().to_owned(),
                data: program.data(slot).map(|data| data.bytes.clone()).unwrap_or_default(),
            }
        };
        Self(program.ops().map(item).collect())
    }

    /// The object; `None` when a jump is too far.
    pub fn object(&self) -> Option<Vec<u8>> {
        let mut starts = Vec::new();
        let mut slot = 0_usize;
        for item in &self.0 {
            starts.push(slot);
            slot += item.op.slots();
        }
        starts.push(slot);
        let mut elf = Elf::new(&[]);
        for (item, start) in self.0.iter().zip(&starts) {
            let by = *starts.get(item.target)? as i64 - *start as i64 - 1;
            encode(&item.op, i16::try_from(by).ok(), &mut elf.code)?;
            if item.op == Op::Call {
                elf = elf.helper(*start as u64, &item.helper);
            }
            if !item.data.is_empty() {
                let (from, size) = (elf.data.len() as u64, item.data.len() as u64);
                let data = [&elf.data[..], &item.data].concat();
                elf = elf.refers(*start as u64, ("text", OBJECT, DATA, from, size), &data);
            }
        }
        Some(elf.bytes())
    }

    /// The program, if its structure is in order.
    ///
    /// # Errors
    /// What `structure` says. A jump that is too far is one to outside the code.
    pub fn program(&self) -> Result<Program, StructureError> {
        let outside = StructureError::JumpOutside { index: 0, target: i64::MAX };
        check(&self.object().ok_or(outside)?, &StructureLimits::default()).map(|(program, _)| program)
    }
}

fn number(register: Reg) -> u8 {
    register.index() as u8
}

/// Appends the slots of an instruction; `None` when it has none, as for a jump that is too far.
fn encode(op: &Op, displacement: Option<i16>, slots: &mut Vec<Insn>) -> Option<()> {
    let with = |opcode: u8, dst: Reg, source: Operand, offset: i16| match source {
        Operand::Reg(src) => insn(opcode | 8, number(dst), number(src), offset, 0),
        Operand::Imm(imm) => insn(opcode, number(dst), 0, offset, imm),
    };
    let class = |width: Width| if width == Width::W64 { 7 } else { 4 };
    let slot = match *op {
        Op::Alu { operation, width, dst, source } => with(alu(operation) << 4 | class(width), dst, source, 0),
        Op::Negate { width, dst } => insn(0x80 | class(width), number(dst), 0, 0, 0),
        Op::Swap { dst, order, bits } => {
            let opcode = if order == ByteOrder::Big { 0xdc } else { 0xd4 };
            insn(opcode, number(dst), 0, 0, bits.into())
        }
        Op::LoadImm { dst, value } => {
            slots.push(insn(0x18, number(dst), 0, 0, value as i32));
            insn(0, 0, 0, 0, (value >> 32) as i32)
        }
        Op::Load { dst, base, offset, size } => {
            insn(0x61 | size_bits(size)?, number(dst), number(base), offset, 0)
        }
        Op::Store { base, offset, size, source } => match source {
            Operand::Reg(source) => insn(0x63 | size_bits(size)?, number(base), number(source), offset, 0),
            Operand::Imm(imm) => insn(0x62 | size_bits(size)?, number(base), 0, offset, imm),
        },
        Op::Jump { .. } => insn(0x05, 0, 0, displacement?, 0),
        Op::Branch { condition, left, right, .. } => {
            with(comparison(condition) << 4 | 5, left, right, displacement?)
        }
        Op::Call => insn(0x85, 0, 1, 0, -1),
        Op::Exit => insn(0x95, 0, 0, 0, 0),
    };
    slots.push(slot);
    Some(())
}

fn size_bits(size: u8) -> Option<u8> {
    Some(match size {
        4 => 0x00,
        2 => 0x08,
        1 => 0x10,
        8 => 0x18,
        _ => return None,
    })
}

const fn alu(operation: AluOp) -> u8 {
    match operation {
        AluOp::Add => 0x0,
        AluOp::Sub => 0x1,
        AluOp::Mul => 0x2,
        AluOp::Div => 0x3,
        AluOp::Or => 0x4,
        AluOp::And => 0x5,
        AluOp::ShiftLeft => 0x6,
        AluOp::ShiftRight => 0x7,
        AluOp::Mod => 0x9,
        AluOp::Xor => 0xa,
        AluOp::Move => 0xb,
        AluOp::ShiftRightSigned => 0xc,
    }
}

const fn comparison(condition: Condition) -> u8 {
    match condition {
        Condition::Equal => 0x1,
        Condition::Greater => 0x2,
        Condition::GreaterOrEqual => 0x3,
        Condition::Set => 0x4,
        Condition::NotEqual => 0x5,
        Condition::GreaterSigned => 0x6,
        Condition::GreaterOrEqualSigned => 0x7,
        Condition::Less => 0xa,
        Condition::LessOrEqual => 0xb,
        Condition::LessSigned => 0xc,
        Condition::LessOrEqualSigned => 0xd,
    }
}
