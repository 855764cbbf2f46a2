//! The rows, and how they are printed.

use serde::Serialize;

/// What a row's two values are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds of one thread's CPU time.
    CpuNs,
    /// Nanoseconds on the wall.
    WallNs,
    /// Bytes.
    Bytes,
    /// How many in a second; more is better.
    PerSecond,
}

/// What a row has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Must {
    /// The value measured, in the row's unit, is at most this.
    AtMost(f64),
    /// It is at least this.
    AtLeast(f64),
    /// The ratio is at most this.
    RatioAtMost(f64),
    /// The ratio is at least this.
    RatioAtLeast(f64),
    /// The value is at most the reference and this much more, in the row's unit.
    AboveReferenceAtMost(f64),
}

/// One thing measured, beside what it is held against.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name for programs.
    pub id: String,
    /// What was measured.
    pub workload: String,
    /// What it took.
    pub measured: f64,
    /// The limit or peer.
    pub against: String,
    /// What that took in this run.
    pub reference: f64,
    /// Of both values.
    pub unit: Unit,
    /// `measured / reference`.
    pub ratio: f64,
    /// Bounds stated for this row; none for one that only explains others.
    pub must: Vec<Must>,
    /// Whether every bound is kept; `None` without bounds.
    pub met: Option<bool>,
}

impl Row {
    /// States a bound, one more if there is one already.
    pub fn must(&mut self, bound: Must) -> &mut Self {
        self.must.push(bound);
        self.met = Some(self.met != Some(false) && bound.is_met(self));
        self
    }
}

impl Must {
    fn is_met(self, row: &Row) -> bool {
        match self {
            Self::AtMost(bound) => row.measured <= bound,
            Self::AtLeast(bound) => row.measured >= bound,
            Self::RatioAtMost(bound) => row.ratio <= bound,
            Self::RatioAtLeast(bound) => row.ratio >= bound,
            Self::AboveReferenceAtMost(bound) => row.measured <= row.reference + bound,
        }
    }

    fn shown(self, unit: Unit) -> String {
        match self {
            Self::AtMost(bound) => format!("<= {}", shown(bound, unit)),
            Self::AtLeast(bound) => format!(">= {}", shown(bound, unit)),
            Self::RatioAtMost(bound) => format!("<= {bound} x"),
            Self::RatioAtLeast(bound) => format!(">= {bound} x"),
            Self::AboveReferenceAtMost(bound) => format!("<= + {}", shown(bound, unit)),
        }
    }
}

/// All rows so far, in the order they were measured.
#[derive(Debug, Default, Serialize)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a row, on which [`Row::must`] states what it has to reach.
    pub fn push(
        &mut self,
        id: impl Into<String>,
        unit: Unit,
        (workload, measured): (impl Into<String>, f64),
        (against, reference): (impl Into<String>, f64),
    ) -> &mut Row {
        let (id, workload, against) = (id.into(), workload.into(), against.into());
        let ratio = measured / reference;
        let (must, met) = (Vec::new(), None);
        self.rows.push_mut(Row { id, workload, measured, against, reference, unit, ratio, must, met })
    }

    /// The row named `id`, if it was measured.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// Prints the rows as one JSON object.
    ///
    /// # Errors
    /// None that numbers and texts could cause.
    pub fn print_json(&self) -> anyhow::Result<()> {
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }

    /// Prints the rows as a Markdown table whose columns are aligned.
    ///
    /// # Errors
    /// None; the signature is that of [`Table::print_json`].
    pub fn print_markdown(&self) -> anyhow::Result<()> {
        let head = ["workload", "measured", "limit or peer, same run", "it took", "ratio", "must be", "met"];
        let head = head.map(String::from);
        let rows: Vec<_> = std::iter::once(head).chain(self.rows.iter().map(cells)).collect();
        let widths: [usize; 7] =
            std::array::from_fn(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0));
        for (i, row) in rows.iter().enumerate() {
            let cell = |column: usize| {
                let (text, width) = (&row[column], widths[column]);
                if RIGHT[column] { format!("{text:>width$}") } else { format!("{text:width$}") }
            };
            println!("| {} |", std::array::from_fn::<_, 7, _>(cell).join(" | "));
            if i == 0 {
                let line = |column: usize| match (RIGHT[column], widths[column]) {
                    (true, width) => "-".repeat(width - 1) + ":",
                    (false, width) => "-".repeat(width),
                };
                println!("| {} |", std::array::from_fn::<_, 7, _>(line).join(" | "));
            }
        }
        Ok(())
    }
}

/// Columns of numbers.
const RIGHT: [bool; 7] = [false, true, false, true, true, true, false];

fn cells(row: &Row) -> [String; 7] {
    let (measured, reference) = (shown(row.measured, row.unit), shown(row.reference, row.unit));
    let bounds: Vec<_> = row.must.iter().map(|bound| bound.shown(row.unit)).collect();
    let met = match row.met {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    let (ratio, bounds) = (format!("{:.2}", row.ratio), bounds.join(", "));
    [row.workload.clone(), measured, row.against.clone(), reference, ratio, bounds, met.to_owned()]
}

fn shown(value: f64, unit: Unit) -> String {
    match (unit, value) {
        (Unit::Bytes, v) if v < 1e4 => format!("{v:.0} B"),
        (Unit::Bytes, v) if v < 1e7 => format!("{:.1} kB", v / 1e3),
        (Unit::Bytes, v) => format!("{:.1} MB", v / 1e6),
        (Unit::PerSecond, v) => format!("{v:.0}/s"),
        (_, v) if v < 1e3 => format!("{v:.1} ns"),
        (_, v) if v < 1e6 => format!("{:.1} us", v / 1e3),
        (_, v) => format!("{:.1} ms", v / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_is_met_when_every_bound_is() {
        let check = |bounds: &[Must], expect: Option<bool>, text: &str| {
            let mut table = Table::default();
            let row = table.push("row", Unit::WallNs, ("work", 30_000.0), ("limit", 10_000.0));
            for bound in bounds {
                row.must(*bound);
            }
            assert_eq!((row.met, cells(row)[5].as_str()), (expect, text));
        };
        check(&[], None, "");
        check(&[Must::AtMost(30_000.0)], Some(true), "<= 30.0 us");
        check(&[Must::AtMost(29_999.0)], Some(false), "<= 30.0 us");
        check(&[Must::AtLeast(30_001.0)], Some(false), ">= 30.0 us");
        check(&[Must::RatioAtMost(3.0)], Some(true), "<= 3 x");
        check(&[Must::RatioAtMost(2.9)], Some(false), "<= 2.9 x");
        check(&[Must::RatioAtLeast(3.1)], Some(false), ">= 3.1 x");
        check(&[Must::AboveReferenceAtMost(20_000.0)], Some(true), "<= + 20.0 us");
        check(&[Must::AboveReferenceAtMost(19_000.0)], Some(false), "<= + 19.0 us");
        check(&[Must::RatioAtMost(1.0), Must::AtMost(1e9)], Some(false), "<= 1 x, <= 1000.0 ms");
        check(&[Must::AtMost(1e9), Must::RatioAtMost(3.0)], Some(true), "<= 1000.0 ms, <= 3 x");
    }
}
