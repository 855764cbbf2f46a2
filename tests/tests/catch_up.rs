//! Databases behind their guard: what they refuse, and how they catch up from whoever has the rest of the log.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::process::Output;

use pds_schemas::Artefact;
use pds_schemas::json::{Outcome, Progress, SubmissionStatus};
use pds_tests::mirror::{Liar, Mirror};
use pds_tests::output::{refused, said, well};
use pds_tests::plugins::{FAILS, HOLDS, developer, signed, tiny};
use pds_tests::process::Process;
use pds_tests::validator::Validator;
use pds_tests::world::World;

fn catch_up(validator: &Validator, url: &str) -> Output {
    validator.run(&["restore", "--config", "pv.toml", "--from", url])
}

fn submit(
    validator: &Validator,
    world: &mut World,
    name: &str,
    release: u64,
    code: &str,
) -> SubmissionStatus {
    let code = format!("{code}// {release}\n");
    let answer =
        validator.http().submit(&signed(&tiny(name, &code), release, &developer(1)).upload.to_bytes());
    assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    let status: SubmissionStatus = answer.json();
    world.acknowledge(answer.json());
    status
}

/// A stopped validator whose data folder is an old copy; the newest is in the folder `newest`. Of what was acknowledged,
/// the copy has all but the second list; what waited in it is in the first.
struct Behind {
    validator: Validator,
    world: World,
    waited: Vec<SubmissionStatus>,
    later: Vec<SubmissionStatus>,
}

fn behind() -> Behind {
    let mut validator = Validator::with_one_epoch_a_run();
    validator.set("shutdown_grace_s", "0");
    validator.start();
    let mut world = World::new(&validator);
    // A run without grace ends with its epoch: what was decided is in it, and the rest waits.
    let mut waited = Vec::new();
    for (name, code) in [("org.example.a", HOLDS), ("org.example.b", FAILS), ("org.example.a2", HOLDS)] {
        waited.push(submit(&validator, &mut world, name, 1, code));
    }
    well(&validator.backup("copy"));
    validator.set("shutdown_grace_s", "60");
    validator.stop();
    let mut later = Vec::new();
    for (name, release, code) in [
        ("org.example.a", 2, HOLDS),
        ("org.example.b", 2, HOLDS),
        ("org.example.c", 1, FAILS),
        ("org.example.a", 3, FAILS),
    ] {
        // An epoch for each: the one with which an orderly end closes.
        validator.start();
        world.observe(validator.http());
        later.push(submit(&validator, &mut world, name, release, code));
        validator.stop();
    }
    std::fs::rename(validator.path("data"), validator.path("newest")).unwrap();
    let told = well(&validator.restore("copy"));
    assert!(told.contains("may not sign yet"), "{told}");
    Behind { validator, world, waited, later }
}

/// Checks that the validator goes on from where the log was.
fn check_caught_up(behind: Behind) {
    let Behind { mut validator, mut world, waited, later } = behind;
    validator.fsck();
    let guard = std::fs::read(validator.guard()).unwrap();
    let size = pds_schemas::disk::Head::from_bytes(&guard).unwrap().size.0;
    validator.set("epoch_interval_s", "1");
    validator.start();
    assert!(!validator.process().log.has("moving the guard"));
    let strs = world.check(validator.http());
    assert!(strs.len() as u64 >= size, "{} epochs, {size} were signed", strs.len());
    for status in &waited {
        let now = validator.wait_published(&status.submission);
        assert!(now.progress == Progress::Published && now.epoch.is_some(), "{now:?}");
    }
    for status in &later {
        let answer = validator.http().get(&format!("/submissions/{}", status.submission));
        assert_eq!(answer.status, 404, "nobody serves uploads, so they are gone");
    }
    // Of these the log has said how they were decided; it does not say it twice.
    let again = signed(&tiny("org.example.a", &format!("{FAILS}// 3\n")), 3, &developer(1));
    let answer = validator.http().submit(&again.upload.to_bytes());
    assert_eq!((answer.status, answer.problem().kind.as_str()), (409, "old-release"));
    let next = validator.publish_tiny("org.example.a", 4);
    assert!(next.epoch.unwrap().0 > 0 && std::fs::read(validator.guard()).unwrap() != guard);
    world.check(validator.http());
    validator.stop();
    validator.fsck();
}

#[test]
fn validator_catches_up_from_any_server_that_has_the_rest() {
    let mut behind = behind();
    let validator = &mut behind.validator;
    let refusal = validator.try_start().unwrap_err();
    assert!(
        refusal.log.contains("behind the guard") && refusal.log.contains("restore --from"),
        "{}",
        refusal.log
    );
    let mirror = Mirror::of(validator, "newest");
    behind.world.observe(mirror.http);
    let told = well(&catch_up(validator, &mirror.url()));
    assert!(told.contains("3 submissions that waited"), "{told}");
    assert!(told.contains("it may sign") && told.contains("of 4 decisions, and 0 submissions"), "{told}");
    assert!(well(&catch_up(validator, &mirror.url())).contains("0 epochs"), "there is no more to do");
    mirror.stop();
    check_caught_up(behind);
}

#[test]
fn submission_that_was_lost_undecided_is_taken_again_and_decided() {
    let mut validator = Validator::with_one_epoch_a_run();
    validator.set("shutdown_grace_s", "0");
    validator.start();
    let mut world = World::new(&validator);
    well(&validator.backup("copy"));
    validator.stop();
    // The log says of the first that it waits, and nothing of the second.
    validator.set("builders", "0");
    let [seen, unseen] = ["org.example.seen", "org.example.unseen"];
    for (name, ends_well) in [(seen, true), (unseen, false)] {
        validator.start();
        submit(&validator, &mut World::new(&validator), name, 1, HOLDS);
        if ends_well { drop(validator.stop()) } else { validator.kill() }
    }
    std::fs::rename(validator.path("data"), validator.path("newest")).unwrap();
    well(&validator.restore("copy"));
    let mirror = Mirror::of(&validator, "newest");
    world.observe(mirror.http);
    let told = well(&catch_up(&validator, &mirror.url()));
    assert!(told.contains("and 1 submissions"), "{told}");
    mirror.stop();

    validator.set("builders", "1");
    validator.set("epoch_interval_s", "1");
    validator.start();
    for name in [seen, unseen] {
        let status = submit(&validator, &mut world, name, 1, HOLDS);
        let published = validator.wait_published(&status.submission);
        assert_eq!(published.outcome, Some(Outcome::Validated), "{published:?}");
    }
    world.check(validator.http());
    world.check_acknowledged(validator.http());
    validator.stop();
    validator.fsck();
}

#[test]
fn catching_up_is_killed_anywhere_and_run_again() {
    let mut behind = behind();
    let validator = &behind.validator;
    let mirror = Mirror::of(validator, "newest");
    behind.world.observe(mirror.http);
    let arguments = ["restore", "--config", "pv.toml", "--from", &mirror.url()];
    let mut killed = 0;
    for round in 0..60_u64 {
        let mut process = Process::spawn(validator.command(&arguments));
        process.log.watch(std::time::Duration::from_millis(2 * round));
        process.kill();
        if process.log.has("epoch 5 of 5") {
            break;
        }
        killed += 1;
    }
    assert!(killed > 3, "it was too fast to be killed");
    well(&catch_up(validator, &mirror.url()));
    mirror.stop();
    check_caught_up(behind);
}

#[test]
fn nothing_that_a_server_gives_is_believed() {
    let behind = behind();
    let validator = &behind.validator;
    let mirror = Mirror::of(validator, "newest");
    for path in [
        "/checkpoint",
        "/tile/0/",
        "/tile/entries/",
        "/epochs/",
        "/records/",
        "/bindings/",
        "/objects/",
        "/causes/",
    ] {
        let liar = Liar::before(mirror.http, path);
        let output = catch_up(validator, &liar.url);
        assert_eq!(output.status.code(), Some(1), "{path}: {}", said(&output));
        assert!(!said(&output).contains("panicked"), "{path}: {}", said(&output));
        assert!(liar.has_lied(), "{path} was not asked for: {}", said(&output));
        validator.fsck();
    }
    well(&catch_up(validator, &mirror.url()));
    mirror.stop();
    check_caught_up(behind);
}

#[test]
fn servers_without_the_rest_of_this_log_are_refused() {
    let behind = behind();
    let validator = &behind.validator;
    // One that is no further.
    well(&validator.backup("again"));
    let config = std::fs::read_to_string(validator.config()).unwrap();
    std::fs::write(validator.path("other.toml"), config.replace("\"data\"", "\"old\"")).unwrap();
    well(&validator.run(&["restore", "--config", "other.toml", "again"]));
    let old = Mirror::of(validator, "old");
    refused(&catch_up(validator, &old.url()), "cannot bring all of the rest");
    old.stop();
    // Another validator, whose keys are others.
    let mut other = Validator::started();
    let url = format!("http://{}/", other.http().address);
    refused(&catch_up(validator, &url), "no checkpoint by this validator's log key");
    other.stop();
    refused(&catch_up(validator, &url), "request ");
    // A guard that is an old copy as well.
    let newest = std::fs::read(validator.guard()).unwrap();
    let mirror = Mirror::of(validator, "newest");
    let head = pds_schemas::disk::Head::from_bytes(&newest).unwrap();
    let older = pds_schemas::disk::Head { size: pds_schemas::TreeSize(head.size.0 - 1), ..head };
    std::fs::write(validator.guard(), older.to_bytes()).unwrap();
    refused(&catch_up(validator, &mirror.url()), "the guard is an old copy itself");
    std::fs::remove_file(validator.guard()).unwrap();
    refused(&catch_up(validator, &mirror.url()), "there is no guard");
    std::fs::write(validator.guard(), newest).unwrap();
    well(&catch_up(validator, &mirror.url()));
    mirror.stop();
    check_caught_up(behind);
}

#[test]
fn one_of_two_processes_on_two_disks_may_sign() {
    let mut validator = Validator::started();
    let mut world = World::new(&validator);
    world.acknowledge(validator.publish_tiny("org.example.a", 1));
    validator.stop();
    let config = std::fs::read_to_string(validator.config()).unwrap();
    let second = config.replace("\"data\"", "\"disk2/data\"").replace("\"address\"", "\"address2\"");
    std::fs::write(validator.path("second.toml"), second).unwrap();
    std::fs::create_dir(validator.path("disk2")).unwrap();
    // The second disk has a copy that is as new as the first.
    well(&validator.backup("copy"));
    assert!(well(&validator.run(&["restore", "--config", "second.toml", "copy"])).contains("it may sign"));

    // Both at once, again and again: the one that comes first goes on, the other is refused or, later, behind.
    let listening = |process: &Process| {
        let line = |line: &str| line.contains("\"listening\"").then_some(());
        process.log.wait_for(0, line).is_some()
    };
    let mut signed = [0, 0];
    for _ in 0..3 {
        let mut both =
            ["pv.toml", "second.toml"].map(|file| Process::spawn(validator.command(&["--config", file])));
        let runs = [listening(&both[0]), listening(&both[1])];
        assert!(!(runs[0] && runs[1]), "both sign");
        for (index, process) in both.iter_mut().enumerate() {
            if runs[index] {
                let log = &process.log;
                assert!(log.wait_for(0, |line| line.contains("\"epoch closed\"").then_some(())).is_some());
                process.terminate();
                signed[index] += 1;
            }
            let status = process.wait();
            let log = process.log.text();
            let why = ["another process holds the guard", "behind the guard"];
            assert_eq!(status.success(), runs[index], "{log}");
            assert!(runs[index] || why.iter().any(|why| log.contains(why)), "{log}");
        }
    }
    // Whoever signed first left the other's database behind.
    assert!(signed[0] == 0 || signed[1] == 0, "{signed:?}");
    let (ahead, late) = if signed[0] > 0 { ("pv.toml", "second.toml") } else { ("second.toml", "pv.toml") };
    if ahead == "second.toml" {
        std::fs::rename(validator.path("data"), validator.path("late")).unwrap();
        std::fs::rename(validator.path("disk2/data"), validator.path("data")).unwrap();
    } else {
        let late = Process::spawn(validator.command(&["--config", late]));
        assert!(!listening(&late) && late.log.has("behind the guard"), "{}", late.log.text());
    }
    validator.start();
    world.check_acknowledged(validator.http());
    world.check(validator.http());
    validator.stop();
    validator.fsck();
}
