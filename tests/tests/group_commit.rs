//! Many submissions at once: each is acknowledged, and each acknowledgement survives a power cut.

use std::sync::Barrier;

use pds_schemas::Artefact;
use pds_schemas::json::{Progress, SubmissionStatus};
use pds_tests::plugins::{FAILS, developer, signed, tiny};
use pds_tests::validator::Validator;
use pds_tests::world::World;

const CLIENTS: usize = 64;

#[test]
fn acknowledgements_survive_when_the_process_is_killed_after_the_last() {
    let mut validator = Validator::new();
    // One epoch closes at the end, not meanwhile.
    validator.set("epoch_interval_s", "3600");
    validator.set("decide_within_s", "7200");
    validator.start();
    let mut world = World::new(&validator);
    let uploads: Vec<_> = (0..CLIENTS)
        .map(|i| {
            signed(&tiny(&format!("org.example.at-once-{i}"), FAILS), 1, &developer(1)).upload.to_bytes()
        })
        .collect();
    let (http, together) = (validator.http(), Barrier::new(CLIENTS));
    let acknowledged: Vec<SubmissionStatus> = std::thread::scope(|scope| {
        let submit = |upload: &Vec<u8>| {
            let together = &together;
            let upload = upload.clone();
            scope.spawn(move || {
                together.wait();
                http.submit(&upload)
            })
        };
        let clients: Vec<_> = uploads.iter().map(submit).collect();
        let answers = clients.into_iter().map(|client| client.join().unwrap());
        answers
            .map(|answer| if answer.status == 202 { answer.json() } else { panic!("{answer:?}") })
            .collect()
    });
    validator.kill();

    let mut places: Vec<u64> = acknowledged.iter().map(|status| status.index).collect();
    places.sort_unstable();
    assert_eq!(places, (0..CLIENTS as u64).collect::<Vec<_>>());
    for status in acknowledged {
        world.acknowledge(status);
    }
    validator.set("epoch_interval_s", "1");
    validator.start();
    world.check_acknowledged(validator.http());
    let last = world.acknowledged().max_by_key(|status| status.index).unwrap().submission;
    validator.wait_published(&last);
    world.check_acknowledged(validator.http());
    assert!(world.acknowledged().all(|status| status.progress == Progress::Published));
    world.check(validator.http());
    validator.stop();
    validator.fsck();
}

#[test]
fn submissions_wait_for_a_start_with_builders_when_there_are_none() {
    let mut validator = Validator::new();
    validator.set("builders", "0");
    // Were the end to wait for decisions, it would wait for an hour.
    validator.set("shutdown_grace_s", "3600");
    validator.start();
    let prepared = signed(&tiny("org.example.waits", FAILS), 1, &developer(1));
    assert_eq!(validator.http().submit(&prepared.upload.to_bytes()).status, 202);
    validator.wait_epochs(2);
    assert_eq!(validator.status(&prepared.digest).progress, Progress::Queued);
    validator.stop();

    validator.set("builders", "1");
    validator.start();
    validator.wait_published(&prepared.digest);
    validator.stop();
    validator.fsck();
}
