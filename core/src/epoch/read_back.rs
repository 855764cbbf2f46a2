//! What is about to be signed, recomputed from what the disk gave back.
//!
//! Pure. Nothing that is only in memory is believed: not that a page was written because it was planned, nor that a root
//! is that of pages because they were made with it.

use std::ops::Range;

use pds_schemas::{Artefact, DecodeError, Digest, EpochNumber, Transition};

use super::EpochPlan;
use crate::hash::sha256;
use crate::prefix::{
    PageId, PageLinks, RecomputeError, TransitionError, linked_root, read_links, verify_transition,
};

/// Why what was read back must not be signed: the disk does not hold what was written.
#[derive(Debug, thiserror::Error)]
pub enum ReadBackError {
    /// The pages do not give a root.
    #[error("pages read back do not give the prefix root")]
    Pages(#[from] RecomputeError),
    /// The pages give another root.
    #[error("pages read back give prefix root {found}, planned was {planned}")]
    Root {
        /// What was planned.
        planned: Digest,
        /// What the pages give.
        found: Digest,
    },
    /// A page is another than was written in what no hash covers: the epochs by which it names other pages.
    #[error("page {0} read back is not what was written")]
    Altered(PageId),
    /// The transition read back is malformed.
    #[error("transition read back is malformed: {0}")]
    Malformed(DecodeError),
    /// The transition read back is filed under another epoch.
    #[error("transition read back is of epoch {found}, planned was {planned}")]
    Epoch {
        /// What was planned.
        planned: EpochNumber,
        /// What was read.
        found: EpochNumber,
    },
    /// The transition read back is another one.
    #[error("changes read back hash to {found}, planned was {planned}")]
    Changes {
        /// What was planned.
        planned: Digest,
        /// Hash of what was read.
        found: Digest,
    },
    /// The transition read back does not lead from the previous root to the new one.
    #[error("transition read back does not hold")]
    Transition(#[from] TransitionError),
    /// A changed name's record is not there, or another.
    #[error("name record {0} was not read back")]
    Record(Digest),
}

/// Some pages of an epoch as read back, one after the other, each hashed and compared with what was written.
///
/// Pages are looked at one by one, so that several can be at once, each by a part of its own; [`EpochPlan::check_pages`]
/// wants all the parts, joined in order.
#[derive(Clone, Debug)]
pub struct PagesRead<'a> {
    written: std::slice::Iter<'a, (PageId, Vec<u8>)>,
    pages: Vec<(PageId, PageLinks)>,
    altered: Option<PageId>,
}

impl EpochPlan {
    /// Recomputes what is about to be signed from what was read back: the pages in the order of their keys, the
    /// transition's bytes, and each changed name's record by its digest. [`EpochPlan::check_transition`],
    /// [`PagesRead`] and [`check_record`] are its parts.
    ///
    /// # Errors
    /// [`ReadBackError`]; nothing may be signed then.
    pub fn check_read_back<B: AsRef<[u8]>>(
        &self,
        pages: impl IntoIterator<Item = (PageId, B)>,
        transition: &[u8],
        mut record: impl FnMut(&Digest) -> Option<Vec<u8>>,
    ) -> Result<(), ReadBackError> {
        self.check_transition(transition)?;
        let mut read = PagesRead::new(self, 0..self.pages.len());
        for (id, bytes) in pages {
            read.take(id, bytes.as_ref())?;
        }
        self.check_pages(read)?;
        self.records.iter().try_for_each(|(digest, _)| check_record(digest, record(digest).as_deref()))
    }

    /// Checks the transition's bytes as read back: its changes are those to be signed, and lead from the previous root to
    /// the new one.
    ///
    /// # Errors
    /// [`ReadBackError`].
    pub fn check_transition(&self, bytes: &[u8]) -> Result<(), ReadBackError> {
        let read = Transition::from_bytes(bytes).map_err(ReadBackError::Malformed)?;
        if read.epoch != self.str.epoch {
            return Err(ReadBackError::Epoch { planned: self.str.epoch, found: read.epoch });
        }
        let found = sha256(&read.changes.to_bytes());
        if found != self.str.changes {
            return Err(ReadBackError::Changes { planned: self.str.changes, found });
        }
        let changes = &read.changes.changes;
        Ok(verify_transition(&self.previous_root, &self.str.prefix_root, changes, &read.proof)?)
    }

    /// Checks that the pages read back, all of them, give the root to be signed and are those that were written.
    ///
    /// # Errors
    /// [`ReadBackError`].
    pub fn check_pages(&self, read: PagesRead<'_>) -> Result<(), ReadBackError> {
        if self.pages.is_empty() {
            return match read.pages.first() {
                Some((id, _)) => Err(RecomputeError::Unreachable(*id).into()),
                None => Ok(()),
            };
        }
        let found = linked_root(self.str.epoch, read.pages.into_iter().map(Ok))?;
        if found != self.str.prefix_root {
            return Err(ReadBackError::Root { planned: self.str.prefix_root, found });
        }
        read.altered.map_or(Ok(()), |id| Err(ReadBackError::Altered(id)))
    }
}

impl<'a> PagesRead<'a> {
    /// Of the pages of `plan` at these places, none of which was read yet.
    pub fn new(plan: &'a EpochPlan, places: Range<usize>) -> Self {
        let written = &plan.pages[places];
        Self { written: written.iter(), pages: Vec::with_capacity(written.len()), altered: None }
    }

    /// Takes the next page.
    ///
    /// # Errors
    /// [`ReadBackError::Pages`] when it is malformed. All else shows when the pages are checked together.
    pub fn take(&mut self, id: PageId, bytes: &[u8]) -> Result<(), ReadBackError> {
        let same = self.written.next().is_some_and(|page| page.0 == id && page.1 == bytes);
        self.altered = self.altered.or((!same).then_some(id));
        self.pages.push(read_links(id, bytes)?);
        Ok(())
    }

    /// Adds the pages that come after these.
    pub fn append(&mut self, next: Self) {
        self.pages.extend(next.pages);
        self.altered = self.altered.or(next.altered);
    }
}

/// Checks one name record as read back under its `digest`.
///
/// # Errors
/// [`ReadBackError::Record`].
pub fn check_record(digest: &Digest, bytes: Option<&[u8]>) -> Result<(), ReadBackError> {
    match bytes.is_some_and(|bytes| sha256(bytes) == *digest) {
        true => Ok(()),
        false => Err(ReadBackError::Record(*digest)),
    }
}
