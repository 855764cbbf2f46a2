//! Backups of running and stopped validators, and what comes out of them again.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pds_schemas::Artefact;
use pds_tests::output::{refused, well};
use pds_tests::plugins::{FAILS, HOLDS, developer, signed, tiny};
use pds_tests::validator::Validator;
use pds_tests::world::World;

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn backup_of_a_running_validator_is_of_one_moment_and_restores() {
    let mut validator = Validator::started();
    let mut world = World::new(&validator);
    world.acknowledge(validator.publish_tiny("org.example.a", 1));
    // While submissions and epochs go on.
    for i in 0..8 {
        let prepared = signed(&tiny(&format!("org.example.n{i}"), FAILS), 1, &developer(1));
        world.acknowledge(validator.http().submit(&prepared.upload.to_bytes()).json());
    }
    let manifest: serde_json::Value = serde_json::from_str(&well(&validator.backup("copy"))).unwrap();
    world.observe(validator.http());
    let copy = validator.path("copy");
    assert_eq!(names_in(&copy), ["backup.json", "log.vkey", "store", "str.vkey"]);
    assert_eq!(manifest["submissions"], 9, "what was acknowledged before is in it");
    assert!(manifest["head"]["size"].as_u64().unwrap() <= world.size().0);
    for file in manifest["files"].as_array().unwrap() {
        let mode = std::fs::metadata(copy.join(file["path"].as_str().unwrap())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    // The server keeps nothing of it.
    let mut kept = names_in(&validator.path("data"));
    while kept.contains(&"checkpoint".to_owned()) {
        validator.wait_epochs(1);
        kept = names_in(&validator.path("data"));
    }
    assert_eq!(kept, ["control.sock", "log.vkey", "store", "str.vkey"]);
    refused(&validator.backup("copy"), "make the new folder");
    validator.stop();
    assert_eq!(names_in(&validator.path("data")), ["log.vkey", "store", "str.vkey"]);

    refused(&validator.restore("copy"), "make the data folder");
    std::fs::rename(validator.path("data"), validator.path("newest")).unwrap();
    let told = well(&validator.restore("copy"));
    assert!(told.contains("may not sign yet") && told.contains("behind the guard"), "{told}");
    validator.fsck();
    let refused = validator.try_start().unwrap_err();
    assert!(
        refused.log.contains("behind the guard") && refused.log.contains("restore --from"),
        "{}",
        refused.log
    );

    std::fs::remove_dir_all(validator.path("data")).unwrap();
    std::fs::rename(validator.path("newest"), validator.path("data")).unwrap();
    validator.start();
    world.check_acknowledged(validator.http());
    world.check(validator.http());
}

#[test]
fn backup_of_a_stopped_validator_goes_on_where_it_was() {
    let mut validator = Validator::started();
    let mut world = World::new(&validator);
    world.acknowledge(validator.publish_tiny("org.example.a", 1));
    validator.stop();
    well(&validator.backup("copy"));
    std::fs::remove_dir_all(validator.path("data")).unwrap();
    // An empty folder is as good as none.
    std::fs::create_dir(validator.path("data")).unwrap();
    assert!(well(&validator.restore("copy")).contains("it may sign"));
    validator.start();
    world.check_acknowledged(validator.http());
    world.acknowledge(validator.publish_tiny("org.example.a", 2));
    world.check(validator.http());
    validator.stop();
    validator.fsck();
}

#[test]
fn head_that_was_never_published_is_not_backed_up() {
    let mut validator = Validator::with_one_epoch_a_run();
    validator.start();
    validator.stop();
    let before = std::fs::read(validator.guard()).unwrap();
    // One epoch for each run: the one that an orderly end closes.
    validator.start();
    let prepared = signed(&tiny("org.example.a", HOLDS), 1, &developer(1));
    assert_eq!(validator.http().submit(&prepared.upload.to_bytes()).status, 202);
    validator.stop();

    let newest = std::fs::read(validator.guard()).unwrap();
    assert_ne!(before, newest);
    std::fs::write(validator.guard(), &before).unwrap();
    refused(&validator.backup("copy"), "start it once first");
    assert!(!validator.path("copy").exists() && !validator.path("copy.partial").exists());
    validator.start();
    validator.stop();
    assert_eq!(std::fs::read(validator.guard()).unwrap(), newest);
    well(&validator.backup("copy"));
}

#[test]
fn head_that_was_never_published_is_not_backed_up_by_a_running_server() {
    let mut validator = Validator::started();
    validator.publish_tiny("org.example.a", 1);
    // What is in the way of the guard's next value: an epoch is committed, and then the server halts.
    let obstacle = validator.path("keys/log.guard.new");
    std::fs::create_dir(&obstacle).unwrap();
    let log = &validator.process().log;
    let halted = log.wait_for(0, |line| line.contains("signs and accepts no more").then_some(()));
    assert!(halted.is_some(), "{}", log.text());
    refused(&validator.backup("copy"), "the last epoch was not published");
    assert!(!validator.path("copy").exists() && !validator.path("copy.partial").exists());
    assert!(!validator.path("data/checkpoint").exists());
    validator.kill();

    std::fs::remove_dir(&obstacle).unwrap();
    validator.start();
    assert!(validator.process().log.has("moving the guard"));
    well(&validator.backup("copy"));
    validator.stop();
}

#[test]
fn backup_of_other_keys_is_not_restored() {
    let mut other = Validator::started();
    other.stop();
    let validator = Validator::new();
    std::fs::remove_dir_all(validator.path("data")).unwrap();
    let copy = validator.path("copy");
    well(&other.backup(copy.to_str().unwrap()));
    refused(&validator.restore("copy"), "the keys are not those");
    assert!(!validator.path("data").exists());
}

#[test]
fn backup_without_a_socket_does_not_disturb_a_running_validator() {
    let mut validator = Validator::started();
    std::fs::remove_file(validator.path("data/control.sock")).unwrap();
    refused(&validator.backup("copy"), "is in use");
    assert!(!validator.path("copy").exists() && !validator.path("copy.partial").exists());
    validator.publish_tiny("org.example.a", 1);
    validator.stop();
    validator.fsck();
}

#[test]
fn damaged_backup_is_not_restored() {
    let mut validator = Validator::started();
    validator.publish_tiny("org.example.a", 1);
    well(&validator.backup("copy"));
    validator.stop();
    std::fs::remove_dir_all(validator.path("data")).unwrap();
    let restored = |part: &str| {
        refused(&validator.restore("copy"), part);
        assert!(!validator.path("data").exists() && !validator.path("data.partial").exists());
    };
    let files: Vec<_> =
        names_in(&validator.path("copy/store")).into_iter().map(|f| format!("store/{f}")).collect();
    for file in files.iter().map(String::as_str).chain(["log.vkey", "str.vkey"]) {
        let path = validator.path("copy").join(file);
        let whole = std::fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        match damaged.len() / 2 {
            0 => damaged.push(0),
            middle => damaged[middle] ^= 1,
        }
        std::fs::write(&path, &damaged).unwrap();
        restored("is damaged");
        std::fs::remove_file(&path).unwrap();
        restored("copy ");
        std::fs::write(&path, &whole).unwrap();
    }
    // A manifest that fits the damage does not help it.
    let manifest = validator.path("copy/backup.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let head: serde_json::Value = serde_json::from_str(&text).unwrap();
    let record = head["head"]["record"].as_str().unwrap();
    let other = record.replace(&record[..1], if record.starts_with('0') { "1" } else { "0" });
    std::fs::write(&manifest, text.replace(record, &other)).unwrap();
    restored("another head than its manifest says");
    std::fs::write(&manifest, text.replace("pds-backup/1", "pds-backup/2")).unwrap();
    restored("this program reads \"pds-backup/1\"");
    std::fs::write(&manifest, text.replace("\"log.vkey\"", "\"../log.vkey\"")).unwrap();
    restored("does not belong in a backup");
    std::fs::remove_file(&manifest).unwrap();
    restored("every complete backup has");
    std::fs::write(&manifest, &text).unwrap();
    well(&validator.restore("copy"));
    validator.fsck();
}

#[test]
fn backup_that_is_killed_leaves_nothing_under_its_name() {
    let mut validator = Validator::started();
    validator.publish(&signed(&tiny("org.example.a", HOLDS), 1, &developer(1)));
    let mut killed = 0;
    for round in 0..12_u32 {
        let mut command = validator.command(&["backup", "--config", "pv.toml", "copy"]);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        // As soon as there is something to see, and a little later each time.
        while !validator.path("copy.partial").exists() && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        for _ in 0..round * 20_000 {
            std::hint::spin_loop();
        }
        let _ = child.kill();
        killed += u32::from(!child.wait().unwrap().success());
        if validator.path("copy").exists() {
            assert!(validator.path("copy/backup.json").exists());
            std::fs::remove_dir_all(validator.path("copy")).unwrap();
        }
    }
    assert!(killed > 0, "nothing was killed in the middle");
    // One that was killed may hold the server up for as long as it takes to remove what it asked for.
    while !validator.backup("copy").status.success() {
        validator.wait_epochs(1);
    }
    assert!(!validator.path("copy.partial").exists());
    validator.stop();
    std::fs::remove_dir_all(validator.path("data")).unwrap();
    well(&validator.restore("copy"));
    validator.fsck();
}
