//! Taking submissions, and telling what became of them.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pds_core::cose::{self, CoseError};
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::{SubmissionEntry, SubmissionOutcome};
use pds_schemas::json::{Outcome, Progress, SubmissionStatus};
use pds_schemas::{DecodeError, Digest, Malformed, Submission};
use pds_service::http::Client;
use pds_service::problem::Problem;
use tokio::sync::oneshot;

use super::Api;
use super::respond::{Answer, JSON, fleeting, internal, json, parse};
use super::uploads::Room;
use crate::admission::Full;
use crate::intake::{self, IntakeError};
use crate::refusal::Refusal;
use crate::sequencer::Command;
use crate::shared::Closed;

/// Seconds after which a client may try again when there is no room now.
pub const RETRY_AFTER_S: u32 = 5;

/// `POST /submissions`: 202 with the signed receipt once the submission is durable, 200 if it was there before.
pub async fn submit(State(api): State<Api>, request: Request) -> Answer {
    if let Some(closed) = api.shared.closed() {
        return Err(not_taken(closed));
    }
    let client = request.extensions().get().copied().unwrap_or(Client::Many);
    let (body, room) = api.uploads.read(client, request).await?;
    // A task of its own: a client that goes away does not give back what its submission still takes up.
    let taken = tokio::spawn(take(api, client, body, room)).await;
    taken.map_err(|e| internal("take a submission", e))?
}

async fn take(api: Api, client: Client, body: Vec<u8>, _room: Room) -> Answer {
    if let Err(full) = api.uploads.has_place(client) {
        // Before it costs anything; but who sends again what was accepted is to get its receipt.
        let digest = intake::digest_of(&body).map_err(unsound)?;
        let known = api.shared.store.submission(&digest).map_err(|e| internal("look up a submission", e))?;
        if known.is_none() {
            let refusal = Refusal::QueueFull(full);
            refusal.count();
            return Err(refused(refusal));
        }
    }
    let turn = api.uploads.turn(client).await;
    let checked = tokio::task::spawn_blocking(move || intake::check(&body, client)).await;
    drop(turn);
    let candidate = checked.map_err(|e| internal("check a submission", e))?.map_err(unsound)?;
    let (digest, submission) = (candidate.digest, candidate.submission.clone());
    let progress = api.shared.progress(&digest);
    let (answer, result) = oneshot::channel();
    let ended = || refused(Refusal::Finishing);
    api.commands.send(Command::Accept(Box::new(candidate), answer)).map_err(|_| ended())?;
    let acknowledged = result.await.map_err(|_| ended())?.map_err(refused)?;
    let status = if acknowledged.known { StatusCode::OK } else { StatusCode::ACCEPTED };
    let outcome = if acknowledged.known { outcome(&api, &acknowledged.entry)? } else { None };
    let body = describe(digest, progress, &submission, &acknowledged.entry, outcome);
    Ok((status, Json(body)).into_response())
}

/// `GET /submissions/{sha256}`.
pub async fn status(State(api): State<Api>, Path(digest): Path<String>) -> Answer {
    let digest: Digest = parse("sha256", &digest)?;
    // Before the outcome: what is published in between is forgotten here once it stands there.
    let progress = api.shared.progress(&digest);
    let entry = api.shared.store.submission(&digest).map_err(|e| internal("read a submission", e))?;
    let never = || Problem::not_found(format!("no submission {digest} was accepted here"));
    let entry = entry.ok_or_else(never)?;
    let submission = cose::open_any_key::<Submission>(&entry.signed, SignedKind::Submission);
    let (submission, _) = submission.map_err(|e| internal("read a submission", e))?;
    let outcome = outcome(&api, &entry)?;
    Ok(fleeting(JSON, json(&describe(digest, progress, &submission, &entry, outcome))))
}

/// How it ended, if that is published: what the database has of an epoch that is not served yet is nobody's business.
fn outcome(api: &Api, entry: &SubmissionEntry) -> Result<Option<SubmissionOutcome>, Problem> {
    let outcome = api.shared.store.outcome(entry.index).map_err(|e| internal("read an outcome", e))?;
    let size = api.shared.published().head.size;
    Ok(outcome.filter(|outcome| outcome.epoch.0 < size.0))
}

fn describe(
    digest: Digest,
    progress: Option<Progress>,
    submission: &Submission,
    entry: &SubmissionEntry,
    published: Option<SubmissionOutcome>,
) -> SubmissionStatus {
    let unpublished = progress.unwrap_or(Progress::Queued);
    let progress = if published.is_some() { Progress::Published } else { unpublished };
    let outcome = match (&published, progress) {
        (Some(published), _) if published.cause.is_some() => Some(Outcome::Failed),
        (Some(_), _) | (None, Progress::Verified) => Some(Outcome::Validated),
        (None, Progress::Failed) => Some(Outcome::Failed),
        _ => None,
    };
    SubmissionStatus {
        submission: digest,
        name: submission.name.clone(),
        release: submission.release,
        index: entry.index,
        progress,
        outcome,
        epoch: published.map(|p| p.epoch),
        cause: published.and_then(|p| p.cause),
        receipt: STANDARD.encode(&entry.receipt),
    }
}

fn unsound(error: IntakeError) -> Problem {
    let (status, kind, field, limit) = match &error {
        IntakeError::Upload(cause) => {
            (StatusCode::BAD_REQUEST, "malformed-upload", cause.field, exceeded(cause))
        }
        IntakeError::Signed(CoseError::Envelope { cause, .. } | CoseError::Payload(cause)) => {
            (StatusCode::BAD_REQUEST, "malformed-submission", cause.field, exceeded(cause))
        }
        IntakeError::Signed(_) => (StatusCode::BAD_REQUEST, "bad-signature", "upload.signed", None),
        IntakeError::SignerNotOwner => (StatusCode::FORBIDDEN, "signer-not-owner", "upload.signed", None),
        IntakeError::Archive(cause) => {
            (StatusCode::BAD_REQUEST, "bad-archive", "upload.archive", cause.limit())
        }
        IntakeError::Source { .. } => (StatusCode::BAD_REQUEST, "source-digest", "submission.source", None),
        IntakeError::NoManifest(_) | IntakeError::Manifest(_) | IntakeError::OtherName { .. } => {
            (StatusCode::BAD_REQUEST, "bad-manifest", "submission.manifest", None)
        }
        IntakeError::NoSource { .. } => {
            (StatusCode::BAD_REQUEST, "missing-source", "submission.manifest", None)
        }
        IntakeError::Bytecode => (StatusCode::BAD_REQUEST, "bytecode", "submission.bytecode", None),
    };
    let problem = Problem::new(status, kind, error.to_string()).field(field);
    match limit {
        Some(limit) => problem.limit(limit),
        None => problem,
    }
}

fn exceeded(cause: &DecodeError) -> Option<u64> {
    match cause.cause {
        Malformed::TooLong { limit, .. } => Some(limit),
        _ => None,
    }
}

fn not_taken(closed: Closed) -> Problem {
    match closed {
        Closed::Frozen(_) => refused(Refusal::Frozen),
        Closed::ReadOnly => {
            let detail = "this server only serves a copy of the log; submit to the validator itself";
            Problem::new(StatusCode::FORBIDDEN, "read-only", detail)
        }
    }
}

fn refused(refusal: Refusal) -> Problem {
    let detail = refusal.to_string();
    let problem = |status, kind: &str| Problem::new(status, kind, detail.clone());
    let unavailable = |kind: &str| problem(StatusCode::SERVICE_UNAVAILABLE, kind);
    match refusal {
        Refusal::NotOwner(..) | Refusal::NotFirstOwner(_) => {
            problem(StatusCode::FORBIDDEN, "not-owner").field("submission.owner")
        }
        Refusal::OldRelease { highest, .. } => {
            problem(StatusCode::CONFLICT, "old-release").field("submission.release").limit(highest.0)
        }
        Refusal::QueueFull(Full::All(limit)) => {
            unavailable("queue-full").limit(limit as u64).retry_after_s(RETRY_AFTER_S)
        }
        Refusal::QueueFull(Full::Owner(limit) | Full::Client(limit)) => {
            let problem = problem(StatusCode::TOO_MANY_REQUESTS, "too-many-queued");
            problem.limit(limit as u64).retry_after_s(RETRY_AFTER_S)
        }
        Refusal::NoSpace | Refusal::Halted => unavailable("not-accepting").retry_after_s(60),
        Refusal::Finishing => unavailable("shutting-down").retry_after_s(RETRY_AFTER_S),
        Refusal::Frozen => problem(StatusCode::GONE, "frozen"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use axum::body::Body;
    use pds_plugin::archive::pack;
    use pds_plugin::source::{SourceTree, source_digest};
    use pds_schemas::{Artefact, OwnerRecord, PluginName, PosixTime, Release, Upload};

    use super::*;
    use crate::config::tests::config_in;
    use crate::epoch_writer::EpochContent;
    use crate::http::Uploads;
    use crate::identity;
    use crate::shared::Shared;

    fn upload() -> Vec<u8> {
        let name = PluginName::new("a.b").unwrap();
        let key = cose::signing_key(&[1; 32]);
        let mut tree = SourceTree::default();
        tree.insert("x.plugin", b"a.b\nop replace a.o\n".to_vec()).unwrap();
        tree.insert("a.c", Vec::new()).unwrap();
        let submission = Submission {
            name: name.clone(),
            release: Release(1),
            source: source_digest(&tree).unwrap(),
            manifest: "x.plugin".to_owned(),
            bytecode: None,
            owner: OwnerRecord::first(name, cose::public_key(&key)),
        };
        let signed = cose::sign(SignedKind::Submission, &submission, &key).to_bytes();
        Upload { signed, archive: pack(&tree).unwrap() }.to_bytes()
    }

    #[tokio::test]
    async fn upload_keeps_its_room_when_its_client_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_in(folder.path());
        let identity = identity::init(&config).unwrap();
        let mut writer = crate::recovery::open(&config).unwrap();
        let published = writer.close(PosixTime(1), EpochContent::default()).unwrap();
        let shared = Arc::new(Shared::new(Arc::clone(&writer.store), published));
        let (commands, inbox) = mpsc::channel();
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
        let uploads = Uploads::new(&config, Arc::default());
        let free = uploads.free();
        let api = Api::new(shared, identity, commands, uploads, metrics);

        let client = tokio::spawn(submit(State(api.clone()), Request::new(Body::from(upload()))));
        let (command, inbox) =
            tokio::task::spawn_blocking(move || (inbox.recv().unwrap(), inbox)).await.unwrap();
        client.abort();
        assert!(client.await.unwrap_err().is_cancelled());
        assert_eq!(api.uploads.free(), free - 1);
        drop((command, inbox));
        // Unanswered and over: the task gives its room back.
        while api.uploads.free() < free {
            tokio::task::yield_now().await;
        }
    }
}
