//! What crosses a wire or a disk in the plugin distribution system.
//!
//! Types, one strict deterministic CBOR codec, and the CDDL beside it (`pds.cddl`). No crypto, no I/O: nothing here says
//! whether a thing is true, only whether it is well formed. `README.md` says field by field what is signed by whom.

pub mod cbor;
pub mod cose;
pub mod disk;
mod epoch;
mod evidence;
mod ids;
pub mod json;
pub mod limits;
pub mod prefix;
mod submission;
mod verdict;

pub use cbor::{Artefact, DecodeError, Malformed};
pub use epoch::{ChangeSet, NameRecord, SignedTreeRoot, State, Transition};
pub use evidence::{Evidence, EvidenceExtra, NameHistory, PluginPackage};
pub use ids::{
    Digest, DigestError, EpochNumber, NameError, PluginName, PosixTime, PublicKey, Release, TreeSize,
};
pub use submission::{ObjectMap, OwnerRecord, Receipt, Submission, Upload};
pub use verdict::{Binding, BuildEnvironment, FailureCause, Finding, Policy, Verdict, Verifier};
