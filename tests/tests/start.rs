//! Starting and ending: what refuses to sign, what goes on, and what an orderly end leaves.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests; clippy exempts only the tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pds_schemas::Artefact;
use pds_schemas::json::{Progress, SubmissionStatus};
use pds_tests::plugins::{FAILS, HOLDS, developer, signed, tiny};
use pds_tests::validator::{Refused, Validator};
use pds_tests::world::World;

/// Starts `validator`, which must refuse, without panic, and say each of `parts`.
fn assert_refuses(validator: &mut Validator, parts: &[&str]) {
    let Err(Refused { status, log }) = validator.try_start() else { panic!("it started: {parts:?}") };
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    for part in parts {
        assert!(log.contains(part), "{part:?} is not in\n{log}");
    }
}

/// A stopped validator with a name in its tree.
fn stopped() -> (Validator, World) {
    let mut validator = Validator::started();
    let mut world = World::new(&validator);
    world.acknowledge(validator.publish_tiny("org.example.a", 1));
    world.observe(validator.http());
    validator.stop();
    (validator, world)
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

fn move_folder(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
}

#[test]
fn second_process_is_refused_while_the_first_runs() {
    let mut validator = Validator::started();
    let config = std::fs::read_to_string(validator.config()).unwrap();
    let run_second = |config: &str, expect: &str| {
        std::fs::write(validator.path("second.toml"), config).unwrap();
        let output = validator.run(&["--config", "second.toml"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expect) && !said.contains("panicked"), "{said}");
    };
    run_second(&config, "another process holds the guard");
    std::fs::copy(validator.guard(), validator.path("other.guard")).unwrap();
    run_second(&format!("guard = \"other.guard\"\n{config}"), "open the database");
    // The first did not notice.
    validator.publish_tiny("org.example.a", 1);
    let refused = validator.run(&["fsck", "data"]);
    assert_eq!(refused.status.code(), Some(3), "fsck of a running validator");
    validator.stop();
    validator.fsck();
}

#[test]
fn start_is_refused_when_the_guard_is_missing() {
    let (mut validator, _) = stopped();
    let aside = validator.path("aside");
    std::fs::rename(validator.guard(), &aside).unwrap();
    assert_refuses(&mut validator, &["there is no guard", "pds-log-server init", "find the guard"]);
    // Nor does init make a new one beside what is there.
    let init = validator.run(&["init", "--config", "pv.toml"]);
    assert!(!init.status.success() && !validator.guard().exists());
    std::fs::rename(&aside, validator.guard()).unwrap();
    validator.start();
}

#[test]
fn start_is_refused_when_the_database_is_an_old_copy() {
    let (mut validator, mut world) = stopped();
    let (data, old, new) = (validator.path("data"), validator.path("old"), validator.path("new"));
    copy_folder(&data, &old);
    validator.start();
    validator.wait_epochs(1);
    world.observe(validator.http());
    validator.stop();
    move_folder(&data, &new);
    copy_folder(&old, &data);
    assert_refuses(&mut validator, &["behind the guard", "old copy", "Restore the newest copy"]);
    std::fs::remove_dir_all(&data).unwrap();
    move_folder(&new, &data);
    validator.start();
    world.check_acknowledged(validator.http());
    world.check(validator.http());
}

#[test]
fn guard_is_moved_when_the_last_run_ended_before_it() {
    let mut validator = Validator::with_one_epoch_a_run();
    validator.start();
    let mut world = World::new(&validator);
    world.observe(validator.http());
    validator.stop();
    let guards = [validator.path("guard-1"), validator.path("guard-2")];
    std::fs::copy(validator.guard(), &guards[0]).unwrap();
    // One epoch for each run: the one that an orderly end closes.
    let one_epoch = |validator: &mut Validator, world: &mut World, name: &str| {
        validator.start();
        world.observe(validator.http());
        let prepared = signed(&tiny(name, HOLDS), 1, &developer(1));
        let answer = validator.http().submit(&prepared.upload.to_bytes());
        assert_eq!(answer.status, 202);
        world.acknowledge(answer.json());
        validator.stop();
    };
    one_epoch(&mut validator, &mut world, "org.example.a");
    std::fs::copy(validator.guard(), &guards[1]).unwrap();
    let newest = std::fs::read(validator.guard()).unwrap();

    std::fs::copy(&guards[0], validator.guard()).unwrap();
    validator.start();
    assert!(validator.process().log.has("moving the guard"));
    assert_eq!(std::fs::read(validator.guard()).unwrap(), newest);
    world.check_acknowledged(validator.http());
    world.check(validator.http());
    validator.stop();

    one_epoch(&mut validator, &mut world, "org.example.b");
    std::fs::copy(&guards[0], validator.guard()).unwrap();
    assert_refuses(&mut validator, &["holds a head of 1 epochs", "do not follow on by one"]);
    std::fs::copy(&guards[1], validator.guard()).unwrap();
    validator.start();
    assert_eq!(world.check(validator.http()).len(), 3);
    validator.stop();
    validator.fsck();
}

#[test]
fn start_is_refused_when_the_guard_is_of_another_history() {
    let (mut validator, _) = stopped();
    let own = std::fs::read(validator.guard()).unwrap();
    let check = |validator: &mut Validator, guard: &[u8], parts: &[&str]| {
        std::fs::write(validator.guard(), guard).unwrap();
        assert_refuses(validator, parts);
    };
    // Of another validator, from smaller to larger than ours.
    let mut other = Validator::new();
    check(&mut validator, &std::fs::read(other.guard()).unwrap(), &["do not follow on by one"]);
    other.start();
    for _ in 0..4 {
        let guard = std::fs::read(other.guard()).unwrap();
        std::fs::write(validator.guard(), guard).unwrap();
        let Err(refused) = validator.try_start() else { panic!("another's guard was taken") };
        assert!(refused.log.contains("the guard") && !refused.log.contains("panicked"), "{}", refused.log);
        other.wait_epochs(1);
    }
    check(&mut validator, &own[..own.len() - 1], &["malformed"]);
    check(&mut validator, b"x", &["malformed"]);
    let mut flipped = own.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(validator.guard(), flipped).unwrap();
    assert!(validator.try_start().is_err());
    std::fs::write(validator.guard(), own).unwrap();
    validator.start();
}

#[test]
fn start_is_refused_when_keys_are_not_as_they_should_be() {
    let (mut validator, _) = stopped();
    let (log, str) = (validator.path("keys/log"), validator.path("keys/str"));
    let (log_key, str_key) = (std::fs::read(&log).unwrap(), std::fs::read(&str).unwrap());
    let write = |log_key: &[u8], str_key: &[u8]| {
        std::fs::write(&log, log_key).unwrap();
        std::fs::write(&str, str_key).unwrap();
    };
    write(&str_key, &log_key);
    assert_refuses(&mut validator, &["the keys are not those"]);
    write(&log_key, &log_key);
    assert_refuses(&mut validator, &["hold the same key"]);
    let other = Validator::new();
    write(&std::fs::read(other.path("keys/log")).unwrap(), &str_key);
    assert_refuses(&mut validator, &["the keys are not those"]);
    write(b"not a key", &str_key);
    assert_refuses(&mut validator, &["keys/log"]);
    write(&log_key, &str_key);
    for file in [&log, &str] {
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o640)).unwrap();
        assert_refuses(&mut validator, &["has mode 640", "chmod 600"]);
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
    }
    std::fs::rename(&str, validator.path("aside")).unwrap();
    assert_refuses(&mut validator, &["read", "keys/str"]);
    std::fs::rename(validator.path("aside"), &str).unwrap();
    validator.set("origin", "\"another.example\"");
    assert_refuses(&mut validator, &["keeps its keys and its origin"]);
    validator.set("origin", "\"pv.test.example\"");
    validator.start();
}

#[test]
fn init_makes_a_validator_once() {
    let validator = Validator::bare();
    let init = || validator.run(&["init", "--config", "pv.toml"]);
    assert!(init().status.success());
    let files = ["keys/log", "keys/str", "keys/log.guard", "data/log.vkey", "data/str.vkey"];
    let contents = || files.map(|file| std::fs::read(validator.path(file)).unwrap());
    let before = contents();
    for key in &files[..2] {
        let mode = std::fs::metadata(validator.path(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let again = init();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists already"));
    assert_eq!(contents(), before);
    // Any one of them is reason enough.
    for kept in ["keys/log", "keys/str", "keys/log.guard", "data/store"] {
        let other = Validator::bare();
        std::fs::create_dir_all(other.path(kept).parent().unwrap()).unwrap();
        std::fs::write(other.path(kept), "kept").unwrap();
        assert_eq!(other.run(&["init", "--config", "pv.toml"]).status.code(), Some(1), "{kept}");
        assert_eq!(std::fs::read(other.path(kept)).unwrap(), b"kept");
    }
}

#[test]
fn config_is_refused_by_the_name_of_its_key() {
    let check = |key: &str, value: &str, expect: &str| {
        let mut validator = Validator::bare();
        validator.set(key, value);
        let output = validator.run(&["--config", "pv.toml", "--check-config"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{key} = {value}");
        assert!(said.contains("pv.toml") && said.contains(expect), "{key} = {value}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        assert!(!validator.path("data").exists());
    };
    for (key, value) in [
        ("origin", "\"\""),
        ("origin", "\"a b\""),
        ("origin", "\"a+b\""),
        ("listen", "\"nowhere\""),
        ("epoch_interval_s", "0"),
        ("epoch_interval_s", "86401"),
        ("epoch_interval_s", "\"1\""),
        ("epoch_interval_s", "-1"),
        ("decide_within_s", "1"),
        ("queue_limit", "0"),
        ("queue_limit", "50001"),
        ("compile_limit_s", "0"),
        ("shutdown_grace_s", "3601"),
        ("block_cache_mib", "7"),
        ("acceptance", "\"structure &\""),
        ("acceptance", "\"no-such-property\""),
        ("log_filter", "\"=[\""),
        ("log_format", "\"xml\""),
        ("epoch_intervall_s", "1"),
    ] {
        check(key, value, key);
    }
    let long = format!("\"{}\"", "a".repeat(255));
    check("origin", &long, "origin");
    check("str_key", "\"keys/log\"", "str_key");
    let validator = Validator::bare();
    let output = validator.run(&["--config", "pv.toml", "--check-config"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(validator.run(&["--check-config"]).status.code(), Some(2));
    assert_eq!(validator.run(&[]).status.code(), Some(2));
    assert_eq!(validator.run(&["--config", "none.toml"]).status.code(), Some(1));
}

#[test]
fn compiler_is_not_run_without_consent() {
    let mut validator = Validator::new();
    validator.set("allow_unconfined", "false");
    assert_refuses(&mut validator, &["no sandbox", "allow_unconfined = true"]);
    validator.set("allow_unconfined", "true");
    validator.set("compiler", "\"no-such-compiler\"");
    assert_refuses(&mut validator, &["no-such-compiler does not run"]);
}

#[test]
fn sigterm_finishes_what_was_accepted() {
    let mut validator = Validator::with_one_epoch_a_run();
    validator.start();
    let mut world = World::new(&validator);
    for i in 0..8 {
        let prepared = signed(&tiny(&format!("org.example.n{i}"), FAILS), 1, &developer(1));
        let answer = validator.http().submit(&prepared.upload.to_bytes());
        assert_eq!(answer.status, 202);
        world.acknowledge(answer.json());
    }
    let log = validator.stop();
    assert!(log.contains("finishing what was accepted") && log.contains("epoch closed"), "{log}");
    validator.start();
    world.check_acknowledged(validator.http());
    let published = |status: &SubmissionStatus| status.progress == Progress::Published;
    assert!(world.acknowledged().all(published), "the last epoch covers what was decided");
    assert_eq!(world.check(validator.http()).len(), 2);

    // Without grace, what is undecided stays queued.
    validator.stop();
    validator.set("shutdown_grace_s", "0");
    validator.start();
    for i in 0..8 {
        let prepared = signed(&tiny(&format!("org.example.m{i}"), FAILS), 1, &developer(1));
        world.acknowledge(validator.http().submit(&prepared.upload.to_bytes()).json());
    }
    validator.stop();
    validator.set("epoch_interval_s", "1");
    validator.start();
    world.check_acknowledged(validator.http());
    let submissions: Vec<_> = world.acknowledged().map(|status| status.submission).collect();
    for submission in submissions {
        validator.wait_published(&submission);
    }
    world.check_acknowledged(validator.http());
    assert!(world.acknowledged().all(published));
    world.check(validator.http());
    validator.stop();
    validator.fsck();
}

#[test]
fn epochs_go_on_where_they_ended_without_backfill() {
    let mut validator = Validator::started();
    let mut world = World::new(&validator);
    validator.wait_epochs(2);
    world.observe(validator.http());
    validator.stop();
    let down = std::time::Instant::now();
    let before = world.size();
    // Epochs that would have been: the time it takes to check the database many times over.
    while down.elapsed() < std::time::Duration::from_millis(2500) {
        validator.fsck();
    }
    validator.start();
    world.observe(validator.http());
    assert!(world.size().0 <= before.0 + 1, "{before} epochs before, {} after", world.size());
    validator.wait_epochs(1);
    let strs = world.check(validator.http());
    assert!(strs.windows(2).any(|pair| pair[1].time.0 >= pair[0].time.0 + 2), "the gap is in the times");
    validator.stop();
}
