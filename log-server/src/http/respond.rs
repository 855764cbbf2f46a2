//! Answers: bytes with their type and how long they may be kept, and errors as problems.

use std::str::FromStr;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use pds_service::problem::Problem;
use tracing::error;

/// A handler's answer.
pub type Answer = Result<Response, Problem>;

/// Deterministic CBOR.
pub const CBOR: &str = "application/cbor";
/// A COSE_Sign1 (RFC 9052 section 2).
pub const COSE: &str = "application/cose; cose-type=\"cose-sign1\"";
/// Tiles, bundles, bytecode.
pub const BYTES: &str = "application/octet-stream";
/// Notes and tlog-proofs.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Proofs and statuses.
pub const JSON: &str = "application/json";

/// `value` as JSON.
pub fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings, numbers and lists are JSON")
}

/// An answer that will never be another.
pub fn immutable(content_type: &'static str, body: impl Into<Body>) -> Response {
    answer(content_type, "public, max-age=31536000, immutable", body.into())
}

/// An answer about now.
pub fn fleeting(content_type: &'static str, body: impl Into<Body>) -> Response {
    // tlog-tiles: headers SHOULD prevent caching beyond a few seconds.
    answer(content_type, "public, max-age=1", body.into())
}

fn answer(content_type: &'static str, caching: &'static str, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, body).into_response()
}

/// Logs what went wrong inside, and tells the client that something did.
pub fn internal(doing: &str, error: impl std::fmt::Display) -> Problem {
    error!(doing, %error, "could not answer");
    Problem::internal()
}

/// A parameter of the path or query.
///
/// # Errors
/// 400, naming the parameter.
pub fn parse<T: FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::bad_request(field, format!("{field}: {error}")))
}
