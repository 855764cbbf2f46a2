//! A full disk: submissions stop early and say why, reads go on, and with room again so does everything.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use pds_client::submit::Prepared;
use pds_faults::shim::{Control, Settings};
use pds_schemas::Artefact;
use pds_tests::plugins::{HOLDS, developer, signed, tiny};
use pds_tests::validator::Validator;
use pds_tests::world::World;

const NAME: &str = "org.example.a";

/// A running validator with a published name, on a disk that `Control` fills.
fn on_a_disk() -> (Validator, Control, World) {
    let mut validator = Validator::new();
    let file = validator.path("control");
    let control = Control::create(&file).unwrap();
    std::fs::create_dir(validator.path("stash")).unwrap();
    let settings = Settings {
        roots: vec![validator.path("data"), validator.path("keys")],
        stash: validator.path("stash"),
        control: Some(file),
        ..Settings::default()
    };
    validator.set_environment(settings.environment().unwrap());
    validator.start();
    let mut world = World::new(&validator);
    world.acknowledge(validator.publish_tiny(NAME, 1));
    world.observe(validator.http());
    (validator, control, world)
}

fn submission(name: &str) -> Prepared {
    signed(&tiny(name, HOLDS), 1, &developer(1))
}

/// Has `prepared` refused for now, with a reason that has `reason` in it.
fn assert_refused(validator: &Validator, prepared: &Prepared, reason: &str) {
    let answer = validator.http().submit(&prepared.upload.to_bytes());
    let body = String::from_utf8(answer.body.clone()).unwrap();
    assert_eq!(answer.status, 503, "{body}");
    assert!(body.contains(reason), "{body}");
    assert!(answer.headers.iter().any(|(name, _)| name == "retry-after"), "{:?}", answer.headers);
}

fn assert_reads(validator: &Validator, world: &mut World) {
    assert!(world.observe(validator.http()));
    assert!(!validator.http().body(&format!("/plugins/{NAME}")).is_empty());
    assert!(!validator.http().body("/tile/entries/000.p/1").is_empty());
    world.check_acknowledged(validator.http());
}

#[test]
fn submissions_stop_early_and_come_back_when_the_disk_is_nearly_full() {
    let (mut validator, control, mut world) = on_a_disk();
    let prepared = submission("org.example.b");
    // Below the reserve of 1 MiB that it is configured with.
    control.set_free(Some(512 << 10)).unwrap();
    assert_refused(&validator, &prepared, "nearly full");
    assert_reads(&validator, &mut world);
    // It is the reserve that lets epochs go on.
    validator.wait_epochs(2);
    assert!(validator.is_well());
    assert_reads(&validator, &mut world);

    control.set_free(None).unwrap();
    world.acknowledge(validator.publish(&prepared));
    world.check(validator.http());
    validator.stop();
    validator.fsck();
}

#[test]
fn reads_go_on_when_the_disk_is_full_and_nothing_is_signed_until_a_restart() {
    let (mut validator, control, mut world) = on_a_disk();
    control.set_full(true).unwrap();
    let log = std::sync::Arc::clone(&validator.process().log);
    let halted = log.wait_for(0, |line| line.contains("signs and accepts no more").then_some(()));
    assert!(halted.is_some(), "it ended\n{}", log.text());
    assert!(!validator.is_well());
    let head = validator.http().body("/checkpoint");
    assert_reads(&validator, &mut world);
    assert_refused(&validator, &submission("org.example.b"), "");

    // Room alone does not tell what the disk holds.
    control.set_full(false).unwrap();
    assert_refused(&validator, &submission("org.example.c"), "");
    assert_eq!(validator.http().body("/checkpoint"), head);
    assert!(!validator.is_well());

    validator.kill();
    // The process was ended, not the machine: what it had taken away stays away.
    std::fs::remove_dir_all(validator.path("stash")).unwrap();
    std::fs::create_dir(validator.path("stash")).unwrap();
    validator.start();
    assert_reads(&validator, &mut world);
    world.acknowledge(validator.publish(&submission("org.example.b")));
    world.check(validator.http());
    validator.stop();
    validator.fsck();
}
