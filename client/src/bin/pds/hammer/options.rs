//! Arguments of `pds hammer`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use clap::Args;
use pds_client::hammer::generate;
use pds_client::hammer::run::Plan;
use pds_client::hammer::{Mix, Target};
use pds_client::http::Timeouts;
use pds_client::trust::TrustFile;
use pds_core::note::VerifierKey;
use pds_schemas::PluginName;

use crate::outcome::Failure;

/// Most bytes of a file of names: 10 million of 25.
const NAMES_BYTES: usize = 256 << 20;

/// How often progress is shown on a terminal.
const TICK: Duration = Duration::from_millis(500);

/// Whom to hammer.
#[derive(Args)]
pub struct TargetArgs {
    /// The server [default: where the trust file says the validator is]
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Trust file
    #[arg(long, value_name = "FILE", requires = "validator", conflicts_with = "vkey")]
    trust: Option<PathBuf>,
    /// Nickname in the trust file
    #[arg(long, value_name = "NICK", requires = "trust")]
    validator: Option<String>,
    /// Public key of any tlog-tiles log, as C2SP signed-note writes it; then only its log is asked
    #[arg(long, value_name = "KEY", required_unless_present = "trust", requires = "url")]
    vkey: Option<VerifierKey>,
    /// First line of that log's checkpoints [default: the key's name]
    #[arg(long, value_name = "ORIGIN", requires = "vkey")]
    origin: Option<String>,
    /// Most seconds for one request and its answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout_s: u64,
}

/// What to do.
#[derive(Args)]
pub struct PlanArgs {
    /// Workers that read
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    readers: u32,
    /// Workers that submit small plugins of their own making, under names that begin with `hammer.`
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    writers: u32,
    /// What readers do, by weight: checkpoint, tile, entries; of a validator also epoch, evidence, absence, old, history,
    /// status
    #[arg(long, value_name = "OP=W,...")]
    mix: Option<Mix>,
    /// Reads a second, all readers together [default: each as soon as it was answered]
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// Submissions a second, all writers together [default: each as soon as it was answered]
    #[arg(long, value_name = "R", value_parser = rate)]
    write_rate: Option<f64>,
    /// Seconds to measure
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    /// Seconds of load before measuring
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    warm_up: u64,
    /// Most seconds after that until all that was accepted is decided
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=2_592_000))]
    settle: u64,
    /// Of all choices and of the names submitted [default: the clock's]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Bytes of a submitted plugin's source, about
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=generate::MAX_BYTES as i64))]
    plugin_bytes: u32,
    /// Of 100 submitted plugins, those that do not compile
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    broken: u8,
    /// File of names that are there, one a line [default: those that changed in the latest epochs]. One that is proved
    /// absent ends the run, exit code 2, but is a finding once it was seen to be there
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Most names to learn from the latest epochs
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    learn: u32,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    // A worker is asked again after at most a day.
    if (1e-5..=1e7).contains(&rate) { Ok(rate) } else { Err("a rate is 0.00001 to 10,000,000".to_owned()) }
}

impl TargetArgs {
    /// Who it is, by the keys given.
    pub fn target(&self) -> Result<Target, Failure> {
        let total = Duration::from_secs(self.timeout_s);
        let timeouts = Timeouts { connect: total, idle: total, total };
        match (&self.trust, &self.validator, &self.vkey, &self.url) {
            (Some(trust), Some(validator), ..) => {
                let known = TrustFile::load(trust)?.get(validator)?.clone();
                Ok(Target::validator(known, self.url.as_deref(), timeouts)?)
            }
            (_, _, Some(key), Some(url)) => {
                Ok(Target::any_log(key.clone(), self.origin.clone(), url, timeouts)?)
            }
            _ => Err(Failure::usage(anyhow!("whose answers are they: --trust and --validator, or --vkey"))),
        }
    }
}

impl PlanArgs {
    /// What to do, with what is not said filled in.
    pub fn plan(self, target: &TargetArgs) -> Result<Plan, Failure> {
        let clock =
            || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let default = if target.vkey.is_some() { Mix::of_any_log } else { Mix::of_validator };
        Ok(Plan {
            readers: self.readers as usize,
            writers: self.writers as usize,
            mix: self.mix.unwrap_or_else(default),
            read_rate: self.rate,
            write_rate: self.write_rate,
            warm_up: Duration::from_secs(self.warm_up),
            length: Duration::from_secs(self.seconds),
            settle: Duration::from_secs(self.settle),
            seed: self.seed.unwrap_or_else(clock),
            plugin_bytes: self.plugin_bytes as usize,
            broken_percent: self.broken,
            names: self.names.map(|path| read_names(&path)).transpose()?.unwrap_or_default(),
            learn: self.learn as usize,
            tick: TICK,
        })
    }
}

fn read_names(path: &std::path::Path) -> Result<Vec<PluginName>, Failure> {
    let bytes = crate::options::read_file(path, NAMES_BYTES)?;
    let text = String::from_utf8(bytes).map_err(Failure::usage)?;
    let parse = |(i, line): (usize, &str)| {
        let name = line.trim().parse::<PluginName>();
        name.map_err(|e| Failure::usage(anyhow!("{}:{}: {e}", path.display(), i + 1)))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}
