//! Offline proof that something is in a log, as one text.
//!
//! Pure. Source: C2SP tlog-proof. Strict: what parses formats back to the same bytes. A parsed proof is not verified:
//! open its checkpoint, evaluate a policy, and check the hashes with `log::proof::verify_inclusion`. What is in `extra`
//! is vouched for by nobody.

use std::fmt;

use pds_schemas::{Digest, TreeSize};

use crate::canonical;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::note::{MAX_NOTE_BYTES, Note, NoteError};

/// Most bytes of extra data.
pub const MAX_EXTRA_BYTES: usize = 1024 * 1024;
/// Most hashes: the height of a log of 2^64 - 1 leaves.
pub const MAX_HASHES: usize = 64;
/// Most bytes in a proof: its parts at their limits, in base64 where they are, and the other lines.
pub const MAX_PROOF_BYTES: usize = MAX_EXTRA_BYTES.div_ceil(3) * 4 + MAX_HASHES * 45 + MAX_NOTE_BYTES + 128;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// An inclusion proof with the checkpoint it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Opaque, unauthenticated; `None` when there is no such line. Never empty.
    extra: Option<Vec<u8>>,
    index: u64,
    hashes: Vec<Digest>,
    note: Note,
    checkpoint: Checkpoint,
}

/// Why something is no proof in this form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Over [`MAX_PROOF_BYTES`].
    #[error("a proof has at most {MAX_PROOF_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("a proof is UTF-8")]
    NotUtf8,
    /// Another first line.
    #[error("a proof begins with the line {FIRST_LINE}")]
    FirstLine,
    /// Extra data that is empty, too long, or not in base64.
    #[error("extra data is the base64 of 1 to {MAX_EXTRA_BYTES} bytes")]
    Extra,
    /// No index line, or not a decimal number without leading zeros.
    #[error("the index line is not: index, space, decimal number below 2^64 without leading zeros")]
    Index,
    /// A line that is not the base64 of 32 bytes.
    #[error("hash {0} of the proof is not the base64 of 32 bytes")]
    Hash(usize),
    /// More than [`MAX_HASHES`].
    #[error("a proof has at most {MAX_HASHES} hashes")]
    TooManyHashes,
    /// No empty line between hashes and checkpoint.
    #[error("the proof has no empty line before its checkpoint")]
    NoCheckpoint,
    /// An index that the checkpoint's log does not have.
    #[error("no leaf {index} in a log of {size} leaves")]
    IndexBeyondSize {
        /// Index of the proof.
        index: u64,
        /// Size of its checkpoint.
        size: TreeSize,
    },
    /// What follows is no note.
    #[error("checkpoint of the proof")]
    Note(#[from] NoteError),
    /// The note is no checkpoint.
    #[error("checkpoint of the proof")]
    Checkpoint(#[from] CheckpointError),
}

impl TlogProof {
    /// Puts a proof together; `note` is the checkpoint with its signatures.
    ///
    /// # Errors
    /// [`TlogProofError::Extra`], [`TlogProofError::TooManyHashes`], [`TlogProofError::IndexBeyondSize`],
    /// [`TlogProofError::Checkpoint`].
    pub fn new(
        extra: Option<Vec<u8>>,
        index: u64,
        hashes: Vec<Digest>,
        note: Note,
    ) -> Result<Self, TlogProofError> {
        if extra.as_ref().is_some_and(|extra| extra.is_empty() || extra.len() > MAX_EXTRA_BYTES) {
            return Err(TlogProofError::Extra);
        }
        if hashes.len() > MAX_HASHES {
            return Err(TlogProofError::TooManyHashes);
        }
        let checkpoint: Checkpoint = note.text().parse()?;
        if index >= checkpoint.size.0 {
            return Err(TlogProofError::IndexBeyondSize { index, size: checkpoint.size });
        }
        Ok(Self { extra, index, hashes, note, checkpoint })
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// [`TlogProofError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(TlogProofError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TlogProofError::NotUtf8)?;
        let (head, note) = text.split_once("\n\n").ok_or(TlogProofError::NoCheckpoint)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(TlogProofError::FirstLine);
        }
        let extra = lines.next_if(|line| line.starts_with("extra ")).map(parse_extra).transpose()?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(canonical::decimal).ok_or(TlogProofError::Index)?;
        let mut hashes = Vec::new();
        for (i, line) in lines.enumerate() {
            if i == MAX_HASHES {
                return Err(TlogProofError::TooManyHashes);
            }
            hashes.push(canonical::digest_from_base64(line).ok_or(TlogProofError::Hash(i))?);
        }
        Self::new(extra, index, hashes, Note::parse(note.as_bytes())?)
    }

    /// Extra data, vouched for by nobody; `None`, or not empty.
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// Index of the leaf.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The leaf's siblings, lowest first.
    pub fn hashes(&self) -> &[Digest] {
        &self.hashes
    }

    /// The checkpoint with its signatures, none of them verified.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// What [`Self::note`] says, unverified.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// The proof's bytes.
impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", canonical::to_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", canonical::to_base64(hash))?;
        }
        write!(f, "\n{}", self.note)
    }
}

fn parse_extra(line: &str) -> Result<Vec<u8>, TlogProofError> {
    line.strip_prefix("extra ").and_then(canonical::from_base64).ok_or(TlogProofError::Extra)
}
