//! A server without a file for another connection. A process of its own: nothing in it can open a file meanwhile.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

mod server;

use std::fs::File;
use std::io;
use std::sync::mpsc;

use axum::Router;
use axum::routing::get;
use rustix::process::{Resource, getrlimit, setrlimit};
use server::{HELLO, Server, ask, limits, within};
use tokio::net::TcpSocket;

/// Passes on each line that is logged.
#[derive(Clone)]
struct Lines(mpsc::Sender<String>);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_goes_on_after_it_had_no_file_for_a_connection() {
    let (log, logged) = mpsc::channel();
    tracing_subscriber::fmt().with_writer(move || Lines(log.clone())).init();
    let server = Server::start(limits(), Router::new().route("/", get(async || "hello"))).await;
    let mut before = server.connect().await;
    assert_eq!(ask(&mut before, HELLO).await.unwrap().status, 200);
    // Made before there are no files left; connected after.
    let sockets = [TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap()];
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(256);
    setrlimit(Resource::Nofile, limit).unwrap();
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!files.is_empty());

    let mut waiting = Vec::new();
    for socket in sockets {
        waiting.push(within(socket.connect(server.address)).await.unwrap());
    }
    let lines = tokio::task::spawn_blocking(move || (logged.recv().unwrap(), logged));
    let (line, logged) = within(lines).await.unwrap();
    assert!(line.contains("cannot accept connections"), "{line}");
    assert_eq!(ask(&mut before, HELLO).await.unwrap().status, 200, "who is in is served");

    drop(files);
    for stream in &mut waiting {
        assert_eq!(ask(stream, HELLO).await.unwrap().status, 200, "who waited is served");
    }
    let later: Vec<String> = logged.try_iter().collect();
    assert_eq!(later.len(), 1, "said once: {later:?}");
    assert!(later[0].contains("accepting connections again"), "{later:?}");
}
