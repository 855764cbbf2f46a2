//! A load maker for HTTP/1.1: one thread, kept-alive connections, one request at a time on each.
//!
//! It does a read and a write of the system for each request and little else, so that it is lighter than any server. Each
//! answer must be a 200 of the length that it declares; anything else ends the run.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Bytes read at a time.
const BUFFER: usize = 64 << 10;
/// Most bytes of an answer's head.
const HEAD: usize = 8 << 10;
/// Longest time without any answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests answered.
    pub requests: u64,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Asks `address` over `connections` for `time`; `target` writes the target of each request.
///
/// # Errors
/// When a connection fails or ends, or an answer is not what it should be.
pub fn run(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    mut target: impl FnMut(&mut Vec<u8>),
) -> anyhow::Result<Load> {
    let mut poll = Poll::new()?;
    let mut all = Vec::new();
    for i in 0..connections {
        let mut connection = Connection::open(address)?;
        poll.registry().register(&mut connection.stream, Token(i), Interest::READABLE)?;
        all.push(connection);
    }
    let (mut buffer, mut events) = (vec![0; BUFFER], Events::with_capacity(connections));
    let started = Instant::now();
    for connection in &mut all {
        connection.ask(&mut target)?;
    }
    let mut requests = 0;
    while started.elapsed() < time {
        match poll.poll(&mut events, Some(PATIENCE)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        ensure!(!events.is_empty(), "no answer within {PATIENCE:?}");
        for event in &events {
            let connection = &mut all[event.token().0];
            while connection.read(&mut buffer)? == Progress::Answered {
                requests += 1;
                connection.ask(&mut target)?;
            }
        }
    }
    Ok(Load { requests, seconds: started.elapsed().as_secs_f64() })
}

/// The body of one answer of `address` to a request for `target`.
///
/// # Errors
/// As [`run`].
pub fn fetch(address: SocketAddr, target: &str) -> anyhow::Result<Vec<u8>> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {target} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = Head::read(&answer)?.with_context(|| format!("GET {target}: the answer has no head"))?;
    ensure!(
        answer.len() == head.bytes + head.body,
        "GET {target}: the body has another length than declared"
    );
    Ok(answer.split_off(head.bytes))
}

#[derive(Debug, PartialEq)]
enum Progress {
    /// The last byte of an answer came.
    Answered,
    /// More is to come.
    Waiting,
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    /// What came of a head that is not complete.
    head: Vec<u8>,
    /// Bytes of the body that are to come; `None` before the head's end.
    rest: Option<usize>,
}

impl Connection {
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream =
            std::net::TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream);
        Ok(Self { stream, request: Vec::new(), head: Vec::new(), rest: None })
    }

    fn ask(&mut self, target: &mut impl FnMut(&mut Vec<u8>)) -> anyhow::Result<()> {
        self.request.clear();
        self.request.extend_from_slice(b"GET ");
        target(&mut self.request);
        self.request.extend_from_slice(b" HTTP/1.1\r\nhost: bench\r\n\r\n");
        self.rest = None;
        // A few hundred bytes on a connection with nothing under way: there is always room.
        let written = self.stream.write(&self.request).context("send a request")?;
        ensure!(written == self.request.len(), "a request was not taken whole");
        Ok(())
    }

    /// Reads until the answer is whole or nothing is there.
    fn read(&mut self, buffer: &mut [u8]) -> anyhow::Result<Progress> {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Waiting),
                Err(error) => return Err(error).context("read an answer"),
            };
            if self.take(&buffer[..read])? == Progress::Answered {
                return Ok(Progress::Answered);
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<Progress> {
        let (rest, body) = match self.rest {
            Some(rest) => (rest, bytes.len()),
            None if self.head.is_empty() => match Head::read(bytes)? {
                Some(head) => (head.body, bytes.len() - head.bytes),
                None => {
                    self.head.extend_from_slice(bytes);
                    return Ok(Progress::Waiting);
                }
            },
            None => {
                self.head.extend_from_slice(bytes);
                let Some(head) = Head::read(&self.head)? else { return Ok(Progress::Waiting) };
                let body = self.head.len() - head.bytes;
                self.head.clear();
                (head.body, body)
            }
        };
        let rest = rest.checked_sub(body).context("an answer is longer than it declares")?;
        self.rest = Some(rest);
        Ok(if rest == 0 { Progress::Answered } else { Progress::Waiting })
    }
}

/// An answer's head.
#[derive(Debug, PartialEq)]
struct Head {
    /// Its length, the empty line included.
    bytes: usize,
    /// Length of the body that it declares.
    body: usize,
}

impl Head {
    /// `None` while its end is not there.
    fn read(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut body = None;
        let mut at = 0;
        while let Some(end) = bytes[at..].iter().position(|byte| *byte == b'\n') {
            let line = bytes[at..at + end].trim_ascii_end();
            match line {
                [] => {
                    let body = body.context("an answer declares no length")?;
                    return Ok(Some(Self { bytes: at + end + 1, body }));
                }
                line if at == 0 => ensure!(
                    line.starts_with(b"HTTP/1.1 200"),
                    "an answer is {}",
                    String::from_utf8_lossy(line)
                ),
                line => body = content_length(line)?.or(body),
            }
            at += end + 1;
        }
        ensure!(bytes.len() <= HEAD, "an answer's head is longer than {HEAD} bytes");
        Ok(None)
    }
}

fn content_length(line: &[u8]) -> anyhow::Result<Option<usize>> {
    const NAME: &[u8] = b"content-length:";
    let Some((name, value)) = line.split_at_checked(NAME.len()) else { return Ok(None) };
    if !name.eq_ignore_ascii_case(NAME) {
        return Ok(None);
    }
    let value = std::str::from_utf8(value.trim_ascii()).context("content-length")?;
    Ok(Some(value.parse().context("content-length")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_read_once_it_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nx: y\r\n\r\nbody";
        for cut in 0..answer.len() - 4 {
            assert_eq!(Head::read(&answer[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(Head::read(answer).unwrap(), Some(Head { bytes: answer.len() - 4, body: 12 }));
    }

    #[test]
    fn answer_is_refused_when_it_is_no_success_or_has_no_length() {
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n", "HTTP/1.1 200 OK\r\nx: y\r\n\r\n"] {
            assert!(Head::read(answer.as_bytes()).is_err(), "{answer:?}");
        }
        assert!(Head::read(&[b'x'; HEAD + 1]).is_err());
    }
}
