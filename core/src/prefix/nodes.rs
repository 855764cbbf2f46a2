//! Hashes of the nodes of a page in the making.
//!
//! Pure. Whoever makes a page sets the hashes of the slots that are new and of the nodes that stay as they were;
//! [`Nodes::climb`] computes those above what is new, level by level, so that hashes side by side don't wait for each other.

use pds_schemas::Digest;

use super::hash::parent_hash;
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

    /// Computes every node above the slots in `changed`, whose hashes are set, as are those of the nodes beside the way up;
    /// gives the topmost. `shape` is that of the page in the making.
    pub fn climb(&mut self, shape: Shape, changed: u16) -> Digest {
        for n in (1..16).rev().filter(|n| slots_below(*n) & changed != 0) {
            let (left, right) = (&self.hashes[2 * n], &self.hashes[2 * n + 1]);
            let hash = match shape.node(n) {
                Node::Parent => parent_hash(left, right),
                // A leaf without a neighbour is in the same place all the way up to where it sits.
                _ if *left == Digest::ZERO => *right,
                _ => *left,
            };
            self.set(n, hash);
        }
        self.hashes[1]
    }
}
