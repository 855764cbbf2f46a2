//! `pds audit`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use pds_client::audit::{self, Report};
use pds_client::trust::TrustFile;
use serde_json::json;

use crate::options::{StateArgs, now, sources};
use crate::outcome::{Failure, Outcome, causes};
use crate::progress::bar;

#[derive(ClapArgs)]
#[command(after_help = "Examples:
  pds audit --trust trust.toml --validator PV1
  pds audit --trust trust.toml --validator PV1 --from-scratch

Recomputes the log's root and every prefix root from what the validator serves, follows every record, and \
fetches all that records point at. The next audit goes on where this one ended well. Exit code 1 if anything does not hold.")]
pub struct Args {
    /// Trust file
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// Nickname in the trust file
    #[arg(long, value_name = "NICK")]
    validator: String,
    /// Read the log from its first epoch again
    #[arg(long)]
    from_scratch: bool,
    #[command(flatten)]
    state: StateArgs,
}

pub async fn run(args: Args) -> Result<Outcome, Failure> {
    let trust = TrustFile::load(&args.trust)?;
    let sources = sources(vec![trust.get(&args.validator)?])?;
    let memory = args.state.open()?;
    let bar = bar("epochs");
    let on_progress = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let report = audit::audit(&sources[0], &memory, args.from_scratch, now()?, on_progress).await;
    bar.finish_and_clear();
    Ok(outcome(&report?))
}

fn outcome(report: &Report) -> Outcome {
    let Report { origin, from, size, root, names, counts, violations } = report;
    let found: Vec<String> = violations.iter().map(|v| causes(v).join(": ")).collect();
    let json = json!({
        "origin": origin,
        "from": from,
        "size": size,
        "root": root,
        "names": names,
        "counts": counts,
        "holds": violations.is_empty(),
        "violations": found,
    });
    let mut text =
        format!("{origin}: {size} epochs, read from epoch {from} on; {names} names, root {root}\n");
    text += &format!(
        "  read {} epochs, {} tiles, {} changes, {} records, {} policies, {} owner records,\n",
        counts.epochs, counts.tiles, counts.changes, counts.records, counts.policies, counts.owners
    );
    text +=
        &format!("  {} bindings, {} causes, {} objects\n", counts.bindings, counts.causes, counts.objects);
    for violation in &found {
        text += &format!("  \u{2717} {violation}\n");
    }
    text += match found.len() {
        0 => "everything holds\n",
        audit::Violations::MAX => "THE LOG DOES NOT HOLD, and the audit ended early\n",
        _ => "THE LOG DOES NOT HOLD\n",
    };
    Outcome::verdict(violations.is_empty(), json, text)
}
