//! One request and its answer: what is checked before a router sees it, and what is held until it is answered.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
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

use super::client::{Client, Share, Shares};
use super::limits::ServeLimits;
use super::watch::{Activity, UnderWay};
use crate::problem::Problem;

/// Seconds after which to come again when others or oneself must finish first.
pub const RETRY_AFTER_S: u32 = 1;

/// Bytes of an answer that HTTP/2 is handed at a time, and the most that a stream can leave in memory when it is done.
const STEP: usize = 16 << 10;

/// What all requests pass through.
#[derive(Debug)]
pub struct Door {
    limits: ServeLimits,
    router: TowerToHyperService<Router>,
    all: Arc<Semaphore>,
    shares: Arc<Shares>,
}

/// What a request holds until its answer is handed over.
type Held = (Option<(OwnedSemaphorePermit, Share)>, UnderWay);

impl Door {
    /// To `router`, within `limits`.
    pub fn new(router: Router, limits: ServeLimits) -> Self {
        let all = Arc::new(Semaphore::new(limits.requests.min(Semaphore::MAX_PERMITS)));
        let shares = Shares::new(limits.requests_per_client);
        Self { limits, router: TowerToHyperService::new(router), all, shares }
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
            let (response, room) = match door.enter(client, &request) {
                Ok(room) => (door.pass(client, request).await, Some(room)),
                Err(excess) => (excess.answer(&door.limits), None),
            };
            Ok(response.map(|body| Kept { body, stepwise, rest: Bytes::new(), _held: (room, under_way) }))
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
}

impl Excess {
    fn answer(&self, limits: &ServeLimits) -> Response<Body> {
        // RFC 6585: 431 in section 5, 429 in section 4.
        let (too_large, too_many) =
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, StatusCode::TOO_MANY_REQUESTS);
        let (reason, limit) = match self {
            Self::Headers => ("headers", limits.headers),
            Self::HeaderBytes => ("header-bytes", limits.header_bytes),
            Self::ClientRequests => ("client-requests", limits.requests_per_client),
            Self::Requests => ("requests", limits.requests),
        };
        counter!("pds_http_refused_total", "reason" => reason).increment(1);
        let problem = match self {
            Self::Headers => {
                let detail = format!("a request has at most {limit} headers here");
                Problem::new(too_large, "too-many-headers", detail).field("headers")
            }
            Self::HeaderBytes => {
                let detail = format!("a request's target and headers have at most {limit} bytes here");
                Problem::new(too_large, "headers-too-large", detail).field("headers")
            }
            Self::ClientRequests => {
                let detail = format!("one client has at most {limit} requests under way here");
                Problem::new(too_many, "too-many-requests", detail).retry_after_s(RETRY_AFTER_S)
            }
            Self::Requests => {
                let detail = format!("at most {limit} requests are under way here");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after_s(RETRY_AFTER_S)
            }
        };
        problem.limit(limit as u64).into_response()
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

/// An answer's body, with what its request holds until all of it is handed over.
#[derive(Debug)]
pub struct Kept {
    body: Body,
    /// HTTP/2: what flow control holds back is handed over in steps, since hyper lets go of a body once it has its end.
    stepwise: bool,
    /// The rest of a frame of `body`.
    rest: Bytes,
    _held: Held,
}

impl Kept {
    fn next_step(&mut self) -> Frame<Bytes> {
        if self.rest.len() > STEP {
            return Frame::data(self.rest.split_to(STEP));
        }
        // A copy: the last step may wait long for a client, and would keep all of the answer in memory.
        Frame::data(Bytes::copy_from_slice(&std::mem::take(&mut self.rest)))
    }
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.next_step())));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let large = |frame: &Frame<Bytes>| frame.data_ref().is_some_and(|data| data.len() > STEP);
        match frame {
            Some(Ok(frame)) if self.stepwise && large(&frame) => {
                self.rest = frame.into_data().unwrap_or_default();
                Poll::Ready(Some(Ok(self.next_step())))
            }
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(of_body.lower().saturating_add(rest));
        hint
    }
}
