//! What `pds hammer` prints.

use pds_client::hammer::check::Checked;
use pds_client::hammer::run::Outcome as Run;
use pds_client::hammer::tally::Latency;
use pds_client::hammer::{Finding, Operation, Report};
use serde_json::{Value, json};

use crate::outcome::{Outcome, causes};

/// The figures of a run, and its findings.
pub fn outcome(run: &Run, seed: u64) -> Outcome {
    let Run { report, findings, accepted, decided, waiting } = run;
    let holds = report.findings == 0;
    let mut json = json!(report);
    json["seed"] = json!(seed);
    json["submissions"] = json!({ "accepted": accepted, "decided": decided, "undecided": waiting });
    json["holds"] = json!(holds);
    json["found"] = found(findings);
    let mut text = format!("{:.1} s, {} answers that hold, seed {seed}\n", report.seconds, report.answers());
    text += &table(report);
    if *accepted > 0 {
        text +=
            &format!("{accepted} submissions accepted, {decided} proved to be decided, {waiting} not yet\n");
    }
    if report.held_back > 0 {
        text += &format!("{} operations held back while the server asked for a pause\n", report.held_back);
    }
    if report.left_undone > 0 {
        text +=
            &format!("{} operations were due and not started: workers still waited\n", report.left_undone);
    }
    text += &findings_text(findings, report.findings);
    let mut outcome = Outcome::verdict(holds, json, text);
    if holds && report.answers() == 0 {
        // Nothing was answered, so nothing was checked.
        outcome.code = 3;
    }
    outcome
}

/// What a journal's check came to.
pub fn checked(checked: &Checked) -> Outcome {
    let Checked { size, checkpoints, receipts, decided, findings } = checked;
    let json = json!({
        "size": size,
        "checkpoints": checkpoints,
        "receipts": receipts,
        "decided": decided,
        "findings": findings.len(),
        "holds": findings.is_empty(),
        "found": found(findings),
    });
    let mut text = format!("log of {size} entries, against {checkpoints} checkpoints signed before\n");
    text += &format!("{receipts} receipts, {decided} of them for submissions decided by now\n");
    text += &findings_text(findings, findings.len() as u64);
    Outcome::verdict(findings.is_empty(), json, text)
}

/// One line for each operation.
pub fn table(report: &Report) -> String {
    let mut text = format!(
        "{:<11} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  {}\n",
        "operation", "count", "1/s", "p50 ms", "p90", "p99", "p99.9", "max", "failures"
    );
    for row in &report.operations {
        let Latency { p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = row.latency;
        let mut failures: Vec<String> =
            row.failures.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        if row.findings > 0 {
            failures.push(format!("FINDINGS {}", row.findings));
        }
        text += &format!(
            "{:<11} {:>10} {:>9.1} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3}  {}\n",
            row.operation,
            row.count,
            row.rate,
            p50_ms,
            p90_ms,
            p99_ms,
            p999_ms,
            max_ms,
            failures.join(", ")
        );
    }
    text
}

/// The figures so far, in a line.
pub fn line(report: &Report) -> String {
    let failures: u64 = report.operations.iter().flat_map(|row| row.failures.values()).sum();
    let rate = if report.seconds > 0.0 { report.answers() as f64 / report.seconds } else { 0.0 };
    format!(
        "{:.0} s: {} answers hold ({rate:.0}/s), {failures} failures, {} findings",
        report.seconds,
        report.answers(),
        report.findings
    )
}

fn findings_text(findings: &[(Operation, Finding)], all: u64) -> String {
    let mut text = String::new();
    for (operation, finding) in findings {
        text += &format!("  \u{2717} {operation}: {}\n", causes(finding).join(": "));
    }
    if findings.len() as u64 != all {
        text += &format!("  and {} more\n", all - findings.len() as u64);
    }
    text += if all == 0 { "every answer holds\n" } else { "ANSWERS THAT NO HONEST SERVER GIVES\n" };
    text
}

/// With the signed statements that show a finding to a stranger, if there are any.
fn found(findings: &[(Operation, Finding)]) -> Value {
    let one = |(operation, finding): &(Operation, Finding)| {
        json!({
            "operation": operation.name(),
            "finding": causes(finding).join(": "),
            "exhibits": finding.exhibits(),
        })
    };
    findings.iter().map(one).collect()
}
