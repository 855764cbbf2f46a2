//! Submitting a plugin: from a folder to a signed upload, a checked receipt, and what became of it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pds_core::cose::SigningKey;
use pds_core::cose::{self, CoseError};
use pds_core::evidence::TrustedValidator;
use pds_core::hash::sha256;
use pds_plugin::archive::{self, ArchiveLimits, FolderError, PathDoesNotFit};
use pds_plugin::manifest::{Manifest, ManifestError};
use pds_plugin::source::{SourceTree, source_digest};
use pds_schemas::cose::SignedKind;
use pds_schemas::json::{Progress, SubmissionStatus};
use pds_schemas::{
    Artefact, Digest, NameRecord, ObjectMap, OwnerRecord, PluginName, PublicKey, Receipt, Release,
    Submission, Upload, limits,
};

use crate::api::{ApiError, ValidatorApi};
use pds_files::durable;

/// A plugin's source, read from a folder.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Every file of the folder.
    pub tree: SourceTree,
    /// Digest of the tree.
    pub source: Digest,
    /// Path of the manifest in the tree.
    pub manifest_path: String,
    /// The manifest.
    pub manifest: Manifest,
}

/// A submission, signed and packed.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What is submitted.
    pub submission: Submission,
    /// SHA-256 of it: its name from now on.
    pub digest: Digest,
    /// What is sent.
    pub upload: Upload,
}

/// Where a name stands, as far as its next submission is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The lowest release that can be submitted.
    pub next_release: Release,
    /// The owner record in force; `None` for a name that nobody has.
    pub owner: Option<OwnerRecord>,
}

/// Why there is nothing to submit, or no submission.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The folder cannot be read as a source tree.
    #[error("read the plugin's folder")]
    Folder(#[from] FolderError),
    /// No file in it.
    #[error("{} has no files", .0.display())]
    Empty(PathBuf),
    /// No manifest, or several, at the top of the folder.
    #[error("{found} files end in .plugin at the top of {}: name the manifest (--manifest)", folder.display())]
    WhichManifest {
        /// The folder.
        folder: PathBuf,
        /// How many there are.
        found: usize,
    },
    /// The manifest that was named is not there.
    #[error("there is no file {0} in the plugin's folder")]
    NoManifest(String),
    /// Not a manifest.
    #[error("{path}")]
    Manifest {
        /// Its path in the tree.
        path: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// A path that no archive holds.
    #[error(transparent)]
    Pack(#[from] PathDoesNotFit),
    /// Too much to send.
    #[error("the packed source has {0} bytes, the limit is {limit}", limit = limits::ARCHIVE_BYTES)]
    TooLarge(usize),
    /// An object of the manifest cannot be read.
    #[error("read the bytecode {}", path.display())]
    Bytecode {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The key is none of the owner's.
    #[error("{name} belongs to other keys than {key}: sign with its owner's")]
    NotOwner {
        /// The name.
        name: PluginName,
        /// The key that would sign.
        key: PublicKey,
    },
    /// Every release number was used.
    #[error("no release number is left for {0}")]
    NoReleaseLeft(PluginName),
    /// A record that the server gave is not about the name, or malformed.
    #[error("the server's record of {name} cannot be used: {cause}")]
    Record {
        /// The name asked for.
        name: PluginName,
        /// What is wrong.
        cause: String,
    },
    /// The server does not answer, or refuses.
    #[error("talk to the validator")]
    Api(#[from] ApiError),
}

/// Reads `folder`; the manifest is the only `*.plugin` at its top, unless `manifest` says another path in it.
///
/// # Errors
/// [`SubmitError`].
pub fn read_plugin(folder: &Path, manifest: Option<&str>) -> Result<Plugin, SubmitError> {
    let tree = archive::read_folder(folder, &ArchiveLimits::default())?;
    let source = source_digest(&tree).ok_or_else(|| SubmitError::Empty(folder.to_owned()))?;
    let manifest_path = match manifest {
        Some(path) => path.to_owned(),
        None => only_manifest(&tree, folder)?,
    };
    let bytes = tree.get(&manifest_path).ok_or_else(|| SubmitError::NoManifest(manifest_path.clone()))?;
    let manifest = Manifest::parse(bytes)
        .map_err(|source| SubmitError::Manifest { path: manifest_path.clone(), source })?;
    Ok(Plugin { tree, source, manifest_path, manifest })
}

fn only_manifest(tree: &SourceTree, folder: &Path) -> Result<String, SubmitError> {
    let at_the_top = |path: &str| !path.contains('/') && path.ends_with(".plugin");
    let found: Vec<&str> = tree.files().map(|(path, _)| path).filter(|path| at_the_top(path)).collect();
    match found[..] {
        [path] => Ok(path.to_owned()),
        _ => Err(SubmitError::WhichManifest { folder: folder.to_owned(), found: found.len() }),
    }
}

/// Digests of the objects that `manifest` names, as built in `folder`.
///
/// # Errors
/// [`SubmitError::Bytecode`].
pub fn read_bytecode(folder: &Path, manifest: &Manifest) -> Result<ObjectMap, SubmitError> {
    let digest = |object: &str| {
        let path = folder.join(object);
        let bytes = durable::read(&path, limits::OBJECT_BYTES);
        let bytes = bytes.map_err(|source| SubmitError::Bytecode { path, source })?;
        Ok((object.to_owned(), sha256(&bytes)))
    };
    let objects: Result<Vec<_>, SubmitError> = manifest.objects().into_iter().map(digest).collect();
    Ok(ObjectMap::new(objects?))
}

/// Packs and signs.
///
/// # Errors
/// [`SubmitError`].
pub fn prepare(
    plugin: &Plugin,
    bytecode: Option<ObjectMap>,
    release: Release,
    owner: OwnerRecord,
    key: &SigningKey,
) -> Result<Prepared, SubmitError> {
    let public = cose::public_key(key);
    if !owner.keys.contains(&public) {
        return Err(SubmitError::NotOwner { name: plugin.manifest.name.clone(), key: public });
    }
    let archive = archive::pack(&plugin.tree)?;
    if archive.len() > limits::ARCHIVE_BYTES {
        return Err(SubmitError::TooLarge(archive.len()));
    }
    let submission = Submission {
        name: plugin.manifest.name.clone(),
        release,
        source: plugin.source,
        manifest: plugin.manifest_path.clone(),
        bytecode,
        owner,
    };
    let digest = sha256(&submission.to_bytes());
    let signed = cose::sign(SignedKind::Submission, &submission, key).to_bytes();
    Ok(Prepared { submission, digest, upload: Upload { signed, archive } })
}

/// Where `name` stands with a validator, by a record of it that was verified, or that is at least its own word.
///
/// The owner record is fetched and rehashed. A record that is a lie costs a refused submission and no more.
///
/// # Errors
/// [`SubmitError`].
pub async fn standing(
    api: &ValidatorApi,
    name: &PluginName,
    record: Option<&NameRecord>,
) -> Result<Standing, SubmitError> {
    let Some(record) = record else { return Ok(Standing { next_release: Release(1), owner: None }) };
    let unusable = |cause: String| SubmitError::Record { name: name.clone(), cause };
    if record.name != *name {
        return Err(unusable(format!("it is about {}", record.name)));
    }
    let next = record.highest_release.0.checked_add(1);
    let next_release = next.map(Release).ok_or_else(|| SubmitError::NoReleaseLeft(name.clone()))?;
    let owner = api.owner(&record.owner).await?;
    if owner.name != *name {
        return Err(unusable(format!("its owner record is about {}", owner.name)));
    }
    Ok(Standing { next_release, owner: Some(owner) })
}

/// The record that a validator claims to hold of `name`, none of it verified.
///
/// # Errors
/// [`SubmitError`].
pub async fn claimed_record(
    api: &ValidatorApi,
    name: &PluginName,
) -> Result<Option<NameRecord>, SubmitError> {
    let evidence = api.evidence(name, None).await?;
    let record = evidence.extra.name_record.map(|bytes| NameRecord::from_bytes(&bytes)).transpose();
    record.map_err(|cause| SubmitError::Record { name: name.clone(), cause: cause.to_string() })
}

/// Why a receipt is no promise.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// Not base64.
    #[error("the receipt is not base64")]
    Base64,
    /// Not signed by the validator's STR key.
    #[error("the receipt")]
    Signature(#[from] CoseError),
    /// Signed, and about something else than the submission.
    #[error("the receipt's {0} is another than the submission's")]
    About(&'static str),
}

/// The bytes of the receipt in a status.
///
/// # Errors
/// [`ReceiptError::Base64`].
pub fn receipt_bytes(status: &SubmissionStatus) -> Result<Vec<u8>, ReceiptError> {
    STANDARD.decode(&status.receipt).map_err(|_| ReceiptError::Base64)
}

/// The promise in a status: signed by the validator's STR key, and about this submission.
///
/// # Errors
/// [`ReceiptError`].
pub fn check_receipt(
    status: &SubmissionStatus,
    submission: &Digest,
    validator: &TrustedValidator,
) -> Result<Receipt, ReceiptError> {
    let bytes = receipt_bytes(status)?;
    let receipt: Receipt = cose::open(&bytes, SignedKind::Receipt, &validator.str_key().public_key())?;
    let same = |what, holds: bool| if holds { Ok(()) } else { Err(ReceiptError::About(what)) };
    same("origin", receipt.origin == validator.origin())?;
    same("submission", receipt.submission == *submission)?;
    same("name", receipt.name == status.name)?;
    same("release", receipt.release == status.release)?;
    same("index", receipt.index == status.index)?;
    Ok(receipt)
}

/// Asks until the submission is in a signed epoch, at most `most` long; `on_progress` is told each state seen.
///
/// What comes back may still be undecided, when the time is up.
///
/// # Errors
/// [`ApiError`].
pub async fn wait(
    api: &ValidatorApi,
    submission: &Digest,
    most: Duration,
    mut on_progress: impl FnMut(Progress),
) -> Result<SubmissionStatus, ApiError> {
    let started = std::time::Instant::now();
    let mut pause = Duration::from_millis(250);
    loop {
        let status = api.submission(submission).await?;
        on_progress(status.progress);
        if status.progress == Progress::Published || started.elapsed() + pause > most {
            return Ok(status);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}
