//! Load on a validator or on any tlog-tiles log, from clients that check every answer.
//!
//! A run has *readers* and *writers*. Each does one operation after the other: a reader picks it by the weights of a
//! [`Mix`], a writer submits plugins of its own making. What a run saw is one [`View`] that all of them share, so that
//! an answer is held against everything that any of them was told before:
//!
//! - a checkpoint against every other, by proofs that come from tiles ([`View`], [`tiles`]);
//! - tiles, entries and STRs against the newest checkpoint ([`log`]);
//! - evidence as a peer holds it against its trust, and names against what was proved of them ([`evidence`]);
//! - receipts against the submission, each other, and what becomes of them by their promise ([`promise`]).
//!
//! What an honest server never answers is a [`Finding`]; what a loaded, stopped or broken one may answer is counted as a
//! [`Failure`] by its kind. A [`journal`] keeps what must hold for ever, and [`check`] holds a server to it after a crash.
//!
//! **Rates and latencies.** Without a rate, each worker asks as soon as it was answered (closed loop). With one, its
//! operations are due at fixed times, whatever the server does meanwhile, and the latency of one that had to wait for the
//! one before it counts from when it was due: a stalled server shows in every operation that it held up, not in one
//! (no coordinated omission). Latency ends when the answer is there; the time that checking takes is not in it. Only
//! answers that hold are in percentiles.
//!
//! Shell: network, clock, file. Not here: what is printed, and how (see `pds hammer`).

pub mod check;
pub mod evidence;
pub mod finding;
pub mod generate;
pub mod journal;
pub mod log;
pub mod names;
pub mod operation;
pub mod pace;
pub mod promise;
pub mod random;
pub mod run;
pub mod session;
pub mod tally;
pub mod target;
pub mod tiles;
pub mod view;
mod worker;

pub use finding::{Failure, Finding, Trouble};
pub use operation::{Mix, Operation};
pub use run::{HammerError, Plan, run};
pub use tally::Report;
pub use target::Target;
pub use view::View;
