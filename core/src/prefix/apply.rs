//! From one epoch's tree to the next.
//!
//! Pure: reads the pages that the changes touch, and returns the new ones for the caller to write. One descent for the
//! whole change set; each touched page is made, hashed and encoded once, and the transition proof falls out on the way.

use std::error::Error;
use std::sync::Arc;

use pds_schemas::prefix::{Change, TransitionProof};
use pds_schemas::{Digest, EpochNumber};

use super::id::{EpochTooLarge, LEVELS, MAX_DEPTH, PageId, page_epoch};
use super::nodes::Nodes;
use super::page::{Leaf, Link, Page, Slot, Subtree};
use super::read_ahead::{MOST_AHEAD, read_ahead};
use super::shape::{Node, level};
use super::source::{PageSource, ReadError};
use super::transition::ProofWriter;
use super::tree::{Keep, PrefixTree, load};
use super::update::{ChangeError, Planting, Update, check_changes, check_order, split};

/// What applying a change set yields.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The new tree, with all new pages in memory.
    pub tree: PrefixTree,
    /// The pages to write, in the order of their keys; none when nothing changed.
    pub pages: Vec<(PageId, Vec<u8>)>,
    /// Proof for those who have only the two roots and the change set.
    pub proof: TransitionProof,
}

/// Why a change set was not applied. The tree it was for is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError<E: Error + 'static> {
    /// Not a change set.
    #[error(transparent)]
    Changes(#[from] ChangeError),
    /// The epoch has more than 32 bits.
    #[error(transparent)]
    Epoch(#[from] EpochTooLarge),
    /// The epoch is not after the one that wrote the tree's root page: its pages would overwrite others.
    #[error("epoch {epoch} is not after {last}, which wrote the tree")]
    EpochNotNew {
        /// The epoch to apply.
        epoch: EpochNumber,
        /// The epoch of the root page.
        last: EpochNumber,
    },
    /// The change set says another commitment came before than the tree holds.
    #[error("the change of {key} is from {stated:?}, the tree holds {held:?}")]
    Old {
        /// Key of the change.
        key: Digest,
        /// The change's `old`.
        stated: Option<Digest>,
        /// What the tree holds, `None` when the key is new.
        held: Option<Digest>,
    },
    /// Two keys that share 255 bits.
    #[error("the leaf of {0} would be deeper than 255 levels")]
    TooDeep(Digest),
    /// A page could not be read.
    #[error(transparent)]
    Page(#[from] ReadError<E>),
}

impl PrefixTree {
    /// The tree after `changes`, which are an epoch's change set, sorted by key.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub fn apply<S: PageSource>(
        &self,
        source: &S,
        epoch: EpochNumber,
        changes: &[Change],
    ) -> Result<Applied, ApplyError<S::Error>> {
        self.apply_updates(source, epoch, &check_changes(changes)?)
    }

    /// As [`PrefixTree::apply`] for bulk loading and tests: any number of updates, whose keys come from anywhere.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub fn apply_updates<S: PageSource>(
        &self,
        source: &S,
        epoch: EpochNumber,
        updates: &[Update],
    ) -> Result<Applied, ApplyError<S::Error>> {
        check_order(updates)?;
        let number = page_epoch(epoch)?;
        if let Some(last) = self.root_page().filter(|last| *last >= epoch) {
            return Err(ApplyError::EpochNotNew { epoch, last });
        }
        let mut proof = ProofWriter::default();
        if updates.is_empty() {
            proof.untouched(&self.root());
            return Ok(Applied { tree: self.clone(), pages: Vec::new(), proof: proof.finish() });
        }
        let mut writer =
            Writer { source, epoch: number, levels: Vec::new(), slots: Vec::new(), proof, is_near: false };
        let id = PageId::root(number);
        let top = match &self.top {
            Some(top) => writer.rewrite(&PageId::root(top.epoch), top, id, updates)?,
            None => {
                writer.proof.missing();
                check_old(updates, None)?;
                writer.plant_page(id, Planting { updates, other: None })?
            }
        };
        let pages = writer.levels.into_iter().flatten().collect();
        Ok(Applied { tree: Self { top: Some(Arc::new(top)) }, pages, proof: writer.proof.finish() })
    }
}

struct Writer<'a, S> {
    source: &'a S,
    epoch: u32,
    /// Pages of each depth from the root's, which the descent finishes in the order of their prefixes.
    levels: Vec<Vec<(PageId, Vec<u8>)>>,
    /// What slots are to hold, of all pages on the way down that are not finished yet, the topmost page's first.
    slots: Vec<(usize, Slot)>,
    proof: ProofWriter,
    /// Whether what is in memory of the pages further down was read ahead.
    is_near: bool,
}

/// A page that is being replaced: what it was, its name in the epoch being written, and what is known of its hashes.
struct Replaced<'a> {
    page: &'a Page,
    id: PageId,
    nodes: Nodes,
}

impl<S: PageSource> Writer<'_, S> {
    /// Applies `updates`, at least one, to the page `old_id`; `id` is the same place in the epoch being written.
    fn rewrite(
        &mut self,
        old_id: &PageId,
        old: &Subtree,
        id: PageId,
        updates: &[Update],
    ) -> Result<Subtree, ApplyError<S::Error>> {
        let page = load(self.source, old_id, old, Keep::No)?;
        let was_near = self.is_near;
        if !was_near && updates.len() <= MOST_AHEAD {
            read_ahead(&page, id.depth(), updates);
            self.is_near = true;
        }
        let from = self.slots.len();
        let mut replaced = Replaced { page: &page, id, nodes: Nodes::unknown() };
        self.change(&mut replaced, 1, updates)?;
        self.is_near = was_near;
        self.finish(id, Some(&page), replaced.nodes, from)
    }

    /// Applies `updates` to node `n` and what is below it: fills the slots, and describes the old node in the proof.
    fn change(
        &mut self,
        old: &mut Replaced<'_>,
        n: usize,
        updates: &[Update],
    ) -> Result<(), ApplyError<S::Error>> {
        let page = old.page;
        if updates.is_empty() {
            let hash = page.hash(n);
            old.nodes.set(n, hash);
            self.proof.untouched(&hash);
            return Ok(());
        }
        match page.shape.node(n) {
            Node::Missing => {
                self.proof.missing();
                check_old(updates, None)?;
                self.plant(&old.id, Planting { updates, other: None })
            }
            Node::Leaf(slot) => {
                let leaf = page.leaf(slot).expect("the shape says that the slot holds a leaf");
                check_old(updates, Some(leaf))?;
                let other = if updates.binary_search_by_key(&leaf.key, |update| update.key).is_ok() {
                    self.proof.changed_leaf();
                    None
                } else {
                    self.proof.other_leaf(&leaf.key, &leaf.commitment);
                    Some((leaf.key, leaf.commitment))
                };
                self.plant(&old.id, Planting { updates, other })
            }
            Node::Subtree(slot) => {
                let below = page.subtree(slot).expect("the shape says that the slot holds a subtree");
                let (old_id, id) = (old.id.child(below.epoch, slot), old.id.child(self.epoch, slot));
                let new = self.rewrite(&old_id, below, id, updates)?;
                self.slots.push((slot, Slot::Subtree(new)));
                Ok(())
            }
            Node::Parent => {
                self.proof.parent();
                let (left, right) = split(updates, usize::from(old.id.depth()) + level(n));
                self.change(old, 2 * n, left)?;
                self.change(old, 2 * n + 1, right)
            }
        }
    }

    /// Puts these leaves, which are all below one node of page `id`, into its slots.
    fn plant(&mut self, id: &PageId, mut leaves: Planting<'_>) -> Result<(), ApplyError<S::Error>> {
        while let Some((slot, below)) = leaves.take_slot(id) {
            let held = match below.single() {
                Some((key, commitment)) => Slot::Leaf(Leaf { key, commitment }),
                None if id.depth() == MAX_DEPTH => return Err(ApplyError::TooDeep(below.updates[0].key)),
                None => Slot::Subtree(self.plant_page(id.child(self.epoch, slot), below)?),
            };
            self.slots.push((slot, held));
        }
        Ok(())
    }

    fn plant_page(&mut self, id: PageId, leaves: Planting<'_>) -> Result<Subtree, ApplyError<S::Error>> {
        let from = self.slots.len();
        self.plant(&id, leaves)?;
        self.finish(id, None, Nodes::unknown(), from)
    }

    /// Makes the page `id` of the slots filled since `from`, and of what else `old` holds.
    fn finish(
        &mut self,
        id: PageId,
        old: Option<&Page>,
        nodes: Nodes,
        from: usize,
    ) -> Result<Subtree, ApplyError<S::Error>> {
        let (page, hash) = Page::new(old, self.slots.drain(from..), nodes);
        if id.depth() == MAX_DEPTH && page.shape.has_leaf_pair() {
            return Err(ApplyError::TooDeep(page.leaves[0].key));
        }
        let level = usize::from(id.depth() / LEVELS);
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        self.levels[level].push((id, page.encode()));
        Ok(Subtree { hash, epoch: self.epoch, page: Link::Held(Arc::new(page)) })
    }
}

/// Checks every update's `old`, where the tree holds `held` and no other leaf.
fn check_old<E: Error>(updates: &[Update], held: Option<&Leaf>) -> Result<(), ApplyError<E>> {
    for Update { key, old: stated, .. } in updates {
        let held = held.filter(|leaf| leaf.key == *key).map(|leaf| leaf.commitment);
        if *stated != held {
            return Err(ApplyError::Old { key: *key, stated: *stated, held });
        }
    }
    Ok(())
}
