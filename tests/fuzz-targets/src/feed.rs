//! Reading a fuzzer's bytes as choices, and as edits of something valid.
//!
//! Pure. Whatever the bytes are, there is an answer: a feed that ran dry gives zeros and empty slices, so that truncating
//! an input gives a simpler case and never none.

use pds_core::hash::sha256;
use pds_schemas::Digest;

/// Bytes to be used up from the front.
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a>(pub &'a [u8]);

impl<'a> Feed<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// The next two bytes.
    pub fn short(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// The next eight bytes, big-endian.
    pub fn long(&mut self) -> u64 {
        (0..8).fold(0, |value, _| value << 8 | u64::from(self.byte()))
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound <= 256 { usize::from(self.byte()) % bound } else { self.short() % bound }
    }

    /// The next bytes, `count` of them or as many as there are.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The next bytes, after their number in one byte.
    pub fn chunk(&mut self) -> &'a [u8] {
        let count = self.byte();
        self.take(usize::from(count))
    }

    /// What is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Whether nothing is left.
    pub fn is_dry(&self) -> bool {
        self.0.is_empty()
    }

    /// One of 256 digests.
    pub fn digest(&mut self) -> Digest {
        sha256(&[self.byte()])
    }

    /// `bytes` after at most `most` edits of a few bytes each.
    pub fn edit(&mut self, bytes: &[u8], most: usize) -> Vec<u8> {
        let mut edited = bytes.to_vec();
        for _ in 0..most {
            let edit = self.byte();
            if edit == 0 {
                break;
            }
            let at = self.below(edited.len() + 1);
            let there = edited.len() - at;
            match edit % 7 {
                0 => edited.truncate(at),
                1 if there > 0 => edited[at] ^= 1 << (self.byte() % 8),
                2 if there > 0 => edited[at] = self.byte(),
                3 => {
                    let gone = usize::from(self.byte()).min(there);
                    edited.drain(at..at + gone);
                }
                4 => {
                    let new = self.chunk();
                    edited.splice(at..at, new.iter().copied());
                }
                5 => {
                    let new = self.chunk();
                    let over = new.len().min(there);
                    edited.splice(at..at + over, new.iter().copied());
                }
                _ => {
                    let again = edited[at..at + usize::from(self.byte()).min(there)].to_vec();
                    edited.splice(at..at, again);
                }
            }
        }
        edited
    }
}
