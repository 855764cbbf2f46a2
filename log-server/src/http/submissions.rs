//! Taking submissions, and telling what became of them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pds_core::cose;
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::SubmissionEntry;
use pds_schemas::json::{Outcome, Progress, SubmissionStatus};
use pds_schemas::{Artefact, Digest, Malformed, Submission, Upload};
use pds_service::http::body_too_large;
use pds_service::problem::Problem;
use tokio::sync::oneshot;

use super::Api;
use super::respond::{Answer, internal, parse};
use crate::intake::{self, IntakeError};
use crate::sequencer::{Command, Refusal};

/// Seconds after which a client may try again when there is no room now.
const RETRY_AFTER_S: u32 = 5;

/// `POST /submissions`: 202 with the signed receipt once the submission is durable, 200 if it was there before.
pub async fn submit(State(api): State<Api>, request: Request) -> Answer {
    // Bounds the bodies held in memory at once, whatever the number of connections.
    let Ok(_upload) = api.uploads.try_acquire() else {
        let detail = "too many uploads at this moment";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        return Err(problem.retry_after_s(RETRY_AFTER_S));
    };
    let body = read_body(request).await?;
    let turn = api.checks.acquire().await.map_err(|e| internal("check a submission", e))?;
    let checked = tokio::task::spawn_blocking(move || intake::check(&body)).await;
    drop(turn);
    let candidate = checked.map_err(|e| internal("check a submission", e))?.map_err(unsound)?;
    let (digest, submission) = (candidate.digest, candidate.submission.clone());
    let (answer, result) = oneshot::channel();
    let ended = || refused(Refusal::Finishing);
    api.commands.send(Command::Accept(Box::new(candidate), answer)).map_err(|_| ended())?;
    let acknowledged = result.await.map_err(|_| ended())?.map_err(refused)?;
    let status = if acknowledged.known { StatusCode::OK } else { StatusCode::ACCEPTED };
    let body = describe(&api, digest, &submission, &acknowledged.entry);
    Ok((status, Json(body)).into_response())
}

/// `GET /submissions/{sha256}`.
pub async fn status(State(api): State<Api>, Path(digest): Path<String>) -> Answer {
    let digest: Digest = parse("sha256", &digest)?;
    let entry = api.shared.store.submission(&digest).map_err(|e| internal("read a submission", e))?;
    let never = || Problem::not_found(format!("no submission {digest} was accepted here"));
    let entry = entry.ok_or_else(never)?;
    let submission = cose::open_any_key::<Submission>(&entry.signed, SignedKind::Submission);
    let (submission, _) = submission.map_err(|e| internal("read a submission", e))?;
    Ok(Json(describe(&api, digest, &submission, &entry)).into_response())
}

async fn read_body(request: Request) -> Result<Bytes, Problem> {
    let body = axum::body::to_bytes(request.into_body(), Upload::MAX_BYTES).await;
    body.map_err(|error| {
        let cause = std::error::Error::source(&error);
        if cause.is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>()) {
            body_too_large(Upload::MAX_BYTES)
        } else {
            Problem::bad_request("body", "the body ended early")
        }
    })
}

fn describe(api: &Api, digest: Digest, submission: &Submission, entry: &SubmissionEntry) -> SubmissionStatus {
    let unpublished = api.shared.progress(&digest).unwrap_or(Progress::Queued);
    let progress = if entry.published.is_some() { Progress::Published } else { unpublished };
    let outcome = match (&entry.published, progress) {
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
        epoch: entry.published.map(|p| p.epoch),
        cause: entry.published.and_then(|p| p.cause),
        receipt: STANDARD.encode(&entry.receipt),
    }
}

fn unsound(error: IntakeError) -> Problem {
    let (status, kind, field, limit) = match &error {
        IntakeError::Upload(cause) => {
            let limit = match cause.cause {
                Malformed::TooLong { limit, .. } => Some(limit),
                _ => None,
            };
            (StatusCode::BAD_REQUEST, "malformed-upload", cause.field, limit)
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
        Refusal::QueueFull(limit) => {
            unavailable("queue-full").limit(limit as u64).retry_after_s(RETRY_AFTER_S)
        }
        Refusal::NoSpace | Refusal::Halted => unavailable("not-accepting").retry_after_s(60),
        Refusal::Finishing => unavailable("shutting-down").retry_after_s(RETRY_AFTER_S),
    }
}
