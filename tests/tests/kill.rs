//! `kill -9` at any moment, again and again, while submissions come in and epochs close.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::VecDeque;
use std::fs::DirEntry;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pds_client::submit::Prepared;
use pds_schemas::json::{Progress, SubmissionStatus};
use pds_schemas::{Artefact, PosixTime};
use pds_tests::http::Http;
use pds_tests::plugins::{FAILS, HOLDS, developer, signed, tiny};
use pds_tests::process::Log;
use pds_tests::random::{Random, from_environment};
use pds_tests::validator::Validator;
use pds_tests::world::World;

const KILLS: usize = 20;
/// Submissions of one run. Each costs the compiler at most twice.
const A_RUN: usize = 8;

/// What a client saw until the server was gone.
#[derive(Default)]
struct Seen {
    acknowledged: Vec<SubmissionStatus>,
    /// Sent, and never answered: taken or not, nobody can tell.
    in_doubt: Vec<Prepared>,
    checkpoints: Vec<Vec<u8>>,
    entries: Vec<Vec<u8>>,
}

/// Submits, looks, and then looks again after every epoch.
fn client(http: Http, log: &Log, uploads: Vec<Prepared>) -> Seen {
    let mut seen = Seen::default();
    for prepared in uploads {
        match http.try_submit(&prepared.upload.to_bytes()) {
            Ok(answer) if matches!(answer.status, 200 | 202) => seen.acknowledged.push(answer.json()),
            Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
            Err(_) => seen.in_doubt.push(prepared),
        }
        look(http, &mut seen);
    }
    let mut next = 0;
    while log
        .wait_for(next, |line| {
            next += 1;
            line.contains("\"epoch closed\"").then_some(())
        })
        .is_some()
    {
        look(http, &mut seen);
    }
    seen
}

fn look(http: Http, seen: &mut Seen) {
    for (path, bytes) in [("/checkpoint", &mut seen.checkpoints), ("/epochs/latest", &mut seen.entries)] {
        bytes.extend(http.send("GET", path, &[], &[]).ok().map(|answer| answer.body));
    }
}

/// Lets the validator run until some moment, and kills it.
fn run_and_kill(validator: &mut Validator, random: &mut Random, uploads: Vec<Prepared>) -> Seen {
    let (http, log) = (validator.http(), Arc::clone(&validator.process().log));
    let store = validator.path("data/store");
    let kind = random.below(4);
    let millis = match kind {
        // Anywhere; just before and about when the first epoch closes; during an orderly end.
        0 => random.below(1000),
        1 => 900,
        2 => 950 + random.below(100),
        _ => random.below(500),
    };
    let rest = random.below(40);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| client(http, &log, uploads));
        log.watch(Duration::from_millis(millis));
        if kind == 1 {
            wait_for_write(&store);
        }
        if kind == 3 {
            validator.process().terminate();
            log.watch(Duration::from_millis(rest));
        }
        validator.kill();
        client.join().unwrap()
    })
}

/// Waits until the database's log grows: the first of an epoch's writes. Not long, for it may just have been.
fn wait_for_write(store: &Path) {
    let is_log = |entry: &DirEntry| entry.path().extension().is_some_and(|kind| kind == "log");
    let bytes = || -> u64 {
        let files = std::fs::read_dir(store).unwrap().flatten().filter(is_log);
        files.map(|file| file.metadata().map_or(0, |metadata| metadata.len())).sum()
    };
    let (before, started) = (bytes(), Instant::now());
    while bytes() == before && started.elapsed() < Duration::from_millis(500) {
        std::thread::yield_now();
    }
}

#[test]
fn nothing_is_lost_or_said_twice_when_killed_at_any_moment() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let mut random = from_environment(seed.into());
    let mut validator = Validator::new();
    let mut world = World::new(&validator);
    let code = |i: usize| if i.is_multiple_of(4) { HOLDS } else { FAILS };
    let mut uploads: VecDeque<Prepared> = (0..KILLS * A_RUN)
        .map(|i| signed(&tiny(&format!("org.example.n{i}"), code(i)), 1, &developer(1)))
        .collect();
    let (mut dropped, mut moved) = (0, 0);
    for _ in 0..KILLS {
        if random.below(4) == 0 {
            // Killed while it starts, too.
            let mut process = validator.spawn();
            process.log.watch(Duration::from_millis(random.below(60)));
            process.kill();
        }
        validator.start();
        dropped += u32::from(validator.process().log.has("dropped an epoch"));
        moved += u32::from(validator.process().log.has("moving the guard"));
        let http = validator.http();
        world.check_acknowledged(http);
        assert!(world.observe(http));
        let batch = uploads.drain(..A_RUN.min(uploads.len())).collect();
        let seen = run_and_kill(&mut validator, &mut random, batch);
        seen.acknowledged.into_iter().for_each(|status| world.acknowledge(status));
        seen.checkpoints.iter().for_each(|note| world.see_checkpoint(note));
        seen.entries.into_iter().for_each(|entry| drop(world.see_entry(entry)));
        uploads.extend(seen.in_doubt);
    }
    println!("killed before the commit of an epoch {dropped} times, between commit and guard {moved} times");

    validator.start();
    let http = validator.http();
    for prepared in uploads {
        let answer = http.submit(&prepared.upload.to_bytes());
        assert!(matches!(answer.status, 200 | 202), "{answer:?}");
        world.acknowledge(answer.json());
    }
    world.check_acknowledged(http);
    let submissions: Vec<_> = world.acknowledged().map(|status| status.submission).collect();
    assert!(submissions.len() > KILLS, "hardly anything was tried");
    for submission in submissions {
        validator.wait_published(&submission);
    }
    world.check_acknowledged(http);
    assert!(world.acknowledged().all(|status| status.progress == Progress::Published));
    world.check(http);
    let folder = tempfile::tempdir().unwrap();
    let memory = pds_client::state::Memory::open(folder.path()).unwrap();
    let source = validator.source();
    let audit = pds_client::audit::audit(&source, &memory, true, PosixTime(0), |_, _| {});
    let report = tokio::runtime::Runtime::new().unwrap().block_on(audit).unwrap();
    assert!(report.violations.is_empty(), "{:?}", report.violations);
    validator.stop();
    validator.fsck();
}
