//! What is known of words, for people.
//!
//! Pure.

use std::fmt::Write as _;

use super::state::State;
use super::value::{Known, Pointer, Region, Value, Word};
use super::{Analysis, Interval};
use crate::program::Reg;

impl Analysis<'_> {
    /// A register and what is known of it, such as `r3: allocation(instruction 12, 64 bytes)+[0,56]`.
    pub fn describe(&self, state: &State, register: Reg) -> String {
        format!("{register}: {}", self.describe_word(state, state.register(register)))
    }

    /// What is known of a word.
    pub fn describe_word(&self, state: &State, word: Word) -> String {
        match word.value {
            Value::Uninitialised => "not set".to_owned(),
            Value::Unknown | Value::MaybeOwn => "unknown".to_owned(),
            Value::MaybeFrame => "unknown, made of an address in the frame".to_owned(),
            Value::Scalar(number) => format!("number {number}"),
            Value::Pointer(pointer) => self.describe_pointer(state, pointer),
        }
    }

    fn describe_pointer(&self, state: &State, pointer: Pointer) -> String {
        let mut text = match pointer.region {
            Region::Frame => Reg::FRAME.to_string(),
            Region::Allocation(allocation) => {
                let memory = state.allocations.get(&allocation);
                let bytes = memory.map_or_else(|| "?".to_owned(), |memory| memory.bytes.to_string());
                let freed = match memory.map(|memory| memory.freed) {
                    Some(Known::Always) => ", freed",
                    Some(Known::Maybe) => ", may be freed",
                    _ => "",
                };
                let older = if allocation.older { ", of an earlier round" } else { "" };
                format!("allocation(instruction {}, {bytes} bytes{older}{freed})", allocation.site)
            }
            Region::Data { slot } => {
                let bytes = self.program().data(slot).map_or(0, |data| data.bytes.len());
                format!("read-only data({bytes} bytes)")
            }
            Region::Metadata { word, bytes } => {
                let word = self.contract().words().get(usize::from(word));
                let name =
                    word.map(|((object, slot), _)| format!("word {slot} of {object}")).unwrap_or_default();
                format!("metadata({name}, {bytes} bytes)")
            }
            Region::Host(handle) => format!("{} of the host", self.platform().handle(handle).name),
        };
        if pointer.offset != Interval::ZERO {
            let signed = pointer.offset.as_constant().map(|offset| offset as i64);
            // Writing to a string cannot fail.
            let _ = match signed {
                Some(offset) => write!(text, "{offset:+}"),
                None => write!(text, "+{}", pointer.offset),
            };
        }
        if pointer.nullable {
            text.push_str(", or null");
        }
        text
    }
}
