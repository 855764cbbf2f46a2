//! Column families, and how their keys are made and shown.
//!
//! Pure. Numbers are big-endian in keys, so that the order of keys is the order of numbers.

use std::fmt;

use pds_core::prefix::PageId;
use pds_schemas::Digest;

use crate::BlobKind;

/// One kind of stored thing; a column family of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Format, head, and the next queue index, under their names.
    Meta,
    /// Epoch (8 bytes) to the COSE_Sign1 of its STR.
    Entries,
    /// Level (1 byte) ‖ index (8 bytes) of a complete subtree of the log, to its hash.
    Nodes,
    /// Epoch (8 bytes) to its [`pds_schemas::disk::EpochRoot`].
    Epochs,
    /// [`PageId::to_key`] to the bytes of a page of the prefix tree.
    Pages,
    /// Epoch (8 bytes) to its [`pds_schemas::Transition`].
    Transitions,
    /// [`BlobKind`] (1 byte) ‖ SHA-256, to the bytes that have this hash.
    Blobs,
    /// Digest of a submission to its [`pds_schemas::disk::SubmissionEntry`].
    Submissions,
    /// Index (8 bytes) of a submission to the SHA-256 of its archive ‖ the archive. By index, so that what is written next
    /// has the highest key: large values in an order of hashes would be rewritten by every compaction.
    Archives,
    /// Index (8 bytes) of an undecided submission to its digest.
    Queue,
    /// Index (8 bytes) of a decided submission to its [`pds_schemas::disk::SubmissionOutcome`].
    Outcomes,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 11] = [
        Self::Meta,
        Self::Entries,
        Self::Nodes,
        Self::Epochs,
        Self::Pages,
        Self::Transitions,
        Self::Blobs,
        Self::Submissions,
        Self::Archives,
        Self::Queue,
        Self::Outcomes,
    ];

    /// Its name in the database and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Entries => "entries",
            Self::Nodes => "nodes",
            Self::Epochs => "epochs",
            Self::Pages => "pages",
            Self::Transitions => "transitions",
            Self::Blobs => "blobs",
            Self::Submissions => "submissions",
            Self::Archives => "archives",
            Self::Queue => "queue",
            Self::Outcomes => "outcomes",
        }
    }

    /// The place of `key` in this family.
    pub fn at(self, key: impl Into<Vec<u8>>) -> Place {
        Place { family: self, key: key.into() }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where in the database something is, or should be. Shown as the family and the key in its readable form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The column family.
    pub family: Family,
    /// The key's bytes.
    pub key: Vec<u8>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.readable().unwrap_or_else(|| format!("0x{}", hex(&self.key)));
        write!(f, "{} {key}", self.family)
    }
}

impl Place {
    /// `None` for a key that the family cannot have.
    fn readable(&self) -> Option<String> {
        let key = self.key.as_slice();
        match self.family {
            Family::Meta => std::str::from_utf8(key).ok().map(str::to_owned),
            Family::Entries
            | Family::Epochs
            | Family::Transitions
            | Family::Archives
            | Family::Queue
            | Family::Outcomes => read_number(key).map(|number| number.to_string()),
            Family::Nodes => {
                let (level, index) = read_node_key(key)?;
                Some(format!("level {level} index {index}"))
            }
            Family::Pages => PageId::from_key(key).ok().map(|id| id.to_string()),
            Family::Blobs => {
                let (kind, digest) = read_blob_key(key)?;
                Some(format!("{} {digest}", kind.name()))
            }
            Family::Submissions => read_digest(key).map(|digest| digest.to_string()),
        }
    }
}

pub(crate) const FORMAT_KEY: &[u8] = b"format";
pub(crate) const HEAD_KEY: &[u8] = b"head";
pub(crate) const NEXT_INDEX_KEY: &[u8] = b"next-queue-index";

pub(crate) fn read_number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

pub(crate) fn read_digest(key: &[u8]) -> Option<Digest> {
    key.try_into().ok().map(Digest)
}

pub(crate) fn node_key(level: u8, index: u64) -> [u8; 9] {
    let mut key = [level; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

pub(crate) fn read_node_key(key: &[u8]) -> Option<(u8, u64)> {
    let (level, index) = key.split_first()?;
    Some((*level, read_number(index)?))
}

pub(crate) fn blob_key(kind: BlobKind, digest: &Digest) -> [u8; 33] {
    let mut key = [kind.code(); 33];
    key[1..].copy_from_slice(digest.as_bytes());
    key
}

pub(crate) fn read_blob_key(key: &[u8]) -> Option<(BlobKind, Digest)> {
    let (code, digest) = key.split_first()?;
    Some((BlobKind::from_code(*code)?, read_digest(digest)?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_shown_readably_when_its_key_can_be_read() {
        let check = |place: Place, expect: &str| assert_eq!(place.to_string(), expect);
        check(Family::Meta.at(HEAD_KEY), "meta head");
        check(Family::Entries.at(258u64.to_be_bytes()), "entries 258");
        check(Family::Nodes.at(node_key(3, 7)), "nodes level 3 index 7");
        check(Family::Pages.at([0, 0, 0, 9, 4, 0xa0]), "pages epoch 9 depth 4 prefix a");
        let digest = Digest([0xab; 32]);
        check(Family::Blobs.at(blob_key(BlobKind::Policy, &digest)), &format!("blobs policy {digest}"));
        check(Family::Outcomes.at(7u64.to_be_bytes()), "outcomes 7");
        check(Family::Queue.at([1, 2]), "queue 0x0102");
        check(Family::Blobs.at([0xff; 33]), &format!("blobs 0x{}", "ff".repeat(33)));
    }
}
