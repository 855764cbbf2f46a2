//! A validator's prefix tree: what it commits to for every plugin name, under one root per epoch.
//!
//! Pure: no I/O, clock or randomness; pages are read through [`PageSource`] and returned to be written. Hashing and shape
//! follow draft-ietf-keytrans-protocol, "Prefix Tree"; its VRF, commitment opening and proof encoding are not used.
//!
//! - The key is SHA-256 of the plugin's name, all 256 bits, most significant first.
//! - A leaf hashes to SHA-256(0x02 ‖ key ‖ commitment), a parent to SHA-256(0x03 ‖ left ‖ right); a missing child is 32
//!   zero bytes.
//! - A leaf sits at the shallowest depth where its prefix is unique, 1 to 255, never at depth 0: the root is a parent.
//!   The root of an empty tree is 32 zero bytes. Keys that share 255 bits or more are refused; no two names are known to.
//! - Leaves never leave the tree.
//!
//! [`PrefixTree`] is one epoch's tree, [`PrefixTree::apply`] makes the next one; [`verify_inclusion`], [`verify_absence`]
//! and [`verify_transition`] are what those who do not have the tree check. Out of scope: what a commitment stands for,
//! who signed the root, and how proofs are encoded.

mod apply;
mod encoding;
mod hash;
mod id;
mod links;
mod nodes;
mod page;
mod read_ahead;
mod recompute;
mod shape;
mod source;
mod transition;
mod tree;
mod update;
mod verify;

pub use apply::{Applied, ApplyError};
pub use encoding::{MAX_PAGE_BYTES, PageError};
pub use hash::{key_of, leaf_hash, parent_hash};
pub use id::{EpochTooLarge, PageId, PageIdError};
pub use links::{PageLinks, page_links};
pub use page::Leaf;
pub use recompute::{RecomputeError, recompute_root};
pub(crate) use recompute::{linked_root, read_links};
pub use source::{MemoryPages, PageSource, ReadError};
pub use transition::{TransitionError, verify_transition, verify_updates};
pub use tree::{OpenError, PrefixTree};
pub use update::{ChangeError, MAX_CHANGES, Update, check_changes, sort_updates};
pub use verify::{PrefixProofError, verify_absence, verify_inclusion};
