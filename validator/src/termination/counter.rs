//! The word that a test looks at, from round to round.
//!
//! Pure.

use super::rounds::Span;
use super::word::{View, Word};
use crate::analysis::Interval;
use crate::program::Condition;

/// A word that in round *k* is `view(y + k * step) + more` for some `y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    view: View,
    more: u64,
    /// How many bits it counts in.
    pub bits: u32,
    /// Modulo 2^`bits`.
    pub step: u64,
    /// Whether that is so from the second round on alone.
    pub settles: bool,
}

/// How numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Unsigned,
    Signed,
}

impl Counter {
    /// From what is tested, and what the place it is made of holds in the next round, both in terms of what that place holds
    /// in this one.
    pub fn new(tested: Word, next: Word) -> Option<Self> {
        let (bits, next_bits) = (tested.view.bits(), next.view.bits());
        let step = next.add.wrapping_add(next.more);
        if bits == 0 || next_bits == 0 {
            return None;
        }
        // The lower bits of the place count evenly, and no more are looked at.
        if bits <= next_bits {
            return Some(Self { view: tested.view, more: tested.more, bits, step, settles: false });
        }
        // From the second round on the place holds a number of fewer bits, which the test sees whole.
        let view = match (tested.view, next.view) {
            _ if next.more != 0 => return None,
            (View::Whole, view) => view,
            (View::Zero(_) | View::Sign(_), view @ View::Zero(_)) if tested.add == 0 => view,
            (View::Sign(_), view @ View::Sign(_)) if tested.add == 0 => view,
            _ => return None,
        };
        let more = if tested.view == View::Whole { tested.add } else { tested.more };
        Some(Self { view, more, bits: next_bits, step, settles: true })
    }

    /// The step as people would write it.
    pub fn signed_step(self) -> i64 {
        let unused = u64::BITS - self.bits;
        (self.step << unused) as i64 >> unused
    }

    /// How to read what `condition` compares, all of which is among these numbers.
    pub fn order(self, condition: Condition, tested: Interval, limit: Interval) -> Option<Order> {
        use Condition as C;
        let fits = |order: &Order| self.span(*order).is_some();
        match condition {
            C::LessSigned | C::LessOrEqualSigned | C::GreaterSigned | C::GreaterOrEqualSigned => {
                Some(Order::Signed).filter(fits)
            }
            C::Less | C::LessOrEqual | C::Greater | C::GreaterOrEqual => {
                let positive = |numbers: Interval| i64::try_from(numbers.umax()).is_ok();
                // Numbers without a sign compare the same either way.
                let signed =
                    Some(Order::Signed).filter(|order| fits(order) && positive(tested) && positive(limit));
                Some(Order::Unsigned).filter(fits).or(signed)
            }
            _ => [Order::Unsigned, Order::Signed].into_iter().find(fits),
        }
    }

    /// All values it can have; `None` when they are not in a row.
    pub fn span(self, order: Order) -> Option<Span> {
        let plain = span_of(self.view, order)?;
        let more = i128::from(self.more as i64);
        let span = Span { least: plain.least + more, most: plain.most + more };
        order.all().contains(span).then_some(span)
    }

    /// What is tested the first time, if that is known without wrapping around: the place holds `at_entry` then.
    pub fn first(self, order: Order, tested: Word, at_entry: Interval) -> Option<Span> {
        if self.settles {
            return None;
        }
        let held = order.span(at_entry);
        let (add, more) = (i128::from(tested.add as i64), i128::from(tested.more as i64));
        let sum = Span { least: held.least + add, most: held.most + add };
        let first = Span { least: sum.least + more, most: sum.most + more };
        let fits = span_of(self.view, order)?.contains(sum) && self.span(order)?.contains(first);
        fits.then_some(first)
    }
}

/// The numbers that a view can give, in a row; `None` when they are not.
fn span_of(view: View, order: Order) -> Option<Span> {
    match (view, order) {
        (View::Whole, order) => Some(order.all()),
        (View::Zero(bits), _) => Some(Span { least: 0, most: (1 << bits) - 1 }),
        (View::Sign(bits), Order::Signed) => {
            Some(Span { least: -(1 << (bits - 1)), most: (1 << (bits - 1)) - 1 })
        }
        (View::Sign(_), Order::Unsigned) | (View::Left(_), _) => None,
    }
}

impl Order {
    fn all(self) -> Span {
        match self {
            Self::Unsigned => Span { least: 0, most: u64::MAX.into() },
            Self::Signed => Span { least: i64::MIN.into(), most: i64::MAX.into() },
        }
    }

    /// The bounds of numbers, read in this order.
    pub fn span(self, numbers: Interval) -> Span {
        match self {
            Self::Unsigned => Span { least: numbers.umin().into(), most: numbers.umax().into() },
            Self::Signed => Span { least: numbers.smin().into(), most: numbers.smax().into() },
        }
    }
}
