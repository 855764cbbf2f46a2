//! What a backup says about itself: `backup.json`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use anyhow::{Context, ensure};
use pds_core::hash::sha256;
use pds_files::durable;
use pds_schemas::disk::Head;
use pds_schemas::{Artefact, Digest, TreeSize};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::STORE_FOLDER;
use crate::identity::{LOG_VKEY_FILE, STR_VKEY_FILE};

/// Its name in the backup's folder.
pub const FILE: &str = "backup.json";
/// What is written here, and what is read.
const FORMAT: &str = "pds-backup/1";
/// Most bytes of it: a hundred thousand files.
const MAX_BYTES: usize = 32 << 20;

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `pds-backup/1`.
    pub format: String,
    /// The validator.
    pub origin: String,
    /// Where its log was; nothing before epoch 0.
    pub head: Option<HeadLine>,
    /// Submissions accepted until then.
    pub submissions: u64,
    /// Every file but this one.
    pub files: Vec<BackedUp>,
}

/// The head of a log, for people to compare; what decides is in the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadLine {
    /// Epochs.
    pub size: TreeSize,
    /// RFC 6962 root.
    pub log_root: Digest,
    /// SHA-256 of the whole head record, which the guard holds too.
    pub record: Digest,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackedUp {
    /// Relative to the backup's folder, e.g. `store/CURRENT`.
    pub path: String,
    /// Length.
    pub bytes: u64,
    /// SHA-256 of the content.
    pub sha256: Digest,
}

impl Manifest {
    /// An empty backup of `origin`.
    pub fn new(origin: &str, head: Option<HeadLine>, submissions: u64) -> Self {
        Self { format: FORMAT.to_owned(), origin: origin.to_owned(), head, submissions, files: Vec::new() }
    }

    /// Reads the manifest in the folder `backup`.
    ///
    /// # Errors
    /// When there is none, or none that this program reads.
    pub fn read(backup: &Path) -> anyhow::Result<Self> {
        let path = backup.join(FILE);
        let bytes = durable::read(&path, MAX_BYTES)
            .with_context(|| format!("read {}, which every complete backup has", path.display()))?;
        Self::parse(&path, &bytes)
    }

    /// As [`Manifest::read`], from the bytes of the file at `path`.
    ///
    /// # Errors
    /// When they are none that this program reads.
    pub fn parse(path: &Path, bytes: &[u8]) -> anyhow::Result<Self> {
        let format: Format = serde_json::from_slice(bytes).with_context(|| format!("{}", path.display()))?;
        ensure!(
            format.format == FORMAT,
            "{} has format {:?}, this program reads {FORMAT:?}",
            path.display(),
            format.format
        );
        let manifest: Self = serde_json::from_slice(bytes).with_context(|| format!("{}", path.display()))?;
        for file in &manifest.files {
            ensure!(belongs(&file.path), "{}: {:?} does not belong in a backup", path.display(), file.path);
        }
        Ok(manifest)
    }

    /// Writes it into the folder `backup`.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, backup: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let path = backup.join(FILE);
        durable::create(&path, &text).with_context(|| format!("create {}", path.display()))
    }
}

impl HeadLine {
    /// What there is to say of `head`.
    pub fn of(head: &Head) -> Self {
        Self { size: head.size, log_root: head.log_root, record: sha256(&head.to_bytes()) }
    }
}

/// Copies a file to the new file `to`, durably, readable by its owner only; gives its length and SHA-256.
///
/// # Errors
/// The system's.
pub fn copy_file(from: &Path, to: &Path) -> io::Result<(u64, Digest)> {
    let mut source = File::open(from)?;
    let mut target = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    let (mut hasher, mut length) = (Sha256::new(), 0);
    let mut piece = vec![0; 1 << 20];
    loop {
        let read = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&piece[..read]);
        target.write_all(&piece[..read])?;
        length += read as u64;
    }
    target.sync_all()?;
    Ok((length, Digest(hasher.finalize().into())))
}

/// Of every version of the manifest this much is read first.
#[derive(Deserialize)]
struct Format {
    format: String,
}

/// Whether a backup has a file of that name: public keys, and files right in the database's folder.
fn belongs(path: &str) -> bool {
    if [LOG_VKEY_FILE, STR_VKEY_FILE].contains(&path) {
        return true;
    }
    let mut parts = Path::new(path).components();
    let plain = [parts.next(), parts.next()].map(|part| match part {
        Some(Component::Normal(name)) => name.to_str(),
        _ => None,
    });
    parts.next().is_none()
        && matches!(plain, [Some(STORE_FOLDER), Some(name)] if path == format!("{STORE_FOLDER}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_in_a_backup_is_taken_out_of_one() {
        for path in ["log.vkey", "str.vkey", "store/CURRENT", "store/000012.sst"] {
            assert!(belongs(path), "{path}");
        }
        let strange = [
            "",
            "/",
            ".",
            "..",
            "log.key",
            "store",
            "store/",
            "store/..",
            "store/../log.key",
            "store/a/b",
            "/store/a",
            "./store/a",
            "store//a",
            "store/./a",
            "other/a",
            "log.vkey/a",
        ];
        for path in strange {
            assert!(!belongs(path), "{path}");
        }
    }
}
