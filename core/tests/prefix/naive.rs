//! The prefix tree's rules written down as plainly as possible, over a sorted list of leaves; and what tests share.

use std::collections::BTreeMap;

use pds_core::prefix::{MemoryPages, PrefixTree, Update, key_of};
use pds_schemas::prefix::{Change, PrefixProof, Terminal, TransitionProof};
use pds_schemas::{Digest, EpochNumber, PluginName};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

type List = Vec<(Digest, Digest)>;

/// Key and commitment of every leaf.
pub type Leaves = BTreeMap<Digest, Digest>;

pub fn sha(parts: &[&[u8]]) -> Digest {
    Digest(Sha256::digest(parts.concat()).into())
}

pub fn digest(number: u64) -> Digest {
    sha(&[&number.to_be_bytes()])
}

/// A key that begins with these bits and goes on with zeros.
pub fn bits(text: &str) -> Digest {
    let mut key = Digest::ZERO;
    for (i, bit) in text.chars().enumerate() {
        key.0[i / 8] |= u8::from(bit == '1') << (7 - i % 8);
    }
    key
}

pub fn flip(digest: &Digest, bit: usize) -> Digest {
    let mut flipped = *digest;
    flipped.0[bit / 8] ^= 0x80 >> (bit % 8);
    flipped
}

pub fn root(leaves: &Leaves) -> Digest {
    node(&list(leaves), 0)
}

pub fn proof(leaves: &Leaves, key: &Digest) -> PrefixProof {
    let mut copath = Vec::new();
    let mut here = list(leaves);
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

pub fn transition(leaves: &Leaves, updates: &[Update]) -> TransitionProof {
    let (mut kinds, mut values) = (Vec::new(), Vec::new());
    describe(&list(leaves), updates, 0, &mut kinds, &mut values);
    TransitionProof { kinds: pack(&kinds), values }
}

/// Two bits a kind, most significant first.
pub fn pack(kinds: &[u8]) -> Vec<u8> {
    let byte = |four: &[u8]| four.iter().enumerate().fold(0, |byte, (i, kind)| byte | kind << (6 - 2 * i));
    kinds.chunks(4).map(byte).collect()
}

fn describe(
    leaves: &[(Digest, Digest)],
    updates: &[Update],
    depth: usize,
    kinds: &mut Vec<u8>,
    values: &mut Vec<u8>,
) {
    match (leaves, updates) {
        ([], _) => kinds.push(0),
        (_, []) => {
            kinds.push(1);
            values.extend(node(leaves, depth).0);
        }
        ([(key, _)], _) if depth > 0 && updates.iter().any(|update| update.key == *key) => kinds.push(1),
        ([(key, commitment)], _) if depth > 0 => {
            kinds.push(2);
            values.extend(key.0);
            values.extend(commitment.0);
        }
        _ => {
            kinds.push(3);
            let (left, right) = halves(leaves, depth);
            let (ones, zeros): (Vec<_>, Vec<_>) = updates.iter().partition(|update| update.key.bit(depth));
            describe(&left, &zeros, depth + 1, kinds, values);
            describe(&right, &ones, depth + 1, kinds, values);
        }
    }
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

fn list(leaves: &Leaves) -> List {
    leaves.iter().map(|(key, commitment)| (*key, *commitment)).collect()
}

/// The updates that turn `leaves` into `leaves` overlaid with `new`.
pub fn updates(leaves: &Leaves, new: &Leaves) -> Vec<Update> {
    let update =
        |(key, new): (&Digest, &Digest)| Update { key: *key, old: leaves.get(key).copied(), new: *new };
    new.iter().map(update).collect()
}

/// A change set that admits these names with commitments made from `salt`.
pub fn changes(names: &[&str], leaves: &Leaves, salt: u64) -> Vec<Change> {
    let change = |name: &&str| {
        let name = PluginName::new(*name).unwrap();
        let key = key_of(&name);
        let new = sha(&[name.as_str().as_bytes(), &salt.to_be_bytes()]);
        Change { key, name, old: leaves.get(&key).copied(), new }
    };
    let mut changes: Vec<_> = names.iter().map(change).collect();
    changes.sort_by_key(|change| change.key);
    changes
}

/// A tree with its pages, and the naive one that it should be equal to.
#[derive(Clone, Default)]
pub struct Grown {
    pub tree: PrefixTree,
    pub pages: MemoryPages,
    pub leaves: Leaves,
    pub next: u64,
}

impl Grown {
    pub fn of(leaves: &Leaves) -> Self {
        let mut grown = Self::default();
        grown.grow(leaves);
        grown
    }

    pub fn grow(&mut self, new: &Leaves) {
        let updates = updates(&self.leaves, new);
        let applied = self.tree.apply_updates(&self.pages, EpochNumber(self.next), &updates).unwrap();
        self.tree = applied.tree;
        self.pages.extend(applied.pages);
        self.leaves.extend(new);
        self.next += 1;
    }

    /// The same tree with nothing in memory.
    pub fn cold(&self) -> PrefixTree {
        PrefixTree::open(self.tree.root(), self.tree.root_page()).unwrap()
    }
}

/// `count` leaves with keys spread as names' keys are.
pub fn spread(from: u64, count: u64) -> Leaves {
    (from..from + count).map(|i| (digest(i), digest(i + 1_000_000))).collect()
}

/// Leaves whose keys crowd around three places, down to 254 shared bits.
pub fn crowded(most: usize) -> impl Strategy<Value = Leaves> {
    prop::collection::vec((0u64..3, 0usize..250, 0u64..1000, 0u64..1000), 0..most).prop_map(|picks| {
        let mut leaves = Leaves::new();
        for (base, shared, tail, commitment) in picks {
            let mut key = digest(tail);
            for bit in 0..shared {
                if key.bit(bit) != digest(base).bit(bit) {
                    key = flip(&key, bit);
                }
            }
            if leaves.keys().all(|other| *other == key || other.common_prefix(&key) < 255) {
                leaves.insert(key, digest(commitment));
            }
        }
        leaves
    })
}

/// Two crowded sets whose union has no two keys that share 255 bits.
pub fn crowded_pair(most: usize) -> impl Strategy<Value = (Leaves, Leaves)> {
    (crowded(most), crowded(most)).prop_map(|(first, mut second)| {
        second.retain(|key, _| first.keys().all(|other| other == key || other.common_prefix(key) < 255));
        (first, second)
    })
}
