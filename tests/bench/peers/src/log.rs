//! rs_merkle's tree with an RFC 6962 hasher as a log.

use rs_merkle::{Hasher, MerkleTree};
use sha2::{Digest, Sha256};

use crate::measure::{cpu, say_time};

/// RFC 6962 section 2.1.
#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = [u8; 32];

    fn hash(data: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update([0]).chain_update(data).finalize().into()
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        let node = |right| Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize();
        right.map_or(*left, |right| node(right).into())
    }
}

/// Entries that are appended to the full log at once.
const MORE: usize = 100;

/// Appends `entries` of 32 bytes in one commit, then a few more.
pub fn measure(entries: usize) {
    let leaf = |i: usize| Rfc6962::hash(&Rfc6962::hash(&i.to_be_bytes()));
    let raw: Vec<[u8; 32]> = (0..entries).map(|i| Rfc6962::hash(&i.to_be_bytes())).collect();
    let mut tree = MerkleTree::<Rfc6962>::new();
    let ((), time) = cpu(|| {
        let mut leaves = raw.iter().map(|entry| Rfc6962::hash(entry)).collect();
        tree.append(&mut leaves);
        tree.commit();
    });
    let each = time.as_nanos() as f64 / entries as f64;
    say_time("rs-merkle-append", entries, each, "rs_merkle: appending all of them at once, each");
    let ((), time) = cpu(|| {
        let mut leaves = (entries..entries + MORE).map(leaf).collect();
        tree.append(&mut leaves);
        tree.commit();
    });
    let each = time.as_nanos() as f64 / MORE as f64;
    say_time("rs-merkle-append-more", entries, each, "rs_merkle: appending 100 more to them, each");
}
