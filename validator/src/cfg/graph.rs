//! Directed graphs with an entry, numbered in reverse postorder.

/// What can be reached from node 0, the entry; nodes are numbered in reverse postorder.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    successors: Vec<Vec<usize>>,
    predecessors: Vec<Vec<usize>>,
    /// The nodes in the order of a depth-first search (preorder).
    pub search: Vec<usize>,
    /// The node from which that search came to a node; the entry's is itself.
    pub tree_parent: Vec<usize>,
}

impl Graph {
    /// The part of a graph that can be reached from its node 0, and for each of the new numbers the old one.
    pub fn new(successors: &[Vec<usize>]) -> (Self, Vec<usize>) {
        let search = Search::new(successors);
        let mut order = search.postorder;
        order.reverse();
        let mut number = vec![0; successors.len()];
        for (new, old) in order.iter().enumerate() {
            number[*old] = new;
        }
        let renumber = |old: &usize| successors[*old].iter().map(|old| number[*old]).collect::<Vec<_>>();
        let successors: Vec<Vec<usize>> = order.iter().map(renumber).collect();
        let mut predecessors = vec![Vec::new(); order.len()];
        for (node, next) in successors.iter().enumerate() {
            for to in next {
                predecessors[*to].push(node);
            }
        }
        for before in &mut predecessors {
            before.dedup();
        }
        let tree_parent = order.iter().map(|old| number[search.parent[*old]]).collect();
        let search = search.preorder.iter().map(|old| number[*old]).collect();
        (Self { successors, predecessors, search, tree_parent }, order)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.successors.len()
    }

    /// As they were given, so perhaps one twice.
    pub fn successors(&self, node: usize) -> &[usize] {
        &self.successors[node]
    }

    /// In order, each once.
    pub fn predecessors(&self, node: usize) -> &[usize] {
        &self.predecessors[node]
    }
}

/// A depth-first search from node 0.
struct Search {
    preorder: Vec<usize>,
    postorder: Vec<usize>,
    parent: Vec<usize>,
}

impl Search {
    fn new(successors: &[Vec<usize>]) -> Self {
        let mut search = Self { preorder: vec![0], postorder: Vec::new(), parent: vec![0; successors.len()] };
        let mut seen = vec![false; successors.len()];
        seen[0] = true;
        // A node, and how many of its successors were followed.
        let mut path = vec![(0, 0)];
        while let Some((node, followed)) = path.last_mut() {
            let node = *node;
            let Some(next) = successors[node].get(*followed).copied() else {
                search.postorder.push(node);
                path.pop();
                continue;
            };
            *followed += 1;
            if !std::mem::replace(&mut seen[next], true) {
                search.preorder.push(next);
                search.parent[next] = node;
                path.push((next, 0));
            }
        }
        search
    }
}
