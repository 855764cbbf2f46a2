//! `pds fsck`: hands over to the validator's own checker, which alone knows its database.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};
use clap::Args as ClapArgs;
use serde_json::json;

use crate::outcome::{Failure, Outcome};

const SERVER: &str = "pds-log-server";

#[derive(ClapArgs)]
#[command(after_help = "Example:
  pds fsck /var/lib/pds/data

Runs `pds-log-server fsck DATA_DIR`, found beside this program or in PATH, and passes its exit code \
on.")]
pub struct Args {
    /// The validator's data folder
    #[arg(value_name = "DATA_DIR")]
    folder: PathBuf,
}

pub fn run(args: Args, json: bool) -> Result<Outcome, Failure> {
    let here = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(SERVER)));
    let program = here.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(SERVER));
    let mut command = Command::new(&program);
    command.arg("fsck").arg(&args.folder);
    if json {
        // Standard output is for one JSON object.
        command.stdout(Stdio::from(std::io::stderr()));
    }
    let status = command.status().with_context(|| format!("run {}", program.display()));
    let status = status.map_err(Failure::unknown)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let code = code.ok_or_else(|| Failure::unknown(anyhow!("{} ended with {status}", program.display())))?;
    Ok(Outcome { code, json: json!({ "program": program, "exit": code }), text: String::new() })
}
