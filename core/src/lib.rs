//! Trees, proofs, notes, policies, formulas and epoch closing of the plugin distribution system.
//!
//! Pure: no file, network, clock, randomness or async in this crate; times and keys are arguments.

pub mod acceptance;
pub mod cose;
pub mod expression;
pub mod formula;
pub mod hash;
pub mod name_record;
pub mod prefix;
