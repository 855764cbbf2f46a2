//! The server's end.

use std::time::Duration;

use pds_service::http::ServeLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{HELLO, Server, ask, limits, within};
use crate::{gate, router};

const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn end_closes_idle_connections_and_finishes_requests() {
    let gate = gate();
    // A request is under way once another is refused for it.
    let server = Server::start(ServeLimits { requests: 1, ..limits() }, router(&gate)).await;
    let (mut idle, mut waiting) = (server.connect().await, server.connect().await);
    assert_eq!(ask(&mut idle, HELLO).await.unwrap().status, 200);
    waiting.write_all(WAIT).await.unwrap();
    while ask(&mut idle, HELLO).await.unwrap().status == 200 {}
    let mut silent = server.connect().await;
    server.stop.send(()).unwrap();
    assert_eq!(within(idle.read(&mut [0; 16])).await.unwrap(), 0);
    assert_eq!(within(silent.read(&mut [0; 16])).await.unwrap_or_default(), 0);
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens");
    assert!(!server.ended.is_finished(), "a request is under way");
    gate.add_permits(1);
    assert_eq!(ask(&mut waiting, "").await.unwrap().body, "waited");
    within(server.ended).await.unwrap();
}

#[tokio::test]
async fn end_drops_what_takes_too_long() {
    let brief = ServeLimits { drain_timeout: Duration::from_millis(100), requests: 1, ..limits() };
    let server = Server::start(brief, router(&gate())).await;
    let (mut other, mut stuck) = (server.connect().await, server.connect().await);
    stuck.write_all(WAIT).await.unwrap();
    while ask(&mut other, HELLO).await.unwrap().status == 200 {}
    server.stop.send(()).unwrap();
    within(server.ended).await.unwrap();
    assert_eq!(within(stuck.read(&mut [0; 16])).await.unwrap_or_default(), 0);
}
