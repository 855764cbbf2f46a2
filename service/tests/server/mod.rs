//! A small server under test, and clients that speak raw HTTP/1.

#![allow(dead_code, reason = "shared by test programs that each use a part")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use pds_service::http::{RequestLimits, ServeLimits, bounded, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longest that anything here may take: a test that waits longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Limits that no test reaches by chance, and no proxies: every loopback address is a client.
pub fn limits() -> ServeLimits {
    ServeLimits {
        header_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        body_timeout: PATIENCE,
        answer_timeout: PATIENCE,
        drain_timeout: PATIENCE,
        proxies: Vec::new(),
        ..Default::default()
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub stop: oneshot::Sender<()>,
    pub ended: JoinHandle<()>,
}

impl Server {
    pub async fn start(limits: ServeLimits, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let router = bounded(router, RequestLimits { body_bytes: 1 << 20, time: PATIENCE });
        let ended = tokio::spawn(serve(listener, router, limits, async {
            let _ = stopped.await;
        }));
        Self { address, stop, ended }
    }

    /// A connection from 127.0.0.1.
    pub async fn connect(&self) -> TcpStream {
        within(TcpStream::connect(self.address)).await.unwrap()
    }

    pub async fn connect_from(&self, address: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(IpAddr::from(address), 0)).unwrap();
        within(socket.connect(self.address)).await.unwrap()
    }
}

/// `future`, or a failed test.
pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it took too long")
}

/// An answer: status, header lines in lower case, body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

/// Sends `request` and reads one answer, leaving the connection open. None if it ends before an answer does.
pub async fn ask(stream: &mut TcpStream, request: &str) -> Option<Answer> {
    // A refusal may come before the request is taken.
    let _ = within(stream.write_all(request.as_bytes())).await;
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = whole(&bytes) {
            return Some(answer);
        }
        match within(stream.read_buf(&mut bytes)).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

fn whole(bytes: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (line, headers) = head.split_once("\r\n")?;
    let headers = headers.to_ascii_lowercase();
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let status = line.split(' ').nth(1)?.parse().ok()?;
    (body.len() >= length).then(|| Answer { status, headers, body: body.to_owned() })
}

/// A request without a body.
pub const HELLO: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
