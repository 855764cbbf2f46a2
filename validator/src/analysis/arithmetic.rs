//! What arithmetic makes of sets of numbers: for every member of the operands, the machine's result is in the result.
//!
//! Pure. Arithmetic wraps as the machine's does; bounds survive when no sum wraps or all do.

use super::interval::{Interval, gcd};
use crate::program::{AluOp, ByteOrder, Width};

impl Interval {
    /// The result of `operation` on `width`; `None` for a division that no divisor but zero reaches. Otherwise a divisor of
    /// zero is left out: uBPF ends the pluglet there.
    pub fn alu(self, operation: AluOp, width: Width, other: Self) -> Option<Self> {
        match width {
            Width::W64 => self.alu64(operation, other),
            Width::W32 => {
                let (left, right) = (self.low(32), other.low(32));
                let result = match operation {
                    AluOp::ShiftRightSigned => left.sign_extended().shift_right_signed(right.amount(32)),
                    AluOp::ShiftLeft => left.shift_left(right.amount(32)),
                    AluOp::ShiftRight => left.shift_right(right.amount(32)),
                    _ => left.alu64(operation, right)?,
                };
                Some(result.low(32))
            }
        }
    }

    /// `0 - self` on `width`.
    #[must_use]
    pub fn negate(self, width: Width) -> Self {
        let negated = Self::ZERO.sub(self);
        if width == Width::W32 { negated.low(32) } else { negated }
    }

    /// The bytes of the lower 16, 32 or 64 bits in `order`.
    #[must_use]
    pub fn swap(self, order: ByteOrder, bits: u8) -> Self {
        let low = self.low(u32::from(bits));
        match (order, low.as_constant()) {
            (ByteOrder::Little, _) => low,
            (ByteOrder::Big, Some(value)) => Self::constant(value.swap_bytes() >> (64 - bits)),
            (ByteOrder::Big, None) => Self::unsigned(0, u64::MAX >> (64 - bits)),
        }
    }

    /// The lower `bits`, 1 to 64, of each.
    #[must_use]
    pub fn low(self, bits: u32) -> Self {
        let mask = u64::MAX >> (64 - bits);
        if self.umax <= mask {
            return self;
        }
        if self.umin & !mask == self.umax & !mask {
            let stride = self.stride;
            let low = Self { umin: self.umin & mask, umax: self.umax & mask, stride, ..Self::FULL };
            return low.normal().unwrap_or(Self::FULL);
        }
        // A multiple of a power of two stays one.
        let aligned = Self::aligned(self.umin, self.stride.trailing_zeros());
        aligned.within(0, mask).unwrap_or(Self::unsigned(0, mask))
    }

    /// The lower 32 bits of each, extended by their sign.
    #[must_use]
    pub(super) fn sign_extended(self) -> Self {
        const SIGN: u64 = 1 << 31;
        if self.umax < SIGN {
            self
        } else if self.umin >= SIGN {
            self.sub(Self::constant(1 << 32))
        } else {
            Self::signed(i64::from(i32::MIN), i64::from(i32::MAX))
        }
    }

    fn alu64(self, operation: AluOp, other: Self) -> Option<Self> {
        Some(match operation {
            AluOp::Add => self.add(other),
            AluOp::Sub => self.sub(other),
            AluOp::Mul => self.mul(other),
            AluOp::Div => self.div(other)?,
            AluOp::Mod => self.rem(other)?,
            AluOp::And => self.and(other),
            AluOp::Or => self.or(other),
            AluOp::Xor => self.xor(other),
            AluOp::ShiftLeft => self.shift_left(other.amount(64)),
            AluOp::ShiftRight => self.shift_right(other.amount(64)),
            AluOp::ShiftRightSigned => self.shift_right_signed(other.amount(64)),
            AluOp::Move => other,
        })
    }

    /// A shift's amount, which is taken modulo the width.
    fn amount(self, width: u64) -> (u32, u32) {
        if self.umax < width {
            (self.umin as u32, self.umax as u32)
        } else if let Some(amount) = self.as_constant() {
            ((amount % width) as u32, (amount % width) as u32)
        } else {
            (0, width as u32 - 1)
        }
    }

    /// The sum; wraps.
    #[must_use]
    pub(super) fn add(self, other: Self) -> Self {
        let stride = gcd(self.stride, other.stride);
        let (umin, low_wraps) = self.umin.overflowing_add(other.umin);
        let (umax, high_wraps) = self.umax.overflowing_add(other.umax);
        let signed = self.smin.checked_add(other.smin).zip(self.smax.checked_add(other.smax));
        Self::combined(umin, umax, low_wraps == high_wraps, signed, stride)
    }

    /// The difference; wraps.
    #[must_use]
    pub(super) fn sub(self, other: Self) -> Self {
        let stride = gcd(self.stride, other.stride);
        let (umin, low_wraps) = self.umin.overflowing_sub(other.umax);
        let (umax, high_wraps) = self.umax.overflowing_sub(other.umin);
        let signed = self.smin.checked_sub(other.smax).zip(self.smax.checked_sub(other.smin));
        Self::combined(umin, umax, low_wraps == high_wraps, signed, stride)
    }

    /// A sum or difference from its bounds, of which the unsigned ones hold unless some wrap and some do not.
    fn combined(umin: u64, umax: u64, unsigned: bool, signed: Option<(i64, i64)>, stride: u64) -> Self {
        let (smin, smax) = signed.unwrap_or((i64::MIN, i64::MAX));
        let whole = if unsigned {
            Self { umin, umax, smin, smax, stride }
        } else {
            Self { smin, smax, ..Self::aligned(umin, stride.trailing_zeros()) }
        };
        whole.normal().unwrap_or(Self::FULL)
    }

    fn mul(self, other: Self) -> Self {
        if let (Some(left), Some(right)) = (self.as_constant(), other.as_constant()) {
            return Self::constant(left.wrapping_mul(right));
        }
        let corners = [
            self.smin.checked_mul(other.smin),
            self.smin.checked_mul(other.smax),
            self.smax.checked_mul(other.smin),
            self.smax.checked_mul(other.smax),
        ];
        let signed = corners.iter().try_fold((i64::MAX, i64::MIN), |(least, most), corner| {
            corner.map(|corner| (least.min(corner), most.max(corner)))
        });
        let (smin, smax) = signed.unwrap_or((i64::MIN, i64::MAX));
        let unsigned = self.umin.checked_mul(other.umin).zip(self.umax.checked_mul(other.umax));
        let Some((umin, umax)) = unsigned else {
            // The factors of two of both operands are in the product, wrapped or not.
            let twos = |set: Self| (set.umin | set.stride).trailing_zeros();
            let aligned = Self::aligned(0, (twos(self) + twos(other)).min(63));
            return Self { smin, smax, ..aligned }.normal().unwrap_or(Self::FULL);
        };
        // None of these is greater than the product of the upper bounds.
        let of_both = self.stride.wrapping_mul(other.stride);
        let of_each = gcd(self.stride.wrapping_mul(other.umin), other.stride.wrapping_mul(self.umin));
        Self { umin, umax, smin, smax, stride: gcd(of_each, of_both) }.normal().unwrap_or(Self::FULL)
    }

    fn div(self, other: Self) -> Option<Self> {
        let most = other.umax;
        let quotients = Self::unsigned(self.umin / most.max(1), self.umax / other.umin.max(1));
        if most == 0 { None } else { Some(quotients) }
    }

    fn rem(self, other: Self) -> Option<Self> {
        let most = other.umax.checked_sub(1)?;
        match (self.as_constant(), other.as_constant()) {
            (Some(left), Some(right)) => Some(Self::constant(left % right)),
            _ if self.umax < other.umin => Some(self),
            _ => Some(Self::unsigned(0, self.umax.min(most))),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self.as_constant(), other.as_constant()) {
            (Some(left), Some(right)) => return Self::constant(left & right),
            (_, Some(mask)) if mask & mask.wrapping_add(1) == 0 && mask != 0 => {
                return self.low(mask.trailing_ones());
            }
            (Some(mask), _) if mask & mask.wrapping_add(1) == 0 && mask != 0 => {
                return other.low(mask.trailing_ones());
            }
            _ => {}
        }
        // Lower bits that are zero in all of one operand are zero in the result.
        let zeros = |set: Self| (set.umin | set.stride).trailing_zeros();
        let aligned = Self::aligned(0, zeros(self).max(zeros(other)));
        aligned.within(0, self.umax.min(other.umax)).unwrap_or(Self::ZERO)
    }

    fn or(self, other: Self) -> Self {
        match (self.as_constant(), other.as_constant()) {
            (Some(left), Some(right)) => Self::constant(left | right),
            _ => Self::unsigned(self.umin.max(other.umin), ones(self.umax | other.umax)),
        }
    }

    fn xor(self, other: Self) -> Self {
        match (self.as_constant(), other.as_constant()) {
            (Some(left), Some(right)) => Self::constant(left ^ right),
            _ => Self::unsigned(0, ones(self.umax | other.umax)),
        }
    }

    fn shift_left(self, (least, most): (u32, u32)) -> Self {
        if let Some(value) = self.as_constant().filter(|_| least == most) {
            return Self::constant(value << least);
        }
        if self.umax.leading_zeros() < most {
            return Self::aligned(0, ((self.umin | self.stride).trailing_zeros() + least).min(63));
        }
        let stride = if least == most { self.stride << least } else { 1 };
        let shifted = Self { umin: self.umin << least, umax: self.umax << most, stride, ..Self::FULL };
        shifted.normal().unwrap_or(Self::FULL)
    }

    fn shift_right(self, (least, most): (u32, u32)) -> Self {
        let twos = self.umin | self.stride;
        if least == most && twos.trailing_zeros() >= least {
            let stride = self.stride >> least;
            let shifted = Self { umin: self.umin >> least, umax: self.umax >> least, stride, ..Self::FULL };
            return shifted.normal().unwrap_or(Self::FULL);
        }
        Self::unsigned(self.umin >> most, self.umax >> least)
    }

    fn shift_right_signed(self, (least, most): (u32, u32)) -> Self {
        // Towards zero from either side.
        let smin = if self.smin < 0 { self.smin >> least } else { self.smin >> most };
        let smax = if self.smax < 0 { self.smax >> most } else { self.smax >> least };
        Self::signed(smin, smax)
    }
}

/// All bits up to the highest of `bits`.
fn ones(bits: u64) -> u64 {
    u64::MAX.checked_shr(bits.leading_zeros()).unwrap_or(0)
}
