//! Answers from memory beside answers that were just made.

use std::sync::mpsc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pds_core::epoch::NameEvents;
use pds_core::name_record::{Decision, NameEvent};
use pds_schemas::{Artefact, Digest, EpochNumber, Evidence, PluginName, PosixTime, Release};
use tempfile::TempDir;
use tower::ServiceExt;

use super::super::{Api, Uploads, router};
use super::*;
use crate::config::tests::config_in;
use crate::epoch_writer::{EpochContent, EpochWriter};
use crate::identity;

/// A validator whose epochs are closed by hand.
struct World {
    writer: EpochWriter,
    api: Api,
    router: Router,
    _folder: TempDir,
}

impl World {
    /// With `a.b` failed in epoch 0, and room for `bytes` of answers.
    fn new(bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config_in(folder.path());
        let identity = identity::init(&config).unwrap();
        let mut writer = crate::recovery::open(&config).unwrap();
        let published = writer.close(PosixTime(1), failed("a.b")).unwrap();
        let shared = Arc::new(Shared::new(Arc::clone(&writer.store), published));
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
        let uploads = Uploads::new(&config, Arc::default());
        let api = Api::new(shared, identity, mpsc::channel().0, uploads, metrics).keeping(bytes);
        Self { writer, router: router(api.clone()), api, _folder: folder }
    }

    fn close(&mut self, content: EpochContent) {
        self.api.shared.publish(self.writer.close(PosixTime(1), content).unwrap());
    }

    async fn ask(&self, method: Method, target: &str, accept: Option<&'static str>) -> Answered {
        ask(self.router.clone(), method, target, accept).await
    }

    async fn get(&self, target: &str) -> Answered {
        self.ask(Method::GET, target, None).await
    }

    fn keeps(&self, target: &str) -> bool {
        let now = || self.api.shared.published().str.epoch;
        let uri = target.parse().unwrap();
        self.api.answers.find(&Method::GET, &uri, &HeaderMap::new(), now).is_some()
    }
}

async fn ask(router: Router, method: Method, target: &str, accept: Option<&'static str>) -> Answered {
    let mut request = Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
    if let Some(accept) = accept {
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
    }
    let (head, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Answered { status: head.status, headers: head.headers, body }
}

#[derive(Debug, PartialEq)]
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answered {
    fn epoch(&self) -> EpochNumber {
        Evidence::from_bytes(&self.body).unwrap().index
    }
}

fn failed(name: &str) -> EpochContent {
    let event = NameEvent::Decided {
        owner: Digest([3; 32]),
        release: Release(1),
        decision: Decision::Failed(Digest([4; 32])),
    };
    let names = NameEvents { name: PluginName::new(name).unwrap(), current: None, events: vec![event] };
    EpochContent { names: vec![names], ..EpochContent::default() }
}

#[tokio::test]
async fn kept_answer_equals_the_one_that_was_made() {
    let world = World::new(1 << 20);
    let nothing_kept = router(world.api.clone().keeping(0));
    let policy = *world.writer.policy.digest();
    for target in [
        "/checkpoint",
        "/tile/0/000.p/1",
        "/proofs/inclusion?leaf=0&size=1",
        "/proofs/consistency?from=1&to=1",
        "/epochs/0",
        &format!("/policies/{policy}"),
        "/plugins/a.b",
        "/plugins/absent.name",
        "/plugins/a.b?epoch=0",
    ] {
        assert!(!world.keeps(target), "{target}");
        let made = world.get(target).await;
        assert_eq!(made.status, StatusCode::OK, "{target}");
        assert!(world.keeps(target), "{target}");
        assert_eq!(world.get(target).await, made, "{target}");
        assert_eq!(ask(nothing_kept.clone(), Method::GET, target, None).await, made, "{target}");
    }
}

#[tokio::test]
async fn answer_is_made_anew_once_an_epoch_is_published() {
    let mut world = World::new(1 << 20);
    let (tile, absent) = (world.get("/tile/0/000.p/1").await, world.get("/plugins/c.d").await);
    let checkpoint = world.get("/checkpoint").await;
    assert!(world.keeps("/plugins/c.d"));
    world.close(failed("c.d"));
    assert!(!world.keeps("/plugins/c.d") && !world.keeps("/checkpoint") && world.keeps("/tile/0/000.p/1"));
    let admitted = world.get("/plugins/c.d").await;
    assert_eq!((absent.epoch(), admitted.epoch()), (EpochNumber(0), EpochNumber(1)));
    assert!(Evidence::from_bytes(&admitted.body).unwrap().extra.name_record.is_some());
    assert_ne!(world.get("/checkpoint").await.body, checkpoint.body);
    assert_eq!(world.get("/tile/0/000.p/1").await, tile);
}

#[tokio::test]
async fn answer_is_not_kept_when_it_is_an_error() {
    let mut world = World::new(1 << 20);
    for target in ["/tile/0/000.p/2", "/epochs/1"] {
        assert_eq!(world.get(target).await.status, StatusCode::NOT_FOUND, "{target}");
        assert!(!world.keeps(target), "{target}");
    }
    world.close(EpochContent::default());
    for target in ["/tile/0/000.p/2", "/epochs/1"] {
        assert_eq!(world.get(target).await.status, StatusCode::OK, "{target}");
    }
}

#[tokio::test]
async fn text_is_given_when_it_is_preferred_though_cbor_is_kept() {
    let world = World::new(1 << 20);
    let cbor = world.get("/plugins/a.b").await;
    let text = world.ask(Method::GET, "/plugins/a.b", Some("text/plain")).await;
    assert!(text.body.starts_with(b"c2sp.org/tlog-proof@v1\n"), "{text:?}");
    assert_eq!(text.headers[header::VARY], "accept");
    assert_eq!(world.ask(Method::GET, "/plugins/a.b", Some("*/*")).await, cbor);
}

#[tokio::test]
async fn answer_to_head_has_no_body_though_one_is_kept() {
    let world = World::new(1 << 20);
    let made = world.get("/tile/0/000.p/1").await;
    let head = world.ask(Method::HEAD, "/tile/0/000.p/1", None).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.headers[header::CONTENT_TYPE], made.headers[header::CONTENT_TYPE]);
}
