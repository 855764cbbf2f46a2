//! Sets of 64-bit numbers: unsigned and signed bounds at once, and a stride.
//!
//! Pure. The domain is that of strided intervals (Reps and Balakrishnan 2008), with both readings of the bits kept side by
//! side as the Linux verifier does, since a program compares the same register both ways. A set is never empty: what can
//! become empty gives an `Option`. Arithmetic is in `arithmetic`, what a branch tells in `compare`.

use std::fmt;

/// Numbers between bounds, each a multiple of the stride above the least.
///
/// Of every number `x` in it: `umin <= x <= umax`, `smin <= x as i64 <= smax`, and `x - umin` is a multiple of `stride`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub(super) umin: u64,
    pub(super) umax: u64,
    pub(super) smin: i64,
    pub(super) smax: i64,
    /// 0 of a single number, at least 1 otherwise.
    pub(super) stride: u64,
}

/// Numbers that occur in a program, and where widening stops: it goes to the next of these, and past the last to the end.
#[derive(Clone, Debug)]
pub struct Thresholds {
    unsigned: Vec<u64>,
    signed: Vec<i64>,
}

impl Thresholds {
    /// Each number with its neighbours, since a bound may be exclusive; and the ends of the types of C.
    pub fn new(numbers: impl IntoIterator<Item = i64>) -> Self {
        let ends = [0, 0xff, 0xffff, i64::from(i32::MIN), i64::from(i32::MAX), i64::from(u32::MAX), i64::MAX];
        let near = |n: i64| [n.wrapping_sub(1), n, n.wrapping_add(1)];
        let mut signed: Vec<i64> = numbers.into_iter().chain(ends).flat_map(near).collect();
        signed.sort_unstable();
        signed.dedup();
        let mut unsigned: Vec<u64> = signed.iter().map(|n| *n as u64).collect();
        unsigned.sort_unstable();
        Self { unsigned, signed }
    }
}

/// The greatest of sorted `numbers` that is at most `bound`.
fn below<T: Ord + Copy>(numbers: &[T], bound: T) -> Option<T> {
    numbers[..numbers.partition_point(|n| *n <= bound)].last().copied()
}

/// The least of sorted `numbers` that is at least `bound`.
fn above<T: Ord + Copy>(numbers: &[T], bound: T) -> Option<T> {
    numbers.get(numbers.partition_point(|n| *n < bound)).copied()
}

pub(super) const fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Interval {
    /// All numbers.
    pub const FULL: Self = Self { umin: 0, umax: u64::MAX, smin: i64::MIN, smax: i64::MAX, stride: 1 };
    /// Only 0.
    pub const ZERO: Self = Self::constant(0);

    /// One number.
    pub const fn constant(value: u64) -> Self {
        Self { umin: value, umax: value, smin: value as i64, smax: value as i64, stride: 0 }
    }

    /// Unsigned numbers from `least` to `most`, which is not below it.
    pub fn unsigned(least: u64, most: u64) -> Self {
        Self { umin: least, umax: most, ..Self::FULL }.normal().unwrap_or(Self::FULL)
    }

    /// Signed numbers from `least` to `most`, which is not below it.
    pub fn signed(least: i64, most: i64) -> Self {
        Self { smin: least, smax: most, ..Self::FULL }.normal().unwrap_or(Self::FULL)
    }

    /// Every multiple of 2^`bits`, plus the lower bits of `base`.
    pub(super) fn aligned(base: u64, bits: u32) -> Self {
        if bits >= u64::BITS {
            return Self::constant(base);
        }
        let stride = 1 << bits;
        Self { umin: base & (stride - 1), stride, ..Self::FULL }.normal().unwrap_or(Self::FULL)
    }

    /// The least, unsigned.
    pub const fn umin(self) -> u64 {
        self.umin
    }

    /// The greatest, unsigned.
    pub const fn umax(self) -> u64 {
        self.umax
    }

    /// The least, signed.
    pub const fn smin(self) -> i64 {
        self.smin
    }

    /// The greatest, signed.
    pub const fn smax(self) -> i64 {
        self.smax
    }

    /// What all numbers differ by a multiple of; 0 of a single number.
    pub const fn stride(self) -> u64 {
        self.stride
    }

    /// The number, if it is one.
    pub const fn as_constant(self) -> Option<u64> {
        if self.umin == self.umax { Some(self.umin) } else { None }
    }

    /// Whether `value` is one of them.
    pub const fn contains(self, value: u64) -> bool {
        let signed = value as i64;
        self.umin <= value
            && value <= self.umax
            && self.smin <= signed
            && signed <= self.smax
            && match self.stride {
                0 => true,
                stride => (value - self.umin).is_multiple_of(stride),
            }
    }

    /// Whether all of `other` is in it.
    pub fn includes(self, other: Self) -> bool {
        self.join(other) == self
    }

    /// The least set with both.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let stride = gcd(gcd(self.stride, other.stride), self.umin.abs_diff(other.umin));
        let joined = Self {
            umin: self.umin.min(other.umin),
            umax: self.umax.max(other.umax),
            smin: self.smin.min(other.smin),
            smax: self.smax.max(other.smax),
            stride,
        };
        joined.normal().unwrap_or(Self::FULL)
    }

    /// A set with both for which a chain of such steps soon ends: a bound that moved goes on to the next threshold.
    #[must_use]
    pub fn widen(self, newer: Self, thresholds: &Thresholds) -> Self {
        let joined = self.join(newer);
        let (unsigned, signed) = (&thresholds.unsigned, &thresholds.signed);
        let widened = Self {
            umin: if joined.umin < self.umin { below(unsigned, joined.umin).unwrap_or(0) } else { self.umin },
            umax: if joined.umax > self.umax {
                above(unsigned, joined.umax).unwrap_or(u64::MAX)
            } else {
                self.umax
            },
            smin: if joined.smin < self.smin {
                below(signed, joined.smin).unwrap_or(i64::MIN)
            } else {
                self.smin
            },
            smax: if joined.smax > self.smax {
                above(signed, joined.smax).unwrap_or(i64::MAX)
            } else {
                self.smax
            },
            stride: joined.stride,
        };
        // The threshold below is no member of the set: the first above it is.
        Self { umin: round_up(widened.umin, joined.umin, joined.stride), ..widened }
            .normal()
            .unwrap_or(Self::FULL)
    }

    /// What is in both, or more; `None` when nothing is.
    #[must_use]
    pub fn meet(self, other: Self) -> Option<Self> {
        let (finer, other) = if self.stride == 0 || (self.stride > other.stride && other.stride != 0) {
            (self, other)
        } else {
            (other, self)
        };
        match finer.as_constant() {
            Some(value) if other.contains(value) => Some(finer),
            Some(_) => None,
            None => finer.within(other.umin, other.umax)?.within_signed(other.smin, other.smax),
        }
    }

    /// Those that are, unsigned, between two bounds.
    pub(super) fn within(self, least: u64, most: u64) -> Option<Self> {
        if least > most || least > self.umax || most < self.umin {
            return None;
        }
        let umin = if least <= self.umin { self.umin } else { round_up_checked(least, self)? };
        Self { umin, umax: self.umax.min(most), ..self }.normal()
    }

    /// Those that are, signed, between two bounds.
    pub(super) fn within_signed(self, least: i64, most: i64) -> Option<Self> {
        Self { smin: self.smin.max(least), smax: self.smax.min(most), ..self }.normal()
    }

    /// With what each reading of the bits tells about the other; `None` when no number is left. `umin` fixes what the
    /// stride counts from.
    pub(super) fn normal(mut self) -> Option<Self> {
        for _ in 0..2 {
            if self.umin > self.umax || self.smin > self.smax {
                return None;
            }
            // The bounds are multiples of the stride apart.
            if let Some(beyond) = (self.umax - self.umin).checked_rem(self.stride) {
                self.umax -= beyond;
            }
            // All of one sign: both readings have the same order.
            if (self.umin as i64) <= (self.umax as i64) {
                self.smin = self.smin.max(self.umin as i64);
                self.smax = self.smax.min(self.umax as i64);
            }
            if self.smin > self.smax {
                return None;
            }
            if (self.smin as u64) <= (self.smax as u64) {
                let least = self.smin as u64;
                if least > self.umin {
                    if least > self.umax {
                        return None;
                    }
                    self.umin = round_up_checked(least, self)?;
                }
                self.umax = self.umax.min(self.smax as u64);
            }
        }
        if self.umin > self.umax {
            return None;
        }
        match (self.umax - self.umin).checked_rem(self.stride) {
            Some(beyond) if self.umax - beyond == self.umin => Some(Self::constant(self.umin)),
            Some(_) => Some(self),
            None if self.umin == self.umax => Some(Self::constant(self.umin)),
            None => None,
        }
        .filter(|set| set.smin <= set.smax && self.holds_signed(set))
    }

    /// Whether a single number that is left lies within the signed bounds.
    fn holds_signed(self, set: &Self) -> bool {
        set.as_constant().is_none_or(|value| self.smin <= value as i64 && value as i64 <= self.smax)
    }
}

/// The least number from `least` on that is a multiple of `stride` away from `member`, which is not below it.
fn round_up(least: u64, member: u64, stride: u64) -> u64 {
    match (member - least).checked_rem(stride) {
        Some(beyond) => least + beyond,
        None => member,
    }
}

/// The least of `set` from `least` on, which is above its least; `None` past the end.
fn round_up_checked(least: u64, set: Interval) -> Option<u64> {
    match (least - set.umin).checked_rem(set.stride) {
        Some(0) => Some(least),
        Some(beyond) => least.checked_add(set.stride - beyond),
        None => None,
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(value) = self.as_constant() {
            return if value <= 0xffff_ffff { write!(f, "{value}") } else { write!(f, "{}", value as i64) };
        }
        if *self == Self::FULL {
            return f.write_str("any");
        }
        if self.smin < 0 && self.smin != i64::MIN {
            write!(f, "[{},{}]", self.smin, self.smax)?;
        } else {
            write!(f, "[{},{}]", self.umin, self.umax)?;
        }
        if self.stride > 1 { write!(f, " step {}", self.stride) } else { Ok(()) }
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { umin, umax, smin, smax, stride } = self;
        write!(f, "Interval([{umin},{umax}] [{smin},{smax}] step {stride})")
    }
}
