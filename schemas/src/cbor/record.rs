//! Reading the fields of a record: a map with integer keys, of which key 0 is the format version.

use super::{DecodeError, Decoder, Malformed};

/// Reads the fields of one record, in ascending key order.
pub struct RecordDecoder<'r, 'a> {
    input: &'r mut Decoder<'a>,
    left: u64,
    last: Option<u64>,
    pending: Option<u64>,
}

impl<'r, 'a> RecordDecoder<'r, 'a> {
    /// Reads key 0 of a map of `pairs`, which must be version 1.
    pub(super) fn begin(input: &'r mut Decoder<'a>, pairs: u64) -> Result<Self, DecodeError> {
        let outer = input.field;
        let mut record = Self { input, left: pairs, last: None, pending: None };
        let version = record.required(0, outer, Decoder::uint)?;
        record.input.field = outer;
        match version {
            0 => Err(record.input.error(Malformed::Rule("format versions start at 1"))),
            1 => Ok(record),
            newer => Err(record.input.error(Malformed::NewerFormat(newer))),
        }
    }

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

    /// Refuses keys that were not taken.
    pub(super) fn finish(&mut self, field: &'static str) -> Result<(), DecodeError> {
        self.input.field = field;
        match self.peek()? {
            Some(key) => Err(self.input.error(Malformed::UnknownKey(key))),
            None => Ok(()),
        }
    }
}
