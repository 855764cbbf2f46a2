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
use pds_core::log::tile::{EntriesAddress, FULL_WIDTH, TileAddress, encode_entries, encode_tile};
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
    /// Every submission has the same place in the queue.
    OnePlace,
    /// Submissions are admitted and never decided, and were to be decided at once.
    Undecided,
    /// Submissions were to be decided at once, and are in the epoch after the one that admits them.
    DecidedLate,
    /// Submissions that are validated are said to have failed.
    WrongOutcome,
    /// The status of a submission comes with another receipt.
    OtherReceipt,
    /// One hash of every tile is another, those at the log's edge excepted.
    TamperedTiles,
    /// The last entry of every bundle is another.
    TamperedEntries,
    /// STRs by epoch are those of the epoch before.
    EpochBefore,
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
    let lie = *shared.lie.lock().unwrap();
    let world = shared.world.lock().unwrap();
    let path = format!("tile/{path}");
    if let Ok(address) = path.parse::<EntriesAddress>() {
        if !address.is_within(world.size()) {
            return not_found();
        }
        let mut entries: Vec<Vec<u8>> =
            address.leaves().map(|leaf| world.entries[leaf as usize].clone()).collect();
        if lie == Lie::TamperedEntries {
            *entries.last_mut().unwrap().last_mut().unwrap() ^= 1;
        }
        return typed("application/octet-stream", encode_entries(entries.iter().map(Vec::as_slice)).unwrap());
    }
    let address: TileAddress = path.parse().unwrap();
    if !address.is_within(world.size()) {
        return not_found();
    }
    let mut hashes: Vec<Digest> =
        address.nodes().map(|(level, index)| world.log.node(level, index).unwrap()).collect();
    if lie == Lie::TamperedTiles && address.width() == FULL_WIDTH {
        hashes[7].0[0] ^= 1;
    }
    typed("application/octet-stream", encode_tile(&hashes))
}

async fn epoch(State(shared): State<Shared>, Path(epoch): Path<String>) -> Response {
    let world = shared.world.lock().unwrap();
    let entry = match epoch.as_str() {
        "latest" => world.entries.last(),
        number => {
            let before = usize::from(*shared.lie.lock().unwrap() == Lie::EpochBefore);
            world.entries.get(number.parse::<usize>().unwrap().saturating_sub(before))
        }
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
    if epoch.is_some_and(|epoch| epoch >= world.size().0) {
        return not_found();
    }
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
    let lie = *shared.lie.lock().unwrap();
    let mut world = shared.world.lock().unwrap();
    if let Some(known) = shared.submissions.lock().unwrap().get(&digest) {
        return json(known);
    }
    if submission.name.as_str().contains("forbidden") {
        let body = problem(422, "unknown-owner", "the name belongs to somebody else");
        return (StatusCode::UNPROCESSABLE_ENTITY, body).into_response();
    }
    let index = if lie == Lie::OnePlace { 7 } else { shared.submissions.lock().unwrap().len() as u64 };
    let at_once = matches!(lie, Lie::Undecided | Lie::DecidedLate);
    let mut receipt = Receipt {
        origin: world.origin.clone(),
        submission: digest,
        name: submission.name.clone(),
        release: submission.release,
        index,
        time: PosixTime(world.now),
        decide_by: PosixTime(world.now + if at_once { 0 } else { 60 }),
    };
    if lie == Lie::WrongReceipt {
        receipt.release.0 += 1;
    }
    let signed = cose::sign(SignedKind::Receipt, &receipt, &world.str_key()).to_bytes();
    if at_once {
        world.admit(&submission.name, submission.release.0);
    }
    let fails = submission.name.as_str().contains("fail");
    let cause = fails.then(|| world.fail(&submission.name, submission.release.0));
    if !fails && lie != Lie::Undecided {
        world.validate_submission(&submission.name, submission.release.0, digest);
    }
    let has_failed = fails || lie == Lie::WrongOutcome;
    let published = SubmissionStatus {
        submission: digest,
        name: submission.name,
        release: submission.release,
        index,
        progress: Progress::Published,
        outcome: Some(if has_failed { Outcome::Failed } else { Outcome::Validated }),
        epoch: Some(EpochNumber(world.size().0 - 1)),
        cause,
        receipt: base64::engine::general_purpose::STANDARD.encode(signed),
    };
    let queued = SubmissionStatus {
        progress: Progress::Queued,
        outcome: None,
        epoch: None,
        cause: None,
        ..published.clone()
    };
    let told = if lie == Lie::Undecided { queued.clone() } else { published };
    shared.submissions.lock().unwrap().insert(digest, told);
    (StatusCode::ACCEPTED, json(&queued)).into_response()
}

async fn status(State(shared): State<Shared>, Path(digest): Path<Digest>) -> Response {
    let Some(mut status) = shared.submissions.lock().unwrap().get(&digest).cloned() else {
        return not_found();
    };
    if *shared.lie.lock().unwrap() == Lie::OtherReceipt {
        status.receipt = base64::engine::general_purpose::STANDARD.encode("another");
    }
    json(&status)
}
