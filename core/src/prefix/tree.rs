//! One epoch's prefix tree, read page by page.
//!
//! Pure. A tree is a snapshot that never changes; clones and later epochs share what they have in common. Pages that are
//! read for keeping stay in memory with the snapshot; every page is hashed and compared before its first use.

use std::ops::ControlFlow;
use std::sync::Arc;

use pds_schemas::prefix::{PrefixProof, Terminal};
use pds_schemas::{Digest, EpochNumber};

use super::id::{EpochTooLarge, PageId, page_epoch};
use super::page::{Held, Leaf, Link, Page, Subtree};
use super::shape::Node;
use super::source::{PageSource, ReadError};

/// A prefix tree of one epoch. Cheap to clone; safe to read from many threads.
#[derive(Clone, Debug, Default)]
pub struct PrefixTree {
    // `None` when the tree is empty.
    pub(super) top: Option<Arc<Subtree>>,
}

/// Why a root and a page's epoch do not name a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The epoch has more than 32 bits.
    #[error(transparent)]
    Epoch(#[from] EpochTooLarge),
    /// A tree that has leaves has a root page.
    #[error("root {0} without the epoch that wrote its page")]
    NoPage(Digest),
    /// The empty tree has no root page.
    #[error("the empty tree's root with a page of epoch {0}")]
    EmptyWithPage(EpochNumber),
}

impl PrefixTree {
    /// The tree without leaves.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The tree with this root, whose topmost page was written by epoch `root_page`; no page is read yet.
    ///
    /// # Errors
    /// [`OpenError`]. That pages are gone or damaged shows when they are read.
    pub fn open(root: Digest, root_page: Option<EpochNumber>) -> Result<Self, OpenError> {
        match root_page {
            None if root == Digest::ZERO => Ok(Self::empty()),
            None => Err(OpenError::NoPage(root)),
            Some(epoch) if root == Digest::ZERO => Err(OpenError::EmptyWithPage(epoch)),
            Some(epoch) => {
                let top = Subtree { hash: root, epoch: page_epoch(epoch)?, page: Link::unread() };
                Ok(Self { top: Some(Arc::new(top)) })
            }
        }
    }

    /// The tree's root hash; 32 zero bytes when it is empty.
    pub fn root(&self) -> Digest {
        self.top.as_ref().map_or(Digest::ZERO, |top| top.hash)
    }

    /// The epoch that wrote the topmost page, which is the last one that changed anything; `None` when the tree is empty.
    pub fn root_page(&self) -> Option<EpochNumber> {
        self.top.as_ref().map(|top| EpochNumber(top.epoch.into()))
    }

    /// What `key` commits to, or `None` if it is not in the tree. Keeps the pages it reads.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn lookup<S: PageSource>(
        &self,
        source: &S,
        key: &Digest,
    ) -> Result<Option<Digest>, ReadError<S::Error>> {
        let Some(top) = &self.top else { return Ok(None) };
        let mut id = PageId::root(top.epoch);
        let mut page = load(source, &id, top, Keep::Yes)?;
        loop {
            let slot = id.nibble(key);
            let Some(subtree) = page.subtree(slot) else {
                return Ok(page.leaf(slot).filter(|leaf| leaf.key == *key).map(|leaf| leaf.commitment));
            };
            id = id.child(subtree.epoch, slot);
            page = load(source, &id, subtree, Keep::Yes)?;
        }
    }

    /// Proof that `key` is, or is not, in this tree. Keeps the pages it reads: for the current epoch.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn prove<S: PageSource>(&self, source: &S, key: &Digest) -> Result<PrefixProof, ReadError<S::Error>> {
        self.search(source, key, Keep::Yes)
    }

    /// As [`PrefixTree::prove`], but keeps nothing in memory: for past epochs.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn prove_uncached<S: PageSource>(
        &self,
        source: &S,
        key: &Digest,
    ) -> Result<PrefixProof, ReadError<S::Error>> {
        self.search(source, key, Keep::No)
    }

    /// Shows every leaf to `visit`, in the order of keys, until it breaks. Reads every page once and keeps none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn for_each_leaf<S: PageSource, B>(
        &self,
        source: &S,
        mut visit: impl FnMut(&Leaf) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, ReadError<S::Error>> {
        match &self.top {
            Some(top) => walk(source, &PageId::root(top.epoch), top, &mut visit),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    fn search<S: PageSource>(
        &self,
        source: &S,
        key: &Digest,
        keep: Keep,
    ) -> Result<PrefixProof, ReadError<S::Error>> {
        let Some(top) = &self.top else {
            return Ok(PrefixProof { terminal: Terminal::MissingChild, copath: Vec::new() });
        };
        let mut copath = Vec::with_capacity(USUAL_DEPTH);
        let mut id = PageId::root(top.epoch);
        let mut page = load(source, &id, top, keep)?;
        let mut n = 1;
        let terminal = loop {
            match page.shape.node(n) {
                Node::Parent => {
                    n = 2 * n + usize::from(key.bit(copath.len()));
                    let sibling = page.hash(n ^ 1);
                    copath.push((sibling != Digest::ZERO).then_some(sibling));
                }
                Node::Subtree(slot) => {
                    let subtree = page.subtree(slot).expect("the shape says that the slot holds a subtree");
                    id = id.child(subtree.epoch, slot);
                    page = load(source, &id, subtree, keep)?;
                    n = 1;
                }
                Node::Missing => break Terminal::MissingChild,
                Node::Leaf(slot) => {
                    let leaf = page.leaf(slot).expect("the shape says that the slot holds a leaf");
                    break match leaf.key == *key {
                        true => Terminal::Inclusion,
                        false => Terminal::OtherLeaf { key: leaf.key, commitment: leaf.commitment },
                    };
                }
            }
        };
        copath.reverse();
        Ok(PrefixProof { terminal, copath })
    }
}

/// Levels of trees up to some hundred million leaves, which a proof has room for from the start.
const USUAL_DEPTH: usize = 32;

/// Whether a page that is read stays in memory with the snapshot that names it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Yes,
    No,
}

/// The page that `named` stands for, checked against its hash unless it is in memory already.
pub(super) fn load<S: PageSource>(
    source: &S,
    id: &PageId,
    named: &Subtree,
    keep: Keep,
) -> Result<Arc<Page>, ReadError<S::Error>> {
    if let Some(page) = named.page.get() {
        return Ok(Arc::clone(page));
    }
    let bytes = source.page(id).map_err(|source| ReadError::Source { id: *id, source })?;
    let bytes = bytes.ok_or(ReadError::Missing(*id))?;
    let (page, computed) =
        Page::decode(id, &bytes).map_err(|source| ReadError::Malformed { id: *id, source })?;
    if computed != named.hash {
        return Err(ReadError::Corrupt { id: *id, named: named.hash, computed });
    }
    let page = Arc::new(page);
    match keep {
        Keep::Yes => Ok(Arc::clone(named.page.keep(page))),
        Keep::No => Ok(page),
    }
}

fn walk<S: PageSource, B>(
    source: &S,
    id: &PageId,
    named: &Subtree,
    visit: &mut impl FnMut(&Leaf) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, ReadError<S::Error>> {
    let page = load(source, id, named, Keep::No)?;
    for (slot, held) in page.slots() {
        let flow = match held {
            Held::Leaf(leaf) => visit(leaf),
            Held::Subtree(subtree) => walk(source, &id.child(subtree.epoch, slot), subtree, visit)?,
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}
