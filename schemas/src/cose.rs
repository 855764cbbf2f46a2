//! COSE_Sign1 (RFC 9052), the profile that every binary signed thing uses.
//!
//! Tag 18; protected header exactly `{1: -8 (EdDSA), 4: kid, 16: typ}`; unprotected header empty; payload attached; no
//! external data. The kid is the signer's Ed25519 public key; the typ (RFC 9596) differs for each kind of signed thing,
//! so a signature over one never passes for another. Shapes only: signing and verifying are in `pds_core::cose`.

use crate::PublicKey;
use crate::cbor::{Artefact, DecodeError, Decoder, Encoder};
use crate::limits;

/// What a COSE_Sign1 signs; told apart by the protected `typ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedKind {
    /// A validator's [`crate::SignedTreeRoot`], signed with its STR key.
    SignedTreeRoot,
    /// A developer's [`crate::Submission`], signed with a key of the name's owner.
    Submission,
    /// A validator's [`crate::Receipt`], signed with its STR key.
    Receipt,
    /// An [`crate::OwnerRecord`] with a sequence number above 0, signed by the policy before it.
    OwnerRecord,
}

impl SignedKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::SignedTreeRoot, Self::Submission, Self::Receipt, Self::OwnerRecord];

    /// The `typ` header's text.
    pub const fn typ(self) -> &'static str {
        match self {
            Self::SignedTreeRoot => "application/pds-str+cose",
            Self::Submission => "application/pds-submission+cose",
            Self::Receipt => "application/pds-receipt+cose",
            Self::OwnerRecord => "application/pds-owner+cose",
        }
    }
}

/// A signed payload. Decoding checks the shape, never the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoseSign1 {
    /// What is signed.
    pub kind: SignedKind,
    /// Whose key signed, or is said to have.
    pub key: PublicKey,
    /// The signed bytes.
    pub payload: Vec<u8>,
    /// Ed25519 signature over [`sig_structure`].
    pub signature: [u8; 64],
}

const TAG: u64 = 18;
const ALG: u64 = 1;
const EDDSA: u64 = 7; // -8 as -1 - n
const KID: u64 = 4;
const TYP: u64 = 16;

/// The bytes that the signature of a `kind` by `key` over `payload` covers: RFC 9052 section 4.4, context `Signature1`.
pub fn sig_structure(kind: SignedKind, key: &PublicKey, payload: &[u8]) -> Vec<u8> {
    let mut out = Encoder::default();
    out.array(4);
    out.text("Signature1");
    out.bytes(&protected(kind, key));
    out.bytes(&[]);
    out.bytes(payload);
    out.into_bytes()
}

fn protected(kind: SignedKind, key: &PublicKey) -> Vec<u8> {
    let mut out = Encoder::default();
    out.map(3);
    out.uint(ALG);
    out.negative(EDDSA);
    out.uint(KID);
    out.bytes(&key.0);
    out.uint(TYP);
    out.text(kind.typ());
    out.into_bytes()
}

fn read_protected(bytes: &[u8]) -> Result<(SignedKind, PublicKey), DecodeError> {
    let mut d = Decoder::new(bytes, "cose.protected");
    let rule = "the protected header is exactly {1: -8, 4: kid, 16: typ}";
    let pairs = d.map_head()?;
    d.rule(pairs == 3, rule)?;
    let alg = d.uint()?;
    d.rule(alg == ALG, rule)?;
    let eddsa = d.negative()?;
    d.rule(eddsa == EDDSA, "the algorithm is EdDSA (-8)")?;
    let kid = d.uint()?;
    d.rule(kid == KID, rule)?;
    let key = PublicKey(d.array_of_bytes()?);
    let typ = d.uint()?;
    d.rule(typ == TYP, rule)?;
    let typ = d.text(limits::LABEL_BYTES)?;
    let kind = SignedKind::ALL.into_iter().find(|k| k.typ() == typ);
    let kind =
        kind.ok_or_else(|| d.error(crate::cbor::Malformed::Rule("the typ is of no kind that PDS signs")))?;
    d.end()?;
    Ok((kind, key))
}

impl Artefact for CoseSign1 {
    const NAME: &'static str = "cose-sign1";
    const MAX_BYTES: usize = 64 << 10;

    fn encode(&self, out: &mut Encoder) {
        out.tag(TAG);
        out.array(4);
        out.bytes(&protected(self.kind, &self.key));
        out.map(0);
        out.bytes(&self.payload);
        out.bytes(&self.signature);
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.tag(TAG)?;
        d.tuple(4, "a COSE_Sign1 has four items", |d| {
            let protected = d.bytes(256)?;
            let start = d.offset() - protected.len();
            let (kind, key) = read_protected(protected).map_err(|e| DecodeError { at: e.at + start, ..e })?;
            let unprotected = d.map_head()?;
            d.rule(unprotected == 0, "the unprotected header is empty")?;
            let payload = d.bytes(Self::MAX_BYTES)?.to_vec();
            Ok(Self { kind, key, payload, signature: d.array_of_bytes()? })
        })
    }
}
