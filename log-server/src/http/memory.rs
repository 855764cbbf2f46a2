//! In front of the router: what is kept is answered at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::answers::Answers;
use super::measure::PathMetrics;
use crate::shared::Shared;

/// What answers that are kept are given from.
pub struct Memory {
    /// Those that are kept.
    pub answers: Arc<Answers>,
    /// Says which epoch is the last.
    pub shared: Arc<Shared>,
    /// By the path's pattern.
    pub measures: HashMap<&'static str, PathMetrics>,
}

impl Memory {
    /// The answer if it is kept, else what `next` makes.
    pub async fn answer(&self, request: Request, next: Next) -> Response {
        let started = Instant::now();
        let now = || self.shared.published().str.epoch;
        let Some(kept) = self.answers.find(request.method(), request.uri(), request.headers(), now) else {
            return next.run(request).await;
        };
        let response = kept.response();
        if let Some(metrics) = self.measures.get(kept.path) {
            metrics.record(response.status(), started.elapsed());
        }
        response
    }
}

#[cfg(test)]
mod tests;
