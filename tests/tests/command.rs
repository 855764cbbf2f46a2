//! `pds`, the command for people, against a running validator.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests; clippy exempts only the tests")]

use std::path::Path;
use std::process::{Command, Output};

use pds_tests::plugins::sample_folder;
use pds_tests::process::binary;
use pds_tests::validator::Validator;
use serde_json::Value;

/// Runs `pds` in `folder`; standard output must be one JSON object, whatever the exit code.
fn pds(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let output: Output = Command::new(binary("pds"))
        .arg("--json")
        .args(arguments)
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let json = serde_json::from_str(&stdout);
    let json = json.unwrap_or_else(|e| panic!("pds {arguments:?}: {e}\n{stdout}\n{stderr}"));
    (output.status.code().unwrap(), json)
}

/// A folder with a trust file for `validator`, under the nickname PV1.
fn peer(validator: &Validator) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pv1.policy"), format!("log {}\nquorum none\n", validator.log_key()))
        .unwrap();
    let trust = format!(
        "[validators.PV1]\nurl = \"http://{}/\"\nstr_key = \"{}\"\npolicy = \"pv1.policy\"\nallow_quorum_none = true\n",
        validator.http().address,
        validator.str_key()
    );
    std::fs::write(folder.path().join("trust.toml"), trust).unwrap();
    folder
}

#[test]
fn commands_take_a_plugin_from_a_folder_to_a_peer() {
    let mut validator = Validator::started();
    let folder = peer(&validator);
    let folder = folder.path();
    let run = |expect: i32, arguments: &[&str]| {
        let (code, json) = pds(folder, arguments);
        assert_eq!(code, expect, "pds {arguments:?}: {json:#}");
        json
    };
    let source = sample_folder("telemetry");
    let source = source.to_str().unwrap();
    run(0, &["key", "new", "developer.key"]);
    let submit = ["submit", source, "--trust", "trust.toml", "--validator", "PV1", "--key", "developer.key"];
    run(0, &[&submit[..], &["--wait", "--timeout-s", "60"]].concat());
    run(0, &["fetch", "org.example.telemetry", "--trust", "trust.toml", "--out", "plugin.pds"]);
    let verify = ["verify", "--trust", "trust.toml", "--formula", "PV1[structure]"];
    run(0, &[&verify[..], &["plugin.pds"]].concat());
    run(0, &["unpack", "plugin.pds", "--trust", "trust.toml", "--out", "plugin"]);
    assert_eq!(
        std::fs::read(folder.join("plugin/org.example.telemetry.plugin")).ok(),
        std::fs::read(sample_folder("telemetry").join("telemetry.plugin")).ok()
    );
    run(0, &["audit", "--trust", "trust.toml", "--validator", "PV1"]);

    // Nothing on the network is needed, and nothing helps a changed package.
    let mut package = std::fs::read(folder.join("plugin.pds")).unwrap();
    let at = package.windows(4).position(|bytes| bytes == b"\x7fELF").unwrap();
    package[at + 64] ^= 1;
    std::fs::write(folder.join("tampered.pds"), package).unwrap();
    validator.stop();
    run(0, &[&verify[..], &["plugin.pds"]].concat());
    run(1, &[&verify[..], &["tampered.pds"]].concat());
    run(3, &["fetch", "org.example.telemetry", "--trust", "trust.toml", "--out", "later.pds"]);
    assert!(!folder.join("later.pds").exists());
    let output = Command::new(binary("pds")).args(["fsck"]).arg(validator.path("data")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn failed_plugin_is_told_with_its_cause() {
    let validator = Validator::started();
    let folder = peer(&validator);
    let folder = folder.path();
    let source = sample_folder("syntax");
    let key = ["--key", "developer.key"];
    assert_eq!(pds(folder, &["key", "new", "developer.key"]).0, 0);
    let server = format!("http://{}/", validator.http().address);
    let submit = ["submit", source.to_str().unwrap(), "--server", &server, "--wait"];
    let (code, json) = pds(folder, &[&submit[..], &key].concat());
    assert_eq!(code, 1, "{json:#}");
    let (code, json) = pds(folder, &["fetch", "org.example.syntax", "--trust", "trust.toml"]);
    assert_eq!(code, 1, "{json:#}");
    assert!(json.to_string().contains("stream_opened"), "{json:#}");
    assert!(!folder.join("org.example.syntax.pds").exists());
}
