//! A plugin validator with its transparency log: what `pds-log-server` is made of.
//!
//! A library so that tests, benchmarks and fuzz targets can reach its parts. No other daemon may use it.

pub mod admission;
pub mod backup;
pub mod builder;
pub mod catch_up;
pub mod config;
pub mod control;
pub mod decide;
pub mod epoch_data;
pub mod epoch_writer;
pub mod freeze;
pub mod fsck;
pub mod http;
pub mod identity;
pub mod intake;
pub mod line;
pub mod queue;
pub mod recovery;
pub mod refusal;
pub mod restore;
pub mod run;
pub mod sequencer;
pub mod shared;
pub mod staging;
pub mod stored;
