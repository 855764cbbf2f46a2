//! What end-to-end tests are made of: real processes, a raw HTTP client, plugins, and a memory of what was promised.
//!
//! Tests run the binaries of the workspace (`cargo build --workspace` first) on free ports of the loopback, each in a
//! temporary folder that goes away with it. Nothing waits by the clock: a test waits for a line of a log, an answer or an
//! end. Not here: anything that a daemon runs.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so and ends")]

pub mod archive;
pub mod http;
pub mod mirror;
pub mod output;
pub mod plugins;
pub mod process;
pub mod random;
pub mod validator;
pub mod world;

use std::time::Duration;

/// Longest that a test waits for anything. Never waited for when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);
