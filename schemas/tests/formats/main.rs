//! The formats from outside: golden vectors, what must be refused, and properties of every artefact.

mod cbor;
mod golden;
mod hostile;
mod kinds;
mod properties;
mod refusals;
mod refused;
mod samples;
mod strategies;
