//! What is known of one 64-bit word.
//!
//! Pure.

use super::interval::Interval;
use crate::platform::HandleId;

/// A number for a concrete value: words with the same number hold the same bits. Counted anew wherever paths meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(super) u32);

/// A 64-bit word in a register or on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// What is known of it.
    pub value: Value,
    /// Which words are equal to it.
    pub id: Id,
    /// Where a left shift took it from without losing a bit: shifted back, it is that value again.
    pub(super) shifted: Option<Shifted>,
}

/// The number that a word was before a left shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shifted {
    pub id: Id,
    pub value: Interval,
    pub bits: u32,
}

/// What is known of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Never written on some path: not to be read.
    Uninitialised,
    /// Anything, an address too; one in the frame only if others were given one.
    Unknown,
    /// Anything, and perhaps an address of the pluglet's own memory that is no longer known as one.
    MaybeOwn,
    /// The same, and perhaps an address in the frame.
    MaybeFrame,
    /// A number, not meant as an address.
    Scalar(Interval),
    /// An address.
    Pointer(Pointer),
}

/// An address: that of a region plus an offset, modulo 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// Into what.
    pub region: Region,
    /// Bytes from the region's beginning; of the frame, from its end, where r10 points.
    pub offset: Interval,
    /// Whether it may be the offset alone, the region's address being null.
    pub nullable: bool,
    /// Pointers with the same number are null together.
    pub(super) base: Id,
}

/// What a pointer points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// The stack frame.
    Frame,
    /// Memory that the pluglet allocated in this run.
    Allocation(Allocation),
    /// The read-only data of the 64-bit constant at a slot.
    Data {
        /// The slot.
        slot: usize,
    },
    /// Memory that pluglets of this plugin keep in a word of metadata, of the size that all of them agree on.
    Metadata {
        /// Which word, of the contract's.
        word: u16,
        /// Its bytes.
        bytes: u32,
    },
    /// Something of the host's.
    Host(HandleId),
}

/// Allocations of one call: the latest, or all that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allocation {
    /// Slot of the call.
    pub site: usize,
    /// Whether it is one of those before the latest.
    pub older: bool,
}

/// Which addresses that are followed a word may be made of: each is more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Taint {
    None,
    Own,
    Frame,
}

impl Region {
    /// What a word is made of that is an address in it.
    pub(super) const fn taint(self) -> Taint {
        match self {
            Self::Frame => Taint::Frame,
            Self::Allocation(_) | Self::Metadata { .. } => Taint::Own,
            Self::Data { .. } | Self::Host(_) => Taint::None,
        }
    }
}

/// Whether something is so, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// In no execution.
    Never,
    /// In some, perhaps.
    Maybe,
    /// In all that get there.
    Always,
}

impl Known {
    pub(super) fn join(self, other: Self) -> Self {
        if self == other { self } else { Self::Maybe }
    }
}

impl Value {
    /// Any number at all.
    pub const ANY_NUMBER: Self = Self::Scalar(Interval::FULL);

    /// One number.
    pub const fn constant(value: u64) -> Self {
        Self::Scalar(Interval::constant(value))
    }

    /// What it is as a number; anything, of what is not known to be one.
    pub const fn number(self) -> Interval {
        match self {
            Self::Scalar(interval) => interval,
            _ => Interval::FULL,
        }
    }

    /// The number, if it is one.
    pub const fn as_constant(self) -> Option<u64> {
        match self {
            Self::Scalar(interval) => interval.as_constant(),
            _ => None,
        }
    }

    /// The pointer, if it is one.
    pub const fn pointer(self) -> Option<Pointer> {
        match self {
            Self::Pointer(pointer) => Some(pointer),
            _ => None,
        }
    }

    /// The region it is an address in, or may be.
    pub(super) fn region(self) -> Option<Region> {
        match self {
            Self::Pointer(pointer) => Some(pointer.region),
            Self::MaybeFrame => Some(Region::Frame),
            _ => None,
        }
    }

    /// Which addresses it may be made of.
    pub(super) fn taint(self) -> Taint {
        match self {
            Self::Pointer(pointer) => pointer.region.taint(),
            Self::MaybeOwn => Taint::Own,
            Self::MaybeFrame => Taint::Frame,
            Self::Uninitialised | Self::Unknown | Self::Scalar(_) => Taint::None,
        }
    }

    /// Anything, made of words with this taint.
    pub(super) const fn unknown(taint: Taint) -> Self {
        match taint {
            Taint::None => Self::Unknown,
            Taint::Own => Self::MaybeOwn,
            Taint::Frame => Self::MaybeFrame,
        }
    }

    /// A number that came out of operations on what may be an address: one itself, unless it is too small for that.
    pub(super) fn of_unknown(result: Interval, taint: Taint) -> Self {
        let small = result.umax() <= u64::from(u32::MAX)
            || result.smin() >= i64::from(i32::MIN) && result.smax() <= i64::from(i32::MAX);
        if small { Self::Scalar(result) } else { Self::unknown(taint) }
    }
}

impl Pointer {
    /// To the beginning of a region.
    pub(super) const fn to(region: Region, nullable: bool, base: Id) -> Self {
        Self { region, offset: Interval::ZERO, nullable, base }
    }
}

impl Word {
    pub(super) const fn new(value: Value, id: Id) -> Self {
        Self { value, id, shifted: None }
    }
}
