//! Checking that a key is, or is not, in a prefix tree with a given root.
//!
//! Pure, and allocates nothing: one hash a level. The profile's refusals (design section "Prefix tree profile") are
//! enforced here, one [`PrefixProofError`] each. The path comes from the key that the verifier asks for, never from the
//! proof. Out of scope: whether the root is anybody's (see the STR and the log).

use pds_schemas::Digest;
use pds_schemas::prefix::{PrefixProof, Terminal};

use super::hash::{leaf_hash, parent_hash};

/// Deepest level a leaf may sit at.
pub(super) const MAX_LEAF_DEPTH: usize = 255;

/// Why a prefix proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrefixProofError {
    /// Offered as inclusion, but it ends at another leaf or at none.
    #[error("the proof is one of absence, not of inclusion")]
    NotInclusion,
    /// Offered as absence, but it ends at the key's own leaf.
    #[error("the proof is one of inclusion, not of absence")]
    NotAbsence,
    /// A leaf at depth 0: the root is always a parent.
    #[error("a leaf at depth 0")]
    LeafAtRoot,
    /// A copath of more than 255 siblings; holds their number.
    #[error("a copath of {0} siblings, deeper than 255 levels")]
    TooDeep(usize),
    /// A sibling that is present and 32 zero bytes; a missing one is left out. Counted from the deepest, from 0.
    #[error("sibling {0} from the deepest is an explicit zero hash")]
    ZeroSibling(usize),
    /// The deepest sibling is missing: a leaf would sit higher up, and a parent has a child.
    #[error("the deepest sibling is missing at depth {0}")]
    NoDeepestSibling(usize),
    /// The other leaf is the one of the key asked for.
    #[error("the other leaf is the one of the key asked for")]
    OtherLeafIsTarget,
    /// The other leaf is not on the way to the key asked for.
    #[error("the other leaf shares {shared} bits with the key asked for, fewer than its depth {depth}")]
    OtherLeafOffPath {
        /// Leading bits that both keys have in common.
        shared: usize,
        /// Depth the proof puts the leaf at.
        depth: usize,
    },
    /// The proof is for a tree with another root, or for another leaf.
    #[error("the proof leads to root {computed}")]
    Root {
        /// Where it leads.
        computed: Digest,
    },
}

/// Checks that the tree of `root` holds `key` with `commitment`.
///
/// # Errors
/// [`PrefixProofError`]; none is evidence against anybody, as proofs are not signed.
pub fn verify_inclusion(
    root: &Digest,
    key: &Digest,
    commitment: &Digest,
    proof: &PrefixProof,
) -> Result<(), PrefixProofError> {
    if proof.terminal != Terminal::Inclusion {
        return Err(PrefixProofError::NotInclusion);
    }
    check_leaf_depth(&proof.copath)?;
    climb(root, key, leaf_hash(key, commitment), &proof.copath)
}

/// Checks that the tree of `root` does not hold `key`.
///
/// # Errors
/// [`PrefixProofError`]; none is evidence against anybody, as proofs are not signed.
pub fn verify_absence(root: &Digest, key: &Digest, proof: &PrefixProof) -> Result<(), PrefixProofError> {
    let copath = &proof.copath;
    match &proof.terminal {
        Terminal::Inclusion => Err(PrefixProofError::NotAbsence),
        Terminal::OtherLeaf { key: other, commitment } => {
            check_leaf_depth(copath)?;
            let (shared, depth) = (key.common_prefix(other), copath.len());
            if shared == 256 {
                return Err(PrefixProofError::OtherLeafIsTarget);
            }
            if shared < depth {
                return Err(PrefixProofError::OtherLeafOffPath { shared, depth });
            }
            climb(root, key, leaf_hash(other, commitment), copath)
        }
        Terminal::MissingChild => {
            // At depth 0 nothing is there to climb: only the empty tree has the zero root.
            if copath.first() == Some(&None) {
                return Err(PrefixProofError::NoDeepestSibling(copath.len()));
            }
            climb(root, key, Digest::ZERO, copath)
        }
    }
}

fn check_leaf_depth(copath: &[Option<Digest>]) -> Result<(), PrefixProofError> {
    match copath {
        [] => Err(PrefixProofError::LeafAtRoot),
        [None, _, ..] => Err(PrefixProofError::NoDeepestSibling(copath.len())),
        _ => Ok(()),
    }
}

fn climb(
    root: &Digest,
    key: &Digest,
    from: Digest,
    copath: &[Option<Digest>],
) -> Result<(), PrefixProofError> {
    if copath.len() > MAX_LEAF_DEPTH {
        return Err(PrefixProofError::TooDeep(copath.len()));
    }
    if let Some(i) = copath.iter().position(|sibling| *sibling == Some(Digest::ZERO)) {
        return Err(PrefixProofError::ZeroSibling(i));
    }
    let computed = copath.iter().enumerate().fold(from, |node, (i, sibling)| {
        let sibling = sibling.unwrap_or(Digest::ZERO);
        if key.bit(copath.len() - 1 - i) {
            parent_hash(&sibling, &node)
        } else {
            parent_hash(&node, &sibling)
        }
    });
    if computed == *root { Ok(()) } else { Err(PrefixProofError::Root { computed }) }
}
