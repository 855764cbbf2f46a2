//! The two node hashes of a prefix tree, and the key of a name.
//!
//! Pure. draft-ietf-keytrans-protocol, "Prefix Tree" under "Cryptographic Computations"; the domain bytes 0x02 and 0x03
//! keep these hashes apart from those of the log (RFC 6962: 0x00 and 0x01).

use pds_schemas::{Digest, PluginName};

use crate::hash::{pair, sha256};

/// SHA-256 of the name: where its leaf is in every validator's prefix tree.
pub fn key_of(name: &PluginName) -> Digest {
    sha256(name.as_str().as_bytes())
}

/// SHA-256(0x02 ‖ key ‖ commitment): the hash of a leaf, at whatever depth it sits.
pub fn leaf_hash(key: &Digest, commitment: &Digest) -> Digest {
    pair(0x02, key, commitment)
}

/// SHA-256(0x03 ‖ left ‖ right): the hash of a parent; a missing child is [`Digest::ZERO`].
pub fn parent_hash(left: &Digest, right: &Digest) -> Digest {
    pair(0x03, left, right)
}
