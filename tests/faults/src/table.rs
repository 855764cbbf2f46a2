//! What was tried and what came of it, as a table to read.

use std::collections::BTreeMap;
use std::fmt;

use crate::case::End;
use crate::plan::{Fault, Point};

/// The fault matrix.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<(String, String), Row>,
    in_one_run: Tally,
    /// Pairs that were to be in one run, which ended before the second fault's point.
    never_came: usize,
    in_recovery: Tally,
    violations: Vec<String>,
}

#[derive(Debug, Default)]
struct Row {
    points: usize,
    ends: BTreeMap<End, usize>,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    runs: usize,
    violations: usize,
}

impl Table {
    /// An empty table of a scenario with these points.
    pub fn new(points: &[Point]) -> Self {
        let mut table = Self::default();
        for point in points {
            table.row(point).points += 1;
        }
        table
    }

    /// A single fault after which everything held.
    pub fn single(&mut self, fault: &Fault, end: End) {
        let row = self.row(&fault.point);
        row.tally.runs += 1;
        *row.ends.entry(end).or_default() += 1;
    }

    /// A single fault after which something did not hold.
    pub fn single_violation(&mut self, fault: &Fault, error: &anyhow::Error) {
        let tally = &mut self.row(&fault.point).tally;
        tally.runs += 1;
        tally.violations += 1;
        self.violation(std::slice::from_ref(fault), error);
    }

    /// Two faults in one run.
    pub fn pair_in_one_run(&mut self, faults: &[Fault], result: anyhow::Result<()>) {
        self.in_one_run.add(&result);
        self.note(faults, result);
    }

    /// Two faults that were to be in one run, and the run did not come by the point of the second.
    pub fn second_never_came(&mut self) {
        self.never_came += 1;
    }

    /// A fault in one run, and another in the run that recovers from it.
    pub fn pair_in_recovery(&mut self, faults: &[Fault], result: anyhow::Result<()>) {
        self.in_recovery.add(&result);
        self.note(faults, result);
    }

    /// Something did not hold after `faults`.
    pub fn violation(&mut self, faults: &[Fault], error: &anyhow::Error) {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        self.violations.push(format!("{}: {error:#}", faults.join(", then ")));
    }

    /// What did not hold, each with its faults.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Runs with faults in them, pairs counted once.
    pub fn runs(&self) -> usize {
        self.rows.values().map(|row| row.tally.runs).sum::<usize>()
            + self.in_one_run.runs
            + self.in_recovery.runs
    }

    fn note(&mut self, faults: &[Fault], result: anyhow::Result<()>) {
        if let Err(error) = result {
            self.violation(faults, &error);
        }
    }

    fn row(&mut self, point: &Point) -> &mut Row {
        self.rows.entry((point.class.clone(), point.operation.clone())).or_default()
    }
}

impl Tally {
    fn add(&mut self, result: &anyhow::Result<()>) {
        self.runs += 1;
        self.violations += usize::from(result.is_err());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = "-".repeat(90);
        writeln!(
            f,
            "{:<10}{:<10}{:>7}{:>7}{:>9}{:>8}{:>9}{:>9}{:>8}{:>12}\n{line}",
            "class",
            "operation",
            "points",
            "runs",
            "went on",
            "halted",
            "refused",
            "aborted",
            "killed",
            "violations"
        )?;
        for ((class, operation), row) in &self.rows {
            let of = |end| row.ends.get(&end).copied().unwrap_or_default();
            let (went_on, halted) = (of(End::WentOn), of(End::Halted));
            let (refused, aborted, killed) = (of(End::Refused), of(End::Aborted), of(End::Killed));
            let (points, Tally { runs, violations }) = (row.points, row.tally);
            writeln!(
                f,
                "{class:<10}{operation:<10}{points:>7}{runs:>7}{went_on:>9}{halted:>8}{refused:>9}{aborted:>9}{killed:>8}{violations:>12}"
            )?;
        }
        let pairs =
            [("pairs in one run", self.in_one_run), ("pairs, the second in recovery", self.in_recovery)];
        for (what, Tally { runs, violations }) in pairs {
            writeln!(f, "{what:<30}{runs:>4}{violations:>56}")?;
        }
        let ran = self.in_one_run.runs + self.in_recovery.runs;
        let (drawn, never_came) = (ran + self.never_came, self.never_came);
        writeln!(
            f,
            "pairs drawn {drawn}, of which {never_came} never came to their second point, and {ran} count"
        )?;
        let points: usize = self.rows.values().map(|row| row.points).sum();
        let violations = self.violations.len();
        write!(f, "{line}\npoints injected {points}, runs {}, violations {violations}", self.runs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Effect;

    #[test]
    fn pairs_whose_second_point_never_came_are_told_and_do_not_count() {
        let point = Point { class: "log".to_owned(), operation: "write".to_owned(), ordinal: 1 };
        let fault = Fault { point: point.clone(), effect: Effect::EioDone };
        let mut table = Table::new(&[point]);
        table.single(&fault, End::Halted);
        let pair = [fault.clone(), fault];
        table.pair_in_one_run(&pair, Ok(()));
        table.second_never_came();
        table.second_never_came();
        table.pair_in_recovery(&pair, Err(anyhow::anyhow!("lost")));
        let text = table.to_string();
        assert!(
            text.contains("pairs drawn 4, of which 2 never came to their second point, and 2 count"),
            "{text}"
        );
        assert_eq!((table.runs(), table.violations().len()), (3, 1), "{text}");
    }
}
