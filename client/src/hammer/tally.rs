//! What was measured and found: by operation, for all workers together.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::finding::{Failure, FailureKind, Finding, Trouble};
use super::operation::Operation;
use super::run::HammerError;

/// Longest latency that is told apart: more counts as that.
const LONGEST: Duration = Duration::from_secs(3600);
/// Significant decimal digits of a latency.
const DIGITS: u8 = 3;
/// Most findings that are kept; all are counted.
const KEPT: usize = 100;

/// Where workers put what they measured. Written by all of them.
#[derive(Debug)]
pub struct Board {
    rows: Vec<Mutex<Row>>,
    findings: Mutex<Findings>,
    span: Mutex<Span>,
}

/// One operation's figures.
#[derive(Clone, Debug)]
struct Row {
    /// In nanoseconds, of answers that hold.
    latencies: Histogram<u64>,
    failures: BTreeMap<FailureKind, u64>,
    findings: u64,
}

#[derive(Debug, Default)]
struct Findings {
    kept: Vec<(Operation, Finding)>,
    all: u64,
}

/// What is measured of a run.
#[derive(Clone, Copy, Debug)]
struct Span {
    begin: Instant,
    end: Option<Instant>,
    held_back: u64,
    left_undone: u64,
}

/// Figures of a run so far.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Seconds measured.
    pub seconds: f64,
    /// Operations that were tried, in the order of [`Operation::ALL`].
    pub operations: Vec<OperationReport>,
    /// Answers that no honest server gives.
    pub findings: u64,
    /// Operations that a busy server's `Retry-After` struck out of the timetable.
    pub held_back: u64,
    /// Operations that were due, and never started: workers still waited for an answer.
    pub left_undone: u64,
}

/// Figures of one operation.
#[derive(Clone, Debug, Serialize)]
pub struct OperationReport {
    /// Its name.
    pub operation: &'static str,
    /// Answers that hold.
    pub count: u64,
    /// Answers that hold, a second.
    pub rate: f64,
    /// Latencies of these.
    #[serde(flatten)]
    pub latency: Latency,
    /// Failures by kind.
    pub failures: BTreeMap<String, u64>,
    /// Answers that no honest server gives.
    pub findings: u64,
}

/// Percentiles of latency, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Half of them took at most this.
    pub p50_ms: f64,
    /// 90 in 100.
    pub p90_ms: f64,
    /// 99 in 100.
    pub p99_ms: f64,
    /// 999 in 1,000.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Board {
    /// Nothing measured, from `begin` on.
    pub fn new(begin: Instant) -> Self {
        let rows = Operation::ALL.iter().map(|_| Mutex::new(Row::new())).collect();
        let span = Span { begin, end: None, held_back: 0, left_undone: 0 };
        Self { rows, findings: Mutex::default(), span: Mutex::new(span) }
    }

    /// Measures no longer than until `end`.
    pub fn stop(&self, end: Instant) {
        lock(&self.span).end = Some(end);
    }

    /// An answer that holds.
    pub fn held(&self, operation: Operation, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        lock(&self.rows[operation as usize]).latencies.saturating_record(nanoseconds);
    }

    /// A failure.
    pub fn failed(&self, operation: Operation, failure: Failure) {
        *lock(&self.rows[operation as usize]).failures.entry(failure.kind).or_default() += 1;
    }

    /// A finding.
    pub fn found(&self, operation: Operation, finding: Finding) {
        lock(&self.rows[operation as usize]).findings += 1;
        let mut findings = lock(&self.findings);
        findings.all += 1;
        if findings.kept.len() < KEPT {
            findings.kept.push((operation, finding));
        }
    }

    /// Whatever became of an operation that has no answer that holds; what is none of the server's doing comes back.
    pub fn troubled(&self, operation: Operation, trouble: Trouble) -> Result<(), HammerError> {
        match trouble {
            Trouble::Finding(finding) => self.found(operation, *finding),
            Trouble::Failure(failure) => self.failed(operation, failure),
            Trouble::End(error) => return Err(error),
        }
        Ok(())
    }

    /// Operations of one worker's timetable that did not take place.
    pub fn missed(&self, held_back: u64, left_undone: u64) {
        let mut span = lock(&self.span);
        span.held_back += held_back;
        span.left_undone += left_undone;
    }

    /// The figures so far.
    pub fn report(&self, now: Instant) -> Report {
        let span = *lock(&self.span);
        let measured = span.end.unwrap_or(now).saturating_duration_since(span.begin);
        let reports = Operation::ALL.into_iter().zip(&self.rows);
        let reports = reports.filter_map(|(operation, row)| lock(row).report(operation, measured));
        Report {
            seconds: measured.as_secs_f64(),
            operations: reports.collect(),
            findings: lock(&self.findings).all,
            held_back: span.held_back,
            left_undone: span.left_undone,
        }
    }

    /// The first findings, with the operation that met each.
    pub fn take_findings(&self) -> Vec<(Operation, Finding)> {
        std::mem::take(&mut lock(&self.findings).kept)
    }
}

impl Row {
    fn new() -> Self {
        let longest = u64::try_from(LONGEST.as_nanos()).expect("an hour has fewer than 2^64 ns");
        let latencies = Histogram::new_with_bounds(1, longest, DIGITS).expect("the bounds are in order");
        Self { latencies, failures: BTreeMap::new(), findings: 0 }
    }

    fn report(&self, operation: Operation, measured: Duration) -> Option<OperationReport> {
        let count = self.latencies.len();
        if count == 0 && self.failures.is_empty() && self.findings == 0 {
            return None;
        }
        let at = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1e6;
        Some(OperationReport {
            operation: operation.name(),
            count,
            rate: if measured.is_zero() { 0.0 } else { count as f64 / measured.as_secs_f64() },
            latency: Latency {
                p50_ms: at(0.5),
                p90_ms: at(0.9),
                p99_ms: at(0.99),
                p999_ms: at(0.999),
                max_ms: self.latencies.max() as f64 / 1e6,
            },
            failures: self.failures.iter().map(|(kind, count)| (kind.to_string(), *count)).collect(),
            findings: self.findings,
        })
    }
}

impl Report {
    /// Answers that hold, of every operation.
    pub fn answers(&self) -> u64 {
        self.operations.iter().map(|operation| operation.count).sum()
    }

    /// The figures of an operation, if it was tried.
    pub fn of(&self, operation: Operation) -> Option<&OperationReport> {
        self.operations.iter().find(|report| report.operation == operation.name())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expect: f64) {
        assert!((found - expect).abs() <= expect / 1000.0, "{found} is not {expect}");
    }

    #[test]
    fn percentiles_and_rates_are_those_of_a_known_distribution() {
        let begin = Instant::now();
        let board = Board::new(begin);
        // 1 ms to 10 s, each once: the q-quantile is q times 10 s.
        for ms in 1..=10_000 {
            board.held(Operation::Tile, Duration::from_millis(ms));
        }
        let report = board.report(begin + Duration::from_secs(20));
        let tile = report.of(Operation::Tile).unwrap();
        assert_eq!((tile.count, tile.rate, report.answers()), (10_000, 500.0, 10_000));
        let Latency { p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = tile.latency;
        for (found, expect) in
            [(p50_ms, 5000.0), (p90_ms, 9000.0), (p99_ms, 9900.0), (p999_ms, 9990.0), (max_ms, 10_000.0)]
        {
            near(found, expect);
        }
        assert!(report.of(Operation::Checkpoint).is_none());
    }

    #[test]
    fn microseconds_and_hours_are_told_apart() {
        let begin = Instant::now();
        let board = Board::new(begin);
        board.held(Operation::Tile, Duration::from_micros(37));
        near(board.report(begin).of(Operation::Tile).unwrap().latency.max_ms, 0.037);
        board.held(Operation::Tile, Duration::from_secs(100_000));
        near(board.report(begin).of(Operation::Tile).unwrap().latency.max_ms, 3_600_000.0);
    }

    #[test]
    fn failures_are_counted_by_kind_and_findings_kept() {
        let begin = Instant::now();
        let board = Board::new(begin);
        let busy = || Trouble::Failure(Failure { kind: FailureKind::Refused(503), retry_after: None });
        assert!(board.troubled(Operation::Evidence, busy()).is_ok());
        assert!(board.troubled(Operation::Evidence, busy()).is_ok());
        let finding = Finding::Appeared("org.example.x".parse().unwrap());
        assert!(board.troubled(Operation::Absence, finding.into()).is_ok());
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(board.troubled(Operation::Submit, HammerError::Journal(full).into()).is_err());
        board.missed(3, 4);
        board.stop(begin + Duration::from_secs(10));
        let report = board.report(begin + Duration::from_secs(60));
        assert_eq!((report.seconds, report.findings, report.answers()), (10.0, 1, 0));
        assert_eq!((report.held_back, report.left_undone), (3, 4));
        assert_eq!(report.of(Operation::Evidence).unwrap().failures["refused-503"], 2);
        assert_eq!(report.of(Operation::Absence).unwrap().findings, 1);
        let findings = board.take_findings();
        assert!(matches!(findings[..], [(Operation::Absence, Finding::Appeared(_))]));
    }
}
