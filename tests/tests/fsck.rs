//! Disks that forget: a flipped bit is told of, keeps the validator from starting, or changes nothing.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::path::{Path, PathBuf};

use pds_tests::plugins::{GOOD, developer, sample, signed};
use pds_tests::random::from_environment;
use pds_tests::validator::Validator;
use pds_tests::world::World;

/// Flips in each file.
const FLIPS: u64 = 4;

fn database_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let is_data = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        let kind = name.ends_with(".sst") || name.ends_with(".log") || name.starts_with("MANIFEST");
        (kind || name == "CURRENT") && path.metadata().unwrap().len() > 0
    };
    files.retain(is_data);
    files.sort();
    files
}

/// A validator with a few plugins and epochs, stopped; its database in tables and in the log.
fn stopped() -> (Validator, World) {
    let mut validator = Validator::started();
    let mut world = World::new(&validator);
    world.acknowledge(validator.publish(&signed(&sample(GOOD[0]), 1, &developer(1))));
    world.acknowledge(validator.publish_tiny("org.example.a", 1));
    validator.stop();
    validator.start();
    world.acknowledge(validator.publish_tiny("org.example.b", 1));
    world.check(validator.http());
    validator.stop();
    validator.fsck();
    (validator, world)
}

#[test]
fn flipped_bit_is_told_or_changes_nothing() {
    let mut random = from_environment(11);
    let (mut validator, mut world) = stopped();
    let store = validator.path("data/store");
    let files = database_files(&store);
    assert!(files.iter().any(|file| file.extension().is_some_and(|kind| kind == "sst")), "{files:?}");
    let pristine = validator.path("pristine");
    let restore = |from: &Path, to: &Path| {
        let _ = std::fs::remove_dir_all(to);
        std::fs::create_dir(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    restore(&store, &pristine);
    // What follows is due to the flips, not to the copies.
    restore(&pristine, &store);
    validator.fsck();
    let guard = std::fs::read(validator.guard()).unwrap();
    let (mut told, mut refused, mut harmless) = (0, 0, 0);
    for file in &files {
        let whole = std::fs::read(pristine.join(file.file_name().unwrap())).unwrap();
        for _ in 0..FLIPS {
            let bit = random.below(whole.len() as u64 * 8);
            let place = format!("bit {bit} of {}", file.display());
            restore(&pristine, &store);
            std::fs::write(validator.guard(), &guard).unwrap();
            let mut bytes = whole.clone();
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            std::fs::write(file, bytes).unwrap();

            let output = validator.run(&["fsck", "data"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{place}: {}\n{said}", output.status);
            assert!(!said.contains("panicked"), "{place}: {said}");
            let found = !output.status.success();
            told += u32::from(found);
            match validator.try_start() {
                Err(start) => {
                    assert_eq!(start.status.code(), Some(1), "{place}: {}", start.log);
                    assert!(!start.log.contains("panicked"), "{place}: {}", start.log);
                    refused += 1;
                }
                Ok(()) if found => validator.kill(),
                Ok(()) => {
                    // Nobody says a word: then nothing may be missing, and nothing be different.
                    world.check_acknowledged(validator.http());
                    world.check(validator.http());
                    harmless += 1;
                    validator.kill();
                }
            }
        }
    }
    println!("{} files: fsck told of {told}, start refused {refused}, {harmless} harmless", files.len());
    assert!(told > 0 && refused > 0, "no flip did any harm");
}

#[test]
fn findings_are_counted_in_json() {
    let (validator, _) = stopped();
    let output = validator.run(&["fsck", "data", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"], serde_json::json!([]));
    assert_eq!((&report["checked"]["names"], &report["checked"]["queued"]), (&3.into(), &0.into()));
    assert_eq!(validator.run(&["fsck", "nowhere"]).status.code(), Some(3));
}
