//! The control-flow graph of a program: basic blocks, who dominates whom, which loops are nested in which.
//!
//! Pure, and near linear in the program's length whatever its jumps: the code may be a stranger's. Only what a path from
//! the entry reaches is in the graph. Blocks are numbered in reverse postorder, so that a block comes after its
//! predecessors but for *retreating* edges, those whose target's number is not above their source's; every cycle has one.
//!
//! Terms are those of Aho, Lam, Sethi and Ullman, *Compilers*, section 9.6: an edge is a *back edge* if its target
//! dominates its source; a *natural loop* is the head of back edges and everything that reaches their sources without
//! passing it; flow is *irreducible* if some retreating edge is no back edge, a cycle with more than one way in.
//!
//! Not here: how often a loop runs.

mod dominators;
mod graph;
mod loops;

use std::ops::Range;

use crate::program::{Op, Program};
use dominators::Dominators;
use graph::Graph;
use loops::Loops;
pub use loops::{Loop, LoopId};

/// Number of a basic block, in reverse postorder from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub usize);

/// Instructions that are all executed once the first is, unless the pluglet ends between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its slots, never empty.
    pub slots: Range<usize>,
    /// Slot of its last instruction.
    pub last: usize,
    /// An edge each, so at most two: of a branch first the one not taken. Both may lead to the same block.
    pub successors: Vec<BlockId>,
    /// Each once, in order.
    pub predecessors: Vec<BlockId>,
}

/// The control-flow graph of a program.
#[derive(Clone, Debug)]
pub struct Cfg {
    blocks: Vec<Block>,
    /// For each slot of the program its block; `None` where no path leads.
    block_of: Vec<Option<BlockId>>,
    dominators: Dominators,
    loops: Loops,
}

impl Cfg {
    /// Where execution begins.
    pub const ENTRY: BlockId = BlockId(0);

    /// The graph of a program.
    pub fn new(program: &Program) -> Self {
        let runs = runs(program);
        let mut run_at = vec![None; program.len()];
        for (number, (slots, _)) in runs.iter().enumerate() {
            run_at[slots.start] = Some(number);
        }
        // What follows the last instruction of a run begins a run.
        let successors = |(_, last): &(Range<usize>, usize)| {
            program.successors(*last).filter_map(|slot| run_at.get(slot).copied().flatten()).collect()
        };
        let (graph, order) = Graph::new(&runs.iter().map(successors).collect::<Vec<_>>());
        let dominators = Dominators::new(&graph);
        let loops = Loops::new(&graph, &dominators);

        let mut block_of = vec![None; program.len()];
        let mut blocks = Vec::with_capacity(order.len());
        for (number, run) in order.into_iter().enumerate() {
            let (slots, last) = runs[run].clone();
            block_of[slots.clone()].fill(Some(BlockId(number)));
            blocks.push(Block {
                slots,
                last,
                successors: graph.successors(number).iter().copied().map(BlockId).collect(),
                predecessors: graph.predecessors(number).iter().copied().map(BlockId).collect(),
            });
        }
        Self { blocks, block_of, dominators, loops }
    }

    /// How many blocks can be reached, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a program has an entry")]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// All that can be reached, in reverse postorder.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = (BlockId, &Block)> {
        self.blocks.iter().enumerate().map(|(number, block)| (BlockId(number), block))
    }

    /// One block of this graph.
    pub fn block(&self, block: BlockId) -> &Block {
        &self.blocks[block.0]
    }

    /// The block a slot belongs to; `None` where no path leads, and past the end.
    pub fn block_of(&self, slot: usize) -> Option<BlockId> {
        self.block_of.get(slot).copied().flatten()
    }

    /// The closest block that is on every path from the entry to `block`, other than `block`; the entry has none.
    pub fn immediate_dominator(&self, block: BlockId) -> Option<BlockId> {
        self.dominators.immediate(block.0).map(BlockId)
    }

    /// Whether every path from the entry to `block` passes `dominator`. A block dominates itself.
    pub fn dominates(&self, dominator: BlockId, block: BlockId) -> bool {
        self.dominators.dominates(dominator.0, block.0)
    }

    /// Whether a retreating edge leads to `block`. Every cycle passes such a block: that is where to widen.
    pub fn is_retreat_target(&self, block: BlockId) -> bool {
        self.blocks[block.0].predecessors.last().is_some_and(|last| *last >= block)
    }

    /// The retreating edges that are no back edges; empty if and only if the flow is reducible.
    pub fn irreducible_edges(&self) -> impl Iterator<Item = (BlockId, BlockId)> {
        self.loops.irreducible.iter().map(|(from, to)| (BlockId(*from), BlockId(*to)))
    }

    /// All natural loops, an outer one before those in it.
    pub fn loops(&self) -> impl DoubleEndedIterator<Item = (LoopId, &Loop)> {
        self.loops.loops.iter().enumerate().map(|(number, natural)| (LoopId(number), natural))
    }

    /// One loop of this graph.
    pub fn natural_loop(&self, id: LoopId) -> &Loop {
        &self.loops.loops[id.0]
    }

    /// The blocks of a loop, with those of the loops in it; its head is the first.
    pub fn loop_blocks(&self, id: LoopId) -> &[BlockId] {
        self.loops.blocks(id)
    }

    /// Whether `block` is in a loop or in one nested in it.
    pub fn loop_contains(&self, id: LoopId, block: BlockId) -> bool {
        self.loops.contains(id, block.0)
    }

    /// The innermost loop around `block`.
    pub fn innermost_loop(&self, block: BlockId) -> Option<LoopId> {
        self.loops.innermost[block.0]
    }

    /// The edges that leave a loop.
    pub fn loop_exits(&self, id: LoopId) -> impl Iterator<Item = (BlockId, BlockId)> {
        let edges = |from: BlockId| self.block(from).successors.iter().map(move |to| (from, *to));
        let blocks = self.loop_blocks(id).iter().copied();
        blocks.flat_map(edges).filter(move |(_, to)| !self.loop_contains(id, *to))
    }
}

/// The program cut before whatever a jump leads to and after whatever may jump, the first at slot 0; with the slot of the
/// last instruction of each.
fn runs(program: &Program) -> Vec<(Range<usize>, usize)> {
    let mut begins = vec![false; program.len()];
    for (slot, op) in program.ops() {
        if !matches!(op, Op::Jump { .. } | Op::Branch { .. } | Op::Exit) {
            continue;
        }
        for next in program.successors(slot).chain([slot + op.slots()]) {
            if let Some(begins) = begins.get_mut(next) {
                *begins = true;
            }
        }
    }
    let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
    for (slot, op) in program.ops() {
        match runs.last_mut().filter(|_| !begins[slot]) {
            Some((slots, last)) => (slots.end, *last) = (slot + op.slots(), slot),
            None => runs.push((slot..slot + op.slots(), slot)),
        }
    }
    runs
}

#[cfg(test)]
mod tests;
