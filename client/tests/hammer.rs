//! The hammer: it has nothing to say against an honest server, and finds every lie by the operation that meets it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests; clippy exempts only the tests")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Desk, Fake, Lie, SHORT, World, name};
use pds_client::hammer::check::{CheckError, check};
use pds_client::hammer::finding::FailureKind;
use pds_client::hammer::generate::Generator;
use pds_client::hammer::journal::{self, Journal};
use pds_client::hammer::random::Random;
use pds_client::hammer::run::{Outcome, Plan};
use pds_client::hammer::session::{Answered, Session};
use pds_client::hammer::view::ContradictionKind;
use pds_client::hammer::{Finding, HammerError, Mix, Operation, Report, Target, Trouble, run};
use pds_client::submit::ReceiptError;
use tokio::sync::Notify;

const PLUGIN: &str = "org.example.pacing";
const OTHER: &str = "org.example.other";
/// A run that takes longer hangs.
const BOUND: Duration = Duration::from_secs(90);

fn real_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Two names; more epochs than one tile has hashes.
fn world() -> World {
    let mut world = World::new(1, real_now());
    world.validate(&name(PLUGIN), 1);
    world.validate(&name(OTHER), 1);
    for _ in 0..270 {
        world.close(vec![]);
    }
    world.validate(&name(PLUGIN), 2);
    world
}

/// An honest validator of two names, until it is told to lie, and a session with it.
struct Bench {
    fake: Fake,
    session: Session,
}

impl Bench {
    async fn new() -> Self {
        let fake = Fake::start(world()).await;
        let desk = Desk::new(&[&fake]);
        let session = Session::new(target(&desk), None);
        Self { fake, session }
    }

    /// What an operation comes to, of which each is tried until it meets what it is to find, but not for ever.
    async fn perform(&self, operation: Operation) -> Result<(), Trouble> {
        let known = self.session.target.validator.as_ref().unwrap();
        let (session, unused) = (&self.session, &mut Answered::default());
        let plugin = name(PLUGIN);
        for seed in 0..40 {
            let random = &mut Random::new(seed);
            match operation {
                Operation::Checkpoint => session.checkpoint(unused).await?,
                Operation::Tile => session.tile(random, unused).await?,
                Operation::Entries => session.entries(random, unused).await?,
                Operation::Epoch => session.epoch(known, random, unused).await?,
                Operation::Evidence => session.evidence(known, &plugin, unused).await?,
                Operation::Absence => session.absence(known, random, unused).await?,
                Operation::Old => session.old(known, &plugin, random, unused).await?,
                Operation::History => session.history(known, &plugin, random, unused).await?,
                Operation::Submit => {
                    let prepared = Generator::new(seed, 0, 200, 0).make();
                    session.submit(known, &prepared, unused).await?;
                }
                Operation::Status => {
                    let Some(promise) = session.promises.next() else { return Ok(()) };
                    session.status(known, &promise, unused).await?;
                }
            }
        }
        Ok(())
    }

    async fn finding(&self, operation: Operation) -> Finding {
        match self.perform(operation).await {
            Err(Trouble::Finding(finding)) => *finding,
            other => panic!("{operation} finds nothing: {other:?}"),
        }
    }
}

fn target(desk: &Desk) -> Target {
    Target::validator(desk.source("PV1").known, None, SHORT).unwrap()
}

/// For as long as a test may take at most: they end their runs themselves.
fn plan(mix: &str) -> Plan {
    Plan {
        readers: 4,
        writers: 0,
        mix: mix.parse().unwrap(),
        read_rate: None,
        write_rate: None,
        warm_up: Duration::ZERO,
        length: BOUND,
        settle: Duration::ZERO,
        seed: 7,
        plugin_bytes: 500,
        broken_percent: 0,
        names: Vec::new(),
        learn: 100,
        tick: Duration::from_millis(10),
    }
}

/// Runs until the figures are `enough`.
async fn run_until(
    target: Target,
    plan: Plan,
    journal: Option<Journal>,
    enough: impl Fn(&Report) -> bool,
) -> Outcome {
    let reached = Arc::new(Notify::new());
    let stop = {
        let reached = Arc::clone(&reached);
        async move { reached.notified().await }
    };
    let on_tick = |report: &Report| {
        if enough(report) {
            reached.notify_one();
        }
    };
    let outcome = run(target, plan, journal, stop, on_tick).await.unwrap();
    assert!(enough(&outcome.report), "{outcome:#?}");
    outcome
}

fn count(report: &Report, operation: Operation) -> u64 {
    report.of(operation).map_or(0, |report| report.count)
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_validator_passes_every_operation() {
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    let plan = Plan { writers: 2, mix: Mix::of_validator(), ..plan("tile=1") };
    let enough = |report: &Report| Operation::ALL.iter().all(|operation| count(report, *operation) >= 20);
    let Outcome { report, findings, accepted, decided, .. } =
        run_until(target(&desk), plan, None, enough).await;
    assert!(findings.is_empty(), "{findings:#?}");
    assert_eq!(report.findings, 0);
    assert!(report.operations.iter().all(|operation| operation.failures.is_empty()), "{report:#?}");
    assert!(accepted >= 20 && decided >= 20, "{accepted} {decided}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_log_passes_by_its_key_alone() {
    let fake = Fake::start(world()).await;
    let key = fake.world.lock().unwrap().log_key().verifier().clone();
    let log = |origin| Target::any_log(key.clone(), origin, &fake.url, SHORT).unwrap();
    let any = Plan { mix: Mix::of_any_log(), ..plan("tile=1") };
    let enough = |report: &Report| {
        Operation::ALL.iter().filter(|o| o.is_of_any_log()).all(|operation| count(report, *operation) >= 20)
    };
    let outcome = run_until(log(None), any.clone(), None, enough).await;
    assert_eq!(outcome.report.findings, 0, "{:#?}", outcome.findings);

    let asks_more = run(log(None), plan("tile=1,evidence=1"), None, std::future::pending(), |_| {}).await;
    assert!(matches!(asks_more, Err(HammerError::NotAValidator(Operation::Evidence))));
    let other = log(Some("another.example".to_owned()));
    let outcome = run(other, any, None, std::future::pending(), |_| {}).await.unwrap();
    assert!(matches!(outcome.findings[..], [(Operation::Checkpoint, Finding::Checkpoint(_))]));
}

#[tokio::test(flavor = "multi_thread")]
async fn lie_is_found_by_the_operation_that_meets_it() {
    use Operation::{Absence, Entries, Epoch, Evidence, History, Old, Submit, Tile};
    type Expect = fn(&Finding) -> bool;
    let cases: [(Lie, Operation, Expect); 15] = [
        (Lie::TamperedTiles, Tile, |f| matches!(f, Finding::Tile(_))),
        (Lie::TamperedTiles, Entries, |f| matches!(f, Finding::Tile(_))),
        (Lie::TamperedEntries, Entries, |f| matches!(f, Finding::Entry { .. })),
        (Lie::EpochBefore, Epoch, |f| matches!(f, Finding::OtherStr(_))),
        (Lie::OtherName(OTHER), Evidence, |f| matches!(f, Finding::Evidence { .. })),
        (Lie::OtherName(OTHER), Absence, |f| matches!(f, Finding::Evidence { .. })),
        (Lie::OtherName(OTHER), Old, |f| matches!(f, Finding::Evidence { .. })),
        (Lie::OtherName(OTHER), History, |f| matches!(f, Finding::History { .. })),
        (Lie::HistoryAsNow, Evidence, |f| matches!(f, Finding::OtherEpoch { asked: None, .. })),
        (Lie::HistoryAsNow, Old, |f| matches!(f, Finding::OtherEpoch { asked: Some(_), .. })),
        (Lie::Html, Evidence, |f| matches!(f, Finding::Answer(_))),
        (Lie::Withhold("/tile"), Tile, |f| matches!(f, Finding::Answer(_))),
        (Lie::Withhold("/plugins"), Absence, |f| matches!(f, Finding::Answer(_))),
        (Lie::WrongReceipt, Submit, |f| {
            matches!(f, Finding::Receipt { cause: ReceiptError::About("release"), .. })
        }),
        (Lie::OnePlace, Submit, |f| matches!(f, Finding::PlaceTwice { index: 7, .. })),
    ];
    for (lie, operation, expect) in cases {
        let bench = Bench::new().await;
        bench.perform(Operation::Checkpoint).await.unwrap();
        bench.fake.lie(lie);
        let finding = bench.finding(operation).await;
        assert!(expect(&finding), "{lie:?} at {operation}: {finding:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_promise_is_found_when_its_status_is_asked() {
    type Expect = fn(&Finding) -> bool;
    let cases: [(Lie, Lie, Expect); 5] = [
        (Lie::Undecided, Lie::None, |f| matches!(f, Finding::Late { .. })),
        (Lie::DecidedLate, Lie::None, |f| matches!(f, Finding::Late { .. })),
        (Lie::WrongOutcome, Lie::None, |f| {
            matches!(f, Finding::Outcome { rule: "the release is validated", .. })
        }),
        (Lie::None, Lie::Withhold("/submissions/"), |f| matches!(f, Finding::Lost(_))),
        (Lie::None, Lie::OtherReceipt, |f| matches!(f, Finding::OtherReceipt(_))),
    ];
    for (when_submitted, when_asked, expect) in cases {
        let bench = Bench::new().await;
        bench.fake.lie(when_submitted);
        bench.perform(Operation::Submit).await.unwrap();
        bench.fake.lie(when_asked);
        let finding = bench.finding(Operation::Status).await;
        assert!(expect(&finding), "{when_submitted:?} {when_asked:?}: {finding:?}");
    }
    let honest = Bench::new().await;
    honest.perform(Operation::Submit).await.unwrap();
    honest.perform(Operation::Status).await.unwrap();
}

/// What the checkpoint operation finds once the world is another.
async fn contradiction(change: impl FnOnce(&mut World)) -> (ContradictionKind, Vec<String>) {
    let bench = Bench::new().await;
    bench.perform(Operation::Checkpoint).await.unwrap();
    change(&mut bench.fake.world.lock().unwrap());
    let finding = bench.finding(Operation::Checkpoint).await;
    let exhibits = finding.exhibits().into_iter().map(str::to_owned).collect();
    match finding {
        Finding::Contradiction(contradiction) => (contradiction.kind, exhibits),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_that_does_not_just_grow_is_found_with_both_checkpoints() {
    let honest = Bench::new().await;
    honest.perform(Operation::Checkpoint).await.unwrap();
    honest.fake.world.lock().unwrap().close(vec![]);
    honest.perform(Operation::Checkpoint).await.unwrap();

    let fork = |epochs: usize| {
        let mut fork = World::new(1, real_now());
        fork.validate(&name(OTHER), 9);
        (1..epochs).for_each(|_| fork.close(vec![]));
        fork
    };
    let (kind, exhibits) = contradiction(|world| *world = fork(273)).await;
    assert_eq!((kind, exhibits.len()), (ContradictionKind::TwoRoots, 2));
    assert_ne!(exhibits[0], exhibits[1]);
    let (kind, _) = contradiction(|world| *world = fork(300)).await;
    assert_eq!(kind, ContradictionKind::Fork);
    let (kind, _) = contradiction(|world| *world = fork(600)).await;
    assert_eq!(kind, ContradictionKind::Fork);
    let (kind, _) = contradiction(|world| *world = fork(200)).await;
    assert_eq!(kind, ContradictionKind::Rollback);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_brings_a_fork_to_light_too() {
    let bench = Bench::new().await;
    bench.perform(Operation::Evidence).await.unwrap();
    let mut fork = World::new(1, real_now());
    fork.validate(&name(PLUGIN), 2);
    (0..400).for_each(|_| fork.close(vec![]));
    *bench.fake.world.lock().unwrap() = fork;
    assert!(matches!(bench.finding(Operation::Evidence).await, Finding::Contradiction(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn name_that_vanishes_is_found() {
    let bench = Bench::new().await;
    let known = bench.session.target.validator.as_ref().unwrap();
    let nobody = name("org.example.nobody");
    let result = bench.session.evidence(known, &nobody, &mut Answered::default()).await;
    assert!(matches!(result, Err(Trouble::Finding(f)) if matches!(*f, Finding::Vanished { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_server_is_counted_and_no_finding() {
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    let busy = |report: &Report| {
        report
            .of(Operation::Tile)
            .is_some_and(|tile| tile.failures.get("refused-503").is_some_and(|n| *n > 3))
    };
    let lie = Arc::clone(&fake.lie);
    let enough = move |report: &Report| {
        if count(report, Operation::Tile) > 3 {
            *lie.lock().unwrap() = Lie::Busy;
        }
        busy(report)
    };
    let outcome = run_until(target(&desk), plan("tile=1"), None, enough).await;
    assert_eq!(outcome.report.findings, 0, "{:?}", outcome.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_is_not_there_is_no_finding() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    let away = || Target::validator(desk.source("PV1").known, Some(&nobody), SHORT).unwrap();
    let result = run(away(), plan("tile=1"), None, std::future::pending(), |_| {}).await;
    assert!(matches!(result, Err(HammerError::Unreachable(FailureKind::Connection))), "{result:?}");
    fake.lie(Lie::Silence);
    let bench = Session::new(target(&desk), None);
    let known = bench.target.validator.as_ref().unwrap();
    let result = bench.evidence(known, &name(PLUGIN), &mut Answered::default()).await;
    assert!(matches!(result, Err(Trouble::Failure(f)) if f.kind == FailureKind::Timeout), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_is_kept_and_no_more_is_asked() {
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    let length = Duration::from_secs(2);
    let rated = Plan { read_rate: Some(50.0), length, ..plan("checkpoint=1") };
    let outcome = run(target(&desk), rated, None, std::future::pending(), |_| {}).await.unwrap();
    let report = outcome.report;
    let done = report.answers() + report.left_undone;
    // What is due in two seconds, however slow this machine is.
    assert_eq!((done, report.findings), (100, 0), "{report:#?}");
    assert_eq!(report.seconds, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_up_is_not_measured() {
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    let warm_up = Duration::from_secs(1);
    let rated = Plan { read_rate: Some(50.0), warm_up, length: warm_up, ..plan("checkpoint=1") };
    let outcome = run(target(&desk), rated, None, std::future::pending(), |_| {}).await.unwrap();
    let done = outcome.report.answers() + outcome.report.left_undone;
    assert_eq!((done, outcome.report.seconds), (50, 1.0), "{:#?}", outcome.report);
}

/// A run that submits, and whose journal is at `path`.
async fn journalled(desk: &Desk, path: &Path) -> Outcome {
    let plan = Plan { readers: 1, writers: 2, settle: BOUND, ..plan("checkpoint=1") };
    let journal = Journal::open(path, true).unwrap();
    let enough = |report: &Report| count(report, Operation::Submit) >= 5;
    run_until(target(desk), plan, Some(journal), enough).await
}

#[tokio::test(flavor = "multi_thread")]
async fn journal_holds_an_honest_server_and_convicts_another() {
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    let path = desk.path("journal");
    let outcome = journalled(&desk, &path).await;
    let checked = check(target(&desk), &path).await.unwrap();
    assert!(checked.findings.is_empty(), "{:?}", checked.findings);
    // What was under way when the run was ended is in the journal too.
    assert!(checked.receipts >= outcome.accepted && checked.receipts >= 5, "{checked:?} {outcome:?}");
    assert_eq!(checked.decided, checked.receipts);
    assert!(checked.checkpoints >= 2, "{checked:?}");

    fake.lie(Lie::Withhold("/submissions/"));
    let checked = check(target(&desk), &path).await.unwrap();
    assert_eq!(checked.findings.len(), checked.receipts);
    assert!(checked.findings.iter().all(|(_, finding)| matches!(finding, Finding::Lost(_))));

    fake.lie(Lie::None);
    *fake.world.lock().unwrap() = world();
    let checked = check(target(&desk), &path).await.unwrap();
    let is_rollback = |finding: &Finding| matches!(finding, Finding::Contradiction(c) if c.kind == ContradictionKind::Rollback);
    assert!(checked.findings.iter().any(|(_, finding)| is_rollback(finding)), "{:?}", checked.findings);

    let log = fake.world.lock().unwrap().log_key().verifier().clone();
    let log = Target::any_log(log, None, &fake.url, SHORT).unwrap();
    assert!(matches!(check(log, &path).await, Err(CheckError::NotAValidator)));
    assert!(matches!(journal::read(&path), Ok(entries) if entries.len() > 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn command_prints_figures_and_exits_by_findings() {
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    let pds = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pds"));
        let output = command.current_dir(desk.folder.path()).args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let trust = ["--trust", "trust.toml", "--validator", "PV1"];
    let hammer = [&["hammer", "--seconds", "1", "--quiet"][..], &trust].concat();
    let (code, out, err) = pds(&[&hammer[..], &["--journal", "j"]].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("evidence") && out.contains("p99.9") && out.contains("every answer holds"), "{out}");
    assert!(err.is_empty(), "{err}");
    let (code, out, _) = pds(&[&["hammer", "check", "j"][..], &trust].concat());
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("against 1 checkpoints"), "{out}");

    fake.lie(Lie::EpochBefore);
    let (code, out, _) = pds(&[&hammer[..], &["--mix", "epoch=1", "--json"]].concat());
    assert_eq!(code, 1, "{out}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["holds"], &json["found"][0]["operation"]), (&false.into(), &"epoch".into()));
    assert!(json["operations"][0]["p99_ms"].is_number(), "{json}");

    for usage in [&["hammer", &fake.url][..], &["hammer"], &[&hammer[..], &["--mix", "tiles=1"]].concat()] {
        assert_eq!(pds(usage).0, 2, "{usage:?}");
    }
    fake.lie(Lie::None);
    std::fs::write(desk.path("names"), format!("{PLUGIN}\norg.example.nobody\n")).unwrap();
    for operation in ["evidence=1", "history=1"] {
        let (code, out, err) = pds(&[&hammer[..], &["--names", "names", "--mix", operation]].concat());
        assert_eq!(code, 2, "{out}");
        assert!(err.contains("org.example.nobody") && !err.contains(PLUGIN), "{err}");
    }
    let key = fake.world.lock().unwrap().log_key().verifier().to_string();
    let (code, out, _) = pds(&["hammer", &fake.url, "--vkey", &key, "--seconds", "1", "--quiet"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(pds(&["hammer", "http://127.0.0.1:1/", "--vkey", &key]).0, 3);
}
