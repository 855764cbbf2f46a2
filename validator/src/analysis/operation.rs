//! Operations that a call runs: which one, with which inputs, and where its outputs go.
//!
//! Pure. Assumed of operations that the platform has a table entry for, whoever has replaced them: they write all their
//! outputs, and nothing of their caller's but what the entry says. Of others nothing is assumed.

use super::access::Grade;
use super::argument::{ArgumentCause, Checked, Item, Write};
use super::call::{Effects, argument_registers};
use super::interval::Interval;
use super::machine::Machine;
use super::report::{Part, Sink};
use super::state::State;
use super::value::{Pointer, Region, Value, Word};
use crate::platform::{Access, ArgumentKind, FieldKind, Helper, Length, Operation, Position, Scalar};

/// Bytes of an input or output.
const WORD_BYTES: u16 = 8;

/// The operation that a call runs.
pub(super) struct Called<'a> {
    /// `None` when its name is not known, or the platform does not know it.
    pub operation: Option<&'a Operation>,
    /// The words of its inputs, as far as they are known.
    pub inputs: Vec<Option<Word>>,
    /// Where its outputs go.
    pub outputs: Option<Word>,
}

impl<'a> Machine<'a> {
    /// The operation that a call of `helper` runs; `None` when it runs none by name.
    pub(super) fn called(&self, state: &State, helper: &Helper, row: &[Item]) -> Option<Called<'a>> {
        let calls = helper.calls?;
        let word = |position: Position| row.get(usize::from(position.0)).map(|item| item.word);
        let operation = self.called_name(state, helper).and_then(|name| self.platform.operations.get(name));
        let call = word(calls.call)?;
        let fields = &self.platform.structure(calls.structure).fields;
        let field = |position: Position| {
            let field = fields.get(usize::from(position.0))?;
            self.loaded(state, call, i16::try_from(field.offset).ok()?, u8::try_from(field.bytes).ok()?)
        };
        let inputs = field(calls.inputs);
        // As many as the call says, or as there can be.
        let given = match fields.get(usize::from(calls.inputs.0)).map(|field| &field.kind) {
            Some(FieldKind::Pointer(_, Length::Count { count, .. })) => field(*count),
            _ => None,
        };
        let given = given.and_then(|word| usize::try_from(word.value.as_constant()?).ok());
        let most = usize::from(self.platform.limits.operation_values);
        let count = operation.map_or(given.unwrap_or(most).min(most), |operation| operation.inputs.len());
        let input =
            |index: usize| self.loaded(state, inputs?, i16::try_from(index).ok()? * WORD_BYTES as i16, 8);
        Some(Called { operation, inputs: (0..count).map(input).collect(), outputs: field(calls.outputs) })
    }

    /// The name of the operation that a call of `helper` runs.
    pub(super) fn called_name(&self, state: &State, helper: &Helper) -> Option<&'a str> {
        let calls = helper.calls?;
        let value = |position: Position| {
            argument_registers().nth(position.0.into()).map(|register| state.register(register).value)
        };
        // An identity wins over the name, and what it says is not looked into.
        let by_identity = calls.identity.and_then(value).is_some_and(|value| value.as_constant() != Some(0));
        if by_identity { None } else { self.text(value(calls.name)?) }
    }

    /// The string that an address is known to be of.
    pub(super) fn text(&self, value: Value) -> Option<&'a str> {
        let Value::Pointer(Pointer { region: Region::Data { slot }, offset, .. }) = value else {
            return None;
        };
        let offset = usize::try_from(offset.as_constant()?).ok()?;
        let text = self.program.data(slot)?.bytes.get(offset..)?.strip_suffix(&[0])?;
        std::str::from_utf8(text).ok()
    }

    /// Bytes of the outputs that an operation writes, of one that is known.
    pub(super) fn output_bytes(&self, called: &Called<'_>) -> Option<u64> {
        called.operation.map(|operation| operation.outputs.len() as u64 * u64::from(WORD_BYTES))
    }

    /// Checks the inputs of an operation, and says what it does to its caller's memory.
    pub(super) fn run(&self, state: &State, sink: &mut Sink<'_>, called: &Called<'_>, effects: &mut Effects) {
        effects.runs = true;
        let Some(operation) = called.operation else {
            effects.add(
                state,
                sink,
                Part::Call,
                Checked::because(Grade::Unproved, ArgumentCause::UnknownOperation),
            );
            effects.runs_any = true;
            effects.escapes.extend(called.inputs.iter().flatten().map(|word| word.value));
            self.write_some_outputs(state, called, effects);
            return;
        };
        effects.invalidates.extend(&operation.invalidates);
        let unknown = Word::new(Value::Unknown, Default::default());
        let inputs = operation.inputs.iter().zip(&called.inputs);
        let row: Vec<Item> =
            inputs.map(|(input, word)| Item::of_argument(input, word.unwrap_or(unknown))).collect();
        for (index, input) in operation.inputs.iter().enumerate() {
            let checked = self.check(state, &row, index, None);
            effects.add(state, sink, Part::Input(&input.name), checked);
            if matches!(input.kind, ArgumentKind::Number(Scalar::Word, _) | ArgumentKind::Struct(_)) {
                effects.escapes.push(row[index].word.value);
            }
            self.passed_on(state, &row, index, input, effects);
        }
        self.write_outputs(state, called, effects);
    }

    /// All outputs of a known operation are written.
    fn write_outputs(&self, state: &State, called: &Called<'_>, effects: &mut Effects) {
        let Some(size) = self.output_bytes(called).filter(|size| *size > 0) else { return };
        let Some(outputs) = called.outputs else { return effects.writes.push(Write::Anywhere) };
        if outputs.value.as_constant() != Some(0) {
            effects
                .writes
                .extend(self.touch(state, outputs, 0, Interval::constant(size), Access::Fills).write);
        }
    }

    /// An unknown operation may write any outputs that its caller's array has room for, which goes no further than the frame.
    fn write_some_outputs(&self, state: &State, called: &Called<'_>, effects: &mut Effects) {
        let Some(outputs) = called.outputs else { return effects.writes.push(Write::Anywhere) };
        if outputs.value.as_constant() == Some(0) {
            return;
        }
        let touched = self.touch(state, outputs, 0, Interval::constant(WORD_BYTES.into()), Access::MayWrite);
        effects.writes.push(match touched.write {
            Some(Write::May(bytes)) => Write::May(bytes.start..self.frame_bytes),
            None => return,
            Some(_) => Write::Anywhere,
        });
    }
}
