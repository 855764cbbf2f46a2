//! What nobody can do without: hashes, counted and timed.

use std::hint::black_box;
use std::time::Duration;

use pds_core::prefix::parent_hash;
use pds_schemas::Digest;
use sha2::block_api::compress256;

use crate::measure::{cpu, median};
use crate::table::{Table, Unit};

const RUNS: usize = 15;
const HASHES: usize = 20_000;
/// FIPS 180-4, section 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Nanoseconds of CPU that one SHA-256 takes at full speed: `sha2`'s compression function on padded blocks, nothing else.
#[derive(Clone, Copy, Debug)]
pub struct HashSpeed {
    /// Of a message of 56 to 119 bytes, two blocks: the node hashes of both trees, 65 bytes.
    pub two_blocks: f64,
    /// Of a message of up to 55 bytes, one block: a name, or a log entry of 32 bytes with its prefix.
    pub one_block: f64,
}

impl HashSpeed {
    /// Measures now.
    pub fn now() -> Self {
        Self { two_blocks: time::<2>(), one_block: time::<1>() }
    }
}

/// Median over some runs of many hashes that don't depend on each other, as those of a tree's level don't.
fn time<const BLOCKS: usize>() -> f64 {
    let mut messages = [[[0x5a; 64]; BLOCKS]; 64];
    let run = |_| {
        let hash = |i: usize| {
            let message = &mut messages[i % 64];
            message[0][i % 63] ^= i as u8;
            let mut state = INITIAL;
            compress256(&mut state, black_box(message));
            black_box(state);
        };
        cpu(|| (0..HASHES).for_each(hash)).1
    };
    let runs: Vec<Duration> = (0..RUNS).map(run).collect();
    median(runs) / HASHES as f64
}

/// SHA-256(0x03 ‖ left ‖ right) by hand: shows that the limit hashes what the tree hashes.
fn parent_by_hand(left: &Digest, right: &Digest) -> Digest {
    let mut padded = [0; 128];
    padded[0] = 0x03;
    padded[1..33].copy_from_slice(&left.0);
    padded[33..65].copy_from_slice(&right.0);
    padded[65] = 0x80;
    padded[120..].copy_from_slice(&(65u64 * 8).to_be_bytes());
    let (blocks, _) = padded.as_chunks();
    let mut state = INITIAL;
    compress256(&mut state, blocks);
    let mut digest = Digest::ZERO;
    for (bytes, word) in digest.0.chunks_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// Hashes of the nodes on the paths of `changed` in the prefix tree of `keys`, both sorted: each parent with a changed key
/// below it, and the leaf that a path ends at.
///
/// With the changed keys among `keys`, what a new tree needs if every hash of the old one is at hand; with both the same,
/// what a tree built from nothing needs; in the old tree, what recomputing its root from a transition proof needs.
pub fn hashes_on_paths(keys: &[Digest], changed: &[Digest]) -> u64 {
    walk(keys, changed, 0)
}

fn walk(keys: &[Digest], changed: &[Digest], depth: usize) -> u64 {
    if changed.is_empty() || keys.is_empty() {
        return 0;
    }
    if keys.len() == 1 && depth > 0 {
        return 1;
    }
    let split = |keys: &[Digest]| keys.partition_point(|key| !key.bit(depth));
    let (keys_left, keys_right) = keys.split_at(split(keys));
    let (left, right) = changed.split_at(split(changed));
    1 + walk(keys_left, left, depth + 1) + walk(keys_right, right, depth + 1)
}

/// Measures the hash that everything else is made of.
pub fn measure(table: &mut Table) {
    let mut ring = [Digest([7; 32]); 64];
    assert_eq!(
        parent_hash(&ring[0], &ring[1]),
        parent_by_hand(&ring[0], &ring[1]),
        "the limit hashes the same"
    );
    let limit = HashSpeed::now();
    let mut run = |_| {
        let hash = |i: usize| ring[i % 64] = parent_hash(&ring[(i + 21) % 64], &ring[(i + 42) % 64]);
        cpu(|| (0..HASHES).for_each(hash)).1
    };
    let runs: Vec<_> = (0..RUNS).map(&mut run).collect();
    black_box(ring);
    table.push(
        "hash",
        Unit::CpuNs,
        ("hash of a parent, 65 bytes", median(runs) / HASHES as f64),
        ("compressing two padded blocks: *the hash* below", limit.two_blocks),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: u8) -> Digest {
        let mut key = Digest::ZERO;
        key.0[0] = first;
        key
    }

    #[test]
    fn limit_counts_each_leaf_and_parent_of_a_tree_once() {
        let check = |keys: &[u8], changed: &[u8], expect| {
            let [keys, changed] = [keys, changed].map(|k| k.iter().copied().map(key).collect::<Vec<_>>());
            assert_eq!(hashes_on_paths(&keys, &changed), expect, "{keys:?} {changed:?}");
        };
        check(&[], &[], 0);
        // The root is a parent even above one leaf.
        check(&[0x00], &[0x00], 2);
        check(&[0x00, 0x80], &[0x00, 0x80], 3);
        check(&[0x00, 0x40, 0x80], &[0x00, 0x40, 0x80], 5);
        // A chain of parents down to where the keys part: depths 0, 1, 2 and 3.
        check(&[0x00, 0x10], &[0x00, 0x10], 6);
        check(&[0x00, 0x40, 0x80], &[0x80], 2);
        check(&[0x00, 0x40, 0x80], &[0x40], 3);
        // An old tree, in which a new key's path ends at a missing child, or at another leaf.
        check(&[0x00, 0x10], &[0x80], 1);
        check(&[0x00, 0x80], &[0xc0], 2);
    }
}
