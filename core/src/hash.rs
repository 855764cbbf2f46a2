//! SHA-256, bare and as the two node hashes of a log.
//!
//! Pure, and nothing here touches the heap. Sources: FIPS 180-4; RFC 6962 section 2.1 for the 0x00 and 0x01 prefixes.
//! The prefix tree's hashes (0x02, 0x03) are not here.

use pds_schemas::Digest;
use sha2::{Digest as _, Sha256};

/// SHA-256 of `bytes`, without any prefix.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Hash of a log entry: SHA-256(0x00 ‖ entry), RFC 6962 section 2.1.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([0x00]);
    hasher.update(entry);
    Digest(hasher.finalize().into())
}

/// Hash of two adjacent subtrees: SHA-256(0x01 ‖ left ‖ right), RFC 6962 section 2.1.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut bytes = [0x01; 65];
    bytes[1..33].copy_from_slice(left.as_bytes());
    bytes[33..].copy_from_slice(right.as_bytes());
    sha256(&bytes)
}
