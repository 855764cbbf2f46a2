//! Arguments that several commands share.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use pds_client::api::ValidatorApi;
use pds_client::fetch::Source;
use pds_client::http::{Http, Timeouts};
use pds_client::state::Memory;
use pds_client::trust::{KnownValidator, TrustFile};
use pds_schemas::PosixTime;

use crate::outcome::Failure;

/// A server: by its URL, or by whom the trust file says it is.
#[derive(Args)]
pub struct ServerArgs {
    /// The validator's URL; what it says is then taken as it comes
    #[arg(long, value_name = "URL", required_unless_present = "trust", conflicts_with_all = ["trust", "validator"])]
    server: Option<String>,
    /// Trust file; with it, receipts are verified
    #[arg(long, value_name = "FILE", requires = "validator")]
    trust: Option<PathBuf>,
    /// Nickname in the trust file
    #[arg(long, value_name = "NICK", requires = "trust")]
    validator: Option<String>,
}

/// A validator that a command talks to.
pub struct Server {
    pub api: ValidatorApi,
    /// Who it is, if the trust file says so.
    pub known: Option<KnownValidator>,
}

impl ServerArgs {
    pub fn connect(&self) -> Result<Server, Failure> {
        let http = Http::new(Timeouts::default())?;
        let (Some(trust), Some(validator)) = (&self.trust, &self.validator) else {
            let url = self.server.as_deref().unwrap_or_default();
            return Ok(Server { api: ValidatorApi::new(http, url)?, known: None });
        };
        let known = TrustFile::load(trust)?.get(validator)?.clone();
        Ok(Server { api: ValidatorApi::new(http, &known.url)?, known: Some(known) })
    }
}

/// Where what was seen before is kept.
#[derive(Args)]
pub struct StateArgs {
    /// Folder of remembered state [default: $XDG_STATE_HOME/pds or ~/.local/state/pds]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl StateArgs {
    /// The folder, made if it is not there.
    pub fn open(&self) -> Result<Memory, Failure> {
        let folder = self.state.clone().map_or_else(Memory::default_folder, Ok)?;
        Ok(Memory::open(&folder)?)
    }

    /// The folder if it is there: for commands that only read it.
    pub fn open_existing(&self) -> Result<Option<Memory>, Failure> {
        let folder = self.state.clone().or_else(|| Memory::default_folder().ok());
        match folder.filter(|folder| folder.is_dir()) {
            Some(folder) => Ok(Some(Memory::open(&folder)?)),
            None => Ok(None),
        }
    }
}

/// A source for each of these validators.
pub fn sources(known: Vec<&KnownValidator>) -> Result<Vec<Source>, Failure> {
    let http = Http::new(Timeouts::default())?;
    let source = |known: &KnownValidator| {
        Ok(Source { known: known.clone(), api: ValidatorApi::new(http.clone(), &known.url)? })
    };
    known.into_iter().map(source).collect()
}

/// The clock.
pub fn now() -> Result<PosixTime, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since =
        since.map_err(|e| Failure::unknown(anyhow::Error::from(e).context("this machine's clock")))?;
    Ok(PosixTime(since.as_secs()))
}

/// Reads a file that was given as an argument.
pub fn read_file(path: &std::path::Path, limit: usize) -> Result<Vec<u8>, Failure> {
    pds_files::durable::read(path, limit)
        .map_err(|e| Failure::unknown(anyhow::Error::from(e).context(format!("read {}", path.display()))))
}

/// Writes a file that was asked for.
pub fn write_file(path: &std::path::Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes)
        .map_err(|e| Failure::unknown(anyhow::Error::from(e).context(format!("write {}", path.display()))))
}
