//! A validator with fixed keys and a short history, as the tests of the core have it.

// The one that the core's tests lie with: a copy would only drift away from it.
#[path = "../../../core/tests/common/mod.rs"]
mod common;

pub use common::*;
