//! Trees, proofs, notes, policies, formulas and epoch closing of the plugin distribution system.
//!
//! Pure: no file, network, clock, randomness or async in this crate; times and keys are arguments.

pub mod acceptance;
mod canonical;
pub mod checkpoint;
pub mod cose;
pub mod cosignature;
pub mod epoch;
pub mod evidence;
pub mod expression;
pub mod formula;
pub mod hash;
pub mod log;
pub mod name_record;
pub mod note;
pub mod package;
pub mod prefix;
pub mod secret_key;
pub mod tlog_policy;
pub mod tlog_proof;
