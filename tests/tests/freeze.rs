//! Logs that have ended, and copies that are only served.

use std::process::Output;

use pds_schemas::json::{Outcome, Progress, SubmissionStatus};
use pds_schemas::{Artefact, FailureCause};
use pds_tests::mirror::Mirror;
use pds_tests::output::well;
use pds_tests::plugins::{FAILS, HOLDS, developer, signed, tiny};
use pds_tests::validator::Validator;
use pds_tests::world::World;

fn freeze(validator: &Validator) -> Output {
    validator.run(&["freeze", "--config", "pv.toml", "--for-ever"])
}

/// Submits to a server that must refuse for good, and say why.
fn refused(http: pds_tests::http::Http, status: u16, kind: &str) {
    let answer = http.submit(&signed(&tiny("org.example.late", HOLDS), 1, &developer(1)).upload.to_bytes());
    assert_eq!(answer.status, status);
    assert_eq!(answer.problem().kind, kind);
    assert!(answer.headers.iter().all(|(name, _)| name != "retry-after"), "trying again is of no use");
}

#[test]
fn frozen_log_has_a_last_epoch_that_decides_all_and_stays_served() {
    let mut validator = Validator::started();
    let mut world = World::new(&validator);
    world.acknowledge(validator.publish_tiny("org.example.a", 1));
    assert_eq!(validator.run(&["freeze", "--config", "pv.toml"]).status.code(), Some(2), "it is said twice");
    for i in 0..6 {
        let prepared = signed(&tiny(&format!("org.example.n{i}"), FAILS), 1, &developer(1));
        world.acknowledge(validator.http().submit(&prepared.upload.to_bytes()).json());
    }
    let told = well(&freeze(&validator));
    world.observe(validator.http());
    let size = world.size();
    assert!(told.contains(&format!("frozen at {size} epochs")), "{told}");
    world.check_acknowledged(validator.http());
    assert!(
        world.acknowledged().all(|status| status.progress == Progress::Published),
        "nobody waits for ever"
    );
    refused(validator.http(), 410, "frozen");
    assert_eq!(well(&freeze(&validator)), told, "once is for ever");
    assert_eq!(validator.http().get("/readyz").status, 200);
    assert!(String::from_utf8(validator.http().body("/metrics")).unwrap().contains("pds_frozen 1"));
    well(&validator.backup("last"));
    // Time in which many epochs would have been: the database's check takes a while, over and over.
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_millis(2500) {
        world.check(validator.http());
    }
    let log = validator.stop();
    assert!(!log.contains("halted") && !log.contains("signs and accepts no more"), "{log}");
    validator.fsck();
    assert_eq!(well(&freeze(&validator)), told, "stopped as well");

    // Frozen it stays, with another configuration too; and it needs no compiler.
    validator.set("compiler", "\"no-such-compiler\"");
    validator.start();
    refused(validator.http(), 410, "frozen");
    world.check_acknowledged(validator.http());
    world.check(validator.http());
    assert_eq!(world.size(), size);
    validator.stop();
    std::fs::remove_dir_all(validator.path("data")).unwrap();
    assert!(well(&validator.restore("last")).contains("it may sign"));
    validator.start();
    refused(validator.http(), 410, "frozen");
    world.check(validator.http());
    assert_eq!(world.size(), size);
    validator.stop();
    validator.fsck();
}

#[test]
fn freezing_a_stopped_validator_fails_what_waits_and_says_so() {
    let mut validator = Validator::with_one_epoch_a_run();
    validator.set("shutdown_grace_s", "0");
    validator.start();
    let mut world = World::new(&validator);
    // Tens of builds, of which a server that ends at once cannot have done many.
    for i in 0..40 {
        let prepared = signed(&tiny(&format!("org.example.n{i}"), HOLDS), 1, &developer(1));
        world.acknowledge(validator.http().submit(&prepared.upload.to_bytes()).json());
    }
    validator.stop();
    well(&validator.backup("before"));
    well(&freeze(&validator));
    validator.fsck();
    validator.start();
    world.check_acknowledged(validator.http());
    world.check(validator.http());
    let failed: Vec<&SubmissionStatus> =
        world.acknowledged().filter(|status| status.outcome == Some(Outcome::Failed)).collect();
    assert!(!failed.is_empty() && world.acknowledged().all(|status| status.progress == Progress::Published));
    for status in failed {
        let cause = validator.http().body(&format!("/causes/{}", status.cause.unwrap()));
        let cause = FailureCause::from_bytes(&cause).unwrap();
        assert_eq!((cause.stage.as_str(), cause.submission), ("frozen", status.submission));
    }
    validator.stop();

    // A copy from before the end is behind, and catches up with the end.
    std::fs::rename(validator.path("data"), validator.path("ended")).unwrap();
    well(&validator.restore("before"));
    assert!(validator.try_start().unwrap_err().log.contains("behind the guard"));
    let mirror = Mirror::of(&validator, "ended");
    refused(mirror.http, 410, "frozen");
    well(&validator.run(&["restore", "--config", "pv.toml", "--from", &mirror.url()]));
    mirror.stop();
    validator.fsck();
    validator.start();
    refused(validator.http(), 410, "frozen");
    world.check_acknowledged(validator.http());
    world.check(validator.http());
    validator.stop();
}

#[test]
fn restored_copy_is_served_without_keys_and_guard_and_without_changing_a_file() {
    let mut validator = Validator::started();
    let mut world = World::new(&validator);
    world.acknowledge(validator.publish_tiny("org.example.a", 1));
    well(&validator.backup("copy"));
    validator.stop();
    std::fs::rename(validator.path("data"), validator.path("newest")).unwrap();
    well(&validator.restore("copy"));
    std::fs::remove_dir_all(validator.path("keys")).unwrap();
    let files = |folder: &str| {
        let entries = std::fs::read_dir(validator.path(folder)).unwrap().map(Result::unwrap);
        let files = entries.filter(|entry| entry.path().is_file());
        let content = |entry: std::fs::DirEntry| (entry.file_name(), std::fs::read(entry.path()).unwrap());
        files.map(content).collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = [files("data"), files("data/store")];
    let mirror = Mirror::of(&validator, "data");
    assert_eq!(mirror.http.get("/readyz").status, 200);
    refused(mirror.http, 403, "read-only");
    world.check_acknowledged(mirror.http);
    world.check(mirror.http);
    assert_eq!(mirror.http.get("/plugins/org.example.a").status, 200);
    mirror.stop();
    assert!([files("data"), files("data/store")] == before, "no file changed");
    assert!(!validator.path("keys").exists());
}
