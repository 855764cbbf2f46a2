//! Artefacts of the database that others name.

use anyhow::Context;
use pds_schemas::{Artefact, Binding, Digest, FailureCause, NameRecord, Release};
use pds_store::{BlobKind, Store};

/// A blob of `store`, decoded.
///
/// # Errors
/// When it is not there or is no `T`.
pub fn read<T: Artefact>(store: &Store, kind: BlobKind, digest: &Digest) -> anyhow::Result<T> {
    let bytes = store.blob(kind, digest).with_context(|| format!("read {} {digest}", kind.name()))?;
    let bytes = bytes.with_context(|| format!("{} {digest} is not there", kind.name()))?;
    T::from_bytes(&bytes).with_context(|| format!("{} {digest} is malformed", kind.name()))
}

/// Whether the highest release that `record` saw has no decision yet. Releases of a name are decided in their order, so
/// the binding or the cause is of the last that has one.
///
/// # Errors
/// When the database is damaged.
pub fn is_undecided(store: &Store, record: &NameRecord) -> anyhow::Result<bool> {
    let binding = record.binding.map(|digest| read::<Binding>(store, BlobKind::Binding, &digest));
    let cause = record.cause.map(|digest| read::<FailureCause>(store, BlobKind::Cause, &digest));
    let decided: Option<Release> = binding
        .transpose()?
        .map(|binding| binding.release)
        .max(cause.transpose()?.map(|cause| cause.release));
    Ok(decided.is_none_or(|decided| decided < record.highest_release))
}
