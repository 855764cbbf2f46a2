//! `pds key`.

use std::path::PathBuf;

use clap::Subcommand;
use pds_core::cose::public_key;
use pds_files::key_file;
use serde_json::json;

use crate::outcome::{Failure, Outcome};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  pds key new ~/.config/pds/developer.key
  pds key show ~/.config/pds/developer.key")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new Ed25519 key (mode 0600, never overwrites) and print its public half
    #[command(after_help = "Example:\n  pds key new developer.key")]
    New {
        /// The file to make
        file: PathBuf,
    },
    /// Print the public half of a key; refuses a file that others may read
    #[command(after_help = "Example:\n  pds key show developer.key")]
    Show {
        /// The key file
        file: PathBuf,
    },
}

pub fn run(args: Args) -> Result<Outcome, Failure> {
    let key = match &args.command {
        Command::New { file } => key_file::create(file)?,
        Command::Show { file } => key_file::read(file)?,
    };
    let public = public_key(&key);
    Ok(Outcome::holds(json!({ "public_key": public.to_string() }), format!("{public}\n")))
}
