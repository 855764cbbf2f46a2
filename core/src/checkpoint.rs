//! Checkpoints: a log's signed statement of its size and root.
//!
//! Pure: no I/O, no clock, no randomness. Source: C2SP tlog-checkpoint, narrowed by this system's notes profile: no
//! extension lines, and a log's key name is its origin. Out of scope: whether the log grew consistently (see
//! `log::proof`), and whose cosignatures suffice (see `tlog_policy`).

use std::fmt;
use std::str::FromStr;

use pds_schemas::{Digest, TreeSize};

use crate::canonical;
use crate::note::{
    KeyType, Note, NoteError, NoteSigner, SignatureError, SignatureLine, VerifierKey, verify_line,
};

/// Head of a log, unsigned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// Identity of the log: one line, not empty.
    pub origin: String,
    /// Leaves of the log.
    pub size: TreeSize,
    /// RFC 6962 root over these leaves.
    pub root: Digest,
}

/// Why something is no checkpoint, or not one of the log in question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not three lines that each end in newline.
    #[error("a checkpoint is three lines: origin, tree size, root hash")]
    Lines,
    /// An empty first line.
    #[error("a checkpoint's origin is not empty")]
    Origin,
    /// A second line that is not a u64 in decimal without leading zeros.
    #[error("a checkpoint's tree size is decimal, without leading zeros, below 2^64")]
    Size,
    /// A third line that is not the base64 of 32 bytes.
    #[error("a checkpoint's root hash is the base64 of 32 bytes")]
    Root,
    /// More lines, which tlog-checkpoint allows and this system's profile does not.
    #[error("a checkpoint here has no extension lines")]
    ExtensionLines,
    /// A key that does not sign a log's checkpoints, or not those of this origin.
    #[error("key {key} (type {key_type:?}) does not sign checkpoints of {origin:?}")]
    WrongKey {
        /// The key's name.
        key: String,
        /// The key's type.
        key_type: KeyType,
        /// The checkpoint's origin.
        origin: String,
    },
    /// The note around it does not hold.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A cosignature to be added does not hold.
    #[error("cosignature does not hold")]
    Cosignature(#[source] SignatureError),
}

/// What adding a cosignature came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// The witness had not cosigned yet; its line is now the last one.
    Added,
    /// The witness's older line was replaced, in its place.
    Replaced,
    /// The witness's line is at least as new; nothing changed.
    Kept,
}

/// A checkpoint whose log's signature was verified, with all the lines below it.
///
/// The log's signature holds; of the other lines, nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl Checkpoint {
    /// The note text: three lines.
    pub fn to_note_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, canonical::to_base64(self.root))
    }

    /// Signs as the log of this origin.
    ///
    /// # Errors
    /// [`CheckpointError::WrongKey`]. A key name is never empty nor more than a line, so neither is the origin.
    pub fn sign(&self, log: &NoteSigner) -> Result<SignedCheckpoint, CheckpointError> {
        self.check_key(log.verifier())?;
        let note = log.sign_note(&self.to_note_text())?;
        Ok(SignedCheckpoint { checkpoint: self.clone(), note })
    }

    fn check_key(&self, key: &VerifierKey) -> Result<(), CheckpointError> {
        if key.key_type() == KeyType::Ed25519 && key.name().as_str() == self.origin {
            return Ok(());
        }
        Err(CheckpointError::WrongKey {
            key: key.name().to_string(),
            key_type: key.key_type(),
            origin: self.origin.clone(),
        })
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// Reads a note text.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let body = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let mut lines = body.split('\n');
        let mut line = || lines.next().ok_or(CheckpointError::Lines);
        let (origin, size, root) = (line()?, line()?, line()?);
        if origin.is_empty() {
            return Err(CheckpointError::Origin);
        }
        let size = canonical::decimal(size).ok_or(CheckpointError::Size)?;
        let root = canonical::digest_from_base64(root).ok_or(CheckpointError::Root)?;
        if lines.next().is_some() {
            return Err(CheckpointError::ExtensionLines);
        }
        Ok(Self { origin: origin.to_owned(), size: TreeSize(size), root })
    }
}

impl SignedCheckpoint {
    /// Reads a note and verifies that the log of `log_key` signed it as a checkpoint of its own.
    ///
    /// # Errors
    /// [`CheckpointError`]; never `Cosignature`.
    pub fn open(bytes: &[u8], log_key: &VerifierKey) -> Result<Self, CheckpointError> {
        Self::from_note(Note::parse(bytes)?, log_key)
    }

    /// As [`Self::open`], from a parsed note.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_note(note: Note, log_key: &VerifierKey) -> Result<Self, CheckpointError> {
        let checkpoint: Checkpoint = note.text().parse()?;
        checkpoint.check_key(log_key)?;
        note.verify(&[log_key])?;
        Ok(Self { checkpoint, note })
    }

    /// What the log signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note with all its lines.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Adds a witness's cosignature once it is verified.
    ///
    /// Other lines keep their order. A witness has one line: an older one, or one that does not hold, gives way.
    ///
    /// # Errors
    /// [`CheckpointError::Cosignature`], and [`CheckpointError::Note`] when the note has no room left; then nothing
    /// changed.
    pub fn add_cosignature(
        &mut self,
        line: &SignatureLine,
        witness: &VerifierKey,
    ) -> Result<Merge, CheckpointError> {
        let text = self.note.text();
        let held = |line: &SignatureLine| crate::cosignature::verify(text, line, witness);
        let time = held(line).map_err(CheckpointError::Cosignature)?;
        let theirs: Vec<_> = self.note.signatures().iter().filter(|old| old.is_by(witness)).collect();
        if theirs.iter().any(|old| held(old).is_ok_and(|old_time| old_time >= time)) {
            return Ok(Merge::Kept);
        }
        let merge = if theirs.is_empty() { Merge::Added } else { Merge::Replaced };

        let mut lines = Vec::new();
        let mut placed = false;
        for old in self.note.signatures() {
            if !old.is_by(witness) {
                lines.push(old.clone());
            } else if !placed {
                lines.push(line.clone());
                placed = true;
            }
        }
        if !placed {
            lines.push(line.clone());
        }
        self.note = self.note.with_signatures(lines)?;
        Ok(merge)
    }

    /// Whether `key` signed or cosigned this.
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        self.note.signatures().iter().any(|line| verify_line(self.note.text(), line, key).is_ok())
    }
}

/// The note's bytes.
impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
