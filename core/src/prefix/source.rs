//! Where pages are read from.
//!
//! Pure: the trait is what a store implements, and [`MemoryPages`] is a map. What a source returns is never trusted:
//! the tree compares every page with the hash that its parent names.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;

use pds_schemas::Digest;

use super::PageError;
use super::id::PageId;

/// Reads pages by their exact names.
pub trait PageSource {
    /// Why a page could not be read.
    type Error: Error + 'static;

    /// Bytes of the page, or `None` if there is none of this name.
    ///
    /// # Errors
    /// Whatever keeps the source from telling.
    fn page(&self, id: &PageId) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// Pages in memory, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPages(pub BTreeMap<PageId, Vec<u8>>);

impl PageSource for MemoryPages {
    type Error = Infallible;

    fn page(&self, id: &PageId) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.0.get(id).cloned())
    }
}

impl Extend<(PageId, Vec<u8>)> for MemoryPages {
    fn extend<I: IntoIterator<Item = (PageId, Vec<u8>)>>(&mut self, pages: I) {
        self.0.extend(pages);
    }
}

/// Why a page that the tree names could not be used; all but `Source` mean that what is stored is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError<E: Error + 'static> {
    /// The source failed.
    #[error("read page {id}")]
    Source {
        /// The page asked for.
        id: PageId,
        /// What the source says.
        source: E,
    },
    /// The source has no such page.
    #[error("page {0} is gone")]
    Missing(PageId),
    /// The page's bytes are no page.
    #[error("page {id} is malformed")]
    Malformed {
        /// The page asked for.
        id: PageId,
        /// What is wrong with its bytes.
        source: PageError,
    },
    /// The page is well formed but another one than its parent names.
    #[error("page {id} hashes to {computed}, its parent names {named}")]
    Corrupt {
        /// The page asked for.
        id: PageId,
        /// Hash in the parent page, or the tree's root.
        named: Digest,
        /// Hash of what was read.
        computed: Digest,
    },
}
