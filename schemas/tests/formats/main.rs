//! The formats from outside: golden vectors, what must be refused, and properties of every artefact.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

mod cbor;
mod golden;
mod hostile;
mod kinds;
mod properties;
mod refusals;
mod refused;
mod samples;
mod strategies;
