//! Bounds as people write them.

use super::rounds::{Span, Test};
use super::word::{Place, Word};
use crate::program::Condition;

/// How often a test says "go on", in terms of what places hold when the loop at `head` is entered; what is below 0 counts as
/// 0. `None` when that is a number, or the counter does not count towards its limit.
pub(super) fn of(
    test: &Test,
    first: Span,
    place: Place,
    tested: Word,
    limit: Word,
    head: usize,
) -> Option<String> {
    use Condition as C;
    let size = 1_u128 << test.bits;
    let (up, down) = (u128::from(test.step) & (size - 1), size - (u128::from(test.step) & (size - 1)));
    let (is_up, stride) = if up <= down { (true, up) } else { (false, down) };
    // What is added before the division: an inclusive limit is one stride further, a part of a stride is a whole one.
    let extra = match (test.condition, is_up) {
        (C::Less | C::LessSigned, true) | (C::Greater | C::GreaterSigned, false) => stride - 1,
        (C::LessOrEqual | C::LessOrEqualSigned, true)
        | (C::GreaterOrEqual | C::GreaterOrEqualSigned, false) => stride,
        (C::NotEqual, true) if test.limit.least >= first.most => 0,
        (C::NotEqual, false) if test.limit.most <= first.least => 0,
        _ => return None,
    };
    let name = |place: Place| format!("{place}@{head}");
    // As it is: what was added to it may have wrapped around.
    let limit_name = name(limit.base.filter(|base| limit == Word::at_head(*base))?);
    let first_number = i128::from(tested.add as i64) + i128::from(tested.more as i64);
    let (first_name, first_number) =
        if first.least == first.most { (None, first.least) } else { (Some(name(place)), first_number) };
    let sign = if is_up { 1 } else { -1 };
    let number = extra as i128 - sign * first_number;
    let mut sum = match (is_up, first_name) {
        (true, None) => limit_name,
        (true, Some(first)) => format!("{limit_name} - {first}"),
        (false, Some(first)) => format!("{first} - {limit_name}"),
        (false, None) => return Some(quotient(&format!("{number} - {limit_name}"), stride)),
    };
    match number {
        0 => {}
        1.. => sum = format!("{sum} + {number}"),
        ..0 => sum = format!("{sum} - {}", -number),
    }
    Some(quotient(&sum, stride))
}

fn quotient(sum: &str, stride: u128) -> String {
    if stride == 1 { sum.to_owned() } else { format!("({sum})/{stride}") }
}

/// The lower of a formula and a number.
pub(super) fn least(formula: &str, number: u128) -> String {
    format!("min({formula}, {})", power(number))
}

/// A number, a large one by the power of two that it is close to.
pub(super) fn power(number: u128) -> String {
    let near = |by: i128| {
        let power = number.checked_add_signed(-by).filter(|power| power.is_power_of_two())?.trailing_zeros();
        Some(if by == 0 { format!("2^{power}") } else { format!("2^{power}{by:+}") })
    };
    let large = Some(number).filter(|number| *number > 1 << 16);
    large.and_then(|_| (-9..=9).find_map(near)).unwrap_or_else(|| number.to_string())
}
