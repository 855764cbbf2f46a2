//! How many requests each path has, and how long they take.

use std::time::Duration;

use axum::http::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};

/// The metrics of one path, looked up once.
#[derive(Clone, Debug)]
pub struct PathMetrics {
    path: &'static str,
    successes: Counter,
    seconds: Histogram,
}

impl PathMetrics {
    /// Those of the path with this pattern.
    pub fn of(path: &'static str) -> Self {
        let successes = counter!("pds_http_requests_total", "path" => path, "status" => "200");
        Self { path, successes, seconds: histogram!("pds_http_request_seconds", "path" => path) }
    }

    /// Counts one answer.
    pub fn record(&self, status: StatusCode, time: Duration) {
        if status == StatusCode::OK {
            self.successes.increment(1);
        } else {
            let status = status.as_u16().to_string();
            counter!("pds_http_requests_total", "path" => self.path, "status" => status).increment(1);
        }
        self.seconds.record(time.as_secs_f64());
    }
}
