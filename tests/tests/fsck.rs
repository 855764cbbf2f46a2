//! Disks that forget: a flipped bit is told of, keeps the validator from starting, or changes nothing.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use pds_core::hash::sha256;
use pds_schemas::{Artefact, Binding, NameHistory, NameRecord};
use pds_tests::http::Http;
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

/// Makes the folder `to` a copy of `from`.
fn replace_by(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
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
    replace_by(&store, &pristine);
    // What follows is due to the flips, not to the copies.
    replace_by(&pristine, &store);
    validator.fsck();
    let guard = std::fs::read(validator.guard()).unwrap();
    let (mut told, mut refused, mut harmless) = (0, 0, 0);
    for file in &files {
        let whole = std::fs::read(pristine.join(file.file_name().unwrap())).unwrap();
        for _ in 0..FLIPS {
            let bit = random.below(whole.len() as u64 * 8);
            let place = format!("bit {bit} of {}", file.display());
            replace_by(&pristine, &store);
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

/// What is served of the log of `size` epochs and of `names`, each path with its answer.
fn everything(http: Http, size: u64, names: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let plain = ["/checkpoint", "/epochs/latest", "/plugins/org.example.nobody"];
    let mut paths: Vec<String> = plain.map(str::to_owned).into();
    paths.extend([format!("/tile/0/000.p/{size}"), format!("/tile/entries/000.p/{size}")]);
    for epoch in 0..size {
        paths.extend([format!("/epochs/{epoch}"), format!("/epochs/{epoch}/changes")]);
        paths.push(format!("/proofs/inclusion?leaf={epoch}&size={size}"));
        paths.push(format!("/proofs/consistency?from={}&to={size}", epoch + 1));
        paths.extend(names.iter().map(|name| format!("/plugins/{name}?epoch={epoch}")));
    }
    for name in names {
        paths.extend([format!("/plugins/{name}"), format!("/plugins/{name}/history")]);
        let history: NameHistory = http.artefact(&format!("/plugins/{name}/history"));
        for bytes in &history.records {
            let record = NameRecord::from_bytes(bytes).unwrap();
            paths.extend([format!("/records/{}", sha256(bytes)), format!("/objects/{}", record.owner)]);
            let Some(digest) = record.binding else { continue };
            let binding = Binding::from_bytes(&http.addressed("bindings", &digest)).unwrap();
            paths.extend([format!("/bindings/{digest}"), format!("/policies/{}", binding.policy)]);
            paths.extend(binding.objects.iter().map(|(_, object)| format!("/objects/{object}")));
        }
    }
    paths.into_iter().map(|path| (path.clone(), http.body(&path))).collect()
}

/// Flips a bit in every few hundred bytes of all tables in `store`, under whoever has them open.
fn decay(store: &Path) {
    for file in database_files(store).into_iter().filter(|file| file.extension().is_some_and(|e| e == "sst"))
    {
        let bytes = std::fs::read(&file).unwrap();
        let open = File::options().write(true).open(&file).unwrap();
        for at in (0..bytes.len()).step_by(300) {
            open.write_all_at(&[bytes[at] ^ 1 << (at % 8)], at as u64).unwrap();
        }
    }
}

#[test]
fn tables_that_decay_under_a_server_give_errors_and_no_other_answer_also_with_answers_kept() {
    let (mut validator, mut world) = stopped();
    validator.set("epoch_interval_s", "3600");
    validator.set("decide_within_s", "7200");
    validator.start();
    world.observe(validator.http());
    let sound = everything(validator.http(), world.size().0, &["org.example.a", "org.example.b"]);
    validator.kill();
    let (store, pristine) = (validator.path("data/store"), validator.path("pristine"));
    replace_by(&store, &pristine);
    // One that has given no answer yet, and one that keeps those about epochs.
    let given = [false, true].map(|keeps_some| {
        replace_by(&pristine, &store);
        validator.start();
        let http = validator.http();
        let is_kept = |path: &str| keeps_some && path.starts_with("/epochs/");
        for (path, expect) in sound.iter().filter(|(path, _)| is_kept(path)) {
            assert!(http.body(path) == *expect, "{path}");
        }
        decay(&store);
        let mut given = 0;
        for (path, expect) in sound.iter().chain(&sound) {
            let answer = http.get(path);
            match answer.status {
                200 => assert!(answer.body == *expect, "{path}"),
                status => assert!(status == 500 && !is_kept(path), "{path}: {status}"),
            }
            given += usize::from(answer.status == 200);
        }
        validator.kill();
        given
    });
    println!("{given:?} of {} answers were given", 2 * sound.len());
    assert!(given[0] < given[1] && given[1] < 2 * sound.len(), "{given:?}");
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
