//! Who may open a store, and what a folder must hold for it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{BUDGET, Validator, assert_sound};
use pds_store::{Family, Store, StoreError};

const CHILD: &str = "PDS_STORE_TEST_CHILD";

fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
}

#[test]
fn create_refuses_what_exists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let open = Store::create(&path, &BUDGET).unwrap();
    assert!(matches!(Store::create(&path, &BUDGET), Err(StoreError::Exists { .. })));
    drop(open);
    assert!(matches!(Store::create(&path, &BUDGET), Err(StoreError::Exists { .. })));
    let parentless = Store::create(folder.path().join("no/store"), &BUDGET);
    assert!(matches!(parentless, Err(StoreError::Io { .. })), "{parentless:?}");
}

#[test]
fn open_refuses_what_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing"), folder.path().to_owned()] {
        assert!(matches!(Store::open(&path, &BUDGET), Err(StoreError::NoStore { .. })));
        assert!(matches!(Store::open_read_only(&path, &BUDGET), Err(StoreError::NoStore { .. })));
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was made");
    }
}

#[test]
fn open_refuses_another_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(Store::create(&path, &BUDGET).unwrap());
    let check = |expect: &str| {
        for open in [Store::open(&path, &BUDGET), Store::open_read_only(&path, &BUDGET)] {
            assert!(matches!(&open, Err(StoreError::Format { found, .. }) if found == expect), "{open:?}");
        }
    };
    common::raw::put(&common::raw::open(&path), Family::Meta, b"format", b"pds-store/3");
    check("pds-store/3");
    common::raw::delete(&common::raw::open(&path), Family::Meta, b"format");
    check("");
}

#[test]
fn open_refuses_the_first_format_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(Store::create(&path, &BUDGET).unwrap());
    let mut db = common::raw::open(&path);
    common::raw::put(&db, Family::Meta, b"format", b"pds-store/1");
    db.drop_cf(Family::Outcomes.name()).unwrap();
    drop(db);
    for open in [Store::open(&path, &BUDGET), Store::open_read_only(&path, &BUDGET)] {
        let error = open.unwrap_err();
        assert!(matches!(&error, StoreError::Format { found, .. } if found == "pds-store/1"), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("\"pds-store/1\"") && said.contains("\"pds-store/2\""), "{said}");
    }
}

#[test]
fn second_open_is_refused_in_this_process_and_in_another() {
    if let Some(path) = std::env::var_os(CHILD) {
        for open in [Store::open(&path, &BUDGET), Store::open_read_only(&path, &BUDGET)] {
            assert!(matches!(&open, Err(StoreError::Locked { path: at }) if *at == *path), "{open:?}");
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let refused = || {
        for open in [Store::open(&path, &BUDGET), Store::open_read_only(&path, &BUDGET)] {
            assert!(matches!(&open, Err(StoreError::Locked { path: at }) if *at == path), "{open:?}");
        }
        let name = "second_open_is_refused_in_this_process_and_in_another";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(CHILD, &path)
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && output.contains("1 passed"), "{output}");
    };
    let created = Store::create(&path, &BUDGET).unwrap();
    refused();
    drop(created);
    let opened = Store::open(&path, &BUDGET).unwrap();
    refused();
    drop(opened);
    let reading = Store::open_read_only(&path, &BUDGET).unwrap();
    refused();
    drop(reading);
    Store::open(&path, &BUDGET).unwrap();
}

#[test]
fn read_only_store_changes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let pv = Validator::with_history(&path);
    let (draft, accepted) = (pv.draft(&[]), pv.accepted("org.example.new", 1, 100));
    drop(pv);
    let before = files(&path);
    let store = Store::open_read_only(&path, &BUDGET).unwrap();
    assert_sound(&store);
    assert!(matches!(store.accept(&[accepted]), Err(StoreError::ReadOnly)));
    assert!(matches!(store.write_epoch_data(&draft.data()), Err(StoreError::ReadOnly)));
    assert!(matches!(store.commit_epoch(&draft.commit()), Err(StoreError::ReadOnly)));
    assert!(matches!(store.drop_unfinished(), Err(StoreError::ReadOnly)));
    drop(store);
    let after = files(&path);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before == after);
}
