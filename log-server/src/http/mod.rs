//! The validator's HTTP API. Read-only but for `POST /submissions`; every answer is checked before it is given.
//!
//! tlog-tiles paths are C2SP's; the rest is in ARCHITECTURE.md, "HTTP". Handlers read one [`crate::shared::Published`] and
//! the database; they hold no state.

mod artefacts;
mod log;
mod plugins;
mod respond;
mod status;
mod submissions;

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use metrics::{counter, histogram};
use metrics_exporter_prometheus::PrometheusHandle;
use pds_schemas::{Artefact, Upload};
use pds_service::http::{RequestLimits, Shares, bounded};
use tokio::sync::Semaphore;

use crate::identity::PublicIdentity;
use crate::sequencer::Command;
use crate::shared::Shared;

/// Longest that one request may take.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// Uploads that are unpacked and checked at a time.
const CHECKS: usize = 2;
/// Bytes of uploads are counted in units of this many.
const UPLOAD_UNIT: usize = 64 << 10;
/// Units of uploads that are held in memory at a time: 256 MiB, or 4,096 uploads.
const UPLOAD_UNITS: usize = 4096;
/// Of these, those of one client.
const UPLOAD_UNITS_PER_CLIENT: usize = UPLOAD_UNITS / 8;

/// What handlers share.
#[derive(Clone)]
pub struct Api {
    /// What is published, and the database.
    pub shared: Arc<Shared>,
    /// The validator's public keys.
    pub identity: Arc<PublicIdentity>,
    /// To the sequencer.
    pub commands: Sender<Command>,
    /// For `/metrics`.
    pub metrics: PrometheusHandle,
    checks: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    upload_shares: Arc<Shares>,
}

impl Api {
    /// An API over what the sequencer publishes.
    pub fn new(
        shared: Arc<Shared>,
        identity: PublicIdentity,
        commands: Sender<Command>,
        metrics: PrometheusHandle,
    ) -> Self {
        let checks = Arc::new(Semaphore::new(CHECKS));
        let uploads = Arc::new(Semaphore::new(UPLOAD_UNITS));
        let upload_shares = Shares::new(UPLOAD_UNITS_PER_CLIENT);
        Self { shared, identity: Arc::new(identity), commands, metrics, checks, uploads, upload_shares }
    }
}

/// All routes.
pub fn router(api: Api) -> Router {
    let bundles = Router::new()
        .route("/tile/entries/{*index}", get(log::entries))
        .layer(tower_http::compression::CompressionLayer::new());
    let routes = Router::new()
        .route("/", get(status::landing))
        .route("/checkpoint", get(log::checkpoint))
        .route("/tile/{*address}", get(log::tile))
        .merge(bundles)
        .route("/proofs/inclusion", get(log::inclusion))
        .route("/proofs/consistency", get(log::consistency))
        .route("/epochs/{epoch}", get(artefacts::str))
        .route("/epochs/{epoch}/changes", get(artefacts::changes))
        .route("/bindings/{digest}", get(artefacts::binding))
        .route("/causes/{digest}", get(artefacts::cause))
        .route("/policies/{digest}", get(artefacts::policy))
        .route("/objects/{digest}", get(artefacts::object))
        .route("/plugins/{name}", get(plugins::evidence))
        .route("/plugins/{name}/history", get(plugins::history))
        .route("/submissions", post(submissions::submit))
        .route("/submissions/{digest}", get(submissions::status))
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
        .route_layer(middleware::from_fn(measure))
        .with_state(api);
    bounded(routes, RequestLimits { body_bytes: Upload::MAX_BYTES, time: REQUEST_TIME })
}

async fn measure(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let path = path.unwrap_or_default();
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    counter!("pds_http_requests_total", "path" => path.clone(), "status" => status).increment(1);
    histogram!("pds_http_request_seconds", "path" => path).record(started.elapsed().as_secs_f64());
    response
}

#[cfg(test)]
mod tests;
