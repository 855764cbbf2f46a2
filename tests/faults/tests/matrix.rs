//! The fault matrix, in small: `make faults` runs the whole.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use pds_faults::case::{End, Injector, Injured};
use pds_faults::matrix::{self, Extent};
use pds_faults::plan::{Effect, Fault, Point};
use pds_faults::template::Template;
use pds_faults::trace;

fn injector(lying: Option<&str>) -> Injector {
    let program = env!("CARGO_BIN_EXE_pds-faults").into();
    Injector { program, template: Template::make().unwrap(), lying: lying.map(str::to_owned) }
}

#[test]
fn validator_keeps_what_it_said_after_faults() {
    let extent = Extent { singles: Some(40), pairs: Some(16), seed: 7, jobs: 2 };
    let table = matrix::run(&injector(None), extent).unwrap();
    println!("{table}");
    assert_eq!(table.violations(), &[] as &[String]);
    assert!(table.runs() >= 56);
}

/// Cuts the power at each call of a kind; how often what was found names `finding`.
fn found(injector: &Injector, class: &str, operation: &str, effect: Effect, finding: &str) -> usize {
    let template = injector.template.layout();
    let points: Vec<Point> = injector.points(&template.0, 1).unwrap();
    let of_kind = points.into_iter().filter(|point| point.class == class && point.operation == operation);
    let verdicts = of_kind.map(|point| {
        let folder = injector.fresh().unwrap();
        let Injured { end, events } = injector.injure(folder.path(), 1, &[Fault { point, effect }]).unwrap();
        assert_eq!((end, trace::injected(&events)), (End::Killed, 1));
        injector.judge(folder.path())
    });
    verdicts
        .filter(|verdict| verdict.as_ref().is_err_and(|error| format!("{error:#}").contains(finding)))
        .count()
}

/// RocksDB recovers from ENOSPC by itself, and would then replay a write that it called failed into some families only.
#[test]
fn batch_stays_one_when_the_log_has_no_room() {
    let injector = injector(None);
    let points = injector.points(&injector.template.layout().0, 1).unwrap();
    let of_log = |point: &Point| point.class == "log" && matches!(point.operation.as_str(), "write" | "sync");
    for point in points.into_iter().filter(of_log) {
        for effect in [Effect::EnospcDone, Effect::EnospcLost] {
            let fault = Fault { point: point.clone(), effect };
            let folder = injector.fresh().unwrap();
            let injured = injector.injure(folder.path(), 1, std::slice::from_ref(&fault)).unwrap();
            assert_eq!(injured.end, End::Halted, "{fault}");
            injector.judge(folder.path()).unwrap_or_else(|error| panic!("{fault}: {error:#}"));
        }
    }
}

#[test]
fn disk_that_only_says_it_syncs_the_log_is_found_out() {
    let injector = injector(Some("log"));
    assert!(found(&injector, "log", "write", Effect::KillCut, "") > 0, "acknowledged submissions were lost");
    let behind = found(&injector, "guard", "rename", Effect::KillTorn, "behind the guard");
    let empty = found(&injector, "guard", "sync", Effect::KillCut, "");
    assert!(behind + empty > 0, "the guard is ahead of a database that forgot");
}

#[test]
fn disk_that_only_says_it_syncs_the_guard_is_found_out() {
    let injector = injector(Some("guard"));
    assert!(found(&injector, "guard", "rename", Effect::KillTorn, "malformed") > 0);
}
