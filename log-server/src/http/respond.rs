//! Answers: bytes with their type and how long they may be kept, and errors as problems.

use std::str::FromStr;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
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

/// Whether text is preferred (RFC 9110 section 12.5.1): by quality, then by order.
pub fn wants_text(headers: &HeaderMap) -> bool {
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
