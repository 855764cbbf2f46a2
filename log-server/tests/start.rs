//! Starting and `init`, as an operator meets them: the program itself, refusing.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

/// A folder with a configuration, and lines to add to it.
fn configured(lines: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "origin = \"pv.example\"\ndata_dir = \"data\"\nlog_key = \"keys/log.key\"\nstr_key = \"keys/str.key\"\n\
         epoch_interval_s = 60\nallow_unconfined = true\ncompiler = \"/bin/true\"\n{lines}"
    );
    std::fs::write(folder.path().join("pv.toml"), config).unwrap();
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pds-log-server"));
    command.args(arguments).args(["--config", "pv.toml"]).current_dir(folder);
    command
}

fn init(folder: &Path) -> Output {
    command(folder, &["init"]).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn server_ends_when_its_address_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = configured(&format!("listen = \"{}\"\n", taken.local_addr().unwrap()));
    assert!(init(folder.path()).status.success());
    let child = command(folder.path(), &[]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let process = child.id();
    let (ended, wait) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait_with_output().unwrap()));
    let output = wait.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| {
        let _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
        panic!("it goes on without listening");
    });
    assert!(!output.status.success());
    assert!(said(&output).contains("listen on 127.0.0.1:"), "{}", said(&output));
}

#[test]
fn init_makes_the_folders_it_needs_and_refuses_what_is_there() {
    let folder = configured("listen = \"127.0.0.1:0\"\nguard = \"elsewhere/guard\"\n");
    let made = init(folder.path());
    assert!(made.status.success(), "{}", said(&made));
    assert!(folder.path().join("elsewhere/guard").exists());
    let again = init(folder.path());
    assert!(!again.status.success());
    assert!(said(&again).contains("exists already") && !said(&again).contains("remove"), "{}", said(&again));
}

#[test]
fn init_says_what_to_do_when_the_last_one_was_interrupted() {
    let folder = configured("listen = \"127.0.0.1:0\"\n");
    assert!(init(folder.path()).status.success());
    let path = |file: &str| folder.path().join(file);
    std::fs::remove_file(path("keys/log.key.guard")).unwrap();
    std::fs::remove_dir_all(path("data/store")).unwrap();
    let again = init(folder.path());
    let left = "remove keys/log.key, keys/str.key, data/log.vkey, data/str.vkey, and run init again";
    assert!(said(&again).contains(left), "{}", said(&again));
    for file in ["keys/log.key", "keys/str.key"] {
        std::fs::remove_file(path(file)).unwrap();
    }
    let again = init(folder.path());
    assert!(said(&again).contains("data/log.vkey exists already"), "{}", said(&again));
    assert!(!path("keys/log.key").exists(), "nothing is made before all is looked at");
}
