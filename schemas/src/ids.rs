//! The small values everything else is made of: digests, names, counters, times.
//!
//! Pure data. Hashing lives in `pds-core`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A SHA-256 output, 32 bytes; shown and parsed as 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// 32 zero bytes: a missing child, the root of an empty prefix tree, "nothing before this".
    pub const ZERO: Self = Self([0; 32]);

    /// The bytes, for hashing and encoding.
    #[inline]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Bit `index` counted from the most significant bit of the first byte, as the prefix tree does.
    ///
    /// # Panics
    /// When `index` is 256 or more.
    #[inline]
    pub const fn bit(&self, index: usize) -> bool {
        self.0[index / 8] >> (7 - index % 8) & 1 == 1
    }

    /// Number of leading bits that `self` and `other` share, 0 to 256.
    pub fn common_prefix(&self, other: &Self) -> usize {
        for (i, (a, b)) in self.0.iter().zip(&other.0).enumerate() {
            if a != b {
                return i * 8 + (a ^ b).leading_zeros() as usize;
            }
        }
        256
    }
}

/// As the bytes are ordered. Digests differ early: eight bytes at a time, in line, instead of a call for all 32.
impl Ord for Digest {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let words = |digest: &Self| {
            let (words, _) = digest.0.as_chunks::<8>();
            [words[0], words[1], words[2], words[3]].map(u64::from_be_bytes)
        };
        words(self).cmp(&words(other))
    }
}

impl PartialOrd for Digest {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A text that is not 64 lowercase hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 digest: 64 lowercase hex digits are expected")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        // `hex` takes capitals too; one digest has one text.
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(DigestError);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestError)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

counter! {
    /// Number of an epoch of one validator, from 0; also the index of its STR in the epoch log.
    EpochNumber
}
counter! {
    /// Number of leaves of a log; also the index of the leaf that comes next.
    TreeSize
}
counter! {
    /// A developer's number for one version of a plugin, from 1, growing with every submission of the name.
    Release
}
counter! {
    /// POSIX seconds.
    PosixTime
}

impl EpochNumber {
    /// Size of the epoch log once this epoch's STR is its last leaf.
    pub const fn log_size(self) -> TreeSize {
        TreeSize(self.0 + 1)
    }
}

/// A developer's or a validator's Ed25519 public key, 32 bytes (RFC 8032); also the COSE `kid` of what it signs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A plugin's name: reverse-DNS, e.g. `be.mpiraux.datagram`.
///
/// Two or more labels `[a-z0-9]([a-z0-9_-]*[a-z0-9])?` of 1 to 63 bytes, joined by dots; at most 250 bytes in all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct PluginName(String);

/// Why a text is not a plugin name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Longer than 250 bytes.
    #[error("a plugin name has at most 250 bytes, this one has {0}")]
    TooLong(usize),
    /// Fewer than two labels.
    #[error("a plugin name has two or more labels joined by dots, as in be.mpiraux.datagram")]
    OneLabel,
    /// A label that is empty or longer than 63 bytes.
    #[error("label {0} of a plugin name is empty or longer than 63 bytes")]
    LabelLength(usize),
    /// A label that does not match `[a-z0-9]([a-z0-9_-]*[a-z0-9])?`.
    #[error("label {0} of a plugin name is not made of a-z, 0-9, and _ or - inside")]
    LabelCharacters(usize),
}

impl PluginName {
    /// Most bytes a name may have.
    pub const MAX_BYTES: usize = 250;

    /// Checks and keeps a name.
    ///
    /// # Errors
    /// [`NameError`]; labels are counted from 1.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        if text.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong(text.len()));
        }
        let labels: Vec<&str> = text.split('.').collect();
        if labels.len() < 2 {
            return Err(NameError::OneLabel);
        }
        for (i, label) in labels.iter().enumerate() {
            if label.is_empty() || label.len() > 63 {
                return Err(NameError::LabelLength(i + 1));
            }
            let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            let inside = |b: u8| edge(b) || b == b'_' || b == b'-';
            let bytes = label.as_bytes();
            if !edge(bytes[0]) || !edge(bytes[bytes.len() - 1]) || !bytes.iter().all(|b| inside(*b)) {
                return Err(NameError::LabelCharacters(i + 1));
            }
        }
        Ok(Self(text))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PluginName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for PluginName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_accepted_when_reverse_dns() {
        for name in ["be.mpiraux.datagram", "a.b", "a.b_c", "0.1-2", &format!("{}.a", "x".repeat(63))] {
            assert_eq!(PluginName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn name_is_refused_with_its_cause() {
        let check = |text: &str, expect| assert_eq!(PluginName::new(text), Err(expect), "{text}");
        check("", NameError::OneLabel);
        check("datagram", NameError::OneLabel);
        check("a..b", NameError::LabelLength(2));
        check(".a", NameError::LabelLength(1));
        check(&format!("{}.a", "x".repeat(64)), NameError::LabelLength(1));
        check("a.B", NameError::LabelCharacters(2));
        check("a._b", NameError::LabelCharacters(2));
        check("a.b-", NameError::LabelCharacters(2));
        check("a.b/c", NameError::LabelCharacters(2));
        check("a.b\0", NameError::LabelCharacters(2));
        check("a.é", NameError::LabelCharacters(2));
        check(&format!("a.{}", "b".repeat(249)), NameError::TooLong(251));
        check(&["abcde"; 42].join("."), NameError::TooLong(251));
    }

    #[test]
    fn digest_text_round_trips_and_capitals_are_refused() {
        let digest = Digest([0xab; 32]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.to_string().to_uppercase().parse::<Digest>(), Err(DigestError));
        assert_eq!("ab".parse::<Digest>(), Err(DigestError));
    }

    #[test]
    fn common_prefix_counts_bits_from_the_most_significant() {
        let a = Digest::ZERO;
        let mut b = a;
        assert_eq!(a.common_prefix(&b), 256);
        b.0[1] = 0x10;
        assert_eq!(a.common_prefix(&b), 11);
        assert!(b.bit(11) && !b.bit(10));
    }
}
