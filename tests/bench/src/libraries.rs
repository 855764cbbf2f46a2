//! Other libraries at the same work, measured by a program of its own workspace (`tests/bench/peers`).
//!
//! `make bench-deps` builds it, optimised as its authors would have it; without it there are no such rows.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::table::{Must, Table, Unit};

/// What the program prints, one in a line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Figure {
    id: String,
    what: String,
    /// Names or entries.
    size: u64,
    value: f64,
    unit: PeerUnit,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PeerUnit {
    CpuNs,
    Bytes,
}

/// Row of ours, row to add, and the figure that it is held against.
const PAIRS: [(&str, &str, &str); 9] = [
    ("build", "build-akd", "akd-build"),
    ("epoch", "epoch-akd", "akd-epoch"),
    ("proof-make", "proof-make-akd", "akd-proof"),
    ("proof-bytes", "proof-bytes-akd", "akd-proof-bytes"),
    ("evidence-part", "evidence-part-akd", "akd-lookup-verify"),
    ("transition-bytes", "transition-bytes-akd", "akd-audit-bytes"),
    ("transition-verify", "transition-verify-akd", "akd-audit"),
    ("log-append", "log-append-rs-merkle", "rs-merkle-append"),
    ("log-append", "log-append-rs-merkle-more", "rs-merkle-append-more"),
];

/// Adds a row for each row of ours that has a peer, if the program is there. Run it after what it is held against.
///
/// # Errors
/// When the program fails or prints something else.
pub fn measure(table: &mut Table, names: u64) -> anyhow::Result<()> {
    let binary = binary(&std::env::current_exe()?);
    let Some(binary) = binary.filter(|file| file.exists()) else {
        eprintln!("pds-bench: no rows of akd and rs_merkle; `make bench-deps` builds what measures them");
        return Ok(());
    };
    let output =
        Command::new(&binary).args(["--names", &names.to_string()]).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("run {}", binary.display()))?;
    ensure!(output.status.success(), "{}: {}", binary.display(), output.status);
    let figures = parse(std::str::from_utf8(&output.stdout)?)?;
    for (ours, id, theirs) in PAIRS {
        let figure = figures.iter().find(|figure| figure.id == theirs);
        let figure = figure.with_context(|| format!("the peers' program says nothing of {theirs}"))?;
        let Some(row) = table.row(ours) else { continue };
        let unit = match figure.unit {
            PeerUnit::CpuNs => Unit::CpuNs,
            PeerUnit::Bytes => Unit::Bytes,
        };
        ensure!(row.unit == unit, "{ours} and {theirs} are in different units");
        let measured = (format!("as above: {}", row.workload), row.measured);
        let reference = (format!("{}, at {}", figure.what, figure.size), figure.value);
        let row = table.push(id, unit, measured, reference);
        if id == "epoch-akd" {
            row.must(Must::RatioAtMost(1.0 / 20.0));
        }
    }
    Ok(())
}

/// In a target folder of its own inside the one that this program is in: `target/debug/pds-bench`, and
/// `target/peers/release/pds-bench-peers`.
fn binary(own: &Path) -> Option<PathBuf> {
    Some(own.parent()?.parent()?.join("peers/release/pds-bench-peers"))
}

fn parse(lines: &str) -> anyhow::Result<Vec<Figure>> {
    let figure = |line| serde_json::from_str(line).with_context(|| format!("not a figure of a peer: {line}"));
    lines.lines().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figure_is_read_as_it_is_printed() {
        let line = r#"{"id":"akd-epoch","size":100000,"unit":"cpu_ns","value":8.5e7,"what":"an epoch"}"#;
        let figures = parse(&format!("{line}\n")).unwrap();
        assert_eq!(
            (figures[0].id.as_str(), figures[0].size, figures[0].unit),
            ("akd-epoch", 100_000, PeerUnit::CpuNs)
        );
        assert!(parse(&line.replace("cpu_ns", "cpu_s")).is_err());
        assert!(parse("akd-epoch 1").is_err());
    }
}
