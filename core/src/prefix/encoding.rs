//! The bytes of a page in a store.
//!
//! Pure. The bytes are 4 of kinds (two bits a slot, slot 0 in the most significant: 0 missing, 1 leaf, 2 subtree), then
//! the slots' values in order: key and commitment (64 bytes) of a leaf, hash and epoch (32 bytes and 4, big-endian) of
//! a subtree. One page has one encoding; the decoder refuses all else.

use pds_schemas::{Digest, EpochNumber};

use super::id::{MAX_DEPTH, PageId};
use super::nodes::Nodes;
use super::page::{Held, Leaf, Link, Page, Slot, Subtree};
use super::shape::Shape;

/// Most bytes a page may have: the kinds, and 16 leaves.
pub const MAX_PAGE_BYTES: usize = 4 + 16 * 64;

/// Why bytes are not the page they are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Shorter or longer than its kinds call for.
    #[error("{found} bytes where the kinds call for {expected}")]
    Length {
        /// What the kinds call for, at least 4.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// The kind that stands for nothing.
    #[error("slot {0} has the reserved kind")]
    ReservedKind(usize),
    /// A leaf that belongs in another slot or page.
    #[error("the leaf in slot {0} belongs elsewhere")]
    ForeignLeaf(usize),
    /// A subtree whose hash is that of a missing child.
    #[error("the subtree in slot {0} has the zero hash")]
    ZeroHash(usize),
    /// A subtree that says it was written after the page that names it.
    #[error("the subtree in slot {slot} is from epoch {epoch}, after the page itself")]
    Future {
        /// The slot, 0 to 15.
        slot: usize,
        /// The subtree's epoch.
        epoch: EpochNumber,
    },
    /// A root page without leaves, or another page with fewer than two.
    #[error("too few leaves for a page of its own")]
    TooFewLeaves,
    /// A subtree, or two neighbouring leaves, at depth 256.
    #[error("deeper than 255 levels")]
    TooDeep,
}

impl Page {
    /// The page that `bytes` hold under the name `id`, and its topmost node's hash.
    pub fn decode(id: &PageId, bytes: &[u8]) -> Result<(Self, Digest), PageError> {
        let slots = read_slots(id, bytes)?;
        let (page, hash) = Self::new(None, slots, Nodes::unknown());
        check_shape(id, page.shape)?;
        Ok((page, hash))
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut kinds = 0u32;
        let mut bytes =
            Vec::with_capacity(4 + self.leaves.len() * 64 + self.shape.subtrees.count_ones() as usize * 36);
        bytes.extend_from_slice(&[0; 4]);
        for (slot, held) in self.slots() {
            match held {
                Held::Leaf(leaf) => {
                    kinds |= 1 << (30 - 2 * slot);
                    bytes.extend_from_slice(&leaf.key.0);
                    bytes.extend_from_slice(&leaf.commitment.0);
                }
                Held::Subtree(subtree) => {
                    kinds |= 2 << (30 - 2 * slot);
                    bytes.extend_from_slice(&subtree.hash.0);
                    bytes.extend_from_slice(&subtree.epoch.to_be_bytes());
                }
            }
        }
        bytes[..4].copy_from_slice(&kinds.to_be_bytes());
        bytes
    }
}

/// The occupied slots of the page that `bytes` hold under the name `id`, in order, with what they hold.
pub(super) fn read_slots(id: &PageId, bytes: &[u8]) -> Result<Vec<(usize, Slot)>, PageError> {
    let Some((kinds, mut values)) = bytes.split_first_chunk() else {
        return Err(PageError::Length { expected: 4, found: bytes.len() });
    };
    let kinds = u32::from_be_bytes(*kinds);
    let kind = |slot: usize| kinds >> (30 - 2 * slot) & 3;
    let expected = 4 + (0..16).map(|slot| [0, 64, 36, 0][kind(slot) as usize]).sum::<usize>();
    if bytes.len() != expected {
        return Err(PageError::Length { expected, found: bytes.len() });
    }
    let mut take = |count| {
        let (value, rest) = values.split_at(count);
        values = rest;
        value
    };
    let mut slots = Vec::with_capacity(16);
    for slot in 0..16 {
        match kind(slot) {
            0 => {}
            1 => slots.push((slot, Slot::Leaf(read_leaf(id, slot, take(64))?))),
            2 => slots.push((slot, Slot::Subtree(read_subtree(id, slot, take(36))?))),
            _ => return Err(PageError::ReservedKind(slot)),
        }
    }
    Ok(slots)
}

fn read_leaf(id: &PageId, slot: usize, bytes: &[u8]) -> Result<Leaf, PageError> {
    let leaf = Leaf { key: read_digest(&bytes[..32]), commitment: read_digest(&bytes[32..]) };
    if leaf.key.common_prefix(id.prefix()) < usize::from(id.depth()) || id.nibble(&leaf.key) != slot {
        return Err(PageError::ForeignLeaf(slot));
    }
    Ok(leaf)
}

fn read_subtree(id: &PageId, slot: usize, bytes: &[u8]) -> Result<Subtree, PageError> {
    let hash = read_digest(&bytes[..32]);
    let epoch = bytes[32..].iter().fold(0, |epoch, byte| epoch << 8 | u32::from(*byte));
    if hash == Digest::ZERO {
        return Err(PageError::ZeroHash(slot));
    }
    if epoch > id.raw_epoch() {
        return Err(PageError::Future { slot, epoch: EpochNumber(epoch.into()) });
    }
    Ok(Subtree { hash, epoch, page: Link::unread() })
}

fn read_digest(bytes: &[u8]) -> Digest {
    let mut digest = Digest::ZERO;
    digest.0.copy_from_slice(bytes);
    digest
}

pub(super) fn check_shape(id: &PageId, shape: Shape) -> Result<(), PageError> {
    if id.depth() == MAX_DEPTH && (shape.subtrees != 0 || shape.has_leaf_pair()) {
        return Err(PageError::TooDeep);
    }
    let enough = if id.depth() == 0 { 1 } else { 2 };
    if shape.subtrees == 0 && shape.leaves.count_ones() < enough {
        return Err(PageError::TooFewLeaves);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(depth: u8, prefix: &[u8]) -> PageId {
        let mut padded = Digest::ZERO;
        padded.0[..prefix.len()].copy_from_slice(prefix);
        PageId::new(EpochNumber(9), depth, padded).unwrap()
    }

    fn leaf(first: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..first.len()].copy_from_slice(first);
        bytes
    }

    fn subtree(hash: u8, epoch: u32) -> Vec<u8> {
        [&[hash; 32][..], &epoch.to_be_bytes()].concat()
    }

    #[test]
    fn page_is_refused_with_its_cause() {
        use PageError::*;
        let check = |id: PageId, kinds: [u8; 4], values: &[Vec<u8>], expect| {
            let bytes = [&kinds[..], &values.concat()].concat();
            assert_eq!(Page::decode(&id, &bytes).unwrap_err(), expect, "{kinds:?}");
        };
        let root = id(0, &[]);
        assert_eq!(Page::decode(&root, &[1, 2]).unwrap_err(), Length { expected: 4, found: 2 });
        check(root, [0x40, 0, 0, 0], &[vec![0; 63]], Length { expected: 68, found: 67 });
        check(root, [0x40, 0, 0, 0], &[vec![0; 65]], Length { expected: 68, found: 69 });
        check(root, [0x80, 0, 0, 0], &[vec![0; 64]], Length { expected: 40, found: 68 });
        check(root, [0x4c, 0, 0, 0], &[leaf(&[])], ReservedKind(2));
        check(root, [0, 0, 0, 3], &[], ReservedKind(15));
        check(root, [0x10, 0, 0, 0], &[leaf(&[0x20])], ForeignLeaf(1));
        check(id(4, &[0x50]), [0x50, 0, 0, 0], &[leaf(&[0x50]), leaf(&[0x61])], ForeignLeaf(1));
        check(id(4, &[0x50]), [0x50, 0, 0, 0], &[leaf(&[0x50]), leaf(&[0x52])], ForeignLeaf(1));
        check(root, [0x20, 0, 0, 0], &[subtree(0, 9)], ZeroHash(1));
        check(root, [0x20, 0, 0, 0], &[subtree(1, 10)], Future { slot: 1, epoch: EpochNumber(10) });
        check(root, [0, 0, 0, 0], &[], TooFewLeaves);
        check(id(8, &[1]), [0, 0, 0, 0], &[], TooFewLeaves);
        check(id(8, &[1]), [0x40, 0, 0, 0], &[leaf(&[1])], TooFewLeaves);
        let deepest = id(252, &[]);
        let last = |nibble| [vec![0; 31], vec![nibble], vec![0; 32]].concat();
        check(deepest, [0x80, 0, 0, 0], &[subtree(1, 9)], TooDeep);
        check(deepest, [0x05, 0, 0, 0], &[last(2), last(3)], TooDeep);
        let neighbours = [&[0x14, 0, 0, 0][..], &last(1), &last(2)].concat();
        assert!(Page::decode(&deepest, &neighbours).is_ok());
    }

    fn kinds() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![4 => 0u8..3, 1 => Just(0u8)], 16)
    }

    proptest! {
        #[test]
        fn page_that_decodes_has_no_other_encoding(kinds in kinds(), epochs in prop::collection::vec(0u32..12, 16), cut in 0usize..400) {
            let mut bytes = vec![0; 4];
            for (slot, kind) in kinds.iter().enumerate() {
                bytes[slot / 4] |= kind << (6 - 2 * (slot % 4));
                match kind {
                    1 => bytes.extend(leaf(&[0x70 | slot as u8, 3])),
                    2 => bytes.extend(subtree(1 + slot as u8, epochs[slot])),
                    _ => {}
                }
            }
            bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(300)));
            if let Ok((page, hash)) = Page::decode(&id(4, &[0x70]), &bytes) {
                prop_assert_eq!(page.encode(), bytes);
                prop_assert_eq!(page.hash(1), hash);
            }
        }
    }
}
