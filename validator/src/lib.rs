//! What a plugin validator does with one submission: unpack it, build it again, look at the bytecode.
//!
//! A library of plain synchronous functions; a caller in an async program runs them on a blocking thread. [`structure`] and
//! [`platform`] are pure over bytes; only [`build`] touches files and starts processes. Nothing here decides whether a plugin is accepted:
//! that is the policy's acceptance expression over what [`validate()`] reports.
//!
//! Out of scope for now: confining the compiler (see [`build`] for what that leaves open), and the properties beyond
//! structure and reproducibility.

pub mod analysis;
pub mod build;
pub mod external;
pub mod cfg;
pub mod effects;
pub mod memory;
pub mod platform;
pub mod program;
pub mod reproducible;
pub mod structure;
pub mod termination;
mod validate;
pub mod verdict;

pub use validate::{Failure, Outcome, Stage, validate, validate_archive};
