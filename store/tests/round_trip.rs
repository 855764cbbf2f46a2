//! What is written is read again: at once, and after the store was closed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{BUDGET, Outcome, Validator, assert_sound};
use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::{NodeReader, root};
use pds_core::prefix::{PageId, PageSource, PrefixTree, key_of, recompute_root};
use pds_schemas::{Artefact, Digest, EpochNumber, TreeSize};
use pds_store::{BlobKind, Damage, Decided, Family, Store, StoreError};

#[test]
fn accepted_submission_is_read_back_and_queued() {
    let folder = tempfile::tempdir().unwrap();
    let mut pv = Validator::create(&folder.path().join("store"));
    let (a, b) = (pv.submit("org.example.a", 1), pv.submit("org.example.b", 1));
    let expect = pv.accepted("org.example.b", 1, 1);
    assert_eq!(pv.store.submission(&b).unwrap(), Some(expect.entry));
    assert_eq!(pv.store.archive(1).unwrap(), Some(expect.archive));
    assert_eq!(pv.store.blob(BlobKind::Object, &sha256(&expect.owner)).unwrap(), Some(expect.owner));
    assert_eq!(pv.store.queue(0, 10).unwrap(), [(0, a), (1, b)]);
    assert_eq!(pv.store.queue(1, 10).unwrap(), [(1, b)]);
    assert_eq!(pv.store.queue(0, 1).unwrap(), [(0, a)]);
    assert_eq!(pv.store.next_queue_index().unwrap(), 2);
}

#[test]
fn epoch_is_read_back_before_its_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut pv = Validator::create(&folder.path().join("store"));
    pv.submit("org.example.a", 1);
    pv.submit("org.example.b", 1);
    let draft = pv.draft(&[]);
    pv.store.write_epoch_data(&draft.data()).unwrap();
    let named = || draft.blobs.iter().map(|blob| (blob.kind(), *blob.digest()));
    let records = || named().filter(|(kind, _)| *kind == BlobKind::NameRecord).map(|(_, digest)| digest);
    // Asked for twice, and one that nobody wrote.
    let asked = records().chain(records()).chain([Digest::ZERO]);
    let mut given = Vec::new();
    let read = pv.store.read_blobs(asked.map(|digest| (BlobKind::NameRecord, digest)), |_, digest, bytes| {
        given.push((*digest, bytes.map(sha256)));
        Ok::<_, ()>(())
    });
    assert_eq!(read.unwrap(), Ok(()));
    let mut expected: Vec<_> = records().map(|digest| (digest, Some(digest))).collect();
    expected.push((Digest::ZERO, None));
    expected.sort_unstable();
    assert_eq!(given, expected);
    pv.store.check_blobs(named().chain(named())).unwrap();
    let pages = read_pages(&pv.store, draft.epoch, (None, None));
    assert_eq!(pages, draft.pages);
    assert_eq!(pv.store.transition(draft.epoch).unwrap(), Some(draft.transition.to_bytes()));
    assert_eq!(recompute_root(draft.epoch, pages).ok(), draft.head.prefix.map(|(root, _)| root));
    assert_eq!(pv.store.head().unwrap(), None);

    let absent = pv.store.check_blobs([(BlobKind::Cause, Digest::ZERO)]);
    assert!(matches!(absent, Err(StoreError::Corrupt { damage: Damage::Missing, .. })), "{absent:?}");
}

#[test]
fn pages_are_read_in_parts_that_make_up_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let pv = Validator::with_history(&path);
    let last = EpochNumber(pv.store.head().unwrap().unwrap().size.0 - 1);
    let epochs: Vec<_> = (0..=last.0).map(EpochNumber).collect();
    assert!(epochs.iter().any(|epoch| pv.store.pages(*epoch).count() > 1), "an epoch of several pages");
    for epoch in epochs {
        let all: Vec<_> = pv.store.pages(epoch).map(Result::unwrap).collect();
        for at in 0..all.len() {
            let middle = Some(all[at].0);
            assert_eq!(read_pages(&pv.store, epoch, (None, middle)), all[..at]);
            assert_eq!(read_pages(&pv.store, epoch, (middle, None)), all[at..]);
        }
    }
    let mut first = 0;
    let stopped = pv.store.read_pages(EpochNumber(0), (None, None), |_, _| {
        first += 1;
        Err("enough")
    });
    assert_eq!((stopped.unwrap(), first), (Err("enough"), 1));
}

fn read_pages(
    store: &Store,
    epoch: EpochNumber,
    between: (Option<PageId>, Option<PageId>),
) -> Vec<(PageId, Vec<u8>)> {
    let mut pages = Vec::new();
    let read = store.read_pages(epoch, between, |id, bytes| {
        pages.push((id, bytes.to_vec()));
        Ok::<_, ()>(())
    });
    assert_eq!(read.unwrap(), Ok(()));
    pages
}

#[test]
fn committed_epochs_are_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let pv = Validator::with_history(&path);
    let late = pv.store.queue(0, 100).unwrap().last().copied().unwrap();
    let draft = pv.draft(&[(late.1, Outcome::Validated)]);
    pv.store.write_epoch_data(&draft.data()).unwrap();
    pv.store.commit_epoch(&draft.commit()).unwrap();
    drop(pv);

    let store = Store::open(&path, &BUDGET).unwrap();
    let head = store.head().unwrap().unwrap();
    assert_eq!(head, draft.head);
    assert_eq!(store.entry(EpochNumber(4)).unwrap().unwrap(), draft.entry);
    assert_eq!(store.entries(3..5).unwrap()[1], draft.entry);
    assert_eq!(store.node(0, 4).unwrap(), leaf_hash(&draft.entry));
    assert_eq!(root(&store, TreeSize(5)).unwrap(), head.log_root);
    assert_eq!(store.transition(EpochNumber(4)).unwrap(), Some(draft.transition.to_bytes()));
    assert_eq!(store.epoch_root(EpochNumber(2)).unwrap().unwrap().page_epoch, Some(EpochNumber(1)));
    assert_eq!(store.page(&draft.pages[0].0).unwrap().as_ref(), Some(&draft.pages[0].1));
    assert_eq!(draft.decided[0].index, late.0);
    assert_eq!(store.outcome(late.0).unwrap(), Some(draft.decided[0].outcome));
    assert!(!store.queue(0, 100).unwrap().contains(&late));

    let (root, page_epoch) = head.prefix.unwrap();
    let tree = PrefixTree::open(root, Some(page_epoch)).unwrap();
    let held = tree.lookup(&store, &key_of(&common::name("org.example.late"))).unwrap().unwrap();
    assert!(store.blob(BlobKind::NameRecord, &held).unwrap().is_some());
    assert_sound(&store);
}

#[test]
fn reads_go_on_in_other_threads_while_one_writes() {
    let folder = tempfile::tempdir().unwrap();
    let mut pv = Validator::with_history(&folder.path().join("store"));
    let drafts: Vec<_> = (0..20)
        .map(|i| pv.accepted(&format!("org.example.thread{i}"), 1, pv.store.next_queue_index().unwrap() + i))
        .collect();
    let (store, first) = (&pv.store, pv.store.next_queue_index().unwrap());
    std::thread::scope(|scope| {
        let reader = || {
            while store.next_queue_index().unwrap() < first + 20 {
                let head = store.head().unwrap().unwrap();
                assert_eq!(root(store, head.size).unwrap(), head.log_root);
            }
        };
        scope.spawn(reader);
        scope.spawn(reader);
        drafts.iter().for_each(|accepted| store.accept(std::slice::from_ref(accepted)).unwrap());
    });
    pv.close(&[]);
    assert_sound(&pv.store);
}

#[test]
fn absent_things_are_absent() {
    let folder = tempfile::tempdir().unwrap();
    let pv = Validator::with_history(&folder.path().join("store"));
    let (store, beyond) = (&pv.store, EpochNumber(4));
    assert_eq!(store.entry(beyond).unwrap(), None);
    assert_eq!(store.epoch_root(beyond).unwrap(), None);
    assert_eq!(store.transition(beyond).unwrap(), None);
    assert_eq!(store.pages(beyond).count(), 0);
    assert_eq!(store.pages(EpochNumber(u64::MAX)).count(), 0);
    assert_eq!(store.submission(&Digest::ZERO).unwrap(), None);
    assert_eq!(store.archive(u64::MAX).unwrap(), None);
    assert_eq!(store.outcome(pv.store.queue(0, 1).unwrap()[0].0).unwrap(), None, "it waits");
    assert_eq!(store.outcome(u64::MAX).unwrap(), None);
    for kind in BlobKind::ALL {
        assert_eq!(store.blob(kind, &Digest::ZERO).unwrap(), None);
    }
    assert!(matches!(store.node(0, 4), Err(StoreError::Corrupt { damage: Damage::Missing, .. })));
    assert!(matches!(store.entries(3..5), Err(StoreError::Corrupt { damage: Damage::Missing, .. })));
}

#[test]
fn writes_are_refused_when_they_contradict_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let pv = Validator::with_history(&folder.path().join("store"));
    let before = pv.store.next_queue_index().unwrap();
    let accept = |name: &str, release, index| pv.store.accept(&[pv.accepted(name, release, index)]);
    let contradicts = |result: Result<(), StoreError>, part: &str| match result {
        Err(StoreError::Contradiction { rule, .. }) => assert!(rule.contains(part), "{rule}"),
        other => panic!("{other:?}"),
    };
    contradicts(accept("org.example.new", 1, before + 1), "next index");
    contradicts(accept("org.example.late", 7, before), "once");
    let twice = [pv.accepted("org.example.new", 1, before), pv.accepted("org.example.new", 1, before + 1)];
    contradicts(pv.store.accept(&twice), "once");
    assert_eq!(pv.store.next_queue_index().unwrap(), before);

    let waiting = pv.store.queue(0, 100).unwrap();
    let draft = pv.draft(&[(waiting[0].1, Outcome::Failed)]);
    contradicts(pv.store.commit_epoch(&draft.commit()), "before it is committed");
    pv.store.write_epoch_data(&draft.data()).unwrap();
    let again = pv.store.write_epoch_data(&draft.data());
    assert!(matches!(again, Err(StoreError::Unfinished(_))), "{again:?}");
    contradicts(pv.store.commit_epoch(&pds_store::EpochCommit { nodes: &[], ..draft.commit() }), "leaf");
    contradicts(
        pv.store.commit_epoch(&pds_store::EpochCommit { entry: b"other", ..draft.commit() }),
        "leaf hash",
    );
    let commit_with = |change: &dyn Fn(&mut Decided)| {
        let mut decided = draft.decided.clone();
        change(&mut decided[0]);
        pv.store.commit_epoch(&pds_store::EpochCommit { decided: &decided, ..draft.commit() })
    };
    contradicts(commit_with(&|decided| decided.outcome.epoch = EpochNumber(3)), "published");
    contradicts(commit_with(&|decided| decided.outcome.submission = waiting[1].1), "queue");
    contradicts(commit_with(&|decided| decided.index = 0), "queue");
    contradicts(commit_with(&|decided| decided.index = before), "queue");
    pv.store.commit_epoch(&draft.commit()).unwrap();
    let late = pv.store.commit_epoch(&draft.commit());
    assert!(matches!(late, Err(StoreError::EpochOutOfOrder { .. })), "{late:?}");
    let late = pv.store.write_epoch_data(&draft.data());
    assert!(matches!(late, Err(StoreError::EpochOutOfOrder { .. })), "{late:?}");
    assert!(!pv.store.is_poisoned());
    assert_sound(&pv.store);
}

#[test]
fn blob_is_refused_when_its_bytes_have_another_hash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let pv = Validator::with_history(&path);
    let (digest, archived) = (*pv.draft(&[]).blobs[0].digest(), pv.store.queue(0, 1).unwrap()[0].0);
    drop(pv);
    common::raw::rewrite(&path, Family::Blobs, |_, value| value[0] ^= 1);
    common::raw::rewrite(&path, Family::Archives, |_, value| *value.last_mut().unwrap() ^= 1);
    let store = Store::open(&path, &BUDGET).unwrap();
    let read = store.check_blobs([(BlobKind::Policy, digest)]);
    assert!(matches!(read, Err(StoreError::Corrupt { damage: Damage::Digest(_), .. })), "{read:?}");
    let read = store.blob(BlobKind::Policy, &digest);
    assert!(matches!(read, Err(StoreError::Corrupt { damage: Damage::Digest(_), .. })), "{read:?}");
    let read = store.archive(archived);
    assert!(matches!(read, Err(StoreError::Corrupt { damage: Damage::Digest(_), .. })), "{read:?}");
}

#[test]
fn statistics_count_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let pv = Validator::with_history(&folder.path().join("store"));
    let statistics = pv.store.statistics().unwrap();
    let keys = |family| statistics.families.iter().find(|of| of.family == family).unwrap().keys;
    assert_eq!((keys(Family::Entries), keys(Family::Nodes), keys(Family::Epochs)), (4, 7, 4));
    assert!(statistics.families.iter().all(|of| of.memory_bytes > 0));
    assert_eq!((statistics.background_errors, statistics.write_stopped), (0, false));
}

#[test]
fn statistics_move_when_what_is_in_memory_goes_to_tables() {
    let folder = tempfile::tempdir().unwrap();
    let pv = Validator::with_history(&folder.path().join("store"));
    let of = |statistics: &pds_store::Statistics, family| {
        *statistics.families.iter().find(|of| of.family == family).unwrap()
    };
    let before = pv.store.statistics().unwrap();
    pv.store.copy_to(&folder.path().join("copy")).unwrap();
    let after = pv.store.statistics().unwrap();
    for family in [Family::Entries, Family::Pages, Family::Blobs, Family::Submissions] {
        let (before, after) = (of(&before, family), of(&after, family));
        assert_eq!(before.table_bytes, 0, "{family}");
        assert!(
            after.table_bytes > 0 && after.memory_bytes < before.memory_bytes,
            "{family}: {before:?} {after:?}"
        );
        assert_eq!((after.pending_compaction_bytes, after.compaction_pending), (0, false), "{family}");
    }
    pv.store.entry(EpochNumber(0)).unwrap().unwrap();
    let read = pv.store.statistics().unwrap();
    assert!(read.block_cache_bytes > before.block_cache_bytes);
    assert_eq!(read.block_cache_capacity_bytes, BUDGET.block_cache_bytes as u64);
}

#[test]
fn frozen_store_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut pv = Validator::create(&folder.path().join("store"));
    pv.close(&[]);
    let mut last = pv.draft(&[]);
    last.head.frozen = true;
    pv.store.write_epoch_data(&last.data()).unwrap();
    pv.store.commit_epoch(&last.commit()).unwrap();
    pv.adopt(last);
    let refuses = |pv: &Validator| {
        let size = TreeSize(2);
        let is_frozen = |result: Result<(), StoreError>| matches!(result, Err(StoreError::Frozen { size: found }) if found == size);
        let next = pv.draft(&[]);
        assert!(is_frozen(pv.store.write_epoch_data(&next.data())));
        assert!(is_frozen(pv.store.commit_epoch(&next.commit())));
        assert!(is_frozen(pv.store.accept(&[pv.accepted("org.example.a", 1, 0)])));
        assert!(!pv.store.is_poisoned(), "it is no fault");
        assert_eq!(pv.store.head().unwrap().unwrap().size, size);
        assert_sound(&pv.store);
    };
    refuses(&pv);
    refuses(&pv.reopen(&BUDGET));
}
