//! A page in the making.
//!
//! Pure. All 16 slots laid out, and each parent hashed once: those of the page it was made from are kept until a change
//! touches them.

use pds_schemas::Digest;

use super::hash::{leaf_hash, parent_hash};
use super::page::{Held, Leaf, Page, Subtree};
use super::shape::{Node, Shape};

/// From this many occupied slots on, a page keeps the hashes of its inner nodes: 448 bytes, which spare a proof or a
/// change about as many hashes as there are slots. Most pages are at the bottom of the tree and hold two or three leaves.
const DENSE: u32 = 8;

/// A page being made: all its slots laid out, and the hashes of its parents as far as they are known (zero: not yet).
#[derive(Clone)]
pub(super) struct Draft {
    pub shape: Shape,
    slots: [Slot; 16],
    hashes: [Digest; 16],
}

#[derive(Clone)]
enum Slot {
    Missing,
    Leaf(Leaf),
    Subtree(Subtree),
}

impl Draft {
    pub fn empty() -> Self {
        const MISSING: Slot = Slot::Missing;
        Self { shape: Shape::default(), slots: [MISSING; 16], hashes: [Digest::ZERO; 16] }
    }

    pub fn of(page: &Page) -> Self {
        let mut draft = Self::empty();
        draft.shape = page.shape;
        for (slot, held) in page.slots() {
            draft.slots[slot] = match held {
                Held::Leaf(leaf) => Slot::Leaf(*leaf),
                Held::Subtree(subtree) => Slot::Subtree(subtree.clone()),
            };
        }
        if let Some(inner) = &page.inner {
            draft.hashes[2..].copy_from_slice(&inner[..]);
        }
        draft
    }

    pub fn leaf(&self, slot: usize) -> Option<&Leaf> {
        if let Slot::Leaf(leaf) = &self.slots[slot] { Some(leaf) } else { None }
    }

    pub fn subtree(&self, slot: usize) -> Option<&Subtree> {
        if let Slot::Subtree(subtree) = &self.slots[slot] { Some(subtree) } else { None }
    }

    pub fn set_leaf(&mut self, slot: usize, leaf: Leaf) {
        self.slots[slot] = Slot::Leaf(leaf);
        self.shape.leaves |= 1 << slot;
    }

    pub fn set_subtree(&mut self, slot: usize, subtree: Subtree) {
        self.slots[slot] = Slot::Subtree(subtree);
        self.shape.subtrees |= 1 << slot;
        self.shape.leaves &= !(1 << slot);
    }

    pub fn clear(&mut self, slot: usize) {
        self.slots[slot] = Slot::Missing;
        self.shape.leaves &= !(1 << slot);
        self.shape.subtrees &= !(1 << slot);
    }

    /// Makes node `n` a parent of these two, and returns its hash.
    pub fn join(&mut self, n: usize, left: &Digest, right: &Digest) -> Digest {
        self.hashes[n] = parent_hash(left, right);
        self.hashes[n]
    }

    /// Hash of node `n`, computed where it is not yet known; zero if the node is missing.
    pub fn hash(&mut self, n: usize) -> Digest {
        match self.shape.node(n) {
            Node::Parent if self.hashes[n] != Digest::ZERO => self.hashes[n],
            Node::Parent => {
                let (left, right) = (self.hash(2 * n), self.hash(2 * n + 1));
                self.join(n, &left, &right)
            }
            Node::Missing => Digest::ZERO,
            Node::Leaf(slot) | Node::Subtree(slot) => match &self.slots[slot] {
                Slot::Leaf(leaf) => leaf_hash(&leaf.key, &leaf.commitment),
                Slot::Subtree(subtree) => subtree.hash,
                Slot::Missing => Digest::ZERO,
            },
        }
    }

    /// Packs the page. The hash of every parent is known by then.
    pub fn finish(&mut self) -> Page {
        let mut leaves = Vec::with_capacity(self.shape.leaves.count_ones() as usize);
        let mut subtrees = Vec::with_capacity(self.shape.subtrees.count_ones() as usize);
        for slot in &mut self.slots {
            match std::mem::replace(slot, Slot::Missing) {
                Slot::Missing => {}
                Slot::Leaf(leaf) => leaves.push(leaf),
                Slot::Subtree(subtree) => subtrees.push(subtree),
            }
        }
        let inner = (self.shape.occupants() >= DENSE).then(|| {
            let mut inner = Box::new([Digest::ZERO; 14]);
            inner.copy_from_slice(&self.hashes[2..]);
            inner
        });
        Page { shape: self.shape, leaves: leaves.into(), subtrees: subtrees.into(), inner }
    }
}
