//! Folders that are either not there or complete, whatever happens while they are filled.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use pds_files::durable;

/// A folder being filled beside its final place. Dropped without [`Staged::commit`], it is removed.
#[derive(Debug)]
pub struct Staged {
    target: PathBuf,
    folder: PathBuf,
    is_done: bool,
    /// Dropped last: the next one begins once the folder is gone.
    _lock: Lock,
}

/// Why a folder cannot be filled.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// There is something at its place.
    #[error("there is a {} already, and nothing but an empty folder is replaced", .0.display())]
    Taken(PathBuf),
    /// Another process is at it.
    #[error("another process is filling {} at this moment", .0.display())]
    Busy(PathBuf),
    /// The system failed.
    #[error("{}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Staged {
    /// Begins to fill what will be `target`: in `target.partial`, which takes the place of one that a kill left behind.
    /// One process does so at a time, by a lock on `target.partial.lock`.
    ///
    /// # Errors
    /// [`StagingError`].
    pub fn begin(target: &Path) -> Result<Self, StagingError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            |source| StagingError::Io { path, source }
        };
        let target = std::path::absolute(target).map_err(io(target))?;
        let folder = target.with_added_extension("partial");
        let lock = Lock::take(folder.with_added_extension("lock"))
            .map_err(io(&folder))?
            .ok_or_else(|| StagingError::Busy(folder.clone()))?;
        if !is_free(&target).map_err(io(&target))? {
            return Err(StagingError::Taken(target));
        }
        remove_if_there(&folder).map_err(io(&folder))?;
        DirBuilder::new().mode(0o700).create(&folder).map_err(io(&folder))?;
        Ok(Self { target, folder, is_done: false, _lock: lock })
    }

    /// Where to put what it is to hold.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes all that is in it durable, and gives it its place. Never replaces anything but an empty folder.
    ///
    /// # Errors
    /// The system's.
    pub fn commit(mut self) -> io::Result<()> {
        sync_all(&self.folder)?;
        // rename(2): a new folder takes the place of an empty one, and of nothing else.
        fs::rename(&self.folder, &self.target)?;
        self.is_done = true;
        durable::sync_folder_of(&self.target)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_done {
            // What is left is removed by the next attempt.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A file that one process at a time has locked, and that is there only as long.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Nothing when another has it.
    fn take(path: PathBuf) -> io::Result<Option<Self>> {
        loop {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Who had it may have removed it since it was opened here: then what is locked is a file without a name.
            let locked = file.metadata()?;
            match fs::metadata(&path) {
                Ok(named) if (named.dev(), named.ino()) == (locked.dev(), locked.ino()) => {
                    return Ok(Some(Self { path, _file: file }));
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before it is unlocked: nobody else's is removed. What stays is an empty file that the next one locks.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the folder `path`, if it is there, with all that is in it.
///
/// # Errors
/// The system's.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_free(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(error),
    }
}

fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let staged = Staged::begin(&target).unwrap();
        fs::write(staged.folder().join("a"), b"1").unwrap();
        assert!(!target.exists());
        drop(staged);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        // What a kill left does not come along.
        fs::create_dir(folder.path().join("target.partial")).unwrap();
        fs::write(folder.path().join("target.partial/old"), b"1").unwrap();
        let staged = Staged::begin(&target).unwrap();
        fs::write(staged.folder().join("a"), b"1").unwrap();
        staged.commit().unwrap();
        let names: Vec<_> = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_but_an_empty_folder_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        fs::create_dir(&target).unwrap();
        let staged = Staged::begin(&target).unwrap();
        // Somebody was faster.
        fs::write(target.join("kept"), b"1").unwrap();
        assert!(staged.commit().is_err());
        assert!(matches!(Staged::begin(&target), Err(StagingError::Taken(_))));
        let file = folder.path().join("file");
        fs::write(&file, b"1").unwrap();
        assert!(matches!(Staged::begin(&file), Err(StagingError::Taken(_))));
        assert_eq!(fs::read(target.join("kept")).unwrap(), b"1");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn folder_is_filled_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let first = Staged::begin(&target).unwrap();
        fs::write(first.folder().join("a"), b"1").unwrap();
        assert!(matches!(Staged::begin(&target), Err(StagingError::Busy(_))));
        first.commit().unwrap();
        assert_eq!(fs::read(target.join("a")).unwrap(), b"1");
        // What one that was killed left locked nobody holds.
        fs::remove_dir_all(&target).unwrap();
        fs::write(folder.path().join("target.partial.lock"), b"").unwrap();
        drop(Staged::begin(&target).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn folder_is_given_to_one_of_many_who_begin_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let filling = std::sync::atomic::AtomicUsize::new(0);
        let fill = || {
            for _ in 0..200 {
                let Ok(staged) = Staged::begin(&target) else { continue };
                assert_eq!(filling.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                fs::write(staged.folder().join("a"), b"1").unwrap();
                filling.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(fill))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
