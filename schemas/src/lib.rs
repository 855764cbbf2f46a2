//! What crosses a wire or a disk in the plugin distribution system.
//!
//! Types, one strict deterministic CBOR codec, and the CDDL beside it (`pds.cddl`). No crypto, no I/O: nothing here says
//! whether a thing is true, only whether it is well formed.

mod ids;
pub mod prefix;

pub use ids::{
    Digest, DigestError, EpochNumber, NameError, PluginName, PosixTime, PublicKey, Release, TreeSize,
};
