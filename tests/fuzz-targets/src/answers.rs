//! What a validator may answer a client: every call, over a connection to this machine's loopback.
//!
//! The HTTP around the answer is well formed; that is hyper's business. Status, media type and body are the fuzzer's.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use pds_client::api::{ApiError, ValidatorApi};
use pds_client::http::{Http, HttpError, Timeouts};
use pds_core::hash::sha256;
use pds_core::log::tile::{EntriesAddress, TileAddress, encode_entries, encode_tile};
use pds_schemas::{Artefact, Digest, EpochNumber, PluginName, TreeSize, Upload};
use tokio::runtime::{Builder, Runtime};

use crate::feed::Feed;

/// Status and media type that answers have; the first of each is the usual one.
const STATUSES: [u16; 8] = [200, 404, 410, 400, 408, 500, 503, 301];
const TYPES: [&str; 6] = [
    "application/cbor",
    "application/json",
    "application/cose",
    "application/octet-stream",
    "text/plain",
    "application/problem+json; charset=utf-8",
];

/// A client of a server that answers whatever it is told to.
struct Line {
    runtime: Runtime,
    api: ValidatorApi,
}

/// The next answer, head and body.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// One call at a time, so that it gets its own answer.
static LINE: LazyLock<Mutex<Line>> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port of the loopback");
    let base = format!("http://{}/", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || serve(connection));
        }
    });
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let http = Http::new(Timeouts::default()).expect("a client");
    Mutex::new(Line { runtime, api: ValidatorApi::new(http, &base).expect("a plain URL") })
});

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers each request on a connection; returns when the client is gone.
fn serve(mut connection: TcpStream) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = connection.read(&mut buffer) {
        request.extend_from_slice(&buffer[..read]);
        let Some(head) = request.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if request.len() < head + 4 + length.unwrap_or(0) {
            continue;
        }
        request.clear();
        let answer = lock(&ANSWER).clone();
        if connection.write_all(&answer).is_err() {
            return;
        }
    }
}

/// An answer to one of the client's calls.
pub fn answer(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let (call, status, media) = (feed.byte(), STATUSES[feed.below(8)], TYPES[feed.below(6)]);
    let body = feed.rest();
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: {media}\r\ncontent-length: {}\r\nlocation: /elsewhere\r\n\r\n",
        body.len()
    );
    let line = lock(&LINE);
    *lock(&ANSWER) = [head.as_bytes(), body].concat();
    match line.runtime.block_on(make(&line.api, call, body)) {
        Ok(again) => {
            assert_eq!(status, 200, "taken for an answer");
            assert!(again.is_none_or(|again| again == body), "read as something else");
        }
        Err(error) => check(&error, status),
    }
}

/// The call that `call` chooses; what was read is written again where it has one encoding.
async fn make(api: &ValidatorApi, call: u8, body: &[u8]) -> Result<Option<Vec<u8>>, ApiError> {
    let name = PluginName::new("org.example.pacing").expect("a plain name");
    let (epoch, size) = (EpochNumber(1), TreeSize(2));
    let digest = if call & 0x80 == 0 { sha256(body) } else { Digest([1; 32]) };
    let width = 1 + u16::from(call >> 5 & 3);
    Ok(match call % 18 {
        0 => Some(api.checkpoint().await?.to_string().into_bytes()),
        1 => {
            let address = TileAddress::new(0, 0, width).expect("a width above 0");
            Some(encode_tile(&api.tile(address).await?))
        }
        2 => {
            let address = EntriesAddress::new(0, width).expect("a width above 0");
            let entries = api.entries(address).await?;
            encode_entries(entries.iter().map(Vec::as_slice)).ok()
        }
        3 => api.inclusion(epoch, size).await.map(|_| None)?,
        4 => api.consistency(size, size).await.map(|_| None)?,
        5 => Some(api.signed_tree_root(epoch).await?),
        6 => Some(api.latest_signed_tree_root().await?),
        7 => Some(api.changes(epoch).await?.to_bytes()),
        8 => Some(api.evidence(&name, None).await?.to_bytes()),
        9 => Some(api.tlog_proof(&name, Some(epoch)).await?.to_string().into_bytes()),
        10 => Some(api.history(&name, None).await?.to_bytes()),
        11 => Some(api.cause(&digest).await?.to_bytes()),
        12 => Some(api.policy(&digest).await?.to_bytes()),
        13 => Some(api.binding(&digest).await?.to_bytes()),
        14 => Some(api.owner(&digest).await?.to_bytes()),
        15 => Some(api.object(&digest, 512).await?),
        16 => {
            assert_eq!(api.submission(&SUBMISSION).await?.submission, SUBMISSION);
            None
        }
        _ => {
            let upload = Upload { signed: vec![1], archive: vec![2] };
            assert_eq!(api.submit(&upload, &SUBMISSION).await?.submission, SUBMISSION);
            None
        }
    })
}

/// The submission that statuses are asked of.
pub const SUBMISSION: Digest = Digest([7; 32]);

fn check(error: &ApiError, status: u16) {
    assert_eq!(error.is_refusal(), matches!(status, 400 | 404 | 410), "{error}");
    assert_eq!(error.is_not_found(), matches!(status, 404 | 410), "{error}");
    assert_eq!(matches!(error, ApiError::Http(HttpError::Redirect { .. })), status == 301, "{error}");
    assert_eq!(error.is_nonsense(), status == 200, "{error}");
    if let ApiError::Http(HttpError::Problem { problem, .. }) = error {
        assert_eq!(problem.status, status);
        assert!(problem.detail.chars().count() <= 1000 && !problem.detail.chars().any(char::is_control));
    }
}
