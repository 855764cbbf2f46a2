//! Serving a router: bounds on clients, connections and requests, and an orderly end.
//!
//! [`serve`] bounds what a client may do before and around a request, [`bounded`] what one request may be.
//! Not here: TLS, which a proxy in front has.

mod answer;
mod client;
mod exchange;
mod fair;
mod limits;
mod serve;
mod watch;

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::signal::unix::{SignalKind, signal};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

pub use self::client::{Client, Share, Shares};
pub use self::fair::{FairPermit, FairSemaphore};
pub use self::limits::{LimitError, ServeLimits};
pub use self::serve::serve;
use crate::problem::Problem;

/// Bounds on one request.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Most bytes of a body.
    pub body_bytes: usize,
    /// Longest time from a request's headers to its answer.
    pub time: Duration,
}

/// `router` with `limits` around it, answering what it does not know, panics and excess as problems.
pub fn bounded(router: Router, limits: RequestLimits) -> Router {
    router
        .fallback(|| async { Problem::not_found("there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "not with this method")
        })
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(middleware::from_fn(move |request, next| declared_length(limits, request, next)))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, limits.time))
        .layer(CatchPanicLayer::custom(|_| Problem::internal().into_response()))
        .layer(middleware::map_response(as_problem))
}

/// Error answers of the framework as problems too, such as of a path that is not UTF-8, or of a timeout.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let is_problem = content_type.is_some_and(|kind| kind == "application/problem+json");
    let reason = status.canonical_reason().filter(|_| status.is_client_error() || status.is_server_error());
    let Some(reason) = reason.filter(|_| !is_problem) else { return response };
    let kind = reason.to_ascii_lowercase().replace(' ', "-");
    let said = axum::body::to_bytes(response.into_body(), 4096).await.unwrap_or_default();
    let detail = if said.is_empty() { reason.into() } else { String::from_utf8_lossy(&said) };
    Problem::new(status, &kind, detail).into_response()
}

/// Refuses a body by its declared length, before a byte of it is read.
async fn declared_length(limits: RequestLimits, request: Request, next: Next) -> Response {
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limits.body_bytes as u64) {
        return body_too_large(limits.body_bytes).into_response();
    }
    next.run(request).await
}

/// 413, naming the limit in bytes.
pub fn body_too_large(limit: usize) -> Problem {
    let detail = format!("a request body has at most {limit} bytes here");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail).field("body").limit(limit as u64)
}

/// Resolves when the process is asked to end: SIGTERM or SIGINT.
///
/// # Errors
/// The system's, when the signals cannot be watched.
pub fn termination() -> std::io::Result<impl Future<Output = &'static str> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
