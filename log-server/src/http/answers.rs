//! Answers kept in memory, up to a number of bytes.
//!
//! What is kept was checked when it was made, and is given again as it was: memory is trusted, the disk is not. An answer
//! about now is given again only while its epoch is the last that is published. Kept are whole answers to plain `GET`s, by
//! the request's target; errors are not, since what is not there yet may come.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::Response;
use metrics::{Counter, counter, gauge};
use pds_schemas::EpochNumber;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::respond::wants_text;

/// Most bytes of a body that is kept: larger ones would push out too many small ones.
const LARGEST: usize = 256 << 10;
/// About what an answer takes up besides its target and its body.
const OVERHEAD: usize = 256;
/// About what an answer takes up, for the first size of the table.
const TYPICAL: usize = 4 << 10;

/// A successful answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The path's pattern, for metrics.
    pub path: &'static str,
    /// Media type.
    pub content_type: &'static str,
    /// The epoch that it is about as the last one; `None` for what will never be otherwise.
    pub epoch: Option<EpochNumber>,
    /// Whether this is one of two forms, the one for who does not prefer text.
    pub varies: bool,
    /// The body.
    pub body: Bytes,
}

impl Kept {
    /// As an answer.
    pub fn response(&self) -> Response {
        let caching = if self.epoch.is_some() {
            // tlog-tiles: headers SHOULD prevent caching beyond a few seconds.
            "public, max-age=1"
        } else {
            "public, max-age=31536000, immutable"
        };
        let mut response = Response::new(Body::from(self.body.clone()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.varies {
            headers.insert(header::VARY, HeaderValue::from_static("accept"));
        }
        response
    }
}

/// Bytes of target and body.
#[derive(Clone, Debug)]
struct Size;

impl Weighter<Box<str>, Arc<Kept>> for Size {
    fn weight(&self, target: &Box<str>, kept: &Arc<Kept>) -> u64 {
        (target.len() + kept.body.len() + OVERHEAD) as u64
    }
}

/// The answers that are kept. What is asked for once gives way before what is asked for again.
pub struct Answers {
    cache: Cache<Box<str>, Arc<Kept>, Size>,
    hits: Counter,
}

impl Answers {
    /// None yet; at most `bytes` of them.
    pub fn new(bytes: usize) -> Self {
        let cache = Cache::with_weighter((bytes / TYPICAL).max(1), bytes as u64, Size);
        Self { cache, hits: counter!("pds_answer_cache_hits_total") }
    }

    /// Answers the request for `uri` with `kept`, and keeps it.
    pub fn give(&self, uri: &Uri, kept: Kept) -> Response {
        let response = kept.response();
        if let Some(target) = uri.path_and_query()
            && kept.body.len() <= LARGEST
        {
            // A copy of the length that is counted, and no more.
            let kept = Kept { body: Bytes::copy_from_slice(&kept.body), ..kept };
            self.cache.insert(target.as_str().into(), Arc::new(kept));
        }
        response
    }

    /// The answer to a request if it is kept; `now` is the last published epoch.
    pub fn find(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        now: impl FnOnce() -> EpochNumber,
    ) -> Option<Arc<Kept>> {
        let has_body =
            headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
        if method != Method::GET || has_body {
            return None;
        }
        let kept = self.cache.get(uri.path_and_query()?.as_str())?;
        let holds = kept.epoch.is_none_or(|epoch| epoch == now());
        if !holds || (kept.varies && wants_text(headers)) {
            return None;
        }
        self.hits.increment(1);
        Some(kept)
    }

    /// Sets the gauges of what is kept.
    pub fn tell(&self) {
        gauge!("pds_answer_cache_bytes").set(self.cache.weight() as f64);
        gauge!("pds_answer_cache_answers").set(self.cache.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(epoch: Option<u64>, bytes: usize) -> Kept {
        let body = Bytes::from(vec![0x5a; bytes]);
        Kept { path: "/x", content_type: "text/plain", epoch: epoch.map(EpochNumber), varies: false, body }
    }

    fn found(answers: &Answers, target: &str, now: u64) -> bool {
        let uri = target.parse().unwrap();
        answers.find(&Method::GET, &uri, &HeaderMap::new(), || EpochNumber(now)).is_some()
    }

    #[test]
    fn answers_take_up_no_more_than_they_may() {
        let answers = Answers::new(1 << 20);
        for i in 0..10_000 {
            let _ = answers.give(&format!("/{i}").parse().unwrap(), kept(None, 1000));
        }
        assert!(answers.cache.weight() <= 1 << 20, "{}", answers.cache.weight());
        assert!(answers.cache.len() > 100, "{}", answers.cache.len());
    }

    #[test]
    fn answers_are_not_kept_without_room() {
        let answers = Answers::new(0);
        let _ = answers.give(&"/x".parse().unwrap(), kept(None, 10));
        assert!(!found(&answers, "/x", 0));
    }

    #[test]
    fn answer_is_not_kept_when_it_is_large() {
        let answers = Answers::new(64 << 20);
        let _ = answers.give(&"/large".parse().unwrap(), kept(None, LARGEST + 1));
        let _ = answers.give(&"/small".parse().unwrap(), kept(None, LARGEST));
        assert!(!found(&answers, "/large", 0) && found(&answers, "/small", 0));
    }

    #[test]
    fn answer_about_now_ends_with_its_epoch() {
        let answers = Answers::new(1 << 20);
        let _ = answers.give(&"/now".parse().unwrap(), kept(Some(7), 10));
        let _ = answers.give(&"/ever".parse().unwrap(), kept(None, 10));
        assert!(found(&answers, "/now", 7) && !found(&answers, "/now", 8));
        assert!(found(&answers, "/ever", 8));
    }

    #[test]
    fn answer_is_for_the_same_plain_get_only() {
        let answers = Answers::new(1 << 20);
        let _ = answers.give(&"/x?epoch=1".parse().unwrap(), kept(None, 10));
        assert!(
            found(&answers, "/x?epoch=1", 0)
                && !found(&answers, "/x", 0)
                && !found(&answers, "/x?epoch=2", 0)
        );
        let asked = |method: Method, headers: &HeaderMap| {
            let uri = "/x?epoch=1".parse().unwrap();
            answers.find(&method, &uri, headers, || EpochNumber(0)).is_some()
        };
        assert!(!asked(Method::HEAD, &HeaderMap::new()) && !asked(Method::POST, &HeaderMap::new()));
        let length = (header::CONTENT_LENGTH, HeaderValue::from_static("1"));
        assert!(!asked(Method::GET, &HeaderMap::from_iter([length])));
    }
}
