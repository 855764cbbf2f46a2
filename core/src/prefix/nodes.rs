//! Hashes of the nodes of a page in the making.
//!
//! Pure. Whoever makes a page sets the hashes of the nodes that stay as they were, and tells what the other slots hold;
//! [`Nodes::climb`] computes those above what is new, each level's together.

use pds_schemas::Digest;

use super::hash::{leaf_hashes, parent_hashes};
use super::page::Slot;
use super::shape::{Node, Shape, slots_below};

/// Hashes of nodes 1 to 31 of a page as far as they are known; zero for the others, and for missing nodes.
pub(super) struct Nodes {
    hashes: [Digest; 32],
    /// One bit a node whose hash is set.
    known: u32,
}

impl Nodes {
    pub fn unknown() -> Self {
        Self { hashes: [Digest::ZERO; 32], known: 0 }
    }

    /// The hash of node `n`, if it is known.
    pub fn get(&self, n: usize) -> Option<Digest> {
        (self.known >> n & 1 == 1).then_some(self.hashes[n])
    }

    pub fn set(&mut self, n: usize, hash: Digest) {
        self.hashes[n] = hash;
        self.known |= 1 << n;
    }

    /// Sets the hashes of slots that hold these.
    pub fn set_slots(&mut self, slots: &[(usize, Slot)]) {
        let leaves = slots.iter().filter_map(|(slot, held)| match held {
            Slot::Leaf(leaf) => Some((16 + slot, leaf)),
            Slot::Subtree(_) => None,
        });
        let mut places = leaves.clone().map(|(n, _)| n);
        let content = leaves.map(|(_, leaf)| [&leaf.key, &leaf.commitment]);
        leaf_hashes(content, |hash| places.by_ref().take(1).for_each(|n| self.set(n, hash)));
        for (slot, held) in slots {
            if let Slot::Subtree(subtree) = held {
                self.set(16 + slot, subtree.hash);
            }
        }
    }

    /// Computes every node above the slots in `changed`, whose hashes are set, as are those of the nodes beside the way up;
    /// gives the topmost. `shape` is that of the page in the making.
    pub fn climb(&mut self, shape: Shape, changed: u16) -> Digest {
        for level in (0..4).rev() {
            // The nodes of a level come just before their children.
            let first = 1 << level;
            let (nodes, children) = self.hashes[first..4 * first].split_at_mut(first);
            let (children, _) = children.as_chunks();
            let above = (0..first).filter(|i| slots_below(first + i) & changed != 0);
            let is_parent = |i: &usize| shape.node(first + i) == Node::Parent;
            let mut places = above.clone().filter(is_parent);
            let parents = above.clone().filter(is_parent).map(|i| {
                let [left, right] = &children[i];
                [left, right]
            });
            parent_hashes(parents, |hash| places.by_ref().take(1).for_each(|i| nodes[i] = hash));
            for i in above {
                if !is_parent(&i) {
                    // A leaf without a neighbour is in the same place all the way up to where it sits.
                    let [left, right] = children[i];
                    nodes[i] = if left == Digest::ZERO { right } else { left };
                }
                self.known |= 1 << (first + i);
            }
        }
        self.hashes[1]
    }
}
