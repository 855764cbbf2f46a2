//! Four levels of a prefix tree as one value in memory.
//!
//! Pure. A page never changes: a change makes another one, which shares with it the pages below that stay. Its bytes in a
//! store are in [`super::encoding`].

use std::sync::{Arc, OnceLock};

use pds_schemas::Digest;

use super::hash::{leaf_hash, parent_hash};
use super::nodes::Nodes;
use super::shape::{Node, Shape};

/// One entry of a prefix tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// SHA-256 of the plugin's name.
    pub key: Digest,
    /// SHA-256 of the name record's bytes.
    pub commitment: Digest,
}

/// A slot that names another page.
#[derive(Clone, Debug)]
pub(super) struct Subtree {
    pub hash: Digest,
    pub epoch: u32,
    pub page: Link,
}

/// The page that a slot names, as far as it is in memory.
#[derive(Debug)]
pub(super) enum Link {
    /// Since the page naming it was made.
    Held(Arc<Page>),
    /// Since it was first read for keeping.
    Read(OnceLock<Arc<Page>>),
}

#[derive(Debug)]
pub(super) struct Page {
    pub shape: Shape,
    pub leaves: Box<[Leaf]>,
    subtrees: Subtrees,
    /// Hashes of the nodes 2 to 15; only in pages with many slots occupied.
    inner: Option<Box<[Digest; 14]>>,
}

/// The pages below a page.
#[derive(Debug)]
enum Subtrees {
    /// In the order of their slots.
    Few(Box<[Subtree]>),
    /// Four slots each. A copy of a page shares the quarters that no change touches: it counts itself where it reads anyway,
    /// and not in every one of the pages below, each of which lies elsewhere in memory.
    Many([Arc<Quarter>; 4]),
}

/// The subtrees of four slots side by side.
type Quarter = [Option<Subtree>; 4];

/// What a slot of a page is to hold.
pub(super) enum Slot {
    Leaf(Leaf),
    Subtree(Subtree),
}

impl Slot {
    /// Hash of what it is to hold.
    pub fn hash(&self) -> Digest {
        match self {
            Self::Leaf(leaf) => leaf_hash(&leaf.key, &leaf.commitment),
            Self::Subtree(subtree) => subtree.hash,
        }
    }
}

/// What a slot of a page holds.
pub(super) enum Held<'a> {
    Leaf(&'a Leaf),
    Subtree(&'a Subtree),
}

/// From this many occupied slots on, a page keeps the hashes of its inner nodes: 448 bytes, which spare a proof or a
/// change about as many hashes as there are slots. Most pages are at the bottom of the tree and hold two or three leaves.
const DENSE: u32 = 8;

/// From this many subtrees on they are kept by quarters.
const MANY: u32 = 10;

impl Link {
    pub fn unread() -> Self {
        Self::Read(OnceLock::new())
    }

    pub fn get(&self) -> Option<&Arc<Page>> {
        match self {
            Self::Held(page) => Some(page),
            Self::Read(page) => page.get(),
        }
    }

    /// The page, kept in memory from now on; that of whoever came first.
    pub fn keep(&self, page: Arc<Page>) -> &Arc<Page> {
        match self {
            Self::Held(held) => held,
            Self::Read(read) => read.get_or_init(|| page),
        }
    }
}

impl Clone for Link {
    fn clone(&self) -> Self {
        self.get().map_or_else(Self::unread, |page| Self::Held(Arc::clone(page)))
    }
}

impl Page {
    /// The page that holds `slots`, which come in order, and else what `old` does, with its topmost node's hash. `nodes`
    /// knows the hashes of the new slots, and of the nodes beside the way up from them.
    pub fn new(
        old: Option<&Self>,
        slots: impl IntoIterator<Item = (usize, Slot)> + AsRef<[(usize, Slot)]>,
        mut nodes: Nodes,
    ) -> (Self, Digest) {
        let mut shape = old.map_or_else(Shape::default, |page| page.shape);
        let mut changed = 0;
        for (slot, held) in slots.as_ref() {
            changed |= 1 << slot;
            match held {
                Slot::Leaf(_) => shape.put_leaf(*slot),
                Slot::Subtree(_) => shape.put_subtree(*slot),
            }
        }
        let hash = nodes.climb(shape, changed);
        let mut leaves = Vec::with_capacity(shape.leaves.count_ones() as usize);
        let mut slots = slots.into_iter();
        // Called for the slots in order.
        let mut take = |slot: usize| match changed >> slot & 1 == 1 {
            true => match slots.next() {
                Some((_, Slot::Subtree(subtree))) => Some(subtree),
                Some((_, Slot::Leaf(leaf))) => {
                    leaves.push(leaf);
                    None
                }
                None => None,
            },
            false => {
                leaves.extend(old.and_then(|old| old.leaf(slot)));
                old.and_then(|old| old.subtree(slot)).cloned()
            }
        };
        let subtrees = if shape.subtrees.count_ones() < MANY {
            let mut subtrees = Vec::with_capacity(shape.subtrees.count_ones() as usize);
            subtrees.extend(shape.slots().filter_map(take));
            Subtrees::Few(subtrees.into())
        } else {
            Subtrees::Many(std::array::from_fn(|quarter| {
                let kept =
                    old.and_then(|old| old.quarter(quarter)).filter(|_| changed >> (4 * quarter) & 15 == 0);
                match kept {
                    Some(kept) if shape.leaves >> (4 * quarter) & 15 == 0 => Arc::clone(kept),
                    _ => Arc::new(std::array::from_fn(|i| take(4 * quarter + i))),
                }
            }))
        };
        let inner = (shape.occupied().count_ones() >= DENSE).then(|| {
            let of_old = |n| old.map_or(Digest::ZERO, |old| old.hash(n));
            Box::new(std::array::from_fn(|i| nodes.get(i + 2).unwrap_or_else(|| of_old(i + 2))))
        });
        (Self { shape, leaves: leaves.into(), subtrees, inner }, hash)
    }

    /// Hashes of the nodes 2 to 15 as far as the page keeps them: all or none.
    pub fn hashes(&self) -> &[Digest] {
        self.inner.as_ref().map_or(&[], |inner| &inner[..])
    }

    /// The slots that hold something, in order.
    pub fn slots(&self) -> impl Iterator<Item = (usize, Held<'_>)> {
        let mut leaves = self.leaves.iter();
        self.shape.slots().filter_map(move |slot| {
            let held = match self.shape.leaves >> slot & 1 == 1 {
                true => leaves.next().map(Held::Leaf),
                false => self.subtree(slot).map(Held::Subtree),
            };
            held.map(|held| (slot, held))
        })
    }

    pub fn leaf(&self, slot: usize) -> Option<&Leaf> {
        let held = self.shape.leaves >> slot & 1 == 1;
        held.then(|| &self.leaves[Shape::rank(self.shape.leaves, slot)])
    }

    pub fn subtree(&self, slot: usize) -> Option<&Subtree> {
        match &self.subtrees {
            Subtrees::Few(subtrees) => {
                let held = self.shape.subtrees >> slot & 1 == 1;
                held.then(|| &subtrees[Shape::rank(self.shape.subtrees, slot)])
            }
            Subtrees::Many(quarters) => quarters[slot / 4][slot % 4].as_ref(),
        }
    }

    fn quarter(&self, quarter: usize) -> Option<&Arc<Quarter>> {
        match &self.subtrees {
            Subtrees::Few(_) => None,
            Subtrees::Many(quarters) => Some(&quarters[quarter]),
        }
    }

    /// The subtrees that a copy of this page, in which `slot` changes, takes one by one, that one among them.
    pub fn copied_with(&self, slot: usize) -> impl Iterator<Item = &Subtree> {
        let slots = match &self.subtrees {
            Subtrees::Few(_) => 0..16,
            Subtrees::Many(_) => slot & !3..(slot & !3) + 4,
        };
        slots.filter_map(|slot| self.subtree(slot))
    }

    /// Hash of node `n`; zero if it is missing.
    pub fn hash(&self, n: usize) -> Digest {
        if let Some(inner) = self.inner.as_ref().filter(|_| (2..16).contains(&n)) {
            return inner[n - 2];
        }
        match self.shape.node(n) {
            Node::Missing => Digest::ZERO,
            Node::Leaf(slot) => {
                let leaf = &self.leaves[Shape::rank(self.shape.leaves, slot)];
                leaf_hash(&leaf.key, &leaf.commitment)
            }
            Node::Subtree(slot) => self.subtree(slot).map_or(Digest::ZERO, |subtree| subtree.hash),
            Node::Parent => parent_hash(&self.hash(2 * n), &self.hash(2 * n + 1)),
        }
    }
}
