//! Signed notes: text, and the lines of those who signed it.
//!
//! Pure: no I/O, no clock, no randomness. Source: C2SP signed-note. Parsing is strict and keeps everything, so that a
//! parsed note formats back to the same bytes. Nothing in a [`Note`] is true before [`Note::verify`].
//! Out of scope: what the text says (see `checkpoint`), key files, signature types other than Ed25519 ones.

mod signer;
mod vkey;

use std::fmt;

pub use signer::NoteSigner;
pub use vkey::{KeyId, KeyName, KeyNameError, KeyType, STR_KEY_IDENTIFIER, VerifierKey, VkeyError};

use crate::{canonical, cosignature};
use pds_schemas::PosixTime;

/// Most signature lines in a note. The standard asks for at least 16; a policy has at most 64 witnesses.
pub const MAX_SIGNATURES: usize = 80;
/// Most bytes in a note: enough for [`MAX_SIGNATURES`] post-quantum cosignatures beside a checkpoint.
pub const MAX_NOTE_BYTES: usize = pds_schemas::limits::NOTE_BYTES;

/// Why something is no note, or not one to believe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Over [`MAX_NOTE_BYTES`].
    #[error("a note has at most {MAX_NOTE_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// Over [`MAX_SIGNATURES`].
    #[error("a note has at most {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// Not UTF-8.
    #[error("a note is UTF-8")]
    NotUtf8,
    /// A control character other than newline.
    #[error("a note has no control character but newline; this one has byte {0:#04x}")]
    ControlCharacter(u8),
    /// No blank line, or no newline before it, so that there is no text or no telling where it ends.
    #[error("a note has a text that ends in newline, then a blank line, then signatures")]
    NoText,
    /// Nothing after the last blank line.
    #[error("the note is not signed")]
    NotSigned,
    /// A line after the last blank line that is no signature.
    #[error("line {line} of the note's signatures is not: em dash, key name, base64 of key ID and signature")]
    SignatureLine {
        /// Counted from 1.
        line: usize,
    },
    /// Signatures, but none by a key that was asked for.
    #[error("none of the known keys signed the note")]
    NoKnownSignature,
    /// A known key's signature that does not hold; the whole note is refused.
    #[error("signature of known key {key} does not hold")]
    KnownKeyFailed {
        /// The key's name.
        key: KeyName,
        /// Why it does not hold.
        #[source]
        cause: SignatureError,
    },
}

/// Why one signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key's type never makes this kind of signature.
    #[error("a key of type {0:?} does not make such signatures")]
    KeyType(KeyType),
    /// Made by another key, by name or ID.
    #[error("the signature is by another key")]
    OtherKey,
    /// A signature has one length for each type.
    #[error("the signature has {found} bytes, not {expected}")]
    Length {
        /// Bytes after the key ID that the key's type asks for.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A cosignature's time over 2^63 - 1, which tlog-cosignature forbids.
    #[error("time {0} of a cosignature is over 2^63 - 1")]
    TimeOutOfRange(PosixTime),
    /// The key did not sign this.
    #[error("the key did not sign this text")]
    Mismatch,
}

/// A text and its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

/// One signature of a note, whoever made it and whether or not it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    /// Name of the key said to have made it.
    pub name: KeyName,
    /// ID of that key.
    pub key_id: KeyId,
    /// What follows the key ID, in the form of the key's type; not empty.
    pub signature: Vec<u8>,
}

/// A signature that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedSignature<'a> {
    /// Who made it.
    pub key: &'a VerifierKey,
    /// The line it stands in.
    pub line: &'a SignatureLine,
    /// When, if it is a cosignature.
    pub time: Option<PosixTime>,
}

impl Note {
    /// Puts a note together.
    ///
    /// # Errors
    /// Those of [`Note::parse`], as if this note's bytes had been parsed.
    pub fn new(text: impl Into<String>, signatures: Vec<SignatureLine>) -> Result<Self, NoteError> {
        let text = text.into();
        check_text(&text)?;
        if signatures.is_empty() {
            return Err(NoteError::NotSigned);
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        if let Some(empty) = signatures.iter().position(|line| line.signature.is_empty()) {
            return Err(NoteError::SignatureLine { line: empty + 1 });
        }
        let note = Self { text, signatures };
        let length = note.to_string().len();
        if length > MAX_NOTE_BYTES { Err(NoteError::TooLong(length)) } else { Ok(note) }
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError`]; never one of the last two variants, because no signature is verified.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong(bytes.len()));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::NotUtf8)?;
        check_characters(note)?;
        // signed-note: "the text is separated from the signatures by the last empty line in the note".
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::NoText)?;
        if lines.is_empty() {
            return Err(NoteError::NotSigned);
        }
        let mut signatures = Vec::new();
        for (i, line) in lines.split_inclusive('\n').enumerate() {
            if i == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            let line = line.strip_suffix('\n').and_then(SignatureLine::parse);
            signatures.push(line.ok_or(NoteError::SignatureLine { line: i + 1 })?);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// What is signed: ends in newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in the order of their lines.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// The same text with other signatures.
    ///
    /// # Errors
    /// As [`Note::new`].
    pub fn with_signatures(&self, signatures: Vec<SignatureLine>) -> Result<Self, NoteError> {
        Self::new(self.text.clone(), signatures)
    }

    /// The signatures by known keys, all of which hold, in the order of their lines.
    ///
    /// Signatures of unknown keys are passed over, also when they share a name or an ID, but not both, with a known key.
    ///
    /// # Errors
    /// [`NoteError::KnownKeyFailed`], [`NoteError::NoKnownSignature`].
    pub fn verify<'a>(&'a self, known: &[&'a VerifierKey]) -> Result<Vec<VerifiedSignature<'a>>, NoteError> {
        let mut verified = Vec::new();
        for line in &self.signatures {
            for key in known.iter().filter(|key| line.is_by(key)) {
                let time = verify_line(&self.text, line, key)
                    .map_err(|cause| NoteError::KnownKeyFailed { key: line.name.clone(), cause })?;
                verified.push(VerifiedSignature { key, line, time });
            }
        }
        if verified.is_empty() { Err(NoteError::NoKnownSignature) } else { Ok(verified) }
    }
}

/// Checks one signature of `key` over `text`; gives the time if it is a cosignature.
///
/// # Errors
/// [`SignatureError`].
pub fn verify_line(
    text: &str,
    line: &SignatureLine,
    key: &VerifierKey,
) -> Result<Option<PosixTime>, SignatureError> {
    match key.key_type() {
        KeyType::CosignatureV1 => cosignature::verify(text, line, key).map(Some),
        KeyType::Ed25519 if line.is_by(key) => {
            key.verify_bytes(text.as_bytes(), &line.signature).map(|()| None)
        }
        KeyType::Ed25519 => Err(SignatureError::OtherKey),
        // The STR key signs STRs; a note signed by it means nothing.
        KeyType::StrV1 => Err(SignatureError::KeyType(KeyType::StrV1)),
    }
}

impl SignatureLine {
    /// Reads one line, without its newline; `None` when it is not a signature.
    pub fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let name = KeyName::new(name).ok()?;
        let bytes = canonical::from_base64(signature)?;
        let (key_id, signature) = bytes.split_first_chunk()?;
        (!signature.is_empty()).then(|| Self { name, key_id: KeyId(*key_id), signature: signature.to_vec() })
    }

    /// Whether name and key ID are those of `key`.
    pub fn is_by(&self, key: &VerifierKey) -> bool {
        self.name == *key.name() && self.key_id == key.id()
    }
}

/// The line without its newline.
impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.0.as_slice(), &self.signature].concat();
        write!(f, "\u{2014} {} {}", self.name, canonical::to_base64(bytes))
    }
}

/// The note's bytes.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    check_characters(text)?;
    if text.ends_with('\n') { Ok(()) } else { Err(NoteError::NoText) }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    match text.bytes().find(|b| *b < 0x20 && *b != b'\n') {
        Some(byte) => Err(NoteError::ControlCharacter(byte)),
        None => Ok(()),
    }
}
