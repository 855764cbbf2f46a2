//! What connections cost that do nothing. A process of its own: its memory is what is measured.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

mod server;

use axum::Router;
use axum::routing::get;
use pds_service::http::ServeLimits;
use rustix::process::{Resource, getrlimit, setrlimit};
use server::{HELLO, Server, ask, limits};
use tokio::io::AsyncWriteExt;

/// Most bytes of resident memory for one connection, both its ends. Hyper's two buffers are 16 KiB of it.
const BYTES_EACH: usize = 32 << 10;

/// As many connections as this process may have files for, with both ends in it; at most 10,000.
fn connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let files = limit.current.unwrap_or(u64::MAX).saturating_sub(200);
    usize::try_from(files / 2).unwrap().min(10_000)
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

#[tokio::test]
async fn idle_connections_cost_little_and_stop_nobody() {
    let connections = connections();
    let limits =
        ServeLimits { connections: connections + 1, connections_per_client: connections, ..limits() };
    let server = Server::start(limits, Router::new().route("/", get(async || "hello"))).await;
    let mut other = server.connect_from([127, 0, 0, 2]).await;
    assert_eq!(ask(&mut other, HELLO).await.unwrap().status, 200);
    let before = resident_bytes();
    let mut idle = Vec::with_capacity(connections);
    for i in 0..connections {
        let mut stream = server.connect().await;
        // Every other one stops within its headers, the rest between requests.
        assert_eq!(ask(&mut stream, HELLO).await.unwrap().status, 200);
        if i % 2 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
        }
        idle.push(stream);
    }
    assert_eq!(ask(&mut other, HELLO).await.unwrap().status, 200);
    let each = resident_bytes().saturating_sub(before) / connections;
    println!("{connections} connections of {each} bytes each");
    assert!(each < BYTES_EACH, "{connections} connections of {each} bytes each");
    assert_eq!(ask(&mut server.connect().await, HELLO).await.unwrap().status, 429, "all are still there");
    assert_eq!(ask(&mut idle[1], HELLO).await.unwrap().status, 200);
}
