//! Auditing logs: one that keeps its word, and many that do not.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

mod common;

use common::{Desk, Fake, Lie, NOW, World, name};
use pds_client::audit::{AuditError, Report, Violation, audit};
use pds_client::growth::GrowthError;
use pds_core::checkpoint::Checkpoint;
use pds_core::cose;
use pds_core::epoch::EpochPlan;
use pds_core::hash::sha256;
use pds_core::name_record::{Decision, NameEvent};
use pds_schemas::cose::{CoseSign1, SignedKind};
use pds_schemas::{Artefact, Binding, Digest, EpochNumber, PosixTime, Release, SignedTreeRoot, TreeSize};

const PLUGIN: &str = "org.example.pacing";

fn world() -> World {
    let mut world = World::new(1, NOW);
    world.close(vec![]);
    world.validate(&name(PLUGIN), 1);
    world.validate(&name("org.example.other"), 1);
    world.fail(&name("org.example.broken"), 1);
    world.validate(&name(PLUGIN), 2);
    world.close(vec![]);
    world
}

async fn run(desk: &Desk, from_scratch: bool) -> Result<Report, AuditError> {
    audit(&desk.source("PV1"), &desk.memory(), from_scratch, PosixTime(NOW), |_, _| ()).await
}

async fn audit_of(world: World, lie: Lie) -> Report {
    let fake = Fake::start(world).await;
    fake.lie(lie);
    run(&Desk::new(&[&fake]), false).await.unwrap()
}

fn found(report: &Report) -> Vec<&Violation> {
    report.violations.iter().collect()
}

#[tokio::test]
async fn audit_holds_for_an_honest_log() {
    let report = audit_of(world(), Lie::None).await;
    assert!(report.violations.is_empty(), "{report:?}");
    let counts = report.counts;
    assert_eq!((report.size, report.names, counts.epochs), (TreeSize(6), 3, 6));
    assert_eq!((counts.changes, counts.records, counts.tiles), (4, 4, 1));
    assert_eq!((counts.policies, counts.owners, counts.bindings, counts.causes), (1, 3, 3, 1));
    // Of release 2 of one and release 1 of the other: two objects each; manifests; one environment.
    assert_eq!(counts.objects, 4 + 2 + 1);
}

#[tokio::test]
async fn audit_goes_on_where_the_last_one_ended() {
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    assert!(run(&desk, false).await.unwrap().violations.is_empty());
    fake.world.lock().unwrap().fail(&name(PLUGIN), 3);
    fake.asked.lock().unwrap().clear();
    let report = run(&desk, false).await.unwrap();
    assert!(report.violations.is_empty(), "{report:?}");
    assert_eq!((report.from, report.size, report.counts.epochs), (TreeSize(6), TreeSize(7), 1));
    let asked = fake.asked.lock().unwrap().clone();
    assert!(!asked.contains_key("/epochs/1/changes") && asked.contains_key("/epochs/6/changes"), "{asked:?}");
    let report = run(&desk, true).await.unwrap();
    assert_eq!((report.from, report.counts.epochs, report.violations.is_empty()), (TreeSize(0), 7, true));
}

#[tokio::test]
async fn audit_crosses_tiles_and_resumes_inside_one() {
    let mut world = World::new(1, NOW);
    for i in 0..300 {
        if i % 50 == 7 { _ = world.validate(&name(PLUGIN), i + 1) } else { world.close(vec![]) }
    }
    let fake = Fake::start(world).await;
    let desk = Desk::new(&[&fake]);
    let report = run(&desk, false).await.unwrap();
    assert!(report.violations.is_empty(), "{report:?}");
    // Two tiles of leaves, and one above.
    assert_eq!((report.counts.epochs, report.counts.tiles), (300, 3));
    for _ in 0..230 {
        fake.world.lock().unwrap().close(vec![]);
    }
    let report = run(&desk, false).await.unwrap();
    assert!(report.violations.is_empty(), "{report:?}");
    assert_eq!((report.from.0, report.counts.epochs, report.counts.tiles), (300, 230, 3));
}

#[tokio::test]
async fn audit_reports_what_is_withheld() {
    for path in [
        "/tile/entries",
        "/tile/0",
        "/epochs/1/changes",
        "/plugins",
        "/policies",
        "/bindings",
        "/causes",
        "/objects",
    ] {
        let report = audit_of(world(), Lie::Withhold(path)).await;
        let all = found(&report);
        assert!(
            !all.is_empty() && all.iter().all(|v| matches!(v, Violation::Withheld { .. })),
            "{path}: {all:?}"
        );
    }
}

#[tokio::test]
async fn audit_reports_objects_that_are_others() {
    let report = audit_of(world(), Lie::TamperedObjects).await;
    // Every owner record and every object of what stands.
    assert_eq!(found(&report).len(), 3 + 7, "{report:?}");
    assert!(found(&report).iter().all(|v| matches!(v, Violation::Withheld { .. })));
}

#[tokio::test]
async fn audit_reports_a_history_of_another_name() {
    let report = audit_of(world(), Lie::OtherName("org.example.broken")).await;
    assert!(
        matches!(found(&report)[0], Violation::NoRecord { epoch: EpochNumber(2), .. }),
        "{:?}",
        found(&report)
    );
}

#[tokio::test]
async fn audit_goes_no_further_after_a_violation() {
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    fake.lie(Lie::Withhold("/causes"));
    assert_eq!(found(&run(&desk, false).await.unwrap()).len(), 1);
    let memory = desk.memory();
    assert!(memory.recall(&desk.source("PV1").known.trusted).unwrap().is_none());
    assert!(memory.audit_position("pv1.example").unwrap().is_none());
    assert_eq!(found(&run(&desk, false).await.unwrap()).len(), 1, "the next audit sees it again");
}

/// What an audit finds of a log whose fourth epoch, with one new name in it, was changed before it was signed.
async fn bent(bend: impl FnOnce(&mut EpochPlan)) -> Vec<String> {
    let mut world = World::new(1, NOW);
    world.close(vec![]);
    world.validate(&name(PLUGIN), 1);
    world.close(vec![]);
    let owner = world.owner(&name("org.example.late"));
    let event = pds_core::name_record::NameEvent::Admitted { owner, release: pds_schemas::Release(1) };
    world.close_bent(vec![(name("org.example.late"), vec![event])], bend);
    let report = audit_of(world, Lie::None).await;
    report.violations.iter().map(|v| format!("{v:?}").split([' ', '(']).next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn audit_reports_every_way_in_which_an_str_can_be_wrong() {
    assert_eq!(bent(|_| ()).await, [""; 0]);
    assert_eq!(bent(|plan| plan.str.time.0 -= 1).await, ["Time"]);
    assert_eq!(bent(|plan| plan.str.previous.0[0] ^= 1).await, ["Previous"]);
    assert_eq!(bent(|plan| plan.str.names += 1).await, ["Names"]);
    assert_eq!(bent(|plan| plan.str.prefix_root.0[0] ^= 1).await, ["Transition"]);
    assert_eq!(bent(|plan| plan.str.changes.0[0] ^= 1).await, ["Changes"]);
    assert_eq!(bent(|plan| plan.str.policy.0[0] ^= 1).await, ["Withheld"]);
    assert_eq!(bent(|plan| plan.transition.epoch.0 += 1).await, ["OtherEpoch"]);
    assert_eq!(bent(|plan| plan.transition.changes.changes.clear()).await, ["Changes"]);
    assert_eq!(bent(|plan| plan.transition.proof.kinds[0] ^= 0x80).await, ["Transition"]);
    assert_eq!(bent(|plan| plan.records = Default::default()).await, ["Withheld"]);
    let misplaced = bent(|plan| plan.str.epoch.0 += 1).await;
    assert_eq!(misplaced.first().unwrap(), "Place");
}

#[tokio::test]
async fn audit_reports_a_root_that_the_entries_do_not_give() {
    let mut world = world();
    let origin = world.origin.clone();
    let checkpoint = Checkpoint { origin, size: world.size(), root: sha256(b"another") };
    let signed = world.cosigned(checkpoint.sign(&world.log_key()).unwrap());
    world.checkpoints.pop();
    world.checkpoints.push(signed);
    let report = audit_of(world, Lie::None).await;
    assert!(matches!(found(&report)[..], [Violation::Root { .. }]), "{report:?}");
}

#[tokio::test]
async fn audit_reports_an_entry_by_another_key_and_ends_there() {
    let mut world = world();
    let other = World::new(2, NOW);
    let bytes = {
        let mut other = other;
        other.close(vec![]);
        other.entries.remove(0)
    };
    world.entries[2] = bytes;
    let report = audit_of(world, Lie::None).await;
    assert!(matches!(found(&report)[..], [Violation::Entry { index: 2, .. }]), "{report:?}");
}

#[tokio::test]
async fn audit_reports_an_str_of_another_origin() {
    let mut world = world();
    let signed = CoseSign1::from_bytes(&world.entries[2]).unwrap();
    let mut str = SignedTreeRoot::from_bytes(&signed.payload).unwrap();
    str.origin = "other.example".to_owned();
    world.entries[2] = cose::sign(SignedKind::SignedTreeRoot, &str, &world.str_key()).to_bytes();
    let report = audit_of(world, Lie::None).await;
    assert!(matches!(found(&report)[0], Violation::Origin { epoch: EpochNumber(2), .. }), "{report:?}");
}

#[tokio::test]
async fn audit_reports_missing_witnesses() {
    let mut world = world();
    let head = world.head.clone().unwrap();
    world.checkpoints.pop();
    world.checkpoints.push(head.checkpoint);
    let report = audit_of(world, Lie::None).await;
    assert!(matches!(found(&report)[..], [Violation::NoQuorum { counted: 0, known: 1 }]), "{report:?}");
}

#[tokio::test]
async fn audit_catches_a_log_that_went_back() {
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    run(&desk, false).await.unwrap();
    let mut fork = World::new(1, NOW);
    (0..6).for_each(|_| fork.close(vec![]));
    *fake.world.lock().unwrap() = fork;
    let error = run(&desk, false).await.unwrap_err();
    assert!(matches!(error, AuditError::Growth(GrowthError::TwoRoots { .. })), "{error:?}");
    assert!(error.is_verdict());
}

#[tokio::test]
async fn audit_refuses_a_damaged_position() {
    let fake = Fake::start(world()).await;
    let desk = Desk::new(&[&fake]);
    run(&desk, false).await.unwrap();
    desk.memory().set_audit_position("pv1.example", b"{").unwrap();
    let error = run(&desk, false).await.unwrap_err();
    assert!(matches!(error, AuditError::Position(_)) && !error.is_verdict(), "{error:?}");
    assert_ne!(run(&desk, true).await.unwrap().root, Digest::ZERO);
}

#[tokio::test]
async fn audit_reports_what_belongs_to_another_name_or_policy() {
    let other = name("org.example.other");
    let named = |of: &str, owner: Digest, decision: Decision| {
        (name(of), vec![NameEvent::Decided { owner, release: Release(1), decision }])
    };
    let mut world = World::new(1, NOW);
    let binding = world.validate(&other, 1);
    let cause = world.fail(&name("org.example.broken"), 1);
    let (mine, theirs) = (world.owner(&name(PLUGIN)), world.owner(&other));
    let mut bound = world.clone();
    bound.close(vec![named(PLUGIN, mine, Decision::Validated(binding))]);
    let mut failing = world.clone();
    failing.close(vec![named(PLUGIN, mine, Decision::Failed(cause))]);
    let mut owned = world.clone();
    owned.validate(&name(PLUGIN), 1);
    owned.close(vec![named("org.example.third", theirs, Decision::Failed(cause))]);
    for (world, whats) in [
        (bound, &["binding"][..]),
        (failing, &["failure cause"]),
        (owned, &["owner record", "failure cause"]),
    ] {
        let report = audit_of(world, Lie::None).await;
        let what = |violation: &&Violation| match violation {
            Violation::OtherSubject { what, .. } => *what,
            violation => panic!("{violation:?}"),
        };
        assert_eq!(found(&report).iter().map(what).collect::<Vec<_>>(), whats);
    }

    // A policy that decided and was never in force must be there too.
    let in_force = world.policy;
    let bytes = world.stored[&binding].clone();
    let decided =
        Binding { policy: Digest([5; 32]), release: Release(2), ..Binding::from_bytes(&bytes).unwrap() };
    let decided = world.store(decided.to_bytes());
    let release = Release(2);
    let event = NameEvent::Decided { owner: theirs, release, decision: Decision::Validated(decided) };
    world.close(vec![(other, vec![event])]);
    assert_eq!(world.policy, in_force);
    let report = audit_of(world, Lie::None).await;
    assert!(
        matches!(&found(&report)[..], [Violation::Withheld { what, .. }] if what.starts_with("policy 0505")),
        "{report:?}"
    );
}
