//! An answer's body on its way out, and what it holds until its client took the last of it.
//!
//! Handing a body to hyper is not yet sending it: what a client does not read stays in memory. So the last bytes that are
//! handed over own what the request holds, and let go of it when they are sent or dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::{Client, Share, Shares};
use super::watch::UnderWay;

/// Bytes of an answer that HTTP/2 is handed at a time, and the most that a stream can leave in memory when it is done.
const STEP: usize = 16 << 10;
/// Bytes of answers are counted in units of this many.
const UNIT: usize = 1 << 10;
/// Of the memory for answers, one client may have one in this many.
const CLIENTS: usize = 8;
/// Bytes up to which an answer is not counted: the number of requests bounds these. Metrics are among them, which an operator
/// wants most when nothing else is to be had.
pub const SMALL: usize = 32 << 10;
/// Bytes for which an answer counts that does not say its length, as one that is compressed.
const UNSIZED: usize = 1 << 20;

/// The memory for answers of more than [`SMALL`] bytes.
#[derive(Debug)]
pub struct AnswerMemory {
    all: Arc<Semaphore>,
    shares: Arc<Shares>,
}

/// What one answer takes up of it.
pub type Memory = (OwnedSemaphorePermit, Share);

/// Who has as much as there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// All together.
    All,
    /// This client.
    Client,
}

impl AnswerMemory {
    /// This many bytes.
    pub fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(units)), shares: Shares::new(units / CLIENTS) }
    }

    /// Bytes that one client may have. A larger answer counts for as many, or it could never be given.
    pub fn share(&self) -> usize {
        self.shares.limit * UNIT
    }

    /// The memory for `body`, which goes to `client`.
    ///
    /// # Errors
    /// [`Exhausted`]; nothing waits here, since what does not fit is in memory already.
    pub fn reserve(&self, client: Client, body: &Body) -> Result<Option<Memory>, Exhausted> {
        let bytes =
            body.size_hint().upper().map_or(UNSIZED, |bytes| usize::try_from(bytes).unwrap_or(UNSIZED));
        if bytes <= SMALL {
            return Ok(None);
        }
        let units = bytes.div_ceil(UNIT).min(self.shares.limit);
        let share = self.shares.take_many(client, units).ok_or(Exhausted::Client)?;
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.all).try_acquire_many_owned(units).map_err(|_| Exhausted::All)?;
        Ok(Some((room, share)))
    }
}

/// What a request holds until its answer is sent.
#[derive(Debug)]
pub struct Held {
    /// A place among the requests under way, of all and of its client; none if it was refused one.
    pub _place: Option<(OwnedSemaphorePermit, Share)>,
    /// What its answer takes up.
    pub _memory: Option<Memory>,
    /// For the connection.
    pub _under_way: UnderWay,
}

/// An answer's body, with what its request holds.
#[derive(Debug)]
pub struct Kept {
    body: Body,
    /// HTTP/2: what flow control holds back is handed over in steps, since hyper lets go of a body once it has its end.
    stepwise: bool,
    /// The rest of a frame of `body`.
    rest: Bytes,
    held: Option<Held>,
}

/// The last bytes of an answer.
struct Last {
    bytes: Bytes,
    _held: Option<Held>,
}

impl AsRef<[u8]> for Last {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Kept {
    /// `body`, in steps if it is `stepwise`.
    pub fn new(body: Body, stepwise: bool, held: Held) -> Self {
        Self { body, stepwise, rest: Bytes::new(), held: Some(held) }
    }

    fn next_step(&mut self) -> Bytes {
        if self.rest.len() > STEP {
            return self.rest.split_to(STEP);
        }
        let last = std::mem::take(&mut self.rest);
        // A copy: the last step may wait long for a client, and would keep all of the answer in memory.
        self.ending(Bytes::copy_from_slice(&last))
    }

    /// `bytes`, which own what is held if nothing comes behind them.
    fn ending(&mut self, bytes: Bytes) -> Bytes {
        if self.body.is_end_stream() {
            Bytes::from_owner(Last { bytes, _held: self.held.take() })
        } else {
            bytes
        }
    }
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) if self.stepwise && data.len() > STEP => self.rest = data,
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(self.ending(data))))),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(self.next_step()))))
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

#[cfg(test)]
mod tests {
    use super::super::watch::Activity;
    use super::*;

    fn client(last: u8) -> Client {
        Client::of([192, 0, 2, last].into(), &[])
    }

    fn body(bytes: usize) -> Body {
        Body::from(vec![0; bytes])
    }

    #[test]
    fn memory_of_one_client_does_not_stop_another() {
        let memory = AnswerMemory::new(8 << 20);
        assert_eq!(memory.share(), 1 << 20);
        let _half = memory.reserve(client(1), &body(600 << 10)).unwrap();
        assert_eq!(memory.reserve(client(1), &body(600 << 10)).unwrap_err(), Exhausted::Client);
        assert!(memory.reserve(client(1), &body(SMALL)).unwrap().is_none(), "what is small is not counted");
        let others: Vec<_> = (2..9).map(|i| memory.reserve(client(i), &body(9 << 20)).unwrap()).collect();
        assert_eq!(memory.reserve(client(9), &body(600 << 10)).unwrap_err(), Exhausted::All);
        drop(others);
        assert!(memory.reserve(client(9), &body(600 << 10)).unwrap().is_some());
    }

    #[test]
    fn answer_holds_until_its_last_bytes_are_gone() {
        for (stepwise, bytes) in
            [(false, 100), (false, 3 * STEP), (true, 100), (true, STEP), (true, 3 * STEP + 1)]
        {
            let memory = AnswerMemory::new(8 << 20);
            let reserved = memory.reserve(client(1), &body(1 << 20)).unwrap();
            let under_way = Arc::<Activity>::default().begin(stepwise);
            let held = Held { _place: None, _memory: reserved, _under_way: under_way };
            let mut kept = Kept::new(body(bytes), stepwise, held);
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut sent = Vec::new();
            while !kept.is_end_stream() {
                let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut kept).poll_frame(&mut cx) else { panic!() };
                sent.push(frame.into_data().unwrap());
            }
            // Hyper drops a body here, and may hold its bytes for long.
            drop(kept);
            assert_eq!(sent.iter().map(Bytes::len).sum::<usize>(), bytes);
            let full = || memory.reserve(client(1), &body(1 << 20)).is_err();
            assert!(full(), "{stepwise} {bytes}");
            sent.truncate(sent.len() - 1);
            assert!(!full(), "{stepwise} {bytes}");
        }
    }
}
