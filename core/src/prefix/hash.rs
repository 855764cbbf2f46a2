//! The two node hashes of a prefix tree, and the key of a name.
//!
//! Pure. draft-ietf-keytrans-protocol, "Prefix Tree" under "Cryptographic Computations"; the domain bytes 0x02 and 0x03
//! keep these hashes apart from those of the log (RFC 6962: 0x00 and 0x01).

use pds_schemas::{Digest, PluginName};

use crate::hash::{each_pair, pair, sha256};

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

/// [`leaf_hash`] of each key and commitment, in order, to `put`; cheaper than one by one.
pub(super) fn leaf_hashes<'a>(leaves: impl IntoIterator<Item = [&'a Digest; 2]>, put: impl FnMut(Digest)) {
    each_pair(0x02, leaves, put);
}

/// [`parent_hash`] of each left and right, in order, to `put`; cheaper than one by one.
pub(super) fn parent_hashes<'a>(
    children: impl IntoIterator<Item = [&'a Digest; 2]>,
    put: impl FnMut(Digest),
) {
    each_pair(0x03, children, put);
}
