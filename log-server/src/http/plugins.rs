//! Evidence about a name, and the chain of its records.

use std::collections::HashMap;

use anyhow::Context;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use pds_core::cose;
use pds_core::evidence::to_tlog_proof;
use pds_core::hash::leaf_hash;
use pds_core::log::proof::{prove_inclusion, verify_inclusion};
use pds_core::name_record::commitment_of;
use pds_core::prefix::{PrefixTree, key_of};
use pds_schemas::cose::SignedKind;
use pds_schemas::prefix::Terminal;
use pds_schemas::{
    Artefact, Digest, EpochNumber, Evidence, EvidenceExtra, NameHistory, NameRecord, PluginName,
    SignedTreeRoot,
};
use pds_service::problem::Problem;
use pds_store::BlobKind;

use super::Api;
use super::log::published_epoch;
use super::respond::{Answer, CBOR, TEXT, fleeting, internal, parse};
use crate::queue::current_record;
use crate::shared::Published;

/// `GET /plugins/{name}[?epoch=]`: whatever the state, and for a name never admitted the proof of its absence.
pub async fn evidence(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let name: PluginName = parse("name", &name)?;
    only(&query, "epoch")?;
    let published = api.shared.published();
    let epoch = match query.get("epoch") {
        Some(text) => published_epoch("epoch", text, published.head.size)?,
        None => published.str.epoch,
    };
    // Reads dozens of pages.
    let made = tokio::task::spawn_blocking(move || make(&api, &published, &name, epoch)).await;
    let evidence = made.map_err(|e| internal("make evidence", e))?;
    let evidence = evidence.map_err(|e| internal("make evidence", format!("{e:#}")))?;
    let mut response = if wants_text(&headers) {
        let proof = to_tlog_proof(&evidence).map_err(|e| internal("make a tlog-proof", e))?;
        fleeting(TEXT, proof.to_string())
    } else {
        fleeting(CBOR, evidence.to_bytes())
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// `GET /plugins/{name}/history[?from=<sha256 of a record>]`, newest first; 404 for a name never admitted.
pub async fn history(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let name: PluginName = parse("name", &name)?;
    only(&query, "from")?;
    let from = match query.get("from") {
        Some(text) => Some(parse("from", text)?),
        None => {
            let current = current_record(&api.shared.store, &api.shared.published().tree, &name);
            current.map_err(|e| internal("read history", format!("{e:#}")))?.as_ref().map(commitment_of)
        }
    };
    let never = || Problem::not_found(format!("{name} was never admitted; /plugins/{name} proves it"));
    let from: Digest = from.ok_or_else(never)?;
    // Reads up to a thousand records.
    let of = name.clone();
    let read = tokio::task::spawn_blocking(move || chain(&api, &of, from)).await;
    let records = read.map_err(|e| internal("read history", e))?;
    let records = records.map_err(|e| internal("read history", format!("{e:#}")))?;
    if records.is_empty() {
        return Err(Problem::not_found(format!("{name} has no record {from}")));
    }
    Ok(fleeting(CBOR, NameHistory { records }.to_bytes()))
}

/// Records of `name` from `from` back, as many as fit an answer; none if `from` is not one of them.
fn chain(api: &Api, name: &PluginName, from: Digest) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut records = Vec::new();
    let mut next = Some(from);
    while let Some(digest) = next.filter(|_| records.len() < NameHistory::MAX_RECORDS) {
        let Some(bytes) = api.shared.store.blob(BlobKind::NameRecord, &digest)? else {
            anyhow::ensure!(records.is_empty(), "name record {digest} is gone; run fsck");
            break;
        };
        let record = NameRecord::from_bytes(&bytes)?;
        if record.name != *name {
            break;
        }
        next = record.previous;
        records.push(bytes);
    }
    Ok(records)
}

fn make(api: &Api, published: &Published, name: &PluginName, epoch: EpochNumber) -> anyhow::Result<Evidence> {
    let store = &*api.shared.store;
    let key = key_of(name);
    let is_now = epoch == published.str.epoch;
    // The current tree keeps the pages it reads; a past one is opened for this answer alone.
    let (entry, tree) =
        if is_now { (published.entry.clone(), published.tree.clone()) } else { past(api, epoch)? };
    let prefix = if is_now { tree.prove(store, &key)? } else { tree.prove_uncached(store, &key)? };
    let size = published.head.size;
    let inclusion = prove_inclusion(store, epoch.0, size)?;
    verify_inclusion(&leaf_hash(&entry), epoch.0, size, &inclusion, &published.head.log_root)?;
    let mut extra = EvidenceExtra { name_record: None, binding: None, prefix, signed_tree_root: entry };
    if extra.prefix.terminal == Terminal::Inclusion {
        let record = current_record(store, &tree, name)?.context("the tree holds a name without a record")?;
        if let Some(digest) = record.binding {
            let binding = store.blob(BlobKind::Binding, &digest)?;
            extra.binding = Some(binding.with_context(|| format!("binding {digest} is gone; run fsck"))?);
        }
        extra.name_record = Some(record.to_bytes());
    }
    Ok(Evidence { extra, index: epoch, inclusion, checkpoint: published.head.checkpoint.clone() })
}

/// The STR of a past epoch, and its tree.
fn past(api: &Api, epoch: EpochNumber) -> anyhow::Result<(Vec<u8>, PrefixTree)> {
    let store = &api.shared.store;
    let gone = || format!("epoch {epoch} is damaged; run fsck");
    let entry = store.entry(epoch)?.with_context(gone)?;
    let key = api.identity.str.public_key();
    let str: SignedTreeRoot = cose::open(&entry, SignedKind::SignedTreeRoot, &key)?;
    let root = store.epoch_root(epoch)?.with_context(gone)?;
    Ok((entry, PrefixTree::open(str.prefix_root, root.page_epoch)?))
}

fn only(query: &HashMap<String, String>, known: &str) -> Result<(), Problem> {
    match query.keys().find(|key| *key != known) {
        Some(key) => Err(Problem::bad_request(key, format!("there is no parameter {key}; there is {known}"))),
        None => Ok(()),
    }
}

/// Whether text is preferred (RFC 9110 section 12.5.1): by quality, then by order.
fn wants_text(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
    let mut best = (0.0, false);
    for kind in accept.flat_map(|v| v.split(',')) {
        let mut parts = kind.split(';').map(str::trim);
        let is_text = match parts.next() {
            Some("text/plain" | "text/*") => true,
            Some("application/cbor" | "application/*" | "*/*") => false,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        if quality > best.0 {
            best = (quality, is_text);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_given_when_it_is_preferred() {
        let check = |accept: &[&str], expect| {
            let values = accept.iter().map(|v| (header::ACCEPT, HeaderValue::from_str(v).unwrap()));
            assert_eq!(wants_text(&values.collect()), expect, "{accept:?}");
        };
        check(&[], false);
        check(&["*/*"], false);
        check(&["text/plain"], true);
        check(&["text/plain; charset=utf-8"], true);
        check(&["application/cbor, text/plain"], false);
        check(&["text/html, text/plain;q=0.9, */*;q=0.8"], true);
        check(&["text/plain;q=0.1, application/cbor"], false);
        check(&["text/plain;q=0, image/png"], false);
        check(&["application/cbor;q=0.2", "text/*;q=0.3"], true);
        check(&["text/plain;q=NaN"], false);
    }
}
