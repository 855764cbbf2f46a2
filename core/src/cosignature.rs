//! Timestamped Ed25519 cosignatures of checkpoints, as witnesses make them.
//!
//! Pure: the time is an argument. Source: C2SP tlog-cosignature, signature type 0x04. Out of scope: whether a witness
//! *should* cosign, ML-DSA-44 cosignatures (0x06), and which cosignatures suffice (see `tlog_policy`).

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use pds_schemas::{PosixTime, PublicKey};

use crate::note::{KeyName, KeyType, SignatureError, SignatureLine, VerifierKey, VkeyError};

/// Latest time a cosignature may carry: tlog-cosignature, "MUST NOT exceed 2^63 - 1".
pub const MAX_TIME: PosixTime = PosixTime(u64::MAX >> 1);
/// Bytes of a cosignature: the time, then an Ed25519 signature.
const COSIGNATURE_BYTES: usize = 8 + 64;

/// A key that cosigns checkpoints. Its secret is wiped when dropped, and never shown.
pub struct Cosigner {
    key: SigningKey,
    verifier: VerifierKey,
}

/// The times at which a cosignature is taken for one of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The verifier's clock.
    pub now: PosixTime,
    /// Oldest cosignature that counts, in seconds before `now`.
    pub max_age_s: u64,
    /// How far a witness's clock may be ahead, in seconds after `now`.
    pub skew_s: u64,
}

/// Where a time lies with respect to a [`Window`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Inside, bounds included.
    Fresh,
    /// Before `now - max_age_s`.
    TooOld,
    /// After `now + skew_s`.
    InFuture,
}

impl Window {
    /// Where `time` lies; bounds beyond what a clock can show are as good as none.
    pub fn judge(&self, time: PosixTime) -> Freshness {
        match time.0 {
            t if t < self.now.0.saturating_sub(self.max_age_s) => Freshness::TooOld,
            t if t > self.now.0.saturating_add(self.skew_s) => Freshness::InFuture,
            _ => Freshness::Fresh,
        }
    }
}

/// Checks a witness's cosignature of a checkpoint's note text; gives the time it was made at.
///
/// # Errors
/// [`SignatureError`]; the first that applies, in the order of its variants.
pub fn verify(text: &str, line: &SignatureLine, key: &VerifierKey) -> Result<PosixTime, SignatureError> {
    if key.key_type() != KeyType::CosignatureV1 {
        return Err(SignatureError::KeyType(key.key_type()));
    }
    if !line.is_by(key) {
        return Err(SignatureError::OtherKey);
    }
    let length = SignatureError::Length { expected: COSIGNATURE_BYTES, found: line.signature.len() };
    let (time, signature) = line.signature.split_first_chunk().ok_or(length)?;
    if signature.len() != 64 {
        return Err(length);
    }
    let time = PosixTime(u64::from_be_bytes(*time));
    if time > MAX_TIME {
        return Err(SignatureError::TimeOutOfRange(time));
    }
    key.verify_bytes(message(text, time).as_bytes(), signature)?;
    Ok(time)
}

impl Cosigner {
    /// The cosigner of a name and a secret seed (RFC 8032).
    ///
    /// The message does not name the cosigner, so no two cosigners may share a seed.
    ///
    /// # Errors
    /// [`VkeyError::NameTooLong`].
    pub fn new(name: KeyName, seed: &[u8; 32]) -> Result<Self, VkeyError> {
        let key = SigningKey::from_bytes(seed);
        let public = PublicKey(key.verifying_key().to_bytes());
        Ok(Self { key, verifier: VerifierKey::new(name, KeyType::CosignatureV1, &public)? })
    }

    /// The key that verifies what this one cosigns.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// A signature line over a checkpoint's note text: "as of `time`, this is the largest consistent head I have seen".
    ///
    /// # Errors
    /// [`SignatureError::TimeOutOfRange`].
    pub fn cosign(&self, text: &str, time: PosixTime) -> Result<SignatureLine, SignatureError> {
        if time > MAX_TIME {
            return Err(SignatureError::TimeOutOfRange(time));
        }
        let signature = self.key.sign(message(text, time).as_bytes());
        Ok(SignatureLine {
            name: self.verifier.name().clone(),
            key_id: self.verifier.id(),
            signature: [time.0.to_be_bytes().as_slice(), &signature.to_bytes()].concat(),
        })
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({})", self.verifier)
    }
}

/// What is signed: a header for domain separation, the time, and the note's text with its final newline.
fn message(text: &str, time: PosixTime) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}
