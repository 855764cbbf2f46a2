//! Fetching evidence and plugins, from the honest and from others.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

mod common;

use std::time::{Duration, Instant};

use common::raw::{self, Body};
use common::{Desk, Fake, Lie, NOW, World, name};
use pds_client::api::ApiError;
use pds_client::fetch::{self, DownloadError, FetchError, Fetched};
use pds_client::growth::{self, Growth, GrowthError};
use pds_client::http::HttpError;
use pds_core::checkpoint::SignedCheckpoint;
use pds_core::evidence::EvidenceError;
use pds_core::formula;
use pds_core::package::check_package;
use pds_core::prefix::PrefixProofError;
use pds_schemas::{EpochNumber, PosixTime, State};

const PLUGIN: &str = "org.example.pacing";
const OTHER: &str = "org.example.other";

fn world() -> World {
    let mut world = World::new(1, NOW);
    world.close(vec![]);
    world.validate(&name(PLUGIN), 1);
    world.validate(&name(OTHER), 1);
    world.fail(&name("org.example.broken"), 1);
    world
}

async fn setup() -> (Fake, Desk) {
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    (fake, desk)
}

async fn get(desk: &Desk, of: &str, epoch: Option<u64>) -> Result<Fetched, FetchError> {
    let (source, memory) = (desk.source("PV1"), desk.memory());
    fetch::evidence(&source, &memory, &name(of), epoch.map(EpochNumber), PosixTime(NOW)).await
}

fn remembered(desk: &Desk) -> Option<SignedCheckpoint> {
    desk.memory().recall(&desk.source("PV1").known.trusted).unwrap()
}

#[tokio::test]
async fn evidence_of_now_is_verified_and_remembered() {
    let (fake, desk) = setup().await;
    let fetched = get(&desk, PLUGIN, None).await.unwrap();
    assert_eq!(fetched.verified.record.unwrap().state, State::Validated);
    assert_eq!(fetched.growth, Growth::FirstSeen);
    assert_eq!(remembered(&desk).unwrap().checkpoint().size.0, 4);
    assert_eq!(get(&desk, PLUGIN, None).await.unwrap().growth, Growth::Same);
    fake.world.lock().unwrap().validate(&name(PLUGIN), 2);
    let grown = get(&desk, PLUGIN, None).await.unwrap();
    assert_eq!(grown.growth, Growth::Grew { from: pds_schemas::TreeSize(4) });
    assert_eq!(remembered(&desk).unwrap().checkpoint().size.0, 5);
}

#[tokio::test]
async fn evidence_of_absence_and_failure_is_evidence_too() {
    let (_fake, desk) = setup().await;
    assert_eq!(get(&desk, "org.example.nobody", None).await.unwrap().verified.record, None);
    let failed = get(&desk, "org.example.broken", None).await.unwrap();
    let cause = fetch::cause(&desk.source("PV1").api, &failed.verified).await.unwrap().unwrap();
    assert_eq!((cause.stage.as_str(), failed.verified.binding), ("build", None));
}

#[tokio::test]
async fn evidence_of_an_epoch_is_of_that_epoch() {
    let (fake, desk) = setup().await;
    assert_eq!(get(&desk, PLUGIN, Some(0)).await.unwrap().verified.record, None);
    assert_eq!(get(&desk, PLUGIN, Some(1)).await.unwrap().verified.str.epoch, EpochNumber(1));
    fake.lie(Lie::HistoryAsNow);
    let error = get(&desk, PLUGIN, Some(1)).await.unwrap_err();
    assert!(
        matches!(error, FetchError::OtherEpoch { asked: EpochNumber(1), found: EpochNumber(2) }),
        "{error:?}"
    );
}

#[tokio::test]
async fn both_forms_of_evidence_say_the_same() {
    let (_fake, desk) = setup().await;
    let api = desk.source("PV1").api;
    let proof = api.tlog_proof(&name(PLUGIN), None).await.unwrap();
    let converted = pds_core::evidence::from_tlog_proof(&proof).unwrap();
    assert_eq!(converted, api.evidence(&name(PLUGIN), None).await.unwrap());
    let proof = api.inclusion(EpochNumber(1), pds_schemas::TreeSize(4)).await.unwrap();
    assert_eq!(proof.hashes, api.evidence(&name(PLUGIN), Some(EpochNumber(1))).await.unwrap().inclusion);
    let latest = api.latest_signed_tree_root().await.unwrap();
    assert_eq!(latest, api.signed_tree_root(EpochNumber(3)).await.unwrap());
}

#[tokio::test]
async fn evidence_about_another_name_is_refused() {
    let (fake, desk) = setup().await;
    fake.lie(Lie::OtherName(OTHER));
    let error = get(&desk, PLUGIN, None).await.unwrap_err();
    assert!(
        matches!(error, FetchError::Evidence(EvidenceError::Prefix(PrefixProofError::Root { .. }))),
        "{error:?}"
    );
    assert!(error.is_verdict());
    assert!(remembered(&desk).is_none(), "nothing unverified is remembered");
}

#[tokio::test]
async fn history_is_refused_as_now() {
    let (fake, desk) = setup().await;
    fake.lie(Lie::HistoryAsNow);
    let error = get(&desk, PLUGIN, None).await.unwrap_err();
    assert!(matches!(error, FetchError::NotNow { epoch: EpochNumber(2), size: 4 }), "{error:?}");
}

#[tokio::test]
async fn old_cosignatures_are_no_quorum() {
    let (_fake, desk) = setup().await;
    let (source, memory) = (desk.source("PV1"), desk.memory());
    let later = PosixTime(NOW + 86_401);
    let error = fetch::evidence(&source, &memory, &name(PLUGIN), None, later).await.unwrap_err();
    assert!(matches!(error, FetchError::Evidence(EvidenceError::NoQuorum { .. })), "{error:?}");
}

#[tokio::test]
async fn forked_log_is_caught_with_both_checkpoints_kept() {
    let (fake, desk) = setup().await;
    get(&desk, PLUGIN, None).await.unwrap();
    let mut fork = World::new(1, NOW);
    fork.close(vec![]);
    fork.validate(&name(PLUGIN), 7);
    fork.validate(&name(OTHER), 1);
    fork.close(vec![]);
    *fake.world.lock().unwrap() = fork;
    let error = get(&desk, PLUGIN, None).await.unwrap_err();
    let FetchError::Growth(GrowthError::TwoRoots { size, kept }) = &error else { panic!("{error:?}") };
    assert!(size.0 == 4 && error.is_alarm());
    let key = &desk.source("PV1").known.trusted.policy().logs()[0].key.clone();
    let read = |name: &str| {
        SignedCheckpoint::open(&std::fs::read(kept.join(name)).unwrap(), key).unwrap().checkpoint().clone()
    };
    let (ours, theirs) = (read("remembered.checkpoint"), read("offered.checkpoint"));
    assert!(ours.size == theirs.size && ours.root != theirs.root);
    assert_eq!(remembered(&desk).unwrap().checkpoint(), &ours, "the remembered head stands");
}

#[tokio::test]
async fn fork_that_went_on_is_caught_by_the_missing_proof() {
    let (fake, desk) = setup().await;
    get(&desk, PLUGIN, None).await.unwrap();
    let mut fork = World::new(1, NOW);
    (0..5).for_each(|_| fork.close(vec![]));
    fork.validate(&name(PLUGIN), 7);
    *fake.world.lock().unwrap() = fork;
    let error = get(&desk, PLUGIN, None).await.unwrap_err();
    assert!(matches!(error, FetchError::Growth(GrowthError::NotProved { .. })), "{error:?}");
    assert_eq!(desk.conflicts().len(), 1);
    assert_eq!(remembered(&desk).unwrap().checkpoint().size.0, 4);
}

#[tokio::test]
async fn fork_is_caught_when_memory_moved_on_between_check_and_remember() {
    let (fake, desk) = setup().await;
    get(&desk, PLUGIN, None).await.unwrap();
    let honest = fake.world.lock().unwrap().clone();
    let (source, memory) = (desk.source("PV1"), desk.memory());
    let trusted = &source.known.trusted;
    let open = |world: &World| {
        let latest = world.checkpoints.last().unwrap();
        SignedCheckpoint::open(latest.as_bytes(), &trusted.policy().logs()[0].key).unwrap()
    };
    for forked in [false, true] {
        // We are shown this head, and see it grow from what was remembered;
        let mut ours = honest.clone();
        ours.validate(&name(PLUGIN), 2);
        ours.close(vec![]);
        *fake.world.lock().unwrap() = ours.clone();
        let grown = growth::check(&source.api, &memory, trusted, &open(&ours)).await.unwrap();
        // another process is shown that one, and remembers it first.
        let mut theirs = honest.clone();
        theirs.validate(&name(PLUGIN), if forked { 3 } else { 2 });
        let held = memory.recall(trusted).unwrap();
        assert_eq!(memory.remember(trusted, &open(&theirs), held.as_ref()).unwrap(), None);
        let done = growth::remember(&source.api, &memory, trusted, &open(&ours), grown).await;
        match forked {
            false => assert!(done.is_ok(), "{done:?}"),
            true => assert!(matches!(done, Err(GrowthError::NotProved { .. })), "{done:?}"),
        }
        let expect = if forked { open(&theirs) } else { open(&ours) };
        assert_eq!(memory.recall(trusted).unwrap().unwrap().checkpoint(), expect.checkpoint());
        std::fs::remove_dir_all(desk.path("state")).unwrap();
        std::fs::create_dir(desk.path("state")).unwrap();
        memory.remember(trusted, &open(&honest), None).unwrap();
    }
}

#[tokio::test]
async fn rollback_is_caught() {
    let (fake, desk) = setup().await;
    let before = fake.world.lock().unwrap().clone();
    fake.world.lock().unwrap().validate(&name(PLUGIN), 2);
    get(&desk, PLUGIN, None).await.unwrap();
    *fake.world.lock().unwrap() = before;
    let error = get(&desk, PLUGIN, None).await.unwrap_err();
    let FetchError::Growth(GrowthError::Shrank { from, to, .. }) = error else { panic!("{error:?}") };
    assert_eq!((from.0, to.0, desk.conflicts().len()), (5, 4, 1));
}

#[tokio::test]
async fn made_up_consistency_proof_is_refused() {
    let (fake, desk) = setup().await;
    get(&desk, PLUGIN, None).await.unwrap();
    fake.world.lock().unwrap().close(vec![]);
    fake.lie(Lie::BadConsistency);
    let error = get(&desk, PLUGIN, None).await.unwrap_err();
    assert!(matches!(error, FetchError::Growth(GrowthError::NotProved { .. })), "{error:?}");
}

#[tokio::test]
async fn plugin_comes_byte_for_byte_from_whoever_has_it() {
    let (fake, _) = setup().await;
    let mut second = World::new(2, NOW);
    second.validate(&name(PLUGIN), 1);
    let second = Fake::start(second).await;
    second.lie(Lie::TamperedObjects);
    let desk = Desk::new(&[&second, &fake]);
    let sources = [desk.source("PV1"), desk.source("PV2")];
    let mut all = Vec::new();
    for source in &sources {
        let fetched =
            fetch::evidence(source, &desk.memory(), &name(PLUGIN), None, PosixTime(NOW)).await.unwrap();
        all.push(fetched);
    }
    let formula = formula::parse("PV1 & PV2").unwrap();
    let package = fetch::package(&sources, &all, &formula, |_, _| ()).await.unwrap();
    assert_eq!(package.evidence.len(), 2);
    for fetched in &all {
        assert_eq!(check_package(&package, fetched.verified.binding.as_ref().unwrap()), Ok(()));
    }
    let mut large = all.clone();
    large[0].evidence.checkpoint = "x".repeat(65 << 20);
    let error = fetch::package(&sources, &large, &formula, |_, _| ()).await.unwrap_err();
    assert!(matches!(error, DownloadError::TooLarge { .. }), "nobody could read it");
    fake.lie(Lie::TamperedObjects);
    let error = fetch::package(&sources, &all, &formula, |_, _| ()).await.unwrap_err();
    assert!(matches!(&error, DownloadError::Nobody { what, .. } if what == "the manifest"), "{error:?}");
}

#[tokio::test]
async fn bytecode_is_that_of_those_who_satisfy_the_formula() {
    let mut worlds: Vec<World> = (1..=3).map(|seed| World::new(seed, NOW)).collect();
    for (world, release) in worlds.iter_mut().zip([1, 2, 2]) {
        world.validate(&name(PLUGIN), release);
    }
    let mut fakes = Vec::new();
    for world in worlds {
        fakes.push(Fake::start(world).await);
    }
    let desk = Desk::new(&fakes.iter().collect::<Vec<_>>());
    let sources: Vec<_> = ["PV1", "PV2", "PV3"].map(|nickname| desk.source(nickname)).into();
    let mut all = Vec::new();
    for source in &sources {
        all.push(fetch::evidence(source, &desk.memory(), &name(PLUGIN), None, PosixTime(NOW)).await.unwrap());
    }
    let formula = formula::parse("2 of (PV1, PV2, PV3)").unwrap();
    let package = fetch::package(&sources, &all, &formula, |_, _| ()).await.unwrap();
    assert_eq!(package.objects, World::plugin(&name(PLUGIN), 2).1);
}

#[tokio::test]
async fn giant_answer_is_cut_off_at_the_cap() {
    let (_fake, desk) = setup().await;
    for headers in [
        "content-type: application/cbor\r\n",
        "content-type: application/cbor\r\ncontent-length: 9000000000\r\n",
    ] {
        let url = raw::serve(headers, Body::Endless).await;
        let source = desk.source_at("PV1", &url);
        let error =
            fetch::evidence(&source, &desk.memory(), &name(PLUGIN), None, PosixTime(NOW)).await.unwrap_err();
        assert!(
            matches!(&error, FetchError::Api(ApiError::Http(HttpError::TooLarge { limit, .. })) if *limit == 2 << 20),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn slow_answer_times_out() {
    let (fake, desk) = setup().await;
    fake.lie(Lie::Silence);
    let started = Instant::now();
    let error = get(&desk, PLUGIN, None).await.unwrap_err();
    assert!(matches!(error, FetchError::Api(ApiError::Http(HttpError::Timeout(_)))), "{error:?}");
    let url = raw::serve("content-type: application/cbor\r\n", Body::Stalls).await;
    let source = desk.source_at("PV1", &url);
    let error =
        fetch::evidence(&source, &desk.memory(), &name(PLUGIN), None, PosixTime(NOW)).await.unwrap_err();
    assert!(matches!(error, FetchError::Api(ApiError::Http(HttpError::Timeout(_)))), "{error:?}");
    assert!(!error.is_verdict() && started.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let (fake, desk) = setup().await;
    fake.lie(Lie::Redirect);
    let error = get(&desk, PLUGIN, None).await.unwrap_err();
    assert!(
        matches!(&error, FetchError::Api(ApiError::Http(HttpError::Redirect { to, .. })) if to.starts_with("http://127.0.0.1:1/")),
        "{error:?}"
    );
}

#[tokio::test]
async fn web_page_is_no_evidence() {
    let (fake, desk) = setup().await;
    fake.lie(Lie::Html);
    let error = get(&desk, PLUGIN, None).await.unwrap_err();
    assert!(matches!(&error, FetchError::Api(ApiError::Http(HttpError::ContentType { .. }))), "{error:?}");
}

#[tokio::test]
async fn busy_server_is_asked_again_a_few_times() {
    let (fake, desk) = setup().await;
    fake.lie(Lie::Busy);
    let error = get(&desk, PLUGIN, None).await.unwrap_err();
    assert!(matches!(&error, FetchError::Api(ApiError::Http(e)) if e.status() == Some(503)), "{error:?}");
    assert!(!error.is_verdict());
    assert_eq!(fake.asked.lock().unwrap()[&format!("/plugins/{PLUGIN}")], 4);
}

#[tokio::test]
async fn nobody_listening_is_no_verdict() {
    let (_fake, desk) = setup().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let source = desk.source_at("PV1", &url);
    let error =
        fetch::evidence(&source, &desk.memory(), &name(PLUGIN), None, PosixTime(NOW)).await.unwrap_err();
    assert!(matches!(error, FetchError::Api(ApiError::Http(HttpError::Request { .. }))), "{error:?}");
    assert!(!error.is_verdict());
}
