//! Writing deterministic CBOR.

use super::{ARRAY, BYTES, MAP, NEGATIVE, NULL, TAG, TEXT, UINT};
use crate::Digest;

/// Writes deterministic CBOR.
#[derive(Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// With room for what most artefacts need.
    pub(super) fn for_artefact() -> Self {
        Self { bytes: Vec::with_capacity(256) }
    }

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
        let start = self.bytes.len();
        let mut record = RecordEncoder { body: std::mem::take(self), pairs: 1, last: 0 };
        // How many pairs there are shows when they are written; until then this byte stands for the head of the map.
        record.body.map(1);
        record.body.uint(0);
        record.body.uint(1);
        write(&mut record);
        let mut head = Self::default();
        head.map(record.pairs);
        self.bytes = record.body.bytes;
        self.bytes.splice(start..=start, head.bytes);
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
