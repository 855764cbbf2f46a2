//! How often a test in a loop can say "go on": arithmetic on a counter that goes round and round.
//!
//! Pure. Exact in the machine's own arithmetic: a counter that passes its last value wraps, and this is no assumption but
//! part of the question. What is counted are the values of the tested word, all of which lie in one span of 2^`bits` numbers;
//! from test to test it moves by `step`, modulo the span. The values at which the test ends the loop whatever it compares
//! with are the *end*. A counter whose step is not longer than the end cannot step over it.

use crate::program::Condition;

/// The test: the loop goes on as long as `counter condition limit`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Test {
    pub condition: Condition,
    /// All values of the word tested; 2^`bits` of them, read as the condition does.
    pub span: Span,
    pub bits: u32,
    /// Modulo 2^`bits`.
    pub step: u64,
    /// Among which the limit is, each time.
    pub limit: Span,
    /// Whether the limit is the same each time.
    pub limit_is_fixed: bool,
    /// Among which the word tested is, each time.
    pub tested: Span,
    /// Among which it is the first time.
    pub first: Span,
    /// What every distance from the first value to the limit is known to be a multiple of; 0 of a distance that is 0.
    pub distance: u64,
}

/// Numbers from a least to a greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub least: i128,
    pub most: i128,
}

/// Why a test does not end its loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endless {
    /// The counter comes back to where it was without having changed.
    Still,
    /// There is a limit for which no value of the counter ends the loop.
    NoEnd,
    /// The counter can step over the values that end it.
    StepsOver,
    /// The limit changes, so that the counter may never meet it.
    LimitMoves,
}

impl Span {
    pub const fn contains(self, other: Self) -> bool {
        self.least <= other.least && other.most <= self.most
    }
}

impl Test {
    /// How often in a row the test can say "go on", at most.
    pub fn rounds(&self) -> Result<u128, Endless> {
        let size = 1_u128 << self.bits;
        let step = u128::from(self.step) & (size - 1);
        if step == 0 {
            return Err(Endless::Still);
        }
        match self.condition {
            Condition::NotEqual => self.until_equal(size, step),
            // Two values in a row differ.
            Condition::Equal if self.limit_is_fixed => Ok(1),
            Condition::Equal => Err(Endless::LimitMoves),
            Condition::Set => Err(Endless::NoEnd),
            _ => self.until_beyond(size, step),
        }
    }

    /// Of an order: the values that go on are one end of the span, those that do not the other.
    fn until_beyond(&self, size: u128, step: u128) -> Result<u128, Endless> {
        use Condition as C;
        let (least, most) = (self.span.least, self.span.most);
        let on = match self.condition {
            C::Less | C::LessSigned => Span { least, most: most.min(self.limit.most - 1) },
            C::LessOrEqual | C::LessOrEqualSigned => Span { least, most: most.min(self.limit.most) },
            C::Greater | C::GreaterSigned => Span { least: least.max(self.limit.least + 1), most },
            _ => Span { least: least.max(self.limit.least), most },
        };
        if on.least > on.most {
            return Ok(0);
        }
        let going_on = (on.most - on.least + 1) as u128;
        let end = size - going_on;
        let stride = step.min(size - step);
        if end >= stride {
            // Going on it moves one way, and never back behind where it began.
            let (mut low, mut high) = (on.least.max(self.tested.least), on.most.min(self.tested.most));
            if step == stride {
                low = low.max(self.first.least);
            } else {
                high = high.min(self.first.most);
            }
            return Ok(if low > high { 0 } else { (high - low) as u128 / stride + 1 });
        }
        // It comes round to every multiple of this, and so to one in the end.
        let apart = 1_u128 << step.trailing_zeros();
        match end {
            0 => Err(Endless::NoEnd),
            _ if end >= apart => Ok(size / apart - 1),
            _ => Err(Endless::StepsOver),
        }
    }

    /// Goes on until the limit is met exactly.
    fn until_equal(&self, size: u128, step: u128) -> Result<u128, Endless> {
        if !self.limit_is_fixed {
            return Err(Endless::LimitMoves);
        }
        if !self.span.contains(self.limit) {
            return Err(Endless::NoEnd);
        }
        let stride = step.min(size - step);
        let apart = 1_u128 << step.trailing_zeros();
        let is_multiple = |of: u128| u128::from(self.distance).is_multiple_of(of);
        let up = step == stride;
        let ahead =
            if up { self.limit.least >= self.first.most } else { self.limit.most <= self.first.least };
        let is_first_in_span = self.span.contains(self.first);
        if ahead && is_first_in_span && is_multiple(stride) {
            let farthest =
                if up { self.limit.most - self.first.least } else { self.first.most - self.limit.least };
            return Ok(farthest as u128 / stride);
        }
        if is_multiple(apart) { Ok(size / apart - 1) } else { Err(Endless::StepsOver) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a test of 4 bits can be, against every run of it.
    #[test]
    fn rounds_are_those_of_the_worst_run() {
        const BITS: u32 = 4;
        const SIZE: i128 = 1 << BITS;
        use Condition as C;
        let (mut bounded, mut exact) = (0, 0);
        let spans = |least: i128| Span { least, most: least + SIZE - 1 };
        for (span, conditions) in [
            (spans(0), [C::Less, C::LessOrEqual, C::Greater, C::GreaterOrEqual, C::NotEqual, C::Equal]),
            (
                spans(-8),
                [
                    C::LessSigned,
                    C::LessOrEqualSigned,
                    C::GreaterSigned,
                    C::GreaterOrEqualSigned,
                    C::NotEqual,
                    C::Equal,
                ],
            ),
        ] {
            let ranges: Vec<Span> = (span.least - 1..=span.most + 1)
                .flat_map(|least| {
                    (least..=(least + 5).min(span.most + 1)).map(move |most| Span { least, most })
                })
                .collect();
            for condition in conditions {
                for step in 0..SIZE as u64 {
                    for limit in &ranges {
                        for first in ranges.iter().filter(|first| span.contains(**first)).step_by(3) {
                            for limit_is_fixed in [false, true] {
                                let (limit, first) = (*limit, *first);
                                let distance = if limit.least == limit.most && first.least == first.most {
                                    limit.least.abs_diff(first.least) as u64
                                } else {
                                    1
                                };
                                let test = Test {
                                    condition,
                                    span,
                                    bits: BITS,
                                    step,
                                    limit,
                                    limit_is_fixed,
                                    tested: span,
                                    first,
                                    distance,
                                };
                                let worst = worst(&test);
                                if let Ok(rounds) = test.rounds() {
                                    let worst = worst.unwrap_or_else(|| panic!("endless: {test:?}"));
                                    assert!(worst <= rounds, "{worst} of {rounds}: {test:?}");
                                    bounded += 1;
                                    exact += usize::from(worst == rounds);
                                }
                            }
                        }
                    }
                }
            }
        }
        assert!(bounded > 10_000 && exact * 2 > bounded, "{exact} of {bounded}");
    }

    /// How often the test says "go on" in its longest run; `None` when that never ends.
    fn worst(test: &Test) -> Option<u128> {
        let size = 1_i128 << test.bits;
        let next = |value: i128| {
            (value - test.span.least + i128::from(test.step)).rem_euclid(size) + test.span.least
        };
        let fixed = (test.limit.least..=test.limit.most).map(|limit| Span { least: limit, most: limit });
        let limits: Vec<Span> = if test.limit_is_fixed { fixed.collect() } else { vec![test.limit] };
        let mut worst = 0;
        for limit in limits {
            for first in test.first.least..=test.first.most {
                let (mut value, mut rounds) = (first, 0);
                while (limit.least..=limit.most).any(|limit| holds(test.condition, value, limit)) {
                    value = next(value);
                    rounds += 1;
                    if rounds > size as u128 {
                        return None;
                    }
                }
                worst = worst.max(rounds);
            }
        }
        Some(worst)
    }

    fn holds(condition: Condition, left: i128, right: i128) -> bool {
        use Condition as C;
        match condition {
            C::Less | C::LessSigned => left < right,
            C::LessOrEqual | C::LessOrEqualSigned => left <= right,
            C::Greater | C::GreaterSigned => left > right,
            C::GreaterOrEqual | C::GreaterOrEqualSigned => left >= right,
            C::NotEqual => left != right,
            _ => left == right,
        }
    }
}
