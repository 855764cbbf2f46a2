//! Hostile clients against a small server: what they cost, and that others are served meanwhile.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests; clippy exempts only the tests")]

mod end;
mod http2;
#[path = "../server/mod.rs"]
mod server;
mod shares;
mod slow;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::sync::Semaphore;

use crate::server::{Answer, HELLO, Server, ask, limits};

/// Bytes of `/large`: more than the kernel holds for a client that does not read.
const LARGE: usize = 32 << 20;

/// Says hello, reads bodies, answers at length, and holds `/wait` until a permit is added.
fn router(gate: &Arc<Semaphore>) -> Router {
    let gate = Arc::clone(gate);
    let large = Bytes::from(vec![0; LARGE]);
    let wait = async move || {
        gate.acquire().await.unwrap().forget();
        "waited"
    };
    Router::new()
        .route("/", get(async || "hello"))
        .route("/large", get(async move || large))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/json", post(async |Json(number): Json<u32>| number.to_string()))
        .route("/number/{number}", get(async |Path(number): Path<u32>| number.to_string()))
        .route("/wait", get(wait))
}

fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

/// That `answer` is a problem of `status` and `kind`.
#[track_caller]
fn assert_problem(answer: Option<Answer>, status: u16, kind: &str) -> pds_schemas::json::Problem {
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.headers.contains("content-type: application/problem+json"), "{answer:?}");
    let problem: pds_schemas::json::Problem = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((problem.status, problem.kind.as_str()), (status, kind));
    assert_eq!(answer.headers.contains("retry-after: "), [429, 503].contains(&status), "{answer:?}");
    problem
}

#[tokio::test]
async fn server_answers_many_requests_in_one_connection() {
    let server = Server::start(limits(), router(&gate())).await;
    let mut client = server.connect().await;
    for _ in 0..100 {
        assert_eq!(ask(&mut client, HELLO).await.unwrap().body, "hello");
    }
    let answer = ask(&mut client, "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc").await;
    assert_eq!(answer.unwrap().body, "3");
}

#[tokio::test]
async fn headers_are_refused_when_too_large_or_too_many() {
    let limits = pds_service::http::ServeLimits { header_bytes: 4096, headers: 16, ..limits() };
    let server = Server::start(limits, router(&gate())).await;
    let check = async |request: String, kind: &str, limit: u64| {
        let answer = ask(&mut server.connect().await, &request).await;
        assert_eq!(assert_problem(answer, 431, kind).limit, Some(limit));
    };
    let long = "x".repeat(4096);
    check(format!("GET / HTTP/1.1\r\nhost: a\r\nlong: {long}\r\n\r\n"), "headers-too-large", 4096).await;
    check(format!("GET /?{long} HTTP/1.1\r\nhost: a\r\n\r\n"), "headers-too-large", 4096).await;
    let many: String = (0..17).map(|i| format!("h{i}: a\r\n")).collect();
    check(format!("GET / HTTP/1.1\r\n{many}\r\n"), "too-many-headers", 16).await;
}

#[tokio::test]
async fn headers_are_refused_without_end() {
    let server = Server::start(limits(), router(&gate())).await;
    for start in ["GET / HTTP/1.1\r\nlong: ", "GET /"] {
        let mut client = server.connect().await;
        let endless = format!("{start}{}", "x".repeat(1 << 20));
        // Hyper answers without a body, and closes; what it did not read may reset the connection before that is read.
        let answer = ask(&mut client, &endless).await;
        assert!(answer.is_none_or(|answer| answer.status == 431));
    }
    assert_eq!(ask(&mut server.connect().await, HELLO).await.unwrap().status, 200);
}

#[tokio::test]
async fn errors_of_the_framework_are_problems() {
    let server = Server::start(limits(), router(&gate())).await;
    let check = async |request: &str, status: u16, kind: &str| {
        assert_problem(ask(&mut server.connect().await, request).await, status, kind);
    };
    check("GET /none HTTP/1.1\r\nhost: a\r\n\r\n", 404, "not-found").await;
    check("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", 405, "method-not-allowed").await;
    check("GET /number/x HTTP/1.1\r\nhost: a\r\n\r\n", 400, "bad-request").await;
    let json =
        "POST /json HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n!";
    check(json, 400, "bad-request").await;
    let text = "POST /json HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n1";
    check(text, 415, "unsupported-media-type").await;
    let large = "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 1048577\r\n\r\n";
    check(large, 413, "body-too-large").await;
}
