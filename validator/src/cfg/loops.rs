//! Natural loops and how they are nested.
//!
//! Two natural loops with different heads have no block in common or one lies in the other, in irreducible flow too.

use super::BlockId;
use super::dominators::Dominators;
use super::graph::Graph;

/// Number of a natural loop. An outer loop has a lower one than those in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoopId(pub usize);

/// A natural loop: of all back edges to one head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loop {
    /// The one block through which it is entered.
    pub head: BlockId,
    /// The sources of its back edges, in order.
    pub latches: Vec<BlockId>,
    /// The loop it is nested in.
    pub parent: Option<LoopId>,
    /// How many loops there are around its head, itself included.
    pub depth: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Loops {
    pub loops: Vec<Loop>,
    /// Of each node.
    pub innermost: Vec<Option<LoopId>>,
    /// Retreating edges that are no back edges.
    pub irreducible: Vec<(usize, usize)>,
    /// All nodes that are in loops, those of one loop together.
    nodes: Vec<BlockId>,
    /// Where in `nodes` those of a loop are, with those of the loops in it.
    range: Vec<(usize, usize)>,
    /// The loops within a loop, itself included, as a range of numbers: this is its end.
    last: Vec<usize>,
}

impl Loops {
    pub fn new(graph: &Graph, dominators: &Dominators) -> Self {
        let mut irreducible = Vec::new();
        let mut heads: Vec<(usize, Vec<usize>)> = Vec::new();
        for head in 0..graph.len() {
            let retreating = graph.predecessors(head).iter().copied().filter(|from| *from >= head);
            let (back, other): (Vec<_>, Vec<_>) =
                retreating.partition(|from| dominators.dominates(head, *from));
            irreducible.extend(other.into_iter().map(|from| (from, head)));
            if !back.is_empty() {
                heads.push((head, back));
            }
        }
        let nest = Nest::new(graph, &heads);
        Self::numbered(&heads, &nest, irreducible)
    }

    /// Gives the loops their final numbers: those of a search through the forest.
    fn numbered(heads: &[(usize, Vec<usize>)], nest: &Nest, irreducible: Vec<(usize, usize)>) -> Self {
        let mut children = vec![Vec::new(); heads.len()];
        let mut open = Vec::new();
        for (old, parent) in nest.parent.iter().enumerate().rev() {
            parent.map_or(&mut open, |parent| &mut children[parent]).push(old);
        }
        let mut number = vec![LoopId(0); heads.len()];
        let mut loops: Vec<Loop> = Vec::with_capacity(heads.len());
        while let Some(old) = open.pop() {
            number[old] = LoopId(loops.len());
            let parent = nest.parent[old].map(|parent| number[parent]);
            let depth = 1 + parent.map_or(0, |parent| loops[parent.0].depth);
            let (head, latches) = &heads[old];
            let latches = latches.iter().copied().map(BlockId).collect();
            loops.push(Loop { head: BlockId(*head), latches, parent, depth });
            open.append(&mut children[old]);
        }
        let innermost: Vec<_> = nest.innermost.iter().map(|old| old.map(|old| number[old])).collect();
        let (nodes, range, last) = places(&loops, &innermost);
        Self { loops, innermost, irreducible, nodes, range, last }
    }

    pub fn blocks(&self, id: LoopId) -> &[BlockId] {
        let (from, to) = self.range[id.0];
        &self.nodes[from..to]
    }

    pub fn contains(&self, id: LoopId, node: usize) -> bool {
        self.innermost[node].is_some_and(|inner| (id.0..self.last[id.0]).contains(&inner.0))
    }
}

/// Puts the nodes of each loop together.
fn places(loops: &[Loop], innermost: &[Option<LoopId>]) -> (Vec<BlockId>, Vec<(usize, usize)>, Vec<usize>) {
    let in_loops = innermost.iter().enumerate().filter_map(|(node, inner)| Some((inner.as_ref()?.0, node)));
    let mut sorted: Vec<(usize, usize)> = in_loops.collect();
    sorted.sort_unstable();
    let mut last: Vec<usize> = (1..=loops.len()).collect();
    for (number, natural) in loops.iter().enumerate().rev() {
        if let Some(parent) = natural.parent {
            last[parent.0] = last[parent.0].max(last[number]);
        }
    }
    let place = |number: usize| sorted.partition_point(|(inner, _)| *inner < number);
    let range = (0..loops.len()).map(|number| (place(number), place(last[number]))).collect();
    (sorted.into_iter().map(|(_, node)| BlockId(node)).collect(), range, last)
}

/// Which loop is in which, by their place among the heads.
struct Nest {
    parent: Vec<Option<usize>>,
    innermost: Vec<Option<usize>>,
}

impl Nest {
    /// From the innermost loops outwards, backwards from the latches; a loop found on the way is passed as one node.
    fn new(graph: &Graph, heads: &[(usize, Vec<usize>)]) -> Self {
        let mut nest = Self { parent: vec![None; heads.len()], innermost: vec![None; graph.len()] };
        // The loop around a loop, or one further out, as far as known.
        let mut outer: Vec<usize> = (0..heads.len()).collect();
        // The head of a loop has a higher number than that of the one it lies in.
        for (this, (head, latches)) in heads.iter().enumerate().rev() {
            nest.innermost[*head] = Some(this);
            let mut open: Vec<usize> = latches.iter().copied().filter(|latch| latch != head).collect();
            while let Some(node) = open.pop() {
                let Some(inner) = nest.innermost[node] else {
                    nest.innermost[node] = Some(this);
                    open.extend(graph.predecessors(node));
                    continue;
                };
                let outermost = outermost(&mut outer, inner);
                if outermost != this {
                    nest.parent[outermost] = Some(this);
                    outer[outermost] = this;
                    open.extend(graph.predecessors(heads[outermost].0));
                }
            }
        }
        nest
    }
}

/// Follows `outer` to its end and shortens the way for the next time.
fn outermost(outer: &mut [usize], from: usize) -> usize {
    let mut end = from;
    while outer[end] != end {
        end = outer[end];
    }
    let mut at = from;
    while outer[at] != end {
        at = std::mem::replace(&mut outer[at], end);
    }
    end
}
