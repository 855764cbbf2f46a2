//! Programs as the assembler takes them, for people to read; jumps lead to numbered labels.

use std::fmt;

use pds_validator::program::{AluOp, ByteOrder, Condition, Op, Operand, Width};

use crate::code::{Code, Item};

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut slot = 0;
        for (number, item) in self.0.iter().enumerate() {
            let is_target =
                self.0.iter().any(|jump| jump.op.displacement().is_some() && jump.target == number);
            let label = if is_target { format!("l{number}:") } else { String::new() };
            writeln!(f, "{label:6} {item:40} // {slot}")?;
            slot += item.op.slots();
        }
        Ok(())
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operand = |operand: Operand, half: bool| match operand {
            Operand::Imm(number) => number.to_string(),
            Operand::Reg(register) if half => format!("w{}", register.index()),
            Operand::Reg(register) => register.to_string(),
        };
        let text = match self.op {
            Op::Alu { operation, width, dst, source } => {
                let half = width == Width::W32;
                format!(
                    "{} {} {}",
                    operand(Operand::Reg(dst), half),
                    operator(operation),
                    operand(source, half)
                )
            }
            Op::Negate { width, dst } => {
                let register = operand(Operand::Reg(dst), width == Width::W32);
                format!("{register} = -{register}")
            }
            Op::Swap { dst, order, bits } => {
                format!("{dst} = {}{bits} {dst}", if order == ByteOrder::Big { "be" } else { "le" })
            }
            Op::LoadImm { dst, .. } if !self.data.is_empty() => {
                format!("{dst} = {:?} ll", String::from_utf8_lossy(&self.data[..self.data.len() - 1]))
            }
            Op::LoadImm { dst, value } => format!("{dst} = {value:#x} ll"),
            Op::Load { dst, base, offset, size } => format!("{dst} = {}", memory(base, offset, size)),
            Op::Store { base, offset, size, source } => {
                format!("{} = {}", memory(base, offset, size), operand(source, false))
            }
            Op::Jump { .. } => format!("goto l{}", self.target),
            Op::Branch { condition, left, right, .. } => {
                format!("if {left} {} {} goto l{}", comparison(condition), operand(right, false), self.target)
            }
            Op::Call => format!("call {}", self.helper),
            Op::Exit => "exit".to_owned(),
        };
        f.pad(&text)
    }
}

fn memory(base: pds_validator::program::Reg, offset: i16, size: u8) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    format!("*(u{} *)({base} {sign} {})", 8 * u32::from(size), offset.unsigned_abs())
}

const fn operator(operation: AluOp) -> &'static str {
    match operation {
        AluOp::Add => "+=",
        AluOp::Sub => "-=",
        AluOp::Mul => "*=",
        AluOp::Div => "/=",
        AluOp::Or => "|=",
        AluOp::And => "&=",
        AluOp::ShiftLeft => "<<=",
        AluOp::ShiftRight => ">>=",
        AluOp::Mod => "%=",
        AluOp::Xor => "^=",
        AluOp::Move => "=",
        AluOp::ShiftRightSigned => "s>>=",
    }
}

const fn comparison(condition: Condition) -> &'static str {
    match condition {
        Condition::Equal => "==",
        Condition::NotEqual => "!=",
        Condition::Set => "&",
        Condition::Greater => ">",
        Condition::GreaterOrEqual => ">=",
        Condition::Less => "<",
        Condition::LessOrEqual => "<=",
        Condition::GreaterSigned => "s>",
        Condition::GreaterOrEqualSigned => "s>=",
        Condition::LessSigned => "s<",
        Condition::LessOrEqualSigned => "s<=",
    }
}
