//! The epoch log: checkpoint, tiles and bundles as C2SP tlog-tiles has them, and proofs.

use std::sync::Arc;

use anyhow::ensure;
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::response::Response;
use pds_core::hash::leaf_hash;
use pds_core::log::proof::{prove_consistency, prove_inclusion, verify_consistency, verify_inclusion};
use pds_core::log::tile::{EntriesAddress, FULL_WIDTH, TileAddress, encode_entries, encode_tile, tile_root};
use pds_core::log::{self, LogError, NodeReader};
use pds_schemas::json::LogProof;
use pds_schemas::{Digest, EpochNumber, TreeSize};
use pds_service::problem::Problem;
use pds_store::{Store, StoreError};
use serde::Deserialize;

use super::answers::Kept;
use super::making::Asker;
use super::respond::{Answer, BYTES, JSON, TEXT, immutable, internal, json};
use super::{Api, path};

/// `GET /checkpoint`.
pub async fn checkpoint(State(api): State<Api>, uri: Uri) -> Answer {
    let published = api.shared.published();
    let (epoch, body) = (Some(published.str.epoch), published.head.checkpoint.clone().into());
    let kept = Kept { path: path::CHECKPOINT, content_type: TEXT, epoch, varies: false, body };
    Ok(api.answers.give(&uri, kept))
}

/// `GET /tile/<L>/<N>[.p/<W>]`.
pub async fn tile(
    State(api): State<Api>,
    Asker(client): Asker,
    Path(address): Path<String>,
    uri: Uri,
) -> Answer {
    let address: TileAddress = format!("tile/{address}").parse().map_err(not_a_tile)?;
    let size = api.shared.published().head.size;
    if !address.is_within(size) {
        return Err(beyond(size));
    }
    let store = Arc::clone(&api.shared.store);
    let made = api.making.elsewhere(client, move || checked_tile(&store, address)).await;
    let tile = made.map_err(|e| internal("read a tile", e))?;
    let body = tile.map_err(|e| internal("read a tile", format!("{address}: {e:#}; run fsck")))?.into();
    Ok(api
        .answers
        .give(&uri, Kept { path: path::TILE, content_type: BYTES, epoch: None, varies: false, body }))
}

fn checked_tile(store: &Store, address: TileAddress) -> anyhow::Result<Vec<u8>> {
    let hashes = address.nodes().map(|(level, index)| store.node(level, index));
    let hashes: Vec<_> = hashes.collect::<Result<_, _>>()?;
    // Of a full tile, the level above knows the hash: a flipped bit is not served.
    let above = 8 * (address.level() + 1);
    if address.width() == FULL_WIDTH && above < 64 {
        ensure!(tile_root(&hashes) == store.node(above, address.index())?, "it is damaged");
    }
    Ok(encode_tile(&hashes))
}

/// `GET /tile/entries/<N>[.p/<W>]`.
pub async fn entries(State(api): State<Api>, Asker(client): Asker, Path(index): Path<String>) -> Answer {
    let address: EntriesAddress = format!("tile/entries/{index}").parse().map_err(not_a_tile)?;
    let size = api.shared.published().head.size;
    if !address.is_within(size) {
        return Err(beyond(size));
    }
    let store = Arc::clone(&api.shared.store);
    let made = api.making.elsewhere(client, move || checked_entries(&store, address)).await;
    let bundle = made.map_err(|e| internal("read entries", e))?;
    Ok(immutable(BYTES, bundle.map_err(|e| internal("read entries", format!("{e:#}; run fsck")))?))
}

fn checked_entries(store: &Store, address: EntriesAddress) -> anyhow::Result<Vec<u8>> {
    let first = address.index() * u64::from(FULL_WIDTH);
    let entries = store.entries(first..first + u64::from(address.width()))?;
    for (entry, leaf) in entries.iter().zip(address.leaves()) {
        ensure!(leaf_hash(entry) == store.node(0, leaf)?, "entry {leaf} is damaged");
    }
    Ok(encode_entries(entries.iter().map(Vec::as_slice))?)
}

/// Query of `GET /proofs/inclusion`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionQuery {
    /// Index of the leaf, which is an epoch.
    leaf: u64,
    /// Size of the log.
    size: u64,
}

/// `GET /proofs/inclusion?leaf=&size=`.
pub async fn inclusion(
    State(api): State<Api>,
    query: Result<Query<InclusionQuery>, axum::extract::rejection::QueryRejection>,
    uri: Uri,
) -> Answer {
    let Query(InclusionQuery { leaf, size }) =
        query.map_err(|e| Problem::bad_request("query", format!("?leaf=<index>&size=<leaves>: {e}")))?;
    within("size", size, api.shared.published().head.size)?;
    let (store, size) = (&*api.shared.store, TreeSize(size));
    let hashes = prove_inclusion(store, leaf, size).map_err(|e| unprovable("leaf", e))?;
    let read = |e: StoreError| internal("prove inclusion", e);
    let (hash, root) = (store.node(0, leaf).map_err(read)?, root_at(&api, size).map_err(read)?);
    verify_inclusion(&hash, leaf, size, &hashes, &root).map_err(|e| internal("prove inclusion", e))?;
    Ok(proof(&api, &uri, path::INCLUSION, hashes))
}

/// Query of `GET /proofs/consistency`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyQuery {
    /// The smaller size.
    from: u64,
    /// The larger size.
    to: u64,
}

/// `GET /proofs/consistency?from=&to=`.
pub async fn consistency(
    State(api): State<Api>,
    query: Result<Query<ConsistencyQuery>, axum::extract::rejection::QueryRejection>,
    uri: Uri,
) -> Answer {
    let Query(ConsistencyQuery { from, to }) =
        query.map_err(|e| Problem::bad_request("query", format!("?from=<leaves>&to=<leaves>: {e}")))?;
    within("to", to, api.shared.published().head.size)?;
    let (store, from, to) = (&*api.shared.store, TreeSize(from), TreeSize(to));
    let hashes = prove_consistency(store, from, to).map_err(|e| unprovable("from", e))?;
    let read = |e: StoreError| internal("prove consistency", e);
    let (old, new) = (root_at(&api, from).map_err(read)?, root_at(&api, to).map_err(read)?);
    verify_consistency(from, &old, to, &new, &hashes).map_err(|e| internal("prove consistency", e))?;
    Ok(proof(&api, &uri, path::CONSISTENCY, hashes))
}

/// An epoch that is published, or 404.
pub(super) fn published_epoch(field: &str, text: &str, size: TreeSize) -> Result<EpochNumber, Problem> {
    let expected = || Problem::bad_request(field, format!("{field}: the number of an epoch is expected"));
    let epoch: EpochNumber = text.parse().map_err(|_| expected())?;
    // One epoch, one path: neither `+1` nor `01`.
    if epoch.to_string() != text {
        return Err(Problem::bad_request(field, format!("{field}: epoch {epoch} is written {epoch}")));
    }
    if epoch.0 < size.0 { Ok(epoch) } else { Err(beyond(size)) }
}

fn proof(api: &Api, uri: &Uri, path: &'static str, hashes: Vec<Digest>) -> Response {
    let (content_type, body) = (JSON, json(&LogProof { hashes }).into());
    api.answers.give(uri, Kept { path, content_type, epoch: None, varies: false, body })
}

/// The log's root at `size`: the signed one at the size that is published.
fn root_at(api: &Api, size: TreeSize) -> Result<Digest, StoreError> {
    let published = api.shared.published();
    if size == published.head.size {
        Ok(published.head.log_root)
    } else {
        log::root(&*api.shared.store, size)
    }
}

fn within(field: &str, asked: u64, size: TreeSize) -> Result<(), Problem> {
    if asked <= size.0 {
        return Ok(());
    }
    let detail = format!("{field} is {asked}, the published log has {size} epochs");
    Err(Problem::bad_request(field, detail).limit(size.0))
}

fn unprovable(field: &str, error: LogError<StoreError>) -> Problem {
    match error {
        LogError::Read(error) => internal("prove", error),
        other => Problem::bad_request(field, other.to_string()),
    }
}

fn not_a_tile(error: impl std::fmt::Display) -> Problem {
    Problem::not_found(format!("not a tile: {error}"))
}

fn beyond(size: TreeSize) -> Problem {
    Problem::not_found(format!("the published log has {size} epochs"))
}
