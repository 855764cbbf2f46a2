//! The validator's HTTP API. Read-only but for `POST /submissions`; every answer is checked before it is given.
//!
//! tlog-tiles paths are C2SP's; the rest is in ARCHITECTURE.md, "HTTP". Handlers read one [`crate::shared::Published`] and
//! the database; what they made and may give again is in `answers`.

mod answers;
mod artefacts;
mod log;
mod making;
mod measure;
mod memory;
mod plugins;
mod respond;
mod status;
mod submissions;
mod uploads;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use pds_schemas::{Artefact, Upload};
use pds_service::http::{RequestLimits, bounded};

use self::answers::Answers;
use self::making::Making;
use self::measure::PathMetrics;
use self::memory::Memory;
pub use self::uploads::Uploads;
use crate::identity::PublicIdentity;
use crate::sequencer::Command;
use crate::shared::Shared;

/// Longest that one request may take.
const REQUEST_TIME: Duration = Duration::from_secs(60);

/// What handlers share.
#[derive(Clone)]
pub struct Api {
    /// What is published, and the database.
    pub shared: Arc<Shared>,
    /// The validator's public keys.
    pub identity: Arc<PublicIdentity>,
    /// To the sequencer.
    pub commands: Sender<Command>,
    /// What submissions may take up.
    pub uploads: Uploads,
    /// For `/metrics`.
    pub metrics: PrometheusHandle,
    answers: Arc<Answers>,
    making: Making,
    last_inclusion: Arc<plugins::LastInclusion>,
}

impl Api {
    /// An API over what the sequencer publishes, which keeps no answers.
    pub fn new(
        shared: Arc<Shared>,
        identity: PublicIdentity,
        commands: Sender<Command>,
        uploads: Uploads,
        metrics: PrometheusHandle,
    ) -> Self {
        Self {
            shared,
            identity: Arc::new(identity),
            commands,
            uploads,
            metrics,
            answers: Arc::new(Answers::new(0)),
            making: Making::default(),
            last_inclusion: Arc::default(),
        }
    }

    /// With up to so many bytes of answers kept in memory.
    #[must_use]
    pub fn keeping(self, bytes: usize) -> Self {
        Self { answers: Arc::new(Answers::new(bytes)), ..self }
    }
}

/// Patterns of the paths whose answers are kept.
mod path {
    pub const CHECKPOINT: &str = "/checkpoint";
    pub const TILE: &str = "/tile/{*address}";
    pub const INCLUSION: &str = "/proofs/inclusion";
    pub const CONSISTENCY: &str = "/proofs/consistency";
    pub const STR: &str = "/epochs/{epoch}";
    pub const RECORD: &str = "/records/{digest}";
    pub const BINDING: &str = "/bindings/{digest}";
    pub const CAUSE: &str = "/causes/{digest}";
    pub const POLICY: &str = "/policies/{digest}";
    pub const OBJECT: &str = "/objects/{digest}";
    pub const EVIDENCE: &str = "/plugins/{name}";
}

/// All routes.
pub fn router(api: Api) -> Router {
    let compressed = tower_http::compression::CompressionLayer::new();
    let routes: [(&'static str, MethodRouter<Api>); 20] = [
        ("/", get(status::landing)),
        (path::CHECKPOINT, get(log::checkpoint)),
        (path::TILE, get(log::tile)),
        ("/tile/entries/{*index}", get(log::entries).layer(compressed)),
        (path::INCLUSION, get(log::inclusion)),
        (path::CONSISTENCY, get(log::consistency)),
        (path::STR, get(artefacts::str)),
        ("/epochs/{epoch}/changes", get(artefacts::changes)),
        (path::RECORD, get(artefacts::record)),
        (path::BINDING, get(artefacts::binding)),
        (path::CAUSE, get(artefacts::cause)),
        (path::POLICY, get(artefacts::policy)),
        (path::OBJECT, get(artefacts::object)),
        (path::EVIDENCE, get(plugins::evidence)),
        ("/plugins/{name}/history", get(plugins::history)),
        ("/submissions", post(submissions::submit)),
        ("/submissions/{digest}", get(submissions::status)),
        ("/healthz", get(status::healthz)),
        ("/readyz", get(status::readyz)),
        ("/metrics", get(status::metrics)),
    ];
    let mut measures = HashMap::new();
    let mut router = Router::new();
    for (path, route) in routes {
        let metrics = PathMetrics::of(path);
        measures.insert(path, metrics.clone());
        router = router.route(
            path,
            route.route_layer(middleware::from_fn(move |request: Request, next: Next| {
                let metrics = metrics.clone();
                async move { measure(&metrics, request, next).await }
            })),
        );
    }
    let memory =
        Arc::new(Memory { answers: Arc::clone(&api.answers), shared: Arc::clone(&api.shared), measures });
    let limits = RequestLimits { body_bytes: Upload::MAX_BYTES, time: REQUEST_TIME };
    let made = bounded(router.with_state(api), limits);
    // Around everything else: what is in memory passes no router and no limit on time.
    Router::new().fallback_service(made).layer(middleware::from_fn(move |request: Request, next: Next| {
        let memory = Arc::clone(&memory);
        async move { memory.answer(request, next).await }
    }))
}

async fn measure(metrics: &PathMetrics, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let response = next.run(request).await;
    metrics.record(response.status(), started.elapsed());
    response
}

#[cfg(test)]
mod tests;
