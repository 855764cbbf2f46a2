//! Trees as their definitions say, over lists and without a thought of speed: what the real ones are held against.

use std::collections::BTreeMap;

use pds_schemas::Digest;
use pds_schemas::prefix::{PrefixProof, Terminal};
use sha2::{Digest as _, Sha256};

/// Key and commitment of every leaf of a prefix tree.
pub type Leaves = BTreeMap<Digest, Digest>;
type List = Vec<(Digest, Digest)>;

/// SHA-256 of `parts`, one after the other.
pub fn sha(parts: &[&[u8]]) -> Digest {
    Digest(Sha256::digest(parts.concat()).into())
}

/// Root of the prefix tree of `leaves`.
pub fn prefix_root(leaves: &Leaves) -> Digest {
    node(&leaves.clone().into_iter().collect::<List>(), 0)
}

/// The one proof that there is about `key`.
pub fn prefix_proof(leaves: &Leaves, key: &Digest) -> PrefixProof {
    let mut copath = Vec::new();
    let mut here: List = leaves.clone().into_iter().collect();
    while here.len() > 1 || here.len() == 1 && copath.is_empty() {
        let (left, right) = halves(&here, copath.len());
        let (next, sibling) = if key.bit(copath.len()) { (right, left) } else { (left, right) };
        copath.push((!sibling.is_empty()).then(|| node(&sibling, copath.len() + 1)));
        here = next;
    }
    copath.reverse();
    let terminal = match here.first() {
        None => Terminal::MissingChild,
        Some((held, _)) if held == key => Terminal::Inclusion,
        Some((held, commitment)) => Terminal::OtherLeaf { key: *held, commitment: *commitment },
    };
    PrefixProof { terminal, copath }
}

fn node(leaves: &[(Digest, Digest)], depth: usize) -> Digest {
    match leaves {
        [] => Digest::ZERO,
        [(key, commitment)] if depth > 0 => sha(&[&[2], key.as_ref(), commitment.as_ref()]),
        _ => {
            let (left, right) = halves(leaves, depth);
            sha(&[&[3], node(&left, depth + 1).as_ref(), node(&right, depth + 1).as_ref()])
        }
    }
}

fn halves(leaves: &[(Digest, Digest)], bit: usize) -> (List, List) {
    let (right, left) = leaves.iter().partition(|(key, _)| key.bit(bit));
    (left, right)
}

/// RFC 6962 section 2.1: the Merkle tree hash over leaves that are hashed already.
pub fn log_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => sha(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            sha(&[&[1], log_root(left).as_ref(), log_root(right).as_ref()])
        }
    }
}

/// RFC 6962 section 2.1.1: the audit path of a leaf.
pub fn log_path(leaves: &[Digest], index: usize) -> Vec<Digest> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = match index.checked_sub(left.len()) {
        None => (log_path(left, index), log_root(right)),
        Some(index) => (log_path(right, index), log_root(left)),
    };
    path.push(sibling);
    path
}
