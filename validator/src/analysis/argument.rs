//! Arguments of calls: whether they are what the platform's table asks for, and which memory the host touches through them.
//!
//! Pure. Inputs of operations and fields of structures are arguments too: all come as a row of [`Item`]s, since the length of
//! one may stand in another.

use std::ops::Range as Bytes;

use super::access::{Cause, Grade};
use super::interval::Interval;
use super::machine::Machine;
use super::state::State;
use super::value::{Id, Known, Pointer, Region, Value, Word};
use crate::platform::{Access, Argument, ArgumentKind, Field, FieldKind, HandleId, Length, Range, Scalar};

/// What is wrong with an argument, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum ArgumentCause {
    #[error("the platform has no such helper")]
    UnknownHelper,
    #[error("the platform says that no pluglet should call it")]
    Unusable,
    #[error("the platform has a condition for it that cannot be checked")]
    Precondition,
    #[error("the register is not set")]
    NotSet,
    #[error("the number is out of range")]
    OutOfRange,
    #[error("the number may be out of range")]
    MaybeOutOfRange,
    #[error("it is no pointer of the kind that the helper takes")]
    WrongKind,
    #[error("it is not known to be a pointer of the kind that the helper takes")]
    UnknownKind,
    #[error("it is null")]
    Null,
    #[error("it may be null")]
    MaybeNull,
    #[error("the memory {0}")]
    Memory(Cause),
    #[error("the text is not known to end in its memory")]
    EndlessText,
    #[error("how long its memory has to be is not known")]
    UnknownLength,
    #[error("it is not known to be the beginning of an allocation of the pluglet's")]
    NotAllocated,
    #[error("the allocation is freed twice")]
    FreedTwice,
    #[error("the format is not known to show numbers alone")]
    Format,
    #[error("which operation is called is not known, or the platform has none of that name")]
    UnknownOperation,
}

/// What one of a row of words is to be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Number(Scalar, Option<Range>),
    Handle(HandleId),
    Memory(Access, Length),
    Struct,
    Freed,
    Opaque,
}

/// One of a row of words that are arguments together.
#[derive(Clone, Copy)]
pub(super) struct Item {
    pub kind: Kind,
    pub nullable: bool,
    pub word: Word,
}

/// Memory that the host writes during a call.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Write {
    /// Some bytes of the frame for certain, and perhaps more of them.
    Fills { certain: Bytes<u16>, all: Bytes<u16> },
    /// Any of some bytes of the frame, or none.
    May(Bytes<u16>),
    /// Memory behind a pointer with this base, which ends the host if it is null.
    UnlessNull(Id),
    /// Nobody knows where.
    Anywhere,
}

/// How good an argument is, and what the host writes through it.
pub(super) struct Checked {
    pub grade: Grade,
    pub cause: Option<ArgumentCause>,
    pub write: Option<Write>,
}

impl Item {
    pub fn of_argument(argument: &Argument, word: Word) -> Self {
        let kind = match argument.kind {
            ArgumentKind::Number(scalar, range) => Kind::Number(scalar, range),
            ArgumentKind::Handle(handle) => Kind::Handle(handle),
            ArgumentKind::Memory(access, length) => Kind::Memory(access, length),
            ArgumentKind::Struct(_) => Kind::Struct,
            ArgumentKind::Freed => Kind::Freed,
        };
        Self { kind, nullable: argument.nullable, word }
    }

    pub fn of_field(field: &Field, word: Word) -> Self {
        let kind = match field.kind {
            FieldKind::Number(scalar, range) => Kind::Number(scalar, range),
            FieldKind::Pointer(access, length) => Kind::Memory(access, length),
            FieldKind::Opaque => Kind::Opaque,
        };
        Self { kind, nullable: field.nullable, word }
    }

    /// The number that the host sees.
    pub fn number(&self) -> Interval {
        let number = self.word.value.number();
        match self.kind {
            Kind::Number(Scalar::I32, _) => number.low(32).sign_extended(),
            Kind::Number(scalar, _) => number.low(scalar.bits()),
            _ => number,
        }
    }
}

impl Checked {
    pub const PROVED: Self = Self { grade: Grade::Proved, cause: None, write: None };

    pub fn because(grade: Grade, cause: ArgumentCause) -> Self {
        Self { grade, cause: Some(cause), write: None }
    }
}

impl Machine<'_> {
    /// Checks one of a row. `outputs` are the bytes of the called operation's outputs, where there is one.
    pub(super) fn check(&self, state: &State, row: &[Item], index: usize, outputs: Option<u64>) -> Checked {
        let item = row[index];
        if item.word.value == Value::Uninitialised {
            return Checked {
                write: writes(item.kind).then_some(Write::Anywhere),
                ..Checked::because(Grade::Bad, ArgumentCause::NotSet)
            };
        }
        match item.kind {
            Kind::Number(_, range) => check_range(item.number(), range),
            Kind::Handle(handle) => self.check_handle(item, handle),
            Kind::Memory(access, length) => self.check_memory(state, row, index, access, length, outputs),
            // Its fields are looked at one by one.
            Kind::Struct => match item.word.value.as_constant() {
                Some(0) if !item.nullable => Checked::because(Grade::Bad, ArgumentCause::Null),
                _ => Checked::PROVED,
            },
            // An allocator that gets anything else back is not to be relied on.
            Kind::Freed => {
                let checked = self.check_freed(state, item);
                let is_fatal =
                    matches!(checked.cause, None | Some(ArgumentCause::Null | ArgumentCause::MaybeNull));
                Checked { write: (!is_fatal).then_some(Write::Anywhere), ..checked }
            }
            Kind::Opaque => Checked::PROVED,
        }
    }

    fn check_handle(&self, item: Item, handle: HandleId) -> Checked {
        match item.word.value {
            Value::Scalar(number) if number == Interval::ZERO => {
                if item.nullable {
                    Checked::PROVED
                } else {
                    Checked::because(Grade::Bad, ArgumentCause::Null)
                }
            }
            Value::Pointer(Pointer { region: Region::Host(kind), offset, nullable, .. }) => {
                if kind != handle || !offset.contains(0) {
                    Checked::because(Grade::Bad, ArgumentCause::WrongKind)
                } else if offset != Interval::ZERO {
                    Checked::because(Grade::Unproved, ArgumentCause::UnknownKind)
                } else if nullable && !item.nullable {
                    Checked::because(Grade::Unproved, ArgumentCause::MaybeNull)
                } else {
                    Checked::PROVED
                }
            }
            Value::Pointer(_) => Checked::because(Grade::Bad, ArgumentCause::WrongKind),
            Value::Scalar(number) if number.as_constant().is_some() => {
                Checked::because(Grade::Bad, ArgumentCause::WrongKind)
            }
            _ => Checked::because(Grade::Unproved, ArgumentCause::UnknownKind),
        }
    }

    fn check_freed(&self, state: &State, item: Item) -> Checked {
        let not_allocated = |grade| Checked::because(grade, ArgumentCause::NotAllocated);
        match item.word.value {
            Value::Scalar(number) if number == Interval::ZERO => {
                if item.nullable {
                    Checked::PROVED
                } else {
                    Checked::because(Grade::Bad, ArgumentCause::Null)
                }
            }
            Value::Pointer(pointer) => match pointer.region {
                Region::Allocation(allocation) => match state.allocations.get(&allocation) {
                    _ if !pointer.offset.contains(0) => not_allocated(Grade::Bad),
                    Some(memory) if memory.freed == Known::Always => {
                        Checked::because(Grade::Bad, ArgumentCause::FreedTwice)
                    }
                    _ if pointer.offset != Interval::ZERO => not_allocated(Grade::Unproved),
                    _ if pointer.nullable && !item.nullable => {
                        Checked::because(Grade::Unproved, ArgumentCause::MaybeNull)
                    }
                    Some(memory) if memory.freed == Known::Never && !state.corrupted => Checked::PROVED,
                    _ => Checked::because(Grade::Unproved, ArgumentCause::Memory(Cause::MaybeFreed)),
                },
                Region::Metadata { .. } => not_allocated(Grade::Unproved),
                Region::Host(handle) if self.platform.handle(handle).heap => {
                    if pointer.offset != Interval::ZERO {
                        not_allocated(Grade::Unproved)
                    } else if pointer.nullable && !item.nullable {
                        Checked::because(Grade::Unproved, ArgumentCause::MaybeNull)
                    } else {
                        // The host's until it was handed back: which it is only once, and nobody counts.
                        Checked::because(Grade::Unproved, ArgumentCause::Memory(Cause::MaybeFreed))
                    }
                }
                Region::Frame | Region::Data { .. } | Region::Host(_) => not_allocated(Grade::Bad),
            },
            Value::Scalar(number) if number.as_constant().is_some() => not_allocated(Grade::Bad),
            _ => not_allocated(Grade::Unproved),
        }
    }

    fn check_memory(
        &self,
        state: &State,
        row: &[Item],
        index: usize,
        access: Access,
        length: Length,
        outputs: Option<u64>,
    ) -> Checked {
        let item = row[index];
        let is_null = item.word.value.as_constant() == Some(0);
        if is_null && item.nullable {
            return Checked::PROVED;
        }
        // Of an unknown operation that is what is wrong already.
        if length == Length::Outputs && outputs.is_none() {
            return Checked::PROVED;
        }
        let Some(size) = self.length(state, row, index, length, outputs) else {
            let write = (access != Access::Reads).then_some(Write::Anywhere);
            return Checked { write, ..self.check_text(state, item, length) };
        };
        if size == Interval::ZERO {
            return Checked::PROVED;
        }
        if is_null && size.umin() > 0 {
            return Checked { write: None, ..Checked::because(Grade::Bad, ArgumentCause::Null) };
        }
        let mut word = item.word;
        if let Value::Pointer(pointer) = &mut word.value {
            pointer.nullable &= !item.nullable;
        }
        let checked = self.touch(state, word, 0, size, access);
        // A string may end before the length is used up.
        let ends = matches!(length, Length::TextWithin(_)) && checked.grade != Grade::Proved;
        if ends && access == Access::Reads { self.check_text(state, item, Length::Text) } else { checked }
    }
}

fn writes(kind: Kind) -> bool {
    !matches!(kind, Kind::Number(..) | Kind::Handle(_) | Kind::Memory(Access::Reads, _) | Kind::Opaque)
}

fn check_range(number: Interval, range: Option<Range>) -> Checked {
    let Some(Range { min, max }) = range else { return Checked::PROVED };
    if number.smin() >= min && number.smax() <= max {
        Checked::PROVED
    } else if number.smax() < min || number.smin() > max {
        Checked::because(Grade::Bad, ArgumentCause::OutOfRange)
    } else {
        Checked::because(Grade::Unproved, ArgumentCause::MaybeOutOfRange)
    }
}
