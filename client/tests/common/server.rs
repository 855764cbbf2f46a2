//! The HTTP face of a world, with lies on demand.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use pds_core::cose;
use pds_core::evidence::to_tlog_proof;
use pds_core::hash::sha256;
use pds_core::log::NodeReader;
use pds_core::log::proof::{prove_consistency, prove_inclusion};
use pds_core::log::tile::{EntriesAddress, TileAddress, encode_entries, encode_tile};
use pds_schemas::cose::{CoseSign1, SignedKind};
use pds_schemas::json::{LogProof, Outcome, Problem, Progress, SubmissionStatus};
use pds_schemas::{
    Artefact, Digest, EpochNumber, PluginName, PosixTime, Receipt, Submission, TreeSize, Upload,
};

use super::world::World;

/// What a fake does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    None,
    /// One byte of every object is another.
    TamperedObjects,
    /// Evidence and histories are about this other name.
    OtherName(&'static str),
    /// Evidence of now is of the epoch before.
    HistoryAsNow,
    /// Evidence never comes.
    Silence,
    /// Evidence is said to be elsewhere.
    Redirect,
    /// Evidence is a web page.
    Html,
    /// Consistency proofs are made up.
    BadConsistency,
    /// There is nothing under this path.
    Withhold(&'static str),
    /// Always busy.
    Busy,
    /// Receipts are about another release.
    WrongReceipt,
}

/// A running fake. Ends with the test's runtime.
pub struct Fake {
    pub world: Arc<Mutex<World>>,
    pub lie: Arc<Mutex<Lie>>,
    pub url: String,
    /// How often each path was asked for.
    pub asked: Arc<Mutex<BTreeMap<String, usize>>>,
}

#[derive(Clone)]
struct Shared {
    world: Arc<Mutex<World>>,
    lie: Arc<Mutex<Lie>>,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    submissions: Arc<Mutex<HashMap<Digest, SubmissionStatus>>>,
}

impl Fake {
    pub async fn start(world: World) -> Self {
        let shared = Shared {
            world: Arc::new(Mutex::new(world)),
            lie: Arc::new(Mutex::new(Lie::None)),
            asked: Arc::default(),
            submissions: Arc::default(),
        };
        let (world, lie, asked) = (shared.world.clone(), shared.lie.clone(), shared.asked.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = router(shared);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { world, lie, url, asked }
    }

    pub fn lie(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
    }
}

fn router(shared: Shared) -> Router {
    let intercept = axum::middleware::from_fn_with_state(shared.clone(), intercept);
    Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .route("/epochs/{epoch}", get(epoch))
        .route("/epochs/{epoch}/changes", get(changes))
        .route("/plugins/{name}", get(evidence))
        .route("/plugins/{name}/history", get(history))
        .route("/causes/{digest}", get(cbor_object))
        .route("/policies/{digest}", get(cbor_object))
        .route("/bindings/{digest}", get(cbor_object))
        .route("/objects/{digest}", get(object))
        .route("/proofs/inclusion", get(inclusion))
        .route("/proofs/consistency", get(consistency))
        .route("/submissions", post(submit))
        .route("/submissions/{digest}", get(status))
        .layer(intercept)
        .with_state(shared)
}

/// Counts requests, and tells the lies that any path can tell.
async fn intercept(
    State(shared): State<Shared>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let path = request.uri().path().to_owned();
    *shared.asked.lock().unwrap().entry(path.clone()).or_default() += 1;
    let lie = *shared.lie.lock().unwrap();
    match lie {
        Lie::Withhold(prefix) if path.starts_with(prefix) => not_found(),
        Lie::Busy => {
            let problem = problem(503, "overloaded", "busy");
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "0")], problem).into_response()
        }
        _ => next.run(request).await,
    }
}

fn problem(status: u16, kind: &str, detail: &str) -> String {
    let problem = Problem {
        kind: kind.to_owned(),
        title: kind.to_owned(),
        status,
        detail: detail.to_owned(),
        field: None,
        limit: None,
    };
    serde_json::to_string(&problem).unwrap()
}

fn not_found() -> Response {
    let body = problem(404, "not-found", "there is no such thing");
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

fn typed(media_type: &'static str, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, media_type)], body).into_response()
}

fn cbor<T: Artefact>(value: &T) -> Response {
    typed("application/cbor", value.to_bytes())
}

fn json<T: serde::Serialize>(value: &T) -> Response {
    typed("application/json", serde_json::to_vec(value).unwrap())
}

async fn checkpoint(State(shared): State<Shared>) -> Response {
    let world = shared.world.lock().unwrap();
    typed("text/plain; charset=utf-8", world.checkpoints.last().unwrap().clone().into_bytes())
}

async fn tile(State(shared): State<Shared>, Path(path): Path<String>) -> Response {
    let world = shared.world.lock().unwrap();
    let path = format!("tile/{path}");
    if let Ok(address) = path.parse::<EntriesAddress>() {
        let entries = address.leaves().map(|leaf| world.entries[leaf as usize].as_slice());
        return typed("application/octet-stream", encode_entries(entries).unwrap());
    }
    let address: TileAddress = path.parse().unwrap();
    let hashes: Vec<Digest> =
        address.nodes().map(|(level, index)| world.log.node(level, index).unwrap()).collect();
    typed("application/octet-stream", encode_tile(&hashes))
}

async fn epoch(State(shared): State<Shared>, Path(epoch): Path<String>) -> Response {
    let world = shared.world.lock().unwrap();
    let entry = match epoch.as_str() {
        "latest" => world.entries.last(),
        number => world.entries.get(number.parse::<usize>().unwrap()),
    };
    entry.map_or_else(not_found, |entry| typed("application/cose", entry.clone()))
}

async fn changes(State(shared): State<Shared>, Path(epoch): Path<usize>) -> Response {
    shared.world.lock().unwrap().transitions.get(epoch).map_or_else(not_found, cbor)
}

async fn evidence(
    State(shared): State<Shared>,
    Path(asked): Path<PluginName>,
    Query(query): Query<HashMap<String, u64>>,
    headers: axum::http::HeaderMap,
) -> Response {
    let lie = *shared.lie.lock().unwrap();
    match lie {
        Lie::Silence => std::future::pending().await,
        Lie::Redirect => {
            let elsewhere = [(header::LOCATION, "http://127.0.0.1:1/plugins/x")];
            return (StatusCode::FOUND, elsewhere).into_response();
        }
        Lie::Html => return typed("text/html", b"<html>hotel wifi</html>".to_vec()),
        _ => {}
    }
    let world = shared.world.lock().unwrap();
    let epoch = query.get("epoch").copied();
    let evidence = match lie {
        Lie::OtherName(other) => world.evidence(&super::name(other), epoch),
        Lie::HistoryAsNow => world.evidence(&asked, Some(world.size().0 - 2)),
        _ => world.evidence(&asked, epoch),
    };
    if headers.get(header::ACCEPT).is_some_and(|accept| accept == "text/plain") {
        let text = to_tlog_proof(&evidence).unwrap().to_string();
        return typed("text/plain; charset=utf-8", text.into_bytes());
    }
    cbor(&evidence)
}

async fn history(
    State(shared): State<Shared>,
    Path(name): Path<PluginName>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let from = query.get("from").map(|from| from.parse().unwrap());
    let world = shared.world.lock().unwrap();
    let history = match *shared.lie.lock().unwrap() {
        Lie::OtherName(other) => world.history(&super::name(other), None),
        _ => world.history(&name, from),
    };
    if history.records.is_empty() { not_found() } else { cbor(&history) }
}

async fn cbor_object(State(shared): State<Shared>, Path(digest): Path<Digest>) -> Response {
    let world = shared.world.lock().unwrap();
    world.stored.get(&digest).map_or_else(not_found, |bytes| typed("application/cbor", bytes.clone()))
}

async fn object(State(shared): State<Shared>, Path(digest): Path<Digest>) -> Response {
    let Some(mut bytes) = shared.world.lock().unwrap().stored.get(&digest).cloned() else {
        return not_found();
    };
    if *shared.lie.lock().unwrap() == Lie::TamperedObjects {
        bytes[0] ^= 1;
    }
    typed("application/octet-stream", bytes)
}

async fn inclusion(State(shared): State<Shared>, Query(query): Query<HashMap<String, u64>>) -> Response {
    let world = shared.world.lock().unwrap();
    let hashes = prove_inclusion(&world.log, query["leaf"], TreeSize(query["size"])).unwrap();
    json(&LogProof { hashes })
}

async fn consistency(State(shared): State<Shared>, Query(query): Query<HashMap<String, u64>>) -> Response {
    let world = shared.world.lock().unwrap();
    let mut hashes = prove_consistency(&world.log, TreeSize(query["from"]), TreeSize(query["to"])).unwrap();
    if *shared.lie.lock().unwrap() == Lie::BadConsistency {
        hashes[0].0[0] ^= 1;
    }
    json(&LogProof { hashes })
}

async fn submit(State(shared): State<Shared>, body: Bytes) -> Response {
    let upload = Upload::from_bytes(&body).unwrap();
    let (submission, _) = cose::open_any_key::<Submission>(&upload.signed, SignedKind::Submission).unwrap();
    let digest = sha256(&CoseSign1::from_bytes(&upload.signed).unwrap().payload);
    let mut world = shared.world.lock().unwrap();
    if submission.name.as_str().contains("forbidden") {
        let body = problem(422, "unknown-owner", "the name belongs to somebody else");
        return (StatusCode::UNPROCESSABLE_ENTITY, body).into_response();
    }
    let mut receipt = Receipt {
        origin: world.origin.clone(),
        submission: digest,
        name: submission.name.clone(),
        release: submission.release,
        index: 7,
        time: PosixTime(world.now),
        decide_by: PosixTime(world.now + 60),
    };
    if *shared.lie.lock().unwrap() == Lie::WrongReceipt {
        receipt.release.0 += 1;
    }
    let signed = cose::sign(SignedKind::Receipt, &receipt, &world.str_key()).to_bytes();
    let fails = submission.name.as_str().contains("fail");
    let cause = fails.then(|| world.fail(&submission.name, submission.release.0));
    if !fails {
        world.validate(&submission.name, submission.release.0);
    }
    let published = SubmissionStatus {
        submission: digest,
        name: submission.name,
        release: submission.release,
        index: 7,
        progress: Progress::Published,
        outcome: Some(if fails { Outcome::Failed } else { Outcome::Validated }),
        epoch: Some(EpochNumber(world.size().0 - 1)),
        cause,
        receipt: base64::engine::general_purpose::STANDARD.encode(signed),
    };
    shared.submissions.lock().unwrap().insert(digest, published.clone());
    let queued =
        SubmissionStatus { progress: Progress::Queued, outcome: None, epoch: None, cause: None, ..published };
    (StatusCode::ACCEPTED, json(&queued)).into_response()
}

async fn status(State(shared): State<Shared>, Path(digest): Path<Digest>) -> Response {
    shared.submissions.lock().unwrap().get(&digest).map_or_else(not_found, json)
}
