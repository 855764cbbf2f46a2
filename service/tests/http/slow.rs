//! Clients that take their time.

use std::time::{Duration, Instant};

use pds_service::http::ServeLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{HELLO, PATIENCE, Server, ask, limits, within};
use crate::{LARGE, assert_problem, gate, router};

const SHORT: Duration = Duration::from_millis(300);

/// Sends bytes one by one until the server ends the connection, with a request of another client before each.
async fn trickle(server: &Server, slow: &mut TcpStream) {
    let started = Instant::now();
    let mut other = server.connect().await;
    let mut buffer = [0; 1024];
    loop {
        assert_eq!(ask(&mut other, HELLO).await.expect("the other is served").status, 200);
        assert!(started.elapsed() < PATIENCE, "never cut");
        let written = slow.try_write(b"x");
        match slow.try_read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => written.map(drop).unwrap_or(()),
            Ok(0) | Err(_) => break,
            Ok(_) => panic!("an answer to half a request"),
        }
    }
    assert!(started.elapsed() >= SHORT / 2, "cut at once");
}

#[tokio::test]
async fn slow_headers_are_cut_while_another_is_served() {
    let server = Server::start(ServeLimits { header_timeout: SHORT, ..limits() }, router(&gate())).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nslow: ").await.unwrap();
    trickle(&server, &mut slow).await;
}

#[tokio::test]
async fn slow_headers_are_cut_in_a_later_request() {
    let server = Server::start(ServeLimits { header_timeout: SHORT, ..limits() }, router(&gate())).await;
    let mut slow = server.connect().await;
    assert_eq!(ask(&mut slow, HELLO).await.unwrap().status, 200);
    slow.write_all(b"GET / HTTP/1.1\r\nslow: ").await.unwrap();
    trickle(&server, &mut slow).await;
}

#[tokio::test]
async fn silent_connections_are_cut() {
    let server = Server::start(ServeLimits { header_timeout: SHORT, ..limits() }, router(&gate())).await;
    let mut silent = server.connect().await;
    assert_eq!(within(silent.read(&mut [0; 16])).await.unwrap(), 0);
}

#[tokio::test]
async fn idle_connections_are_cut_after_the_idle_time_only() {
    let short = ServeLimits { header_timeout: SHORT, idle_timeout: 4 * SHORT, ..limits() };
    let server = Server::start(short, router(&gate())).await;
    let mut idle = server.connect().await;
    assert_eq!(ask(&mut idle, HELLO).await.unwrap().status, 200);
    let started = Instant::now();
    assert_eq!(within(idle.read(&mut [0; 16])).await.unwrap(), 0);
    assert!(started.elapsed() >= 2 * SHORT, "{:?}", started.elapsed());
}

#[tokio::test]
async fn idle_connections_are_cut_after_an_answer_that_was_read_late() {
    let server = Server::start(ServeLimits { idle_timeout: SHORT, ..limits() }, router(&gate())).await;
    let mut late = server.connect().await;
    late.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    late.readable().await.unwrap();
    // Times out only if the connection is cut once it is idle.
    let mut all = Vec::new();
    within(late.read_to_end(&mut all)).await.unwrap();
    assert!(all.len() > LARGE, "{}", all.len());
}

#[tokio::test]
async fn requests_under_way_have_no_idle_time() {
    let gate = gate();
    let short = ServeLimits { header_timeout: SHORT, idle_timeout: SHORT, ..limits() };
    let server = Server::start(short, router(&gate)).await;
    let mut waiting = server.connect().await;
    waiting.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    // Others come and are cut twice meanwhile.
    for _ in 0..2 {
        assert_eq!(within(server.connect().await.read(&mut [0; 16])).await.unwrap(), 0);
    }
    gate.add_permits(1);
    assert_eq!(ask(&mut waiting, "").await.unwrap().body, "waited");
}

#[tokio::test]
async fn slow_bodies_are_answered_408() {
    let server = Server::start(ServeLimits { body_timeout: SHORT, ..limits() }, router(&gate())).await;
    let mut slow = server.connect().await;
    let half = "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc";
    let problem = assert_problem(ask(&mut slow, half).await, 408, "body-timeout");
    assert_eq!(problem.field.as_deref(), Some("body"));
    assert_eq!(within(slow.read(&mut [0; 16])).await.unwrap(), 0, "and closed");
}

#[tokio::test]
async fn unread_answers_are_dropped() {
    // While the first connection is there, a second finds no room.
    let tight = ServeLimits { connections: 1, answer_timeout: SHORT, ..limits() };
    let server = Server::start(tight, router(&gate())).await;
    let mut unread = server.connect().await;
    unread.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    unread.readable().await.unwrap();
    let started = Instant::now();
    let mut refused = 0;
    while ask(&mut server.connect().await, HELLO).await.is_none_or(|answer| answer.status == 503) {
        refused += 1;
        assert!(started.elapsed() < PATIENCE, "never dropped");
    }
    assert!(refused > 0, "the connection was never held");
    let mut all = Vec::new();
    let _ = within(unread.read_to_end(&mut all)).await;
    assert!(all.len() < LARGE, "the rest is gone");
}

#[tokio::test]
async fn answers_are_not_cut_while_they_are_read() {
    let short = ServeLimits { answer_timeout: SHORT, idle_timeout: SHORT, header_timeout: SHORT, ..limits() };
    let server = Server::start(short, router(&gate())).await;
    let mut reader = server.connect().await;
    reader.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let started = Instant::now();
    let (mut read, mut step) = (0, vec![0; 256 << 10]);
    loop {
        let bytes = within(reader.read(&mut step)).await.unwrap();
        if bytes == 0 {
            break;
        }
        read += bytes;
        // Spread over four times the limit, by the share of what was read.
        while started.elapsed() < 4 * SHORT * u32::try_from(read >> 10).unwrap() / (LARGE >> 10) as u32 {
            assert_eq!(ask(&mut server.connect().await, HELLO).await.unwrap().status, 200);
        }
    }
    assert!(read > LARGE, "{read}");
}
