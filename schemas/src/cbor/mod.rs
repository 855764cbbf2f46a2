//! Deterministic CBOR (RFC 8949 section 4.2.1): one encoder, one strict decoder.
//!
//! Pure. The decoder accepts exactly what the encoder writes: shortest integers, definite lengths, ascending map keys,
//! no tags (but the one of COSE, see [`crate::cose`]), no floats, nothing behind the end. So a value has one encoding, and
//! whoever hashes bytes and whoever reads them cannot be made to disagree. Not a general CBOR library.

mod decode;
mod encode;
mod record;

use std::fmt;

pub use decode::Decoder;
pub use encode::{Encoder, RecordEncoder};
pub use record::RecordDecoder;

/// Deepest nesting of arrays and maps that is read.
pub const MAX_DEPTH: u8 = 8;

/// Why bytes are not the artefact they were read as: what is wrong, in which field, at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The artefact and field being read, e.g. `"submission.name"`.
    pub field: &'static str,
    /// Offset from the start of the artefact: of the head that could not be read, or of what follows a value, key or list
    /// that was read and then refused.
    pub at: usize,
    /// What is wrong there.
    pub cause: Malformed,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (field {}, byte {})", self.cause, self.field, self.at)
    }
}

impl std::error::Error for DecodeError {}

/// What can be wrong with an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end inside a value.
    #[error("truncated")]
    Truncated,
    /// Bytes follow the value.
    #[error("{0} bytes follow the end")]
    TrailingBytes(usize),
    /// An integer or a length is not in its shortest form.
    #[error("integer or length is not in its shortest form")]
    NonShortest,
    /// An indefinite length, or a reserved length code.
    #[error("indefinite length")]
    Indefinite,
    /// A tag where none may stand.
    #[error("tag where none is allowed")]
    Tag,
    /// Another type of value than the field has.
    #[error("{expected} expected, {found} found")]
    WrongType {
        /// The type the field has.
        expected: &'static str,
        /// The type that stands there.
        found: &'static str,
    },
    /// The map's format version is newer than this program.
    #[error("newer format: version {0}, this program reads version 1")]
    NewerFormat(u64),
    /// A key that this version does not have.
    #[error("unknown key {0}")]
    UnknownKey(u64),
    /// A key that stands twice.
    #[error("duplicate key {0}")]
    DuplicateKey(u64),
    /// A key, or a sorted list's item, that comes too late.
    #[error("keys or items are not in ascending order")]
    Unsorted,
    /// A key that this version must have.
    #[error("key {0} is missing")]
    MissingKey(u64),
    /// More bytes or items than allowed.
    #[error("{found} {unit} where at most {limit} are allowed")]
    TooLong {
        /// What is counted.
        unit: &'static str,
        /// Most that is allowed.
        limit: u64,
        /// How many there are.
        found: u64,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than 8 levels")]
    TooDeep,
    /// A text that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A value of the right type that the field's rule forbids; the text is the rule.
    #[error("{0}")]
    Rule(&'static str),
}

/// An artefact with one deterministic encoding.
pub trait Artefact: Sized {
    /// Name of the artefact in errors and CDDL.
    const NAME: &'static str;
    /// Most bytes an encoding may have.
    const MAX_BYTES: usize;

    /// Appends the encoding.
    fn encode(&self, out: &mut Encoder);

    /// Reads one value.
    ///
    /// # Errors
    /// [`DecodeError`] for whatever [`Artefact::encode`] would not have written.
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError>;

    /// The encoding as bytes of their own.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::for_artefact();
        self.encode(&mut out);
        out.into_bytes()
    }

    /// Reads an artefact from exactly `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`]; size is checked before anything else.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes, Self::NAME);
        input.limit("bytes", Self::MAX_BYTES, bytes.len())?;
        let value = Self::decode(&mut input)?;
        input.field = Self::NAME;
        input.end()?;
        Ok(value)
    }
}

const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const NULL: u8 = 0xf6;
