//! A validator in a temporary folder: made, started, killed, started again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use pds_client::api::ValidatorApi;
use pds_client::fetch::Source;
use pds_client::http::Timeouts;
use pds_client::trust::KnownValidator;
use pds_core::evidence::TrustedValidator;
use pds_core::note::VerifierKey;
use pds_core::tlog_policy::Policy;
use pds_schemas::json::{Progress, SubmissionStatus};
use pds_schemas::{Artefact, Digest};
use tempfile::TempDir;

use crate::http::Http;
use crate::plugins;
use crate::process::{Process, binary};

/// Name of every validator here; each has keys of its own.
pub const ORIGIN: &str = "pv.test.example";

/// A validator's folder, and its process when it runs.
#[derive(Debug)]
pub struct Validator {
    folder: TempDir,
    settings: BTreeMap<String, String>,
    environment: Vec<(String, OsString)>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    http: Http,
}

/// Why a validator did not start.
#[derive(Debug)]
pub struct Refused {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said.
    pub log: String,
}

impl Validator {
    /// A new validator, initialised and not started, with one epoch a second.
    pub fn new() -> Self {
        let validator = Self::bare();
        let init = validator.run(&["init", "--config", "pv.toml"]);
        assert!(init.status.success(), "init: {}", text(&init.stderr));
        validator
    }

    /// As [`Validator::new`], and started.
    pub fn started() -> Self {
        let mut validator = Self::new();
        validator.start();
        validator
    }

    /// As [`Validator::new`], with an epoch an hour: a run has one, the one that an orderly end closes.
    pub fn with_one_epoch_a_run() -> Self {
        let mut validator = Self::new();
        validator.set("epoch_interval_s", "3600");
        validator.set("decide_within_s", "7200");
        validator
    }

    /// A validator's folder with nothing in it but a configuration.
    pub fn bare() -> Self {
        let folder = TempDir::new().unwrap();
        let settings = [
            ("origin", format!("{ORIGIN:?}")),
            ("listen", "\"127.0.0.1:0\"".to_owned()),
            ("address_file", "\"address\"".to_owned()),
            ("data_dir", "\"data\"".to_owned()),
            ("log_key", "\"keys/log\"".to_owned()),
            ("str_key", "\"keys/str\"".to_owned()),
            ("epoch_interval_s", "1".to_owned()),
            ("allow_unconfined", "true".to_owned()),
            ("free_space_reserve_mib", "1".to_owned()),
            ("block_cache_mib", "8".to_owned()),
            ("log_format", "\"json\"".to_owned()),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value)).into();
        let validator = Self { folder, settings, environment: Vec::new(), running: None };
        std::fs::create_dir(validator.path("scratch")).unwrap();
        validator.write_config();
        validator
    }

    /// Sets a key of the configuration, `value` as TOML has it.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.insert(key.to_owned(), value.to_owned());
        self.write_config();
    }

    /// Variables in the environment of its server from the next start on; of no other command.
    pub fn set_environment(&mut self, environment: Vec<(String, OsString)>) {
        self.environment = environment;
    }

    /// A path in its folder.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("pv.toml")
    }

    /// Its guard's file.
    pub fn guard(&self) -> PathBuf {
        self.path("keys/log.guard")
    }

    fn write_config(&self) {
        let lines: String = self.settings.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        std::fs::write(self.config(), lines).unwrap();
    }

    /// `pds-log-server ARGUMENTS` in its folder, not yet run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("pds-log-server"));
        // Builds are made below, and go away with the folder even after a kill.
        command.args(arguments).current_dir(self.folder.path()).env("TMPDIR", self.path("scratch"));
        command
    }

    /// Runs `pds-log-server ARGUMENTS` in its folder to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts it; it must not run.
    pub fn start(&mut self) {
        if let Err(refused) = self.try_start() {
            panic!("the validator did not start: {}\n{}", refused.status, refused.log);
        }
    }

    /// Starts it, and waits until it listens or has ended.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn try_start(&mut self) -> Result<(), Refused> {
        let mut process = self.spawn();
        let address = process.log.wait_for(0, |line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line["message"] == "listening").then(|| line["address"].as_str().unwrap().parse().unwrap())
        });
        let Some(address) = address else {
            let status = process.wait();
            return Err(Refused { status, log: process.log.text() });
        };
        self.running = Some(Running { process, http: Http { address } });
        Ok(())
    }

    /// Starts it and waits for nothing.
    pub fn spawn(&self) -> Process {
        assert!(self.running.is_none(), "it runs already");
        let mut command = self.command(&["--config", "pv.toml"]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Process::spawn(command)
    }

    /// Copies it, running or stopped, into the new folder `target` of its folder.
    pub fn backup(&self, target: &str) -> Output {
        self.run(&["backup", "--config", "pv.toml", "--json", target])
    }

    /// Restores it from the folder `backup` of its folder.
    pub fn restore(&self, backup: &str) -> Output {
        self.run(&["restore", "--config", "pv.toml", backup])
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.running.as_ref().unwrap().process
    }

    /// Its HTTP interface.
    pub fn http(&self) -> Http {
        self.running.as_ref().unwrap().http
    }

    /// Whether it still serves.
    pub fn is_well(&self) -> bool {
        self.http().get("/readyz").status == 200
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.running.take().unwrap().process.kill();
    }

    /// SIGTERM; it must end well. Gives its log.
    pub fn stop(&mut self) -> String {
        let mut running = self.running.take().unwrap();
        running.process.terminate();
        let status = running.process.wait();
        let log = running.process.log.text();
        assert!(status.success(), "SIGTERM ends with {status}\n{log}");
        log
    }

    /// Waits until `more` epochs were closed from now on.
    pub fn wait_epochs(&self, more: u64) {
        let log = &self.process().log;
        let mut left = more;
        let found = log.wait_for(log.len(), |line| {
            left -= u64::from(line.contains("\"epoch closed\""));
            (left == 0).then_some(())
        });
        assert!(found.is_some(), "it ended\n{}", log.text());
    }

    /// How a submission stands; it must be known.
    pub fn status(&self, submission: &Digest) -> SubmissionStatus {
        self.http().json(&format!("/submissions/{submission}"))
    }

    /// Waits until a submission is in a signed epoch.
    pub fn wait_published(&self, submission: &Digest) -> SubmissionStatus {
        loop {
            let seen = self.process().log.len();
            let status = self.status(submission);
            if status.progress == Progress::Published {
                return status;
            }
            let log = &self.process().log;
            let closed = log.wait_for(seen, |line| line.contains("\"epoch closed\"").then_some(()));
            assert!(closed.is_some(), "it ended\n{}", log.text());
        }
    }

    /// Submits a plugin, which must be accepted, and waits until its decision is published.
    pub fn publish(&self, prepared: &pds_client::submit::Prepared) -> SubmissionStatus {
        let answer = self.http().submit(&prepared.upload.to_bytes());
        assert_eq!(answer.status, 202, "{}", text(&answer.body));
        self.wait_published(&prepared.digest)
    }

    /// Publishes a plugin that is quick to validate.
    pub fn publish_tiny(&self, name: &str, release: u64) -> SubmissionStatus {
        let plugin = plugins::tiny(name, &format!("{}// {release}\n", plugins::HOLDS));
        self.publish(&plugins::signed(&plugin, release, &plugins::developer(1)))
    }

    /// Its log's public key.
    pub fn log_key(&self) -> VerifierKey {
        self.key("log")
    }

    /// Its STRs' public key.
    pub fn str_key(&self) -> VerifierKey {
        self.key("str")
    }

    fn key(&self, which: &str) -> VerifierKey {
        let path = self.path(format!("data/{which}.vkey"));
        std::fs::read_to_string(path).unwrap().trim_end().parse().unwrap()
    }

    /// Its keys, as a peer trusts them without witnesses.
    pub fn trusted(&self) -> TrustedValidator {
        let policy = format!("log {}\nquorum none\n", self.log_key());
        TrustedValidator::new(self.str_key(), Policy::parse(policy.as_bytes()).unwrap(), true).unwrap()
    }

    /// It, as the client's library reaches it, under the nickname PV.
    pub fn source(&self) -> Source {
        let url = format!("http://{}/", self.http().address);
        let http = pds_client::http::Http::new(Timeouts::default()).unwrap();
        let api = ValidatorApi::new(http, &url).unwrap();
        let nickname = "PV".to_owned();
        let known = KnownValidator { nickname, url, trusted: self.trusted(), max_age_s: 86_400, skew_s: 300 };
        Source { known, api }
    }

    /// Has the stopped validator's database checked; nothing must be found.
    pub fn fsck(&self) {
        let output = self.run(&["fsck", "data"]);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && said.contains(" 0 findings"), "fsck: {}\n{said}", output.status);
    }
}

impl Default for Validator {
    fn default() -> Self {
        Self::new()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
