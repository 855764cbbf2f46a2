//! The faulty disk itself: it fails where it is told to, keeps what was synced, and nothing else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use pds_faults::plan::{Effect, Fault, Point};
use pds_faults::shim::{Control, Settings};
use pds_files::durable;
use tempfile::TempDir;

/// Names the folder that a child works in, and what it does there.
const CHILD: [&str; 2] = ["PDS_FAULTS_TEST_FOLDER", "PDS_FAULTS_TEST_DEED"];

/// What a child process does, in `folder`; as a test, it does nothing.
#[test]
fn child() {
    let [Ok(folder), Ok(deed)] = CHILD.map(std::env::var) else { return };
    let file = Path::new(&folder).join("disk/000001.log");
    let append = || OpenOptions::new().append(true).open(&file).unwrap();
    let result = match deed.as_str() {
        // "old" is there, and synced.
        "append" => append().write_all(b"synced").and_then(|()| append().sync_data()).and_then(|()| {
            let mut file = append();
            file.write_all(b"more").and_then(|()| file.write_all(b"last"))
        }),
        "replace" => durable::replace(&file, b"new"),
        "unlink" => std::fs::remove_file(&file).and_then(|()| File::open(&file).map(drop)),
        "ask" => {
            let disk = rustix::fs::statvfs(&file).unwrap();
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            eprintln!("free {} now {}", disk.f_bavail * disk.f_frsize, now.as_secs());
            append().write_all(b"more")
        }
        other => panic!("{other}"),
    };
    if let Err(error) = result {
        eprintln!("failed: {error}");
    }
}

struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        for folder in ["disk", "stash"] {
            std::fs::create_dir(disk.0.path().join(folder)).unwrap();
        }
        std::fs::write(disk.0.path().join("disk/000001.log"), "old").unwrap();
        disk
    }

    fn settings(&self, faults: &[&str]) -> Settings {
        let path = |name: &str| self.0.path().join(name);
        let faults = faults.iter().map(|text| fault(text)).collect();
        Settings {
            roots: vec![path("disk")],
            stash: path("stash"),
            faults,
            seconds: Some(60),
            ..Settings::default()
        }
    }

    fn run(&self, deed: &str, settings: &Settings) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["child", "--exact", "--nocapture", "--test-threads=1"]);
        command.env(CHILD[0], self.0.path()).env(CHILD[1], deed);
        settings.apply(&mut command).unwrap();
        command.output().unwrap()
    }

    /// What the file holds; `None` if there is none.
    fn content(&self) -> Option<String> {
        std::fs::read_to_string(self.0.path().join("disk/000001.log")).ok()
    }
}

fn fault(text: &str) -> Fault {
    let [class, operation, ordinal, effect] = text.split(':').collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    let effect = Effect::ALL.into_iter().find(|e| e.name() == effect).unwrap();
    let point = Point { class: class.into(), operation: operation.into(), ordinal: ordinal.parse().unwrap() };
    Fault { point, effect }
}

/// Does `deed` with `faults`: whether it was killed, what it said, what the file holds then.
#[track_caller]
fn check(deed: &str, faults: &[&str], killed: bool, says: &str, holds: Option<&str>) {
    let disk = Disk::new();
    let output = disk.run(deed, &disk.settings(faults));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal() == Some(9), killed, "{faults:?}: {}: {said}", output.status);
    let failed = said.lines().find_map(|line| line.strip_prefix("failed: ")).unwrap_or_default();
    assert!(failed.starts_with(says) && failed.is_empty() == says.is_empty(), "{faults:?}: {said}");
    assert_eq!(disk.content().as_deref(), holds, "{faults:?}");
}

#[test]
fn bytes_survive_up_to_the_last_sync() {
    check("append", &[], false, "", Some("oldsyncedmorelast"));
    check("append", &["log:write:1:kill-cut"], true, "", Some("old"));
    check("append", &["log:sync:1:kill-cut"], true, "", Some("oldsynced"));
    check("append", &["log:write:3:kill-cut"], true, "", Some("oldsynced"));
    check("append", &["log:write:3:kill-torn"], true, "", Some("oldsyncedmore"));
    check("append", &["log:write:3:kill-kept"], true, "", Some("oldsyncedmorelast"));
}

#[test]
fn calls_fail_done_and_undone() {
    check("append", &["log:write:2:eio-done"], false, "Input/output", Some("oldsyncedmore"));
    check("append", &["log:write:2:eio-lost"], false, "Input/output", Some("oldsynced"));
    check("append", &["log:write:2:enospc-done"], false, "No space", Some("oldsyncedmore"));
    check("append", &["log:sync:1:eio-done"], false, "Input/output", Some("oldsynced"));
    check("append", &["log:sync:1:eio-lost"], false, "Input/output", Some("old"));
    check("append", &["log:open:1:eio-done"], false, "", Some("old"));
}

#[test]
fn write_that_found_no_room_is_gone_once_the_process_ends() {
    let disk = Disk::new();
    // Power fails then, which takes the half that was done: no sync made it last.
    disk.run("append", &disk.settings(&["log:write:2:enospc-lost", "log:write:9:kill-cut"]));
    assert_eq!(disk.content().as_deref(), Some("oldsynced"));
}

#[test]
fn names_survive_from_the_sync_of_their_folder_on() {
    check("replace", &[], false, "", Some("new"));
    check("replace", &["log:rename:1:kill-cut"], true, "", Some("old"));
    check("replace", &["log:rename:1:kill-torn"], true, "", Some("new"));
    check("replace", &["log:rename:1:eio-lost"], false, "Input/output", Some("old"));
    check("replace", &["folder:sync:1:eio-lost"], false, "Input/output", Some("old"));
    check("replace", &["folder:sync:1:kill-cut"], true, "", Some("new"));
    check("unlink", &["log:unlink:1:kill-cut"], true, "", Some("old"));
    check("unlink", &["log:unlink:1:kill-kept"], true, "", None);
}

#[test]
fn clock_and_room_are_what_the_control_says() {
    let disk = Disk::new();
    let file = disk.0.path().join("control");
    let control = Control::create(&file).unwrap();
    let settings = Settings { control: Some(file), clock: Some(5_000_000_000), ..disk.settings(&[]) };
    control.set_ahead(-3600).unwrap();
    control.set_free(Some(1 << 20)).unwrap();
    control.set_full(true).unwrap();
    let said = String::from_utf8(disk.run("ask", &settings).stderr).unwrap();
    assert!(said.contains("free 1048576 now 4999996400"), "{said}");
    assert!(said.contains("failed: No space"), "{said}");
}
