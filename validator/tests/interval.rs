//! Sets of numbers against the numbers themselves: whatever the machine computes of members is a member of the result.

use pds_validator::analysis::{Interval, Thresholds};
use pds_validator::program::{AluOp, ByteOrder, Condition, Width};

/// SplitMix64 (Steele, Lea and Flood 2014), seeded by each test so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Mostly numbers where something changes: small ones, powers of two, the ends of types, and their neighbours.
    fn number(&mut self) -> u64 {
        let near = self.below(5).wrapping_sub(2);
        match self.below(5) {
            0 => self.below(40).wrapping_sub(20),
            1 => (1u64 << self.below(64)).wrapping_add(near),
            2 => (1u64 << self.below(64)).wrapping_neg().wrapping_add(near),
            3 => self.next() >> self.below(64),
            _ => self.next(),
        }
    }

    /// Up to four numbers, sometimes a fixed distance apart, and a set that has them all.
    fn set(&mut self) -> (Vec<u64>, Interval) {
        let first = self.number();
        let step = self.below(30).wrapping_sub(10);
        let apart = self.below(2) == 0;
        let mut members = vec![first];
        for _ in 0..self.below(4) {
            let factor = self.below(9);
            members.push(if apart { first.wrapping_add(step.wrapping_mul(factor)) } else { self.number() });
        }
        let sets = members.iter().map(|member| Interval::constant(*member));
        let set = sets.reduce(Interval::join).expect("there is one");
        (members, set)
    }

    fn member(&mut self, members: &[u64]) -> u64 {
        members[self.below(members.len() as u64) as usize]
    }
}

/// RFC 9669, section 4.1; `None` for a division by zero, at which uBPF ends the pluglet.
fn compute(operation: AluOp, width: Width, left: u64, right: u64) -> Option<u64> {
    let wide = width == Width::W64;
    let (left, right) = if wide { (left, right) } else { (left & 0xffff_ffff, right & 0xffff_ffff) };
    let amount = (right % if wide { 64 } else { 32 }) as u32;
    let result = match operation {
        AluOp::Add => left.wrapping_add(right),
        AluOp::Sub => left.wrapping_sub(right),
        AluOp::Mul => left.wrapping_mul(right),
        AluOp::Div => left.checked_div(right)?,
        AluOp::Mod => left.checked_rem(right)?,
        AluOp::Or => left | right,
        AluOp::And => left & right,
        AluOp::Xor => left ^ right,
        AluOp::ShiftLeft => left << amount,
        AluOp::ShiftRight => left >> amount,
        AluOp::Move => right,
        AluOp::ShiftRightSigned if wide => ((left as i64) >> amount) as u64,
        AluOp::ShiftRightSigned => ((left as u32 as i32) >> amount) as u32 as u64,
    };
    Some(if wide { result } else { result & 0xffff_ffff })
}

fn holds(condition: Condition, left: u64, right: u64) -> bool {
    let (signed_left, signed_right) = (left as i64, right as i64);
    match condition {
        Condition::Equal => left == right,
        Condition::NotEqual => left != right,
        Condition::Greater => left > right,
        Condition::GreaterOrEqual => left >= right,
        Condition::Less => left < right,
        Condition::LessOrEqual => left <= right,
        Condition::GreaterSigned => signed_left > signed_right,
        Condition::GreaterOrEqualSigned => signed_left >= signed_right,
        Condition::LessSigned => signed_left < signed_right,
        Condition::LessOrEqualSigned => signed_left <= signed_right,
        Condition::Set => left & right != 0,
    }
}

const OPERATIONS: [AluOp; 12] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::Mod,
    AluOp::Or,
    AluOp::And,
    AluOp::Xor,
    AluOp::ShiftLeft,
    AluOp::ShiftRight,
    AluOp::ShiftRightSigned,
    AluOp::Move,
];
const CONDITIONS: [Condition; 11] = [
    Condition::Equal,
    Condition::NotEqual,
    Condition::Greater,
    Condition::GreaterOrEqual,
    Condition::Less,
    Condition::LessOrEqual,
    Condition::GreaterSigned,
    Condition::GreaterOrEqualSigned,
    Condition::LessSigned,
    Condition::LessOrEqualSigned,
    Condition::Set,
];

#[test]
fn result_of_members_is_in_the_result_of_sets() {
    let mut random = Random(1);
    for _ in 0..200_000 {
        let ((lefts, left), (rights, right)) = (random.set(), random.set());
        for operation in OPERATIONS {
            for width in [Width::W32, Width::W64] {
                let result = left.alu(operation, width, right);
                let (l, r) = (random.member(&lefts), random.member(&rights));
                let Some(expect) = compute(operation, width, l, r) else { continue };
                let result = result.unwrap_or_else(|| panic!("{l:#x} {operation:?} {r:#x} has a result"));
                assert!(
                    result.contains(expect),
                    "{l:#x} {operation:?} {r:#x} = {expect:#x} ({width:?}) of {left:?} and {right:?} is not in {result:?}"
                );
            }
        }
    }
}

#[test]
fn constants_compute_exactly() {
    let mut random = Random(2);
    for _ in 0..200_000 {
        let (left, right) = (random.number(), random.number());
        for operation in OPERATIONS {
            for width in [Width::W32, Width::W64] {
                let result = Interval::constant(left).alu(operation, width, Interval::constant(right));
                let expect = compute(operation, width, left, right);
                assert_eq!(
                    result,
                    expect.map(Interval::constant),
                    "{left:#x} {operation:?} {right:#x} ({width:?})"
                );
            }
        }
    }
}

#[test]
fn members_stay_when_a_branch_goes_their_way() {
    let mut random = Random(3);
    for _ in 0..200_000 {
        let ((lefts, left), (rights, right)) = (random.set(), random.set());
        for condition in CONDITIONS {
            let (l, r) = (random.member(&lefts), random.member(&rights));
            let outcome = holds(condition, l, r);
            let refined = left.refine(condition, right, outcome);
            let kept = refined.is_some_and(|(left, right)| left.contains(l) && right.contains(r));
            assert!(kept, "{l:#x} {condition:?} {r:#x} is {outcome}, of {left:?} and {right:?}: {refined:?}");
        }
    }
}

#[test]
fn constants_decide_a_branch() {
    let mut random = Random(4);
    for _ in 0..200_000 {
        let (left, right) = (random.number(), random.number());
        for condition in CONDITIONS {
            let outcome = holds(condition, left, right);
            let refine =
                |outcome| Interval::constant(left).refine(condition, Interval::constant(right), outcome);
            assert!(
                refine(outcome).is_some() && refine(!outcome).is_none(),
                "{left:#x} {condition:?} {right:#x}"
            );
        }
    }
}

#[test]
fn negation_swap_and_truncation_keep_members() {
    let mut random = Random(5);
    for _ in 0..300_000 {
        let (members, set) = random.set();
        let value = random.member(&members);
        assert!(set.negate(Width::W64).contains(value.wrapping_neg()), "-{value:#x} of {set:?}");
        let low = u64::from((value as u32).wrapping_neg());
        assert!(set.negate(Width::W32).contains(low), "-{value:#x} of {set:?}");
        for bits in [8, 16, 32, 64] {
            let low = value & u64::MAX >> (64 - bits);
            assert!(set.low(bits).contains(low), "{bits} bits of {value:#x} of {set:?}");
            if bits > 8 {
                let swapped = low.swap_bytes() >> (64 - bits);
                assert!(set.swap(ByteOrder::Big, bits as u8).contains(swapped), "{value:#x} of {set:?}");
                assert!(set.swap(ByteOrder::Little, bits as u8).contains(low), "{value:#x} of {set:?}");
            }
        }
    }
}

#[test]
fn join_is_a_least_upper_bound_of_members() {
    let mut random = Random(6);
    for _ in 0..300_000 {
        let ((lefts, left), (rights, right)) = (random.set(), random.set());
        let joined = left.join(right);
        assert_eq!(joined, right.join(left), "{left:?} {right:?}");
        assert_eq!(left.join(left), left, "{left:?}");
        assert!(joined.includes(left) && joined.includes(right), "{left:?} {right:?}: {joined:?}");
        let (l, r) = (random.member(&lefts), random.member(&rights));
        assert!(joined.contains(l) && joined.contains(r), "{left:?} {right:?}: {joined:?}");
    }
}

#[test]
fn meet_keeps_what_is_in_both() {
    let mut random = Random(7);
    for _ in 0..300_000 {
        let ((_, left), (members, right)) = (random.set(), random.set());
        let value = random.member(&members);
        if left.contains(value) {
            let met = left.meet(right);
            assert!(
                met.is_some_and(|met| met.contains(value)),
                "{value:#x} of {left:?} and {right:?}: {met:?}"
            );
        }
    }
}

#[test]
fn widening_holds_both_and_comes_to_an_end() {
    let mut random = Random(8);
    for _ in 0..20_000 {
        let thresholds =
            Thresholds::new((0..random.below(6)).map(|_| random.number() as i64).collect::<Vec<_>>());
        let (_, mut set) = random.set();
        let mut steps = 0;
        for _ in 0..400 {
            let (members, newer) = random.set();
            let widened = set.widen(newer, &thresholds);
            let value = random.member(&members);
            assert!(
                widened.contains(value),
                "{value:#x} of {newer:?} is not in {set:?} widened: {widened:?}"
            );
            assert!(widened.includes(set), "{set:?} widened by {newer:?}: {widened:?}");
            steps += usize::from(widened != set);
            set = widened;
        }
        // Each of four bounds stops at each threshold at most once for each stride, and strides divide each other.
        assert!(steps < 100, "{steps} steps with {thresholds:?}");
    }
}
