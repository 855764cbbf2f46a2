//! Taking submissions, and telling what became of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use pds_core::cose::{self, CoseError};
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::{SubmissionEntry, SubmissionOutcome};
use pds_schemas::json::{Outcome, Progress, SubmissionStatus};
use pds_schemas::{Artefact, DecodeError, Digest, Malformed, Submission, Upload};
use pds_service::http::{Client, Share, body_too_large};
use pds_service::problem::Problem;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::respond::{Answer, JSON, fleeting, internal, json, parse};
use super::{Api, UPLOAD_UNIT};
use crate::intake::{self, IntakeError};
use crate::sequencer::{Command, Refusal};

/// Seconds after which a client may try again when there is no room now.
const RETRY_AFTER_S: u32 = 5;

/// `POST /submissions`: 202 with the signed receipt once the submission is durable, 200 if it was there before.
pub async fn submit(State(api): State<Api>, request: Request) -> Answer {
    let (body, room) = read_body(&api, request).await?;
    // A task of its own: a client that goes away does not give back what its submission still takes up.
    let taken = tokio::spawn(take(api, body, room)).await;
    taken.map_err(|e| internal("take a submission", e))?
}

async fn take(api: Api, body: Vec<u8>, _room: Room) -> Answer {
    let turn = api.checks.acquire().await.map_err(|e| internal("check a submission", e))?;
    let checked = tokio::task::spawn_blocking(move || intake::check(&body)).await;
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

/// The body, and the room that it takes up of what all uploads may; a body that trickles takes only what it sent.
async fn read_body(api: &Api, request: Request) -> Result<(Vec<u8>, Room), Problem> {
    let mut room = Room::take(api, request.extensions().get().copied().unwrap_or(Client::Many))?;
    let mut bytes = Vec::new();
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad_request("body", "the body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > Upload::MAX_BYTES {
            return Err(body_too_large(Upload::MAX_BYTES));
        }
        bytes.extend_from_slice(&data);
        while room.units.num_permits() * UPLOAD_UNIT < bytes.len() {
            room.grow(api)?;
        }
    }
    Ok((bytes, room))
}

/// What an upload takes up of the memory for all uploads, and of its client's share of that.
struct Room {
    units: OwnedSemaphorePermit,
    share: Share,
}

impl Room {
    fn take(api: &Api, client: Client) -> Result<Self, Problem> {
        let share = api.upload_shares.take(client).ok_or_else(|| over_share(api))?;
        Ok(Self { units: unit(api)?, share })
    }

    fn grow(&mut self, api: &Api) -> Result<(), Problem> {
        if !self.share.grow() {
            return Err(over_share(api));
        }
        self.units.merge(unit(api)?);
        Ok(())
    }
}

fn unit(api: &Api) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&api.uploads).try_acquire_owned().map_err(|_| {
        let detail = "too many uploads at this moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after_s(RETRY_AFTER_S)
    })
}

fn over_share(api: &Api) -> Problem {
    let limit = api.upload_shares.limit * UPLOAD_UNIT;
    let detail = format!("the uploads of one client take at most {limit} bytes at a time");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-uploads", detail);
    problem.limit(limit as u64).retry_after_s(RETRY_AFTER_S)
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use axum::body::Body;
    use pds_plugin::archive::pack;
    use pds_plugin::source::{SourceTree, source_digest};
    use pds_schemas::{OwnerRecord, PluginName, PosixTime, Release};

    use super::*;
    use crate::config::tests::config_in;
    use crate::epoch_writer::EpochContent;
    use crate::http::UPLOAD_UNITS;
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
        let api = Api::new(shared, identity, commands, metrics);

        let client = tokio::spawn(submit(State(api.clone()), Request::new(Body::from(upload()))));
        let (command, inbox) =
            tokio::task::spawn_blocking(move || (inbox.recv().unwrap(), inbox)).await.unwrap();
        client.abort();
        assert!(client.await.unwrap_err().is_cancelled());
        assert_eq!(api.uploads.available_permits(), UPLOAD_UNITS - 1);
        drop((command, inbox));
        // Unanswered and over: the task gives its room back.
        let all = api.uploads.acquire_many(u32::try_from(UPLOAD_UNITS).unwrap()).await;
        assert_eq!(all.unwrap().num_permits(), UPLOAD_UNITS);
    }
}
