//! What talks to plugin validators and believes none of them: typed calls, verified fetching, trust, memory, audit.
//!
//! The library behind `pds`, and for whoever embeds it: neither a web framework nor a database is in here. Checking is
//! `pds_core`'s; this crate brings it bytes from networks and files, bounded in size and time, and remembers what it saw
//! so that nobody can take it back. Not here: serving anything, building or verifying bytecode.

pub mod api;
pub mod audit;
pub mod fetch;
pub mod growth;
pub mod hammer;
pub mod http;
pub mod inspect;
pub mod parallel;
pub mod state;
pub mod submit;
pub mod trust;
pub mod verify;
