//! Checking the pages that one epoch wrote, as read back from where they were written.
//!
//! Pure. Proves that what is stored is whole: every page is the one that its parent names, none is missing, none is left
//! over, and together they give the epoch's root. Pages of earlier epochs are not looked at; they had their own turn.
//!
//! No hash covers the epoch by which a page names another one. A wrong one among this epoch's pages shows here; one that
//! names a page of an earlier epoch shows as a page gone or corrupt when it is read, so who has the bytes that were
//! written compares them as well.

use std::collections::VecDeque;

use pds_schemas::{Digest, EpochNumber};

use super::encoding::PageError;
use super::id::{EpochTooLarge, PageId, page_epoch};
use super::links::{PageLinks, page_links};

/// Why the pages read back are not those of one epoch's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecomputeError {
    /// The epoch has more than 32 bits.
    #[error(transparent)]
    Epoch(#[from] EpochTooLarge),
    /// There is no page at all.
    #[error("epoch {0} wrote no pages")]
    NoPages(EpochNumber),
    /// A page that a parent names, or the root page, is not there.
    #[error("page {0} is gone")]
    Missing(PageId),
    /// A page that no parent names, or that is out of order.
    #[error("no page names page {0} here")]
    Unreachable(PageId),
    /// A page's bytes are no page.
    #[error("page {id} is malformed")]
    Malformed {
        /// The page.
        id: PageId,
        /// What is wrong with its bytes.
        source: PageError,
    },
    /// A page other than the one its parent names.
    #[error("page {id} hashes to {computed}, its parent names {named}")]
    Corrupt {
        /// The page.
        id: PageId,
        /// Hash in the parent page.
        named: Digest,
        /// Hash of what was read.
        computed: Digest,
    },
}

/// Root of the tree whose topmost page is among `pages`, which are all that `epoch` wrote, in the order of their keys.
///
/// Parents come before their children in that order, and so do the children of what comes before: one pass, which
/// remembers the pages named and not yet seen.
///
/// # Errors
/// [`RecomputeError`]; an epoch that changed nothing wrote no pages and is `NoPages`.
pub fn recompute_root<B: AsRef<[u8]>>(
    epoch: EpochNumber,
    pages: impl IntoIterator<Item = (PageId, B)>,
) -> Result<Digest, RecomputeError> {
    linked_root(epoch, pages.into_iter().map(|(id, bytes)| read_links(id, bytes.as_ref())))
}

/// What the page of this name says by itself; with [`linked_root`] it makes up [`recompute_root`], whose pages need not be
/// looked at one after the other.
pub(crate) fn read_links(id: PageId, bytes: &[u8]) -> Result<(PageId, PageLinks), RecomputeError> {
    let links = page_links(&id, bytes).map_err(|source| RecomputeError::Malformed { id, source })?;
    Ok((id, links))
}

/// As [`recompute_root`], of the links of the pages.
pub(crate) fn linked_root(
    epoch: EpochNumber,
    pages: impl IntoIterator<Item = Result<(PageId, PageLinks), RecomputeError>>,
) -> Result<Digest, RecomputeError> {
    let number = page_epoch(epoch)?;
    let mut root = None;
    let mut named = VecDeque::from([(PageId::root(number), None)]);
    for page in pages {
        let (id, PageLinks { hash: computed, below }) = page?;
        let expected = match named.pop_front() {
            Some((next, expected)) if next == id => expected,
            Some((next, _)) if next < id => return Err(RecomputeError::Missing(next)),
            _ => return Err(RecomputeError::Unreachable(id)),
        };
        if let Some(named) = expected.filter(|named| *named != computed) {
            return Err(RecomputeError::Corrupt { id, named, computed });
        }
        root.get_or_insert(computed);
        let own = below.into_iter().filter(|(id, _)| id.epoch() == epoch);
        named.extend(own.map(|(id, hash)| (id, Some(hash))));
    }
    match (root, named.front()) {
        (None, _) => Err(RecomputeError::NoPages(epoch)),
        (Some(_), Some((next, _))) => Err(RecomputeError::Missing(*next)),
        (Some(root), None) => Ok(root),
    }
}
