//! Whom to hammer, and by which keys its answers are held.

use std::time::{SystemTime, UNIX_EPOCH};

use pds_core::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use pds_core::cosignature::Window;
use pds_core::note::{Note, VerifierKey};
use pds_schemas::{Digest, PosixTime, TreeSize};

use super::finding::{Finding, Trouble};
use crate::api::ValidatorApi;
use crate::http::{Http, HttpError, Timeouts};
use crate::trust::KnownValidator;

/// A server, and whose it is.
#[derive(Clone, Debug)]
pub struct Target {
    /// How it is reached. A busy server is not asked twice for one operation.
    pub api: ValidatorApi,
    /// By whom checkpoints are signed.
    pub log_key: VerifierKey,
    /// First line of its checkpoints.
    pub origin: String,
    /// The validator, if it is one and not just some log.
    pub validator: Option<KnownValidator>,
}

/// A checkpoint that its log signed, and nothing more known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Entries.
    pub size: TreeSize,
    /// RFC 6962 root over them.
    pub root: Digest,
    /// The note, byte for byte.
    pub note: String,
}

impl Target {
    /// A validator of a trust file, at `url` or where the trust file says.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn validator(
        known: KnownValidator,
        url: Option<&str>,
        timeouts: Timeouts,
    ) -> Result<Self, HttpError> {
        let api = ValidatorApi::new(Http::new(timeouts)?.once(), url.unwrap_or(&known.url))?;
        let log_key = known.trusted.policy().logs()[0].key.clone();
        Ok(Self { api, log_key, origin: known.trusted.origin().to_owned(), validator: Some(known) })
    }

    /// Any tlog-tiles log whose checkpoints `log_key` signs.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn any_log(
        log_key: VerifierKey,
        origin: Option<String>,
        url: &str,
        timeouts: Timeouts,
    ) -> Result<Self, HttpError> {
        let api = ValidatorApi::new(Http::new(timeouts)?.once(), url)?;
        let origin = origin.unwrap_or_else(|| log_key.name().as_str().to_owned());
        Ok(Self { api, log_key, origin, validator: None })
    }

    /// Holds a checkpoint against the log's key, and a validator's against its witnesses.
    ///
    /// # Errors
    /// [`Trouble::Finding`]; never another.
    pub fn open(&self, note: Note) -> Result<Offered, Trouble> {
        let text = note.to_string();
        let checkpoint = match &self.validator {
            None => self.open_plain(&note).map_err(Finding::Checkpoint)?,
            Some(known) => {
                let evaluation = known.trusted.policy().evaluate(&note, &self.window())?;
                if !evaluation.has_quorum {
                    let known = known.trusted.policy().witnesses().len();
                    return Err(Finding::NoQuorum { counted: evaluation.counted().len(), known }.into());
                }
                evaluation.checkpoint.checkpoint().clone()
            }
        };
        Ok(Offered { size: checkpoint.size, root: checkpoint.root, note: text })
    }

    /// As [`Target::open`], without asking for witnesses: what was cosigned once is too old by now.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn reopen(&self, note: &[u8]) -> Result<Offered, CheckpointError> {
        let parsed = Note::parse(note)?;
        let text = parsed.to_string();
        let checkpoint = match &self.validator {
            None => self.open_plain(&parsed)?,
            Some(_) => SignedCheckpoint::from_note(parsed, &self.log_key)?.checkpoint().clone(),
        };
        Ok(Offered { size: checkpoint.size, root: checkpoint.root, note: text })
    }

    /// tlog-checkpoint allows extension lines, and another key name than the origin; so do logs that are no validator's.
    fn open_plain(&self, note: &Note) -> Result<Checkpoint, CheckpointError> {
        let head: String = note.text().split_inclusive('\n').take(3).collect();
        let checkpoint: Checkpoint = head.parse()?;
        if checkpoint.origin != self.origin {
            return Err(CheckpointError::WrongKey {
                key: self.log_key.name().to_string(),
                key_type: self.log_key.key_type(),
                origin: checkpoint.origin,
            });
        }
        note.verify(&[&self.log_key])?;
        Ok(checkpoint)
    }

    /// Which cosignatures count now.
    pub fn window(&self) -> Window {
        let now = now();
        match &self.validator {
            Some(known) => known.window(now),
            None => Window { now, max_age_s: 0, skew_s: 0 },
        }
    }
}

/// The clock; 1970 on a machine whose clock is before that.
pub fn now() -> PosixTime {
    PosixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
