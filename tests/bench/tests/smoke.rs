//! The benchmark runs, and its rows make sense. How long anything takes is not tested.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const ROWS: [&str; 43] = [
    "hash",
    "build",
    "epoch",
    "transition-bytes",
    "transition-verify",
    "proof-make",
    "proof-bytes",
    "proof-bytes-p99",
    "proof-bytes-largest",
    "proof-verify",
    "log-append",
    "log-inclusion",
    "log-consistency",
    "growth-epoch-10000",
    "growth-proof-10000",
    "durable",
    "durable-written",
    "durable-plan",
    "durable-write",
    "durable-check",
    "durable-seal",
    "durable-commit",
    "durable-guard",
    "evidence-part",
    "evidence-whole",
    "proof-stored",
    "proof-stored-old",
    "start",
    "growth-durable-2000",
    "growth-proof-stored-2000",
    "server-start",
    "http-tile",
    "http-evidence-hot",
    "http-evidence",
    "log-inclusion-stored",
    "log-inclusion-handled",
    "log-consistency-stored",
    "log-consistency-handled",
    "http-inclusion",
    "http-consistency",
    "server-memory",
    "intake",
    "intake-p99",
];

#[test]
fn quick_run_prints_every_row_with_its_ratio() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Command::new(env!("CARGO_BIN_EXE_pds-bench"))
        .args(["--quick", "--json", "--dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(bench.status.success(), "{}", String::from_utf8_lossy(&bench.stderr));
    let table: Value = serde_json::from_slice(&bench.stdout).unwrap();
    let rows = table["rows"].as_array().unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    // A machine without nginx has nothing to hold tiles against.
    let has_nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].iter().any(|file| Path::new(file).exists());
    let expected: Vec<_> = ROWS.into_iter().filter(|id| *id != "http-tile" || has_nginx).collect();
    assert_eq!(ids, expected);
    for row in rows {
        let [measured, reference, ratio] =
            ["measured", "reference", "ratio"].map(|key| row[key].as_f64().unwrap());
        assert!(measured > 0.0 && reference > 0.0, "{row}");
        assert!((ratio - measured / reference).abs() < 1e-9, "{row}");
        assert_eq!(row["must"].as_array().unwrap().is_empty(), row["met"].is_null(), "{row}");
        // Nothing is encoded in fewer bytes than it says.
        assert!(row["unit"] != "bytes" || ratio > 1.0, "{row}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "what was written is removed again");
}
