//! A consistent copy of the database at one moment, while it is written to.
//!
//! RocksDB's checkpoint: table files are linked, the rest is copied, so it takes little time and next to no room. Whoever
//! wants a backup copies the files out of it. A link shares its bytes with the store's own file: it is no backup itself.

use std::fs::File;
use std::path::Path;

use pds_schemas::disk::Head;
use rocksdb::checkpoint::Checkpoint;

use crate::open::LOCK_FILE;
use crate::{Family, Store, StoreError};

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The head; `None` before epoch 0.
    pub head: Option<Head>,
    /// Index that the next accepted submission gets.
    pub next_queue_index: u64,
}

impl Store {
    /// Makes a copy of the store, which [`Store::open`] opens, in the new folder `path` on the same file system.
    ///
    /// Writers wait while it is made, so that it is of one moment; data of an epoch that is not yet committed may be in it,
    /// and [`Store::drop_unfinished`] removes it from the copy.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`]: what is on disk is unknown. [`StoreError::ReadOnly`], [`StoreError::Io`],
    /// [`StoreError::Database`], also when `path` exists.
    pub fn copy_to(&self, path: &Path) -> Result<Copied, StoreError> {
        // What is in memory is written before writers wait; under the lock, only what came since has to be.
        for family in Family::ALL {
            self.db
                .flush_cf(self.family(family))
                .map_err(StoreError::database(format!("write {family} to tables")))?;
        }
        let _turn = self.turn()?;
        let checkpoint = Checkpoint::new(&self.db).map_err(StoreError::database("begin a checkpoint"))?;
        let made = checkpoint.create_checkpoint(path);
        made.map_err(StoreError::database(format!("make a checkpoint in {}", path.display())))?;
        let lock = path.join(LOCK_FILE);
        File::create_new(&lock).map_err(StoreError::io("create", &lock))?;
        Ok(Copied { head: self.head()?, next_queue_index: self.next_queue_index()? })
    }
}
