//! Signing and strict verification of COSE_Sign1 in the profile of `pds_schemas::cose`.
//!
//! Pure. Ed25519 (RFC 8032) with `verify_strict`, which refuses small-order keys and signatures that others accept.
//! Notes and checkpoints are signed otherwise: see [`crate::note`].

pub use ed25519_dalek::SigningKey;
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use pds_schemas::cose::{CoseSign1, SignedKind, sig_structure};
use pds_schemas::{Artefact, DecodeError, PublicKey};

use crate::note::VerifierKey;

/// Why a signed thing is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoseError {
    /// Not a COSE_Sign1 of the profile.
    #[error("not a signed {expected}: {cause}")]
    Envelope {
        /// The `typ` that was expected.
        expected: &'static str,
        /// What is wrong.
        cause: DecodeError,
    },
    /// The payload is not of the kind its header names.
    #[error("the signed payload is malformed: {0}")]
    Payload(DecodeError),
    /// A signature of another kind of thing.
    #[error("signed as {found}, {expected} is expected")]
    WrongKind {
        /// The `typ` that was expected.
        expected: &'static str,
        /// The `typ` that it has.
        found: &'static str,
    },
    /// Signed by another key.
    #[error("signed by key {found}, {expected} is expected")]
    WrongKey {
        /// The key that was expected.
        expected: PublicKey,
        /// The key in the protected header.
        found: PublicKey,
    },
    /// The key is not a point of the curve, or one of small order.
    #[error("{0} is not a usable Ed25519 public key")]
    BadKey(PublicKey),
    /// The signature does not verify.
    #[error("the Ed25519 signature by {0} does not verify")]
    BadSignature(PublicKey),
}

/// The key of a secret seed (RFC 8032).
pub fn signing_key(seed: &[u8; 32]) -> SigningKey {
    SigningKey::from_bytes(seed)
}

/// The public half of `key`.
pub fn public_key(key: &SigningKey) -> PublicKey {
    PublicKey(key.verifying_key().to_bytes())
}

/// Signs the encoding of `payload` as a `kind`.
pub fn sign<T: Artefact>(kind: SignedKind, payload: &T, key: &SigningKey) -> CoseSign1 {
    let payload = payload.to_bytes();
    let public = public_key(key);
    let signature = key.sign(&sig_structure(kind, &public, &payload)).to_bytes();
    CoseSign1 { kind, key: public, payload, signature }
}

/// Checks that `signed` is a `kind` signed by the key it names; whether that key may, is the caller's to say.
///
/// # Errors
/// [`CoseError`].
pub fn verify(signed: &CoseSign1, kind: SignedKind) -> Result<(), CoseError> {
    if signed.kind != kind {
        return Err(CoseError::WrongKind { expected: kind.typ(), found: signed.kind.typ() });
    }
    let key = VerifyingKey::from_bytes(&signed.key.0).map_err(|_| CoseError::BadKey(signed.key))?;
    verify_signature(signed, &key)
}

/// The payload of `bytes`, a COSE_Sign1 of `kind` by `key`.
///
/// # Errors
/// [`CoseError`].
pub fn open<T: Artefact>(bytes: &[u8], kind: SignedKind, key: &PublicKey) -> Result<T, CoseError> {
    let signed = decode(bytes, kind)?;
    if signed.key != *key {
        return Err(CoseError::WrongKey { expected: *key, found: signed.key });
    }
    verify(&signed, kind)?;
    T::from_bytes(&signed.payload).map_err(CoseError::Payload)
}

/// As [`open`], with a key that is decoded already: decoding one costs a tenth of verifying a signature.
///
/// # Errors
/// [`CoseError`], all but `BadKey`.
pub fn open_by<T: Artefact>(bytes: &[u8], kind: SignedKind, key: &VerifierKey) -> Result<T, CoseError> {
    let signed = decode(bytes, kind)?;
    if signed.key != key.public_key() {
        return Err(CoseError::WrongKey { expected: key.public_key(), found: signed.key });
    }
    if signed.kind != kind {
        return Err(CoseError::WrongKind { expected: kind.typ(), found: signed.kind.typ() });
    }
    verify_signature(&signed, key.decoded())?;
    T::from_bytes(&signed.payload).map_err(CoseError::Payload)
}

/// The payload and signer of `bytes`, a COSE_Sign1 of `kind` by whatever key it names.
///
/// # Errors
/// [`CoseError`].
pub fn open_any_key<T: Artefact>(bytes: &[u8], kind: SignedKind) -> Result<(T, PublicKey), CoseError> {
    let signed = decode(bytes, kind)?;
    verify(&signed, kind)?;
    let payload = T::from_bytes(&signed.payload).map_err(CoseError::Payload)?;
    Ok((payload, signed.key))
}

fn verify_signature(signed: &CoseSign1, key: &VerifyingKey) -> Result<(), CoseError> {
    let message = sig_structure(signed.kind, &signed.key, &signed.payload);
    key.verify_strict(&message, &Signature::from_bytes(&signed.signature))
        .map_err(|_| CoseError::BadSignature(signed.key))
}

fn decode(bytes: &[u8], kind: SignedKind) -> Result<CoseSign1, CoseError> {
    CoseSign1::from_bytes(bytes).map_err(|cause| CoseError::Envelope { expected: kind.typ(), cause })
}

#[cfg(test)]
mod tests {
    use pds_schemas::{Digest, PluginName, PosixTime, Receipt, Release};

    use super::*;
    use crate::note::{KeyName, KeyType};

    fn receipt() -> Receipt {
        Receipt {
            origin: "pv.example".to_owned(),
            submission: Digest([7; 32]),
            name: PluginName::new("org.example.pacing").unwrap(),
            release: Release(1),
            index: 0,
            time: PosixTime(10),
            decide_by: PosixTime(20),
        }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn verifier(seed: u8) -> VerifierKey {
        let name = KeyName::new("pv.example/str").unwrap();
        VerifierKey::new(name, KeyType::StrV1, &public_key(&key(seed))).unwrap()
    }

    #[test]
    fn signed_receipt_opens_with_its_key() {
        let bytes = sign(SignedKind::Receipt, &receipt(), &key(1)).to_bytes();
        assert_eq!(open(&bytes, SignedKind::Receipt, &public_key(&key(1))), Ok(receipt()));
        assert_eq!(open_by(&bytes, SignedKind::Receipt, &verifier(1)), Ok(receipt()));
        assert_eq!(open_any_key(&bytes, SignedKind::Receipt), Ok((receipt(), public_key(&key(1)))));
    }

    #[test]
    fn signed_receipt_is_refused_under_another_key_or_kind() {
        let bytes = sign(SignedKind::Receipt, &receipt(), &key(1)).to_bytes();
        let (mine, other) = (public_key(&key(1)), public_key(&key(2)));
        let found = open::<Receipt>(&bytes, SignedKind::Receipt, &other);
        assert_eq!(found, Err(CoseError::WrongKey { expected: other, found: mine }));
        assert_eq!(open_by::<Receipt>(&bytes, SignedKind::Receipt, &verifier(2)), found);
        let found = open::<Receipt>(&bytes, SignedKind::SignedTreeRoot, &mine);
        let (expected, typ) = (SignedKind::SignedTreeRoot.typ(), SignedKind::Receipt.typ());
        assert_eq!(found, Err(CoseError::WrongKind { expected, found: typ }));
        assert_eq!(open_by::<Receipt>(&bytes, SignedKind::SignedTreeRoot, &verifier(1)), found);
    }

    #[test]
    fn signed_receipt_is_refused_with_any_bit_flipped() {
        let bytes = sign(SignedKind::Receipt, &receipt(), &key(1)).to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(open::<Receipt>(&bent, SignedKind::Receipt, &public_key(&key(1))).is_err(), "bit {bit}");
            assert!(open_by::<Receipt>(&bent, SignedKind::Receipt, &verifier(1)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn small_order_key_is_refused_with_the_signature_that_lax_verifiers_take() {
        // The identity point as key and as R, with s = 0, satisfies the plain equation for every message.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signed = sign(SignedKind::Receipt, &receipt(), &key(1));
        signed.key = PublicKey(identity);
        signed.signature = [0; 64];
        signed.signature[0] = 1;
        assert_eq!(verify(&signed, SignedKind::Receipt), Err(CoseError::BadSignature(signed.key)));
    }
}
