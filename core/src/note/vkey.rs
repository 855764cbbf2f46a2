//! Verifier keys (vkeys): who may have signed, and how.
//!
//! Pure. Sources: C2SP signed-note, section Verifier keys; C2SP tlog-cosignature; for the STR key, the notes profile of
//! this system. Every key here is an Ed25519 key (RFC 8032), and verification is strict: no small-order point, no second
//! encoding of anything.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};
use pds_schemas::PublicKey;

use super::SignatureError;
use crate::canonical;
use crate::hash::sha256;

/// What a type byte of 0xff is followed by in the vkey of a key that signs STRs.
pub const STR_KEY_IDENTIFIER: &str = "pds-str/v1";
/// Most bytes in a vkey's key name: what a cosigned message has room for (tlog-cosignature).
const MAX_NAME_BYTES: usize = 255;
/// Most bytes in a vkey: the name, ID, and the base64 of the longest key material.
const MAX_VKEY_BYTES: usize = 512;
const STR_NAME_SUFFIX: &str = "/str";

/// Name of a key: not empty, without Unicode space, plus, or control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// A text that is no key name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key name is not empty and has no space, plus or control character")]
pub struct KeyNameError;

/// First four bytes of a hash over a key and its name; tells keys of one name apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

/// What a key signs, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// 0x01: Ed25519 over a note's text. What a log signs its checkpoints with.
    Ed25519,
    /// 0x04: timestamped Ed25519 over a checkpoint. What a witness cosigns with.
    CosignatureV1,
    /// 0xff "pds-str/v1": signs STRs as COSE, and never a note.
    StrV1,
}

/// A public key with its name and type.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    key_type: KeyType,
    key: VerifyingKey,
}

/// Why something is no vkey that can be used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VkeyError {
    /// Not of the form `name+id+key`, or over 512 bytes.
    #[error("not a verifier key: <name>+<8 hex digits>+<base64> is expected")]
    Form,
    /// A name that no key has.
    #[error(transparent)]
    Name(#[from] KeyNameError),
    /// A name that fits no cosigned message.
    #[error("a verifier key's name has at most {MAX_NAME_BYTES} bytes, this one has {0}")]
    NameTooLong(usize),
    /// A signature type that is not supported.
    #[error("signature type {0:#04x} is not one of 0x01, 0x04, or 0xff with {STR_KEY_IDENTIFIER:?}")]
    UnsupportedType(u8),
    /// Key material of a wrong length.
    #[error("the key has {0} bytes, not 32")]
    KeyLength(usize),
    /// 32 bytes that no Ed25519 key has: not a point, not its one encoding, or of small order.
    #[error("not a usable Ed25519 public key")]
    WeakKey,
    /// An ID that is not the one of this name and key.
    #[error("the key ID is {found}, but name and key give {expected}")]
    KeyId {
        /// ID computed from name, type and key.
        expected: KeyId,
        /// ID written in the vkey.
        found: KeyId,
    },
    /// An STR key whose name is not `<origin>/str`.
    #[error("the name of an STR key is <origin>{STR_NAME_SUFFIX}")]
    StrName,
}

impl KeyName {
    /// Checks and keeps a name.
    ///
    /// # Errors
    /// [`KeyNameError`].
    pub fn new(text: impl Into<String>) -> Result<Self, KeyNameError> {
        let text = text.into();
        // A control character could stand in no note, so a key of such a name could sign none.
        let bad = |c: char| c.is_whitespace() || c == '+' || c < '\u{20}';
        if text.is_empty() || text.contains(bad) { Err(KeyNameError) } else { Ok(Self(text)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyType {
    /// What stands before the 32 bytes of the key in a vkey and in the hash of the key ID.
    fn prefix(self) -> Vec<u8> {
        match self {
            Self::Ed25519 => vec![0x01],
            Self::CosignatureV1 => vec![0x04],
            Self::StrV1 => [&[0xff], STR_KEY_IDENTIFIER.as_bytes()].concat(),
        }
    }

    /// Splits key material into its type and what remains.
    fn split(material: &[u8]) -> Result<(Self, &[u8]), VkeyError> {
        let (first, rest) = material.split_first().ok_or(VkeyError::Form)?;
        match first {
            0x01 => Ok((Self::Ed25519, rest)),
            0x04 => Ok((Self::CosignatureV1, rest)),
            0xff => rest
                .strip_prefix(STR_KEY_IDENTIFIER.as_bytes())
                .map(|key| (Self::StrV1, key))
                .ok_or(VkeyError::UnsupportedType(0xff)),
            other => Err(VkeyError::UnsupportedType(*other)),
        }
    }
}

impl VerifierKey {
    /// The vkey of a public key; its ID follows from name, type and key.
    ///
    /// # Errors
    /// [`VkeyError::NameTooLong`], [`VkeyError::StrName`], [`VkeyError::WeakKey`].
    pub fn new(name: KeyName, key_type: KeyType, key: &PublicKey) -> Result<Self, VkeyError> {
        if name.0.len() > MAX_NAME_BYTES {
            return Err(VkeyError::NameTooLong(name.0.len()));
        }
        let origin = name.0.strip_suffix(STR_NAME_SUFFIX).unwrap_or_default();
        if key_type == KeyType::StrV1 && origin.is_empty() {
            return Err(VkeyError::StrName);
        }
        let decoded = VerifyingKey::from_bytes(&key.0).map_err(|_| VkeyError::WeakKey)?;
        let canonical = decoded.to_edwards().compress().to_bytes() == key.0;
        if decoded.is_weak() || !canonical {
            return Err(VkeyError::WeakKey);
        }
        let id = key_id(&name, key_type, key);
        Ok(Self { name, id, key_type, key: decoded })
    }

    /// Name of the key.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// ID of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What the key signs.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The bare key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.key.to_bytes())
    }

    /// The bare key, ready to verify with.
    pub(crate) fn decoded(&self) -> &VerifyingKey {
        &self.key
    }

    /// Origin of the log that the key belongs to: its name, of an STR key without `/str`.
    ///
    /// Of a witness's key, the witness's name.
    pub fn origin(&self) -> &str {
        match self.key_type {
            KeyType::StrV1 => self.name.0.strip_suffix(STR_NAME_SUFFIX).expect("checked in `new`"),
            KeyType::Ed25519 | KeyType::CosignatureV1 => &self.name.0,
        }
    }

    /// Strict Ed25519 verification over exactly `message`: whoever calls this has checked the key's type.
    pub(crate) fn verify_bytes(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let length = SignatureError::Length { expected: 64, found: signature.len() };
        let signature = Signature::from_slice(signature).map_err(|_| length)?;
        self.key.verify_strict(message, &signature).map_err(|_| SignatureError::Mismatch)
    }
}

impl FromStr for VerifierKey {
    type Err = VkeyError;

    fn from_str(text: &str) -> Result<Self, VkeyError> {
        if text.len() > MAX_VKEY_BYTES {
            return Err(VkeyError::Form);
        }
        // Base64 has a plus of its own, a name and an ID have none.
        let mut parts = text.splitn(3, '+');
        let (name, id, material) = match (parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(id), Some(material)) => (name, id, material),
            _ => return Err(VkeyError::Form),
        };
        let name = KeyName::new(name)?;
        let found = id.parse()?;
        let material = canonical::from_base64(material).ok_or(VkeyError::Form)?;
        let (key_type, key) = KeyType::split(&material)?;
        let key = key.try_into().map_err(|_| VkeyError::KeyLength(key.len()))?;
        let vkey = Self::new(name, key_type, &PublicKey(key))?;
        if vkey.id == found { Ok(vkey) } else { Err(VkeyError::KeyId { expected: vkey.id, found }) }
    }
}

impl FromStr for KeyId {
    type Err = VkeyError;

    /// Reads 8 lowercase hex digits.
    fn from_str(text: &str) -> Result<Self, VkeyError> {
        let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !lower || text.len() != 8 {
            return Err(VkeyError::Form);
        }
        u32::from_str_radix(text, 16).map(|id| Self(id.to_be_bytes())).map_err(|_| VkeyError::Form)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = [self.key_type.prefix().as_slice(), self.key.as_bytes()].concat();
        write!(f, "{}+{}+{}", self.name, self.id, canonical::to_base64(material))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// signed-note: key ID = SHA-256(key name || 0x0A || signature type || public key)[:4].
fn key_id(name: &KeyName, key_type: KeyType, key: &PublicKey) -> KeyId {
    let hash = sha256(&[name.0.as_bytes(), b"\n", &key_type.prefix(), &key.0].concat());
    KeyId(*hash.0.first_chunk().expect("32 bytes begin with 4"))
}
