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
use pds_core::secret_key;
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
    /// A secret key among the files: what is submitted is published.
    #[error("{0} has a secret key in it, and all of the folder would be sent: move it out of the folder")]
    SecretKey(String),
    /// A server that nobody vouches for says that the name belongs to more than the key that would sign.
    #[error(
        "{0} has an owner record with more in it than this key, says a server that was not verified; to sign it takes \
         --trust and --validator"
    )]
    UnverifiedOwner(PluginName),
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
    if let Some((path, _)) = plugin.tree.files().find(|(_, bytes)| has_secret_key(bytes, key)) {
        return Err(SubmitError::SecretKey(path.to_owned()));
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

/// Whether a file is a secret key file, or has `key` somewhere in it.
fn has_secret_key(bytes: &[u8], key: &SigningKey) -> bool {
    let ours = secret_key::to_text(key);
    let seed = ours.lines().nth(1).expect("a key file's second line is the seed").as_bytes();
    let is_key_file = || std::str::from_utf8(bytes).is_ok_and(|text| secret_key::from_text(text).is_ok());
    bytes.windows(seed.len()).any(|window| window == seed) || is_key_file()
}

/// The owner record to sign when nothing of what the server said was verified: none but that of `key` alone.
///
/// A signed submission is worth as much with every other validator. One under a record that a stranger made up, with
/// keys of the stranger's beside `key`, would make them owners wherever the name is still free.
///
/// # Errors
/// [`SubmitError::NotOwner`] and [`SubmitError::UnverifiedOwner`].
pub fn unverified_owner(
    claimed: Option<OwnerRecord>,
    name: &PluginName,
    key: &PublicKey,
) -> Result<OwnerRecord, SubmitError> {
    let first = OwnerRecord::first(name.clone(), *key);
    match claimed {
        Some(claimed) if !claimed.keys.contains(key) => {
            Err(SubmitError::NotOwner { name: name.clone(), key: *key })
        }
        Some(claimed) if claimed != first => Err(SubmitError::UnverifiedOwner(name.clone())),
        _ => Ok(first),
    }
}

/// Where `name` stands with a validator, by a record of it that was verified, or that is at least its own word.
///
/// The owner record is fetched and rehashed. Before one is signed that comes of an unverified record, it goes through
/// [`unverified_owner`].
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> PluginName {
        PluginName::new("org.example.pacing").unwrap()
    }

    #[test]
    fn submission_is_refused_when_it_would_publish_a_secret_key() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let text = "org.example.pacing\nheader_parsed pre a.o\n";
        let prepare = |notes: &str| {
            let mut tree = SourceTree::default();
            tree.insert("p.plugin", text.into()).unwrap();
            tree.insert("notes", notes.into()).unwrap();
            let source = source_digest(&tree).unwrap();
            let manifest = Manifest::parse(text.as_bytes()).unwrap();
            let plugin = Plugin { tree, source, manifest_path: "p.plugin".to_owned(), manifest };
            let owner = OwnerRecord::first(name(), cose::public_key(&key));
            prepare(&plugin, None, Release(1), owner, &key)
        };
        assert!(prepare("pds-secret-key-v1 is the first line of a key file\n").is_ok());
        let ours = secret_key::to_text(&key);
        let another = secret_key::to_text(&SigningKey::from_bytes(&[8; 32]));
        for notes in [ours.clone(), format!("# key\r\n{ours}"), another] {
            assert!(matches!(prepare(&notes), Err(SubmitError::SecretKey(path)) if path == "notes"));
        }
    }

    #[test]
    fn unverified_owner_record_is_signed_only_when_it_is_the_keys_alone() {
        let (key, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let first = OwnerRecord::first(name(), key);
        let owner = |claimed| unverified_owner(claimed, &name(), &key);
        assert_eq!(owner(None).unwrap(), first);
        assert_eq!(owner(Some(first.clone())).unwrap(), first);
        let shared = OwnerRecord { keys: vec![key, other], ..first.clone() };
        assert!(matches!(owner(Some(shared)), Err(SubmitError::UnverifiedOwner(_))));
        let recovered = OwnerRecord { recovery: vec![other], ..first };
        assert!(matches!(owner(Some(recovered)), Err(SubmitError::UnverifiedOwner(_))));
        let theirs = OwnerRecord::first(name(), other);
        assert!(matches!(owner(Some(theirs)), Err(SubmitError::NotOwner { .. })));
    }
}
