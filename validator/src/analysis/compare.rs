//! What a branch tells about the numbers it compared.
//!
//! Pure.

use super::interval::Interval;
use crate::program::Condition;

impl Interval {
    /// Those of both for which `left condition right` is `outcome`, or more; `None` when it never is.
    pub fn refine(self, condition: Condition, right: Self, outcome: bool) -> Option<(Self, Self)> {
        use Condition as C;
        let left = self;
        let swapped = |pair: Option<(Self, Self)>| pair.map(|(right, left)| (left, right));
        match (condition, outcome) {
            (C::Equal, true) | (C::NotEqual, false) => Some((left.meet(right)?, right.meet(left)?)),
            (C::Equal, false) | (C::NotEqual, true) => {
                Some((left.other_than(right)?, right.other_than(left)?))
            }
            (C::Less, true) | (C::GreaterOrEqual, false) => left.less(right),
            (C::LessOrEqual, true) | (C::Greater, false) => left.at_most(right),
            (C::Greater, true) | (C::LessOrEqual, false) => swapped(right.less(left)),
            (C::GreaterOrEqual, true) | (C::Less, false) => swapped(right.at_most(left)),
            (C::LessSigned, true) | (C::GreaterOrEqualSigned, false) => left.less_signed(right),
            (C::LessOrEqualSigned, true) | (C::GreaterSigned, false) => left.at_most_signed(right),
            (C::GreaterSigned, true) | (C::LessOrEqualSigned, false) => swapped(right.less_signed(left)),
            (C::GreaterOrEqualSigned, true) | (C::LessSigned, false) => swapped(right.at_most_signed(left)),
            (C::Set, outcome) => {
                let shared =
                    left.as_constant().zip(right.as_constant()).map(|(left, right)| left & right != 0);
                // Bits above both are shared by none.
                let never = left.umin() == 0 && left.umax() == 0 || right.umin() == 0 && right.umax() == 0;
                let known = shared.or(never.then_some(false));
                if known.is_some_and(|known| known != outcome) {
                    return None;
                }
                // Two numbers that share a bit are not zero.
                if outcome {
                    Some((left.within(1, u64::MAX)?, right.within(1, u64::MAX)?))
                } else {
                    Some((left, right))
                }
            }
        }
    }

    /// Without `other`, if that is one number at an end.
    fn other_than(self, other: Self) -> Option<Self> {
        let Some(value) = other.as_constant() else { return Some(self) };
        let mut rest = self;
        if self.as_constant() == Some(value) {
            return None;
        }
        if value == rest.umin {
            rest = rest.within(value.checked_add(1)?, u64::MAX)?;
        }
        if value == rest.umax {
            rest = rest.within(0, value.checked_sub(1)?)?;
        }
        if value as i64 == rest.smin {
            rest = rest.within_signed((value as i64).checked_add(1)?, i64::MAX)?;
        }
        if value as i64 == rest.smax {
            rest = rest.within_signed(i64::MIN, (value as i64).checked_sub(1)?)?;
        }
        Some(rest)
    }

    fn less(self, right: Self) -> Option<(Self, Self)> {
        Some((
            self.within(0, right.umax.checked_sub(1)?)?,
            right.within(self.umin.checked_add(1)?, u64::MAX)?,
        ))
    }

    fn at_most(self, right: Self) -> Option<(Self, Self)> {
        Some((self.within(0, right.umax)?, right.within(self.umin, u64::MAX)?))
    }

    fn less_signed(self, right: Self) -> Option<(Self, Self)> {
        Some((
            self.within_signed(i64::MIN, right.smax.checked_sub(1)?)?,
            right.within_signed(self.smin.checked_add(1)?, i64::MAX)?,
        ))
    }

    fn at_most_signed(self, right: Self) -> Option<(Self, Self)> {
        Some((self.within_signed(i64::MIN, right.smax)?, right.within_signed(self.smin, i64::MAX)?))
    }
}
