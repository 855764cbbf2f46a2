//! What a branch tells when addresses are compared.
//!
//! Pure.

use super::interval::Interval;
use super::state::State;
use super::value::{Pointer, Region, Value, Word};
use crate::program::Condition;

/// Whether a word compared with itself meets the condition; `None` where that depends on the word.
pub(super) fn compare_equal(condition: Condition) -> Option<bool> {
    use Condition as C;
    match condition {
        C::Equal | C::GreaterOrEqual | C::GreaterOrEqualSigned | C::LessOrEqual | C::LessOrEqualSigned => {
            Some(true)
        }
        C::NotEqual | C::Greater | C::GreaterSigned | C::Less | C::LessSigned => Some(false),
        C::Set => None,
    }
}

/// Restricts `state` to executions in which the branch on two words, of which one is an address, goes the given way; false
/// when there are none.
pub(super) fn branch_on_pointer(
    condition: Condition,
    left: Word,
    right: Word,
    taken: bool,
    frame_bytes: u16,
    state: &mut State,
) -> bool {
    match (left.value, right.value) {
        (Value::Pointer(pointer), Value::Scalar(Interval { umin: 0, umax: 0, .. })) => match condition {
            Condition::Equal | Condition::LessOrEqual => is_null(pointer, taken, state),
            Condition::NotEqual | Condition::Greater => is_null(pointer, !taken, state),
            _ => true,
        },
        (Value::Scalar(Interval { umin: 0, umax: 0, .. }), Value::Pointer(pointer)) => match condition {
            Condition::Equal | Condition::GreaterOrEqual => is_null(pointer, taken, state),
            Condition::NotEqual | Condition::Less => is_null(pointer, !taken, state),
            _ => true,
        },
        (Value::Pointer(mine), Value::Pointer(other)) => {
            let Some(shift) = order(condition, mine, other, frame_bytes, state) else { return true };
            let (from, other_from) = (mine.offset.add(shift), other.offset.add(shift));
            let Some((offset, other_offset)) = from.refine(condition, other_from, taken) else {
                return false;
            };
            state.refine(left.id, Value::Pointer(Pointer { offset: offset.sub(shift), ..mine }));
            state.refine(right.id, Value::Pointer(Pointer { offset: other_offset.sub(shift), ..other }));
            true
        }
        _ => true,
    }
}

/// Restricts `state` to executions in which a pointer is null, or in which it is not.
fn is_null(pointer: Pointer, null: bool, state: &mut State) -> bool {
    if pointer.offset != Interval::ZERO {
        return true;
    }
    if null && !pointer.nullable {
        return false;
    }
    state.refine_null(pointer.base, null);
    true
}

/// What to add to the offsets of two addresses so that they compare as the addresses do; `None` when nothing does. Both have
/// to be in one piece of memory, or at its end, which no memory wraps around.
fn order(
    condition: Condition,
    mine: Pointer,
    other: Pointer,
    frame_bytes: u16,
    state: &State,
) -> Option<Interval> {
    use Condition as C;
    let is_unsigned = matches!(condition, C::Less | C::LessOrEqual | C::Greater | C::GreaterOrEqual);
    let is_same = mine.base == other.base && mine.nullable == other.nullable;
    if matches!(condition, C::Equal | C::NotEqual) {
        return is_same.then_some(Interval::ZERO);
    }
    let (shift, most) = match mine.region {
        Region::Frame => (frame_bytes.into(), frame_bytes.into()),
        Region::Allocation(allocation) => (0, state.allocations.get(&allocation)?.bytes.umin()),
        Region::Metadata { bytes, .. } => (0, bytes.into()),
        Region::Data { .. } | Region::Host(_) => return None,
    };
    let shift = Interval::constant(shift);
    let is_inside = |pointer: Pointer| pointer.offset.add(shift).umax() <= most && !pointer.nullable;
    (is_unsigned && is_same && is_inside(mine) && is_inside(other)).then_some(shift)
}
