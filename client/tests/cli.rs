//! The real program: exit codes, what it prints, what it writes.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use common::{Desk, Fake, Lie, World, name, write_files};
use pds_schemas::cose::SignedKind;
use pds_schemas::{Artefact, Evidence, PluginPackage, Receipt};
use serde_json::Value;

const PLUGIN: &str = "org.example.pacing";
const BROKEN: &str = "org.example.broken";

fn real_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn world(seed: u8) -> World {
    let mut world = World::new(seed, real_now());
    world.close(vec![]);
    world.validate(&name(PLUGIN), 1);
    world.fail(&name(BROKEN), 1);
    world
}

async fn setup() -> (Fake, Desk) {
    let fake = Fake::start(world(1)).await;
    let desk = Desk::new(&[&fake]);
    (fake, desk)
}

fn pds(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pds"));
    command.current_dir(folder).args(args).env("XDG_STATE_HOME", folder.join("xdg"));
    command.output().unwrap()
}

/// Runs and checks the exit code; gives standard output.
fn run(desk: &Desk, code: i32, args: &[&str]) -> String {
    let output = pds(desk.folder.path(), args);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "pds {args:?}\n{out}\n{err}");
    out
}

fn run_json(desk: &Desk, code: i32, args: &[&str]) -> Value {
    let args = [args, &["--json"]].concat();
    let out = run(desk, code, &args);
    assert_eq!(out.lines().count(), 1, "one JSON object: {out}");
    serde_json::from_str(&out).unwrap()
}

const FETCH: [&str; 4] = ["fetch", PLUGIN, "--trust", "trust.toml"];

#[tokio::test(flavor = "multi_thread")]
async fn help_documents_exit_codes_and_has_examples() {
    let (_fake, desk) = setup().await;
    let help = run(&desk, 0, &["--help"]);
    for code in ["0  done", "1  verified", "2  wrong usage", "3  could not tell"] {
        assert!(help.contains(code), "{code} in {help}");
    }
    for command in
        ["key", "submit", "status", "fetch", "verify", "unpack", "inspect", "audit", "fsck", "hammer"]
    {
        let help = run(&desk, 0, &[command, "--help"]);
        assert!(help.contains("Example") && help.contains(&format!("pds {command}")), "{help}");
    }
    run(&desk, 2, &["fetch"]);
    run(&desk, 2, &["fetch", "not-a-name", "--trust", "trust.toml"]);
    run(&desk, 2, &["status", "xyz", "--server", "http://127.0.0.1:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_made_once_and_kept_private() {
    let (_fake, desk) = setup().await;
    let made = run_json(&desk, 0, &["key", "new", "k"]);
    assert_eq!(run_json(&desk, 0, &["key", "show", "k"]), made);
    assert_eq!(made["public_key"].as_str().unwrap().len(), 64);
    let error = run_json(&desk, 2, &["key", "new", "k"]);
    assert!(error["error"].as_str().unwrap().contains("exists already"), "{error}");
    std::fs::set_permissions(desk.path("k"), PermissionsExt::from_mode(0o644)).unwrap();
    assert!(run_json(&desk, 2, &["key", "show", "k"])["error"].as_str().unwrap().contains("chmod 600"));
    assert_eq!(run_json(&desk, 3, &["key", "show", "nothing"])["exit"], 3);
    let shown = run(&desk, 0, &["inspect", "k"]);
    let secret = std::fs::read_to_string(desk.path("k")).unwrap();
    assert!(shown.contains("NOT VERIFIED") && !shown.contains(secret.lines().nth(1).unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn fetched_plugin_verifies_offline_and_unpacks() {
    let (fake, desk) = setup().await;
    let fetched = run_json(&desk, 0, &FETCH);
    assert_eq!(fetched["satisfied"], true);
    assert_eq!(fetched["validators"]["PV1"]["state"], "validated");
    assert_eq!(fetched["written"][0], format!("{PLUGIN}.pds"));
    drop(fake);
    let file = format!("{PLUGIN}.pds");
    let verdict = run_json(&desk, 0, &["verify", &file, "--trust", "trust.toml"]);
    assert_eq!((&verdict["satisfied"], &verdict["name"]), (&true.into(), &PLUGIN.into()));
    let text = run(&desk, 0, &["verify", &file, "--trust", "trust.toml", "--formula", "PV1[structure]"]);
    assert!(text.contains("\u{2713} the log pv1.example signed") && text.contains("is satisfied"), "{text}");
    run(&desk, 1, &["verify", &file, "--trust", "trust.toml", "--formula", "PV1[termination]"]);
    run(&desk, 1, &["verify", &file, "--trust", "trust.toml", "--name", BROKEN]);
    run(&desk, 2, &["verify", &file, "--trust", "trust.toml", "--formula", "PV1 &"]);
    run(&desk, 2, &["verify", &file, "--trust", "trust.toml", "--formula", "PV1 | PV9"]);
    let late = (real_now() + 90_000).to_string();
    run(&desk, 1, &["verify", &file, "--trust", "trust.toml", "--now", &late]);

    let unpack = ["unpack", &file, "--out", "there", "--trust", "trust.toml"];
    run(&desk, 1, &[&unpack[..], &["--name", BROKEN]].concat());
    assert!(!desk.path("there").exists());
    let unpacked = run_json(&desk, 0, &[&unpack[..], &["--name", PLUGIN]].concat());
    assert_eq!(unpacked["written"].as_array().unwrap().len(), 3);
    let (manifest, objects) = World::plugin(&name(PLUGIN), 1);
    assert_eq!(std::fs::read(desk.path("there").join(format!("{PLUGIN}.plugin"))).unwrap(), manifest);
    assert_eq!(std::fs::read(desk.path("there/sub/b.o")).unwrap(), objects[1].1);
    run(&desk, 2, &["unpack", &file, "--out", "there", "--trust", "trust.toml"]);

    let mut package = PluginPackage::from_bytes(&std::fs::read(desk.path(&file)).unwrap()).unwrap();
    package.objects[0].1[0] ^= 1;
    std::fs::write(desk.path("bent.pds"), package.to_bytes()).unwrap();
    let verdict = run_json(&desk, 1, &["verify", "bent.pds", "--trust", "trust.toml"]);
    assert!(verdict["terms"][0]["error"].as_str().unwrap().contains("object a.o hashes to"), "{verdict}");
    run(&desk, 1, &["unpack", "bent.pds", "--out", "elsewhere", "--trust", "trust.toml"]);
    assert!(!desk.path("elsewhere").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_plugin_is_told_with_its_cause() {
    let (_fake, desk) = setup().await;
    let fetched = run_json(&desk, 1, &["fetch", BROKEN, "--trust", "trust.toml"]);
    assert_eq!(fetched["validators"]["PV1"]["state"], "failed");
    assert_eq!(fetched["validators"]["PV1"]["failure"]["stage"], "build");
    let file = fetched["written"][0].as_str().unwrap();
    assert_eq!(file, format!("{BROKEN}.evidence"));
    let verified = run_json(&desk, 0, &["verify", file, "--trust", "trust.toml"]);
    assert_eq!((&verified["proves"]["state"], &verified["holds"]), (&"failed".into(), &true.into()));
    run(&desk, 2, &["verify", file, "--trust", "trust.toml", "--formula", "PV1"]);
    let text = run(&desk, 1, &["fetch", BROKEN, "--trust", "trust.toml"]);
    assert!(text.contains("unknown type name") && text.contains("failed at stage build on a.o"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn absence_is_proved_of_the_name_that_was_asked_for() {
    let (_fake, desk) = setup().await;
    let nobody = "org.example.nobody";
    let fetched = run_json(&desk, 1, &["fetch", nobody, "--trust", "trust.toml"]);
    let file = fetched["written"][0].as_str().unwrap();
    run(&desk, 2, &["verify", file, "--trust", "trust.toml"]);
    let verified = run_json(&desk, 0, &["verify", file, "--trust", "trust.toml", "--name", nobody]);
    assert_eq!(verified["proves"]["state"], Value::Null);
    run(&desk, 1, &["verify", file, "--trust", "trust.toml", "--name", PLUGIN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_comes_as_evidence_in_both_forms() {
    let (_fake, desk) = setup().await;
    for (format, file) in [("evidence", "h.evidence"), ("tlog-proof", "h.tlog")] {
        let args = ["--epoch", "1", "--format", format, "--out", file];
        let fetched = run_json(&desk, 0, &[&FETCH[..], &args].concat());
        assert_eq!(fetched["validators"]["PV1"]["now"], false);
        let verified = run_json(&desk, 0, &["verify", file, "--trust", "trust.toml"]);
        assert_eq!((&verified["proves"]["epoch"], &verified["proves"]["now"]), (&1.into(), &false.into()));
        let shown = run_json(&desk, 0, &["inspect", file]);
        assert_eq!((&shown["verified"], shown["may_be"].as_array().unwrap().len()), (&false.into(), 1));
    }
    assert!(std::fs::read_to_string(desk.path("h.tlog")).unwrap().starts_with("c2sp.org/tlog-proof@v1\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_is_older_than_what_was_seen_is_not_of_now() {
    let (fake, desk) = setup().await;
    run(&desk, 0, &[&FETCH[..], &["--out", "old.pds"]].concat());
    fake.world.lock().unwrap().close(vec![]);
    run(&desk, 0, &[&FETCH[..], &["--out", "new.pds"]].concat());
    let verify = ["verify", "old.pds", "--trust", "trust.toml"];
    let verdict = run_json(&desk, 1, &verify);
    assert!(verdict["terms"][0]["error"].as_str().unwrap().contains("not of now"), "{verdict}");
    run(&desk, 0, &[&verify[..], &["--allow-older"]].concat());
    run(&desk, 0, &[&verify[..], &["--state", "elsewhere"]].concat());
    run(&desk, 0, &["verify", "new.pds", "--trust", "trust.toml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn formula_is_satisfied_by_those_who_answer() {
    let (one, two) = (Fake::start(world(1)).await, Fake::start(world(2)).await);
    let desk = Desk::new(&[&one, &two]);
    run(&desk, 0, &FETCH);
    two.lie(Lie::Busy);
    let fetched = run_json(&desk, 0, &[&FETCH[..], &["--formula", "PV1 | PV2"]].concat());
    assert!(fetched["validators"]["PV2"]["error"].as_str().unwrap().contains("503"), "{fetched}");
    run(&desk, 3, &FETCH);
    two.lie(Lie::OtherName(BROKEN));
    run(&desk, 1, &FETCH);
    run(&desk, 0, &[&FETCH[..], &["--validator", "PV1"]].concat());
    run(&desk, 2, &[&FETCH[..], &["--validator", "PV3"]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn fork_is_an_alarm_whatever_the_formula() {
    let (one, two) = (Fake::start(world(1)).await, Fake::start(world(2)).await);
    let desk = Desk::new(&[&one, &two]);
    run(&desk, 0, &FETCH);
    let mut fork = World::new(2, real_now());
    fork.validate(&name(PLUGIN), 5);
    fork.close(vec![]);
    fork.close(vec![]);
    *two.world.lock().unwrap() = fork;
    let error = run_json(&desk, 1, &[&FETCH[..], &["--formula", "PV1 | PV2"]].concat());
    assert!(error["error"].as_str().unwrap().contains("SPLIT VIEW"), "{error}");
    assert_eq!(std::fs::read_dir(desk.path("xdg/pds/conflicts")).unwrap().count(), 1);

    // Handed over by somebody who was only ever shown the fork, it is caught offline too.
    run(&desk, 0, &[&FETCH[..], &["--validator", "PV2", "--state", "victim", "--out", "fork.pds"]].concat());
    let verify = ["verify", "fork.pds", "--trust", "trust.toml", "--formula", "PV2"];
    run(&desk, 0, &[&verify[..], &["--state", "victim"]].concat());
    let verdict = run_json(&desk, 1, &verify);
    assert!(verdict["terms"][0]["error"].as_str().unwrap().contains("SPLIT VIEW"), "{verdict}");
}

fn source_folder(desk: &Desk, folder: &str, plugin: &str) {
    let manifest = format!("{plugin}\nheader_parsed pre a.o\n");
    write_files(&desk.path(folder), &[("p.plugin", &manifest), ("a.c", "int a(void) { return 0; }\n")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn submission_is_signed_promised_and_waited_for() {
    let (_fake, desk) = setup().await;
    run(&desk, 0, &["key", "new", "k"]);
    source_folder(&desk, "src", "org.example.fresh");
    let submit = ["submit", "src", "--key", "k", "--trust", "trust.toml", "--validator", "PV1"];
    let done = run_json(&desk, 0, &[&submit[..], &["--wait", "--receipt", "r"]].concat());
    assert_eq!((&done["release"], &done["outcome"]), (&1.into(), &"validated".into()));
    assert_eq!((&done["receipt_verified"], &done["outcome_verified"]), (&true.into(), &false.into()));
    let bytes = std::fs::read(desk.path("r")).unwrap();
    let (receipt, _) = pds_core::cose::open_any_key::<Receipt>(&bytes, SignedKind::Receipt).unwrap();
    assert_eq!(receipt.submission.to_string(), done["submission"].as_str().unwrap());
    let digest = done["submission"].as_str().unwrap();
    let status = run_json(&desk, 0, &["status", digest, "--trust", "trust.toml", "--validator", "PV1"]);
    assert_eq!((&status["progress"], &status["receipt_verified"]), (&"published".into(), &true.into()));
    let unknown = "0".repeat(64);
    run(&desk, 1, &["status", &unknown, "--trust", "trust.toml", "--validator", "PV1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn submission_of_an_owned_name_goes_on_under_its_owner() {
    let (fake, desk) = setup().await;
    source_folder(&desk, "src", PLUGIN);
    run(&desk, 0, &["key", "new", "stranger"]);
    let owners = pds_core::secret_key::to_text(&ed25519_dalek::SigningKey::from_bytes(&[42; 32]));
    pds_files::durable::create(&desk.path("owner"), owners.as_bytes()).unwrap();
    let error = run_json(&desk, 2, &["submit", "src", "--key", "stranger", "--server", &fake.url]);
    assert!(error["error"].as_str().unwrap().contains("belongs to other keys"), "{error}");
    let done = run_json(&desk, 0, &["submit", "src", "--key", "owner", "--server", &fake.url]);
    assert_eq!((&done["release"], &done["receipt_verified"]), (&2.into(), &false.into()));
    let args = ["submit", "src", "--key", "owner", "--server", &fake.url, "--release", "9"];
    assert_eq!(run_json(&desk, 0, &args)["release"], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn submission_that_fails_or_is_refused_exits_with_1() {
    let (fake, desk) = setup().await;
    run(&desk, 0, &["key", "new", "k"]);
    source_folder(&desk, "bad", "org.example.failing");
    let done = run_json(&desk, 1, &["submit", "bad", "--key", "k", "--server", &fake.url, "--wait"]);
    assert_eq!(done["failure"]["message"], "a.c:1: unknown type name");
    source_folder(&desk, "not-mine", "org.example.forbidden");
    let error = run_json(&desk, 1, &["submit", "not-mine", "--key", "k", "--server", &fake.url]);
    assert!(error["error"].as_str().unwrap().contains("belongs to somebody else"), "{error}");
    fake.lie(Lie::WrongReceipt);
    source_folder(&desk, "src", "org.example.fresh");
    let submit = ["submit", "src", "--key", "k", "--trust", "trust.toml", "--validator", "PV1"];
    let error = run_json(&desk, 1, &submit);
    assert!(error["error"].as_str().unwrap().contains("release is another"), "{error}");
    source_folder(&desk, "two", "org.example.two-manifests");
    write_files(&desk.path("two"), &[("q.plugin", "x")]);
    let submit = ["submit", "two", "--key", "k", "--server", &fake.url];
    run(&desk, 2, &submit);
    run(&desk, 0, &[&submit[..], &["--manifest", "p.plugin"]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn network_that_is_not_there_is_exit_code_3() {
    let (fake, desk) = setup().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let text = std::fs::read_to_string(&desk.trust).unwrap();
    std::fs::write(&desk.trust, text.replace(&fake.url, &nowhere)).unwrap();
    let error = run_json(&desk, 3, &FETCH);
    assert!(error["causes"].as_array().unwrap().len() > 1 && error["exit"] == 3, "{error}");
    run(&desk, 3, &["audit", "--trust", "trust.toml", "--validator", "PV1"]);
    run(&desk, 3, &["fetch", PLUGIN, "--trust", "no-such-file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_holds_or_says_what_does_not() {
    let (fake, desk) = setup().await;
    let audit = ["audit", "--trust", "trust.toml", "--validator", "PV1"];
    let report = run_json(&desk, 0, &audit);
    assert_eq!((&report["holds"], &report["counts"]["epochs"]), (&true.into(), &3.into()));
    fake.lie(Lie::Withhold("/causes"));
    assert_eq!(run_json(&desk, 0, &audit)["counts"]["epochs"], 0, "nothing new, nothing asked");
    let report = run_json(&desk, 1, &[&audit[..], &["--from-scratch"]].concat());
    assert_eq!((&report["holds"], report["violations"].as_array().unwrap().len()), (&false.into(), 1));
    assert!(run(&desk, 1, &[&audit[..], &["--from-scratch"]].concat()).contains("DOES NOT HOLD"));
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_shows_whatever_the_system_has() {
    let (fake, desk) = setup().await;
    let world = fake.world.lock().unwrap().clone();
    let evidence: Evidence = world.evidence(&name(PLUGIN), None);
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("checkpoint (C2SP)", world.checkpoints[2].clone().into_bytes()),
        ("cose-sign1 (CBOR)", world.entries[1].clone()),
        ("transition (CBOR)", world.transitions[1].to_bytes()),
        ("evidence (CBOR)", evidence.to_bytes()),
        ("evidence-extra (CBOR)", evidence.extra.to_bytes()),
        ("name-record (CBOR)", evidence.extra.name_record.unwrap()),
        ("binding (CBOR)", evidence.extra.binding.unwrap()),
        ("policy (CBOR)", world.stored[&world.policy].clone()),
        ("head (CBOR)", world.head.as_ref().unwrap().to_bytes()),
        ("name-history (CBOR)", world.history(&name(PLUGIN), None).to_bytes()),
        ("trust policy (C2SP tlog-policy)", world.policy_file().into_bytes()),
        ("verifier key (vkey)", format!("{}\n", world.str_vkey()).into_bytes()),
        (
            "entry bundle (C2SP tlog-tiles)",
            pds_core::log::tile::encode_entries(world.entries.iter().map(Vec::as_slice)).unwrap(),
        ),
    ];
    for (kind, bytes) in files {
        std::fs::write(desk.path("file"), bytes).unwrap();
        let shown = run_json(&desk, 0, &["inspect", "file"]);
        assert_eq!(shown["may_be"][0]["kind"], kind);
        assert_eq!(shown["may_be"].as_array().unwrap().len(), 1, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fsck_passes_on_what_the_server_says() {
    let (_fake, desk) = setup().await;
    write_files(&desk.path("bin"), &[("pds-log-server", "#!/bin/sh\necho \"$@\"\nexit 4\n")]);
    let script = desk.path("bin/pds-log-server");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    // A copy, so that no server built beside the real one is found.
    let copy = desk.path("copy/pds");
    std::fs::create_dir(desk.path("copy")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_pds"), &copy).unwrap();
    let fsck = |path: &Path, json: bool| {
        let mut command = Command::new(&copy);
        command.args(["fsck", "data"]).args(json.then_some("--json")).env("PATH", path);
        command.output().unwrap()
    };
    let output = fsck(&desk.path("bin"), false);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(4), b"fsck data\n".as_slice()));
    let output = fsck(&desk.path("bin"), true);
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["exit"], 4);
    assert_eq!(fsck(&desk.path("nowhere"), false).status.code(), Some(3));
}
