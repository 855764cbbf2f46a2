//! The prefix tree against a naive one, against forged proofs, and against damaged pages.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside the functions marked as such"
)]

mod naive;
mod pages;
mod proofs;
mod transitions;
mod tree;
