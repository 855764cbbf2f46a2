//! Error answers: RFC 9457 problem details, naming the field and the limit.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// An error answer in the making.
#[derive(Debug)]
pub struct Problem {
    // Boxed, so that a result that may be one is small.
    body: Box<pds_schemas::json::Problem>,
    status: StatusCode,
    retry_after_s: Option<u32>,
}

impl Problem {
    /// An answer of `status`; `kind` is short and stable, e.g. `archive-too-large`, `detail` is for the one who asked.
    pub fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        let body = pds_schemas::json::Problem {
            kind: kind.to_owned(),
            title: kind.replace('-', " "),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            limit: None,
        };
        Self { body: Box::new(body), status, retry_after_s: None }
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 400 about one parameter or field.
    pub fn bad_request(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail).field(field)
    }

    /// 500, without telling what happened inside: that goes to the log of this daemon.
    pub fn internal() -> Self {
        let detail = "the server could not answer; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", detail)
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn field(mut self, field: &str) -> Self {
        self.body.field = Some(field.to_owned());
        self
    }

    /// Names the limit that was exceeded.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.body.limit = Some(limit);
        self
    }

    /// Tells when to try again.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(HeaderName::from_static("retry-after"), HeaderValue::from(seconds));
        }
        response
    }
}
