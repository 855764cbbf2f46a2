//! A validator's durable state on RocksDB, and the check that rereads all of it.
//!
//! The only crate that links RocksDB; none of its types is in the public API. Holds and orders bytes, and refuses to
//! contradict itself; it signs nothing, decides nothing and knows no clock. What becomes durable when is written at
//! [`Store::write_epoch_data`] and [`Store::commit_epoch`]; the rules come from `ARCHITECTURE.md`, "the way of a datum".
//!
//! **Invariant**: an answer is never made from bytes that are known not to be those that were stored. RocksDB checks the
//! checksum of each block it reads, and what is named by its hash is hashed again here. [`fsck`] finds the rest.
//!
//! Out of scope: where copies go and what makes them backups, the guard outside the database, the free-space reserve.

mod blob;
mod checkpoint;
mod error;
mod family;
pub mod fsck;
mod open;
mod options;
mod read;
mod scan;
mod statistics;
mod write;

pub use blob::{Blob, BlobKind};
pub use checkpoint::Copied;
pub use error::{Damage, DatabaseError, StoreError};
pub use family::{Family, Place};
pub use open::Store;
pub use options::MemoryBudget;
pub use statistics::{FamilyStatistics, Statistics};
pub use write::{Accepted, Decided, Dropped, EpochCommit, EpochData};
