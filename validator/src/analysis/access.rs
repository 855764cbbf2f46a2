//! Loads and stores: where they may lead, and whether that is allowed.
//!
//! Pure.

use std::ops::Range;

use super::interval::Interval;
use super::machine::Machine;
use super::state::State;
use super::value::{Id, Known, Pointer, Region, Value, Word};
use crate::platform::Monitor;
use crate::program::Reg;

/// Bytes from address 0 on where no platform has memory: an access there ends the pluglet, or its host.
const FIRST_PAGE: u64 = 4096;

/// How far an access or an argument is known to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// In every execution.
    Proved,
    /// Not known; through a pointer that does not lead into the frame unless forged, and that the runtime's monitor, if
    /// there is one, looks at.
    Left,
    /// Not known.
    Unproved,
    /// In no execution that gets there.
    Bad,
}

/// A load or a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The register with the address.
    pub base: Reg,
    /// Bytes added to it.
    pub offset: i16,
    /// Bytes read or written.
    pub size: u8,
    /// Whether they are written.
    pub is_store: bool,
}

/// What is wrong with a pointer where memory is accessed, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Cause {
    #[error("leaves the stack frame")]
    OutsideFrame,
    #[error("may leave the stack frame")]
    MayLeaveFrame,
    #[error("reads stack that was not written")]
    Uninitialised,
    #[error("reads stack that may not have been written")]
    MaybeUninitialised,
    #[error("goes through a null pointer")]
    Null,
    #[error("goes through a pointer that may be null")]
    MaybeNull,
    #[error("touches freed memory")]
    Freed,
    #[error("touches memory that may have been freed")]
    MaybeFreed,
    #[error("leaves its allocation")]
    OutOfBounds,
    #[error("may leave its allocation")]
    MayBeOutOfBounds,
    #[error("leaves the data of the constant")]
    OutsideData,
    #[error("may leave the data of the constant")]
    MayLeaveData,
    #[error("writes read-only data")]
    ReadOnly,
    #[error("goes through a pointer of the host's, which can only be passed on")]
    Opaque,
    #[error("goes through a number that is not known to be an address")]
    Number,
    #[error("goes through a pointer that nothing is known of")]
    Unknown,
    #[error("goes through a pointer that nothing is known of, and that may lead into the stack frame")]
    MaybeFrame,
    #[error("comes after a store that may have overwritten what this relies on")]
    AfterCorruption,
}

/// Where an access leads, as far as it is known, and how good that is.
pub(super) struct Resolved {
    pub grade: Grade,
    pub cause: Option<Cause>,
    /// The bytes of the frame that it may be in, and how many from the first on it is in for certain.
    pub frame: Option<(Range<u16>, u16)>,
    /// The base of a pointer that is good unless it is null, in which case nothing is written and execution ends here.
    pub ends_if_null: Option<Id>,
}

impl Resolved {
    const PROVED: Self = Self { grade: Grade::Proved, cause: None, frame: None, ends_if_null: None };

    fn because(grade: Grade, cause: Cause) -> Self {
        Self { grade, cause: Some(cause), frame: None, ends_if_null: None }
    }
}

impl Machine<'_> {
    /// Where `size` bytes at `word` plus `offset` are. Says nothing yet of whether the stack there is initialised.
    pub(super) fn resolve(
        &self,
        state: &State,
        word: Word,
        offset: i16,
        size: Interval,
        is_store: bool,
    ) -> Resolved {
        let offset = Interval::constant(i64::from(offset) as u64);
        match word.value {
            Value::Uninitialised => Resolved::because(Grade::Unproved, Cause::Uninitialised),
            Value::Unknown | Value::MaybeOwn if state.frame_escaped => {
                Resolved::because(Grade::Unproved, Cause::MaybeFrame)
            }
            Value::Unknown | Value::MaybeOwn => self.left(Cause::Unknown),
            Value::MaybeFrame => Resolved::because(Grade::Unproved, Cause::MaybeFrame),
            Value::Scalar(number) => match number.add(offset).as_constant() {
                Some(..FIRST_PAGE) => Resolved::because(Grade::Bad, Cause::Null),
                _ => Resolved::because(Grade::Unproved, Cause::Number),
            },
            Value::Pointer(pointer) => {
                let pointer = Pointer { offset: pointer.offset.add(offset), ..pointer };
                self.resolve_pointer(state, pointer, size, is_store)
            }
        }
    }

    fn resolve_pointer(&self, state: &State, pointer: Pointer, size: Interval, is_store: bool) -> Resolved {
        let resolved = match pointer.region {
            Region::Frame => return self.resolve_frame(pointer, size),
            Region::Allocation(allocation) => match state.allocations.get(&allocation) {
                Some(memory) if memory.freed == Known::Always => {
                    return Resolved::because(Grade::Bad, Cause::Freed);
                }
                Some(memory) => {
                    let fits = fits(pointer.offset, size, memory.bytes);
                    let bounds = match fits {
                        Known::Always => Resolved::PROVED,
                        Known::Maybe => self.left(Cause::MayBeOutOfBounds),
                        Known::Never => return Resolved::because(Grade::Bad, Cause::OutOfBounds),
                    };
                    match memory.freed {
                        Known::Maybe => self.left(Cause::MaybeFreed),
                        _ => bounds,
                    }
                }
                None => self.left(Cause::Unknown),
            },
            Region::Metadata { bytes, .. } => {
                match fits(pointer.offset, size, Interval::constant(bytes.into())) {
                    Known::Always => Resolved::PROVED,
                    _ => self.left(Cause::MayBeOutOfBounds),
                }
            }
            Region::Data { .. } if is_store => return Resolved::because(Grade::Bad, Cause::ReadOnly),
            Region::Data { slot } => {
                let bytes = self.program.data(slot).map_or(0, |data| data.bytes.len() as u64);
                match fits(pointer.offset, size, Interval::constant(bytes)) {
                    Known::Always => Resolved::PROVED,
                    Known::Maybe => Resolved::because(Grade::Unproved, Cause::MayLeaveData),
                    Known::Never => Resolved::because(Grade::Bad, Cause::OutsideData),
                }
            }
            Region::Host(handle) if self.platform.handle(handle).heap => self.left(Cause::Unknown),
            Region::Host(_) => return Resolved::because(Grade::Bad, Cause::Opaque),
        };
        let mut resolved = resolved;
        if state.corrupted
            && resolved.grade == Grade::Proved
            && !matches!(pointer.region, Region::Data { .. })
        {
            resolved = self.left(Cause::AfterCorruption);
        }
        if pointer.nullable {
            let is_good = resolved.grade == Grade::Proved;
            let in_first_page = fits(pointer.offset, size, Interval::constant(FIRST_PAGE)) == Known::Always;
            resolved = self.left(Cause::MaybeNull);
            resolved.ends_if_null = (is_good && in_first_page).then_some(pointer.base);
        }
        resolved
    }

    fn resolve_frame(&self, pointer: Pointer, size: Interval) -> Resolved {
        let frame_bytes = Interval::constant(self.frame_bytes.into());
        let from_lowest = pointer.offset.add(frame_bytes);
        if pointer.nullable {
            return Resolved::because(Grade::Unproved, Cause::MaybeNull);
        }
        match fits(from_lowest, size, frame_bytes) {
            Known::Always => {
                let (first, last) = (from_lowest.umin() as u16, (from_lowest.umax() + size.umax()) as u16);
                let certain = if from_lowest.as_constant().is_some() { size.umin() as u16 } else { 0 };
                Resolved { frame: Some((first..last, certain)), ..Resolved::PROVED }
            }
            Known::Maybe => Resolved::because(Grade::Unproved, Cause::MayLeaveFrame),
            Known::Never => Resolved::because(Grade::Bad, Cause::OutsideFrame),
        }
    }

    /// An access that is the runtime's to look at, if it does.
    fn left(&self, cause: Cause) -> Resolved {
        let has_monitor = self.platform.memory.monitor != Monitor::None;
        Resolved::because(if has_monitor { Grade::Left } else { Grade::Unproved }, cause)
    }
}

/// Whether `size` bytes at `offset` are within `bytes`.
pub(super) fn fits(offset: Interval, size: Interval, bytes: Interval) -> Known {
    let end = |offset: u64, size: u64| u128::from(offset) + u128::from(size);
    if end(offset.umax(), size.umax()) <= u128::from(bytes.umin()) {
        Known::Always
    } else if end(offset.umin(), size.umin()) > u128::from(bytes.umax()) {
        Known::Never
    } else {
        Known::Maybe
    }
}
