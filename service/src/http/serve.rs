//! Accepting connections and serving them, until told to end.
//!
//! Beyond its limits the server goes on accepting and tells each connection so: an honest client learns when to come again
//! instead of waiting in the kernel's queue behind those who filled it, and whoever fills it gains no connection. Telling
//! is bounded too; beyond that a connection is closed without a word.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use metrics::{counter, gauge};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::client::{Client, Share, Shares};
use super::exchange::{Door, RETRY_AFTER_S};
use super::limits::ServeLimits;
use super::watch::{Activity, Watched};
use crate::problem::Problem;

/// Streams of one HTTP/2 connection that are open at a time.
const STREAMS: u32 = 64;
/// Streams of one HTTP/2 connection that may be reset before they are answered: the defence against rapid reset.
const RESET_STREAMS: usize = 20;
/// Time between pings on an HTTP/2 connection, and for the answer to one.
const PING: Duration = Duration::from_secs(20);
/// Bytes that HTTP/2 buffers of one answer.
const STREAM_BUFFER: usize = 64 << 10;
/// Connections that are told at a time why they are refused.
const REFUSALS: usize = 256;
/// Time for a refused client to take the answer.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// Bytes that are read of a refused client.
const REFUSED_BYTES: usize = 64 << 10;
/// Time without accepting after the system had no room for a connection, unless one ends before.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Serving,
    /// Requests under way are finished, connections then closed.
    Draining,
    /// What is still there is dropped.
    Dropping,
}

/// Serves `router` within `limits` until `stop` resolves; then finishes the requests that are under way, for as long as
/// the limits allow.
///
/// Never fails: what goes wrong with a connection ends that connection, and what goes wrong with accepting is waited out.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    stop: impl Future<Output = ()>,
) {
    let (stage, stages) = watch::channel(Stage::Serving);
    let drain_timeout = limits.drain_timeout;
    let server = Server::new(router, limits, stages);
    tokio::select! {
        () = stop => {}
        () = server.accept(&listener) => {}
    }
    // From here on the system refuses connections.
    drop(listener);
    drop(server);
    let _ = stage.send(Stage::Draining);
    // Every connection and stream holds a receiver.
    if timeout(drain_timeout, stage.closed()).await.is_err() {
        warn!(connections = stage.receiver_count(), "some requests took too long to finish");
        let _ = stage.send(Stage::Dropping);
        stage.closed().await;
    }
}

struct Server {
    limits: ServeLimits,
    door: Arc<Door>,
    all: Arc<Semaphore>,
    shares: Arc<Shares>,
    refusals: Arc<Semaphore>,
    /// Told when a connection ends.
    ended: Arc<Notify>,
    http: Arc<Builder<Streams>>,
    stages: watch::Receiver<Stage>,
}

/// What a connection holds until it ends.
struct Place {
    _room: OwnedSemaphorePermit,
    _share: Share,
    ended: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        gauge!("pds_http_connections").decrement(1);
        self.ended.notify_one();
    }
}

impl Server {
    fn new(router: Router, limits: ServeLimits, stages: watch::Receiver<Stage>) -> Self {
        Self {
            door: Arc::new(Door::new(router, limits.clone())),
            all: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            shares: Shares::new(limits.connections_per_client),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            ended: Arc::default(),
            http: Arc::new(builder(&limits, stages.clone())),
            stages,
            limits,
        }
    }

    async fn accept(&self, listener: &TcpListener) {
        let mut paused = false;
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    if std::mem::take(&mut paused) {
                        info!("accepting connections again");
                    }
                    self.admit(stream, address);
                }
                // The client's doing; the next may be fine.
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    counter!("pds_http_accept_errors_total").increment(1);
                    if !std::mem::replace(&mut paused, true) {
                        warn!(%error, "cannot accept connections; trying again");
                    }
                    let _ = timeout(ACCEPT_PAUSE, self.ended.notified()).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, address: SocketAddr) {
        let client = Client::of(address.ip(), &self.limits.proxies);
        let Some(share) = self.shares.take(client) else {
            let detail = "too many connections of one client";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-connections", detail);
            return self.refuse(stream, "client-connections", problem.limit(self.shares.limit as u64));
        };
        let Ok(room) = Arc::clone(&self.all).try_acquire_owned() else {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many connections");
            return self.refuse(stream, "connections", problem.limit(self.limits.connections as u64));
        };
        gauge!("pds_http_connections").increment(1);
        let place = Place { _room: room, _share: share, ended: Arc::clone(&self.ended) };
        // Small answers go out at once; an error only costs their delay.
        let _ = stream.set_nodelay(true);
        let activity = Arc::<Activity>::default();
        let stream = Watched::new(stream, Arc::clone(&activity), &self.limits);
        let (http, door, stages) = (Arc::clone(&self.http), Arc::clone(&self.door), self.stages.clone());
        tokio::spawn(async move {
            speak(stream, client, activity, door, &http, stages).await;
            drop(place);
        });
    }

    fn refuse(&self, stream: TcpStream, reason: &'static str, problem: Problem) {
        counter!("pds_http_refused_total", "reason" => reason).increment(1);
        let Ok(turn) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        tokio::spawn(async move {
            // A client that does not listen loses the answer, nothing else.
            let _ = timeout(REFUSAL_TIME, tell(stream, problem.retry_after_s(RETRY_AFTER_S))).await;
            drop(turn);
        });
    }
}

/// Whether accepting failed for one connection, rather than for want of something (accept(2), "Error handling").
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | TimedOut
    )
}

/// HTTP/1 or HTTP/2 on one connection, until it ends or the server does.
async fn speak<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: Watched<S>,
    client: Client,
    activity: Arc<Activity>,
    door: Arc<Door>,
    http: &Builder<Streams>,
    mut stages: watch::Receiver<Stage>,
) {
    let service = service_fn(|request| door.answer(&activity, client, request));
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = &mut connection => return ended_with(ended),
        _ = stages.wait_for(|stage| *stage != Stage::Serving) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = &mut connection => ended_with(ended),
        _ = stages.wait_for(|stage| *stage == Stage::Dropping) => {}
    }
}

fn ended_with(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        debug!(error, "a connection ended early");
    }
}

fn builder(limits: &ServeLimits, stages: watch::Receiver<Stage>) -> Builder<Streams> {
    // More than is granted, so that most excess reaches `Door`, whose answer names the limit; beyond that hyper answers.
    let (headers, header_bytes) = (2 * limits.headers, limits.header_bytes + (16 << 10));
    let mut builder = Builder::new(Streams { time: limits.stream_timeout, stages });
    // `Watched` has the time for headers: hyper's would also run between requests.
    builder.http1().max_headers(headers).max_buf_size(header_bytes).header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(STREAM_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}

/// Runs the streams of HTTP/2 connections, each for a bounded time.
#[derive(Clone)]
struct Streams {
    time: Duration,
    stages: watch::Receiver<Stage>,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (time, mut stages) = (self.time, self.stages.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = stream => {}
                () = sleep(time) => counter!("pds_http_timeouts_total", "at" => "stream").increment(1),
                _ = stages.wait_for(|stage| *stage == Stage::Dropping) => {}
            }
        });
    }
}

/// Answers before any request was read, then reads what may have been sent: closing with unread bytes resets the connection,
/// and the answer could be lost (RFC 9112 section 9.6).
async fn tell(mut stream: TcpStream, problem: Problem) -> io::Result<()> {
    let (head, body) = problem.into_response().into_parts();
    let body = axum::body::to_bytes(Body::new(body), REFUSED_BYTES).await.map_err(io::Error::other)?;
    let mut answer = format!("HTTP/1.1 {}\r\nconnection: close\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    answer.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    answer.extend_from_slice(&body);
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    let mut unread = stream.take(REFUSED_BYTES as u64);
    tokio::io::copy(&mut unread, &mut tokio::io::sink()).await.map(drop)
}
