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
    /// Times a second.
    PerSecond,
}

/// One thing measured, beside what it is held against.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name for programs.
    pub id: &'static str,
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
}

/// All rows so far, in the order they were measured.
#[derive(Debug, Default, Serialize)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a row.
    pub fn push(
        &mut self,
        id: &'static str,
        unit: Unit,
        (workload, measured): (impl Into<String>, f64),
        (against, reference): (impl Into<String>, f64),
    ) {
        let (workload, against, ratio) = (workload.into(), against.into(), measured / reference);
        self.rows.push(Row { id, workload, measured, against, reference, unit, ratio });
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
        let head = ["workload", "measured", "limit or peer, same run", "it took", "ratio"].map(String::from);
        let rows: Vec<_> = std::iter::once(head).chain(self.rows.iter().map(cells)).collect();
        let widths: [usize; 5] =
            std::array::from_fn(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0));
        for (i, [workload, measured, against, reference, ratio]) in rows.iter().enumerate() {
            let [a, b, c, d, e] = widths;
            println!("| {workload:a$} | {measured:>b$} | {against:c$} | {reference:>d$} | {ratio:>e$} |");
            if i == 0 {
                let line = |width| "-".repeat(width);
                let right = |width| "-".repeat(width - 1) + ":";
                println!("| {} | {} | {} | {} | {} |", line(a), right(b), line(c), right(d), right(e));
            }
        }
        Ok(())
    }
}

fn cells(row: &Row) -> [String; 5] {
    let (measured, reference) = (shown(row.measured, row.unit), shown(row.reference, row.unit));
    [row.workload.clone(), measured, row.against.clone(), reference, format!("{:.2}", row.ratio)]
}

fn shown(value: f64, unit: Unit) -> String {
    match (unit, value) {
        (Unit::Bytes, v) if v < 1e4 => format!("{v:.0} B"),
        (Unit::Bytes, v) => format!("{:.1} kB", v / 1e3),
        (Unit::PerSecond, v) => format!("{:.1} k/s", v / 1e3),
        (_, v) if v < 1e3 => format!("{v:.1} ns"),
        (_, v) if v < 1e6 => format!("{:.1} us", v / 1e3),
        (_, v) => format!("{:.1} ms", v / 1e6),
    }
}
