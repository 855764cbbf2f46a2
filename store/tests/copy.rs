//! Copies of an open store.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use common::{BUDGET, Validator, assert_sound, check};
use pds_schemas::TreeSize;
use pds_store::{Store, StoreError};

#[test]
fn copy_is_sound_while_the_store_is_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut pv = Validator::create(&folder.path().join("store"));
    pv.close(&[]);
    let (pv, accepted) = (&pv, AtomicU64::new(0));
    const ALL: u64 = 300;
    let mut copies = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for index in 0..ALL {
                pv.store.accept(&[pv.accepted(&format!("org.example.n{index}"), 1, index)]).unwrap();
                accepted.store(index + 1, Ordering::SeqCst);
            }
        });
        loop {
            let before = accepted.load(Ordering::SeqCst);
            let path = folder.path().join(format!("copy{copies}"));
            let copied = pv.store.copy_to(&path).unwrap();
            let after = accepted.load(Ordering::SeqCst);
            let copy = Store::open(&path, &BUDGET).unwrap();
            let next = copy.next_queue_index().unwrap();
            assert_eq!((copied.next_queue_index, copied.head), (next, copy.head().unwrap()));
            // One that was stored may not have been counted yet.
            assert!((before..=after + 1).contains(&next), "{next} of {before} to {after}");
            assert_eq!(assert_sound(&copy).submissions, next);
            copies += 1;
            if before == ALL {
                break;
            }
        }
    });
    assert!(copies > 1);
    assert_sound(&pv.store);
}

#[test]
fn copy_of_an_epoch_under_way_is_that_of_the_epoch_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut pv = Validator::with_history(&folder.path().join("store"));
    let head = pv.store.head().unwrap();
    let draft = pv.draft(&[]);
    pv.store.write_epoch_data(&draft.data()).unwrap();
    let path = folder.path().join("copy");
    assert_eq!(pv.store.copy_to(&path).unwrap().head, head);
    pv.store.commit_epoch(&draft.commit()).unwrap();
    pv.adopt(draft);
    pv.close(&[]);

    let copy = Store::open(&path, &BUDGET).unwrap();
    assert!(!check(&copy).0.is_empty(), "the epoch under way is in it");
    assert_eq!(copy.drop_unfinished().unwrap().transitions, 1);
    assert_sound(&copy);
    assert_eq!(copy.head().unwrap(), head);
    assert_eq!(pv.store.head().unwrap().map(|h| h.size), head.map(|h| TreeSize(h.size.0 + 2)));
    assert_sound(&pv.store);
}

#[test]
fn copy_is_refused_where_something_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut pv = Validator::with_history(&folder.path().join("store"));
    let path = folder.path().join("copy");
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(pv.store.copy_to(&path), Err(StoreError::Database { .. })));
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    // It is no fault of the store.
    pv.close(&[]);
    assert_sound(&pv.store);
}
