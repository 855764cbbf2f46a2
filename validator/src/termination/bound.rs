//! Bounds of single loops.
//!
//! Pure. A loop has one when some test on the way to all its latches can say "go on" so many times in a row and no more.

use super::counter::{Counter, Order};
use super::facts::{Changes, Entry, Facts};
use super::formula;
use super::round::Round;
use super::rounds::{Endless, Span, Test};
use super::word::{Place, Word};
use crate::analysis::Interval;
use crate::cfg::{BlockId, LoopId};
use crate::program::{Condition, Op, Operand, Reg};

/// How often a loop goes round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopBound {
    /// The slot of its head.
    pub head: usize,
    /// Times that it goes back to its head, each time it is entered; at most this.
    pub rounds: u128,
    /// The same in terms of what places hold when it is entered, where that says more.
    pub formula: Option<String>,
    /// What it counts with.
    pub counter: Place,
    /// By how much each round, modulo the counter's width.
    pub step: i64,
    /// The slot of the test that ends it; `None` when it is known from all its exits together how far the counter gets.
    pub test: Option<usize>,
}

/// Why a loop has no bound that is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbounded {
    /// The slot of its head.
    pub head: usize,
    /// The slot of the test that came closest.
    pub test: Option<usize>,
    /// What is the matter with that.
    pub reason: Reason,
    /// Registers that it compares.
    pub registers: Vec<Reg>,
}

/// What is the matter with a loop, or with a test that should end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Reason {
    #[error("no exit is passed in every round")]
    NoTest,
    #[error("the exit does not compare an order or equality")]
    NoComparison,
    #[error("what the exit compares comes from memory or a helper, or is not counted by constant steps")]
    NoCounter,
    #[error("the counter does not change from round to round")]
    Still,
    #[error("the limit changes from round to round")]
    LimitMoves,
    #[error("the limit may be so large or small that the counter never passes it")]
    NoEnd,
    #[error("the counter may step over its limit and wrap around")]
    StepsOver,
}

/// Finds a loop's bound: the lowest that one of its exits gives.
pub(super) fn bound(facts: &Facts<'_>, id: LoopId, changes: &[Changes]) -> Result<LoopBound, Unbounded> {
    let natural = facts.cfg.natural_loop(id);
    let head = facts.cfg.block(natural.head).slots.start;
    let entry = facts.entry(id);
    let round = Round::new(facts, id, &entry, changes);
    let mut best: Option<LoopBound> = None;
    let mut closest = Unbounded { head, test: None, reason: Reason::NoTest, registers: vec![] };
    for block in facts.cfg.loop_blocks(id) {
        if !natural.latches.iter().all(|latch| facts.cfg.dominates(*block, *latch)) {
            continue;
        }
        let Some(exit) = Exit::at(facts, id, *block) else { continue };
        for exit in [exit, exit.swapped()] {
            match exit.bound(facts, &entry, &round, head) {
                Ok(bound) if best.as_ref().is_none_or(|best| bound.rounds < best.rounds) => {
                    best = Some(bound)
                }
                Ok(_) => {}
                Err(reason) if reason > closest.reason => {
                    let registers =
                        [exit.left, exit.right].into_iter().filter_map(Operand::register).collect();
                    closest = Unbounded { head, test: Some(exit.slot), reason, registers };
                }
                Err(_) => {}
            }
        }
    }
    let always = facts.head(id);
    let counted = places(facts).filter_map(|place| by_numbers(&always, &round, head, place));
    best.into_iter().chain(counted).min_by_key(|bound| bound.rounds).ok_or(closest)
}

fn places(facts: &Facts<'_>) -> impl Iterator<Item = Place> {
    Reg::all().map(Place::Register).chain(facts.slots.iter().copied().map(Place::Slot))
}

/// The bound of a counter that is between two numbers whenever a round begins, and would have to leave them to wrap around.
fn by_numbers(always: &Entry, round: &Round, head: usize, place: Place) -> Option<LoopBound> {
    let next = round.next(place).filter(|next| next.base == Some(place))?;
    let counter = Counter::new(Word::at_head(place), next)?;
    let (step, size) = (counter.signed_step(), 1_u128 << counter.bits);
    let stride = u128::from(step.unsigned_abs());
    let numbers = always.number(place);
    let spans = [Order::Unsigned, Order::Signed].map(|order| order.span(numbers));
    let farthest = spans.into_iter().map(|span| (span.most - span.least) as u128).min()?;
    let rounds = farthest.checked_div(stride).filter(|_| farthest + stride < size)?;
    Some(LoopBound { head, rounds, formula: None, counter: place, step, test: None })
}

/// A branch of which one way leaves the loop: the other is taken when `left condition right`.
#[derive(Clone, Copy)]
struct Exit {
    block: BlockId,
    slot: usize,
    /// `None` when there is no word for it.
    condition: Option<Condition>,
    left: Operand,
    right: Operand,
}

impl Exit {
    fn at(facts: &Facts<'_>, id: LoopId, block: BlockId) -> Option<Self> {
        let slot = facts.cfg.block(block).last;
        let Some(&Op::Branch { condition, left, right, .. }) = facts.program.op(slot) else { return None };
        let stays = |to: &BlockId| facts.cfg.loop_contains(id, *to);
        let condition = match facts.cfg.block(block).successors.as_slice() {
            [not_taken, taken] if stays(not_taken) && !stays(taken) => opposite(condition),
            [not_taken, taken] if !stays(not_taken) && stays(taken) => Some(condition),
            _ => return None,
        };
        // uBPF's interpreter reads such a constant as a positive one.
        let condition =
            condition.filter(|condition| !is_unsigned(*condition) || !matches!(right, Operand::Imm(..0)));
        Some(Self { block, slot, condition, left: Operand::Reg(left), right })
    }

    fn swapped(self) -> Self {
        Self { condition: self.condition.map(mirrored), left: self.right, right: self.left, ..self }
    }

    fn bound(
        &self,
        facts: &Facts<'_>,
        entry: &Entry,
        round: &Round,
        head: usize,
    ) -> Result<LoopBound, Reason> {
        let condition = self.condition.filter(|condition| *condition != Condition::Set);
        let condition = condition.ok_or(Reason::NoComparison)?;
        let words = round.end(self.block).ok_or(Reason::NoTest)?;
        let tested = words.operand(self.left).ok_or(Reason::NoCounter)?;
        let place = tested.base.ok_or(Reason::NoCounter)?;
        let next = round.next(place).filter(|next| next.base == Some(place)).ok_or(Reason::NoCounter)?;
        let counter = Counter::new(tested, next).ok_or(Reason::NoCounter)?;
        let (tested_numbers, limit_numbers) = self.numbers(facts);
        let order = counter.order(condition, tested_numbers, limit_numbers).ok_or(Reason::NoCounter)?;
        let at_entry = entry.number(place);
        let first = counter.first(order, tested, at_entry);
        let limit = words.operand(self.right).filter(|limit| round.is_fixed(*limit));
        let test = Test {
            condition,
            span: counter.span(order).ok_or(Reason::NoCounter)?,
            bits: counter.bits,
            step: counter.step,
            limit: order.span(limit_numbers),
            limit_is_fixed: limit.is_some() || limit_numbers.as_constant().is_some(),
            tested: order.span(tested_numbers),
            first: first.unwrap_or(order.span(tested_numbers)),
            distance: first.map_or(1, |first| distance(first, at_entry, limit_numbers, order)),
        };
        let rounds = test.rounds()? + u128::from(counter.settles);
        let formula =
            first.zip(limit).and_then(|(first, limit)| formula::of(&test, first, place, tested, limit, head));
        Ok(LoopBound {
            head,
            rounds,
            formula: formula.map(|formula| formula::least(&formula, rounds)),
            counter: place,
            step: counter.signed_step(),
            test: Some(self.slot),
        })
    }

    /// What both sides are, whenever the branch is executed.
    fn numbers(&self, facts: &Facts<'_>) -> (Interval, Interval) {
        (facts.compared(self.slot, self.left), facts.compared(self.slot, self.right))
    }
}

/// What the first value and the limit differ by a multiple of.
fn distance(first: Span, at_entry: Interval, limit: Interval, order: Order) -> u64 {
    let apart = first.least.abs_diff(order.span(limit).least);
    let strides = [at_entry.stride(), limit.stride()];
    let is_positive = |numbers: Interval| i64::try_from(numbers.umax()).is_ok();
    if strides == [0, 0] || is_positive(at_entry) && is_positive(limit) {
        let apart = u64::try_from(apart).unwrap_or(1);
        strides.into_iter().fold(apart, gcd)
    } else {
        1
    }
}

const fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl From<Endless> for Reason {
    fn from(endless: Endless) -> Self {
        match endless {
            Endless::Still => Self::Still,
            Endless::NoEnd => Self::NoEnd,
            Endless::StepsOver => Self::StepsOver,
            Endless::LimitMoves => Self::LimitMoves,
        }
    }
}

const fn is_unsigned(condition: Condition) -> bool {
    matches!(
        condition,
        Condition::Less | Condition::LessOrEqual | Condition::Greater | Condition::GreaterOrEqual
    )
}

/// What holds when the condition does not; nothing of bits that are not shared.
fn opposite(condition: Condition) -> Option<Condition> {
    use Condition as C;
    Some(match condition {
        C::Equal => C::NotEqual,
        C::NotEqual => C::Equal,
        C::Less => C::GreaterOrEqual,
        C::GreaterOrEqual => C::Less,
        C::Greater => C::LessOrEqual,
        C::LessOrEqual => C::Greater,
        C::LessSigned => C::GreaterOrEqualSigned,
        C::GreaterOrEqualSigned => C::LessSigned,
        C::GreaterSigned => C::LessOrEqualSigned,
        C::LessOrEqualSigned => C::GreaterSigned,
        C::Set => return None,
    })
}

/// The same with its sides changed.
const fn mirrored(condition: Condition) -> Condition {
    use Condition as C;
    match condition {
        C::Equal => C::Equal,
        C::NotEqual => C::NotEqual,
        C::Set => C::Set,
        C::Less => C::Greater,
        C::Greater => C::Less,
        C::LessOrEqual => C::GreaterOrEqual,
        C::GreaterOrEqual => C::LessOrEqual,
        C::LessSigned => C::GreaterSigned,
        C::GreaterSigned => C::LessSigned,
        C::LessOrEqualSigned => C::GreaterOrEqualSigned,
        C::GreaterOrEqualSigned => C::LessOrEqualSigned,
    }
}
