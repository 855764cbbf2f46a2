//! What is named by an epoch or by its hash.

use std::sync::Arc;

use anyhow::{Context, ensure};
use axum::extract::{Path, State};
use axum::http::Uri;
use pds_core::cose;
use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::NodeReader;
use pds_schemas::cose::SignedKind;
use pds_schemas::{Artefact, Digest, EpochNumber, PublicKey, SignedTreeRoot, Transition};
use pds_service::problem::Problem;
use pds_store::{BlobKind, Store};

use super::answers::Kept;
use super::log::published_epoch;
use super::making::Asker;
use super::respond::{Answer, BYTES, CBOR, COSE, fleeting, immutable, internal, parse};
use super::{Api, path};

/// `GET /epochs/{e}` and `GET /epochs/latest`.
pub async fn str(State(api): State<Api>, Path(epoch): Path<String>, uri: Uri) -> Answer {
    let published = api.shared.published();
    if epoch == "latest" {
        return Ok(fleeting(COSE, published.entry.clone()));
    }
    let epoch = published_epoch("epoch", &epoch, published.head.size)?;
    let entry = api.shared.store.entry(epoch).map_err(|e| internal("read an STR", e))?;
    let known = api.shared.store.node(0, epoch.0).map_err(|e| internal("read an STR", e))?;
    match entry.filter(|entry| leaf_hash(entry) == known) {
        Some(entry) => {
            let (path, content_type, body) = (path::STR, COSE, entry.into());
            Ok(api.answers.give(&uri, Kept { path, content_type, epoch: None, varies: false, body }))
        }
        None => Err(internal("read an STR", format!("epoch {epoch} is damaged; run fsck"))),
    }
}

/// `GET /epochs/{e}/changes`.
pub async fn changes(State(api): State<Api>, Asker(client): Asker, Path(epoch): Path<String>) -> Answer {
    let size = api.shared.published().head.size;
    let epoch = published_epoch("epoch", &epoch, size)?;
    let store = Arc::clone(&api.shared.store);
    let key = api.identity.str.public_key();
    // Up to megabytes.
    let made = api.making.elsewhere(client, move || checked_changes(&store, &key, epoch)).await;
    let bytes = made.map_err(|e| internal("read changes", e))?;
    Ok(immutable(
        CBOR,
        bytes.map_err(|e| internal("read changes", format!("epoch {epoch}: {e:#}; run fsck")))?,
    ))
}

/// The transition of `epoch`, whose change set is the one that the STR names.
fn checked_changes(store: &Store, key: &PublicKey, epoch: EpochNumber) -> anyhow::Result<Vec<u8>> {
    let bytes = store.transition(epoch)?.context("the changes are gone")?;
    let entry = store.entry(epoch)?.context("the STR is gone")?;
    let str: SignedTreeRoot = cose::open(&entry, SignedKind::SignedTreeRoot, key)?;
    let transition = Transition::from_bytes(&bytes)?;
    let same = transition.epoch == epoch && sha256(&transition.changes.to_bytes()) == str.changes;
    ensure!(same, "the changes are not those that the STR names");
    Ok(bytes)
}

/// `GET /records/{sha256}`: a name record, whatever became of it since.
pub async fn record(api: State<Api>, asker: Asker, digest: Path<String>, uri: Uri) -> Answer {
    blob(&api, asker, &uri, (BlobKind::NameRecord, path::RECORD, CBOR), &digest).await
}

/// `GET /bindings/{sha256}`.
pub async fn binding(api: State<Api>, asker: Asker, digest: Path<String>, uri: Uri) -> Answer {
    blob(&api, asker, &uri, (BlobKind::Binding, path::BINDING, CBOR), &digest).await
}

/// `GET /causes/{sha256}`.
pub async fn cause(api: State<Api>, asker: Asker, digest: Path<String>, uri: Uri) -> Answer {
    blob(&api, asker, &uri, (BlobKind::Cause, path::CAUSE, CBOR), &digest).await
}

/// `GET /policies/{sha256}`.
pub async fn policy(api: State<Api>, asker: Asker, digest: Path<String>, uri: Uri) -> Answer {
    blob(&api, asker, &uri, (BlobKind::Policy, path::POLICY, CBOR), &digest).await
}

/// `GET /objects/{sha256}`: bytecode, manifests, owner records, build environments.
pub async fn object(api: State<Api>, asker: Asker, digest: Path<String>, uri: Uri) -> Answer {
    blob(&api, asker, &uri, (BlobKind::Object, path::OBJECT, BYTES), &digest).await
}

async fn blob(
    api: &Api,
    Asker(client): Asker,
    uri: &Uri,
    (kind, path, content_type): (BlobKind, &'static str, &'static str),
    digest: &str,
) -> Answer {
    let digest: Digest = parse("sha256", digest)?;
    // The store compares the bytes with their hash.
    let store = Arc::clone(&api.shared.store);
    let read = move || store.blob(kind, &digest);
    let read = match kind {
        // Up to megabytes.
        BlobKind::Object => api.making.elsewhere(client, read).await,
        _ => Ok(read()),
    };
    let bytes = read.map_err(|e| internal("read a blob", e))?;
    match bytes.map_err(|e| internal("read a blob", e))? {
        Some(bytes) => {
            let (epoch, varies, body) = (None, false, bytes.into());
            Ok(api.answers.give(uri, Kept { path, content_type, epoch, varies, body }))
        }
        None => Err(Problem::not_found(format!("there is no {} {digest}", kind.name()))),
    }
}
