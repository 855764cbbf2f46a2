//! The last signed head, kept outside the database.
//!
//! A database can be restored from an old backup, or started twice from two copies; signing on would then show two
//! histories. The guard file holds the head that was signed last, byte for byte, and is locked while a process may sign. It
//! moves by compare-and-swap only. It holds for one host: two hosts with copies of the key each have a guard of their own.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use pds_files::durable;

/// A locked guard. One process has it; dropping it unlocks.
#[derive(Debug)]
pub struct Guard {
    path: PathBuf,
    /// What the guard file holds, as last read or written by this process.
    value: Vec<u8>,
    _lock: File,
}

/// Why the guard cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// There is none; only `init` makes one.
    #[error("there is no guard at {}", .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("there is a guard already at {}", .0.display())]
    Exists(PathBuf),
    /// Another process holds it.
    #[error("another process holds the guard {}: it signs with this key", .0.display())]
    Locked(PathBuf),
    /// It is not what this process last wrote.
    #[error("the guard {} was changed by somebody else", .0.display())]
    Moved(PathBuf),
    /// The system failed.
    #[error("{action} guard {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The guard file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Guard {
    /// Makes a new guard that holds `value`, and locks it.
    ///
    /// # Errors
    /// [`GuardError`].
    pub fn create(path: &Path, value: &[u8]) -> Result<Self, GuardError> {
        let lock = lock(path)?;
        match durable::create(path, value) {
            Ok(()) => Ok(Self { path: path.to_owned(), value: value.to_vec(), _lock: lock }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(GuardError::Exists(path.to_owned())),
            Err(source) => Err(GuardError::Io { action: "create", path: path.to_owned(), source }),
        }
    }

    /// Locks and reads an existing guard.
    ///
    /// # Errors
    /// [`GuardError`].
    pub fn open(path: &Path) -> Result<Self, GuardError> {
        // The lock is a file of its own, since a swap replaces the guard's file.
        let lock =
            if path.exists() { lock(path)? } else { return Err(GuardError::Missing(path.to_owned())) };
        let value = read(path)?;
        Ok(Self { path: path.to_owned(), value, _lock: lock })
    }

    /// What the guard holds.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Replaces the value by `next` if the file still holds what this process last saw.
    ///
    /// # Errors
    /// [`GuardError`]; after one, whether the guard moved is not known before a restart.
    pub fn swap(&mut self, next: &[u8]) -> Result<(), GuardError> {
        if read(&self.path)? != self.value {
            return Err(GuardError::Moved(self.path.clone()));
        }
        durable::replace(&self.path, next).map_err(|source| GuardError::Io {
            action: "replace",
            path: self.path.clone(),
            source,
        })?;
        self.value = next.to_vec();
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, GuardError> {
    std::fs::read(path).map_err(|source| GuardError::Io { action: "read", path: path.to_owned(), source })
}

fn lock(path: &Path) -> Result<File, GuardError> {
    let failed = |source| GuardError::Io { action: "lock", path: path.to_owned(), source };
    let lock = path.with_added_extension("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(GuardError::Locked(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_keeps_what_was_swapped_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guard");
        let mut guard = Guard::create(&path, b"0").unwrap();
        guard.swap(b"1").unwrap();
        drop(guard);
        assert_eq!(Guard::open(&path).unwrap().value(), b"1");
    }

    #[test]
    fn guard_is_refused_while_another_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guard");
        let guard = Guard::create(&path, b"0").unwrap();
        assert!(matches!(Guard::open(&path), Err(GuardError::Locked(_))));
        drop(guard);
        assert!(Guard::open(&path).is_ok());
    }

    #[test]
    fn guard_does_not_swap_when_it_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guard");
        let mut guard = Guard::create(&path, b"0").unwrap();
        std::fs::write(&path, b"restored").unwrap();
        assert!(matches!(guard.swap(b"1"), Err(GuardError::Moved(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"restored");
    }

    #[test]
    fn guard_is_neither_made_twice_nor_opened_when_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guard");
        assert!(matches!(Guard::open(&path), Err(GuardError::Missing(_))));
        drop(Guard::create(&path, b"0").unwrap());
        assert!(matches!(Guard::create(&path, b"1"), Err(GuardError::Exists(_))));
    }
}
