//! Trees, proofs, notes, policies, formulas and epoch closing of the plugin distribution system.
//!
//! Pure: no file, network, clock, randomness or async in this crate; times and keys are arguments.

mod canonical;
pub mod checkpoint;
pub mod cosignature;
pub mod hash;
pub mod log;
pub mod note;
pub mod tlog_policy;
pub mod tlog_proof;
