//! What is named by an epoch or by its hash.

use std::sync::Arc;

use axum::extract::{Path, State};
use pds_core::hash::leaf_hash;
use pds_core::log::NodeReader;
use pds_schemas::Digest;
use pds_service::problem::Problem;
use pds_store::BlobKind;

use super::Api;
use super::log::published_epoch;
use super::respond::{Answer, BYTES, CBOR, COSE, fleeting, immutable, internal, parse};

/// `GET /epochs/{e}` and `GET /epochs/latest`.
pub async fn str(State(api): State<Api>, Path(epoch): Path<String>) -> Answer {
    let published = api.shared.published();
    if epoch == "latest" {
        return Ok(fleeting(COSE, published.entry.clone()));
    }
    let epoch = published_epoch("epoch", &epoch, published.head.size)?;
    let entry = api.shared.store.entry(epoch).map_err(|e| internal("read an STR", e))?;
    let known = api.shared.store.node(0, epoch.0).map_err(|e| internal("read an STR", e))?;
    match entry.filter(|entry| leaf_hash(entry) == known) {
        Some(entry) => Ok(immutable(COSE, entry)),
        None => Err(internal("read an STR", format!("epoch {epoch} is damaged; run fsck"))),
    }
}

/// `GET /epochs/{e}/changes`.
pub async fn changes(State(api): State<Api>, Path(epoch): Path<String>) -> Answer {
    let size = api.shared.published().head.size;
    let epoch = published_epoch("epoch", &epoch, size)?;
    let store = Arc::clone(&api.shared.store);
    // Up to megabytes.
    let read = tokio::task::spawn_blocking(move || store.transition(epoch)).await;
    let read = read.map_err(|e| internal("read changes", e))?.map_err(|e| internal("read changes", e))?;
    let bytes = read.ok_or_else(|| internal("read changes", format!("epoch {epoch} has none; run fsck")))?;
    Ok(immutable(CBOR, bytes))
}

/// `GET /bindings/{sha256}`.
pub async fn binding(api: State<Api>, digest: Path<String>) -> Answer {
    blob(&api, BlobKind::Binding, CBOR, &digest)
}

/// `GET /causes/{sha256}`.
pub async fn cause(api: State<Api>, digest: Path<String>) -> Answer {
    blob(&api, BlobKind::Cause, CBOR, &digest)
}

/// `GET /policies/{sha256}`.
pub async fn policy(api: State<Api>, digest: Path<String>) -> Answer {
    blob(&api, BlobKind::Policy, CBOR, &digest)
}

/// `GET /objects/{sha256}`: bytecode, manifests, owner records, build environments.
pub async fn object(api: State<Api>, digest: Path<String>) -> Answer {
    blob(&api, BlobKind::Object, BYTES, &digest)
}

fn blob(api: &Api, kind: BlobKind, content_type: &'static str, digest: &str) -> Answer {
    let digest: Digest = parse("sha256", digest)?;
    // The store compares the bytes with their hash.
    let bytes = api.shared.store.blob(kind, &digest).map_err(|e| internal("read a blob", e))?;
    match bytes {
        Some(bytes) => Ok(immutable(content_type, bytes)),
        None => Err(Problem::not_found(format!("there is no {} {digest}", kind.name()))),
    }
}
