//! Dominators, by the algorithm of Lengauer and Tarjan (TOPLAS 1(1), 1979) with path compression alone: O(m log n).
//!
//! The simpler iteration of Cooper, Harvey and Kennedy takes quadratic time on graphs that a stranger may well choose.

use super::graph::Graph;

/// The dominator tree of a graph.
#[derive(Clone, Debug)]
pub(super) struct Dominators {
    /// The entry's is itself.
    immediate: Vec<usize>,
    /// For each node, the range of a search of the dominator tree in which what it dominates is entered.
    range: Vec<(usize, usize)>,
}

impl Dominators {
    pub fn new(graph: &Graph) -> Self {
        let immediate = immediate_dominators(graph);
        let range = ranges(&immediate);
        Self { immediate, range }
    }

    pub fn immediate(&self, node: usize) -> Option<usize> {
        (node != 0).then(|| self.immediate[node])
    }

    pub fn dominates(&self, dominator: usize, node: usize) -> bool {
        let (from, to) = self.range[dominator];
        (from..to).contains(&self.range[node].0)
    }
}

fn immediate_dominators(graph: &Graph) -> Vec<usize> {
    // Within this function nodes are called by their place in the depth-first search.
    let count = graph.len();
    let mut place = vec![0; count];
    for (at, node) in graph.search.iter().enumerate() {
        place[*node] = at;
    }
    let parent: Vec<usize> = graph.search.iter().map(|node| place[graph.tree_parent[*node]]).collect();
    let mut forest = Forest::new(count);
    let mut immediate = vec![0; count];
    // Those whose semidominator is a given node.
    let mut bucket: Vec<Vec<usize>> = vec![Vec::new(); count];
    for node in (1..count).rev() {
        for before in graph.predecessors(graph.search[node]) {
            let candidate = forest.eval(place[*before]);
            forest.semi[node] = forest.semi[node].min(forest.semi[candidate]);
        }
        bucket[forest.semi[node]].push(node);
        forest.link(parent[node], node);
        for waiting in std::mem::take(&mut bucket[parent[node]]) {
            let candidate = forest.eval(waiting);
            // The dominator itself, or a node that has the same one and comes first.
            immediate[waiting] =
                if forest.semi[candidate] < forest.semi[waiting] { candidate } else { parent[node] };
        }
    }
    for node in 1..count {
        if immediate[node] != forest.semi[node] {
            immediate[node] = immediate[immediate[node]];
        }
    }
    let mut by_node = vec![0; count];
    for (at, node) in graph.search.iter().enumerate() {
        by_node[*node] = graph.search[immediate[at]];
    }
    by_node
}

/// The part of the search tree that was looked at, as the algorithm's EVAL and LINK want it.
struct Forest {
    semi: Vec<usize>,
    ancestor: Vec<Option<usize>>,
    /// The node with the least semidominator on the way up to `ancestor`, exclusive.
    label: Vec<usize>,
}

impl Forest {
    fn new(count: usize) -> Self {
        Self { semi: (0..count).collect(), ancestor: vec![None; count], label: (0..count).collect() }
    }

    fn link(&mut self, parent: usize, node: usize) {
        self.ancestor[node] = Some(parent);
    }

    fn eval(&mut self, node: usize) -> usize {
        // From the node up to below the root of its tree, then compressed from there down.
        let mut way = Vec::new();
        let mut at = node;
        while let Some(above) = self.ancestor[at] {
            way.push(at);
            at = above;
        }
        let root = at;
        for pair in way.windows(2).rev() {
            let (below, above) = (pair[0], pair[1]);
            if self.semi[self.label[above]] < self.semi[self.label[below]] {
                self.label[below] = self.label[above];
            }
            self.ancestor[below] = Some(root);
        }
        self.label[node]
    }
}

/// When a search of the tree enters each node, and when it has left all below it. Needs parents with lower numbers.
fn ranges(parent: &[usize]) -> Vec<(usize, usize)> {
    let count = parent.len();
    let mut size = vec![1; count];
    for node in (1..count).rev() {
        size[parent[node]] += size[node];
    }
    // The place that the next child of a node takes.
    let mut next = vec![1; count];
    let mut range = vec![(0, size[0]); count];
    for node in 1..count {
        let start = next[parent[node]];
        next[parent[node]] += size[node];
        next[node] = start + 1;
        range[node] = (start, start + size[node]);
    }
    range
}
