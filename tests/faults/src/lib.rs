//! Fault injection: what a validator makes of a disk that fails, and of a machine that loses its power.
//!
//! A [`scenario`] runs the log-server's own recovery, sequencer and store through a submission and epochs, in a process of
//! its own with the C library of `shim/` preloaded ([`shim`]), which fails as a [`plan`] says and keeps what POSIX promises
//! to keep. A run without faults tells all points ([`trace`]); [`case`] injects, starts again, and has [`judge`] hold the
//! disk against what was told to the world ([`journal`]). [`matrix`] does so for all points, and for pairs of them.
//!
//! Not here: HTTP, the builder, and bits that flip in stored files; those tests are in `tests/tests`.

pub mod case;
pub mod flips;
pub mod journal;
pub mod judge;
pub mod matrix;
pub mod plan;
pub mod regions;
pub mod scenario;
pub mod shim;
pub mod table;
pub mod template;
pub mod trace;
