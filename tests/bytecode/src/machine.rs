//! A machine that runs programs and looks at everything they do.
//!
//! Instructions do what RFC 9669 says, but that a division by zero ends the pluglet, as in uBPF; those that uBPF's compiler
//! and interpreter run otherwise can be run so too ([`Machine::quirks`]).

use pds_validator::program::{AluOp, ByteOrder, Condition, Op, Operand, Program, Reg, Width};

use crate::memory::{Fault, Kind, Memory};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a result.
    Exit(u64),
    /// At a slot that divides by zero.
    DivisionByZero(usize),
    /// At a slot whose load, store or call is none that it may make.
    Fault(usize, Fault),
    /// At a slot that reads a register which nobody set.
    Unset(usize),
    /// After as many instructions as were granted.
    OutOfSteps,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// Instructions that were executed; one that takes two slots counts once, a call too.
    pub executed: u64,
    /// The first slot that loaded bytes which nobody wrote, and of what.
    pub uninitialised: Option<(usize, Kind)>,
}

/// What a helper does: given its slot, its name, r1 to r5 as far as they are set, and all memory, it gives r0.
pub type Host<'a> = dyn FnMut(usize, &str, [Option<u64>; 5], &mut Memory) -> Result<u64, Fault> + 'a;

/// A machine with a program.
pub struct Machine<'a> {
    program: &'a Program,
    /// All that can be loaded and stored.
    pub memory: Memory,
    /// r0 to r10; `None` when nobody set it.
    pub registers: [Option<u64>; Reg::COUNT],
    /// Whether instructions that uBPF runs in its own way are run that way.
    pub quirks: bool,
    /// Whether loads and stores that are no pluglet's to make do nothing, and load anything, instead of ending the run.
    pub lenient: bool,
    random: fastrand::Rng,
    uninitialised: Option<(usize, Kind)>,
}

impl<'a> Machine<'a> {
    /// With a frame of `stack_bytes`, r1 as given, and addresses and leftovers that depend on a seed.
    pub fn new(program: &'a Program, stack_bytes: u16, argument: Option<u64>, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut memory = Memory::default();
        let frame = memory.add(Kind::Frame, stack_bytes.into(), &mut random);
        let mut registers = [None; Reg::COUNT];
        registers[Reg::R1.index()] = argument;
        registers[Reg::FRAME.index()] = Some(frame + u64::from(stack_bytes));
        Self { program, memory, registers, quirks: false, lenient: false, random, uninitialised: None }
    }

    /// Runs the program from its first slot, for at most `steps` instructions.
    pub fn run(self, steps: u64, host: &mut Host<'_>) -> Run {
        self.run_watched(steps, host, &mut |_, _| {})
    }

    /// The same, with a look at each slot's registers before it is executed.
    pub fn run_watched(
        mut self,
        steps: u64,
        host: &mut Host<'_>,
        watch: &mut dyn FnMut(usize, &[Option<u64>; Reg::COUNT]),
    ) -> Run {
        let (mut slot, mut executed) = (0, 0);
        let end = loop {
            if executed == steps {
                break End::OutOfSteps;
            }
            executed += 1;
            watch(slot, &self.registers);
            match self.step(slot, host) {
                Ok(next) => slot = next,
                Err(end) => break end,
            }
        };
        Run { end, executed, uninitialised: self.uninitialised }
    }

    /// Executes one instruction and gives the slot of the next.
    fn step(&mut self, slot: usize, host: &mut Host<'_>) -> Result<usize, End> {
        let op =
            *self.program.op(slot).expect("structure: jumps lead to instructions, nothing falls off the end");
        let unset = End::Unset(slot);
        let get =
            |registers: &[Option<u64>; Reg::COUNT], register: Reg| registers[register.index()].ok_or(unset);
        let value = |registers: &_, operand: Operand| match operand {
            Operand::Reg(register) => get(registers, register),
            Operand::Imm(imm) => Ok(i64::from(imm) as u64),
        };
        let next = slot + op.slots();
        let registers = &self.registers;
        let (dst, result) = match op {
            Op::Alu { operation: AluOp::Move, width, dst, source } => {
                let source_value = value(registers, source)?;
                let whole = width == Width::W64 || self.quirks && source.register().is_some();
                (dst, if whole { source_value } else { source_value & LOW })
            }
            Op::Alu { operation, width, dst, source } => {
                let (left, right) = (get(registers, dst)?, value(registers, source)?);
                let result =
                    if self.quirks { self.quirk(operation, width, left, source, right) } else { None };
                let result = match result {
                    Some(result) => Some(result),
                    None => alu(operation, width, left, right),
                };
                (dst, result.ok_or(End::DivisionByZero(slot))?)
            }
            Op::Negate { width, dst } => (dst, cut(get(registers, dst)?.wrapping_neg(), width)),
            Op::Swap { dst, order, bits } => {
                let before = get(registers, dst)?;
                let little = order == ByteOrder::Little;
                (dst, if little && self.quirks { before } else { swap(before, bits, little) })
            }
            Op::LoadImm { dst, value } => (dst, self.constant(slot, value)),
            Op::Load { dst, base, offset, size } => {
                let address = get(registers, base)?.wrapping_add(i64::from(offset) as u64);
                (dst, self.load(slot, address, size)?)
            }
            Op::Store { base, offset, size, source } => {
                let address = get(registers, base)?.wrapping_add(i64::from(offset) as u64);
                let word = value(registers, source)?;
                match self.memory.store(address, size, word) {
                    Err(fault) if !self.lenient => return Err(End::Fault(slot, fault)),
                    _ => return Ok(next),
                }
            }
            Op::Branch { condition, left, right, .. } => {
                let left = get(registers, left)?;
                let is_unsigned = matches!(
                    condition,
                    Condition::Less | Condition::LessOrEqual | Condition::Greater | Condition::GreaterOrEqual
                );
                let right = match right {
                    Operand::Imm(imm) if self.quirks && is_unsigned => u64::from(imm as u32),
                    _ => value(registers, right)?,
                };
                let taken = holds(condition, left, right);
                return Ok(if taken { self.target(slot) } else { next });
            }
            Op::Jump { .. } => return Ok(self.target(slot)),
            Op::Call => {
                let arguments = [1, 2, 3, 4, 5].map(|number| self.registers[number]);
                let name = self.program.helper(slot).expect("structure: every call has a name");
                let result = host(slot, name, arguments, &mut self.memory);
                self.registers[1..=5].fill(None);
                (Reg::R0, result.map_err(|fault| End::Fault(slot, fault))?)
            }
            Op::Exit => return Err(End::Exit(get(registers, Reg::R0)?)),
        };
        self.registers[dst.index()] = Some(result);
        Ok(next)
    }

    fn target(&self, slot: usize) -> usize {
        self.program.successors(slot).last().expect("a jump leads somewhere")
    }

    /// A number, or the address of the data there.
    fn constant(&mut self, slot: usize, value: u64) -> u64 {
        match self.program.data(slot) {
            Some(data) => self.memory.add_with(Kind::Data, &data.bytes, &mut self.random),
            None => value,
        }
    }

    fn load(&mut self, slot: usize, address: u64, size: u8) -> Result<u64, End> {
        match self.memory.load(address, size) {
            Ok((word, written)) => {
                if !written && self.uninitialised.is_none() {
                    self.uninitialised = self.memory.region(address).map(|region| (slot, region.kind));
                }
                Ok(word)
            }
            Err(_) if self.lenient => Ok(self.random.u64(..) >> (64 - 8 * u32::from(size))),
            Err(fault) => Err(End::Fault(slot, fault)),
        }
    }

    /// What uBPF's compiler or interpreter makes of arithmetic that it does not do as it should.
    fn quirk(&self, operation: AluOp, width: Width, left: u64, source: Operand, right: u64) -> Option<u64> {
        let by_register = source.register().is_some();
        match (operation, width) {
            // A multiplication by the register that its encoding would name: r0.
            (AluOp::Mul, _) if source == Operand::Imm(0) => {
                alu(operation, width, left, self.registers[0].unwrap_or_default())
            }
            // In 64 bits before it is cut.
            (AluOp::ShiftLeft, Width::W32) if by_register => Some(left << (right & 63) & LOW),
            (AluOp::ShiftRight, Width::W32) if by_register => Some((left & LOW) >> (right & 63)),
            _ => None,
        }
    }
}

const LOW: u64 = u32::MAX as u64;

const fn cut(value: u64, width: Width) -> u64 {
    match width {
        Width::W32 => value & LOW,
        Width::W64 => value,
    }
}

/// `None` on a division by zero.
pub fn alu(operation: AluOp, width: Width, left: u64, right: u64) -> Option<u64> {
    let (left, right) = (cut(left, width), cut(right, width));
    let amount = (right & if width == Width::W64 { 63 } else { 31 }) as u32;
    let result = match operation {
        AluOp::Add => left.wrapping_add(right),
        AluOp::Sub => left.wrapping_sub(right),
        AluOp::Mul => left.wrapping_mul(right),
        AluOp::Div => left.checked_div(right)?,
        AluOp::Mod => left.checked_rem(right)?,
        AluOp::Or => left | right,
        AluOp::And => left & right,
        AluOp::Xor => left ^ right,
        AluOp::Move => right,
        AluOp::ShiftLeft => left << amount,
        AluOp::ShiftRight => left >> amount,
        AluOp::ShiftRightSigned => match width {
            Width::W32 => (left as u32 as i32 >> amount) as u64,
            Width::W64 => (left as i64 >> amount) as u64,
        },
    };
    Some(cut(result, width))
}

fn swap(value: u64, bits: u8, little: bool) -> u64 {
    let kept = if bits == 64 { value } else { value & ((1 << bits) - 1) };
    if little { kept } else { kept.swap_bytes() >> (64 - bits) }
}

/// Whether `left condition right`.
pub fn holds(condition: Condition, left: u64, right: u64) -> bool {
    let (left_signed, right_signed) = (left as i64, right as i64);
    match condition {
        Condition::Equal => left == right,
        Condition::NotEqual => left != right,
        Condition::Set => left & right != 0,
        Condition::Greater => left > right,
        Condition::GreaterOrEqual => left >= right,
        Condition::Less => left < right,
        Condition::LessOrEqual => left <= right,
        Condition::GreaterSigned => left_signed > right_signed,
        Condition::GreaterOrEqualSigned => left_signed >= right_signed,
        Condition::LessSigned => left_signed < right_signed,
        Condition::LessOrEqualSigned => left_signed <= right_signed,
    }
}
