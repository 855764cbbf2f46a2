//! Why the store did not do what it was asked.

use std::io;
use std::path::PathBuf;

use pds_schemas::{DecodeError, Digest, EpochNumber};

use crate::Place;

/// What RocksDB says went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(String);

impl From<rocksdb::Error> for DatabaseError {
    fn from(error: rocksdb::Error) -> Self {
        Self(error.into_string())
    }
}

/// How stored bytes show that they are not those that were stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// They hash to something else than the name they are stored under, or than the hash stored beside them.
    #[error("hashes to {0}")]
    Digest(Digest),
    /// They do not decode.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// They have another length than everything at that place has.
    #[error("has {0} bytes")]
    Length(usize),
    /// They are not there, though what is stored elsewhere says that they are.
    #[error("is missing")]
    Missing,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `create` found a database.
    #[error("{path} already holds a store; only a new one is created")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// `open` found none.
    #[error("{path} holds no store")]
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// Another process, or another handle in this one, has it open.
    #[error("the store in {path} is in use: stop the process that has it open first")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// Written by a program with another format, or its creation was interrupted.
    #[error("the store in {path} has format {found:?}, and this program reads and writes {expected:?} only")]
    Format {
        /// The folder.
        path: PathBuf,
        /// What this program reads and writes.
        expected: &'static str,
        /// What is written there; empty when creating it was interrupted.
        found: String,
    },
    /// The file system refused.
    #[error("{doing} {path}")]
    Io {
        /// Verb, e.g. `lock`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// RocksDB refused.
    #[error("{doing}")]
    Database {
        /// Verb and object, e.g. `read blobs`.
        doing: String,
        /// What it says.
        source: DatabaseError,
    },
    /// A write or sync failed before. What is on disk is unknown until the store is opened anew; reads go on.
    #[error("an earlier write failed: this process writes no more, restart it")]
    Poisoned,
    /// Opened for reading.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// What is stored is not what was stored.
    #[error("{place} is damaged: {damage}")]
    Corrupt {
        /// Where.
        place: Place,
        /// How that shows.
        damage: Damage,
    },
    /// Data of an epoch other than the one that comes next.
    #[error("epoch {found} was given, {expected} comes next")]
    EpochOutOfOrder {
        /// The head's size.
        expected: EpochNumber,
        /// The epoch given.
        found: EpochNumber,
    },
    /// Data of the next epoch is there already: [`crate::Store::drop_unfinished`] was not called, or it was written twice.
    #[error("{0} is left from an unfinished attempt at the epoch")]
    Unfinished(Place),
    /// A commit whose parts contradict each other or what is stored. Nothing was written.
    #[error("refused to write {place}: {rule}")]
    Contradiction {
        /// What was not written.
        place: Place,
        /// The rule it would break.
        rule: &'static str,
    },
}

impl StoreError {
    pub(crate) fn database(doing: impl Into<String>) -> impl FnOnce(rocksdb::Error) -> Self {
        let doing = doing.into();
        |error| Self::Database { doing, source: error.into() }
    }

    pub(crate) fn io(doing: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
