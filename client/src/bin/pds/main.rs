//! `pds`: plugins and their validators, from the command line.

mod audit;
mod fetch;
mod fsck;
mod hammer;
mod inspect;
mod key;
mod options;
mod outcome;
mod progress;
mod show;
mod status;
mod submit;
mod unpack;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::outcome::{Failure, Outcome};

const EXIT_CODES: &str = "\
Exit codes:
  0  done; what was checked holds
  1  verified, and it does not hold; or the server refuses
  2  wrong usage: an argument or a file given is not what it should be
  3  could not tell: the network failed, or a file cannot be read or written";

/// Submit protocol plugins to validators, fetch them with proof, and check proofs and logs.
#[derive(Parser)]
#[command(name = "pds", version, after_help = EXIT_CODES)]
struct Cli {
    /// Print one JSON object on standard output
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a signing key, or show a key's public half
    Key(key::Args),
    /// Sign and submit a plugin's source
    Submit(submit::Args),
    /// Ask what became of a submission
    Status(status::Args),
    /// Fetch a plugin, or evidence about a name, and verify it
    Fetch(fetch::Args),
    /// Verify a package or evidence offline
    Verify(verify::Args),
    /// Write a package's manifest and bytecode into a folder
    Unpack(unpack::Args),
    /// Show what any file of the system says, without verifying it
    Inspect(inspect::Args),
    /// Read a validator's whole log and hold it to its word
    Audit(audit::Args),
    /// Check a validator's data folder on this machine
    Fsck(fsck::Args),
    /// Load a validator or any tlog-tiles log from clients that verify every answer
    Hammer(Box<hammer::Args>),
}

fn main() -> ExitCode {
    let Cli { json, command } = Cli::parse();
    let result = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(command, json)),
        Err(error) => Err(Failure::unknown(anyhow::Error::from(error).context("start"))),
    };
    let code = match &result {
        Ok(outcome) => outcome.code,
        Err(failure) => failure.code(),
    };
    outcome::print(result, json);
    ExitCode::from(code)
}

async fn run(command: Command, json: bool) -> Result<Outcome, Failure> {
    match command {
        Command::Key(args) => key::run(args),
        Command::Submit(args) => submit::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Fetch(args) => fetch::run(args).await,
        Command::Verify(args) => verify::run(args),
        Command::Unpack(args) => unpack::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Audit(args) => audit::run(args).await,
        Command::Fsck(args) => fsck::run(args, json),
        Command::Hammer(args) => hammer::run(*args).await,
    }
}
