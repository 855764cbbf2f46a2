//! What a plugin validator does with one submission: unpack it, build it again, look at the bytecode.
//!
//! A library of plain synchronous functions; a caller in an async program runs them on a blocking thread. Verifiers are pure
//! over bytes: [`structure`] reads an object into a [`program`], of which [`mod@cfg`], [`analysis`], [`memory`], [`effects`] and
//! [`termination`] say more, by the tables of a [`platform`]. Only [`build`] touches files and starts processes. Nothing here
//! decides whether a plugin is accepted: that is the policy's acceptance expression over what [`validate()`] reports.
//!
//! Out of scope for now: confining the compiler (see [`build`] for what that leaves open). [`validate()`] reports structure
//! and reproducibility; the other properties, and verifiers of others ([`external`]), are asked by tests alone so far.

pub mod analysis;
pub mod build;
pub mod cfg;
pub mod effects;
pub mod external;
pub mod memory;
pub mod platform;
pub mod program;
pub mod reproducible;
pub mod structure;
pub mod termination;
mod validate;
pub mod verdict;

pub use validate::{Failure, Outcome, Stage, validate, validate_archive};
