//! A raw HTTP/1.1 client: one request a connection, byte for byte what the test says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};

use pds_schemas::json::Problem;
use pds_schemas::{Artefact, Digest};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
use serde::de::DeserializeOwned;

use crate::PATIENCE;

/// A server.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    /// Where it listens.
    pub address: SocketAddr,
}

/// An answer, with all its body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// E.g. 200.
    pub status: u16,
    /// In order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without any transfer coding; compressed as it came.
    pub body: Vec<u8>,
}

impl Http {
    /// A connection on which nothing was said yet.
    pub fn connect(&self) -> io::Result<TcpStream> {
        patient(TcpStream::connect(self.address)?)
    }

    /// As [`Http::connect`], from that address, which makes it another client. The system keeps as little of an answer for it
    /// as it can, once it does not read.
    ///
    /// # Errors
    /// The system's.
    pub fn connect_from(&self, source: Ipv4Addr) -> io::Result<TcpStream> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        sockopt::set_socket_recv_buffer_size(&socket, 4096)?;
        bind(&socket, &SocketAddrV4::new(source, 0))?;
        connect(&socket, &self.address)?;
        patient(TcpStream::from(socket))
    }

    /// Sends a request, with a length and no more headers than given, and reads the answer.
    ///
    /// # Errors
    /// The system's, when there is no answer.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.send_over(self.connect()?, method, path, headers, body)
    }

    /// As [`Http::send`], over a connection on which nothing was said yet.
    ///
    /// # Errors
    /// As there.
    pub fn send_over(
        &self,
        mut stream: TcpStream,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        // A server that refuses by the headers may close before the body is sent; its answer counts.
        let sent = stream.write_all(body);
        Answer::read(&stream, method == "HEAD").or_else(|error| sent.and(Err(error)))
    }

    /// The answer to a GET; there must be one.
    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// The answer to a GET with headers; there must be one.
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, &[]).unwrap_or_else(|e| panic!("GET {path}: {e}"))
    }

    /// The body of a GET that is answered with 200.
    pub fn body(&self, path: &str) -> Vec<u8> {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "GET {path}: {}", String::from_utf8_lossy(&answer.body));
        answer.body
    }

    /// The artefact at `path`.
    pub fn artefact<T: Artefact>(&self, path: &str) -> T {
        T::from_bytes(&self.body(path)).unwrap_or_else(|e| panic!("GET {path}: {e}"))
    }

    /// The JSON at `path`.
    pub fn json<T: DeserializeOwned>(&self, path: &str) -> T {
        serde_json::from_slice(&self.body(path)).unwrap_or_else(|e| panic!("GET {path}: {e}"))
    }

    /// The bytes served for `digest` under `kind`, which have that digest.
    pub fn addressed(&self, kind: &str, digest: &Digest) -> Vec<u8> {
        let bytes = self.body(&format!("/{kind}/{digest}"));
        assert_eq!(pds_core::hash::sha256(&bytes), *digest, "/{kind}/{digest}");
        bytes
    }

    /// The answer to a POST of an upload; there must be one.
    pub fn submit(&self, upload: &[u8]) -> Answer {
        self.try_submit(upload).unwrap_or_else(|e| panic!("POST /submissions: {e}"))
    }

    /// The answer to a POST of an upload.
    ///
    /// # Errors
    /// The system's, when there is no answer.
    pub fn try_submit(&self, upload: &[u8]) -> io::Result<Answer> {
        self.send("POST", "/submissions", &[("content-type", "application/cbor")], upload)
    }
}

impl Answer {
    /// Reads one answer.
    ///
    /// # Errors
    /// The system's, `UnexpectedEof` when the connection ends before the answer does, `InvalidData` when it is not HTTP.
    pub fn read(stream: impl Read, to_head: bool) -> io::Result<Self> {
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        let mut stream = BufReader::new(stream);
        let status = line(&mut stream)?;
        let status = status.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(malformed)?;
        let mut headers = Vec::new();
        loop {
            let line = line(&mut stream)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(malformed)?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Self { status, headers, body: Vec::new() };
        if to_head || matches!(status, 100..200 | 204 | 304) {
            return Ok(answer);
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = read_chunks(&mut stream)?;
        } else if let Some(length) = answer.header("content-length") {
            answer.body = vec![0; length.parse().map_err(|_| malformed())?];
            stream.read_exact(&mut answer.body)?;
        } else {
            stream.read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        let shown = || String::from_utf8_lossy(&self.body).into_owned();
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, shown()))
    }

    /// The problem that an error answer is.
    pub fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status);
        assert!(!problem.kind.is_empty() && !problem.title.is_empty() && !problem.detail.is_empty());
        problem
    }
}

fn patient(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read_chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&line(stream)?, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        let from = body.len();
        body.resize(from + size, 0);
        stream.read_exact(&mut body[from..])?;
        line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}
