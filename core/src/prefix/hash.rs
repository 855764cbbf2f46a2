//! The two node hashes of a prefix tree, and the key of a name.
//!
//! Pure. draft-ietf-keytrans-protocol, "Prefix Tree" under "Cryptographic Computations"; the domain bytes 0x02 and 0x03
//! keep these hashes apart from those of the log (RFC 6962: 0x00 and 0x01).

use pds_schemas::{Digest, PluginName};
use sha2::{Digest as _, Sha256};

/// SHA-256 of the name: where its leaf is in every validator's prefix tree.
pub fn key_of(name: &PluginName) -> Digest {
    Digest(Sha256::digest(name.as_str().as_bytes()).into())
}

/// SHA-256(0x02 ‖ key ‖ commitment): the hash of a leaf, at whatever depth it sits.
pub fn leaf_hash(key: &Digest, commitment: &Digest) -> Digest {
    tagged(0x02, key, commitment)
}

/// SHA-256(0x03 ‖ left ‖ right): the hash of a parent; a missing child is [`Digest::ZERO`].
pub fn parent_hash(left: &Digest, right: &Digest) -> Digest {
    tagged(0x03, left, right)
}

fn tagged(domain: u8, first: &Digest, second: &Digest) -> Digest {
    let mut message = [domain; 65];
    message[1..33].copy_from_slice(first.as_bytes());
    message[33..].copy_from_slice(second.as_bytes());
    Digest(Sha256::digest(message).into())
}
