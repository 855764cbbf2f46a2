//! Secret key files: made once, for their owner's eyes only.
//!
//! The text form is `pds_core::secret_key`'s. Used by `pds` and by every daemon that has a key.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pds_core::cose::{SigningKey, signing_key};
use pds_core::secret_key::{self, SecretKeyError};

use crate::durable;

/// Most bytes of a key file: its two lines, with room to spare.
const MAX_BYTES: usize = 256;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The system has no randomness to give.
    #[error("take 32 random bytes from the system")]
    Random(#[source] getrandom::Error),
    /// The file is there already; it is never overwritten.
    #[error("{} exists already, and a key is never overwritten", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written or read.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner may read or write the file.
    #[error(
        "{} has mode {mode:03o}: others than its owner may use it. If nobody did, `chmod 600` it; if somebody may have, \
         make a new key",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a key file.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is expected.
        source: SecretKeyError,
    },
}

/// Makes a new key and writes it to the new file `path`: mode 0600, synced.
///
/// # Errors
/// [`KeyFileError`]; never overwrites.
pub fn create(path: &Path) -> Result<SigningKey, KeyFileError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(KeyFileError::Random)?;
    let key = signing_key(&seed);
    match durable::create(path, secret_key::to_text(&key).as_bytes()) {
        Ok(()) => Ok(key),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(KeyFileError::Exists(path.to_owned())),
        Err(source) => Err(KeyFileError::Io { path: path.to_owned(), source }),
    }
}

/// The key in `path`, which only its owner may read.
///
/// # Errors
/// [`KeyFileError`].
pub fn read(path: &Path) -> Result<SigningKey, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let bytes = durable::read(path, MAX_BYTES).map_err(io)?;
    let malformed = |source| KeyFileError::Malformed { path: path.to_owned(), source };
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed(SecretKeyError))?;
    secret_key::from_text(text).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_file_is_private_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap(), key);
    }

    #[test]
    fn key_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = create(&path).unwrap();
        assert!(matches!(create(&path), Err(KeyFileError::Exists(_))));
        assert_eq!(read(&path).unwrap(), key);
    }

    #[test]
    fn key_file_is_refused_when_others_may_use_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o610] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert!(matches!(read(&path), Err(KeyFileError::Exposed { mode: m, .. }) if m == mode));
        }
    }

    #[test]
    fn key_file_is_refused_when_malformed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        durable::create(&path, b"pds-secret-key-v1\n").unwrap();
        assert!(matches!(read(&path), Err(KeyFileError::Malformed { .. })));
        assert!(matches!(read(&folder.path().join("none")), Err(KeyFileError::Io { .. })));
    }
}
