//! What an audit finds that does not hold.

use pds_core::cose::CoseError;
use pds_core::log::tile::TileAddress;
use pds_core::prefix::TransitionError;
use pds_schemas::{Digest, EpochNumber, PluginName, PosixTime};

use super::AuditError;
use crate::api::ApiError;

/// One thing that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// Too few witnesses: peers would refuse this checkpoint.
    #[error("{counted} of {known} witnesses cosigned the checkpoint in time, which is no quorum")]
    NoQuorum {
        /// How many counted.
        counted: usize,
        /// How many the policy knows.
        known: usize,
    },
    /// Something that must be there is not served, or is served as nonsense.
    #[error("{what} is withheld: {cause}")]
    Withheld {
        /// What it is.
        what: String,
        /// What the server answered.
        cause: ApiError,
    },
    /// An entry that is no STR by the validator's STR key.
    #[error("entry {index} is no STR of this validator: {cause}")]
    Entry {
        /// Its index.
        index: u64,
        /// What is wrong.
        cause: CoseError,
    },
    /// An STR of another validator.
    #[error("the STR of epoch {epoch} is of origin {found:?}")]
    Origin {
        /// Its epoch.
        epoch: EpochNumber,
        /// Whose it says it is.
        found: String,
    },
    /// An STR out of its place.
    #[error("entry {index} is the STR of epoch {epoch}")]
    Place {
        /// Its index.
        index: u64,
        /// Its epoch.
        epoch: EpochNumber,
    },
    /// An STR that follows another one than the log has.
    #[error("the STR of epoch {epoch} follows {found}, the entry before it hashes to {expected}")]
    Previous {
        /// Its epoch.
        epoch: EpochNumber,
        /// RFC 6962 leaf hash of the entry before.
        expected: Digest,
        /// What it names.
        found: Digest,
    },
    /// Time that ran backwards.
    #[error("the STR of epoch {epoch} is of time {found}, the one before it of {before}")]
    Time {
        /// Its epoch.
        epoch: EpochNumber,
        /// The time before.
        before: PosixTime,
        /// Its time.
        found: PosixTime,
    },
    /// A number of names that the changes do not give.
    #[error("epoch {epoch} has {expected} names by its changes, its STR says {found}")]
    Names {
        /// The epoch.
        epoch: EpochNumber,
        /// By the changes.
        expected: u64,
        /// By the STR.
        found: u64,
    },
    /// Changes of another epoch.
    #[error("asked for the changes of epoch {epoch}, given were those of {found}")]
    OtherEpoch {
        /// What was asked for.
        epoch: EpochNumber,
        /// What was given.
        found: EpochNumber,
    },
    /// Changes that the STR does not commit to.
    #[error("the changes of epoch {epoch} hash to {found}, its STR has {expected}")]
    Changes {
        /// The epoch.
        epoch: EpochNumber,
        /// In the STR.
        expected: Digest,
        /// Of what was given.
        found: Digest,
    },
    /// Changes that do not lead from root to root.
    #[error("the changes of epoch {epoch} do not lead from the root before to its root: {cause}")]
    Transition {
        /// The epoch.
        epoch: EpochNumber,
        /// What is wrong.
        cause: TransitionError,
    },
    /// A record that is not in its name's history.
    #[error("the record {record} of {name}, from epoch {epoch}, is not in its history")]
    NoRecord {
        /// The epoch.
        epoch: EpochNumber,
        /// The name.
        name: PluginName,
        /// SHA-256 of the record.
        record: Digest,
    },
    /// A record that does not fit its change.
    #[error("the record of {name} from epoch {epoch}: {rule}")]
    Record {
        /// The epoch.
        epoch: EpochNumber,
        /// The name.
        name: PluginName,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Something that a record of a name points at, and that is not about that name's release.
    #[error("{what} {digest}, which a record of {name} names, is about {found}")]
    OtherSubject {
        /// What it is.
        what: &'static str,
        /// SHA-256 of it.
        digest: Digest,
        /// The record's name.
        name: PluginName,
        /// Name, and release if there is one, that it is about.
        found: String,
    },
    /// A tile that the entries do not give.
    #[error("{0} is not what the entries give")]
    Tile(TileAddress),
    /// A root that the entries do not give.
    #[error("the entries give the root {recomputed}, signed is {signed}")]
    Root {
        /// From the entries.
        recomputed: Digest,
        /// From the checkpoint.
        signed: Digest,
    },
    /// An STR served beside the log that is another one than in it.
    #[error("the STR served for epoch {epoch} is not the log's entry")]
    OtherStr {
        /// The epoch.
        epoch: EpochNumber,
    },
}

/// The first violations of an audit, and no more than are of use.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Most that are kept: an audit that found so many ends.
    pub const MAX: usize = 100;

    /// In the order found.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Violation> {
        self.0.iter()
    }

    /// Whether everything holds so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= Self::MAX
    }

    pub(super) fn push(&mut self, violation: Violation) {
        if !self.is_full() {
            self.0.push(violation);
        }
    }

    /// What was asked for. `None`, and a violation, if the server has it not or answers nonsense; a server that cannot be
    /// asked proves nothing and ends the audit.
    pub(super) fn unless_withheld<T>(
        &mut self,
        what: &str,
        answer: Result<T, ApiError>,
    ) -> Result<Option<T>, AuditError> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(cause) if cause.is_refusal() || cause.is_nonsense() => {
                self.push(Violation::Withheld { what: what.to_owned(), cause });
                Ok(None)
            }
            Err(cause) => Err(cause.into()),
        }
    }
}
