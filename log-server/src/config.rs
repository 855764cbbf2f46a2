//! The log-server's configuration file. `deploy/log-server.toml` is a commented example.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use pds_core::acceptance::Acceptance;
use pds_core::note::{KeyName, KeyType};
use pds_schemas::{Artefact, Policy, Verifier};
use pds_service::config::beside;
use pds_service::http::ServeLimits;
use pds_service::telemetry::{LogFormat, parse_filter};
use serde::Deserialize;

use crate::admission::QueueLimits;
use crate::queue::NAMES_AN_EPOCH;

/// What `pds-log-server --config FILE` reads. Relative paths start from the file's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the validator, of its log and of its log key, e.g. `"pv1.example"`: a URL without scheme, no space, no plus.
    pub origin: String,
    /// Address to listen on, e.g. `"127.0.0.1:7400"`. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// File to write the address to once it is listened on. Default: none.
    #[serde(default)]
    pub address_file: Option<PathBuf>,
    /// Folder of the database and of the public keys, made by `init`.
    pub data_dir: PathBuf,
    /// File of the key that signs checkpoints, made by `init`.
    pub log_key: PathBuf,
    /// File of the key that signs STRs and receipts, made by `init`. Another key than the log's.
    pub str_key: PathBuf,
    /// File of the last signed head, outside the database. Default: the log key's file with `.guard` behind its name.
    #[serde(default)]
    pub guard: Option<PathBuf>,
    /// Seconds between epochs, 1 to 86,400.
    pub epoch_interval_s: u64,
    /// Seconds in which a submission is promised to be decided. Default 3,600; at least two epochs.
    #[serde(default = "default_decide_within_s")]
    pub decide_within_s: u64,
    /// Properties that must be proved for a plugin to be validated. Default `"structure & reproducible"`.
    #[serde(default = "default_acceptance")]
    pub acceptance: String,
    /// Submissions that may wait for their decision, about 600 bytes of memory each. More are answered 503. Default 10,000;
    /// at most 32,768, so that one epoch can say of all that wait that they are overdue.
    #[serde(default = "default_queue_limit")]
    pub queue_limit: usize,
    /// Of these, those that one key signed. More are answered 429. Default a quarter of `queue_limit`; and nobody has more
    /// places than are free, unless this is `queue_limit` itself.
    #[serde(default)]
    pub queue_limit_per_owner: Option<usize>,
    /// Of these, those that one client sent since the server started. More are answered 429. Default and exception as for
    /// owners.
    #[serde(default)]
    pub queue_limit_per_client: Option<usize>,
    /// Submissions that are built and decided at a time, owners taking turns; with more than one, no owner has all. 0 to
    /// 64, default 1. With 0 nothing is decided here: what is accepted waits, and fails once it is overdue.
    #[serde(default = "default_builders")]
    pub builders: usize,
    /// Mebibytes that uploads under way take up together, of which one client has an eighth. More are answered 503 and 429.
    /// Default 256, 128 to 65,536.
    #[serde(default = "default_upload_memory_mib")]
    pub upload_memory_mib: usize,
    /// Run the compiler without a sandbox. Needed until there is one: a hostile source can read what this process can.
    #[serde(default)]
    pub allow_unconfined: bool,
    /// The compiler for BPF: a file, or a name in `/usr/bin` or `/bin`. Default `"clang"`.
    #[serde(default = "default_compiler")]
    pub compiler: PathBuf,
    /// Seconds that compiling one object may take. Default 20.
    #[serde(default = "default_compile_limit_s")]
    pub compile_limit_s: u64,
    /// Seconds that SIGTERM leaves to decide what is queued; the rest stays in the queue. Default 30.
    #[serde(default = "default_shutdown_grace_s")]
    pub shutdown_grace_s: u64,
    /// Mebibytes that must be free on the database's disk for a submission to be taken. Default 256.
    #[serde(default = "default_free_space_reserve_mib")]
    pub free_space_reserve_mib: u64,
    /// Mebibytes of database blocks kept in memory. Default 128.
    #[serde(default = "default_block_cache_mib")]
    pub block_cache_mib: usize,
    /// Mebibytes of checked answers kept in memory. Default 64; 0 keeps none.
    #[serde(default = "default_answer_cache_mib")]
    pub answer_cache_mib: usize,
    /// `"text"` (default) or `"json"`.
    #[serde(default)]
    pub log_format: LogFormat,
    /// What is logged, e.g. `"info"` (default) or `"info,pds_log_server=debug"`.
    #[serde(default = "default_log_filter")]
    pub log_filter: String,
    /// Only serve what the data folder holds, such as a restored backup: needs neither keys nor guard, signs nothing and
    /// takes no submissions. Default false.
    #[serde(default)]
    pub read_only: bool,
    /// What clients are granted.
    #[serde(default)]
    pub http: ServeLimits,
}

impl Config {
    /// Reads and checks `file`.
    ///
    /// # Errors
    /// Names the key that is wrong, and what would be right.
    pub fn load(file: &Path) -> anyhow::Result<Self> {
        Self::complete(file, pds_service::config::load(file)?)
    }

    /// As [`Config::load`], from the text of `file`.
    ///
    /// # Errors
    /// As there.
    pub fn parse(file: &Path, text: &str) -> anyhow::Result<Self> {
        Self::complete(file, pds_service::config::parse(file, text)?)
    }

    fn complete(file: &Path, mut config: Self) -> anyhow::Result<Self> {
        for path in [&mut config.data_dir, &mut config.log_key, &mut config.str_key] {
            *path = beside(file, path);
        }
        for path in [&mut config.guard, &mut config.address_file].into_iter().flatten() {
            *path = beside(file, path);
        }
        // A bare name is the validator's to find. Compilers run in the folder of a source tree: nothing is relative there.
        if config.compiler.components().count() > 1 {
            let compiler = beside(file, &config.compiler);
            config.compiler = std::path::absolute(&compiler).context("compiler")?;
        }
        config.check().with_context(|| format!("{}", file.display()))?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        let name = KeyName::new(self.origin.as_str()).context("origin")?;
        // Names of keys and cosigned messages have room for 255 bytes, and the STR key's is four longer.
        pds_core::note::VerifierKey::new(
            KeyName::new(format!("{name}/str")).context("origin")?,
            KeyType::StrV1,
            &pds_core::cose::public_key(&pds_core::cose::signing_key(&[1; 32])),
        )
        .context("origin")?;
        let bounded = |key: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            bail!("{key} is {least} to {most}, not {value}")
        };
        bounded("epoch_interval_s", self.epoch_interval_s, 1, 86_400)?;
        bounded("decide_within_s", self.decide_within_s, 2 * self.epoch_interval_s, 30 * 86_400)?;
        bounded("queue_limit", self.queue_limit as u64, 1, NAMES_AN_EPOCH as u64)?;
        for (key, share) in [
            ("queue_limit_per_owner", self.queue_limit_per_owner),
            ("queue_limit_per_client", self.queue_limit_per_client),
        ] {
            bounded(key, share.unwrap_or(1) as u64, 1, self.queue_limit as u64)?;
        }
        bounded("builders", self.builders as u64, 0, 64)?;
        bounded("upload_memory_mib", self.upload_memory_mib as u64, 128, 65_536)?;
        bounded("compile_limit_s", self.compile_limit_s, 1, 600)?;
        bounded("shutdown_grace_s", self.shutdown_grace_s, 0, 3600)?;
        bounded("block_cache_mib", self.block_cache_mib as u64, 8, 65_536)?;
        bounded("answer_cache_mib", self.answer_cache_mib as u64, 0, 65_536)?;
        bounded("free_space_reserve_mib", self.free_space_reserve_mib, 0, 1 << 30)?;
        self.http.check()?;
        self.check_files()?;
        // It is signed over and served for good: what our own decoder refuses, nobody could read.
        Policy::from_bytes(&self.policy().to_bytes()).context("these settings make no policy")?;
        Acceptance::of_policy(&self.policy()).context("acceptance")?;
        parse_filter(&self.log_filter).context("log_filter")?;
        Ok(())
    }

    fn check_files(&self) -> anyhow::Result<()> {
        let guard = self.guard_file();
        let mut files = vec![("log_key", &self.log_key), ("str_key", &self.str_key), ("guard", &guard)];
        files.extend(self.address_file.as_ref().map(|file| ("address_file", file)));
        for (i, (key, file)) in files.iter().enumerate() {
            if let Some((other, _)) = files[..i].iter().find(|(_, other)| other == file) {
                bail!("{other} and {key} are one file, {}, and must not be", file.display());
            }
        }
        if guard.starts_with(self.store_dir()) {
            bail!(
                "guard {} is inside the database's folder: an old copy of the database would bring its own guard. Keep it \
                 elsewhere",
                guard.display()
            );
        }
        Ok(())
    }

    /// The policy that this configuration amounts to.
    pub fn policy(&self) -> Policy {
        let own = |property: &str| Verifier {
            property: property.to_owned(),
            name: crate::decide::VERIFIER.to_owned(),
            version: crate::decide::VERSION.to_owned(),
        };
        Policy {
            origin: self.origin.clone(),
            acceptance: self.acceptance.clone(),
            verifiers: crate::decide::PROPERTIES.map(own).to_vec(),
            platforms: vec![self.recipe().platform],
            epoch_interval_s: self.epoch_interval_s,
            decide_within_s: self.decide_within_s,
        }
    }

    /// How plugins are built.
    pub fn recipe(&self) -> pds_validator::build::Recipe {
        let mut recipe = pds_validator::build::Recipe::pquic();
        recipe.compiler.clone_from(&self.compiler);
        recipe.time_limit = Duration::from_secs(self.compile_limit_s);
        recipe
    }

    /// Most places of the queue, for all and for each.
    pub fn queue_limits(&self) -> QueueLimits {
        let all = self.queue_limit;
        let share = |of_one: Option<usize>| of_one.unwrap_or(all.div_ceil(4));
        let (per_owner, per_client) = (share(self.queue_limit_per_owner), share(self.queue_limit_per_client));
        QueueLimits { all, per_owner, per_client }
    }

    /// The guard's file.
    pub fn guard_file(&self) -> PathBuf {
        self.guard.clone().unwrap_or_else(|| self.log_key.with_added_extension("guard"))
    }

    /// The database's folder.
    pub fn store_dir(&self) -> PathBuf {
        store_dir(&self.data_dir)
    }

    /// The database's memory.
    pub fn memory(&self) -> pds_store::MemoryBudget {
        pds_store::MemoryBudget { block_cache_bytes: self.block_cache_mib << 20, ..Default::default() }
    }
}

/// Name of the database's folder in a data folder.
pub const STORE_FOLDER: &str = "store";

/// The database in a data folder.
pub fn store_dir(data_dir: &Path) -> PathBuf {
    data_dir.join(STORE_FOLDER)
}

fn default_decide_within_s() -> u64 {
    3600
}

fn default_acceptance() -> String {
    "structure & reproducible".to_owned()
}

fn default_queue_limit() -> usize {
    10_000
}

fn default_builders() -> usize {
    1
}

fn default_upload_memory_mib() -> usize {
    256
}

fn default_compiler() -> PathBuf {
    "clang".into()
}

fn default_compile_limit_s() -> u64 {
    20
}

fn default_shutdown_grace_s() -> u64 {
    30
}

fn default_free_space_reserve_mib() -> u64 {
    256
}

fn default_block_cache_mib() -> usize {
    128
}

fn default_answer_cache_mib() -> usize {
    64
}

fn default_log_filter() -> String {
    "info".to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The least that a configuration has, written to and read from `folder`.
    pub fn config_in(folder: &Path) -> Config {
        load_from(folder, &[]).unwrap()
    }

    fn load(changes: &[(&str, &str)]) -> anyhow::Result<Config> {
        load_from(tempfile::tempdir().unwrap().path(), changes)
    }

    fn load_from(folder: &Path, changes: &[(&str, &str)]) -> anyhow::Result<Config> {
        let file = folder.join("pv.toml");
        let mut lines = std::collections::BTreeMap::from([
            ("origin", "\"pv.example\""),
            ("listen", "\"127.0.0.1:0\""),
            ("data_dir", "\"data\""),
            ("log_key", "\"log.key\""),
            ("str_key", "\"str.key\""),
            ("epoch_interval_s", "5"),
        ]);
        lines.extend(changes.iter().copied());
        let text: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        std::fs::write(&file, text).unwrap();
        Config::load(&file)
    }

    #[test]
    fn config_is_refused_with_the_key_that_is_wrong() {
        load(&[]).unwrap();
        let check = |changes: &[(&str, &str)], expect: &str| {
            let error = format!("{:#}", load(changes).unwrap_err());
            assert!(error.contains(expect), "{changes:?}: {error}");
        };
        check(&[("origin", "\"pv example\"")], "origin");
        check(&[("origin", "\"pv\\u0085x\"")], "origin");
        check(&[("origin", "\"pv\\u007fx\"")], "origin");
        check(&[("origin", &format!("\"{}\"", "x".repeat(252)))], "origin");
        check(&[("epoch_interval_s", "0")], "epoch_interval_s is 1 to 86400");
        check(&[("decide_within_s", "9")], "decide_within_s is 10 to");
        check(&[("free_space_reserve_mib", "17592186044416")], "free_space_reserve_mib is 0 to");
        check(&[("acceptance", "\"structure & termination\"")], "acceptance");
        check(&[("acceptance", &format!("\"structure{}\"", " ".repeat(5000)))], "acceptance");
        check(&[("str_key", "\"log.key\"")], "log_key and str_key are one file");
        check(&[("guard", "\"str.key\"")], "str_key and guard are one file");
        check(&[("address_file", "\"log.key.guard\"")], "guard and address_file are one file");
        check(&[("guard", "\"data/store/guard\"")], "inside the database's folder");
        check(&[("epoch_interval", "5")], "epoch_interval");
    }

    #[test]
    fn compiler_is_never_taken_from_a_source_tree() {
        let compiler = load(&[("compiler", "\"bin/clang\"")]).unwrap().compiler;
        assert!(compiler.is_absolute() && compiler.ends_with("bin/clang"), "{}", compiler.display());
        assert_eq!(load(&[]).unwrap().recipe().compiler_file(), Path::new("/usr/bin/clang"));
    }
}
