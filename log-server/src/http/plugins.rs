//! Evidence about a name, and the chain of its records.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
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
    SignedTreeRoot, TreeSize,
};
use pds_service::problem::Problem;
use pds_store::BlobKind;

use super::answers::Kept;
use super::log::published_epoch;
use super::making::Asker;
use super::respond::{Answer, CBOR, TEXT, fleeting, internal, parse, wants_text};
use super::{Api, path};
use crate::queue::current_record;
use crate::shared::Published;

/// `GET /plugins/{name}[?epoch=]`: whatever the state, and for a name never admitted the proof of its absence.
pub async fn evidence(
    State(api): State<Api>,
    Asker(client): Asker,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let name: PluginName = parse("name", &name)?;
    only(&query, "epoch")?;
    let published = api.shared.published();
    let epoch = match query.get("epoch") {
        Some(text) => published_epoch("epoch", text, published.head.size)?,
        None => published.str.epoch,
    };
    let now = published.str.epoch;
    let made = if epoch == now {
        // Two records, and pages of which most are in memory: less than going to another thread would take.
        make(&api, &published, &name, epoch)
    } else {
        // Dozens of pages from the disk.
        let maker = api.clone();
        let made = api.making.elsewhere(client, move || make(&maker, &published, &name, epoch)).await;
        made.map_err(|e| internal("make evidence", e))?
    };
    let evidence = made.map_err(|e| internal("make evidence", format!("{e:#}")))?;
    if wants_text(&headers) {
        let proof = to_tlog_proof(&evidence).map_err(|e| internal("make a tlog-proof", e))?;
        let mut response = fleeting(TEXT, proof.to_string());
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
        return Ok(response);
    }
    let body = evidence.to_bytes().into();
    let kept = Kept { path: path::EVIDENCE, content_type: CBOR, epoch: Some(now), varies: true, body };
    Ok(api.answers.give(&uri, kept))
}

/// `GET /plugins/{name}/history[?from=<sha256 of a record>]`, newest first; 404 for a name never admitted.
pub async fn history(
    State(api): State<Api>,
    Asker(client): Asker,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let name: PluginName = parse("name", &name)?;
    only(&query, "from")?;
    let from = query.get("from").map(|text| parse("from", text)).transpose()?;
    // Reads up to a thousand records.
    let (maker, of) = (api.clone(), name.clone());
    let made = api.making.elsewhere(client, move || chain(&maker, &of, from)).await;
    let records = made.map_err(|e| internal("read history", e))?;
    let records = records.map_err(|e| internal("read history", format!("{e:#}")))?;
    let Some((from, records)) = records else {
        return Err(Problem::not_found(format!("{name} was never admitted; /plugins/{name} proves it")));
    };
    if records.is_empty() {
        return Err(Problem::not_found(format!("{name} has no record {from}")));
    }
    Ok(fleeting(CBOR, NameHistory { records }.to_bytes()))
}

/// Records of `name` from `from` back, or from the current one, which is told too: as many as fit an answer. None of them if
/// `from` is not one of them; `None` for a name never admitted.
fn chain(
    api: &Api,
    name: &PluginName,
    from: Option<Digest>,
) -> anyhow::Result<Option<(Digest, Vec<Vec<u8>>)>> {
    let from = match from {
        Some(from) => Some(from),
        None => {
            let current = current_record(&api.shared.store, &api.shared.published().tree, name)?;
            current.as_ref().map(commitment_of)
        }
    };
    let Some(from) = from else { return Ok(None) };
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
    Ok(Some((from, records)))
}

/// The proof that the last epoch is in the log: the same for every name, so made once for each epoch.
#[derive(Debug, Default)]
pub struct LastInclusion(RwLock<Arc<(TreeSize, Vec<Digest>)>>);

impl LastInclusion {
    /// Of the log of this size, by `prove` if it is not known. Nobody waits meanwhile: who asks then makes it as well.
    fn of(
        &self,
        size: TreeSize,
        prove: impl FnOnce() -> anyhow::Result<Vec<Digest>>,
    ) -> anyhow::Result<Vec<Digest>> {
        let last = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        if last.0 == size {
            return Ok(last.1.clone());
        }
        let hashes = prove()?;
        let made = Arc::new((size, hashes.clone()));
        let mut last = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if last.0 < size {
            *last = made;
        }
        Ok(hashes)
    }
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
    let prove = || -> anyhow::Result<Vec<Digest>> {
        let inclusion = prove_inclusion(store, epoch.0, size)?;
        verify_inclusion(&leaf_hash(&entry), epoch.0, size, &inclusion, &published.head.log_root)?;
        Ok(inclusion)
    };
    let inclusion = if is_now { api.last_inclusion.of(size, prove)? } else { prove()? };
    let mut extra = EvidenceExtra { name_record: None, binding: None, prefix, signed_tree_root: entry };
    if extra.prefix.terminal == Terminal::Inclusion {
        let commitment = tree.lookup(store, &key)?.context("the tree proves a name that it does not hold")?;
        let bytes = store.blob(BlobKind::NameRecord, &commitment)?;
        let bytes = bytes.with_context(|| format!("name record {commitment} is gone; run fsck"))?;
        let record = NameRecord::from_bytes(&bytes)?;
        if let Some(digest) = record.binding {
            let binding = store.blob(BlobKind::Binding, &digest)?;
            extra.binding = Some(binding.with_context(|| format!("binding {digest} is gone; run fsck"))?);
        }
        extra.name_record = Some(bytes);
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
