//! Clients that want more than their share.

use pds_service::http::ServeLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{HELLO, Server, ask, limits, within};
use crate::{LARGE, assert_problem, gate, router};

const WAIT: &str = "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";

/// A connection that is in use, known by its answer.
async fn used(server: &Server, from: [u8; 4]) -> TcpStream {
    let mut stream = server.connect_from(from).await;
    assert_eq!(ask(&mut stream, HELLO).await.unwrap().status, 200);
    stream
}

/// Asks in new connections until one is served.
async fn until_served(server: &Server, from: [u8; 4]) {
    while ask(&mut server.connect_from(from).await, HELLO).await.is_none_or(|answer| answer.status != 200) {}
}

#[tokio::test]
async fn connections_beyond_all_are_told_and_room_comes_back() {
    let server = Server::start(ServeLimits { connections: 2, ..limits() }, router(&gate())).await;
    let one = used(&server, [127, 0, 0, 1]).await;
    let mut two = used(&server, [127, 0, 0, 2]).await;
    let problem = assert_problem(ask(&mut server.connect().await, HELLO).await, 503, "busy");
    assert_eq!(problem.limit, Some(2));
    assert_eq!(ask(&mut two, HELLO).await.unwrap().status, 200, "who is in stays in");
    drop(one);
    until_served(&server, [127, 0, 0, 1]).await;
}

#[tokio::test]
async fn connections_of_one_client_do_not_stop_another() {
    let server = Server::start(ServeLimits { connections_per_client: 2, ..limits() }, router(&gate())).await;
    let held = [used(&server, [127, 0, 0, 1]).await, used(&server, [127, 0, 0, 1]).await];
    for _ in 0..300 {
        let answer = ask(&mut server.connect().await, HELLO).await;
        let problem = assert_problem(answer, 429, "too-many-connections");
        assert_eq!(problem.limit, Some(2));
    }
    used(&server, [127, 0, 0, 2]).await;
    drop(held);
    until_served(&server, [127, 0, 0, 1]).await;
}

#[tokio::test]
async fn refusals_that_nobody_hears_do_not_stop_another() {
    let server = Server::start(ServeLimits { connections_per_client: 1, ..limits() }, router(&gate())).await;
    let _held = used(&server, [127, 0, 0, 1]).await;
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(server.connect().await);
    }
    used(&server, [127, 0, 0, 2]).await;
}

#[tokio::test]
async fn requests_of_one_client_do_not_stop_another() {
    let gate = gate();
    let server = Server::start(ServeLimits { requests_per_client: 2, ..limits() }, router(&gate)).await;
    let mut waiting = [used(&server, [127, 0, 0, 1]).await, used(&server, [127, 0, 0, 1]).await];
    for stream in &mut waiting {
        stream.write_all(WAIT.as_bytes()).await.unwrap();
    }
    let mut third = server.connect().await;
    // Until both are under way, the third is served.
    let refused = loop {
        let answer = ask(&mut third, HELLO).await.unwrap();
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(assert_problem(Some(refused), 429, "too-many-requests").limit, Some(2));
    used(&server, [127, 0, 0, 2]).await;
    gate.add_permits(2);
    for stream in &mut waiting {
        assert_eq!(ask(stream, "").await.unwrap().body, "waited");
    }
    assert_eq!(ask(&mut third, HELLO).await.unwrap().status, 200, "in the same connection");
}

#[tokio::test]
async fn requests_beyond_all_are_answered_503() {
    let gate = gate();
    let server = Server::start(ServeLimits { requests: 1, ..limits() }, router(&gate)).await;
    let mut waiting = used(&server, [127, 0, 0, 1]).await;
    waiting.write_all(WAIT.as_bytes()).await.unwrap();
    let mut other = server.connect_from([127, 0, 0, 2]).await;
    let refused = loop {
        let answer = ask(&mut other, HELLO).await.unwrap();
        if answer.status != 200 {
            break answer;
        }
    };
    assert_problem(Some(refused), 503, "busy");
    gate.add_permits(1);
    assert_eq!(ask(&mut waiting, "").await.unwrap().body, "waited");
    assert_eq!(ask(&mut other, HELLO).await.unwrap().status, 200);
}

#[tokio::test]
async fn requests_through_a_proxy_count_for_its_clients() {
    let gate = gate();
    let proxied = ServeLimits {
        connections_per_client: 1,
        requests_per_client: 1,
        proxies: vec![[127, 0, 0, 1].into()],
        ..limits()
    };
    let server = Server::start(proxied, router(&gate)).await;
    let by = |path: &str, client: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 198.51.100.7, {client}\r\n\r\n")
    };
    let mut waiting = used(&server, [127, 0, 0, 1]).await;
    waiting.write_all(by("/wait", "192.0.2.1").as_bytes()).await.unwrap();
    let mut other = used(&server, [127, 0, 0, 1]).await;
    let refused = loop {
        let answer = ask(&mut other, &by("/", "192.0.2.1")).await.unwrap();
        if answer.status != 200 {
            break answer;
        }
    };
    assert_problem(Some(refused), 429, "too-many-requests");
    assert_eq!(ask(&mut other, &by("/", "192.0.2.2")).await.unwrap().status, 200);
    // Who is no proxy is believed nothing: one connection is all it has.
    let _direct = used(&server, [127, 0, 0, 2]).await;
    let answer = ask(&mut server.connect_from([127, 0, 0, 2]).await, &by("/", "192.0.2.3")).await;
    assert_problem(answer, 429, "too-many-connections");
    gate.add_permits(1);
    assert_eq!(ask(&mut waiting, "").await.unwrap().body, "waited");
}

const GET_LARGE: &str = "GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// A connection whose answer has begun and is not read: as large as one client's share.
async fn unread(server: &Server, from: [u8; 4]) -> TcpStream {
    let mut stream = server.connect_from(from).await;
    stream.write_all(GET_LARGE.as_bytes()).await.unwrap();
    within(stream.readable()).await.unwrap();
    stream
}

#[tokio::test]
async fn unread_answers_of_one_client_do_not_stop_another() {
    let server = Server::start(limits(), router(&gate())).await;
    let mut first = unread(&server, [127, 0, 0, 1]).await;
    let answer = ask(&mut server.connect().await, GET_LARGE).await;
    assert_eq!(assert_problem(answer, 429, "too-many-unread").limit, Some(LARGE as u64));
    assert_eq!(ask(&mut server.connect().await, HELLO).await.unwrap().status, 200, "what is small is given");
    unread(&server, [127, 0, 0, 2]).await;
    let mut all = Vec::new();
    within(first.read_to_end(&mut all)).await.unwrap();
    assert!(all.len() > LARGE);
    let mut again = Vec::new();
    within(unread(&server, [127, 0, 0, 1]).await.read_to_end(&mut again)).await.unwrap();
    assert_eq!(again.len(), all.len(), "its share is free again");
}

#[tokio::test]
async fn unread_answers_beyond_all_are_answered_503() {
    let server = Server::start(limits(), router(&gate())).await;
    let mut held = Vec::new();
    for client in 1..=8 {
        held.push(unread(&server, [127, 0, 0, client]).await);
    }
    let mut ninth = server.connect_from([127, 0, 0, 9]).await;
    assert_problem(ask(&mut ninth, GET_LARGE).await, 503, "busy");
    drop(held);
    let served = async || {
        let mut all = Vec::new();
        let mut stream = unread(&server, [127, 0, 0, 9]).await;
        within(stream.read_to_end(&mut all)).await.unwrap();
        all.len() > LARGE
    };
    while !within(served()).await {}
}
