//! One connection's bytes, with the times that a client has for them.
//!
//! The stream errs with [`io::ErrorKind::TimedOut`] once its client is too slow, which ends the connection. It is told by
//! [`Activity`] whether a request is under way; then reads have no limit here, since the body has one of its own.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use metrics::counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::ServeLimits;

/// Bytes of an answer that a client must take within its time.
const ANSWER_STEP: usize = 64 << 10;

/// What the requests of one connection are at.
#[derive(Debug, Default)]
pub struct Activity {
    under_way: AtomicUsize,
    begun: AtomicU64,
    /// HTTP/2: bytes between requests may be pings and acknowledgements, not the start of a request.
    multiplexed: AtomicBool,
}

/// A request under way, until dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<Activity>);

impl Activity {
    /// Tells that a request begins.
    pub fn begin(self: &Arc<Self>, multiplexed: bool) -> UnderWay {
        self.multiplexed.store(multiplexed, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Release);
        UnderWay(Arc::clone(self))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Release);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Waiting {
    /// For the rest of a request's headers; a new connection is here.
    Head,
    /// For another request.
    Idle,
    /// For nothing: a request is under way, or its answer.
    Nothing,
}

/// A stream that errs when its client takes too long.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    header_timeout: Duration,
    idle_timeout: Duration,
    answer_timeout: Duration,
    waiting: Waiting,
    /// [`Activity::begun`] as last seen.
    begun: u64,
    read_timer: Pin<Box<Sleep>>,
    /// Runs from the first write that found no room to the flush after it. Most connections never have one.
    write_timer: Option<Pin<Box<Sleep>>>,
    /// Bytes written since `write_timer` was set.
    taken: usize,
}

impl<S> Watched<S> {
    /// Watches a connection that was just accepted.
    pub fn new(stream: S, activity: Arc<Activity>, limits: &ServeLimits) -> Self {
        Self {
            stream,
            activity,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            answer_timeout: limits.answer_timeout,
            waiting: Waiting::Head,
            begun: 0,
            read_timer: Box::pin(sleep_until(Instant::now() + limits.header_timeout)),
            write_timer: None,
            taken: 0,
        }
    }

    /// Follows what happened since the last read; `received` if this one brought bytes.
    fn step(&mut self, received: bool) {
        let begun = self.activity.begun.load(Ordering::Relaxed);
        let busy = self.write_timer.is_some() || self.activity.under_way.load(Ordering::Acquire) > 0;
        let new_head = received && !self.activity.multiplexed.load(Ordering::Relaxed);
        let was = if begun == self.begun { self.waiting } else { Waiting::Nothing };
        self.begun = begun;
        self.waiting = match was {
            _ if busy => Waiting::Nothing,
            Waiting::Nothing | Waiting::Idle if new_head => Waiting::Head,
            Waiting::Nothing => Waiting::Idle,
            same => same,
        };
        let time = match self.waiting {
            Waiting::Head => self.header_timeout,
            Waiting::Idle => self.idle_timeout,
            Waiting::Nothing => return,
        };
        if self.waiting != was {
            self.read_timer.as_mut().reset(Instant::now() + time);
        }
    }

    /// After a write that found no room: errs when there was none for too long.
    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + self.answer_timeout)));
        timer.as_mut().poll(cx).map(|()| timed_out("answer"))
    }

    /// After a blocked answer is out: hyper may not read before something arrives, and that may never be.
    fn rest(&mut self, cx: &mut Context<'_>) {
        self.step(false);
        if self.waiting != Waiting::Nothing {
            // Only to be woken: the read that follows finds the time over.
            let _ = self.read_timer.as_mut().poll(cx);
        }
    }

    fn written(&mut self, bytes: usize) {
        let Some(timer) = &mut self.write_timer else { return };
        self.taken += bytes;
        if self.taken >= ANSWER_STEP {
            self.taken = 0;
            timer.as_mut().reset(Instant::now() + self.answer_timeout);
        }
    }
}

fn timed_out(at: &'static str) -> io::Error {
    counter!("pds_http_timeouts_total", "at" => at).increment(1);
    io::ErrorKind::TimedOut.into()
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.step(buffer.filled().len() > before);
        // Bytes do not help a client that is over its time: it could send one at a time for ever.
        let at = match self.waiting {
            Waiting::Head => "headers",
            Waiting::Idle => "idle",
            Waiting::Nothing => return read,
        };
        if self.read_timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(timed_out(at)));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.after_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.after_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Hyper flushes when it has nothing left to write, so a flush that is done ends a blocked write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => self.poll_blocked(cx).map(Err),
            done => {
                self.taken = 0;
                if self.write_timer.take().is_some() {
                    self.rest(cx);
                }
                done
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending => self.poll_blocked(cx).map(Err),
            done => done,
        }
    }
}

impl<S> Watched<S> {
    fn after_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => self.poll_blocked(cx).map(Err),
            Poll::Ready(Ok(bytes)) => {
                self.written(bytes);
                Poll::Ready(Ok(bytes))
            }
            error @ Poll::Ready(Err(_)) => error,
        }
    }
}
