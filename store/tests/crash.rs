//! What a store holds after a process, a machine or a disk failed at a bad moment.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{BUDGET, Outcome, Validator, assert_sound, image};
use pds_schemas::disk::Head;
use pds_store::{Dropped, MemoryBudget, Store, StoreError};

const CHILD: &str = "PDS_STORE_TEST_CHILD";

/// The write-ahead log that is written now.
fn write_ahead_log(path: &Path) -> PathBuf {
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|e| e == "log")).max().unwrap()
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

/// Asserts that the store holds exactly what was synced: this head, and this many submissions.
fn assert_synced(store: &Store, head: &Head, submissions: u64) {
    assert_eq!(store.head().unwrap().as_ref(), Some(head));
    assert_eq!(store.next_queue_index().unwrap(), submissions);
    assert_eq!(assert_sound(store).submissions, submissions);
}

#[test]
fn epoch_is_dropped_when_it_was_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let mut pv = Validator::with_history(&folder.path().join("store"));
    let (head, submissions) = (pv.store.head().unwrap().unwrap(), pv.store.next_queue_index().unwrap());
    let waiting = pv.store.queue(0, 1).unwrap()[0].1;
    let draft = pv.draft(&[(waiting, Outcome::Validated)]);
    pv.store.write_epoch_data(&draft.data()).unwrap();
    let crashed = folder.path().join("crashed");
    image(&pv.store, &crashed);

    let store = Store::open(&crashed, &BUDGET).unwrap();
    assert!(matches!(store.write_epoch_data(&draft.data()), Err(StoreError::Unfinished(_))));
    let expect = Dropped { pages: draft.pages.len(), transitions: 1 };
    assert_eq!(store.drop_unfinished().unwrap(), expect);
    assert_eq!(store.drop_unfinished().unwrap(), Dropped::default());
    assert_eq!(store.pages(draft.epoch).count(), 0);
    assert_synced(&store, &head, submissions);
    drop(store);

    pv.store = Store::open(&crashed, &BUDGET).unwrap();
    assert_synced(&pv.store, &head, submissions);
    pv.close(&[(waiting, Outcome::Failed)]);
    assert_synced(&pv.store, &pv.store.head().unwrap().unwrap(), submissions);
}

#[test]
fn first_epoch_is_dropped_when_it_was_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let mut pv = Validator::create(&folder.path().join("store"));
    pv.submit("org.example.a", 1);
    let draft = pv.draft(&[]);
    pv.store.write_epoch_data(&draft.data()).unwrap();
    assert_eq!(pv.store.drop_unfinished().unwrap(), Dropped { pages: 1, transitions: 1 });
    assert_eq!(assert_sound(&pv.store).epochs, 0);
    pv.close(&[]);
    assert_sound(&pv.store);
}

/// Batch A goes to table files and several logs before batch B is written.
#[test]
fn epoch_is_whole_when_it_is_larger_than_the_write_buffer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut pv = Validator::create(&path);
    let small = MemoryBudget { block_cache_bytes: 1 << 20, write_buffer_bytes: 128 << 10 };
    pv = pv.reopen(&small);
    pv.submit_all((0..2000).map(|i| (format!("org.example.plugin{i}"), 1)));
    let draft = pv.draft(&[]);
    pv.store.write_epoch_data(&draft.data()).unwrap();
    pv = pv.reopen(&small);
    let expect = Dropped { pages: draft.pages.len(), transitions: 1 };
    assert_eq!(pv.store.drop_unfinished().unwrap(), expect);
    assert_eq!(assert_sound(&pv.store).epochs, 0);
    pv.close(&[]);
    pv = pv.reopen(&small);
    let counts = assert_sound(&pv.store);
    assert_eq!((counts.names, counts.pages), (2000, draft.pages.len() as u64));
}

#[test]
fn synced_writes_are_there_when_the_process_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut pv = Validator::create(&folder.path().join("store"));
    for round in 0..4 {
        pv.submit(&format!("org.example.round{round}"), 1);
        let accepted = folder.path().join(format!("accepted{round}"));
        image(&pv.store, &accepted);
        pv.close(&[]);
        let committed = folder.path().join(format!("committed{round}"));
        image(&pv.store, &committed);

        assert_eq!(Store::open(&accepted, &BUDGET).unwrap().next_queue_index().unwrap(), round + 1);
        let head = pv.store.head().unwrap().unwrap();
        assert_synced(&Store::open(&committed, &BUDGET).unwrap(), &head, round + 1);
    }
}

#[test]
fn synced_writes_are_there_when_the_log_is_cut_off_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    let pv = Validator::with_history(&folder.path().join("store"));
    let (head, submissions) = (pv.store.head().unwrap().unwrap(), pv.store.next_queue_index().unwrap());
    let synced = length(&write_ahead_log(&pv.path));
    let draft = pv.draft(&[(pv.store.queue(0, 1).unwrap()[0].1, Outcome::Validated)]);
    pv.store.write_epoch_data(&draft.data()).unwrap();
    let written = length(&write_ahead_log(&pv.path));
    assert!(written > synced);
    for cut in 0..24 {
        let crashed = folder.path().join(format!("cut{cut}"));
        image(&pv.store, &crashed);
        let log = File::options().write(true).open(write_ahead_log(&crashed)).unwrap();
        log.set_len(synced + (written - synced) * cut / 24).unwrap();
        let store = Store::open(&crashed, &BUDGET).unwrap();
        assert_eq!(store.drop_unfinished().unwrap(), Dropped::default(), "half a batch was taken for one");
        assert_synced(&store, &head, submissions);
    }
}

/// RocksDB's default recovery mode fails this test: it takes the damage for the end of the log.
#[test]
fn synced_writes_are_not_silently_lost_when_a_byte_of_the_log_flips() {
    let folder = tempfile::tempdir().unwrap();
    let mut pv = Validator::with_history(&folder.path().join("store"));
    // A flipped length in the very last record looks like a record cut off; all before it must not be lost unseen.
    let last = length(&write_ahead_log(&pv.path));
    pv.submit("org.example.last", 1);
    let (head, submissions) = (pv.store.head().unwrap().unwrap(), pv.store.next_queue_index().unwrap());
    let mut refused = 0;
    for step in 0..60 {
        let damaged = folder.path().join(format!("flip{step}"));
        image(&pv.store, &damaged);
        let file = write_ahead_log(&damaged);
        let mut bytes = fs::read(&file).unwrap();
        bytes[(last * step / 60) as usize] ^= 1 << (step % 8);
        fs::write(&file, bytes).unwrap();
        match Store::open(&damaged, &BUDGET) {
            Err(StoreError::Database { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
            Ok(store) => assert_synced(&store, &head, submissions),
        }
    }
    assert!(refused > 50, "only {refused} of 60 flips were noticed");
}

/// Files of this process may not grow over 256 KiB: a disk that is full, as far as RocksDB can tell.
#[test]
fn store_writes_no_more_once_a_write_failed() {
    if let Some(path) = std::env::var_os(CHILD) {
        return write_until_the_disk_is_full(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let limited =
        r#"trap '' XFSZ; ulimit -f 512; exec "$0" --exact store_writes_no_more_once_a_write_failed"#;
    let child = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, &path)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));

    // What the child was told is stored is there, now that there is room again.
    let acknowledged: u64 = fs::read_to_string(path.with_extension("acknowledged")).unwrap().parse().unwrap();
    let store = Store::open(&path, &BUDGET).unwrap();
    store.drop_unfinished().unwrap();
    assert!(acknowledged > 0);
    let kept = assert_sound(&store).submissions;
    // The one whose write failed may have been stored or not.
    assert!(kept == acknowledged || kept == acknowledged + 1, "{kept} of {acknowledged}");
}

fn write_until_the_disk_is_full(path: &Path) {
    let mut pv = Validator::create(path);
    pv.submit("org.example.first", 1);
    pv.close(&[]);
    let head = pv.store.head().unwrap();
    let accept = |index| {
        let mut accepted = pv.accepted(&format!("org.example.number{index}"), 1, index);
        accepted.archive = vec![7; 20_000];
        pv.store.accept(&[accepted])
    };
    let (failed, error) = (1..100).find_map(|index| Some((index, accept(index).err()?))).unwrap();
    assert!(matches!(error, StoreError::Database { .. }), "{error:?}");
    assert!(pv.store.is_poisoned());

    let draft = pv.draft(&[]);
    assert!(matches!(accept(failed), Err(StoreError::Poisoned)));
    assert!(matches!(pv.store.write_epoch_data(&draft.data()), Err(StoreError::Poisoned)));
    assert!(matches!(pv.store.commit_epoch(&draft.commit()), Err(StoreError::Poisoned)));
    assert!(matches!(pv.store.drop_unfinished(), Err(StoreError::Poisoned)));
    assert_eq!(pv.store.head().unwrap(), head);
    assert_eq!(pv.store.queue(0, 1000).unwrap().len() as u64, failed);
    fs::write(path.with_extension("acknowledged"), failed.to_string()).unwrap();
}
