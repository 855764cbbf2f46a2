//! From one epoch's tree to the next.
//!
//! Pure: reads the pages that the changes touch, and returns the new ones for the caller to write. One descent for the
//! whole change set; each touched page is made, hashed and encoded once, and the transition proof falls out on the way.

use std::error::Error;
use std::sync::{Arc, OnceLock};

use pds_schemas::prefix::{Change, TransitionProof};
use pds_schemas::{Digest, EpochNumber};

use super::draft::Draft;
use super::hash::leaf_hash;
use super::id::{EpochTooLarge, LEVELS, PageId, page_epoch};
use super::page::{Leaf, Subtree};
use super::shape::{Node, level};
use super::source::{PageSource, ReadError};
use super::transition::ProofWriter;
use super::tree::{Keep, PrefixTree, load};
use super::update::{ChangeError, Planting, Update, check_changes, check_order, split};
use super::verify::MAX_LEAF_DEPTH;

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
        let mut writer = Writer { source, epoch: number, levels: Vec::new(), proof };
        let id = PageId::root(number);
        let top = match &self.top {
            Some(top) => writer.rewrite(&PageId::root(top.epoch), top, id, updates)?,
            None => writer.write(id, &mut Draft::empty(), updates)?,
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
    proof: ProofWriter,
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
        let mut draft = Draft::of(&*load(self.source, old_id, old, Keep::No)?);
        self.write(id, &mut draft, updates)
    }

    fn write(
        &mut self,
        id: PageId,
        draft: &mut Draft,
        updates: &[Update],
    ) -> Result<Subtree, ApplyError<S::Error>> {
        let hash = self.change(&id, draft, 1, updates)?;
        Ok(self.finish(id, draft, hash))
    }

    fn finish(&mut self, id: PageId, draft: &mut Draft, hash: Digest) -> Subtree {
        let page = draft.finish();
        let level = usize::from(id.depth() / LEVELS);
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        self.levels[level].push((id, page.encode()));
        Subtree { hash, epoch: self.epoch, page: OnceLock::from(Arc::new(page)) }
    }

    /// Applies `updates` to node `n` and what is below it; gives the node's new hash.
    fn change(
        &mut self,
        id: &PageId,
        draft: &mut Draft,
        n: usize,
        updates: &[Update],
    ) -> Result<Digest, ApplyError<S::Error>> {
        if updates.is_empty() {
            let hash = draft.hash(n);
            self.proof.untouched(&hash);
            return Ok(hash);
        }
        match draft.shape.node(n) {
            Node::Missing => {
                self.proof.missing();
                check_old(updates, None)?;
                self.plant(id, draft, n, Planting { updates, other: None })
            }
            Node::Leaf(slot) => self.change_leaf(id, draft, n, slot, updates),
            Node::Subtree(slot) => {
                let subtree =
                    draft.subtree(slot).expect("the shape says that the slot holds a subtree").clone();
                let child = self.rewrite(
                    &id.child(subtree.epoch, slot),
                    &subtree,
                    id.child(self.epoch, slot),
                    updates,
                )?;
                let hash = child.hash;
                draft.set_subtree(slot, child);
                Ok(hash)
            }
            Node::Parent => {
                self.proof.parent();
                let (left, right) = split(updates, usize::from(id.depth()) + level(n));
                let left = self.change(id, draft, 2 * n, left)?;
                let right = self.change(id, draft, 2 * n + 1, right)?;
                Ok(draft.join(n, &left, &right))
            }
        }
    }

    fn change_leaf(
        &mut self,
        id: &PageId,
        draft: &mut Draft,
        n: usize,
        slot: usize,
        updates: &[Update],
    ) -> Result<Digest, ApplyError<S::Error>> {
        let leaf = *draft.leaf(slot).expect("the shape says that the slot holds a leaf");
        check_old(updates, Some(&leaf))?;
        draft.clear(slot);
        let other = if updates.binary_search_by_key(&leaf.key, |update| update.key).is_ok() {
            self.proof.changed_leaf();
            None
        } else {
            self.proof.other_leaf(&leaf.key, &leaf.commitment);
            Some((leaf.key, leaf.commitment))
        };
        self.plant(id, draft, n, Planting { updates, other })
    }

    /// Makes node `n`, which is missing, hold these leaves; gives its hash.
    fn plant(
        &mut self,
        id: &PageId,
        draft: &mut Draft,
        n: usize,
        leaves: Planting<'_>,
    ) -> Result<Digest, ApplyError<S::Error>> {
        if leaves.len() == 0 {
            return Ok(Digest::ZERO);
        }
        if let Some((key, commitment)) = leaves.single().filter(|_| n > 1) {
            draft.set_leaf(id.nibble(&key), Leaf { key, commitment });
            return Ok(leaf_hash(&key, &commitment));
        }
        let depth = usize::from(id.depth()) + level(n);
        if depth >= MAX_LEAF_DEPTH {
            return Err(ApplyError::TooDeep(leaves.updates[0].key));
        }
        if n >= 16 {
            let slot = n - 16;
            let subtree = self.plant_page(id.child(self.epoch, slot), leaves)?;
            let hash = subtree.hash;
            draft.set_subtree(slot, subtree);
            return Ok(hash);
        }
        let [left, right] = leaves.split(depth);
        let left = self.plant(id, draft, 2 * n, left)?;
        let right = self.plant(id, draft, 2 * n + 1, right)?;
        Ok(draft.join(n, &left, &right))
    }

    fn plant_page(&mut self, id: PageId, leaves: Planting<'_>) -> Result<Subtree, ApplyError<S::Error>> {
        let mut draft = Draft::empty();
        let hash = self.plant(&id, &mut draft, 1, leaves)?;
        Ok(self.finish(id, &mut draft, hash))
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
