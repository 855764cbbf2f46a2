//! All faults one by one, and pairs of them: within one run, and a second one while the first is recovered from.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, ensure};
use pds_tests::random::Random;
use tempfile::TempDir;

use crate::case::{End, Injector, fingerprint};
use crate::plan::{Fault, Point};
use crate::table::Table;
use crate::trace::{self, Event};

/// Second faults in the recovery from each first one of a sample.
const SECONDS: usize = 2;
/// Second faults in the same run that are drawn for each first one of a sample, until the run comes by one of them.
const DRAWS: usize = 8;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Single faults: all, or a seeded sample of so many.
    pub singles: Option<usize>,
    /// Pairs whose second fault is in the start after the first: all, or a seeded sample of so many.
    pub pairs: Option<usize>,
    /// Of the samples.
    pub seed: u64,
    /// Cases at a time.
    pub jobs: usize,
}

/// Runs the cases.
///
/// # Errors
/// When no case can be run. What cases find is in the table.
pub fn run(injector: &Injector, extent: Extent) -> anyhow::Result<Table> {
    let points = reference(injector)?;
    let table = Mutex::new(Table::new(&points));
    let mut singles: Vec<Fault> = points.iter().flat_map(Point::faults).collect();
    let mut random = Random::new(extent.seed);
    let firsts = match extent.pairs {
        Some(pairs) => sample(&singles, pairs.div_ceil(SECONDS), &mut random),
        None => singles.clone(),
    };
    if let Some(count) = extent.singles {
        singles = sample(&singles, count, &mut random);
    }
    each(&singles, extent.jobs, "single faults", |_, fault| single(injector, fault, &table));
    let seen = Mutex::new(HashSet::new());
    each(&firsts, extent.jobs, "first faults of pairs", |i, fault| {
        let mut random = extent.pairs.map(|_| Random::new(extent.seed.wrapping_add(i as u64)));
        if let Err(error) = pairs(injector, fault, random.as_mut(), &seen, &table) {
            record(&table, |table| table.violation(std::slice::from_ref(fault), &error));
        }
    });
    table.into_inner().context("a case ended in panic")
}

/// The points of a run without faults; every run has the same.
fn reference(injector: &Injector) -> anyhow::Result<Vec<Point>> {
    let template = injector.template.layout();
    let points = injector.points(&template.0, 1)?;
    let again = injector.points(&template.0, 1)?;
    let set = |points: &[Point]| points.iter().cloned().collect::<HashSet<_>>();
    ensure!(set(&points) == set(&again), "two runs without faults do not come by the same points");
    let fresh = injector.fresh()?;
    injector.injure(fresh.path(), 1, &[])?;
    injector.judge(fresh.path()).context("a run without faults")?;
    Ok(points)
}

fn single(injector: &Injector, fault: &Fault, table: &Mutex<Table>) {
    let result = injector.fresh().and_then(|folder| {
        let injured = injector.injure(folder.path(), 1, std::slice::from_ref(fault))?;
        ensure!(trace::injected(&injured.events) == 1, "the run did not come by this point");
        injector.judge(folder.path())?;
        Ok(injured.end)
    });
    record(table, |table| match result {
        Ok(end) => table.single(fault, end),
        Err(error) => table.single_violation(fault, &error),
    });
}

/// Pairs that begin with `first`: as many as a sample has with `random`, or all, but those that begin from a disk in `seen`.
fn pairs(
    injector: &Injector,
    first: &Fault,
    mut random: Option<&mut Random>,
    seen: &Mutex<HashSet<pds_schemas::Digest>>,
    table: &Mutex<Table>,
) -> anyhow::Result<()> {
    let state = injector.fresh()?;
    let injured = injector.injure(state.path(), 1, std::slice::from_ref(first))?;
    if injured.end != End::Killed {
        let later: Vec<Fault> = points_after_fault(&injured.events).iter().flat_map(Point::faults).collect();
        for second in chosen(&later, DRAWS, random.as_deref_mut()) {
            let faults = [first.clone(), second];
            let result = injector.fresh().and_then(|folder| in_one_run(injector, &folder, &faults));
            let came = !matches!(result, Ok(false));
            record(table, |table| match result {
                Ok(false) => table.second_never_came(),
                result => table.pair_in_one_run(&faults, result.map(drop)),
            });
            if came && random.is_some() {
                break;
            }
        }
    }
    let new = seen
        .lock()
        .is_ok_and(|mut seen| random.is_some() || fingerprint(state.path()).is_ok_and(|f| seen.insert(f)));
    if !new {
        return Ok(());
    }
    let points = injector.points(state.path(), 2).context("the start after this fault")?;
    let all: Vec<Fault> = points.iter().flat_map(Point::faults).collect();
    for second in chosen(&all, SECONDS, random) {
        let result = in_recovery(injector, state.path(), &second);
        record(table, |table| table.pair_in_recovery(&[first.clone(), second], result));
    }
    Ok(())
}

/// Whether the run came by both points: after ENOSPC, what RocksDB does by itself is not the same each time.
fn in_one_run(injector: &Injector, folder: &TempDir, faults: &[Fault]) -> anyhow::Result<bool> {
    let injured = injector.injure(folder.path(), 1, faults)?;
    injector.judge(folder.path())?;
    Ok(trace::injected(&injured.events) == faults.len())
}

fn in_recovery(injector: &Injector, state: &Path, second: &Fault) -> anyhow::Result<()> {
    let folder = crate::template::Layout(state.to_owned()).copy()?;
    let injured = injector.injure(folder.path(), 2, std::slice::from_ref(second))?;
    ensure!(trace::injected(&injured.events) == 1, "the run did not come by this point");
    injector.judge(folder.path())
}

fn points_after_fault(events: &[Event]) -> Vec<Point> {
    let fault = events.iter().position(|event| matches!(event, Event::Call { faulty: true, .. }));
    trace::points(&events[fault.map_or(events.len(), |i| i + 1)..]).cloned().collect()
}

fn chosen(all: &[Fault], count: usize, random: Option<&mut Random>) -> Vec<Fault> {
    random.map_or_else(|| all.to_vec(), |random| sample(all, count, random))
}

/// `count` different ones of `all`, or all of them if there are no more.
fn sample(all: &[Fault], count: usize, random: &mut Random) -> Vec<Fault> {
    let mut left = all.to_vec();
    let mut taken = Vec::new();
    while taken.len() < count && !left.is_empty() {
        taken.push(left.swap_remove(random.below(left.len() as u64) as usize));
    }
    taken
}

fn record(table: &Mutex<Table>, change: impl FnOnce(&mut Table)) {
    if let Ok(mut table) = table.lock() {
        change(&mut table);
    }
}

/// Does `work` for each of `all`, so many at a time, and says on standard error how far it is.
fn each(all: &[Fault], jobs: usize, what: &str, work: impl Fn(usize, &Fault) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(fault) = all.get(i) else { break };
                    work(i, fault);
                    if (i + 1).is_multiple_of(250) {
                        eprintln!(
                            "faults: {} of {} {what}, {} s",
                            i + 1,
                            all.len(),
                            started.elapsed().as_secs()
                        );
                    }
                }
            });
        }
    });
    if !all.is_empty() {
        eprintln!("faults: {} {what} in {} s", all.len(), started.elapsed().as_secs());
    }
}
