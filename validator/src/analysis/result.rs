//! What calls give back.
//!
//! Pure.

use super::argument::Item;
use super::call::{Effects, argument_registers};
use super::interval::Interval;
use super::machine::Machine;
use super::operation::Called;
use super::state::State;
use super::value::{Id, Pointer, Region, Value, Word};
use crate::platform::{
    Argument, ArgumentKind, HandleId, Helper, Length, Range, Returns, Scalar, Type, Value as Field,
};

impl Machine<'_> {
    /// What a call gives back before it does anything; `None` when that is new memory, or nothing is known of it.
    pub(super) fn call_result(
        &self,
        slot: usize,
        helper: &Helper,
        row: &[Item],
        called: Option<&Called<'_>>,
        effects: &Effects,
        state: &mut State,
    ) -> Option<Word> {
        let result = match called {
            Some(called) => {
                let operation = called.operation?;
                let input = |index: usize| called.inputs.get(index).copied().flatten();
                self.result(&operation.returns, input, &operation.inputs, state)
            }
            None => self.field(slot, state).or_else(|| self.metadata(slot, state)).or_else(|| {
                let argument = |index: usize| row.get(index).map(|item| item.word);
                self.result(&helper.returns, argument, &helper.arguments, state)
            }),
        };
        // An argument that is given back may be dangling by then.
        let is_argument = |word: &Word| row.iter().any(|item| item.word.value == word.value);
        let may_dangle = effects.runs_any || !effects.invalidates.is_empty();
        result.filter(|word| !may_dangle || !is_argument(word))
    }

    /// What a field of an object is, of a getter with a constant key.
    fn field(&self, slot: usize, state: &mut State) -> Option<Word> {
        let name = self.program.helper(slot)?;
        let object = self.platform.read_by(name)?;
        let key = self.argument_named(state, name, "key")?.number().as_constant()?;
        let key = object.keys.get(&u16::try_from(key).ok()?)?;
        match key.get? {
            Field::Fixed(Type::Handle(handle)) => Some(handle_word(handle, key.nullable, state)),
            Field::Fixed(Type::Scalar(scalar)) => Some(number(scalar, None)),
            Field::Input | Field::Output | Field::Return => None,
        }
    }

    /// What a word of metadata is, of a getter with a constant slot, by the plugin's contract.
    fn metadata(&self, slot: usize, state: &mut State) -> Option<Word> {
        let name = self.program.helper(slot)?;
        let object = self.platform.found_by(name)?;
        let slot = self.argument_named(state, name, "slot")?.number().as_constant()?;
        let (word, bytes) = self.contract.get(object, u16::try_from(slot).ok()?)?;
        let base = state.fresh_id();
        let pointer = Pointer::to(Region::Metadata { word, bytes }, true, base);
        Some(Word::new(Value::Pointer(pointer), Id::default()))
    }

    /// The argument of a helper that has a name.
    pub(super) fn argument_named(&self, state: &State, helper: &str, name: &str) -> Option<Item> {
        let arguments = &self.platform.helpers.get(helper)?.arguments;
        let index = arguments.iter().position(|argument| argument.name == name)?;
        let register = argument_registers().nth(index)?;
        Some(Item::of_argument(&arguments[index], state.register(register)))
    }

    /// `argument` gives the words of `arguments`.
    fn result(
        &self,
        returns: &Returns,
        argument: impl Fn(usize) -> Option<Word>,
        arguments: &[Argument],
        state: &mut State,
    ) -> Option<Word> {
        let (of, nullable, is_inside) = match *returns {
            Returns::Nothing | Returns::Allocation { .. } => return None,
            Returns::Number(scalar, range) => return Some(number(scalar, range)),
            Returns::Handle { handle, nullable } => return Some(handle_word(handle, nullable, state)),
            Returns::Argument { of, nullable } => (usize::from(of.0), nullable, false),
            Returns::Inside { of, nullable } => (usize::from(of.0), nullable, true),
        };
        let mut word = argument(of)?;
        if is_inside {
            // Anywhere from the pointer on, as far as the argument goes.
            let Value::Pointer(pointer) = word.value else { return None };
            let most = match arguments.get(of)?.kind {
                ArgumentKind::Memory(_, Length::Bytes(bytes)) => u64::from(bytes),
                ArgumentKind::Memory(
                    _,
                    Length::Until { most: Some(most), .. } | Length::Count { most: Some(most), .. },
                ) => u64::from(most),
                _ => return None,
            };
            let offset = pointer.offset.add(Interval::unsigned(0, most));
            word = Word::new(Value::Pointer(Pointer { offset, ..pointer }), Id::default());
        }
        if nullable {
            let base = state.fresh_id();
            word = Word::new(or_null(word.value, base)?, Id::default());
        }
        Some(word)
    }
}

fn handle_word(handle: HandleId, nullable: bool, state: &mut State) -> Word {
    let base = state.fresh_id();
    Word::new(Value::Pointer(Pointer::to(Region::Host(handle), nullable, base)), Id::default())
}

/// A number that the host gives: the bits beyond its width are undefined.
fn number(scalar: Scalar, range: Option<Range>) -> Word {
    let value = match (scalar, range) {
        (Scalar::Word, _) => Value::Unknown,
        (Scalar::U64 | Scalar::I64, Some(range)) => Value::Scalar(Interval::signed(range.min, range.max)),
        _ => Value::ANY_NUMBER,
    };
    Word::new(value, Id::default())
}

/// A pointer that may be null instead, if it can be told from null.
fn or_null(value: Value, base: Id) -> Option<Value> {
    match value {
        Value::Pointer(pointer) if pointer.offset == Interval::ZERO => {
            Some(Value::Pointer(Pointer { nullable: true, base, ..pointer }))
        }
        _ => None,
    }
}
