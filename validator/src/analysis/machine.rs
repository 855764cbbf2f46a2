//! What an instruction makes of what is known before it.
//!
//! Pure. Every rule errs to one side: whatever a concrete execution can do from a state that fits what is known before, what
//! is known after fits it too. Where a platform runs an instruction otherwise than the instruction set says
//! ([`Unreliable`]), the result is whatever it may be.

use std::collections::BTreeSet;

use super::access::{Access, Cause, Grade, Resolved};
use super::branch::{branch_on_pointer, compare_equal};
use super::contract::Contract;
use super::interval::Interval;
use super::report::Sink;
use super::state::State;
use super::value::{Known, Pointer, Region, Shifted, Taint, Value, Word};
use crate::platform::{DataReference, HandleId, Platform, Type, Unreliable};
use crate::program::{AluOp, ByteOrder, Condition, Op, Operand, Program, Reg, Width};

/// A program, and the platform it is for.
pub(super) struct Machine<'a> {
    pub program: &'a Program,
    pub platform: &'a Platform,
    pub contract: &'a Contract,
    pub frame_bytes: u16,
    /// Kinds of host pointers that something on the platform may leave dangling.
    pub any_invalidated: BTreeSet<HandleId>,
}

/// Whether execution goes on after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    Ends,
}

impl<'a> Machine<'a> {
    pub fn new(program: &'a Program, platform: &'a Platform, contract: &'a Contract) -> Self {
        let of_helpers = platform.helpers.values().flat_map(|helper| &helper.effects.invalidates);
        let of_operations = platform.operations.values().flat_map(|operation| &operation.invalidates);
        let any_invalidated = of_helpers.chain(of_operations).copied().collect();
        Self { program, platform, contract, frame_bytes: platform.limits.stack_bytes, any_invalidated }
    }

    /// What is known when the pluglet begins.
    pub fn entry(&self) -> State {
        let mut state = State::new(self.frame_bytes);
        for (number, kind) in &self.platform.entry {
            let Some(register) = Reg::new(*number).filter(|register| *register != Reg::FRAME) else {
                continue;
            };
            let value = match *kind {
                Type::Scalar(_) => Value::Unknown,
                Type::Handle(handle) => {
                    let base = state.fresh_id();
                    Value::Pointer(Pointer::to(Region::Host(handle), false, base))
                }
            };
            state.set(register, value);
        }
        state
    }

    /// Executes the instruction at `slot` on `state`; of a branch only what holds on both ways.
    pub fn step(&self, slot: usize, op: &Op, state: &mut State, sink: &mut Sink<'_>) -> Flow {
        match *op {
            Op::Alu { operation: AluOp::Move, width, dst, source } => self.assign(state, width, dst, source),
            Op::Alu { operation, width, dst, source } => {
                return self.alu(operation, width, dst, source, state, sink);
            }
            Op::Negate { width, dst } => {
                let value = state.register(dst).value;
                state.lose_track(value);
                state.set(dst, result_of(value, width, value.number().negate(width)));
            }
            Op::Swap { dst, order, bits } => {
                let value = state.register(dst).value;
                state.lose_track(value);
                let is_odd = order == ByteOrder::Little && self.is_unreliable(Unreliable::SwapToLittleEndian);
                let result = if is_odd { Interval::FULL } else { value.number().swap(order, bits) };
                state.set(dst, result_of(value, Width::W64, result));
            }
            Op::LoadImm { dst, value } => {
                let value = match self.program.data(slot) {
                    Some(_) if self.platform.data == DataReference::Text => {
                        let base = state.fresh_id();
                        Value::Pointer(Pointer::to(Region::Data { slot }, false, base))
                    }
                    Some(_) => Value::Unknown,
                    None => Value::constant(value),
                };
                state.set(dst, value);
            }
            Op::Load { dst, base, offset, size } => {
                let word = self.load(Access { base, offset, size, is_store: false }, state, sink);
                state.set_word(dst, word);
            }
            Op::Store { base, offset, size, source } => {
                let word = self.operand(state, source);
                self.store(Access { base, offset, size, is_store: true }, word, state, sink);
            }
            Op::Jump { .. } | Op::Branch { .. } => {}
            Op::Call => self.call(slot, state, sink),
            Op::Exit => return Flow::Ends,
        }
        Flow::On
    }

    /// Restricts `state` to executions in which a branch goes the given way; false when there are none.
    pub fn branch(
        &self,
        condition: Condition,
        left: Reg,
        right: Operand,
        taken: bool,
        state: &mut State,
    ) -> bool {
        let (left, right_word) = (state.register(left), self.operand(state, right));
        let is_unsigned = matches!(
            condition,
            Condition::Greater | Condition::GreaterOrEqual | Condition::Less | Condition::LessOrEqual
        );
        let is_odd = matches!(right, Operand::Imm(..0)) && is_unsigned;
        if is_odd && self.is_unreliable(Unreliable::UnsignedCompareWithNegative) {
            return true;
        }
        if right.register().is_some() && left.id == right_word.id {
            return compare_equal(condition).is_none_or(|outcome| outcome == taken);
        }
        match (left.value, right_word.value) {
            (Value::Pointer(_), _) | (_, Value::Pointer(_)) => {
                branch_on_pointer(condition, left, right_word, taken, self.frame_bytes, state)
            }
            (mine, other) => {
                let Some((refined, refined_other)) = mine.number().refine(condition, other.number(), taken)
                else {
                    return false;
                };
                refine(state, left, refined);
                if right.register().is_some() {
                    refine(state, right_word, refined_other);
                }
                true
            }
        }
    }

    pub fn is_unreliable(&self, kind: Unreliable) -> bool {
        self.platform.unreliable.contains(&kind)
    }

    fn operand(&self, state: &mut State, operand: Operand) -> Word {
        match operand {
            Operand::Reg(register) => state.register(register),
            Operand::Imm(value) => {
                let id = state.fresh_id();
                Word::new(Value::constant(i64::from(value) as u64), id)
            }
        }
    }

    fn assign(&self, state: &mut State, width: Width, dst: Reg, source: Operand) {
        let word = self.operand(state, source);
        let number = word.value.number();
        let is_same = width == Width::W64
            || matches!(word.value, Value::Scalar(_)) && number.umax() <= u64::from(u32::MAX);
        if is_same {
            state.set_word(dst, word);
            return;
        }
        state.lose_track(word.value);
        let is_odd = source.register().is_some() && self.is_unreliable(Unreliable::Mov32Register);
        let odd = Value::unknown(word.value.taint());
        state.set(dst, if is_odd { odd } else { Value::Scalar(number.low(32)) });
    }

    fn alu(
        &self,
        operation: AluOp,
        width: Width,
        dst: Reg,
        source: Operand,
        state: &mut State,
        sink: &mut Sink<'_>,
    ) -> Flow {
        let (left, right) = (state.register(dst), self.operand(state, source));
        if let Some(value) = pointer_arithmetic(operation, width, left.value, right.value) {
            state.set(dst, value);
            return Flow::On;
        }
        let taint = left.value.taint().max(right.value.taint());
        let divisor = right.value.number().low(if width == Width::W32 { 32 } else { 64 });
        if matches!(operation, AluOp::Div | AluOp::Mod) && divisor.contains(0) {
            let grade = if divisor == Interval::ZERO { Grade::Bad } else { Grade::Unproved };
            sink.division(state, source.register().unwrap_or(dst), grade);
        }
        let Some(result) = left.value.number().alu(operation, width, right.value.number()) else {
            return Flow::Ends;
        };
        let result = if self.is_odd(operation, width, source) { Interval::FULL } else { result };
        let word = if let Some(word) = shifted_back(operation, width, left, right) {
            word
        } else {
            let known = matches!((left.value, right.value), (Value::Scalar(_), Value::Scalar(_)));
            let value = if known || width == Width::W32 {
                Value::Scalar(result)
            } else {
                Value::of_unknown(result, taint)
            };
            if matches!(value, Value::Scalar(_)) {
                state.lose_track(left.value);
                state.lose_track(right.value);
            }
            let shifted = shifted(operation, width, left, right);
            Word { shifted, ..Word::new(value, state.fresh_id()) }
        };
        state.set_word(dst, word);
        if let (AluOp::Div | AluOp::Mod, Width::W64, Operand::Reg(register)) = (operation, width, source)
            && register != dst
            && let Some(divisor) = right.value.number().refine(Condition::NotEqual, Interval::ZERO, true)
        {
            refine(state, right, divisor.0);
        }
        Flow::On
    }

    /// Whether the platform may make something else of an operation.
    fn is_odd(&self, operation: AluOp, width: Width, source: Operand) -> bool {
        let kind = match (operation, width, source) {
            (AluOp::Mul, _, Operand::Imm(0)) => Unreliable::MulByZero,
            (AluOp::ShiftLeft | AluOp::ShiftRight | AluOp::ShiftRightSigned, Width::W32, Operand::Reg(_)) => {
                Unreliable::Shift32ByRegister
            }
            (AluOp::Div | AluOp::Mod, Width::W32, Operand::Reg(_)) => Unreliable::Div32ByRegister,
            _ => return false,
        };
        self.is_unreliable(kind)
    }

    fn load(&self, access: Access, state: &mut State, sink: &mut Sink<'_>) -> Word {
        let size = Interval::constant(access.size.into());
        let base = state.register(access.base);
        let mut resolved = self.resolve(state, base, access.offset, size, false);
        let mut found = None;
        if let Some((bytes, certain)) = resolved.frame.clone() {
            let is_exact = certain > 0;
            (resolved.grade, resolved.cause) = match state.frame.initialised(bytes.clone()) {
                Known::Always => (Grade::Proved, None),
                Known::Never if is_exact => (Grade::Bad, Some(Cause::Uninitialised)),
                _ => (Grade::Unproved, Some(Cause::MaybeUninitialised)),
            };
            found = state.frame.load(bytes.start, access.size).filter(|_| is_exact);
        }
        let Resolved { grade, cause, frame, ends_if_null } = resolved;
        sink.access(state, access, grade, cause);
        if let Some(base) = ends_if_null {
            state.refine_null(base, false);
        }
        let bytes = frame.filter(|_| found.is_none()).map(|(bytes, _)| bytes);
        let any = if access.size == 8 {
            Value::unknown(bytes.map_or(Taint::None, |bytes| state.frame.taint_in(&bytes)))
        } else {
            // Nobody follows the parts of an address.
            bytes.iter().for_each(|bytes| state.escape_bytes(bytes));
            Value::Scalar(Interval::unsigned(0, u64::MAX >> (64 - 8 * u32::from(access.size))))
        };
        match found {
            Some(word) if word.id != Default::default() => word,
            found => Word::new(found.map_or(any, |word| word.value), state.fresh_id()),
        }
    }

    fn store(&self, access: Access, word: Word, state: &mut State, sink: &mut Sink<'_>) {
        let size = Interval::constant(access.size.into());
        let base = state.register(access.base);
        let Resolved { grade, cause, frame, ends_if_null } =
            self.resolve(state, base, access.offset, size, true);
        sink.access(state, access, grade, cause);
        match frame {
            Some((bytes, 1..)) => {
                let part = self.part(word, access.size, state);
                state.frame.store(bytes.start, access.size, part);
                if access.size < 8 {
                    state.frame.hide(bytes, word.value);
                }
            }
            Some((bytes, 0)) => {
                state.frame.may_write(bytes.clone());
                state.frame.hide(bytes, word.value);
            }
            None => {
                state.escape(word.value);
                match ends_if_null {
                    Some(base) => state.refine_null(base, false),
                    None if grade == Grade::Proved => {}
                    None => state.corrupt(),
                }
            }
        }
    }

    /// What the lower `size` bytes of a word are as a word.
    fn part(&self, word: Word, size: u8, state: &mut State) -> Word {
        if size == 8 {
            return word;
        }
        state.lose_track(word.value);
        let low = word.value.number().low(8 * u32::from(size));
        match word.value {
            Value::Scalar(number) if number == low => word,
            _ => Word::new(Value::Scalar(low), state.fresh_id()),
        }
    }
}

/// A word that a branch or a division tells more about.
pub(super) fn refine(state: &mut State, word: Word, refined: Interval) {
    match word.value {
        Value::Scalar(number) if number != refined => state.refine(word.id, Value::Scalar(refined)),
        Value::Unknown | Value::MaybeOwn | Value::MaybeFrame => {
            let value = Value::of_unknown(refined, word.value.taint());
            if value != word.value {
                state.refine(word.id, value);
            }
        }
        _ => {}
    }
}

/// What an operation on all bits of something makes of it.
fn result_of(operand: Value, width: Width, result: Interval) -> Value {
    match (operand, width) {
        (Value::Scalar(_), _) | (_, Width::W32) => Value::Scalar(result),
        _ => Value::of_unknown(result, operand.taint()),
    }
}

/// Sums and differences of addresses, as far as they are addresses or differences within one region.
fn pointer_arithmetic(operation: AluOp, width: Width, left: Value, right: Value) -> Option<Value> {
    if width == Width::W32 {
        return None;
    }
    let moved = |pointer: Pointer, offset| Some(Value::Pointer(Pointer { offset, ..pointer }));
    match (operation, left, right) {
        (AluOp::Add, Value::Pointer(pointer), Value::Scalar(number))
        | (AluOp::Add, Value::Scalar(number), Value::Pointer(pointer)) => {
            moved(pointer, pointer.offset.add(number))
        }
        (AluOp::Sub, Value::Pointer(pointer), Value::Scalar(number)) => {
            moved(pointer, pointer.offset.sub(number))
        }
        (AluOp::Sub, Value::Pointer(left), Value::Pointer(right)) => {
            // One concrete region: that of the older allocations of a site is many.
            let is_one = !matches!(left.region, Region::Allocation(allocation) if allocation.older)
                && !matches!(left.region, Region::Host(_) | Region::Metadata { .. });
            let is_same = left.base == right.base
                || left.region == right.region && is_one && !left.nullable && !right.nullable;
            is_same.then(|| Value::Scalar(left.offset.sub(right.offset)))
        }
        _ => None,
    }
}

/// What a left shift takes its result from, if it loses no bit.
fn shifted(operation: AluOp, width: Width, left: Word, right: Word) -> Option<Shifted> {
    let (AluOp::ShiftLeft, Width::W64, Value::Scalar(value)) = (operation, width, left.value) else {
        return None;
    };
    let bits = u32::try_from(right.value.as_constant()?).ok().filter(|bits| *bits < 64)?;
    let fits_unsigned = value.umax().leading_zeros() >= bits;
    let fits_signed = value.smin() >= i64::MIN >> bits && value.smax() <= i64::MAX >> bits;
    (fits_unsigned || fits_signed).then_some(Shifted { id: left.id, value, bits })
}

/// The word that a left shift came from, when a right shift undoes it.
fn shifted_back(operation: AluOp, width: Width, left: Word, right: Word) -> Option<Word> {
    let Shifted { id, value, bits } = left.shifted.filter(|_| width == Width::W64)?;
    let is_undone = right.value.as_constant() == Some(bits.into())
        && match operation {
            AluOp::ShiftRight => value.umax().leading_zeros() >= bits,
            AluOp::ShiftRightSigned => value.smin() >= i64::MIN >> bits && value.smax() <= i64::MAX >> bits,
            _ => false,
        };
    is_undone.then(|| Word::new(Value::Scalar(value), id))
}
