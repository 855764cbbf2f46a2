//! The same over HTTP/2, where one connection has many requests.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pds_service::http::ServeLimits;
use tokio::task::JoinHandle;

use crate::server::{Server, limits, within};
use crate::{LARGE, gate, router};

const SHORT: Duration = Duration::from_millis(300);

async fn connect(server: &Server) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(server.connect().await);
    let (client, connection) = within(handshake(TokioExecutor::new(), stream)).await.unwrap();
    (client, tokio::spawn(connection))
}

async fn get(client: &mut SendRequest<Body>, path: &str) -> hyper::Result<Response<Incoming>> {
    let request = Request::get(format!("http://a{path}")).body(Body::empty()).unwrap();
    within(client.send_request(request)).await
}

/// The bytes of an answer, or how it failed.
async fn read(response: Response<Incoming>) -> Result<usize, axum::Error> {
    let mut body = Body::new(response.into_body());
    let mut bytes = 0;
    let next = async |body: &mut Body| {
        std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await
    };
    while let Some(frame) = within(next(&mut body)).await {
        bytes += frame?.into_data().map_or(0, |data| data.len());
    }
    Ok(bytes)
}

#[tokio::test]
async fn streams_of_one_client_have_its_share() {
    let gate = gate();
    let server = Server::start(ServeLimits { requests_per_client: 1, ..limits() }, router(&gate)).await;
    let (mut client, _connection) = connect(&server).await;
    let mut second = client.clone();
    let waiting = tokio::spawn(async move { get(&mut second, "/wait").await });
    let refused = loop {
        let response = get(&mut client, "/").await.unwrap();
        if response.status() != 200 {
            break response;
        }
    };
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    gate.add_permits(1);
    assert_eq!(read(waiting.await.unwrap().unwrap()).await.unwrap(), "waited".len());
}

#[tokio::test]
async fn streams_are_cut_when_nobody_reads_them() {
    let server = Server::start(ServeLimits { stream_timeout: SHORT, ..limits() }, router(&gate())).await;
    let (mut client, _connection) = connect(&server).await;
    let unread = get(&mut client, "/large").await.unwrap();
    // The stream's window is full, the connection goes on.
    assert_eq!(read(get(&mut client, "/").await.unwrap()).await.unwrap(), "hello".len());
    // Begun later, cut after as long: so the first one is cut by then.
    assert!(get(&mut client, "/wait").await.is_err());
    assert!(read(unread).await.is_err(), "less than {LARGE} bytes");
    assert_eq!(get(&mut client, "/").await.unwrap().status(), 200);
}

#[tokio::test]
async fn idle_connections_are_cut() {
    let short = ServeLimits { idle_timeout: SHORT, header_timeout: 4 * SHORT, ..limits() };
    let server = Server::start(short, router(&gate())).await;
    let (mut client, connection) = connect(&server).await;
    assert_eq!(read(get(&mut client, "/").await.unwrap()).await.unwrap(), "hello".len());
    let _ = within(connection).await.unwrap();
    assert!(get(&mut client, "/").await.is_err());
}

#[tokio::test]
async fn end_finishes_streams_under_way() {
    let gate = gate();
    let server = Server::start(ServeLimits { requests: 1, ..limits() }, router(&gate)).await;
    let (mut client, connection) = connect(&server).await;
    let mut second = client.clone();
    let waiting = tokio::spawn(async move { get(&mut second, "/wait").await });
    while get(&mut client, "/").await.unwrap().status() == 200 {}
    server.stop.send(()).unwrap();
    gate.add_permits(1);
    assert_eq!(read(waiting.await.unwrap().unwrap()).await.unwrap(), "waited".len());
    within(server.ended).await.unwrap();
    let _ = within(connection).await.unwrap();
}
