//! Fetching what is named by its hash, and keeping it.

use std::collections::BTreeSet;

use anyhow::Context;
use pds_client::api::{ApiError, ValidatorApi};
use pds_client::parallel;
use pds_schemas::{Artefact, Digest, limits};
use pds_store::{Blob, BlobKind, Store};

/// Requests at a time.
const WIDTH: usize = 8;
/// Blobs that are in memory at a time; the largest is a mebibyte.
const GROUP: usize = 32;

/// Makes sure that `store` holds each of `named`, fetching what it lacks.
///
/// # Errors
/// For what is not served, or served as something else.
pub async fn bring(
    api: &ValidatorApi,
    store: &Store,
    named: impl IntoIterator<Item = (BlobKind, Digest)>,
) -> anyhow::Result<()> {
    let named: BTreeSet<_> = named.into_iter().collect();
    let mut lacking = Vec::new();
    for (kind, digest) in named {
        if store.blob(kind, &digest).context("look up a blob")?.is_none() {
            lacking.push((kind, digest));
        }
    }
    for group in lacking.chunks(GROUP) {
        let fetched = parallel::map(group.iter().copied(), WIDTH, |(kind, digest)| {
            let api = api.clone();
            async move { fetch(&api, kind, &digest).await }
        });
        let blobs: Vec<Blob> = fetched.await.into_iter().collect::<Result<_, _>>()?;
        store.keep_blobs(&blobs).context("keep blobs")?;
    }
    Ok(())
}

/// The client compares what it gets with the digest it asked for.
async fn fetch(api: &ValidatorApi, kind: BlobKind, digest: &Digest) -> Result<Blob, ApiError> {
    let bytes = match kind {
        BlobKind::NameRecord => api.record(digest).await?.to_bytes(),
        BlobKind::Binding => api.binding(digest).await?.to_bytes(),
        BlobKind::Cause => api.cause(digest).await?.to_bytes(),
        BlobKind::Policy => api.policy(digest).await?.to_bytes(),
        BlobKind::Object => api.object(digest, limits::OBJECT_BYTES).await?,
    };
    Ok(Blob::new(kind, bytes))
}
