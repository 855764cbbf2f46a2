//! Checking an upload before the sequencer sees it: everything that needs no state.
//!
//! Pure but for the time it takes: decoding, the signature, unpacking the archive, the manifest. Whether the name and the
//! release are free is the sequencer's to say.

use pds_core::cose::{self, CoseError};
use pds_core::hash::sha256;
use pds_plugin::archive::{ArchiveError, ArchiveLimits, unpack};
use pds_plugin::manifest::{Manifest, ManifestError, source_of};
use pds_plugin::source::source_digest;
use pds_schemas::cose::{CoseSign1, SignedKind};
use pds_schemas::{Artefact, DecodeError, Digest, PublicKey, Submission, Upload};
use pds_service::http::Client;

/// A submission that is sound in itself.
#[derive(Debug)]
pub struct Candidate {
    /// SHA-256 of the submission.
    pub digest: Digest,
    /// What it says.
    pub submission: Submission,
    /// The key that signed it, one of its owner record's.
    pub signer: PublicKey,
    /// Who sent it.
    pub client: Client,
    /// As it was signed.
    pub signed: Vec<u8>,
    /// As it was sent.
    pub archive: Vec<u8>,
}

/// Why an upload is refused.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The body is no upload.
    #[error("the body is no upload: {0}")]
    Upload(DecodeError),
    /// The submission's signature does not hold.
    #[error("the submission: {0}")]
    Signed(#[from] CoseError),
    /// The signer is not an owner.
    #[error("the submission is signed by a key that is not among the keys of its owner record")]
    SignerNotOwner,
    /// The archive is refused.
    #[error("the archive: {0}")]
    Archive(#[from] ArchiveError),
    /// The archive holds another source tree.
    #[error("the archive's source tree has digest {found}, the submission says {stated}")]
    Source {
        /// In the submission.
        stated: Digest,
        /// Of the archive.
        found: String,
    },
    /// The manifest is not in the source tree.
    #[error("the source tree has no {0}, which the submission names as its manifest")]
    NoManifest(String),
    /// The manifest is malformed.
    #[error("the manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// The manifest is of another plugin.
    #[error("the manifest is of {found}, the submission of {stated}")]
    OtherName {
        /// In the submission.
        stated: String,
        /// In the manifest.
        found: String,
    },
    /// A pluglet's source is not in the tree.
    #[error("the manifest names {object}, but the source tree has no {source_file} to build it from")]
    NoSource {
        /// The object.
        object: String,
        /// Its source.
        source_file: String,
    },
    /// Stated bytecode that the manifest does not name, or the other way round.
    #[error("the submission states bytecode for other objects than its manifest names")]
    Bytecode,
}

/// SHA-256 of the submission in `body`, of which nothing else is checked.
///
/// # Errors
/// [`IntakeError::Upload`].
pub fn digest_of(body: &[u8]) -> Result<Digest, IntakeError> {
    let Upload { signed, .. } = Upload::from_bytes(body).map_err(IntakeError::Upload)?;
    Ok(sha256(&CoseSign1::from_bytes(&signed).map_err(IntakeError::Upload)?.payload))
}

/// Checks `body`, which `client` sent.
///
/// # Errors
/// [`IntakeError`].
pub fn check(body: &[u8], client: Client) -> Result<Candidate, IntakeError> {
    let Upload { signed, archive } = Upload::from_bytes(body).map_err(IntakeError::Upload)?;
    let (submission, signer): (Submission, _) = cose::open_any_key(&signed, SignedKind::Submission)?;
    if !submission.owner.keys.contains(&signer) {
        return Err(IntakeError::SignerNotOwner);
    }
    let digest = sha256(&CoseSign1::from_bytes(&signed).map_err(IntakeError::Upload)?.payload);
    let tree = unpack(&archive, &ArchiveLimits::default())?;
    let found = source_digest(&tree);
    if found != Some(submission.source) {
        let found = found.map_or("none, being empty".to_owned(), |digest| digest.to_string());
        return Err(IntakeError::Source { stated: submission.source, found });
    }
    let manifest = tree.get(&submission.manifest);
    let manifest = manifest.ok_or_else(|| IntakeError::NoManifest(submission.manifest.clone()))?;
    let manifest = Manifest::parse(manifest)?;
    if manifest.name != submission.name {
        let (stated, found) = (submission.name.to_string(), manifest.name.to_string());
        return Err(IntakeError::OtherName { stated, found });
    }
    let folder =
        submission.manifest.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    for object in manifest.objects() {
        let source_file = format!("{folder}{}", source_of(object));
        if tree.get(&source_file).is_none() {
            return Err(IntakeError::NoSource { object: object.to_owned(), source_file });
        }
    }
    if let Some(stated) = &submission.bytecode {
        let same = stated.len() == manifest.objects().len()
            && manifest.objects().iter().all(|object| stated.get(object).is_some());
        if !same {
            return Err(IntakeError::Bytecode);
        }
    }
    Ok(Candidate { digest, submission, signer, client, signed, archive })
}
