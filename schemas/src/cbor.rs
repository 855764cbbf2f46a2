//! Deterministic CBOR (RFC 8949 section 4.2.1): one encoder, one strict decoder.
//!
//! Pure. The decoder accepts exactly what the encoder writes: shortest integers, definite lengths, ascending map keys,
//! no tags (but the one of COSE, see [`crate::cose`]), no floats, nothing behind the end. So a value has one encoding, and
//! whoever hashes bytes and whoever reads them cannot be made to disagree. Not a general CBOR library.

use std::fmt;

use crate::Digest;

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
        let mut out = Encoder::default();
        self.encode(&mut out);
        out.bytes
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

/// Writes deterministic CBOR.
#[derive(Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) {
        self.head(UINT, value);
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.head(BYTES, value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// A text string.
    pub fn text(&mut self, value: &str) {
        self.head(TEXT, value.len() as u64);
        self.bytes.extend_from_slice(value.as_bytes());
    }

    /// The head of an array of `len` items, which must follow.
    pub fn array(&mut self, len: usize) {
        self.head(ARRAY, len as u64);
    }

    /// The head of a map of `len` pairs, which must follow in ascending key order.
    pub fn map(&mut self, len: usize) {
        self.head(MAP, len as u64);
    }

    /// The integer `-1 - value`.
    pub fn negative(&mut self, value: u64) {
        self.head(NEGATIVE, value);
    }

    /// A digest, or null for none.
    pub fn nullable(&mut self, value: Option<&Digest>) {
        match value {
            Some(digest) => self.bytes(digest.as_ref()),
            None => self.bytes.push(NULL),
        }
    }

    /// Tag `number`; the tagged value must follow.
    pub(crate) fn tag(&mut self, number: u64) {
        self.head(TAG, number);
    }

    /// A map with integer keys, key 0 being format version 1; `write` adds the others in ascending order.
    pub fn record(&mut self, write: impl FnOnce(&mut RecordEncoder)) {
        let mut record = RecordEncoder { body: Self::default(), pairs: 1, last: 0 };
        record.body.uint(0);
        record.body.uint(1);
        write(&mut record);
        self.map(record.pairs);
        self.bytes.extend_from_slice(&record.body.bytes);
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        match value {
            0..=23 => self.bytes.push(major | value as u8),
            24..=0xff => self.bytes.extend_from_slice(&[major | 24, value as u8]),
            0x100..=0xffff => {
                self.bytes.push(major | 25);
                self.bytes.extend_from_slice(&(value as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.bytes.push(major | 26);
                self.bytes.extend_from_slice(&(value as u32).to_be_bytes());
            }
            _ => {
                self.bytes.push(major | 27);
                self.bytes.extend_from_slice(&value.to_be_bytes());
            }
        }
    }
}

/// Writes the fields of one record, in ascending key order.
pub struct RecordEncoder {
    body: Encoder,
    pairs: usize,
    last: u64,
}

impl RecordEncoder {
    /// The encoder to write key `key`'s value with.
    pub fn key(&mut self, key: u64) -> &mut Encoder {
        debug_assert!(key > self.last, "keys are written in ascending order");
        self.last = key;
        self.pairs += 1;
        self.body.uint(key);
        &mut self.body
    }

    /// A digest under `key`, or nothing at all.
    pub fn optional(&mut self, key: u64, value: Option<&Digest>) {
        if let Some(digest) = value {
            self.key(key).bytes(digest.as_ref());
        }
    }
}

/// Reads deterministic CBOR, strictly.
pub struct Decoder<'a> {
    input: &'a [u8],
    at: usize,
    depth: u8,
    field: &'static str,
}

impl<'a> Decoder<'a> {
    /// Starts at the first byte of `input`; `field` names it in errors until a record's fields do.
    pub fn new(input: &'a [u8], field: &'static str) -> Self {
        Self { input, at: 0, depth: 0, field }
    }

    /// An error about the field being read.
    pub fn error(&self, cause: Malformed) -> DecodeError {
        DecodeError { field: self.field, at: self.at, cause }
    }

    /// Refuses with `rule` unless `holds`.
    ///
    /// # Errors
    /// [`Malformed::Rule`].
    pub fn rule(&self, holds: bool, rule: &'static str) -> Result<(), DecodeError> {
        if holds { Ok(()) } else { Err(self.error(Malformed::Rule(rule))) }
    }

    /// Refuses more than `limit` of something.
    ///
    /// # Errors
    /// [`Malformed::TooLong`].
    pub fn limit(&self, unit: &'static str, limit: usize, found: usize) -> Result<(), DecodeError> {
        if found <= limit {
            return Ok(());
        }
        Err(self.error(Malformed::TooLong { unit, limit: limit as u64, found: found as u64 }))
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        self.head(UINT, "unsigned integer")
    }

    /// A negative integer, as the `n` of `-1 - n`.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn negative(&mut self) -> Result<u64, DecodeError> {
        self.head(NEGATIVE, "negative integer")
    }

    /// A byte string of at most `limit` bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn bytes(&mut self, limit: usize) -> Result<&'a [u8], DecodeError> {
        let len = self.head(BYTES, "byte string")?;
        self.take(len, limit)
    }

    /// A byte string of exactly 32 bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn digest(&mut self) -> Result<Digest, DecodeError> {
        self.array_of_bytes().map(Digest)
    }

    /// A digest or null.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn nullable(&mut self) -> Result<Option<Digest>, DecodeError> {
        if self.input.get(self.at) == Some(&NULL) {
            self.at += 1;
            return Ok(None);
        }
        self.digest().map(Some)
    }

    /// A byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn array_of_bytes<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let start = self.at;
        let bytes = self.bytes(N)?;
        bytes.try_into().map_err(|_| DecodeError {
            field: self.field,
            at: start,
            cause: Malformed::Rule(match N {
                32 => "a byte string of exactly 32 bytes is expected",
                64 => "a byte string of exactly 64 bytes is expected",
                _ => "a byte string of another length is expected",
            }),
        })
    }

    /// A text string of at most `limit` bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn text(&mut self, limit: usize) -> Result<&'a str, DecodeError> {
        let len = self.head(TEXT, "text string")?;
        let bytes = self.take(len, limit)?;
        std::str::from_utf8(bytes).map_err(|_| self.error(Malformed::NotUtf8))
    }

    /// A text of 1 to `limit` bytes without control characters, fit to be shown in one line.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn line(&mut self, limit: usize) -> Result<&'a str, DecodeError> {
        let text = self.text(limit)?;
        let plain = !text.is_empty() && !text.chars().any(char::is_control);
        self.rule(plain, "a non-empty text without control characters is expected")?;
        Ok(text)
    }

    /// An array of at most `limit` items, each read by `read`.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn array<T>(
        &mut self,
        limit: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let len = self.head(ARRAY, "array")?;
        self.limit("items", limit, usize::try_from(len).unwrap_or(usize::MAX))?;
        // What is declared is not yet there: beyond a first handful, memory grows with the items that were read.
        let mut items = Vec::with_capacity((len as usize).min(self.input.len() - self.at).min(1024));
        self.nested(|d| {
            for _ in 0..len {
                items.push(read(d)?);
            }
            Ok(())
        })?;
        Ok(items)
    }

    /// An array of exactly `len` items, whose reading is up to `read`.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn tuple<T>(
        &mut self,
        len: u64,
        rule: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let found = self.head(ARRAY, "array")?;
        self.rule(found == len, rule)?;
        self.nested(read)
    }

    /// How many bytes were read.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// The length of an array that follows, for shapes that [`Decoder::array`] and [`Decoder::tuple`] do not fit.
    pub(crate) fn array_head(&mut self) -> Result<u64, DecodeError> {
        self.head(ARRAY, "array")
    }

    /// The number of pairs of a map that follows.
    pub(crate) fn map_head(&mut self) -> Result<u64, DecodeError> {
        self.head(MAP, "map")
    }

    /// A map from one-line texts to values, keys ascending as RFC 8949 orders their encodings (shorter first).
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn text_map<T>(
        &mut self,
        limit: usize,
        key_limit: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<(String, T)>, DecodeError> {
        let len = self.map_head()?;
        self.limit("items", limit, usize::try_from(len).unwrap_or(usize::MAX))?;
        let mut pairs: Vec<(String, T)> = Vec::new();
        self.nested(|d| {
            for _ in 0..len {
                let key = d.line(key_limit)?;
                if let Some((last, _)) = pairs.last() {
                    let ascending = (last.len(), last.as_str()) < (key.len(), key);
                    if !ascending {
                        return Err(d.error(Malformed::Unsorted));
                    }
                }
                pairs.push((key.to_owned(), read(d)?));
            }
            Ok(())
        })?;
        Ok(pairs)
    }

    /// Tag `number`, and no other.
    pub(crate) fn tag(&mut self, number: u64) -> Result<(), DecodeError> {
        let found = self.head(TAG, "tag")?;
        self.rule(found == number, "another tag than 18, COSE_Sign1")
    }

    /// A map with integer keys whose key 0 is format version 1; `read` takes the others in ascending order.
    ///
    /// # Errors
    /// [`DecodeError`]; keys that `read` did not take are unknown.
    pub fn record<T>(
        &mut self,
        read: impl FnOnce(&mut RecordDecoder<'_, 'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let outer = self.field;
        let pairs = self.map_head()?;
        self.nested(|d| {
            let mut record = RecordDecoder { input: d, left: pairs, last: None, pending: None };
            let version = record.required(0, outer, Self::uint)?;
            if version != 1 {
                record.input.field = outer;
                let newer = version > 1;
                return Err(record.input.error(if newer {
                    Malformed::NewerFormat(version)
                } else {
                    Malformed::Rule("format versions start at 1")
                }));
            }
            let value = read(&mut record)?;
            record.finish(outer)?;
            d.field = outer;
            Ok(value)
        })
    }

    /// Refuses bytes behind the value.
    ///
    /// # Errors
    /// [`Malformed::TrailingBytes`].
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.input.len() - self.at {
            0 => Ok(()),
            n => Err(self.error(Malformed::TrailingBytes(n))),
        }
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(Malformed::TooDeep));
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn take(&mut self, len: u64, limit: usize) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.limit("bytes", limit, len)?;
        let rest = &self.input[self.at..];
        let bytes = rest.get(..len).ok_or_else(|| self.error(Malformed::Truncated))?;
        self.at += len;
        Ok(bytes)
    }

    fn head(&mut self, major: u8, expected: &'static str) -> Result<u64, DecodeError> {
        let truncated = self.error(Malformed::Truncated);
        let start = self.at;
        let initial = *self.input.get(start).ok_or_else(|| truncated.clone())?;
        let found = initial >> 5;
        if found != major {
            return Err(self.error(if found == TAG {
                Malformed::Tag
            } else {
                Malformed::WrongType { expected, found: type_name(initial) }
            }));
        }
        let follow = match initial & 31 {
            small @ 0..=23 => {
                self.at += 1;
                return Ok(u64::from(small));
            }
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return Err(self.error(Malformed::Indefinite)),
        };
        let bytes = self.input.get(start + 1..start + 1 + follow).ok_or(truncated)?;
        let value = bytes.iter().fold(0, |v, b| v << 8 | u64::from(*b));
        let least = [24, 0x100, 0x1_0000, 0x1_0000_0000][follow.trailing_zeros() as usize];
        if value < least {
            return Err(self.error(Malformed::NonShortest));
        }
        self.at += 1 + follow;
        Ok(value)
    }
}

/// Reads the fields of one record, in ascending key order.
pub struct RecordDecoder<'r, 'a> {
    input: &'r mut Decoder<'a>,
    left: u64,
    last: Option<u64>,
    pending: Option<u64>,
}

impl<'a> RecordDecoder<'_, 'a> {
    /// A field that must be there; `field` names it in errors.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn required<T>(
        &mut self,
        key: u64,
        field: &'static str,
        read: impl FnOnce(&mut Decoder<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        match self.optional(key, field, read)? {
            Some(value) => Ok(value),
            None => Err(self.input.error(Malformed::MissingKey(key))),
        }
    }

    /// A field that may be absent.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn optional<T>(
        &mut self,
        key: u64,
        field: &'static str,
        read: impl FnOnce(&mut Decoder<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        self.input.field = field;
        let Some(next) = self.peek()? else { return Ok(None) };
        if next < key {
            return Err(self.input.error(Malformed::UnknownKey(next)));
        }
        if next > key {
            return Ok(None);
        }
        self.pending = None;
        let value = read(self.input)?;
        self.input.field = field;
        Ok(Some(value))
    }

    /// Refuses with `rule` unless `holds`.
    ///
    /// # Errors
    /// [`Malformed::Rule`].
    pub fn rule(&self, holds: bool, rule: &'static str) -> Result<(), DecodeError> {
        self.input.rule(holds, rule)
    }

    fn peek(&mut self) -> Result<Option<u64>, DecodeError> {
        if self.pending.is_none() && self.left > 0 {
            let key = self.input.uint()?;
            match self.last {
                Some(last) if key == last => return Err(self.input.error(Malformed::DuplicateKey(key))),
                Some(last) if key < last => return Err(self.input.error(Malformed::Unsorted)),
                _ => {}
            }
            self.left -= 1;
            self.last = Some(key);
            self.pending = Some(key);
        }
        Ok(self.pending)
    }

    fn finish(&mut self, field: &'static str) -> Result<(), DecodeError> {
        self.input.field = field;
        match self.peek()? {
            Some(key) => Err(self.input.error(Malformed::UnknownKey(key))),
            None => Ok(()),
        }
    }
}

fn type_name(initial: u8) -> &'static str {
    match initial >> 5 {
        UINT => "unsigned integer",
        NEGATIVE => "negative integer",
        BYTES => "byte string",
        TEXT => "text string",
        ARRAY => "array",
        MAP => "map",
        TAG => "tag",
        _ => "simple value or float",
    }
}
