//! `pds status`.

use clap::Args as ClapArgs;
use pds_client::submit::check_receipt;
use pds_schemas::json::{Outcome as Decision, Progress, SubmissionStatus};
use pds_schemas::{Digest, FailureCause};
use serde_json::{Value, json};

use crate::options::{Server, ServerArgs};
use crate::outcome::{Failure, Outcome};
use crate::show;

#[derive(ClapArgs)]
#[command(after_help = "Examples:
  pds status 5df6e0e2... --server http://127.0.0.1:7400
  pds status 5df6e0e2... --trust trust.toml --validator PV1

Exit code 1 if the submission failed. What the server says of its queue is its word alone; `pds fetch` brings \
proof.")]
pub struct Args {
    /// SHA-256 of the submission, as `pds submit` printed it
    #[arg(value_name = "SHA256")]
    submission: Digest,
    #[command(flatten)]
    server: ServerArgs,
}

pub async fn run(args: Args) -> Result<Outcome, Failure> {
    let server = args.server.connect()?;
    let status = server.api.submission(&args.submission).await?;
    report(&server, status).await
}

/// A submission's status, its receipt verified if possible, with the cause if it failed.
pub async fn report(server: &Server, status: SubmissionStatus) -> Result<Outcome, Failure> {
    let mut json = serde_json::to_value(&status).map_err(Failure::unknown)?;
    let mut text = format!("submission {}\n", status.submission);
    text += &format!("{} release {}: {}\n", status.name, status.release, progress(status.progress));
    let mut field = |name: &str, value: Value| json[name] = value;
    if let Some(known) = &server.known {
        let receipt = check_receipt(&status, &status.submission, &known.trusted)?;
        text += &format!("  \u{2713} the receipt is signed by {}, ", receipt.origin);
        text += &format!("which promises to decide by POSIX time {}\n", receipt.decide_by);
        field("receipt_verified", true.into());
        field("decide_by", json!(receipt.decide_by));
    } else {
        text += "  - the receipt was not verified: that takes --trust and --validator\n";
        field("receipt_verified", false.into());
    }
    // A signed receipt promises a decision; it proves none.
    field("outcome_verified", false.into());
    text += "  - what became of it is the server's word: `pds fetch` brings proof\n";
    if let Some(epoch) = status.epoch {
        let decision = match status.outcome {
            Some(Decision::Validated) => ", as validated",
            Some(Decision::Failed) => ", as failed",
            None => "",
        };
        text += &format!("  in epoch {epoch}{decision}\n");
    }
    if let Some(digest) = &status.cause {
        let cause: FailureCause = server.api.cause(digest).await?;
        text += &show::cause(&cause);
        field("failure", show::cause_json(&cause));
    }
    Ok(Outcome::verdict(status.outcome != Some(Decision::Failed), json, text))
}

pub fn progress(progress: Progress) -> &'static str {
    match progress {
        Progress::Queued => "queued",
        Progress::Building => "being built and verified",
        Progress::Verified => "verified; waits for the epoch to close",
        Progress::Failed => "failed; waits for the epoch to close",
        Progress::Published => "published",
    }
}
