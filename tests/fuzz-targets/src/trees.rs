//! Proofs against naive trees: what is made verifies, and what verifies is true and is the proof that would be made.

use std::collections::BTreeSet;

use pds_core::log::proof::{
    ConsistencyError, prove_consistency, prove_inclusion, verify_consistency, verify_inclusion,
};
use pds_core::log::{MemoryLog, NodeReader as _};
use pds_core::prefix::{self, MemoryPages, PrefixTree, TransitionError, Update, verify_updates};
use pds_schemas::prefix::{PrefixProof, TransitionProof};
use pds_schemas::{Artefact, Digest, EpochNumber, TreeSize};

use crate::feed::Feed;
use crate::naive::{Leaves, log_path, log_root, prefix_proof as naive_proof, prefix_root};

/// A key that shares some bits with one of three others, so that trees get deep.
fn key(feed: &mut Feed<'_>) -> Digest {
    let base = pds_core::hash::sha256(&[feed.byte() % 3]);
    let (shared, mut key) = (usize::from(feed.byte()), feed.digest());
    for bit in 0..shared.min(250) {
        let mask = 0x80 >> (bit % 8);
        key.0[bit / 8] = key.0[bit / 8] & !mask | base.0[bit / 8] & mask;
    }
    key
}

fn leaves(feed: &mut Feed<'_>, most: usize) -> Leaves {
    let count = feed.below(most);
    let mut leaves = Leaves::new();
    for _ in 0..count {
        let (key, commitment) = (key(feed), feed.digest());
        if leaves.keys().all(|other| *other == key || other.common_prefix(&key) < 255) {
            leaves.insert(key, commitment);
        }
    }
    leaves
}

fn updates(leaves: &Leaves, new: &Leaves) -> Vec<Update> {
    let update =
        |(key, new): (&Digest, &Digest)| Update { key: *key, old: leaves.get(key).copied(), new: *new };
    new.iter().map(update).collect()
}

fn grown(leaves: &Leaves) -> (PrefixTree, MemoryPages) {
    let mut pages = MemoryPages::default();
    let applied = PrefixTree::empty().apply_updates(&pages, EpochNumber(0), &updates(&Leaves::new(), leaves));
    let applied = applied.expect("new keys, none too close to another");
    pages.extend(applied.pages);
    (applied.tree, pages)
}

/// A proof about a key, forged a little.
pub fn prefix_proof(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let leaves = leaves(&mut feed, 24);
    let (tree, pages) = grown(&leaves);
    assert_eq!(tree.root(), prefix_root(&leaves));
    let known = (!leaves.is_empty() && feed.byte() % 2 == 0).then(|| feed.below(leaves.len()));
    let key = match known.and_then(|i| leaves.keys().nth(i)) {
        Some(key) => *key,
        None => key(&mut feed),
    };
    let honest = tree.prove(&pages, &key).expect("pages that were just written");
    assert_eq!(honest, naive_proof(&leaves, &key));

    let asked = if feed.byte() % 4 == 0 { self::key(&mut feed) } else { key };
    let forged = feed.edit(&honest.to_bytes(), 6);
    let Ok(forged) = PrefixProof::from_bytes(&forged) else { return };
    let commitment = match leaves.get(&asked) {
        Some(commitment) if feed.byte() % 4 != 0 => *commitment,
        _ => feed.digest(),
    };
    let root = tree.root();
    if prefix::verify_inclusion(&root, &asked, &commitment, &forged).is_ok() {
        assert_eq!(leaves.get(&asked), Some(&commitment));
        assert_eq!(forged, naive_proof(&leaves, &asked));
    }
    if prefix::verify_absence(&root, &asked, &forged).is_ok() {
        assert_eq!(leaves.get(&asked), None);
        assert_eq!(forged, naive_proof(&leaves, &asked));
    }
}

/// A step from one tree to the next, forged a little.
pub fn transition(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let leaves = leaves(&mut feed, 16);
    let mut new = self::leaves(&mut feed, 8);
    for _ in 0..feed.below(4) {
        let at = feed.below(leaves.len().max(1));
        new.extend(leaves.keys().nth(at).map(|key| (*key, feed.digest())));
    }
    new.retain(|key, _| leaves.keys().all(|other| other == key || other.common_prefix(key) < 255));
    let (tree, pages) = grown(&leaves);
    let honest = updates(&leaves, &new);
    let applied = tree.apply_updates(&pages, EpochNumber(1), &honest).expect("keys far enough apart");
    let (old_root, new_root) = (tree.root(), applied.tree.root());
    assert_eq!(new_root, prefix_root(&overlaid(&leaves, &honest)));
    assert_eq!(verify_updates(&old_root, &new_root, &honest, &applied.proof), Ok(()));

    let proof = TransitionProof {
        kinds: feed.edit(&applied.proof.kinds, 3),
        values: feed.edit(&applied.proof.values, 3),
    };
    let forged = forge(honest, &mut feed);
    match verify_updates(&old_root, &new_root, &forged, &proof) {
        Ok(()) => {
            assert!(forged.iter().all(|update| leaves.get(&update.key) == update.old.as_ref()));
            assert_eq!(prefix_root(&overlaid(&leaves, &forged)), new_root);
            let only = tree.apply_updates(&pages, EpochNumber(1), &forged).expect("a true change set");
            assert_eq!(proof, only.proof);
        }
        // With the roots that it leads to, a proof gets as far as it can.
        Err(TransitionError::OldRoot { computed: old }) => {
            if let Err(TransitionError::NewRoot { computed: new }) =
                verify_updates(&old, &Digest::ZERO, &forged, &proof)
            {
                assert_eq!(verify_updates(&old, &new, &forged, &proof), Ok(()));
            }
        }
        Err(_) => {}
    }
}

/// The same updates, some of them altered, left out or added.
fn forge(mut updates: Vec<Update>, feed: &mut Feed<'_>) -> Vec<Update> {
    for _ in 0..feed.below(4) {
        let at = feed.below(updates.len() + 1);
        match (feed.byte() % 5, updates.get_mut(at)) {
            (0, Some(_)) => drop(updates.remove(at)),
            (1, Some(update)) => update.old = None,
            (2, Some(update)) => update.old = Some(feed.digest()),
            (3, Some(update)) => update.new = feed.digest(),
            _ => updates.push(Update { key: key(feed), old: None, new: feed.digest() }),
        }
    }
    if !feed.byte().is_multiple_of(8) {
        updates.sort_by_key(|update| update.key);
    }
    updates
}

fn overlaid(leaves: &Leaves, updates: &[Update]) -> Leaves {
    let mut leaves = leaves.clone();
    leaves.extend(updates.iter().map(|update| (update.key, update.new)));
    leaves
}

/// Inclusion and consistency in a log, forged a little; and both for sizes that no log has.
pub fn log_proof(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let size = 1 + feed.below(70);
    let leaf = |i: usize| pds_core::hash::sha256(&i.to_be_bytes());
    let leaves: Vec<Digest> = (0..size).map(leaf).collect();
    let log: MemoryLog = leaves.iter().copied().collect();
    let root = log_root(&leaves);
    assert_eq!(log.root(), root);
    assert_eq!(log.node(0, 0), Ok(leaves[0]));

    let (index, claimed) = (feed.below(size), feed.below(size + 1));
    let to = TreeSize(size as u64);
    let honest = prove_inclusion(&log, index as u64, to).expect("a leaf of the log");
    assert_eq!(honest, log_path(&leaves, index));
    assert_eq!(verify_inclusion(&leaves[index], index as u64, to, &honest, &root), Ok(()));
    let forged = edit_hashes(&honest, &mut feed);
    let offered = if feed.byte() % 2 == 0 { leaf(claimed) } else { leaves[index] };
    if verify_inclusion(&offered, claimed as u64, to, &forged, &root).is_ok() {
        assert_eq!(leaves.get(claimed), Some(&offered));
        assert_eq!(forged, log_path(&leaves, claimed));
    }

    let from = 1 + feed.below(size);
    let (earlier, from_root) = (TreeSize(from as u64), log_root(&leaves[..from]));
    let honest = prove_consistency(&log, earlier, to).expect("sizes of the log");
    assert_eq!(verify_consistency(earlier, &from_root, to, &root, &honest), Ok(()));
    let forged = edit_hashes(&honest, &mut feed);
    let stated = if feed.byte() % 2 == 0 { log_root(&leaves[..feed.below(size + 1)]) } else { from_root };
    match verify_consistency(earlier, &stated, to, &root, &forged) {
        Ok(()) => assert!(stated == from_root && forged == honest),
        Err(ConsistencyError::Shrank { .. }) => unreachable!("it has grown"),
        Err(_) => assert!(stated != from_root || forged != honest),
    }

    let (index, from, to) = (feed.long(), TreeSize(feed.long()), TreeSize(feed.long()));
    let _ = verify_inclusion(&root, index, to, &forged, &from_root);
    let _ = verify_consistency(from, &root, to, &from_root, &forged);
}

fn edit_hashes(hashes: &[Digest], feed: &mut Feed<'_>) -> Vec<Digest> {
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
    feed.edit(&bytes, 3).as_chunks().0.iter().copied().map(Digest).collect()
}

/// Paths and contents, as `SourceTree` takes them, against a plain set of paths.
pub fn source_tree(bytes: &[u8]) {
    use pds_plugin::source::{PathError, SourceTree, check_path, source_digest};
    let mut feed = Feed(bytes);
    let (mut tree, mut files) = (SourceTree::default(), BTreeSet::new());
    while !feed.is_dry() && files.len() < 64 {
        let Ok(path) = std::str::from_utf8(feed.chunk()) else { continue };
        let below = |file: &str, folder: &str| file.strip_prefix(folder).is_some_and(|r| r.starts_with('/'));
        let expected = match check_path(path) {
            Err(cause) => Err(cause),
            Ok(()) if files.contains(path) => Err(PathError::Duplicate),
            Ok(()) if files.iter().any(|f: &String| below(f, path) || below(path, f)) => {
                Err(PathError::FileAndFolder)
            }
            Ok(()) => Ok(()),
        };
        assert_eq!(tree.insert(path, path.as_bytes().to_vec()), expected, "{path:?}");
        if expected.is_ok() {
            assert!(!path.split('/').any(|part| matches!(part, "" | "." | "..")), "{path:?}");
            files.insert(path.to_owned());
        }
    }
    assert_eq!(tree.files().map(|(path, _)| path).collect::<Vec<_>>(), files.iter().collect::<Vec<_>>());
    assert_eq!(source_digest(&tree), tree_digest(tree.files()));
}

/// The digest of a source tree, from its definition.
pub fn tree_digest<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Option<Digest> {
    let leaf = |(path, content): (&str, &[u8])| {
        let length = u32::try_from(path.len()).expect("at most 250 bytes").to_be_bytes();
        pds_core::hash::leaf_hash(&[&length, path.as_bytes(), content].concat())
    };
    let leaves: Vec<Digest> = files.map(leaf).collect();
    (!leaves.is_empty()).then(|| log_root(&leaves))
}
