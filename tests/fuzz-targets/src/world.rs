//! A validator with fixed keys and a short history, as the tests of the core have it.

// The core's own dishonest-enough validator: a copy would only drift away from it.
#[path = "../../../core/tests/common/mod.rs"]
#[expect(clippy::unwrap_used, reason = "everything in it has one outcome, and no input reaches it")]
mod common;

pub use common::*;
