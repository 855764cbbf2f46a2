//! `pds submit`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args as ClapArgs;
use pds_client::fetch;
use pds_client::submit::{self, Standing};
use pds_core::cose::public_key;
use pds_files::key_file;
use pds_schemas::json::Progress;
use pds_schemas::{Artefact, OwnerRecord, Release};
use serde_json::json;

use crate::options::{Server, ServerArgs, StateArgs, now, write_file};
use crate::outcome::{Failure, Outcome};
use crate::progress::spinner;
use crate::status;

#[derive(ClapArgs)]
#[command(after_help = "Examples:
  pds submit ./datagram --server http://127.0.0.1:7400 --key developer.key
  pds submit ./datagram --trust trust.toml --validator PV1 --key developer.key --wait

The first submission of a name makes its key the name's owner. With --wait, exit code 1 if the plugin failed.")]
pub struct Args {
    /// The plugin's folder: all of it is submitted
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
    /// The owner's secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Release number [default: one more than the highest the server has seen]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    release: Option<u64>,
    /// The manifest's path in DIR [default: the only *.plugin at its top]
    #[arg(long, value_name = "PATH")]
    manifest: Option<String>,
    /// Folder with the objects as you built them, for the validator to compare with its own
    #[arg(long, value_name = "DIR")]
    bytecode: Option<PathBuf>,
    /// Where to keep the signed receipt
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Wait until the decision is in a signed epoch
    #[arg(long)]
    wait: bool,
    /// Most seconds to wait
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    timeout_s: u64,
    #[command(flatten)]
    state: StateArgs,
}

pub async fn run(args: Args) -> Result<Outcome, Failure> {
    let key = key_file::read(&args.key)?;
    let plugin = submit::read_plugin(&args.folder, args.manifest.as_deref())?;
    let objects = args.bytecode.as_ref().map(|folder| submit::read_bytecode(folder, &plugin.manifest));
    let server = args.server.connect()?;
    let name = &plugin.manifest.name;
    let Standing { next_release, owner } = standing(&server, name, &args.state).await?;
    let release = args.release.map_or(next_release, Release);
    let first = || OwnerRecord::first(name.clone(), public_key(&key));
    let owner = match &server.known {
        Some(_) => owner.unwrap_or_else(first),
        None => submit::unverified_owner(owner, name, &public_key(&key))?,
    };
    if owner != first() {
        let (keys, recovery) = (owner.keys.len(), owner.recovery.len());
        eprintln!("signing {name}'s owner record {}: {keys} keys, {recovery} for recovery", owner.sequence);
    }
    let prepared = submit::prepare(&plugin, objects.transpose()?, release, owner, &key)?;
    // Idempotent: whoever knows this can always ask what became of it.
    eprintln!("submitting {name} release {release} as {}", prepared.digest);

    let size = prepared.upload.to_bytes().len();
    let spinner = spinner(format!("uploading {size} bytes to {}", server.api.base()));
    let status = server.api.submit(&prepared.upload, &prepared.digest).await;
    spinner.finish_and_clear();
    let mut status = status?;
    if status.name != *name || status.release != release {
        return Err(Failure::refused(anyhow!("the server answers about {} {}", status.name, status.release)));
    }
    if let Some(known) = &server.known {
        submit::check_receipt(&status, &prepared.digest, &known.trusted)?;
    }
    if let Some(path) = &args.receipt {
        write_file(path, &submit::receipt_bytes(&status)?)?;
    }
    if args.wait {
        let spinner = crate::progress::spinner("waiting".to_owned());
        let show = |progress| spinner.set_message(status::progress(progress));
        let most = Duration::from_secs(args.timeout_s);
        status = submit::wait(&server.api, &prepared.digest, most, show).await?;
        spinner.finish_and_clear();
        if status.progress != Progress::Published {
            let undecided = anyhow!(
                "{} is accepted, and not published after {} s: ask later with `pds status`",
                status.submission,
                args.timeout_s
            );
            return Err(Failure::unknown(undecided));
        }
    }
    let mut outcome = status::report(&server, status).await?;
    outcome.json["source"] = json!(plugin.source);
    Ok(outcome)
}

/// By verified evidence where the server is a known validator, else by its word.
async fn standing(
    server: &Server,
    name: &pds_schemas::PluginName,
    state: &StateArgs,
) -> Result<Standing, Failure> {
    let record = match &server.known {
        Some(known) => {
            let source = fetch::Source { known: known.clone(), api: server.api.clone() };
            fetch::evidence(&source, &state.open()?, name, None, now()?).await?.verified.record
        }
        None => submit::claimed_record(&server.api, name).await?,
    };
    Ok(submit::standing(&server.api, name, record.as_ref()).await?)
}
