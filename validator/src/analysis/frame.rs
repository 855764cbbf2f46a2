//! The stack frame: which bytes were written, and the words that are known to be in it.
//!
//! Pure. Bytes are counted from the frame's lowest, so that r10 points one past the last.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::interval::Interval;
use super::value::{Known, Region, Taint, Value, Word};

/// A stack frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Written on every path, a bit for each byte.
    written: Bits,
    /// Written on some path.
    touched: Bits,
    /// Words and parts of words that a store left, by their first byte; they do not overlap.
    pub(super) cells: BTreeMap<u16, Cell>,
    /// Bytes that may hold an address, or a part of one, that no cell tells of: the first, one past the last,
    /// the region, which is `None` for any of the pluglet's own memory.
    hidden: BTreeSet<(u16, u16, Option<Region>)>,
}

/// What a store of `size` bytes left: the lower bytes of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub size: u8,
    pub word: Word,
}

impl Frame {
    pub(super) fn new(bytes: u16) -> Self {
        Self {
            written: Bits::new(bytes),
            touched: Bits::new(bytes),
            cells: BTreeMap::new(),
            hidden: BTreeSet::new(),
        }
    }

    /// Whether all of some bytes were written: `Never` when one of them was not on any path.
    pub fn initialised(&self, bytes: Range<u16>) -> Known {
        if self.written.all(bytes.clone()) {
            Known::Always
        } else if self.touched.all(bytes) {
            Known::Maybe
        } else {
            Known::Never
        }
    }

    /// What a load of `size` bytes at `at` gives, if a store or a part of one left it there.
    pub(super) fn load(&self, at: u16, size: u8) -> Option<Word> {
        let (start, cell) = self.cells.range(..=at).next_back()?;
        let skipped = u8::try_from(at - start).ok()?;
        if skipped == 0 && cell.size == size {
            return Some(cell.word);
        }
        // A part of a constant.
        let value = cell
            .word
            .value
            .as_constant()
            .filter(|_| skipped.checked_add(size).is_some_and(|end| end <= cell.size))?;
        let part = Interval::constant(value >> (8 * u32::from(skipped))).low(8 * u32::from(size));
        Some(Word::new(Value::Scalar(part), Default::default()))
    }

    /// A store of `word` at a known place.
    pub(super) fn store(&mut self, at: u16, size: u8, word: Word) {
        self.fill(at..at + u16::from(size));
        self.cells.insert(at, Cell { size, word });
    }

    /// Somebody wrote all of some bytes.
    pub(super) fn fill(&mut self, bytes: Range<u16>) {
        self.forget(bytes.clone(), true);
        self.written.set(bytes.clone());
        self.touched.set(bytes);
    }

    /// Somebody may have written some bytes, or some of them.
    pub(super) fn may_write(&mut self, bytes: Range<u16>) {
        self.forget(bytes.clone(), false);
        self.touched.set(bytes);
    }

    /// Somebody may have written anything anywhere.
    pub(super) fn may_write_all(&mut self) {
        self.forget(0..u16::MAX, false);
        self.touched.0.fill(u64::MAX);
    }

    /// The regions that addresses lead into which may be in some bytes, in whole or in part.
    pub(super) fn regions_in(&self, bytes: &Range<u16>) -> BTreeSet<Region> {
        let Range { start, end } = *bytes;
        let cells = self.cells.range(start.saturating_sub(7)..end);
        let cells = cells.filter(|(at, cell)| **at + u16::from(cell.size) > start);
        let hidden = self.hidden.iter().filter(|(from, to, _)| *from < end && *to > start);
        cells
            .filter_map(|(_, cell)| cell.word.value.region())
            .chain(hidden.filter_map(|(.., region)| *region))
            .collect()
    }

    /// Whether some bytes may hold an address of the pluglet's own memory, nobody knows of which.
    pub(super) fn may_hold_own(&self, bytes: &Range<u16>) -> bool {
        let Range { start, end } = *bytes;
        let mut cells = self.cells.range(start.saturating_sub(7)..end);
        let mut hidden = self.hidden.iter().filter(|(.., region)| region.is_none());
        hidden.any(|(from, to, _)| *from < end && *to > start)
            || cells.any(|(at, cell)| {
                at + u16::from(cell.size) > start
                    && matches!(cell.word.value, Value::MaybeOwn | Value::MaybeFrame)
            })
    }

    /// What a word that is read from some bytes may be made of.
    pub(super) fn taint_in(&self, bytes: &Range<u16>) -> Taint {
        let regions = self.regions_in(bytes).into_iter().map(Region::taint).max();
        let own = if self.may_hold_own(bytes) { Taint::Own } else { Taint::None };
        regions.unwrap_or(Taint::None).max(own)
    }

    /// A value, or a part of it, may be in some bytes, and no cell tells.
    pub(super) fn hide(&mut self, bytes: Range<u16>, value: Value) {
        let Range { start, end } = bytes;
        self.hidden.extend(value.region().map(|region| (start, end, Some(region))));
        if matches!(value, Value::MaybeOwn | Value::MaybeFrame) {
            self.hidden.insert((start, end, None));
        }
    }

    /// A region got another name.
    pub(super) fn rename(&mut self, before: Region, after: Region) {
        let renamed = |region| if region == Some(before) { Some(after) } else { region };
        self.hidden = std::mem::take(&mut self.hidden)
            .into_iter()
            .map(|(start, end, region)| (start, end, renamed(region)))
            .collect();
    }

    /// Drops what cells hold of some bytes, all of which are overwritten for certain, or not.
    fn forget(&mut self, bytes: Range<u16>, overwritten: bool) {
        let overlaps = |(at, cell): (&u16, &Cell)| (at + u16::from(cell.size) > bytes.start).then_some(*at);
        while let Some(at) = self.cells.range(..bytes.end).next_back().and_then(overlaps) {
            let Some(cell) = self.cells.remove(&at) else { break };
            self.hide(at..at + u16::from(cell.size), cell.word.value);
        }
        if overwritten {
            self.hidden.retain(|(start, end, _)| *start < bytes.start || *end > bytes.end);
        }
    }

    /// What holds whichever of two paths was taken; words of both are joined by `join`.
    pub(super) fn join(&self, other: &Self, mut join: impl FnMut(Word, Word) -> Word) -> Self {
        let both = |(at, cell): (&u16, &Cell)| {
            let twin = other.cells.get(at).filter(|twin| twin.size == cell.size)?;
            Some((*at, Cell { size: cell.size, word: join(cell.word, twin.word) }))
        };
        let cells: BTreeMap<u16, Cell> = self.cells.iter().filter_map(both).collect();
        let mut joined = Self {
            cells: BTreeMap::new(),
            hidden: self.hidden.union(&other.hidden).copied().collect(),
            written: self.written.and(&other.written),
            touched: self.touched.or(&other.touched),
        };
        for (at, cell) in self.cells.iter().chain(&other.cells) {
            if !cells.contains_key(at) {
                joined.hide(*at..*at + u16::from(cell.size), cell.word.value);
            }
        }
        joined.cells = cells;
        joined
    }
}

/// A bit for each byte of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bits(Box<[u64]>);

impl Bits {
    fn new(bytes: u16) -> Self {
        Self(vec![0; usize::from(bytes).div_ceil(64)].into())
    }

    /// The bits of each word that are in a range.
    fn masks(range: Range<u16>) -> impl Iterator<Item = (usize, u64)> {
        let (start, end) = (usize::from(range.start), usize::from(range.end));
        (start / 64..end.div_ceil(64)).map(move |word| {
            let low = start.saturating_sub(word * 64).min(64);
            let high = (end - word * 64).min(64);
            (word, (u64::MAX >> (64 - (high - low))) << low)
        })
    }

    fn all(&self, range: Range<u16>) -> bool {
        range.is_empty() || Self::masks(range).all(|(word, mask)| self.0[word] & mask == mask)
    }

    fn set(&mut self, range: Range<u16>) {
        if !range.is_empty() {
            Self::masks(range).for_each(|(word, mask)| self.0[word] |= mask);
        }
    }

    fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    fn or(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a | b).collect())
    }
}
