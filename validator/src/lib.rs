//! What a plugin validator does with one submission: unpack it, build it again, look at the bytecode.
//!
//! A library of plain synchronous functions; a caller in an async program runs them on a blocking thread. [`source`],
//! [`archive`], [`manifest`] and [`structure`] are pure functions over bytes; only [`build`] and
//! [`archive::read_folder`] touch files, and only [`build`] starts a process. Nothing here decides whether a plugin is
//! accepted: that is the policy's acceptance expression over what [`validate()`] reports.
//!
//! Out of scope for now: confining the compiler (see [`build`] for what that leaves open), and the properties beyond
//! structure and reproducibility.

pub mod archive;
pub mod build;
pub mod manifest;
pub mod reproducible;
pub mod source;
pub mod structure;
mod validate;

pub use validate::{Failure, Outcome, Stage, validate, validate_archive};
