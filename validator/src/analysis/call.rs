//! Calls of helpers, by the platform's table.
//!
//! Pure. Assumed of the host: a helper touches of the program's memory what its table entry says and nothing else, as long as
//! its arguments are what that entry asks for; once they are not, it may have written anywhere. Whoever was given an address to
//! keep may use it during every later call, and memory that others know of may be freed whenever a call runs operations.

use std::collections::BTreeSet;
use std::ops::Range;

use super::access::Grade;
use super::argument::{ArgumentCause, Checked, Item, Write};
use super::interval::Interval;
use super::machine::{Flow, Machine};
use super::operation::Called;
use super::report::{Finding, Sink, Subject};
use super::state::{Memory, State};
use super::value::{Allocation, Known, Pointer, Region, Value, Word};
use crate::platform::{
    Access, Argument, ArgumentKind, HandleId, Helper, Length, Range as Bounds, Returns, Runs, Scalar,
    StructId, Type, Value as Field,
};
use crate::program::Reg;

/// What a call does to a state besides giving a result.
#[derive(Default)]
pub(super) struct Effects {
    pub writes: Vec<Write>,
    pub escapes: Vec<Value>,
    pub frees: Vec<Value>,
    /// Bytes of the frame that the host reads and may pass on.
    pub reads: Vec<Range<u16>>,
    /// Whether operations may run, and with them whatever is attached to those.
    pub runs: bool,
    /// Whether they may do anything the platform lets anybody do.
    pub runs_any: bool,
    pub invalidates: BTreeSet<HandleId>,
}

impl<'a> Machine<'a> {
    /// A call: checks its arguments, and does to `state` what the helper may do.
    pub(super) fn call(&self, slot: usize, state: &mut State, sink: &mut Sink<'_>) -> Flow {
        let name = self.program.helper(slot).unwrap_or_default();
        let Some(helper) = self.platform.helpers.get(name) else {
            self.object(slot, state, sink, None, Checked::because(Grade::Bad, ArgumentCause::UnknownHelper));
            self.call_unknown(state);
            return Flow::On;
        };
        if helper.unusable.is_some() {
            self.object(slot, state, sink, None, Checked::because(Grade::Bad, ArgumentCause::Unusable));
        } else if helper.precondition.is_some() {
            self.object(
                slot,
                state,
                sink,
                None,
                Checked::because(Grade::Unproved, ArgumentCause::Precondition),
            );
        }
        let row: Vec<Item> = helper
            .arguments
            .iter()
            .zip(argument_registers())
            .map(|(argument, register)| Item::of_argument(argument, state.register(register)))
            .collect();
        let called = self.called(state, helper, &row);
        let outputs = called.as_ref().and_then(|called| self.output_bytes(called));
        let mut effects = Effects::default();
        if helper.unusable.is_some() {
            effects.writes.push(Write::Anywhere);
        }
        for (index, register) in argument_registers().enumerate().take(row.len()) {
            let checked = self.check(state, &row, index, outputs);
            self.apply_later(slot, state, sink, Some(register), checked, &mut effects);
            if let ArgumentKind::Struct(id) = helper.arguments[index].kind {
                self.check_fields(slot, state, sink, register, row[index].word, id, outputs, &mut effects);
            }
            self.passed_on(&row[index], &helper.arguments[index], &mut effects);
        }
        // Values that a format shows are numbers and strings; the format's own rules are not looked into.
        if helper.values.is_some() {
            let rest = argument_registers().skip(row.len()).map(|register| state.register(register).value);
            effects.escapes.extend(rest);
        }
        if let Some(called) = &called {
            self.run(slot, state, sink, called, &mut effects);
        }
        match &helper.effects.runs {
            Runs::Any => (effects.runs, effects.runs_any) = (true, true),
            Runs::Only(operations) => effects.runs |= !operations.is_empty(),
        }
        effects.invalidates.extend(&helper.effects.invalidates);
        let result = match &called {
            Some(Called { operation: Some(operation), inputs, .. }) => {
                let input = |index: usize| inputs.get(index).copied().flatten();
                self.result(slot, &operation.returns, input, &operation.inputs, state)
            }
            Some(_) => None,
            None => self.field(slot, state).or_else(|| {
                let argument = |index: usize| row.get(index).map(|item| item.word);
                self.result(slot, &helper.returns, argument, &helper.arguments, state)
            }),
        };
        self.apply(state, effects);
        state.lose_arguments();
        match result {
            Some(Word {
                value: Value::Pointer(Pointer { region: Region::Allocation(allocation), .. }),
                ..
            }) if allocation == (Allocation { site: slot, older: false }) => {
                self.allocate(slot, helper, &row, state);
            }
            Some(word) => {
                let id = if word.id == Default::default() { state.fresh_id() } else { word.id };
                state.set_word(Reg::R0, Word::new(word.value, id));
            }
            None => {
                // It may be any of the arguments.
                let may_be_frame = row.iter().any(|item| item.word.value.may_be_frame());
                state.set(Reg::R0, Value::unknown(may_be_frame));
            }
        }
        Flow::On
    }

    pub(super) fn object(
        &self,
        slot: usize,
        state: &State,
        sink: &mut Sink<'_>,
        register: Option<Reg>,
        checked: Checked,
    ) {
        if let Some(cause) = checked.cause {
            sink.add(state, slot, || Finding {
                slot,
                subject: Subject::Argument(register, cause),
                grade: checked.grade,
                cause: None,
            });
        }
    }

    pub(super) fn apply_later(
        &self,
        slot: usize,
        state: &State,
        sink: &mut Sink<'_>,
        register: Option<Reg>,
        checked: Checked,
        effects: &mut Effects,
    ) {
        effects.writes.extend(checked.write.clone());
        self.object(slot, state, sink, register, checked);
    }

    /// A helper that nobody knows: it may do anything.
    fn call_unknown(&self, state: &mut State) {
        for register in argument_registers() {
            state.escape(state.register(register).value);
        }
        state.corrupt();
        let effects = Effects { runs: true, runs_any: true, ..Effects::default() };
        self.apply(state, effects);
        state.lose_arguments();
        state.set(Reg::R0, Value::Unknown);
    }

    #[expect(clippy::too_many_arguments, reason = "a structure behind one argument of a call")]
    fn check_fields(
        &self,
        slot: usize,
        state: &State,
        sink: &mut Sink<'_>,
        register: Reg,
        word: Word,
        id: StructId,
        outputs: Option<u64>,
        effects: &mut Effects,
    ) {
        // Null is fine where it is, and has no fields.
        if word.value.as_constant() == Some(0) {
            return;
        }
        let fields = &self.platform.structure(id).fields;
        let row: Vec<Item> = fields
            .iter()
            .map(|field| {
                let offset = i16::try_from(field.offset).unwrap_or(i16::MAX);
                let size = u8::try_from(field.bytes).unwrap_or(u8::MAX);
                let held = self.loaded(state, word, offset, size);
                Item::of_field(field, held.unwrap_or(Word::new(Value::Unknown, Default::default())))
            })
            .collect();
        for (index, field) in fields.iter().enumerate() {
            let offset = i16::try_from(field.offset).unwrap_or(i16::MAX);
            let size = Interval::constant(field.bytes.into());
            let place = self.touch(state, word, offset, size, field.access);
            self.apply_later(slot, state, sink, Some(register), place, effects);
            if matches!(field.access, Access::Reads | Access::Updates) {
                let checked = self.check(state, &row, index, outputs);
                self.apply_later(slot, state, sink, Some(register), checked, effects);
            }
        }
    }

    /// What becomes of an argument, and of what it points at.
    pub(super) fn passed_on(&self, item: &Item, argument: &Argument, effects: &mut Effects) {
        let value = item.word.value;
        if let ArgumentKind::Memory(Access::Reads | Access::Updates, _) = argument.kind
            && let Value::Pointer(Pointer { region: Region::Frame, offset, .. }) = value
        {
            // How much of the frame is copied from there on is not looked at.
            let first = offset.add(Interval::constant(self.frame_bytes.into())).umin();
            effects.reads.push(u16::try_from(first).unwrap_or(0).min(self.frame_bytes)..self.frame_bytes);
        }
        let is_number = matches!(argument.kind, ArgumentKind::Number(scalar, _) if scalar != Scalar::Word);
        if argument.keeps || is_number || matches!(argument.kind, ArgumentKind::Handle(_)) {
            effects.escapes.push(value);
        }
        if argument.kind == ArgumentKind::Freed {
            effects.frees.push(value);
        }
    }

    /// What a field of an object is, of a getter with a constant key.
    fn field(&self, slot: usize, state: &mut State) -> Option<Word> {
        let name = self.program.helper(slot)?;
        let object = self.platform.read_by(name)?;
        let key = self.argument_named(state, name, "key")?.number().as_constant()?;
        let key = object.keys.get(&u16::try_from(key).ok()?)?;
        match key.get? {
            Field::Fixed(Type::Handle(handle)) => Some(self.handle(handle, key.nullable, state)),
            Field::Fixed(Type::Scalar(scalar)) => Some(number(scalar, None)),
            Field::Input | Field::Output | Field::Return => None,
        }
    }

    /// The argument of a helper that has a name.
    pub(super) fn argument_named(&self, state: &State, helper: &str, name: &str) -> Option<Item> {
        let arguments = &self.platform.helpers.get(helper)?.arguments;
        let index = arguments.iter().position(|argument| argument.name == name)?;
        let register = argument_registers().nth(index)?;
        Some(Item::of_argument(&arguments[index], state.register(register)))
    }

    fn handle(&self, handle: HandleId, nullable: bool, state: &mut State) -> Word {
        let base = state.fresh_id();
        Word::new(Value::Pointer(Pointer::to(Region::Host(handle), nullable, base)), Default::default())
    }

    /// What a call gives back; `None` when nothing is known of it. `argument` gives the words of `arguments`.
    fn result(
        &self,
        slot: usize,
        returns: &Returns,
        argument: impl Fn(usize) -> Option<Word>,
        arguments: &[Argument],
        state: &mut State,
    ) -> Option<Word> {
        match *returns {
            Returns::Nothing => None,
            Returns::Number(scalar, range) => Some(number(scalar, range)),
            Returns::Handle { handle, nullable } => Some(self.handle(handle, nullable, state)),
            Returns::Allocation { .. } => {
                let region = Region::Allocation(Allocation { site: slot, older: false });
                Some(Word::new(
                    Value::Pointer(Pointer::to(region, true, Default::default())),
                    Default::default(),
                ))
            }
            Returns::Argument { of, nullable } => {
                let word = argument(of.0.into())?;
                if !nullable {
                    return Some(word);
                }
                let base = state.fresh_id();
                or_null(word.value, base).map(|value| Word::new(value, Default::default()))
            }
            Returns::Inside { of, nullable } => {
                let word = argument(of.0.into())?;
                let Value::Pointer(pointer) = word.value else { return None };
                // Anywhere from the pointer on, as far as the argument goes.
                let most = match arguments.get(usize::from(of.0))?.kind {
                    ArgumentKind::Memory(_, Length::Bytes(bytes)) => u64::from(bytes),
                    ArgumentKind::Memory(
                        _,
                        Length::Until { most: Some(most), .. } | Length::Count { most: Some(most), .. },
                    ) => u64::from(most),
                    _ => return None,
                };
                let offset = pointer.offset.add(Interval::unsigned(0, most));
                let value = Value::Pointer(Pointer { offset, ..pointer });
                let base = state.fresh_id();
                let value = if nullable { or_null(value, base)? } else { value };
                Some(Word::new(value, Default::default()))
            }
        }
    }

    /// New memory, which joins what earlier calls at this place gave.
    fn allocate(&self, slot: usize, helper: &Helper, row: &[Item], state: &mut State) {
        state.retire(slot);
        let Returns::Allocation { size, nullable } = helper.returns else { return };
        let bytes = row.get(usize::from(size.0)).map_or(Interval::FULL, Item::number);
        let allocation = Allocation { site: slot, older: false };
        state.allocations.insert(allocation, Memory { bytes, freed: Known::Never, escaped: false });
        let base = state.fresh_id();
        state.set(Reg::R0, Value::Pointer(Pointer::to(Region::Allocation(allocation), nullable, base)));
    }

    fn apply(&self, state: &mut State, effects: Effects) {
        for value in effects.escapes {
            state.escape(value);
        }
        for bytes in &effects.reads {
            state.escape_bytes(bytes);
        }
        if effects.writes.contains(&Write::Anywhere) {
            state.corrupt();
        }
        if state.frame_escaped || state.corrupted {
            state.frame.may_write_all();
        }
        for write in effects.writes {
            match write {
                Write::Fills { certain, all } => {
                    state.frame.may_write(certain.end..all.end);
                    state.frame.fill(certain);
                }
                Write::May(bytes) => state.frame.may_write(bytes),
                Write::Anywhere => {}
            }
        }
        for value in effects.frees {
            state.free(value);
        }
        if effects.runs {
            state.free_escaped();
        }
        if effects.runs_any {
            state.forget_handles(&self.any_invalidated);
        } else if !effects.invalidates.is_empty() {
            state.forget_handles(&effects.invalidates);
        }
    }
}

/// r1 to r5.
pub(super) fn argument_registers() -> impl Iterator<Item = Reg> {
    (1..=5).filter_map(Reg::new)
}

/// A number that the host gives: the bits beyond its width are undefined.
fn number(scalar: Scalar, range: Option<Bounds>) -> Word {
    let value = match scalar {
        Scalar::Word => Value::Unknown,
        Scalar::U64 | Scalar::I64 => {
            Value::Scalar(range.map_or(Interval::FULL, |range| Interval::signed(range.min, range.max)))
        }
        _ => Value::ANY_NUMBER,
    };
    Word::new(value, Default::default())
}

/// A pointer that may be null instead, if it can be told from null.
fn or_null(value: Value, base: super::value::Id) -> Option<Value> {
    match value {
        Value::Pointer(pointer) if pointer.offset == Interval::ZERO => {
            Some(Value::Pointer(Pointer { nullable: true, base, ..pointer }))
        }
        _ => None,
    }
}
