//! `pds inspect`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use pds_client::inspect::{Dump, MAX_BYTES, inspect};
use serde_json::{Value, json};

use crate::options::read_file;
use crate::outcome::{Failure, Outcome};

#[derive(ClapArgs)]
#[command(after_help = "Examples:
  pds inspect datagram.pds
  curl -s http://127.0.0.1:7400/epochs/latest > str && pds inspect str

Any file of the system: packages, evidence, tlog-proofs, STRs, receipts, checkpoints, policies, keys (never \
the secret). NOTHING IS VERIFIED: see `pds verify`.")]
pub struct Args {
    /// What to show
    file: PathBuf,
}

pub fn run(args: Args) -> Result<Outcome, Failure> {
    let dumps = inspect(&read_file(&args.file, MAX_BYTES)?);
    let mut text = "NOT VERIFIED: this is what the file says, and not what is true.\n".to_owned();
    if dumps.len() > 1 {
        text += &format!("The file may be any of {} things:\n", dumps.len());
    }
    for Dump { kind, content } in &dumps {
        text += &format!("{kind}:\n{content}");
    }
    let shown = |dump: &Dump| json!({ "kind": dump.kind, "content": dump.content.to_json() });
    let json = json!({ "verified": false, "may_be": dumps.iter().map(shown).collect::<Value>() });
    Ok(Outcome::holds(json, text))
}
