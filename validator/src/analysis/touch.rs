//! Memory that the host touches during a call: where it is, how much, and whether that is allowed.
//!
//! Pure.

use super::access::{Cause, Grade, Resolved, fits};
use super::argument::{ArgumentCause, Checked, Item, Write};
use super::interval::Interval;
use super::machine::Machine;
use super::state::State;
use super::value::{Known, Pointer, Region, Value, Word};
use crate::platform::{Access, HandleId, Length, Position};

impl Machine<'_> {
    /// Checks that the host may access `size` bytes at `word` plus `offset`.
    pub(super) fn touch(
        &self,
        state: &State,
        word: Word,
        offset: i16,
        size: Interval,
        access: Access,
    ) -> Checked {
        let is_write = access != Access::Reads;
        if let Value::Pointer(Pointer { region: Region::Host(handle), offset: from, nullable, .. }) =
            word.value
        {
            return self.touch_handle(
                handle,
                from.add(Interval::constant(offset as u64)),
                nullable,
                size,
                is_write,
            );
        }
        let Resolved { grade, cause, frame, ends_if_null } =
            self.resolve(state, word, offset, size, is_write);
        if grade != Grade::Proved {
            // The runtime's monitor does not look at what helpers do.
            let cause = cause.map_or(ArgumentCause::UnknownKind, ArgumentCause::Memory);
            let write = match ends_if_null {
                Some(base) if size.umin() > 0 && access == Access::Fills => Some(Write::UnlessNull(base)),
                Some(_) => None,
                None => is_write.then_some(Write::Anywhere),
            };
            return Checked { write, ..Checked::because(grade.max(Grade::Unproved), cause) };
        }
        let Some((bytes, certain)) = frame else { return Checked::PROVED };
        let certain = bytes.start..bytes.start + certain;
        let mut checked = Checked::PROVED;
        if matches!(access, Access::Reads | Access::Updates) {
            match state.frame.initialised(bytes.clone()) {
                Known::Always => {}
                Known::Never if state.frame.initialised(certain.clone()) == Known::Never => {
                    checked = Checked::because(Grade::Bad, ArgumentCause::Memory(Cause::Uninitialised));
                }
                _ => {
                    checked =
                        Checked::because(Grade::Unproved, ArgumentCause::Memory(Cause::MaybeUninitialised))
                }
            }
        }
        checked.write = match access {
            Access::Reads => None,
            Access::Fills => Some(Write::Fills { certain, all: bytes }),
            Access::MayWrite | Access::Updates => Some(Write::May(bytes)),
        };
        checked
    }

    fn touch_handle(
        &self,
        handle: HandleId,
        offset: Interval,
        nullable: bool,
        size: Interval,
        is_write: bool,
    ) -> Checked {
        let handle = self.platform.handle(handle);
        let write = (is_write && !handle.writable).then_some(Write::Anywhere);
        let because = |cause| Checked {
            write: is_write.then_some(Write::Anywhere),
            ..Checked::because(Grade::Unproved, cause)
        };
        match fits(offset, size, Interval::constant(handle.bytes.into())) {
            _ if nullable => because(ArgumentCause::MaybeNull),
            _ if write.is_some() => because(ArgumentCause::Memory(Cause::ReadOnly)),
            Known::Always => Checked::PROVED,
            _ => because(ArgumentCause::Memory(Cause::MayBeOutOfBounds)),
        }
    }

    /// A string that ends with a zero byte: in read-only data, or the host's own.
    pub(super) fn check_text(&self, state: &State, item: Item, length: Length) -> Checked {
        if !matches!(length, Length::Text | Length::TextWithin(_)) {
            return Checked::because(Grade::Unproved, ArgumentCause::UnknownLength);
        }
        let endless = Checked::because(Grade::Unproved, ArgumentCause::EndlessText);
        match item.word.value {
            Value::Scalar(number) if number == Interval::ZERO => {
                Checked::because(Grade::Bad, ArgumentCause::Null)
            }
            Value::Pointer(Pointer { region: Region::Data { .. }, .. }) => {
                // The loader copies as far as the zero byte, so that a string begins wherever there is a byte.
                self.touch(state, item.word, 0, Interval::constant(1), Access::Reads)
            }
            Value::Pointer(Pointer { region: Region::Host(handle), offset, nullable, .. }) => {
                match self.platform.handle(handle).text && offset == Interval::ZERO {
                    true if nullable => Checked::because(Grade::Unproved, ArgumentCause::MaybeNull),
                    true => Checked::PROVED,
                    false => endless,
                }
            }
            _ => endless,
        }
    }

    /// How many bytes the host touches at most; `None` when no number says so.
    pub(super) fn length(
        &self,
        state: &State,
        row: &[Item],
        index: usize,
        length: Length,
        outputs: Option<u64>,
    ) -> Option<Interval> {
        let at = |position: Position| row.get(usize::from(position.0));
        match length {
            Length::Bytes(bytes) => Some(Interval::constant(bytes.into())),
            Length::Outputs => outputs.map(Interval::constant),
            Length::Text => None,
            Length::TextWithin(count) => Some(at(count)?.number()),
            Length::Count { count, times, plus, least, most } => {
                let bytes = |count: u64| {
                    let bytes =
                        count.saturating_mul(times.into()).saturating_add(plus.into()).max(least.into());
                    most.map_or(bytes, |most| bytes.min(most.into()))
                };
                let count = at(count)?.number();
                let (least, most) = (bytes(count.umin()), bytes(count.umax()));
                Some(if least == most { Interval::constant(least) } else { Interval::unsigned(least, most) })
            }
            Length::Until { end, most } => {
                let (from, to) = (row[index].word.value.pointer(), at(end)?.word.value.pointer());
                let bytes = from.zip(to).filter(|(from, to)| from.base == to.base);
                let bytes =
                    bytes.map(|(from, to)| to.offset.sub(from.offset)).filter(|bytes| bytes.smin() >= 0);
                match (bytes, most) {
                    (Some(bytes), Some(most)) if bytes.umax() > most.into() => {
                        Some(Interval::unsigned(0, most.into()))
                    }
                    (None, Some(most)) => Some(Interval::unsigned(0, most.into())),
                    (bytes, _) => bytes,
                }
            }
            Length::CountAt(position) => {
                let word = self.loaded(state, at(position)?.word, 0, 4)?;
                Some(word.value.number().low(32))
            }
        }
    }

    /// What `size` bytes of the frame at `word` plus `offset` are known to hold.
    pub(super) fn loaded(&self, state: &State, word: Word, offset: i16, size: u8) -> Option<Word> {
        let size_of = Interval::constant(size.into());
        let resolved = self.resolve(state, word, offset, size_of, false);
        let (bytes, _) = resolved.frame.filter(|(_, certain)| *certain > 0)?;
        state.frame.load(bytes.start, size)
    }
}
