//! The validator that every run starts from, made once and copied.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tempfile::TempDir;

use crate::scenario;

const CONFIG: &str = "\
origin = \"pv.faults.example\"
listen = \"127.0.0.1:0\"
data_dir = \"data\"
log_key = \"keys/log\"
str_key = \"keys/str\"
epoch_interval_s = 60
decide_within_s = 2592000
free_space_reserve_mib = 0
block_cache_mib = 8
allow_unconfined = true
";

/// Seconds from the making of a template to the time at which all runs take place.
const LATER_S: u64 = 60;

/// A folder with a stopped validator in it, and its journal.
#[derive(Debug)]
pub struct Template {
    folder: TempDir,
    /// What the clock says in every run, in POSIX seconds.
    pub clock: u64,
}

/// Where things are in the folder of a template, or of a copy of it.
#[derive(Clone, Debug)]
pub struct Layout(pub PathBuf);

impl Template {
    /// Makes one in memory where that is to be had: what a disk keeps is the shim's to say, and not the real one's.
    ///
    /// # Errors
    /// When anything goes wrong.
    pub fn make() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(memory_or_disk())?;
        let layout = Layout(folder.path().to_owned());
        std::fs::create_dir(layout.stash())?;
        std::fs::write(layout.config(), CONFIG)?;
        scenario::prepare(&layout.config(), &layout.journal()).context("make the template")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(Self { folder, clock: now.as_secs() + LATER_S })
    }

    /// Where it is.
    pub fn layout(&self) -> Layout {
        Layout(self.folder.path().to_owned())
    }
}

impl Layout {
    /// A copy of all of it, in a new folder.
    ///
    /// # Errors
    /// The system's.
    pub fn copy(&self) -> anyhow::Result<TempDir> {
        let folder = tempfile::tempdir_in(memory_or_disk())?;
        copy_folder(&self.0, folder.path()).with_context(|| format!("copy {}", self.0.display()))?;
        Ok(folder)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.0.join("pv.toml")
    }

    /// What was told to the world.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// The shim's stash.
    pub fn stash(&self) -> PathBuf {
        self.0.join("stash")
    }

    /// The folders on the faulty disk: the database with the public keys, and the guard with the secret ones.
    pub fn roots(&self) -> Vec<PathBuf> {
        vec![self.0.join("data"), self.0.join("keys")]
    }
}

fn memory_or_disk() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy_folder(&entry.path(), &target)?;
        } else if !is_diary(&entry.path()) {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// RocksDB's own diaries, which nothing reads.
fn is_diary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "LOG" || name.as_encoded_bytes().starts_with(b"LOG.old"))
}
