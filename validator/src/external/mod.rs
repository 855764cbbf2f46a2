//! Verifiers that are programs of others: asked by an adapter's command line, answering in JSON.
//!
//! `CMD --property P --source F.c --object F.o --entry SYM --timeout SECONDS`; `deploy/verifiers/` has adapters for CBMC,
//! Frama-C, PREVAIL, SeaHorn and T2. A tool that is missing, crashes or says something else is an *error*, never success.

mod answer;

pub use answer::{Answer, AnswerError, MAX_BYTES, read};
