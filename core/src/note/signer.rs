//! Signing notes, as a log does.
//!
//! Pure: the key's seed is an argument, and Ed25519 needs no randomness. Source: C2SP signed-note. Where seeds are kept
//! and how they are made is not here; witnesses sign with `cosignature::Cosigner`.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use pds_schemas::PublicKey;

use super::{KeyName, KeyType, Note, NoteError, SignatureLine, VerifierKey, VkeyError};

/// A key that signs notes with type 0x01. Its secret is wiped when dropped, and never shown.
pub struct NoteSigner {
    key: SigningKey,
    verifier: VerifierKey,
}

impl NoteSigner {
    /// The signer of a name and a secret seed (RFC 8032).
    ///
    /// # Errors
    /// [`VkeyError::NameTooLong`].
    pub fn new(name: KeyName, seed: &[u8; 32]) -> Result<Self, VkeyError> {
        let key = SigningKey::from_bytes(seed);
        let public = PublicKey(key.verifying_key().to_bytes());
        Ok(Self { key, verifier: VerifierKey::new(name, KeyType::Ed25519, &public)? })
    }

    /// The key that verifies what this one signs.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// A signature line over a note's text.
    pub fn sign(&self, text: &str) -> SignatureLine {
        SignatureLine {
            name: self.verifier.name().clone(),
            key_id: self.verifier.id(),
            signature: self.key.sign(text.as_bytes()).to_bytes().to_vec(),
        }
    }

    /// A note of this text with this one signature.
    ///
    /// # Errors
    /// As [`Note::new`]: for a text that no note has.
    pub fn sign_note(&self, text: &str) -> Result<Note, NoteError> {
        Note::new(text, vec![self.sign(text)])
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.verifier)
    }
}
