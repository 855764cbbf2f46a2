//! Creating, opening and locking a store.

use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use pds_schemas::disk::Head;
use rocksdb::{DB, Options, WriteBatch};

use crate::family::{FORMAT_KEY, HEAD_KEY, NEXT_INDEX_KEY};
use crate::options::{database, families};
use crate::write::Writer;
use crate::{Damage, Family, MemoryBudget, StoreError};

/// What the format's entry says.
const FORMAT: &str = "pds-store/2";
/// Locked as long as a store is open. RocksDB has a lock of its own, but takes none when it opens for reading.
pub(crate) const LOCK_FILE: &str = "pds-store.lock";
/// RocksDB's pointer to its manifest; every database has one.
const CURRENT_FILE: &str = "CURRENT";

/// An open store. Reads may come from any number of threads; writes take turns.
pub struct Store {
    // Before the lock: fields are dropped in order, and the lock goes last.
    pub(crate) db: DB,
    pub(crate) path: PathBuf,
    /// `None` when opened for reading.
    pub(crate) writer: Option<Mutex<Writer>>,
    /// Written only by the holder of `writer`; beside it so that asking needs no turn.
    pub(crate) poisoned: AtomicBool,
    _lock: File,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Makes a new, empty store in the folder `path`, which is made too if its parent is there.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Locked`], [`StoreError::Io`], [`StoreError::Database`].
    pub fn create(path: impl AsRef<Path>, budget: &MemoryBudget) -> Result<Self, StoreError> {
        let path = path.as_ref();
        if path.join(CURRENT_FILE).exists() {
            return Err(StoreError::Exists { path: path.to_owned() });
        }
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(StoreError::io("create folder", path)(error));
            }
            _ => {}
        }
        let lock_path = path.join(LOCK_FILE);
        let lock = File::options().read(true).write(true).create(true).truncate(false).open(&lock_path);
        let lock = take_lock(lock.map_err(StoreError::io("create", &lock_path))?, path)?;
        let mut options = database(budget);
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_error_if_exists(true);
        let db = open_database(&options, path, budget)?;
        let store = Self::new(db, path, lock, Some(Writer::default()));
        let mut batch = WriteBatch::default();
        batch.put_cf(store.family(Family::Meta), FORMAT_KEY, FORMAT);
        store.write_synced(batch, "create the store")?;
        // RocksDB syncs the folder itself, but not the entry that names it.
        sync_folder(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        Ok(store)
    }

    /// Opens the store in the folder `path`.
    ///
    /// # Errors
    /// [`StoreError::NoStore`], [`StoreError::Locked`], [`StoreError::Format`], [`StoreError::Corrupt`] for a damaged head
    /// or queue counter, [`StoreError::Io`], [`StoreError::Database`].
    pub fn open(path: impl AsRef<Path>, budget: &MemoryBudget) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let lock = lock_existing(path)?;
        check_families(path)?;
        let db = open_database(&database(budget), path, budget)?;
        let mut store = Self::new(db, path, lock, None);
        store.check_format()?;
        let (size, frozen) = store.head()?.map_or((0, false), |head: Head| (head.size.0, head.frozen));
        let next_index = store.next_queue_index()?;
        store.writer = Some(Mutex::new(Writer { size, next_index, frozen }));
        Ok(store)
    }

    /// Opens the store in the folder `path` for reading; no file in it changes.
    ///
    /// For [`crate::fsck`] on a stopped server. On a running one this is refused: RocksDB can open a database that another
    /// process writes, but its files are removed under the reader, whose findings would then be about nothing.
    ///
    /// # Errors
    /// As [`Store::open`], without `Corrupt`.
    pub fn open_read_only(path: impl AsRef<Path>, budget: &MemoryBudget) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let lock = lock_existing(path)?;
        check_families(path)?;
        let db = DB::open_cf_descriptors_read_only(&database(budget), path, families(budget)?, false);
        let db = db.map_err(StoreError::database(format!("open {} for reading", path.display())))?;
        let store = Self::new(db, path, lock, None);
        store.check_format()?;
        Ok(store)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn family(&self, family: Family) -> &rocksdb::ColumnFamily {
        self.db.cf_handle(family.name()).expect("every family is opened with the database and never dropped")
    }

    /// Index that the next accepted submission gets.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Database`].
    pub fn next_queue_index(&self) -> Result<u64, StoreError> {
        let Some(bytes) = self.get(Family::Meta, NEXT_INDEX_KEY)? else { return Ok(0) };
        crate::family::read_number(&bytes).ok_or_else(|| StoreError::Corrupt {
            place: Family::Meta.at(NEXT_INDEX_KEY),
            damage: Damage::Length(bytes.len()),
        })
    }

    /// The last committed head; `None` before epoch 0.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Database`].
    pub fn head(&self) -> Result<Option<Head>, StoreError> {
        self.get_artefact(Family::Meta, HEAD_KEY)
    }

    fn new(db: DB, path: &Path, lock: File, writer: Option<Writer>) -> Self {
        let path = path.to_owned();
        Self { db, path, writer: writer.map(Mutex::new), poisoned: AtomicBool::new(false), _lock: lock }
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let found = self.get(Family::Meta, FORMAT_KEY)?.unwrap_or_default();
        if found == FORMAT.as_bytes() { Ok(()) } else { Err(other_format(&self.path, &found)) }
    }
}

/// Refuses a database of other families than this program's: RocksDB would only say that one of them is not there.
fn check_families(path: &Path) -> Result<(), StoreError> {
    let doing = || format!("open {}", path.display());
    let there = DB::list_cf(&Options::default(), path).map_err(StoreError::database(doing()))?;
    let has = |family: Family| there.iter().any(|name| name == family.name());
    if Family::ALL.into_iter().all(has) {
        return Ok(());
    }
    if !has(Family::Meta) {
        return Err(other_format(path, &[]));
    }
    let meta = Family::Meta.name();
    let db = DB::open_cf_for_read_only(&Options::default(), path, [meta], false);
    let db = db.map_err(StoreError::database(doing()))?;
    let family = db.cf_handle(meta).expect("it was opened with the database");
    let found = db.get_cf(family, FORMAT_KEY).map_err(StoreError::database("read meta"))?;
    Err(other_format(path, &found.unwrap_or_default()))
}

fn other_format(path: &Path, found: &[u8]) -> StoreError {
    let found = String::from_utf8_lossy(found).into_owned();
    StoreError::Format { path: path.to_owned(), expected: FORMAT, found }
}

fn open_database(options: &Options, path: &Path, budget: &MemoryBudget) -> Result<DB, StoreError> {
    let db = DB::open_cf_descriptors(options, path, families(budget)?)
        .map_err(StoreError::database(format!("open {}", path.display())))?;
    // RocksDB keeps the last of its diary's head in memory, and on a full disk would end the process over it (see
    // `options`). Compacting a range in which there is nothing does nothing but write that out.
    db.compact_range(Some([0xff; 2]), Some([0xff; 3]));
    Ok(db)
}

fn lock_existing(path: &Path) -> Result<File, StoreError> {
    if !path.join(CURRENT_FILE).exists() {
        return Err(StoreError::NoStore { path: path.to_owned() });
    }
    let lock_path = path.join(LOCK_FILE);
    take_lock(File::open(&lock_path).map_err(StoreError::io("open", &lock_path))?, path)
}

fn take_lock(file: File, path: &Path) -> Result<File, StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path)(error)),
    }
}

fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync folder", path))
}
