//! Programs at random, of the shapes that compilers write, some of them wrong.
//!
//! What is made sets registers before it reads them and ends where it should, so that most pass `structure`; whether
//! loops end and accesses stay inside is left to chance, with honest programs the more likely ones.

mod loops;
mod memory;

use pds_validator::platform::{Access, Argument, ArgumentKind, Helper, Length, Platform, Returns, Scalar};
use pds_validator::program::{AluOp, Condition, Op, Operand, Reg, Width};

use crate::code::{Code, Item};

/// A helper that programs may call, and how to call it.
#[derive(Clone, Debug)]
pub struct Callee {
    /// Its name.
    pub name: String,
    /// What to pass it, from r1 on.
    pub arguments: Vec<Pass>,
    /// The argument that says how many bytes it allocates, if it does.
    pub allocates: Option<usize>,
}

/// What to pass.
#[derive(Clone, Copy, Debug)]
pub enum Pass {
    /// What the pluglet was called with.
    Context,
    /// A number between two.
    Number(i32, i32),
    /// Any word.
    Word,
    /// So many bytes of the frame, written before.
    Bytes(u16),
    /// So many bytes of the frame, to be written.
    Room(u16),
    /// A string.
    Text,
    /// An allocation.
    Allocation,
}

/// The helpers of a platform that can be called with what this generator makes.
pub fn callees(platform: &Platform) -> Vec<Callee> {
    platform.helpers.iter().filter_map(|(name, helper)| callee(name, helper)).collect()
}

fn callee(name: &str, helper: &Helper) -> Option<Callee> {
    let small = |length: &Length| match *length {
        Length::Bytes(bytes) => u16::try_from(bytes).ok().filter(|bytes| *bytes <= 128),
        Length::Count { .. } | Length::TextWithin(_) | Length::Outputs => Some(128),
        Length::Text | Length::Until { .. } | Length::CountAt(_) => None,
    };
    let pass = |argument: &Argument| {
        Some(match &argument.kind {
            ArgumentKind::Handle(_) => Pass::Context,
            ArgumentKind::Number(Scalar::Word, _) => Pass::Word,
            ArgumentKind::Number(_, Some(range)) => {
                Pass::Number(i32::try_from(range.min).ok()?, i32::try_from(range.max).ok()?)
            }
            ArgumentKind::Number(..) => Pass::Number(0, 16),
            ArgumentKind::Memory(Access::Reads, Length::Text) => Pass::Text,
            ArgumentKind::Memory(Access::Fills | Access::MayWrite, length) => Pass::Room(small(length)?),
            ArgumentKind::Memory(_, length) => Pass::Bytes(small(length)?),
            ArgumentKind::Struct(_) => return None,
            ArgumentKind::Freed => Pass::Allocation,
        })
    };
    let arguments = helper.arguments.iter().map(pass).collect::<Option<_>>()?;
    let allocates = match helper.returns {
        Returns::Allocation { size, .. } => Some(size.0.into()),
        _ => None,
    };
    Some(Callee { name: name.to_owned(), arguments, allocates })
}

/// A program that calls nothing but `callees`.
pub fn program(random: &mut fastrand::Rng, callees: &[Callee]) -> Code {
    let mut maker = Maker::new(random, callees);
    maker.prologue();
    maker.statements(0);
    maker.epilogue();
    maker.finish()
}

/// Bytes of the frame that programs use; helpers that want more get the whole of it.
const FRAME: i16 = 256;
/// Calls save these.
const SAVED: [Reg; 4] = [register(6), register(7), register(8), register(9)];
const SCRATCH: [Reg; 6] = [register(0), register(1), register(2), register(3), register(4), register(5)];
const CALL_LOSES: u16 = 0b11_1110;

const fn register(number: u8) -> Reg {
    match Reg::new(number) {
        Some(register) => register,
        None => Reg::FRAME,
    }
}

/// A place in the program that jumps lead to.
type Label = usize;

/// What is known where the program goes on.
#[derive(Clone)]
struct State {
    /// Registers that are set on every path, a bit each.
    set: u16,
    /// Words of the frame that are, the highest first.
    slots: u32,
    /// Registers that hold an allocation that is not null, and its bytes.
    pointers: [Option<u16>; Reg::COUNT],
}

struct Maker<'a> {
    random: &'a mut fastrand::Rng,
    callees: &'a [Callee],
    /// Jumps have labels for targets until all is done.
    items: Vec<Item>,
    labels: Vec<usize>,
    state: State,
    /// Registers and words of the frame that a loop around counts with or that hold what must not change in it.
    busy: u16,
    busy_slots: u32,
}

impl<'a> Maker<'a> {
    fn new(random: &'a mut fastrand::Rng, callees: &'a [Callee]) -> Self {
        let state = State { set: Reg::R1.bit() | Reg::FRAME.bit(), slots: 0, pointers: [None; Reg::COUNT] };
        Self { random, callees, items: vec![], labels: vec![], state, busy: 0, busy_slots: 0 }
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(..100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.usize(..from.len())]
    }

    fn emit(&mut self, op: Op) {
        if op == Op::Call {
            self.state.set &= !CALL_LOSES;
            self.state.pointers[1..=5].fill(None);
        }
        if let Some(dst) = op.writes() {
            self.state.set |= dst.bit();
            self.state.pointers[dst.index()] = None;
        }
        self.items.push(op.into());
    }

    fn alu(&mut self, operation: AluOp, dst: Reg, source: Operand) {
        self.emit(Op::Alu { operation, width: Width::W64, dst, source });
    }

    fn imm(&mut self, operation: AluOp, dst: Reg, imm: i32) {
        self.alu(operation, dst, Operand::Imm(imm));
    }

    fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        self.labels.len() - 1
    }

    /// What follows is where `label` leads.
    fn place(&mut self, label: Label) {
        self.labels[label] = self.items.len();
    }

    fn jump(&mut self, label: Label) {
        self.items.push(Item { target: label, ..Op::Jump { displacement: 0 }.into() });
    }

    fn branch(&mut self, condition: Condition, left: Reg, right: Operand, label: Label) {
        let op = Op::Branch { condition, left, right, displacement: 0 };
        self.items.push(Item { target: label, ..op.into() });
    }

    fn finish(mut self) -> Code {
        for item in &mut self.items {
            if item.op.displacement().is_some() {
                item.target = self.labels[item.target];
            }
        }
        Code(self.items)
    }

    /// Keeps the argument, and gives the other saved registers something.
    fn prologue(&mut self) {
        self.alu(AluOp::Move, SAVED[0], Operand::Reg(Reg::R1));
        self.busy |= SAVED[0].bit();
        for saved in &SAVED[1..] {
            let number = self.number();
            self.imm(AluOp::Move, *saved, number);
        }
    }

    fn epilogue(&mut self) {
        let result = self.readable();
        self.alu(AluOp::Move, Reg::R0, result);
        self.emit(Op::Exit);
    }

    fn statements(&mut self, depth: usize) {
        for _ in 0..self.random.usize(1..=6 - depth) {
            if self.items.len() < 120 {
                self.statement(depth);
            }
        }
    }

    fn statement(&mut self, depth: usize) {
        match self.random.u8(..100) {
            0..24 => self.arithmetic(),
            24..32 => self.spill(),
            32..40 => self.fill(),
            40..52 if depth < 4 => self.either(depth),
            52..68 if depth < 3 => self.repeat(depth),
            68..80 if !self.callees.is_empty() => self.call(),
            80..90 => self.indexed(),
            _ => self.through_pointer(),
        }
    }

    /// A number of the kind that programs are made of.
    fn number(&mut self) -> i32 {
        match self.random.u8(..10) {
            0..5 => self.random.i32(0..20),
            5..7 => self.random.i32(-20..300),
            7 => 1 << self.random.u32(0..31),
            8 => self.pick(&[-1, i32::MAX, i32::MIN, 0xff, 0xffff]),
            _ => self.random.i32(..),
        }
    }

    /// A register that is set, or a constant.
    fn readable(&mut self) -> Operand {
        let set: Vec<Reg> = Reg::all().filter(|reg| self.state.set & reg.bit() != 0).collect();
        if self.chance(60) { Operand::Reg(self.pick(&set)) } else { Operand::Imm(self.number()) }
    }

    /// A register to write to that no loop needs.
    fn writable(&mut self) -> Reg {
        let free = |reg: &Reg| self.busy & reg.bit() == 0;
        let saved: Vec<Reg> = SAVED.into_iter().filter(free).collect();
        if saved.is_empty() || self.chance(70) { self.pick(&SCRATCH) } else { self.pick(&saved) }
    }

    /// A register that is set and free, made so if need be.
    fn changeable(&mut self) -> Reg {
        let register = self.writable();
        if self.state.set & register.bit() == 0 {
            let source = self.readable();
            self.alu(AluOp::Move, register, source);
        }
        register
    }

    fn arithmetic(&mut self) {
        use AluOp as A;
        let width = if self.chance(15) { Width::W32 } else { Width::W64 };
        let bits = if width == Width::W32 { 32 } else { 64 };
        let dst = self.changeable();
        let operation = self.pick(&[
            A::Move,
            A::Move,
            A::Add,
            A::Add,
            A::Sub,
            A::Mul,
            A::Div,
            A::Mod,
            A::And,
            A::Or,
            A::Xor,
            A::ShiftLeft,
            A::ShiftRight,
            A::ShiftRightSigned,
        ]);
        let source = match operation {
            A::ShiftLeft | A::ShiftRight | A::ShiftRightSigned => Operand::Imm(self.random.i32(0..bits)),
            A::Div | A::Mod => Operand::Imm(self.random.i32(1..100)),
            _ => self.readable(),
        };
        self.emit(Op::Alu { operation, width, dst, source });
        if self.chance(20) {
            let (shift, mask) = (self.pick(&[16, 32, 48, 56]), self.pick(&[1, 7, 15, 31, 63, 255]));
            if self.random.bool() {
                self.imm(A::And, dst, mask);
            } else {
                self.imm(A::ShiftLeft, dst, shift);
                let back = self.pick(&[A::ShiftRight, A::ShiftRightSigned]);
                self.imm(back, dst, shift);
            }
        }
    }

    /// Two ways that meet again.
    fn either(&mut self, depth: usize) {
        let (other, end) = (self.label(), self.label());
        let (left, right) = (self.changeable(), self.readable());
        let condition = self.condition();
        self.branch(condition, left, right, other);
        let before = self.state.clone();
        self.statements(depth + 1);
        let one = std::mem::replace(&mut self.state, before);
        if self.chance(50) {
            self.jump(end);
            self.place(other);
            self.statements(depth + 1);
        } else {
            self.place(other);
        }
        self.place(end);
        self.state.meet(&one);
    }

    fn condition(&mut self) -> Condition {
        use Condition as C;
        self.pick(&[
            C::Equal,
            C::NotEqual,
            C::Greater,
            C::GreaterOrEqual,
            C::Less,
            C::LessOrEqual,
            C::GreaterSigned,
            C::GreaterOrEqualSigned,
            C::LessSigned,
            C::LessOrEqualSigned,
            C::Set,
        ])
    }

    /// Calls a helper, most often with what it wants.
    fn call(&mut self) {
        let callees = self.callees;
        let callee = &callees[self.random.usize(..callees.len())];
        let mut size = 0;
        let holder = SAVED.into_iter().find(|reg| self.state.pointers[reg.index()].is_some());
        for (place, (pass, register)) in callee.arguments.iter().zip(Reg::arguments()).enumerate() {
            match *pass {
                Pass::Context => self.alu(AluOp::Move, register, Operand::Reg(SAVED[0])),
                Pass::Number(..) if callee.allocates == Some(place) => {
                    size = self.random.u16(1..=128);
                    self.imm(AluOp::Move, register, size.into());
                }
                Pass::Number(least, most) => {
                    let number = self.random.i32(least..=most);
                    self.imm(AluOp::Move, register, number);
                }
                Pass::Word => {
                    let word = self.readable();
                    self.alu(AluOp::Move, register, word);
                }
                Pass::Bytes(bytes) => self.point(register, bytes, true),
                Pass::Room(bytes) => self.point(register, bytes, false),
                Pass::Text => {
                    self.emit(Op::LoadImm { dst: register, value: 0 });
                    if let Some(item) = self.items.last_mut() {
                        item.data = b"text\0".to_vec();
                    }
                }
                Pass::Allocation => {
                    let Some(holder) = holder else { return self.arithmetic() };
                    self.alu(AluOp::Move, register, Operand::Reg(holder));
                    self.state.pointers[holder.index()] = None;
                }
            }
        }
        self.emit(Op::Call);
        if let Some(item) = self.items.last_mut() {
            item.helper.clone_from(&callee.name);
        }
        if callee.allocates.is_some() {
            self.keep(size);
        } else if self.chance(50) {
            let register = self.writable();
            self.alu(AluOp::Move, register, Operand::Reg(Reg::R0));
        }
    }
}

impl State {
    fn meet(&mut self, other: &Self) {
        self.set &= other.set;
        self.slots &= other.slots;
        for (pointer, other) in self.pointers.iter_mut().zip(&other.pointers) {
            *pointer = pointer.filter(|_| pointer == other);
        }
    }
}
