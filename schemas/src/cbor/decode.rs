//! Reading deterministic CBOR, strictly: values, arrays and maps.

use super::record::RecordDecoder;
use super::{ARRAY, BYTES, DecodeError, MAP, MAX_DEPTH, Malformed, NEGATIVE, NULL, TAG, TEXT, UINT};
use crate::Digest;

/// Reads deterministic CBOR, strictly.
pub struct Decoder<'a> {
    input: &'a [u8],
    at: usize,
    depth: u8,
    pub(super) field: &'static str,
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
            let mut record = RecordDecoder::begin(d, pairs)?;
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
