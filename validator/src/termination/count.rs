//! How many instructions a program executes, given how often its loops go round.
//!
//! Pure. Of each loop, and of the program, the longest way through: a loop inside counts as one step on that way, which is
//! passed once a round at most. An instruction that takes two slots counts once.

use super::bound::LoopBound;
use super::formula::power;
use crate::cfg::{BlockId, Cfg, LoopId};
use crate::program::Program;

/// Instructions executed from the entry to an exit. Those of helpers do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Never more; `u64::MAX` stands for itself and all above.
    pub most: u64,
    /// The same in terms of what places hold when loops are entered, where that says more: `r3@40` is r3 at the loop whose
    /// head is instruction 40. What is below 0 counts as 0.
    pub formula: Option<String>,
    /// Never fewer on any way to an exit.
    pub least: u64,
}

/// A way's length.
#[derive(Clone, Copy, Default)]
struct Length {
    most: u128,
    /// Without the loops on it that have a formula.
    plain: u128,
}

impl Length {
    fn max(self, other: Self) -> Self {
        Self { most: self.most.max(other.most), plain: self.plain.max(other.plain) }
    }

    fn plus(self, other: Self) -> Self {
        Self { most: self.most.saturating_add(other.most), plain: self.plain.saturating_add(other.plain) }
    }
}

/// Counts the instructions of a program all of whose loops, in order, have bounds, and whose flow is reducible.
pub(super) fn count(program: &Program, cfg: &Cfg, bounds: &[LoopBound]) -> Count {
    let mut counter = Counter { program, cfg, loops: vec![Length::default(); bounds.len()] };
    let mut formulas: Vec<Option<String>> = vec![None; bounds.len()];
    for (id, _) in cfg.loops().rev() {
        let way = counter.longest(Some(id));
        let bound = &bounds[id.0];
        let times = bound.rounds.saturating_add(1);
        let inner = join(way.plain, inside(cfg, Some(id), &formulas));
        let has_formula = bound.formula.is_some() || inner.is_some();
        counter.loops[id.0] = Length {
            most: way.most.saturating_mul(times),
            plain: if has_formula { 0 } else { way.most.saturating_mul(times) },
        };
        formulas[id.0] = has_formula.then(|| {
            let rounds =
                bound.formula.clone().map_or_else(|| power(times), |rounds| format!("(1 + {rounds})"));
            let round = inner.map_or_else(|| power(way.plain), |inner| format!("({inner})"));
            format!("{round}*{rounds}")
        });
    }
    let way = counter.longest(None);
    Count {
        most: u64::try_from(way.most).unwrap_or(u64::MAX),
        formula: join(way.plain, inside(cfg, None, &formulas)),
        least: counter.shortest(),
    }
}

/// The formulas of the loops directly in a loop, or in none.
fn inside<'a>(
    cfg: &'a Cfg,
    scope: Option<LoopId>,
    formulas: &'a [Option<String>],
) -> impl Iterator<Item = &'a str> {
    let directly = cfg.loops().filter(move |(_, natural)| natural.parent == scope);
    directly.filter_map(|(id, _)| formulas[id.0].as_deref())
}

/// A number plus formulas; `None` without any.
fn join<'a>(number: u128, formulas: impl Iterator<Item = &'a str>) -> Option<String> {
    let sum: Vec<&str> = formulas.collect();
    (!sum.is_empty()).then(|| format!("{} + {}", power(number), sum.join(" + ")))
}

struct Counter<'a> {
    program: &'a Program,
    cfg: &'a Cfg,
    /// A loop's length, from when it is entered until it is left; of those inside first.
    loops: Vec<Length>,
}

impl Counter<'_> {
    fn instructions(&self, block: BlockId) -> u128 {
        let slots = self.cfg.block(block).slots.clone();
        slots.filter(|slot| self.program.op(*slot).is_some()).count() as u128
    }

    /// The loop directly in `scope` that a block is in.
    fn child(&self, scope: Option<LoopId>, block: BlockId) -> Option<LoopId> {
        let mut inner = self.cfg.innermost_loop(block).filter(|inner| Some(*inner) != scope)?;
        while let Some(parent) = self.cfg.natural_loop(inner).parent.filter(|parent| Some(*parent) != scope) {
            inner = parent;
        }
        Some(inner)
    }

    /// The longest way from the head of a loop, or the entry, that does not go back there.
    fn longest(&self, scope: Option<LoopId>) -> Length {
        let mut blocks: Vec<BlockId> = match scope {
            Some(id) => self.cfg.loop_blocks(id).to_vec(),
            None => self.cfg.blocks().map(|(id, _)| id).collect(),
        };
        blocks.sort_unstable();
        // For each block, and for each loop at its head, the longest way to its end.
        let mut ends = vec![Length::default(); blocks.len()];
        let place = |block: BlockId| blocks.binary_search(&block).ok();
        let mut longest = Length::default();
        for (index, block) in blocks.iter().enumerate() {
            let child = self.child(scope, *block);
            let own = match child {
                None => Length { most: self.instructions(*block), plain: self.instructions(*block) },
                Some(child) if self.cfg.natural_loop(child).head == *block => self.loops[child.0],
                Some(_) => continue,
            };
            let before = self.cfg.block(*block).predecessors.iter().filter(|from| **from < *block);
            let before = before.filter_map(|from| {
                place(self.child(scope, *from).map_or(*from, |child| self.cfg.natural_loop(child).head))
            });
            ends[index] = before.map(|from| ends[from]).fold(Length::default(), Length::max).plus(own);
            longest = longest.max(ends[index]);
        }
        longest
    }

    /// The shortest way from the entry to an exit.
    fn shortest(&self) -> u64 {
        let mut ends = vec![u128::MAX; self.cfg.len()];
        let mut shortest = u128::MAX;
        for (id, block) in self.cfg.blocks() {
            let before = block.predecessors.iter().filter(|from| **from < id).map(|from| ends[from.0]).min();
            ends[id.0] = before.unwrap_or(0).saturating_add(self.instructions(id));
            if block.successors.is_empty() {
                shortest = shortest.min(ends[id.0]);
            }
        }
        u64::try_from(shortest).unwrap_or(u64::MAX)
    }
}
