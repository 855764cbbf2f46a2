//! Programs with something changed, as a hostile or a careless author would.

use pds_validator::program::{AluOp, Condition, Op, Operand, Reg};

use crate::code::{Code, Item};

/// Changes one to four things of a program that has an instruction.
pub fn mutate(code: &mut Code, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..=4) {
        one(&mut code.0, random);
    }
}

fn one(items: &mut Vec<Item>, random: &mut fastrand::Rng) {
    let at = random.usize(..items.len());
    match random.u8(..12) {
        0 if items.len() > 2 => remove(items, at),
        1 => insert(items, at, items[random.usize(..items.len())].clone()),
        2 if at + 1 < items.len() => items.swap(at, at + 1),
        3 if items[at].op.displacement().is_some() => items[at].target = random.usize(..items.len()),
        4 if items[at].op.displacement().is_some() => {
            let moved = items[at].target as i64 + random.i64(-2..=2);
            items[at].target = moved.clamp(0, items.len() as i64 - 1) as usize;
        }
        _ => change(&mut items[at].op, random),
    }
}

fn remove(items: &mut Vec<Item>, at: usize) {
    items.remove(at);
    for item in items {
        item.target -= usize::from(item.target > at);
    }
}

fn insert(items: &mut Vec<Item>, at: usize, item: Item) {
    items.insert(at, item);
    for item in items {
        item.target += usize::from(item.target > at);
    }
}

fn change(op: &mut Op, random: &mut fastrand::Rng) {
    let which = random.u8(..3);
    match op {
        Op::Alu { operation, source, dst, .. } => match which {
            0 => *operation = arithmetic(random),
            1 => *source = operand(*source, random),
            _ => *dst = register(random),
        },
        Op::Load { dst, base, offset, size } => match which {
            0 => *offset = near(i32::from(*offset), random) as i16,
            1 => *size = 1 << random.u8(..4),
            _ if random.bool() => *base = register(random),
            _ => *dst = register(random),
        },
        Op::Store { base, offset, size, source } => match which {
            0 => *offset = near(i32::from(*offset), random) as i16,
            1 => *size = 1 << random.u8(..4),
            _ if random.bool() => *base = register(random),
            _ => *source = operand(*source, random),
        },
        Op::Branch { condition, left, right, .. } => match which {
            0 => *condition = comparison(random),
            1 => *right = operand(*right, random),
            _ => *left = register(random),
        },
        Op::LoadImm { value, .. } => *value ^= 1 << random.u32(..64),
        Op::Negate { dst, .. } | Op::Swap { dst, .. } => *dst = register(random),
        Op::Jump { .. } | Op::Call | Op::Exit => {}
    }
}

fn operand(before: Operand, random: &mut fastrand::Rng) -> Operand {
    match before {
        Operand::Imm(imm) if random.u8(..4) > 0 => Operand::Imm(near(imm, random)),
        _ if random.bool() => Operand::Reg(register(random)),
        _ => Operand::Imm(near(0, random)),
    }
}

fn near(number: i32, random: &mut fastrand::Rng) -> i32 {
    match random.u8(..8) {
        0..4 => number.wrapping_add(random.i32(-2..=2)),
        4 => number.wrapping_neg(),
        5 => [0, 1, -1, i32::MAX, i32::MIN, 255, 256, 65_535][random.usize(..8)],
        6 => number.wrapping_mul(2),
        _ => number ^ 1 << random.u32(..31),
    }
}

fn register(random: &mut fastrand::Rng) -> Reg {
    Reg::new(random.u8(..=10)).unwrap_or(Reg::R0)
}

fn arithmetic(random: &mut fastrand::Rng) -> AluOp {
    use AluOp as A;
    let all = [
        A::Add,
        A::Sub,
        A::Mul,
        A::Div,
        A::Or,
        A::And,
        A::ShiftLeft,
        A::ShiftRight,
        A::Mod,
        A::Xor,
        A::Move,
        A::ShiftRightSigned,
    ];
    all[random.usize(..all.len())]
}

fn comparison(random: &mut fastrand::Rng) -> Condition {
    use Condition as C;
    let all = [
        C::Equal,
        C::Greater,
        C::GreaterOrEqual,
        C::Set,
        C::NotEqual,
        C::GreaterSigned,
        C::GreaterOrEqualSigned,
        C::Less,
        C::LessOrEqual,
        C::LessSigned,
        C::LessOrEqualSigned,
    ];
    all[random.usize(..all.len())]
}
