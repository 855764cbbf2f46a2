//! One request and its answer: what is checked before a router sees it, and what is held until it is answered.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Request, Response, StatusCode, Version, header};
use axum::response::IntoResponse;
use axum::{BoxError, Router};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use metrics::counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

use super::answer::{AnswerMemory, Exhausted, Held, Kept};
use super::client::{Client, Share, Shares};
use super::limits::ServeLimits;
use super::watch::Activity;
use crate::problem::Problem;

/// Seconds after which to come again when others or oneself must finish first.
pub const RETRY_AFTER_S: u32 = 1;

/// What all requests pass through.
#[derive(Debug)]
pub struct Door {
    limits: ServeLimits,
    router: TowerToHyperService<Router>,
    all: Arc<Semaphore>,
    shares: Arc<Shares>,
    answers: AnswerMemory,
}

impl Door {
    /// To `router`, within `limits`.
    pub fn new(router: Router, limits: ServeLimits) -> Self {
        let all = Arc::new(Semaphore::new(limits.requests.min(Semaphore::MAX_PERMITS)));
        let shares = Shares::new(limits.requests_per_client);
        let answers = AnswerMemory::new(limits.answer_memory_mib << 20);
        Self { limits, router: TowerToHyperService::new(router), all, shares, answers }
    }

    /// The answer to `request` of a connection from `peer`.
    pub fn answer(
        self: &Arc<Self>,
        activity: &Arc<Activity>,
        peer: Client,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Kept>, Infallible>> + use<> {
        let stepwise = request.version() == Version::HTTP_2;
        let under_way = activity.begin(stepwise);
        let door = Arc::clone(self);
        async move {
            let client = match peer {
                Client::Many => Client::behind(request.headers()),
                one @ Client::One(_) => one,
            };
            let (response, place, memory) = match door.enter(client, &request) {
                Ok(place) => {
                    let response = door.pass(client, request).await;
                    match door.answers.reserve(client, response.body()) {
                        Ok(memory) => (response, Some(place), memory),
                        Err(exhausted) => (door.refuse(exhausted.into()), Some(place), None),
                    }
                }
                Err(excess) => (door.refuse(excess), None, None),
            };
            Ok(response.map(|body| {
                Kept::new(body, stepwise, Held { _place: place, _memory: memory, _under_way: under_way })
            }))
        }
    }

    fn enter(
        &self,
        client: Client,
        request: &Request<Incoming>,
    ) -> Result<(OwnedSemaphorePermit, Share), Excess> {
        let headers = request.headers();
        if headers.len() > self.limits.headers {
            return Err(Excess::Headers);
        }
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        // As on the wire in HTTP/1: a colon, a space and a line break for each.
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if target + bytes > self.limits.header_bytes {
            return Err(Excess::HeaderBytes);
        }
        let share = self.shares.take(client).ok_or(Excess::ClientRequests)?;
        let room = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Excess::Requests)?;
        Ok((room, share))
    }

    fn refuse(&self, excess: Excess) -> Response<Body> {
        counter!("pds_http_refused_total", "reason" => excess.reason()).increment(1);
        // RFC 6585: 431 in section 5, 429 in section 4.
        let (too_large, too_many) =
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, StatusCode::TOO_MANY_REQUESTS);
        let (status, kind, limit, detail) = match excess {
            Excess::Headers => {
                let limit = self.limits.headers;
                let detail = format!("a request has at most {limit} headers here");
                (too_large, "too-many-headers", limit, detail)
            }
            Excess::HeaderBytes => {
                let limit = self.limits.header_bytes;
                let detail = format!("a request's target and headers have at most {limit} bytes here");
                (too_large, "headers-too-large", limit, detail)
            }
            Excess::ClientRequests => {
                let limit = self.limits.requests_per_client;
                let detail = format!("one client has at most {limit} requests under way here");
                (too_many, "too-many-requests", limit, detail)
            }
            Excess::Requests => {
                let limit = self.limits.requests;
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "busy",
                    limit,
                    format!("at most {limit} requests are under way here"),
                )
            }
            Excess::ClientAnswers => {
                let limit = self.answers.share();
                let detail = format!("the unread answers of one client take at most {limit} bytes here");
                (too_many, "too-many-unread", limit, detail)
            }
            Excess::Answers => {
                let limit = self.limits.answer_memory_mib << 20;
                let detail = format!("unread answers take at most {limit} bytes here");
                (StatusCode::SERVICE_UNAVAILABLE, "busy", limit, detail)
            }
        };
        let problem = Problem::new(status, kind, detail).limit(limit as u64);
        if status == too_large {
            problem.field("headers").into_response()
        } else {
            problem.retry_after_s(RETRY_AFTER_S).into_response()
        }
    }

    async fn pass(&self, client: Client, mut request: Request<Incoming>) -> Response<Body> {
        request.extensions_mut().insert(client);
        let stalled = Arc::new(AtomicBool::new(false));
        let time = self.limits.body_timeout;
        let http1 = request.version() < Version::HTTP_2;
        let request = request.map(|body| Paced { body, time, timer: None, stalled: Arc::clone(&stalled) });
        let Ok(response) = self.router.call(request).await;
        if !stalled.load(Ordering::Relaxed) {
            return response;
        }
        let detail = format!("the body paused for more than {} s", time.as_secs_f64());
        let problem = Problem::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", detail).field("body");
        let mut response = problem.limit(time.as_secs()).into_response();
        if http1 {
            // RFC 9110 section 15.5.9: the server SHOULD send "close".
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Why a request does not reach the router.
enum Excess {
    Headers,
    HeaderBytes,
    ClientRequests,
    Requests,
    ClientAnswers,
    Answers,
}

impl From<Exhausted> for Excess {
    fn from(exhausted: Exhausted) -> Self {
        match exhausted {
            Exhausted::Client => Self::ClientAnswers,
            Exhausted::All => Self::Answers,
        }
    }
}

impl Excess {
    /// For the metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::HeaderBytes => "header-bytes",
            Self::ClientRequests => "client-requests",
            Self::Requests => "requests",
            Self::ClientAnswers => "client-answers",
            Self::Answers => "answers",
        }
    }
}

/// A request's body, which errs when it pauses for too long.
struct Paced {
    body: Incoming,
    time: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    stalled: Arc<AtomicBool>,
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let time = self.time;
        if self.timer.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        counter!("pds_http_timeouts_total", "at" => "body").increment(1);
        self.stalled.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
