//! What was seen and verified before, so that no log can go back on it.
//!
//! A folder with one small file per origin, the last verified checkpoint, and `conflicts/` with what contradicted it.
//! A file moves forward only, atomically, and only after what it covers was verified; that is its caller's to see to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use pds_core::checkpoint::{CheckpointError, SignedCheckpoint};
use pds_core::evidence::TrustedValidator;
use pds_core::hash::sha256;
use pds_schemas::{TreeSize, limits};

use pds_files::durable;

/// The folder of remembered state.
#[derive(Clone, Debug)]
pub struct Memory {
    folder: PathBuf,
}

/// Why memory fails.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Neither told where to keep state nor able to guess.
    #[error("neither XDG_STATE_HOME nor HOME is set: say where to keep state")]
    NoFolder,
    /// A file or folder cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A remembered checkpoint that the log's key did not sign: the file was damaged, or the trusted key changed.
    #[error("{} is no checkpoint of this log: if its key was changed on purpose, move the file away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: CheckpointError,
    },
    /// Somebody else using this folder verified another root of the same size meanwhile.
    #[error("another root of {size} epochs was remembered meanwhile; both checkpoints are in {}", kept.display())]
    Conflict {
        /// Size of both.
        size: TreeSize,
        /// Where both are.
        kept: PathBuf,
    },
}

impl Memory {
    /// Opens the folder, or makes it, for its owner only.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| StateError::Io { path: folder.to_owned(), source })?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// `$XDG_STATE_HOME/pds`, or `~/.local/state/pds`.
    ///
    /// # Errors
    /// [`StateError::NoFolder`].
    pub fn default_folder() -> Result<PathBuf, StateError> {
        // XDG base directories: a relative path there is to be ignored.
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        match (absolute("XDG_STATE_HOME"), absolute("HOME")) {
            (Some(state), _) => Ok(state.join("pds")),
            (None, Some(home)) => Ok(home.join(".local/state/pds")),
            (None, None) => Err(StateError::NoFolder),
        }
    }

    /// The last checkpoint that was verified of this validator's log.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn recall(&self, validator: &TrustedValidator) -> Result<Option<SignedCheckpoint>, StateError> {
        let path = self.file(validator.origin(), "checkpoint");
        let Some(bytes) = self.load(&path, limits::NOTE_BYTES)? else { return Ok(None) };
        let checkpoint = SignedCheckpoint::open(&bytes, &validator.policy().logs()[0].key);
        checkpoint.map(Some).map_err(|source| StateError::Foreign { path, source })
    }

    /// Remembers a checkpoint, if it is larger than the remembered one. All it covers was verified, and that its log is
    /// one with that of `proved`, the checkpoint remembered when that was looked at.
    ///
    /// Changes nothing, and gives what is remembered, when somebody else using this folder has moved on from `proved`:
    /// nothing was proved about that one.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn remember(
        &self,
        validator: &TrustedValidator,
        checkpoint: &SignedCheckpoint,
        proved: Option<&SignedCheckpoint>,
    ) -> Result<Option<SignedCheckpoint>, StateError> {
        let _lock = self.lock()?;
        let new = checkpoint.checkpoint();
        if let Some(held) = self.recall(validator)? {
            let old = held.checkpoint();
            if old.size == new.size && old.root != new.root {
                let kept = self.keep_conflict(&held, checkpoint)?;
                return Err(StateError::Conflict { size: old.size, kept });
            }
            if old.size != new.size && proved.map(SignedCheckpoint::checkpoint) != Some(old) {
                return Ok(Some(held));
            }
            if old.size >= new.size {
                return Ok(None);
            }
        }
        let path = self.file(validator.origin(), "checkpoint");
        self.store(&path, checkpoint.to_string().as_bytes())?;
        Ok(None)
    }

    /// Keeps two checkpoints that contradict each other, byte for byte; gives the folder they are in.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn keep_conflict(
        &self,
        held: &SignedCheckpoint,
        offered: &SignedCheckpoint,
    ) -> Result<PathBuf, StateError> {
        let (held_note, offered_note) = (held.to_string(), offered.to_string());
        let id = sha256(format!("{held_note}{offered_note}").as_bytes()).to_string();
        let origin = &held.checkpoint().origin;
        let folder = self.folder.join("conflicts").join(format!("{}-{}", file_stem(origin), &id[..16]));
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| StateError::Io { path: folder.clone(), source })?;
        self.store(&folder.join("remembered.checkpoint"), held_note.as_bytes())?;
        self.store(&folder.join("offered.checkpoint"), offered_note.as_bytes())?;
        Ok(folder)
    }

    /// How far an audit of this origin came, as the audit wrote it down.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn audit_position(&self, origin: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.load(&self.file(origin, "audit"), 64 << 10)
    }

    /// Writes down how far an audit came.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn set_audit_position(&self, origin: &str, bytes: &[u8]) -> Result<(), StateError> {
        let _lock = self.lock()?;
        self.store(&self.file(origin, "audit"), bytes)
    }

    fn file(&self, origin: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", file_stem(origin)))
    }

    fn load(&self, path: &Path, limit: usize) -> Result<Option<Vec<u8>>, StateError> {
        match durable::read(path, limit) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::Io { path: path.to_owned(), source }),
        }
    }

    fn store(&self, path: &Path, bytes: &[u8]) -> Result<(), StateError> {
        durable::replace(path, bytes).map_err(|source| StateError::Io { path: path.to_owned(), source })
    }

    /// Held while a file is compared and replaced; the system lets go of it with the file.
    fn lock(&self) -> Result<File, StateError> {
        let path = self.folder.join("lock");
        let locked = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let locked = locked.and_then(|file| file.lock().map(|()| file));
        locked.map_err(|source| StateError::Io { path, source })
    }
}

/// An origin as a file name: what is readable of it, and enough of its hash to tell it from every other.
fn file_stem(origin: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    let readable: String = origin.trim_start_matches('.').chars().take(80).map(plain).collect();
    format!("{readable}-{}", &sha256(origin.as_bytes()).to_string()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_stem_is_one_plain_name_for_each_origin() {
        for origin in ["pv.example", "../../etc/passwd", "pv.example/a", "pv.example_a", ".x", "é"] {
            let stem = file_stem(origin);
            assert!(!stem.contains('/') && !stem.starts_with('.'), "{stem}");
        }
        assert_ne!(file_stem("pv.example/a"), file_stem("pv.example_a"));
    }
}
