//! Folders that are either not there or complete, whatever happens while they are filled.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use pds_files::durable;

/// A folder being filled beside its final place. Dropped without [`Staged::commit`], it is removed.
#[derive(Debug)]
pub struct Staged {
    target: PathBuf,
    folder: PathBuf,
    is_done: bool,
}

impl Staged {
    /// Begins to fill what will be `target`: in `target.partial`, which takes the place of one that a kill left behind.
    ///
    /// # Errors
    /// `AlreadyExists` when there is something at `target`, which an empty folder is not. The system's.
    pub fn begin(target: &Path) -> io::Result<Self> {
        let target = std::path::absolute(target)?;
        if !is_free(&target)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let folder = target.with_added_extension("partial");
        remove_if_there(&folder)?;
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { target, folder, is_done: false })
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
        assert_eq!(Staged::begin(&target).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let file = folder.path().join("file");
        fs::write(&file, b"1").unwrap();
        assert_eq!(Staged::begin(&file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(target.join("kept")).unwrap(), b"1");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
