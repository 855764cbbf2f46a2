//! Proofs about a validator's prefix tree, as they cross a wire.
//!
//! Shapes only; building and verifying them is `pds_core::prefix`. The tree's profile (hashing, where a leaf sits, what
//! is refused) is written down there, after draft-ietf-keytrans-protocol.

use crate::{Digest, PluginName};

/// What the search for a key ended at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The leaf of the key that was asked for.
    Inclusion,
    /// The leaf of another key: the asked key is absent.
    OtherLeaf {
        /// SHA-256 of that leaf's plugin name.
        key: Digest,
        /// What that leaf commits to.
        commitment: Digest,
    },
    /// No node at all: the asked key is absent.
    MissingChild,
}

/// Proof that a key is, or is not, in a prefix tree with a given root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixProof {
    /// What the search ended at.
    pub terminal: Terminal,
    /// Siblings along the path, **deepest first**; `None` is a missing child. Its length is the depth of the terminal:
    /// 1 to 255, or 0 for the empty tree.
    pub copath: Vec<Option<Digest>>,
}

/// One name's change in one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// SHA-256 of `name`.
    pub key: Digest,
    /// The plugin's name.
    pub name: PluginName,
    /// What the leaf committed to before; `None` when the name is new.
    pub old: Option<Digest>,
    /// What the leaf commits to now: SHA-256 of the name record's bytes.
    pub new: Digest,
}

/// Proof that applying a change set to a prefix tree of one root leads to another root.
///
/// The old tree's nodes in pre-order (left before right), cut off at subtrees that no change touches. Two bits a node in
/// `kinds`, most significant first, unused bits of the last byte zero:
/// - at a node on the path of a change: `0` missing, `1` the leaf of a changed key, `2` the leaf of another key,
///   `3` a parent, whose two children follow;
/// - at any other node: `0` missing, `1` a subtree known by its hash.
///
/// `values` holds, in the same order, 64 bytes (key, commitment) for each leaf of another key and 32 bytes for each hash.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TransitionProof {
    /// Node kinds, two bits each.
    pub kinds: Vec<u8>,
    /// 32-byte values, concatenated.
    pub values: Vec<u8>,
}
