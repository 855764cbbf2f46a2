//! A clock that jumps: time in the log never runs backwards, and epochs go on.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::time::{SystemTime, UNIX_EPOCH};

use pds_faults::shim::{Control, Settings};
use pds_schemas::json::Progress;
use pds_tests::validator::Validator;
use pds_tests::world::World;

const HOUR_S: i64 = 3600;

fn machine_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn epochs_stay_monotonic_when_the_clock_jumps_an_hour_either_way() {
    let mut validator = Validator::new();
    let file = validator.path("control");
    let control = Control::create(&file).unwrap();
    let settings = Settings { control: Some(file), ..Settings::default() };
    validator.set_environment(settings.environment().unwrap());
    validator.start();
    let mut world = World::new(&validator);
    let publish = |validator: &Validator, world: &mut World, name: &str| {
        let status = validator.publish_tiny(name, 1);
        assert_eq!(status.progress, Progress::Published);
        world.acknowledge(status);
        world.check(validator.http()).last().unwrap().time.0
    };
    let before = publish(&validator, &mut world, "org.example.before");
    assert!(before <= machine_time());

    control.set_ahead(HOUR_S).unwrap();
    let ahead = publish(&validator, &mut world, "org.example.ahead");
    assert!(ahead >= before + HOUR_S as u64, "the server does not see the clock that jumped");

    // Two hours back: one behind the machine's clock, and below what was signed.
    control.set_ahead(-HOUR_S).unwrap();
    validator.wait_epochs(2);
    let behind = publish(&validator, &mut world, "org.example.behind");
    assert!(behind >= ahead && behind < ahead + 60, "{behind} is not when the clock went back, {ahead}");

    // What was signed counts after a restart, too.
    validator.stop();
    validator.start();
    let restarted = publish(&validator, &mut world, "org.example.restarted");
    assert!(restarted >= behind && restarted < ahead + 60);
    world.check_acknowledged(validator.http());

    control.set_ahead(HOUR_S + 120).unwrap();
    assert!(
        publish(&validator, &mut world, "org.example.on") > restarted + 60,
        "it does not follow the clock again"
    );
    validator.stop();
    validator.fsck();
}
