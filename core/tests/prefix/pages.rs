use std::ops::ControlFlow;

use pds_core::prefix::{
    ApplyError, MAX_PAGE_BYTES, MemoryPages, PageError, PageId, PageIdError, PageSource, PrefixTree,
    ReadError, RecomputeError, Update, recompute_root,
};
use pds_schemas::{Digest, EpochNumber};
use proptest::prelude::*;

use crate::naive::{Grown, Leaves, bits, crowded, digest, flip, proof, spread, updates};

/// Two epochs, in which the second one's pages name some of the first one's.
fn two_epochs() -> Grown {
    let mut grown = Grown::of(&spread(0, 60));
    grown.grow(&spread(55, 10));
    grown
}

fn own_pages(grown: &Grown, epoch: u64) -> Vec<(PageId, Vec<u8>)> {
    let own = grown.pages.0.iter().filter(|(id, _)| id.epoch() == EpochNumber(epoch));
    own.map(|(id, bytes)| (*id, bytes.clone())).collect()
}

fn damage(pages: &MemoryPages, id: &PageId, damage: impl FnOnce(&mut Vec<u8>)) -> MemoryPages {
    let mut damaged = pages.clone();
    damage(damaged.0.get_mut(id).unwrap());
    damaged
}

/// With damaged pages everything is either right or an error.
fn check_never_wrong(grown: &Grown, damaged: &MemoryPages, key: &Digest) -> bool {
    let tree = grown.cold();
    let proved = tree.prove_uncached(damaged, key);
    if let Ok(given) = &proved {
        assert_eq!(*given, proof(&grown.leaves, key));
    }
    if let Ok(held) = tree.lookup(damaged, key) {
        assert_eq!(held, grown.leaves.get(key).copied());
    }
    proved.is_err()
}

#[test]
fn damaged_page_gives_an_error_and_never_a_wrong_proof() {
    let grown = Grown::of(&spread(0, 12));
    let mut seen = 0;
    for (id, bytes) in &grown.pages.0 {
        for bit in 0..8 * bytes.len() {
            let damaged = damage(&grown.pages, id, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            let errors = grown.leaves.keys().filter(|key| check_never_wrong(&grown, &damaged, key)).count();
            // The page is on the way to somewhere, and its bytes all matter.
            assert!(errors > 0, "{id} bit {bit}");
            seen += errors;
            let mut leaves = Leaves::new();
            let walked = grown.cold().for_each_leaf(&damaged, |leaf| {
                leaves.insert(leaf.key, leaf.commitment);
                ControlFlow::<()>::Continue(())
            });
            assert!(walked.is_err(), "{id} bit {bit}");
        }
    }
    assert!(seen > 1000);
}

#[test]
fn damaged_page_keeps_changes_from_being_applied() {
    let grown = two_epochs();
    let key = digest(3);
    let update = Update { key, old: Some(grown.leaves[&key]), new: digest(9) };
    let (id, _) = own_pages(&grown, 1)[0];
    let damaged = damage(&grown.pages, &id, |bytes| bytes[20] ^= 1);
    let error = grown.cold().apply_updates(&damaged, EpochNumber(2), &[update]).unwrap_err();
    assert!(
        matches!(error, ApplyError::Page(ReadError::Corrupt { id: named, .. }) if named == id),
        "{error}"
    );
}

#[test]
fn page_that_is_gone_foreign_or_old_is_named_in_the_error() {
    let grown = two_epochs();
    let root_page = own_pages(&grown, 1)[0].0;
    let first = own_pages(&grown, 0)[0].clone();
    let prove = |pages: &MemoryPages| grown.cold().prove(pages, &digest(3)).unwrap_err();

    let mut gone = grown.pages.clone();
    gone.0.remove(&root_page);
    assert_eq!(prove(&gone), ReadError::Missing(root_page));

    let old = damage(&grown.pages, &root_page, |bytes| *bytes = first.1);
    let ReadError::Corrupt { id, named, computed } = prove(&old) else {
        panic!("an older page was accepted")
    };
    assert_eq!((id, named), (root_page, grown.tree.root()));
    assert_ne!(named, computed);

    let cut = damage(&grown.pages, &root_page, |bytes| _ = bytes.pop());
    assert!(
        matches!(prove(&cut), ReadError::Malformed { id, source: PageError::Length { .. } } if id == root_page)
    );
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no disk")]
struct NoDisk;

impl PageSource for NoDisk {
    type Error = Self;

    fn page(&self, _: &PageId) -> Result<Option<Vec<u8>>, Self> {
        Err(self.clone())
    }
}

#[test]
fn failing_source_is_told_from_damage() {
    let grown = two_epochs();
    let id = own_pages(&grown, 1)[0].0;
    let expect = ReadError::Source { id, source: NoDisk };
    assert_eq!(grown.cold().prove(&NoDisk, &digest(1)).unwrap_err(), expect);
    assert_eq!(grown.cold().lookup(&NoDisk, &digest(1)).unwrap_err(), expect);
    let updates = updates(&grown.leaves, &spread(90, 1));
    assert_eq!(
        grown.cold().apply_updates(&NoDisk, EpochNumber(2), &updates).unwrap_err(),
        ApplyError::Page(expect)
    );
    // What was applied is in memory, and needs no source for what it touched.
    assert!(grown.tree.prove(&NoDisk, &digest(56)).is_ok());
}

#[test]
fn pages_are_small_sorted_and_keyed_by_epoch() {
    let grown = Grown::of(&spread(0, 2000));
    let updates = updates(&grown.leaves, &spread(1990, 400));
    let applied = grown.tree.apply_updates(&grown.pages, EpochNumber(0x0102_0304), &updates).unwrap();
    assert!(applied.pages.iter().all(|(_, bytes)| bytes.len() <= MAX_PAGE_BYTES));
    let keys: Vec<_> = applied.pages.iter().map(|(id, _)| id.to_key()).collect();
    assert!(keys.is_sorted());
    assert_eq!(keys[0], [1, 2, 3, 4, 0]);
    assert!(keys.iter().all(|key| key.starts_with(&PageId::key_prefix(EpochNumber(0x0102_0304)).unwrap())));
    for (id, _) in applied.pages {
        assert_eq!(PageId::from_key(&id.to_key()), Ok(id));
    }
}

#[test]
fn page_key_is_refused_with_its_cause() {
    let check = |key: &[u8], expect| assert_eq!(PageId::from_key(key), Err(expect), "{key:?}");
    check(&[], PageIdError::Length(0));
    check(&[0, 0, 0, 0], PageIdError::Length(4));
    check(&[0, 0, 0, 0, 0, 0], PageIdError::Length(6));
    check(&[0, 0, 0, 0, 4], PageIdError::Length(5));
    check(&[0, 0, 0, 0, 8, 1, 2], PageIdError::Length(7));
    check(&[0, 0, 0, 0, 3, 0], PageIdError::Depth(3));
    check(&[0, 0, 0, 0, 4, 0x01], PageIdError::PrefixBits(4));
    check(&[0, 0, 0, 0, 12, 0xff, 0xf8], PageIdError::PrefixBits(12));
    let deepest = [&[0, 0, 0, 0, 252][..], &[0xff; 31], &[0xf0]].concat();
    assert_eq!(PageId::from_key(&deepest).unwrap().depth(), 252);
    check(&[&[0, 0, 0, 0, 255][..], &[0xff; 32]].concat(), PageIdError::Depth(255));
    assert!(matches!(PageId::new(EpochNumber(1 << 32), 0, Digest::ZERO), Err(PageIdError::Epoch(_))));
}

#[test]
fn read_back_pages_give_the_root() {
    let mut grown = Grown::default();
    for epoch in 0..6 {
        grown.grow(&spread(epoch * 30, 50));
        assert_eq!(recompute_root(EpochNumber(epoch), own_pages(&grown, epoch)), Ok(grown.tree.root()));
    }
}

#[test]
fn read_back_is_refused_when_a_page_is_gone_added_or_moved() {
    let grown = two_epochs();
    let (epoch, good) = (EpochNumber(1), own_pages(&grown, 1));
    assert!(good.len() > 5);
    for i in 0..good.len() {
        let mut pages = good.clone();
        let (gone, _) = pages.remove(i);
        let result = recompute_root(epoch, pages);
        assert_eq!(result, Err(RecomputeError::Missing(gone)), "{i}");
        let mut pages = good.clone();
        pages.insert(i, good[i].clone());
        assert_eq!(recompute_root(epoch, pages), Err(RecomputeError::Unreachable(gone)));
        if i > 0 {
            let mut pages = good.clone();
            pages.swap(i, i - 1);
            assert_eq!(recompute_root(epoch, pages), Err(RecomputeError::Missing(good[i - 1].0)));
        }
    }
    let mut pages = good.clone();
    let foreign = own_pages(&grown, 0).pop().unwrap();
    pages.push(foreign.clone());
    assert_eq!(recompute_root(epoch, pages), Err(RecomputeError::Unreachable(foreign.0)));
    let none: [(PageId, Vec<u8>); 0] = [];
    assert_eq!(recompute_root(epoch, none), Err(RecomputeError::NoPages(epoch)));
    assert_eq!(
        recompute_root(EpochNumber(0), good.clone()),
        Err(RecomputeError::Missing(own_pages(&grown, 0)[0].0))
    );
}

#[test]
fn read_back_is_refused_when_any_bit_differs() {
    let grown = Grown::of(&spread(0, 25));
    let good = own_pages(&grown, 0);
    for i in 0..good.len() {
        for bit in 0..8 * good[i].1.len() {
            let mut pages = good.clone();
            pages[i].1[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(recompute_root(EpochNumber(0), pages), Ok(grown.tree.root()), "page {i} bit {bit}");
        }
    }
}

#[test]
fn read_back_names_the_page_whose_bytes_differ() {
    let grown = two_epochs();
    let mut pages = own_pages(&grown, 1);
    let last = pages.last_mut().unwrap();
    let id = last.0;
    *last.1.last_mut().unwrap() ^= 1;
    let error = recompute_root(EpochNumber(1), pages).unwrap_err();
    assert!(matches!(error, RecomputeError::Corrupt { id: named, .. } if named == id), "{error}");
}

#[test]
fn page_of_a_later_epoch_is_not_followed() {
    let leaves: Leaves = [(bits("0000"), digest(0)), (bits("00001"), digest(1))].into();
    let grown = Grown::of(&leaves);
    let root_page = own_pages(&grown, 0)[0].0;
    let damaged = damage(&grown.pages, &root_page, |bytes| *bytes.last_mut().unwrap() = 1);
    let source = PageError::Future { slot: 0, epoch: EpochNumber(1) };
    let error = grown.cold().prove(&damaged, &bits("0")).unwrap_err();
    assert_eq!(error, ReadError::Malformed { id: root_page, source });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_page_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
        let root = PageId::new(EpochNumber(3), 0, Digest::ZERO).unwrap();
        let tree = PrefixTree::open(digest(0), Some(EpochNumber(3))).unwrap();
        let pages = MemoryPages([(root, bytes)].into());
        prop_assert!(tree.prove(&pages, &digest(1)).is_err());
    }

    #[test]
    fn crowded_tree_with_a_damaged_page_is_never_wrong(
        leaves in crowded(12),
        page in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0usize..256,
        value in any::<u8>(),
    ) {
        let grown = Grown::of(&leaves);
        if let Some(id) = grown.pages.0.keys().nth(page.index(grown.pages.0.len().max(1))).copied() {
            let damaged = damage(&grown.pages, &id, |bytes| {
                let at = at.index(bytes.len());
                bytes[at] = value;
            });
            for key in leaves.keys() {
                check_never_wrong(&grown, &damaged, key);
                check_never_wrong(&grown, &damaged, &flip(key, bit));
            }
        }
    }
}
