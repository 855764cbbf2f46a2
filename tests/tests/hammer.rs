//! `pds hammer` against a real validator that is killed under it, and `pds hammer check` after.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests; clippy exempts only the tests")]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use pds_client::hammer::journal;
use pds_tests::process::binary;
use pds_tests::validator::Validator;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Seconds after which a run ends by itself, should nothing end it before.
const BOUND: &str = "60";

/// A folder with a trust file for `validator`, which says nothing of where it is.
fn peer(validator: &Validator) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let policy = format!("log {}\nquorum none\n", validator.log_key());
    std::fs::write(folder.path().join("pv.policy"), policy).unwrap();
    let trust = format!(
        "[validators.PV]\nurl = \"http://127.0.0.1:1/\"\nstr_key = \"{}\"\npolicy = \"pv.policy\"\n\
         allow_quorum_none = true\n",
        validator.str_key()
    );
    std::fs::write(folder.path().join("trust.toml"), trust).unwrap();
    folder
}

/// `pds hammer ARGUMENTS` with what says whose answers they are.
fn hammer(folder: &Path, validator: &Validator, arguments: &[&str]) -> Child {
    let mut command = Command::new(binary("pds"));
    command.current_dir(folder).args(["--json", "hammer"]).args(arguments);
    command.arg(format!("http://{}/", validator.http().address));
    command.args(["--trust", "trust.toml", "--validator", "PV", "--timeout-s", "10"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How it ended, which must be well.
fn end(child: Child) -> Value {
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}\n{out}\n{err}"))
}

#[test]
fn journal_holds_when_the_validator_is_killed_under_the_hammer() {
    let mut validator = Validator::started();
    let folder = peer(&validator);
    let folder = folder.path();
    let run = ["--journal", "j", "--journal-sync", "--plugin-bytes", "500", "--broken", "100"];
    let load = ["--readers", "4", "--writers", "2", "--write-rate", "8", "--seconds", BOUND];
    let child = hammer(folder, &validator, &[&run[..], &load].concat());
    let path = folder.join("j");
    while journal::read(&path).map_or(0, |entries| entries.len()) < 16 {
        validator.wait_epochs(1);
    }
    validator.kill();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let report = end(child);
    assert_eq!((&report["holds"], &report["findings"]), (&true.into(), &0.into()), "{report:#}");
    assert!(report["submissions"]["accepted"].as_u64().unwrap() > 0, "{report:#}");

    validator.start();
    let check = || {
        let checked = end(hammer(folder, &validator, &["check", "j"]));
        assert_eq!((&checked["holds"], &checked["findings"]), (&true.into(), &0.into()), "{checked:#}");
        checked
    };
    let checked = check();
    assert!(checked["receipts"].as_u64() >= report["submissions"]["accepted"].as_u64(), "{checked:#}");
    assert!(checked["checkpoints"].as_u64().unwrap() >= 2, "{checked:#}");

    let load = ["--readers", "2", "--writers", "1", "--write-rate", "4", "--seconds", "2", "--settle", BOUND];
    let report = end(hammer(folder, &validator, &[&run[..], &load].concat()));
    assert_eq!(report["submissions"]["undecided"], 0, "{report:#}");
    assert_eq!(report["submissions"]["decided"], report["submissions"]["accepted"], "{report:#}");
    // What was accepted before the crash has its place before what was accepted now, so it is decided too.
    let checked = check();
    assert_eq!(checked["decided"], checked["receipts"], "{checked:#}");
    validator.stop();
    validator.fsck();
}
