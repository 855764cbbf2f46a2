//! The machine against cases worked out by hand, and against another interpreter.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use pds_bytecode::assembly::{assemble, program};
use pds_bytecode::code::Code;
use pds_bytecode::machine::{End, Machine, Run};
use pds_bytecode::memory::{Fault, Kind};
use pds_validator::program::{AluOp, ByteOrder, Condition, Op, Operand, Reg, Width};

fn run_with(text: &str, change: impl Fn(&mut Machine<'_>)) -> Run {
    let program = program(text);
    let mut machine = Machine::new(&program, 512, Some(7), 1);
    change(&mut machine);
    machine.run(1_000, &mut |_, name, arguments, memory| {
        let [Some(first), ..] = arguments else { return Err(Fault::Argument) };
        match name {
            "allocate" => {
                Ok(memory.add(Kind::Allocation, first as usize, &mut fastrand::Rng::with_seed(first)))
            }
            "free" => memory.region(first).ok_or(Fault::Argument).map(|region| {
                region.live = false;
                0
            }),
            "double" => Ok(2 * first),
            _ => Err(Fault::Argument),
        }
    })
}

fn run(text: &str) -> Run {
    run_with(text, |_| {})
}

fn result(text: &str) -> End {
    run(text).end
}

#[test]
fn instructions_are_counted_one_by_one() {
    let run = run("r0 = 5 ll; r1 = 3\nagain: r0 += 1; r1 += -1; if r1 != 0 goto again\nexit");
    assert_eq!(run, Run { end: End::Exit(8), executed: 2 + 3 * 3 + 1, uninitialised: None });
    assert_eq!(result("again: r0 = 0; if r0 == 0 goto again\nexit"), End::OutOfSteps);
}

#[test]
fn memory_is_checked_at_every_access() {
    let fault = |slot, fault| End::Fault(slot, fault);
    assert_eq!(result("*(u64 *)(r10 - 8) = 9; r0 = *(u64 *)(r10 - 8); exit"), End::Exit(9));
    assert_eq!(result("*(u32 *)(r10 - 4) = -1; r0 = *(u16 *)(r10 - 4); exit"), End::Exit(0xffff));
    assert_eq!(result("r2 = r10; *(u8 *)(r2 + 0) = 1; r0 = 0; exit"), fault(1, Fault::OutOfBounds));
    assert_eq!(result("r2 = r10; r0 = *(u64 *)(r2 - 4); exit"), fault(1, Fault::OutOfBounds));
    assert_eq!(
        result("r2 = r10; r2 += -512; *(u64 *)(r2 + 0) = 1; r0 = *(u64 *)(r2 + 0); exit"),
        End::Exit(1)
    );
    assert_eq!(
        result("r2 = r10; r2 += -513; *(u8 *)(r2 + 0) = 1; r0 = 0; exit"),
        fault(2, Fault::OutOfBounds)
    );
    assert_eq!(result("r2 = \"ab\" ll; r0 = *(u8 *)(r2 + 1); exit"), End::Exit(u64::from(b'b')));
    assert_eq!(result("r2 = \"ab\" ll; r0 = *(u8 *)(r2 + 3); exit"), fault(2, Fault::OutOfBounds));
    assert_eq!(result("r2 = \"ab\" ll; *(u8 *)(r2 + 0) = 1; r0 = 0; exit"), fault(2, Fault::ReadOnly));
    assert_eq!(result("r0 = *(u64 *)(r1 + 0); exit"), fault(0, Fault::OutOfBounds));
    let allocated = "r1 = 16; call allocate; r6 = r0; *(u64 *)(r6 + 8) = 3; r0 = *(u64 *)(r6 + 8)";
    assert_eq!(result(&format!("{allocated}; exit")), End::Exit(3));
    assert_eq!(result(&format!("{allocated}; *(u8 *)(r6 + 16) = 3; exit")), fault(5, Fault::OutOfBounds));
    let freed = format!("{allocated}; r1 = r6; call free; r0 = *(u8 *)(r6 + 0); exit");
    assert_eq!(result(&freed), fault(7, Fault::Freed));
}

#[test]
fn bytes_that_nobody_wrote_are_noticed() {
    assert_eq!(run("r0 = *(u64 *)(r10 - 8); exit").uninitialised, Some((0, Kind::Frame)));
    assert_eq!(
        run("*(u32 *)(r10 - 8) = 1; r0 = *(u64 *)(r10 - 8); exit").uninitialised,
        Some((1, Kind::Frame))
    );
    assert_eq!(run("*(u64 *)(r10 - 8) = 1; r0 = *(u32 *)(r10 - 6); exit").uninitialised, None);
    assert_eq!(
        run("r1 = 16; call allocate; r0 = *(u8 *)(r0 + 0); exit").uninitialised,
        Some((2, Kind::Allocation))
    );
}

#[test]
fn lenient_machine_goes_on_after_wild_accesses() {
    let lenient = |text| run_with(text, |machine| machine.lenient = true).end;
    assert_eq!(lenient("*(u64 *)(r1 + 0) = 1; r0 = *(u16 *)(r1 + 0); r0 >>= 16; exit"), End::Exit(0));
}

#[test]
fn arithmetic_ends_or_wraps() {
    assert_eq!(result("r0 = 1; r2 = 0; r0 /= r2; exit"), End::DivisionByZero(2));
    assert_eq!(result("r0 = 1; r2 = 0; r0 %= r2; exit"), End::DivisionByZero(2));
    assert_eq!(result("r0 = 1; r2 = 0x100000000 ll; w0 /= w2; exit"), End::DivisionByZero(3));
    assert_eq!(result("r0 = -1; w0 += 2; exit"), End::Exit(1));
    assert_eq!(result("r0 = -1; w0 s>>= 4; exit"), End::Exit(0xffff_ffff));
    assert_eq!(result("r0 = -16; r0 s>>= 2; exit"), End::Exit(-4_i64 as u64));
    assert_eq!(result("r0 = 0x1122334455667788 ll; r0 = be16 r0; exit"), End::Exit(0x8877));
    assert_eq!(result("r0 = 0x1122334455667788 ll; r0 = le32 r0; exit"), End::Exit(0x5566_7788));
    assert_eq!(result("r0 = 1; w0 = -w0; exit"), End::Exit(0xffff_ffff));
}

#[test]
fn quirks_are_those_of_ubpf() {
    let quirky = |text| run_with(text, |machine| machine.quirks = true).end;
    assert_eq!(quirky("r2 = -1; w0 = r2; exit"), End::Exit(u64::MAX));
    assert_eq!(quirky("r0 = -1; r0 = le16 r0; exit"), End::Exit(u64::MAX));
    assert_eq!(quirky("r0 = 0; r2 = 1; if r2 > -1 goto end\nr0 = 1\nend: exit"), End::Exit(1));
    assert_eq!(quirky("r0 = 0; r2 = -1; if r2 > -1 goto end\nr0 = 1\nend: exit"), End::Exit(0));
}

#[test]
fn helpers_take_arguments_and_lose_them() {
    assert_eq!(result("r1 = 21; call double; exit"), End::Exit(42));
    assert_eq!(result("r6 = r1; r1 = 21; call unknown; exit"), End::Fault(2, Fault::Argument));
}

#[test]
fn items_give_the_program_they_were_made_of() {
    let text = "r6 = 9\nagain: r6 += -1; r1 = \"x\" ll; call log\n if r6 != 0 goto again\nr0 = 0 ; exit";
    let code = assemble(text);
    let again = Code::of(&code.program().unwrap());
    assert_eq!(again.program(), code.program());
}

/// Programs of arithmetic and forward jumps: what rbpf makes of them. A division by zero does not end them there, so
/// divisors are constants; and it panics when it negates the least 64-bit number.
#[test]
fn arithmetic_is_what_rbpf_makes_of_it() {
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..3_000 {
        let code = arithmetic(&mut random);
        let program = code.program().unwrap();
        let text: Vec<u8> = slots(&code);
        let ours = Machine::new(&program, 512, Some(0), 0).run(1_000, &mut |_, _, _, _| Err(Fault::Argument));
        let theirs = rbpf::EbpfVmNoData::new(Some(&text)).unwrap().execute_program().unwrap();
        assert_eq!(ours.end, End::Exit(theirs), "{code:?}");
    }
}

/// The code section of an object.
fn slots(code: &Code) -> Vec<u8> {
    let object = code.object().unwrap();
    // The first section's contents begin behind the header.
    let count: usize = code.0.iter().map(|item| item.op.slots()).sum();
    object[64..64 + 8 * count].to_vec()
}

fn arithmetic(random: &mut fastrand::Rng) -> Code {
    let register = |random: &mut fastrand::Rng| Reg::new(random.u8(0..6)).unwrap();
    let mut items: Vec<pds_bytecode::code::Item> = Vec::new();
    for number in 0..6 {
        let value = match random.u8(..4) {
            0 => random.u64(..),
            1 => random.u64(..256),
            2 => random.i32(..) as i64 as u64,
            _ => u64::MAX << random.u32(..64),
        };
        items.push(Op::LoadImm { dst: Reg::new(number).unwrap(), value }.into());
    }
    let count = 30;
    for at in 0..count {
        let (dst, source) = (register(random), Operand::Reg(register(random)));
        let width = if random.bool() { Width::W32 } else { Width::W64 };
        let bits = if width == Width::W32 { 32 } else { 64 };
        let alu = |operation, source| Op::Alu { operation, width, dst, source };
        let either = if random.bool() { source } else { Operand::Imm(random.i32(..)) };
        let plain = [AluOp::Add, AluOp::Sub, AluOp::Mul, AluOp::Or, AluOp::And, AluOp::Xor, AluOp::Move];
        let shifts = [AluOp::ShiftLeft, AluOp::ShiftRight, AluOp::ShiftRightSigned];
        let op = match random.u8(..8) {
            0..4 => alu(plain[random.usize(..plain.len())], either),
            4 if random.bool() => alu(shifts[random.usize(..3)], source),
            4 => alu(shifts[random.usize(..3)], Operand::Imm(random.i32(0..bits))),
            5 => alu([AluOp::Div, AluOp::Mod][random.usize(..2)], Operand::Imm(random.i32(1..))),
            6 => match random.u8(..3) {
                0 => Op::Negate { width: Width::W32, dst },
                1 => Op::Swap { dst, order: ByteOrder::Big, bits: [16, 32, 64][random.usize(..3)] },
                _ => Op::Swap { dst, order: ByteOrder::Little, bits: [16, 32, 64][random.usize(..3)] },
            },
            _ => {
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
                let condition = all[random.usize(..all.len())];
                Op::Branch { condition, left: dst, right: source, displacement: 0 }
            }
        };
        let target = 6 + random.usize(at + 1..=count);
        items.push(pds_bytecode::code::Item { target, ..op.into() });
    }
    items.push(Op::Exit.into());
    Code(items)
}

#[test]
fn text_gives_the_program_it_was_written_of() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..300 {
        let code = arithmetic(&mut random);
        assert_eq!(assemble(&code.to_string()).program(), code.program(), "{code}");
        let code = pds_bytecode::generate::program(&mut random, &[]);
        assert_eq!(assemble(&code.to_string()).program(), code.program(), "{code}");
    }
}
