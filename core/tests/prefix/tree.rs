use std::cell::Cell;
use std::convert::Infallible;
use std::ops::ControlFlow;

use pds_core::prefix::{
    ApplyError, ChangeError, EpochTooLarge, MAX_CHANGES, MemoryPages, OpenError, PageId, PageSource,
    PrefixTree, Update, key_of, recompute_root, verify_absence, verify_inclusion,
};
use pds_schemas::prefix::{Change, PrefixProof, Terminal, TransitionProof};
use pds_schemas::{Digest, EpochNumber, PluginName};
use proptest::prelude::*;

use crate::naive::{self, Grown, Leaves, bits, changes, crowded_pair, digest, sha, spread, updates};

const NAMES: [&str; 5] =
    ["be.mpiraux.datagram", "be.mpiraux.fec", "org.example.multipath", "org.example.monitoring", "a.b"];

/// Asked for in tests: what is there, what nearly is, and what is not.
fn probes(leaves: &Leaves) -> Vec<Digest> {
    let near = leaves.keys().flat_map(|key| [0, 1, 3, 4, 5, 9, 100, 255].map(|bit| naive::flip(key, bit)));
    leaves.keys().copied().chain(near).chain((0..20).map(|i| digest(i + 5_000_000))).collect()
}

fn check_against_naive(tree: &PrefixTree, pages: &MemoryPages, leaves: &Leaves) {
    assert_eq!(tree.root(), naive::root(leaves));
    for key in probes(leaves) {
        let proof = tree.prove(pages, &key).unwrap();
        assert_eq!(proof, naive::proof(leaves, &key), "{key}");
        assert_eq!(tree.prove_uncached(pages, &key).unwrap(), proof);
        assert_eq!(tree.lookup(pages, &key).unwrap(), leaves.get(&key).copied());
        match leaves.get(&key) {
            Some(commitment) => verify_inclusion(&tree.root(), &key, commitment, &proof).unwrap(),
            None => verify_absence(&tree.root(), &key, &proof).unwrap(),
        }
    }
}

#[test]
fn empty_tree_has_the_zero_root_and_proves_absence() {
    let tree = PrefixTree::empty();
    assert_eq!((tree.root(), tree.root_page()), (Digest::ZERO, None));
    let proof = tree.prove(&MemoryPages::default(), &digest(1)).unwrap();
    assert_eq!(proof, PrefixProof { terminal: Terminal::MissingChild, copath: vec![] });
    verify_absence(&Digest::ZERO, &digest(1), &proof).unwrap();
}

/// Roots computed with Python's `hashlib` from the profile's rules, over commitments SHA-256(name ‖ 8 zero bytes).
#[test]
fn root_is_the_golden_one() {
    let check = |count: usize, expect: &str| {
        let changes = changes(&NAMES[..count], &Leaves::new(), 0);
        let applied = PrefixTree::empty().apply(&MemoryPages::default(), EpochNumber(0), &changes).unwrap();
        assert_eq!(applied.tree.root().to_string(), expect, "{count}");
    };
    check(0, "0000000000000000000000000000000000000000000000000000000000000000");
    check(1, "c5ed6cc6b8cdffd66a052a5622ac40ba21e80be20d33c1f7efacffeea6455681");
    check(2, "2ff9ab514d5b625046386e4ec57dfbfd2b399311d05ed711580f0d744dbc9788");
    check(3, "75fab0d8af0aca0cab6696ae914bdc363c29489f503cfe3ca481890f7136ffef");
    check(4, "bc4266a0d73c32527ec19a46411b864db69dccc89096197d81986b7537a7d33c");
    check(5, "1fe71d6781109e9ab36583e0ce4861e2f45d289671d8ed9bb306dea5b71c8d7a");
}

/// The two figures of draft-ietf-keytrans-protocol, "Prefix Tree", with the hashing written out.
#[test]
fn root_has_the_shape_of_the_figures() {
    let leaf = |key: &str| sha(&[&[2], bits(key).as_ref(), digest(0).as_ref()]);
    let parent = |left: Digest, right: Digest| sha(&[&[3], left.as_ref(), right.as_ref()]);
    let none = Digest::ZERO;
    let five = ["00010", "00101", "10001", "10111", "11011"];
    let right = parent(parent(leaf("10001"), leaf("10111")), leaf("11011"));
    let mut grown = Grown::of(&five.iter().map(|key| (bits(key), digest(0))).collect());
    let left = parent(parent(leaf("00010"), leaf("00101")), none);
    assert_eq!(grown.tree.root(), parent(left, right));

    grown.grow(&[(bits("01101"), digest(0))].into());
    let left = parent(parent(leaf("00010"), leaf("00101")), leaf("01101"));
    assert_eq!(grown.tree.root(), parent(left, right));
}

#[test]
fn lone_leaf_sits_at_depth_one() {
    let key = bits("1");
    let grown = Grown::of(&[(key, digest(0))].into());
    let leaf = sha(&[&[2], key.as_ref(), digest(0).as_ref()]);
    assert_eq!(grown.tree.root(), sha(&[&[3], &[0; 32], leaf.as_ref()]));
    check_against_naive(&grown.tree, &grown.pages, &grown.leaves);
}

#[test]
fn tree_equals_the_naive_one_at_every_size() {
    for count in [1, 2, 3, 5, 8, 17, 40, 100, 300] {
        let grown = Grown::of(&spread(0, count));
        check_against_naive(&grown.tree, &MemoryPages::default(), &grown.leaves);
        check_against_naive(&grown.cold(), &grown.pages, &grown.leaves);
    }
}

#[test]
fn past_epochs_stay_provable() {
    let mut grown = Grown::default();
    let mut past = Vec::new();
    for epoch in 0..12 {
        // Half of each epoch's leaves were there before and are replaced.
        let new =
            spread(epoch * 15, 30).into_iter().map(|(key, old)| (key, sha(&[old.as_ref(), &[epoch as u8]])));
        grown.grow(&new.collect());
        past.push((grown.cold(), grown.leaves.clone()));
    }
    for (tree, leaves) in past {
        check_against_naive(&tree, &grown.pages, &leaves);
    }
}

/// Readers keep the trees of past epochs, shared with the writer's and never read from anywhere.
#[test]
fn snapshots_stay_as_they_were_while_the_tree_goes_on() {
    let none = MemoryPages::default();
    let (mut tree, mut leaves) = (PrefixTree::empty(), Leaves::new());
    let mut snapshots = Vec::new();
    for epoch in 0..100 {
        // A few of those before are replaced, a few are new, another number of them in each epoch.
        let count = digest(epoch).0[0] as u64 % 23 + 1;
        let old = leaves.keys().step_by(7 + epoch as usize % 5).copied();
        let new: Leaves =
            spread(epoch * 40, count).into_keys().chain(old).map(|key| (key, digest(epoch))).collect();
        let applied = tree.apply_updates(&none, EpochNumber(epoch), &updates(&leaves, &new)).unwrap();
        tree = applied.tree;
        leaves.extend(new);
        snapshots.push((tree.clone(), leaves.clone()));
    }
    // Dropped out of order: what a tree shares with those that are gone must not go with them.
    for (tree, leaves) in snapshots.into_iter().rev().step_by(3) {
        assert_eq!(tree.root(), naive::root(&leaves));
        for key in leaves.keys().step_by(11).copied().chain((0..3).map(|i| digest(i + 5_000_000))) {
            let proof = tree.prove(&none, &key).unwrap();
            assert_eq!(proof, naive::proof(&leaves, &key));
            assert_eq!(tree.lookup(&none, &key).unwrap(), leaves.get(&key).copied());
        }
    }
}

#[test]
fn snapshot_is_read_by_other_threads_while_the_tree_goes_on() {
    let mut grown = Grown::of(&spread(0, 500));
    let (snapshot, leaves) = (grown.tree.clone(), grown.leaves.clone());
    std::thread::scope(|scope| {
        let readers = [0, 1].map(|first| {
            let (snapshot, leaves) = (&snapshot, &leaves);
            scope.spawn(move || {
                for (key, commitment) in leaves.iter().skip(first).step_by(2) {
                    let proof = snapshot.prove(&MemoryPages::default(), key).unwrap();
                    verify_inclusion(&snapshot.root(), key, commitment, &proof).unwrap();
                }
            })
        });
        for epoch in 1..20 {
            grown.grow(&spread(epoch * 30, 60));
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert_eq!(snapshot.root(), naive::root(&leaves));
    assert_eq!(grown.tree.root(), naive::root(&grown.leaves));
}

#[test]
fn batch_equals_its_changes_one_by_one() {
    let leaves = spread(0, 200);
    let batch = Grown::of(&leaves);
    let mut steps = Grown::default();
    for (key, commitment) in &leaves {
        steps.grow(&[(*key, *commitment)].into());
    }
    assert_eq!(batch.tree.root(), steps.tree.root());
}

#[test]
fn empty_change_set_writes_nothing() {
    let grown = Grown::of(&spread(0, 10));
    let applied = grown.tree.apply(&grown.pages, EpochNumber(9), &[]).unwrap();
    assert_eq!(applied.pages, []);
    assert_eq!((applied.tree.root(), applied.tree.root_page()), (grown.tree.root(), Some(EpochNumber(0))));
    let values = grown.tree.root().0.to_vec();
    assert_eq!(applied.proof, TransitionProof { kinds: vec![0b0100_0000], values });
}

#[test]
fn leaves_at_depth_255_are_proved() {
    let zeros = Digest::ZERO;
    let leaves: Leaves = [(zeros, digest(0)), (naive::flip(&zeros, 254), digest(1))].into();
    let grown = Grown::of(&leaves);
    assert_eq!(grown.tree.prove(&grown.pages, &zeros).unwrap().copath.len(), 255);
    check_against_naive(&grown.cold(), &grown.pages, &leaves);
}

#[test]
fn leaf_at_depth_256_is_refused() {
    let (first, second) = (Digest::ZERO, naive::flip(&Digest::ZERO, 255));
    let check = |grown: &Grown, leaves: Leaves| {
        let updates = updates(&grown.leaves, &leaves);
        let error = grown.tree.apply_updates(&grown.pages, EpochNumber(5), &updates).unwrap_err();
        assert!(matches!(error, ApplyError::TooDeep(_)), "{error}");
    };
    check(&Grown::default(), [(first, digest(0)), (second, digest(1))].into());
    check(&Grown::of(&[(first, digest(0))].into()), [(second, digest(1))].into());
    let deep = Grown::of(&[(first, digest(0)), (naive::flip(&first, 252), digest(0))].into());
    check(&deep, [(second, digest(1))].into());
}

#[test]
fn change_set_is_refused_with_its_cause() {
    let grown = Grown::default();
    let good = changes(&NAMES, &Leaves::new(), 0);
    let check = |changes: &[Change], expect: ChangeError| {
        let error = grown.tree.apply(&grown.pages, EpochNumber(0), changes).unwrap_err();
        assert_eq!(error, ApplyError::Changes(expect));
    };
    let mut swapped = good.clone();
    swapped.swap(2, 3);
    check(&swapped, ChangeError::Order(3));
    let mut repeated = good.clone();
    repeated.insert(1, good[1].clone());
    check(&repeated, ChangeError::Order(2));
    let mut renamed = good.clone();
    renamed[4].name = PluginName::new("not.it").unwrap();
    check(&renamed, ChangeError::Key(4));
    check(&vec![good[0].clone(); MAX_CHANGES + 1], ChangeError::TooMany(MAX_CHANGES + 1));
}

#[test]
fn change_is_refused_when_its_old_commitment_is_not_the_held_one() {
    let mut grown = Grown::of(&spread(0, 50));
    grown.grow(&[(bits("0"), digest(7))].into());
    let check = |key: Digest, stated: Option<Digest>| {
        let update = Update { key, old: stated, new: digest(9) };
        let held = grown.leaves.get(&key).copied();
        let error = grown.tree.apply_updates(&grown.pages, EpochNumber(2), &[update]).unwrap_err();
        assert_eq!(error, ApplyError::Old { key, stated, held });
    };
    check(digest(3), None);
    check(digest(3), Some(digest(3)));
    check(digest(3), Some(Digest::ZERO));
    for absent in 60..100 {
        check(digest(absent), Some(digest(absent)));
        check(digest(absent), Some(Digest::ZERO));
    }
    let update = Update { key: digest(3), old: Some(digest(3)), new: digest(9) };
    let empty = PrefixTree::empty().apply_updates(&grown.pages, EpochNumber(2), &[update]).unwrap_err();
    assert_eq!(empty, ApplyError::Old { key: digest(3), stated: Some(digest(3)), held: None });
}

#[test]
fn epoch_is_refused_when_it_would_overwrite_pages_or_has_no_key() {
    let mut grown = Grown { next: 7, ..Grown::default() };
    grown.grow(&spread(0, 3));
    let updates = updates(&grown.leaves, &spread(3, 3));
    let check = |epoch, expect: ApplyError<Infallible>| {
        assert_eq!(grown.tree.apply_updates(&grown.pages, EpochNumber(epoch), &updates).unwrap_err(), expect);
    };
    check(7, ApplyError::EpochNotNew { epoch: EpochNumber(7), last: EpochNumber(7) });
    check(0, ApplyError::EpochNotNew { epoch: EpochNumber(0), last: EpochNumber(7) });
    let above = EpochNumber(u64::from(u32::MAX) + 1);
    check(above.0, ApplyError::Epoch(EpochTooLarge(above)));
    assert!(grown.tree.apply_updates(&grown.pages, EpochNumber(u32::MAX.into()), &updates).is_ok());
}

#[test]
fn tree_is_not_opened_when_root_and_page_disagree() {
    let check = |root, page, expect| assert_eq!(PrefixTree::open(root, page).unwrap_err(), expect);
    check(digest(1), None, OpenError::NoPage(digest(1)));
    check(Digest::ZERO, Some(EpochNumber(3)), OpenError::EmptyWithPage(EpochNumber(3)));
    let above = EpochNumber(1 << 32);
    check(digest(1), Some(above), OpenError::Epoch(EpochTooLarge(above)));
    assert_eq!(PrefixTree::open(Digest::ZERO, None).unwrap().root(), Digest::ZERO);
}

/// Counts what is read.
struct Counting<'a>(&'a MemoryPages, Cell<usize>);

impl PageSource for Counting<'_> {
    type Error = Infallible;

    fn page(&self, id: &PageId) -> Result<Option<Vec<u8>>, Infallible> {
        self.1.set(self.1.get() + 1);
        self.0.page(id)
    }
}

#[test]
fn pages_stay_in_memory_only_when_asked_to() {
    let grown = Grown::of(&spread(0, 500));
    let source = Counting(&grown.pages, Cell::new(0));
    let cold = grown.cold();
    let reads = |task: &dyn Fn()| {
        source.1.set(0);
        task();
        source.1.get()
    };
    let uncached = || drop(cold.prove_uncached(&source, &digest(3)).unwrap());
    let depth = reads(&uncached);
    assert!(depth > 1);
    assert_eq!(reads(&uncached), depth);
    let walk = || {
        assert_eq!(
            cold.for_each_leaf(&source, |_| ControlFlow::<()>::Continue(())),
            Ok(ControlFlow::Continue(()))
        )
    };
    assert_eq!(reads(&walk), grown.pages.0.len());
    assert_eq!(reads(&walk), grown.pages.0.len());
    assert_eq!(reads(&|| drop(cold.prove(&source, &digest(3)).unwrap())), depth);
    assert_eq!(reads(&|| drop(cold.prove(&source, &digest(3)).unwrap())), 0);
    assert_eq!(reads(&|| _ = cold.clone().lookup(&source, &digest(3)).unwrap()), 0);
    assert_eq!(reads(&|| drop(grown.tree.prove(&source, &digest(3)).unwrap())), 0);
}

#[test]
fn change_reads_only_the_pages_on_its_path() {
    let grown = Grown::of(&spread(0, 500));
    let source = Counting(&grown.pages, Cell::new(0));
    let update = Update { key: digest(3), old: Some(grown.leaves[&digest(3)]), new: digest(4) };
    let applied = grown.cold().apply_updates(&source, EpochNumber(1), &[update]).unwrap();
    assert_eq!(applied.pages.len(), source.1.get());
    assert!(applied.pages.iter().all(|(id, _)| id.epoch() == EpochNumber(1)));
}

#[test]
fn walk_shows_every_leaf_in_order_and_stops_when_told() {
    let mut grown = Grown::of(&spread(0, 300));
    grown.grow(&spread(100, 300));
    let mut seen = Vec::new();
    let flow = grown.cold().for_each_leaf(&grown.pages, |leaf| {
        seen.push((leaf.key, leaf.commitment));
        if seen.len() == 350 { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
    });
    assert_eq!(flow, Ok(ControlFlow::Break("enough")));
    let expect: Vec<_> = grown.leaves.clone().into_iter().take(350).collect();
    assert_eq!(seen, expect);
    let flow = PrefixTree::empty().for_each_leaf(&grown.pages, |_| ControlFlow::Break(()));
    assert_eq!(flow, Ok(ControlFlow::Continue(())));
}

#[test]
fn key_is_the_hash_of_the_name() {
    let name = PluginName::new("be.mpiraux.datagram").unwrap();
    assert_eq!(key_of(&name), sha(&[b"be.mpiraux.datagram"]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn crowded_tree_equals_the_naive_one((first, second) in crowded_pair(24)) {
        let mut grown = Grown::of(&first);
        let before = grown.cold();
        let updates = updates(&grown.leaves, &second);
        let applied = before.apply_updates(&grown.pages, EpochNumber(1), &updates).unwrap();
        prop_assert_eq!(&applied.proof, &naive::transition(&first, &updates));
        if !applied.pages.is_empty() {
            let read_back = recompute_root(EpochNumber(1), applied.pages.clone());
            prop_assert_eq!(read_back, Ok(applied.tree.root()));
        }
        grown.grow(&second);
        prop_assert_eq!(applied.tree.root(), grown.tree.root());
        check_against_naive(&grown.tree, &MemoryPages::default(), &grown.leaves);
        check_against_naive(&grown.cold(), &grown.pages, &grown.leaves);
        check_against_naive(&before, &grown.pages, &first);
    }

    #[test]
    fn tree_that_grows_by_a_few_changes_equals_the_naive_one(
        held in 20u64..200,
        epochs in prop::collection::vec(prop::collection::btree_set(0u64..220, 1..6), 1..6),
    ) {
        let mut snapshots = vec![Grown::of(&spread(0, held))];
        for changed in epochs {
            let mut grown = snapshots[snapshots.len() - 1].clone();
            let new = changed.iter().map(|i| (digest(*i), digest(i + 2_000_000 + grown.next))).collect();
            let expected = naive::transition(&grown.leaves, &updates(&grown.leaves, &new));
            let updates = updates(&grown.leaves, &new);
            let applied = grown.tree.apply_updates(&MemoryPages::default(), EpochNumber(grown.next), &updates);
            prop_assert_eq!(applied.unwrap().proof, expected);
            grown.grow(&new);
            snapshots.push(grown);
        }
        for Grown { tree, leaves, .. } in snapshots {
            prop_assert_eq!(tree.root(), naive::root(&leaves));
            for key in leaves.keys().copied().chain((0..20).map(|i| digest(i + 5_000_000))) {
                prop_assert_eq!(tree.prove(&MemoryPages::default(), &key).unwrap(), naive::proof(&leaves, &key));
            }
        }
    }
}
