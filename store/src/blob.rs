//! Things named by their hash.

use pds_core::hash::sha256;
use pds_schemas::Digest;

/// What a blob is. Part of its key, so that bytes stored as one kind are never read as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobKind {
    /// An encoded [`pds_schemas::NameRecord`].
    NameRecord,
    /// An encoded [`pds_schemas::Binding`].
    Binding,
    /// Bytecode, a manifest, an [`pds_schemas::OwnerRecord`] or a [`pds_schemas::BuildEnvironment`].
    Object,
    /// An encoded [`pds_schemas::FailureCause`].
    Cause,
    /// An encoded [`pds_schemas::Policy`].
    Policy,
}

impl BlobKind {
    /// Every kind, in the order of its code.
    pub const ALL: [Self; 5] = [Self::NameRecord, Self::Binding, Self::Object, Self::Cause, Self::Policy];

    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NameRecord => "name-record",
            Self::Binding => "binding",
            Self::Object => "object",
            Self::Cause => "cause",
            Self::Policy => "policy",
        }
    }

    /// First byte of its keys, from 1.
    pub(crate) const fn code(self) -> u8 {
        self as u8 + 1
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Bytes with their SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    kind: BlobKind,
    digest: Digest,
    bytes: Vec<u8>,
}

impl Blob {
    /// Hashes `bytes`.
    pub fn new(kind: BlobKind, bytes: Vec<u8>) -> Self {
        Self { kind, digest: sha256(&bytes), bytes }
    }

    /// What it is.
    pub fn kind(&self) -> BlobKind {
        self.kind
    }

    /// Its name: SHA-256 of its bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
