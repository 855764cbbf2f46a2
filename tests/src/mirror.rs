//! Servers of a copy of a validator's data, honest ones and others.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::http::Http;
use crate::process::Process;
use crate::validator::Validator;

/// A server that only serves a copy: `read_only`, without keys or guard.
#[derive(Debug)]
pub struct Mirror {
    process: Process,
    /// Its HTTP interface.
    pub http: Http,
}

impl Mirror {
    /// Serves the data folder `data` in the folder of `validator`.
    pub fn of(validator: &Validator, data: &str) -> Self {
        let config = std::fs::read_to_string(validator.config()).unwrap();
        let own = ["data_dir", "log_key", "str_key", "address_file", "read_only"];
        let kept = config.lines().filter(|line| !own.iter().any(|key| line.starts_with(key)));
        let kept: String = kept.map(|line| format!("{line}\n")).collect();
        let file = format!("{data}-mirror.toml");
        let own = format!(
            "data_dir = {data:?}\nread_only = true\nlog_key = \"none/log\"\nstr_key = \"none/str\"\n"
        );
        std::fs::write(validator.path(&file), own + &kept).unwrap();
        let mut process = Process::spawn(validator.command(&["--config", &file]));
        let address = process.log.wait_for(0, |line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line["message"] == "listening").then(|| line["address"].as_str().unwrap().parse().unwrap())
        });
        let Some(address) = address else {
            let status = process.wait();
            panic!("the mirror did not start: {status}\n{}", process.log.text());
        };
        Self { process, http: Http { address } }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.http.address)
    }

    /// SIGTERM; it must end well.
    pub fn stop(mut self) {
        self.process.terminate();
        let status = self.process.wait();
        assert!(status.success(), "{status}\n{}", self.process.log.text());
    }
}

/// Stands between a client and a server, and flips a bit in the middle of each answer whose path begins as told.
#[derive(Debug)]
pub struct Liar {
    /// Where it is.
    pub url: String,
    told: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    address: std::net::SocketAddr,
}

impl Liar {
    /// Stands before `server`, lying about `prefix`.
    pub fn before(server: Http, prefix: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (told, ended) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (tell, end) = (Arc::clone(&told), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let tell = Arc::clone(&tell);
                // A client that is gone is no fault of this one.
                std::thread::spawn(move || stream.and_then(|stream| answer(&stream, server, prefix, &tell)));
            }
        });
        Self { url: format!("http://{address}/"), told, ended, address }
    }

    /// Whether it was asked for something it lies about.
    pub fn has_lied(&self) -> bool {
        self.told.load(Ordering::SeqCst)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(stream: &TcpStream, server: Http, prefix: &str, told: &AtomicBool) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // To the end of the headers.
    for line in &mut lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut answer = server.send("GET", &path, &[], &[])?;
    if path.starts_with(prefix) {
        told.store(true, Ordering::SeqCst);
        let middle = answer.body.len() / 2;
        if let Some(byte) = answer.body.get_mut(middle) {
            *byte ^= 1;
        }
    }
    let kind = answer.headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value);
    let head = format!(
        "HTTP/1.1 {} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.status,
        answer.body.len()
    );
    let mut writer = stream;
    writer.write_all(head.as_bytes())?;
    writer.write_all(&answer.body)
}
