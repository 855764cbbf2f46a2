//! The closed database, as somebody with a disk editor sees it.

use std::path::Path;

use pds_store::Family;
use rocksdb::{DB, IteratorMode, Options};

pub fn open(path: &Path) -> DB {
    DB::open_cf(&Options::default(), path, Family::ALL.map(Family::name)).unwrap()
}

/// Every key and value of a family.
pub fn pairs(db: &DB, family: Family) -> Vec<(Vec<u8>, Vec<u8>)> {
    let family = db.cf_handle(family.name()).unwrap();
    let pairs = db.iterator_cf(family, IteratorMode::Start).map(Result::unwrap);
    pairs.map(|(key, value)| (key.into(), value.into())).collect()
}

pub fn put(db: &DB, family: Family, key: &[u8], value: &[u8]) {
    db.put_cf(db.cf_handle(family.name()).unwrap(), key, value).unwrap();
}

pub fn delete(db: &DB, family: Family, key: &[u8]) {
    db.delete_cf(db.cf_handle(family.name()).unwrap(), key).unwrap();
}

/// Changes every value of a family.
pub fn rewrite(path: &Path, family: Family, change: impl Fn(&[u8], &mut Vec<u8>)) {
    let db = open(path);
    for (key, mut value) in pairs(&db, family) {
        change(&key, &mut value);
        put(&db, family, &key, &value);
    }
}
