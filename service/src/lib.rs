//! The shell all daemons share: HTTP serving, limits, config, telemetry, the guard.
//!
//! Nothing here knows what a daemon is for. No trees, no proofs, no database.

pub mod config;
pub mod guard;
pub mod http;
pub mod problem;
pub mod telemetry;
pub mod turns;
