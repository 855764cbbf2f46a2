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
use super::machine::Machine;
use super::report::{Part, Sink};
use super::state::State;
use super::value::{Allocation, Region, Taint, Value, Word};
use crate::platform::{Access, Argument, ArgumentKind, HandleId, Helper, Returns, Runs, Scalar, StructId};
use crate::program::Reg;

/// What a call does to a state besides giving a result.
#[derive(Default)]
pub(super) struct Effects {
    pub writes: Vec<Write>,
    pub escapes: Vec<Value>,
    /// Allocations given back; `None` for what is not known to be one.
    pub frees: Vec<Option<Allocation>>,
    /// Bytes of the frame that the host reads and may pass on.
    pub reads: Vec<Range<u16>>,
    /// Whether operations may run, and with them whatever is attached to those.
    pub runs: bool,
    /// Whether they may do anything the platform lets anybody do.
    pub runs_any: bool,
    pub invalidates: BTreeSet<HandleId>,
}

/// r1 to r5.
pub(super) fn argument_registers() -> impl Iterator<Item = Reg> {
    (1..=5).filter_map(Reg::new)
}

impl Machine<'_> {
    /// A call: checks its arguments, and does to `state` what the helper may do.
    pub(super) fn call(&self, slot: usize, state: &mut State, sink: &mut Sink<'_>) {
        let name = self.program.helper(slot).unwrap_or_default();
        let Some(helper) = self.platform.helpers.get(name) else {
            let unknown = Checked::because(Grade::Bad, ArgumentCause::UnknownHelper);
            sink.argument(state, Part::Call, &unknown);
            self.call_unknown(state);
            return;
        };
        let registers = argument_registers().map(|register| state.register(register));
        let row: Vec<Item> =
            helper.arguments.iter().zip(registers).map(|(one, word)| Item::of_argument(one, word)).collect();
        let called = self.called(state, helper, &row);
        let outputs = called.as_ref().and_then(|called| self.output_bytes(called));
        let mut effects = Effects::default();
        self.check_helper(state, sink, helper, &row, &mut effects);
        for (index, register) in argument_registers().enumerate().take(row.len()) {
            let checked = self.check(state, &row, index, outputs);
            effects.add(state, sink, Part::Argument(register), checked);
            if let ArgumentKind::Struct(id) = helper.arguments[index].kind {
                self.check_fields(state, sink, register, row[index].word, id, outputs, &mut effects);
            }
            self.passed_on(state, &row, index, &helper.arguments[index], &mut effects);
        }
        if let Some((allocation, word, bytes)) = self.kept(state, name, &mut effects) {
            state.keep(allocation, word, bytes);
        }
        if let Some(called) = &called {
            self.run(state, sink, called, &mut effects);
        }
        let taint = row.iter().map(|item| item.word.value.taint()).max().unwrap_or(Taint::None);
        let result = self.call_result(slot, helper, &row, called.as_ref(), &effects, state);
        self.apply(state, effects);
        state.lose_arguments();
        match (result, helper.returns) {
            (Some(word), _) => {
                let id = if word.id == Default::default() { state.fresh_id() } else { word.id };
                state.set_word(Reg::R0, Word::new(word.value, id));
            }
            (None, Returns::Allocation { size, nullable }) if called.is_none() => {
                let bytes = row.get(usize::from(size.0)).map_or(Interval::FULL, Item::number);
                state.allocate(slot, bytes, nullable);
            }
            // It may be any of the arguments.
            (None, _) => state.set(Reg::R0, Value::unknown(taint)),
        }
    }

    /// A helper that nobody knows: it may do anything.
    fn call_unknown(&self, state: &mut State) {
        let mut effects = Effects { runs: true, runs_any: true, ..Effects::default() };
        effects.writes.push(Write::Anywhere);
        effects.frees.push(None);
        effects.escapes.extend(argument_registers().map(|register| state.register(register).value));
        effects.reads.push(0..self.frame_bytes);
        self.apply(state, effects);
        state.lose_arguments();
        state.set(Reg::R0, if state.frame_escaped { Value::MaybeFrame } else { Value::MaybeOwn });
    }

    /// What the table says of a helper as a whole.
    fn check_helper(
        &self,
        state: &State,
        sink: &mut Sink<'_>,
        helper: &Helper,
        row: &[Item],
        effects: &mut Effects,
    ) {
        if helper.unusable.is_some() {
            let write = Some(Write::Anywhere);
            let checked = Checked { write, ..Checked::because(Grade::Bad, ArgumentCause::Unusable) };
            effects.add(state, sink, Part::Call, checked);
        }
        if helper.precondition.is_some() {
            let checked = Checked::because(Grade::Unproved, ArgumentCause::Precondition);
            effects.add(state, sink, Part::Call, checked);
        }
        if let Some(format) = helper.values {
            let format = row.get(usize::from(format.0)).and_then(|item| self.text(item.word.value));
            let mut checked = Checked::because(Grade::Unproved, ArgumentCause::Format);
            match format.map(shown) {
                Some(Shown::Numbers) => checked = Checked::PROVED,
                Some(Shown::Strings) => {}
                Some(Shown::Anything) | None => {
                    let shown = argument_registers().skip(row.len());
                    effects.escapes.extend(shown.map(|register| state.register(register).value));
                    checked.write = Some(Write::Anywhere);
                }
            }
            effects.add(state, sink, Part::Call, checked);
        }
        match &helper.effects.runs {
            Runs::Any => (effects.runs, effects.runs_any) = (true, true),
            Runs::Only(operations) => effects.runs |= !operations.is_empty(),
        }
        effects.invalidates.extend(&helper.effects.invalidates);
    }

    #[expect(clippy::too_many_arguments, reason = "a structure behind one argument of a call")]
    fn check_fields(
        &self,
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
        let place = |offset: u32| i16::try_from(offset).unwrap_or(i16::MAX);
        let row: Vec<Item> = fields
            .iter()
            .map(|field| {
                let size = u8::try_from(field.bytes).unwrap_or(u8::MAX);
                let held = self.loaded(state, word, place(field.offset), size);
                Item::of_field(field, held.unwrap_or(Word::new(Value::Unknown, Default::default())))
            })
            .collect();
        for (index, field) in fields.iter().enumerate() {
            let part = Part::Field(register, &field.name);
            let size = Interval::constant(field.bytes.into());
            effects.add(state, sink, part, self.touch(state, word, place(field.offset), size, field.access));
            if matches!(field.access, Access::Reads | Access::Updates) {
                effects.add(state, sink, part, self.check(state, &row, index, outputs));
            }
        }
    }

    /// What becomes of an argument, and of what it points at.
    pub(super) fn passed_on(
        &self,
        state: &State,
        row: &[Item],
        index: usize,
        argument: &Argument,
        effects: &mut Effects,
    ) {
        let value = row[index].word.value;
        if let ArgumentKind::Memory(Access::Reads | Access::Updates, length) = argument.kind
            && value.taint() == Taint::Frame
        {
            let size = self.length(state, row, index, length, None);
            effects.reads.push(self.frame_from(value, size.unwrap_or(Interval::FULL)));
        }
        let is_number = matches!(argument.kind, ArgumentKind::Number(scalar, _) if scalar != Scalar::Word);
        if argument.keeps || is_number || matches!(argument.kind, ArgumentKind::Handle(_)) {
            effects.escapes.push(value);
        }
        if argument.kind == ArgumentKind::Freed && value.as_constant() != Some(0) {
            effects.frees.push(match value.region() {
                Some(Region::Allocation(allocation)) => Some(allocation),
                _ => None,
            });
        }
    }

    /// The bytes of the frame that `size` bytes at an address in it may be.
    fn frame_from(&self, value: Value, size: Interval) -> Range<u16> {
        let Value::Pointer(pointer) = value else { return 0..self.frame_bytes };
        let offset = pointer.offset.add(Interval::constant(self.frame_bytes.into()));
        // One that is not within the frame for certain may be anywhere in it.
        if offset.umax() > self.frame_bytes.into() {
            return 0..self.frame_bytes;
        }
        let within = |place: u64| u16::try_from(place).unwrap_or(u16::MAX).min(self.frame_bytes);
        within(offset.umin())..within(offset.umax().saturating_add(size.umax()))
    }

    /// The allocation that a setter puts into a word of the plugin's contract. Its address escapes to nobody else.
    fn kept(&self, state: &State, setter: &str, effects: &mut Effects) -> Option<(Allocation, u16, u32)> {
        let object = self.platform.kept_by(setter)?;
        let slot = self.argument_named(state, setter, "slot")?.number().as_constant()?;
        let (word, bytes) = self.contract.get(object, u16::try_from(slot).ok()?)?;
        let Value::Pointer(pointer) = self.argument_named(state, setter, "value")?.word.value else {
            return None;
        };
        let kept = match pointer.region {
            Region::Allocation(allocation) => Some((allocation, word, bytes)),
            Region::Metadata { word: same, .. } if same == word => None,
            _ => return None,
        };
        // Whoever finds it there keeps to the contract, or it is none.
        effects.escapes.clear();
        kept
    }

    fn apply(&self, state: &mut State, effects: Effects) {
        effects.escapes.into_iter().for_each(|value| state.escape(value));
        effects.reads.iter().for_each(|bytes| state.escape_bytes(bytes));
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
                Write::UnlessNull(base) => state.refine_null(base, false),
                Write::Anywhere => {}
            }
        }
        for freed in effects.frees {
            match freed {
                Some(allocation) => state.free(allocation),
                None => state.free_any(),
            }
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

impl Effects {
    /// Reports what was checked, and remembers what the host writes.
    pub fn add(&mut self, state: &State, sink: &mut Sink<'_>, part: Part<'_>, checked: Checked) {
        sink.argument(state, part, &checked);
        self.writes.extend(checked.write);
    }
}

/// What a format of C's `printf` does with its values.
enum Shown {
    /// Shows them as numbers.
    Numbers,
    /// Reads strings.
    Strings,
    /// It may write through one.
    Anything,
}

/// What a format does. How many values it asks for does not matter: what is not given is shown as it lies about.
fn shown(format: &str) -> Shown {
    let conversion = |rest: &str| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || "-+ #0.hlzjt".contains(c));
        rest.chars().next()
    };
    // `%%` splits into an empty part and the next, whose first character shows itself.
    let conversions = format.split('%').skip(1).filter(|rest| !rest.is_empty()).map(conversion);
    conversions.fold(Shown::Numbers, |shown, conversion| match (shown, conversion) {
        (Shown::Numbers, Some('d' | 'i' | 'o' | 'u' | 'x' | 'X' | 'c' | 'p')) => Shown::Numbers,
        (Shown::Numbers | Shown::Strings, Some('d' | 'i' | 'o' | 'u' | 'x' | 'X' | 'c' | 'p' | 's')) => {
            Shown::Strings
        }
        _ => Shown::Anything,
    })
}
