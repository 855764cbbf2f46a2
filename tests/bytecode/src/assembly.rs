//! An assembler for tests, of the text that LLVM's disassembler writes.
//!
//! One instruction a line, or several with `;` between them; `name:` before an instruction names it for jumps; `//` begins
//! a comment. `rN` is all of a register, `wN` its lower half:
//!
//! ```text
//! r6 = 1            w6 += r2 (as w6 += w2)     r3 = 0x123456789 ll       r4 = "text" ll      r1 s>>= 32
//! r1 = -r1          r2 = be16 r2               r1 = *(u64 *)(r10 - 8)    *(u8 *)(r1 + 0) = 7
//! goto name         if r1 s< r2 goto name      call helper               exit
//! ```

#![expect(clippy::panic, reason = "what is wrong with a test's own text is for its author to see")]

use std::collections::HashMap;

use pds_validator::program::{AluOp, ByteOrder, Condition, Op, Operand, Program, Reg, Width};

use crate::code::{Code, Item};

/// The program that a text is of.
///
/// # Panics
/// When the text is none, or its structure is refused.
pub fn program(text: &str) -> Program {
    assemble(text).program().unwrap_or_else(|cause| panic!("{cause}\n{text}"))
}

/// The instructions of a text.
///
/// # Panics
/// When the text is none.
pub fn assemble(text: &str) -> Code {
    let mut labels = HashMap::new();
    let mut lines = Vec::new();
    for line in text.lines().map(|line| line.split("//").next().unwrap_or(line)) {
        for mut part in line.split(';').map(str::trim) {
            while let Some((label, rest)) = part.split_once(':') {
                labels.insert(label.trim(), lines.len());
                part = rest.trim();
            }
            if !part.is_empty() {
                lines.push(part);
            }
        }
    }
    let item =
        |line: &&str| instruction(line, &labels).unwrap_or_else(|| panic!("not an instruction: {line}"));
    Code(lines.iter().map(item).collect())
}

fn instruction(line: &str, labels: &HashMap<&str, usize>) -> Option<Item> {
    if line == "exit" {
        return Some(Op::Exit.into());
    }
    if let Some(helper) = line.strip_prefix("call ") {
        return Some(Item { helper: helper.trim().to_owned(), ..Op::Call.into() });
    }
    if let Some(label) = line.strip_prefix("goto ") {
        return Some(Item { target: *labels.get(label.trim())?, ..Op::Jump { displacement: 0 }.into() });
    }
    if let Some(branch) = line.strip_prefix("if ") {
        let (comparison, label) = branch.split_once(" goto ")?;
        let [left, condition, right] = words(comparison)?;
        let (left, right, condition) = (register(left)?, operand(right)?, condition_of(condition)?);
        let op = Op::Branch { condition, left, right, displacement: 0 };
        return Some(Item { target: *labels.get(label.trim())?, ..op.into() });
    }
    let (left, right) = line
        .split_once(" = ")
        .filter(|(left, _)| left.starts_with('*'))
        .map_or_else(|| line.split_once(' '), Some)?;
    if let Some((base, offset, size)) = memory(left) {
        return Some(Op::Store { base, offset, size, source: operand(right)? }.into());
    }
    let (operator, right) = right.trim().split_once(' ')?;
    assignment(left, operator, right.trim())
}

fn assignment(left: &str, operator: &str, right: &str) -> Option<Item> {
    let (dst, width) = (register(left)?, if left.starts_with('w') { Width::W32 } else { Width::W64 });
    if operator != "=" {
        let operation = alu(operator)?;
        return Some(Op::Alu { operation, width, dst, source: operand(right)? }.into());
    }
    if let Some(constant) = right.strip_suffix(" ll") {
        let data = constant.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let value = if data.is_some() { 0 } else { integer(constant)? as u64 };
        let data = data.map(|text| [text.as_bytes(), &[0]].concat()).unwrap_or_default();
        return Some(Item { data, ..Op::LoadImm { dst, value }.into() });
    }
    if let Some((base, offset, size)) = memory(right) {
        return Some(Op::Load { dst, base, offset, size }.into());
    }
    if right.strip_prefix('-').and_then(register) == Some(dst) {
        return Some(Op::Negate { width, dst }.into());
    }
    if let Some((swap, of)) = right.split_once(' ') {
        let order = if swap.starts_with("be") { ByteOrder::Big } else { ByteOrder::Little };
        let bits = swap.strip_prefix("be").or_else(|| swap.strip_prefix("le"))?.parse().ok()?;
        return (register(of)? == dst).then(|| Op::Swap { dst, order, bits }.into());
    }
    Some(Op::Alu { operation: AluOp::Move, width, dst, source: operand(right)? }.into())
}

fn words(text: &str) -> Option<[&str; 3]> {
    text.split_whitespace().collect::<Vec<_>>().try_into().ok()
}

fn register(word: &str) -> Option<Reg> {
    Reg::new(word.trim().strip_prefix(['r', 'w'])?.parse().ok()?)
}

fn operand(word: &str) -> Option<Operand> {
    let register = register(word).map(Operand::Reg);
    register.or_else(|| Some(Operand::Imm(i32::try_from(integer(word)?).ok()?)))
}

fn integer(word: &str) -> Option<i128> {
    let word = word.trim();
    let (sign, digits) = word.strip_prefix('-').map_or((1, word), |digits| (-1, digits));
    let hexadecimal = digits.strip_prefix("0x").map(|digits| i128::from_str_radix(digits, 16));
    Some(sign * hexadecimal.unwrap_or_else(|| digits.parse()).ok()?)
}

/// `*(u64 *)(r10 - 8)`
fn memory(text: &str) -> Option<(Reg, i16, u8)> {
    let (kind, place) = text.trim().strip_prefix("*(u")?.split_once(" *)(")?;
    let bits: u8 = kind.parse().ok()?;
    let [base, sign, offset] = words(place.strip_suffix(')')?)?;
    let offset = integer(offset)? * if sign == "-" { -1 } else { 1 };
    Some((register(base)?, i16::try_from(offset).ok()?, bits / 8))
}

fn alu(operator: &str) -> Option<AluOp> {
    Some(match operator.strip_suffix('=')? {
        "+" => AluOp::Add,
        "-" => AluOp::Sub,
        "*" => AluOp::Mul,
        "/" => AluOp::Div,
        "|" => AluOp::Or,
        "&" => AluOp::And,
        "<<" => AluOp::ShiftLeft,
        ">>" => AluOp::ShiftRight,
        "%" => AluOp::Mod,
        "^" => AluOp::Xor,
        "s>>" => AluOp::ShiftRightSigned,
        _ => return None,
    })
}

fn condition_of(word: &str) -> Option<Condition> {
    Some(match word {
        "==" => Condition::Equal,
        "!=" => Condition::NotEqual,
        "&" => Condition::Set,
        ">" => Condition::Greater,
        ">=" => Condition::GreaterOrEqual,
        "<" => Condition::Less,
        "<=" => Condition::LessOrEqual,
        "s>" => Condition::GreaterSigned,
        "s>=" => Condition::GreaterOrEqualSigned,
        "s<" => Condition::LessSigned,
        "s<=" => Condition::LessOrEqualSigned,
        _ => return None,
    })
}
