//! A log of many entries as the validator serves it: proofs made and checked out of RocksDB, and over HTTP.
//!
//! Its nodes are all stored by one commit: closing a million epochs would take hours, and proofs read nothing else.

use std::path::Path;
use std::sync::{Arc, mpsc};

use anyhow::{Context, ensure};
use axum::body::Body;
use axum::extract::Request;
use pds_core::epoch::{EpochInput, NamePlan, plan};
use pds_core::log::proof::{prove_consistency, prove_inclusion};
use pds_core::log::{Frontier, MemoryLog, Node, NodeReader};
use pds_core::note::{KeyName, NoteSigner};
use pds_core::prefix::PrefixTree;
use pds_core::{cose, hash};
use pds_log_server::config::Config;
use pds_log_server::http::{Api, Uploads, router};
use pds_log_server::identity::PublicIdentity;
use pds_log_server::shared::{Published, Shared};
use pds_schemas::disk::{EpochRoot, Head};
use pds_schemas::{Digest, TreeSize};
use pds_service::http::{ServeLimits, serve};
use pds_service::telemetry::{self, LogFormat};
use pds_store::{EpochCommit, EpochData, MemoryBudget, Store};
use tower::ServiceExt;

use super::world;
use crate::Scale;
use crate::limit::HashSpeed;
use crate::measure::{cpu, median};
use crate::names::commitment;
use crate::table::{Table, Unit};
use crate::validator::{ORIGIN, START};

/// The file with the address of a served log, in its folder.
pub const ADDRESS: &str = "address";

/// A log in a database of its own.
struct StoredLog {
    store: Store,
    published: Published,
}

/// Makes one of `entries` entries in `folder`.
fn make(folder: &Path, entries: usize) -> anyhow::Result<StoredLog> {
    let store = Store::create(folder.join("log"), &MemoryBudget::default())?;
    let input = EpochInput {
        origin: ORIGIN,
        policy: Digest([9; 32]),
        head: None,
        tree: &PrefixTree::empty(),
        now: START,
    };
    let planned = plan(input, NamePlan::default(), &store).context("plan")?;
    let (signer, key) = (NoteSigner::new(KeyName::new(ORIGIN)?, &[1; 32])?, cose::signing_key(&[2; 32]));
    let sealed = planned.seal(Frontier::new(), &signer, &key)?;
    store.write_epoch_data(&EpochData {
        epoch: planned.str.epoch,
        pages: &[],
        blobs: &[],
        transition: &planned.transition,
    })?;
    let first = hash::leaf_hash(&sealed.entry);
    let log: MemoryLog = std::iter::once(first).chain((1..entries).map(|i| commitment(i, 0))).collect();
    let size = log.size();
    let mut nodes = Vec::new();
    for level in 0..=entries.ilog2() as u8 {
        for index in 0..size.0 >> level {
            nodes.push(Node { level, index, hash: log.node(level, index)? });
        }
    }
    let epoch_root = EpochRoot { page_epoch: None };
    let (head, entry) = (&sealed.head, &sealed.entry[..]);
    store.commit_epoch(&EpochCommit { head, entry, epoch_root, nodes: &nodes, decided: &[] })?;
    let head = Head { size, log_root: log.root(), ..sealed.head };
    let published = Published { head, str: planned.str, entry: sealed.entry, tree: planned.tree };
    Ok(StoredLog { store, published })
}

/// What serves it, keeping no answers.
fn api(folder: &Path, log: StoredLog) -> anyhow::Result<Api> {
    let config = Config::load(&world::init(folder, "")?)?;
    let identity = PublicIdentity::load(&config.data_dir)?;
    let metrics = telemetry::start(LogFormat::Text, "error")?;
    let shared = Arc::new(Shared::new(Arc::new(log.store), log.published));
    Ok(Api::new(shared, identity, mpsc::channel().0, Uploads::new(&config, Arc::default()), metrics))
}

/// Serves such a log until the process is ended, and writes the address into `address` in `folder`.
///
/// # Errors
/// The disk's, and when it cannot listen.
pub fn serve_log(folder: &Path, entries: usize) -> anyhow::Result<()> {
    let api = api(folder, make(folder, entries)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("{}\n", listener.local_addr()?);
        pds_files::durable::replace(&folder.join(ADDRESS), address.as_bytes())?;
        serve(listener, router(api), ServeLimits::default(), std::future::pending()).await;
        Ok(())
    })
}

/// Proofs from RocksDB alone, and as handlers make and check them, without a socket.
///
/// # Errors
/// The disk's, and an answer that is no proof.
pub fn measure_handlers(table: &mut Table, scale: &Scale, folder: &Path) -> anyhow::Result<()> {
    let folder = folder.join("handlers");
    std::fs::create_dir(&folder)?;
    let log = make(&folder, scale.entries)?;
    let size = TreeSize(scale.entries as u64);
    let speed = HashSpeed::now();
    // 7919 is prime: every index once before any comes again.
    let asked: Vec<u64> = (1..=scale.proofs as u64).map(|i| i * 7919 % (size.0 - 1) + 1).collect();
    let count = asked.len() as f64;
    let (mut hashes, mut proved) = ([0.0; 2], [Vec::new(), Vec::new()]);
    for _ in 0..scale.runs {
        for (i, times) in proved.iter_mut().enumerate() {
            let prove = |at: &u64| match i {
                0 => prove_inclusion(&log.store, *at, size),
                _ => prove_consistency(&log.store, TreeSize(*at), size),
            };
            let (made, time) = cpu(|| asked.iter().map(prove).collect::<Result<Vec<_>, _>>());
            hashes[i] = made?.iter().map(Vec::len).sum::<usize>() as f64 / count;
            times.push(time);
        }
    }
    let app = router(api(&folder, log)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (i, (kind, times)) in ["inclusion", "consistency"].into_iter().zip(proved).enumerate() {
        let against =
            (format!("computing its {:.1} hashes instead", hashes[i]), hashes[i] * speed.two_blocks);
        let workload = format!("{kind} proof from a log of {size} entries in RocksDB, warm");
        table.push(
            format!("log-{kind}-stored"),
            Unit::CpuNs,
            (workload, median(times) / count),
            against.clone(),
        );
        let mut handled = Vec::new();
        for _ in 0..scale.runs {
            let (answered, time) = cpu(|| {
                runtime.block_on(async {
                    for at in &asked {
                        let request = Request::get(target(i, *at, size)).body(Body::empty())?;
                        let status = app.clone().oneshot(request).await?.status();
                        ensure!(status.is_success(), "a proof is answered {status}");
                    }
                    Ok(())
                })
            });
            answered?;
            handled.push(time);
        }
        let workload = "- asked of the router without a socket: read, made, verified, as JSON".to_owned();
        table.push(format!("log-{kind}-handled"), Unit::CpuNs, (workload, median(handled) / count), against);
    }
    Ok(())
}

/// The target of a request for an inclusion (0) or consistency (1) proof.
pub fn target(kind: usize, at: u64, size: TreeSize) -> String {
    match kind {
        0 => format!("/proofs/inclusion?leaf={at}&size={size}"),
        _ => format!("/proofs/consistency?from={at}&to={size}"),
    }
}
