//! Submissions to a server of its own, each durable when it is answered; nothing is built meanwhile.
//!
//! Many clients, one connection and one submission at a time each, in threads of this process: they share the machine with
//! the server, so the server's own CPU is told beside the rate, and what they send is signed before.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ed25519_dalek::SigningKey;
use pds_core::cose;
use pds_core::hash::sha256;
use pds_plugin::archive::pack;
use pds_plugin::source::{SourceTree, source_digest};
use pds_schemas::cose::SignedKind;
use pds_schemas::{Artefact, Digest, OwnerRecord, PluginName, Release, Submission, Upload};

use crate::Scale;
use crate::http::{start_validator, world};
use crate::measure::{median, wall};
use crate::table::{Must, Table, Unit};

/// Clients at a time.
const CLIENTS: usize = 64;
/// Bytes of source text, half of which is left when it is packed: hexadecimal digits of hashes.
const SOURCE: usize = 18_800;
/// Submissions of one client that are signed before the clock runs: half as many again as there should be in a second.
const SIGNED_A_SECOND: usize = 120;
/// Most bytes of an answer.
const ANSWER: usize = 16 << 10;

/// Measures it in a new folder in `dir`.
///
/// # Errors
/// The disk's, the server's when it does not start, and any answer but that a submission was accepted.
pub fn measure(table: &mut Table, scale: &Scale, dir: &Path) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("pds-bench-intake-").tempdir_in(dir)?;
    let folder = folder.path().canonicalize()?;
    let options = "builders = 0\nqueue_limit = 32768\nqueue_limit_per_owner = 32768\n\
                   queue_limit_per_client = 32768\n[http]\nconnections_per_client = 128\nrequests_per_client = 128\n";
    let server = start_validator(&world::init(&folder, options)?)?;
    let signed = (scale.intake_time.as_secs_f64() * SIGNED_A_SECOND as f64) as usize;
    let clients: Vec<Submitter> =
        (0..CLIENTS).map(|i| Submitter::new(i, signed)).collect::<anyhow::Result<_>>()?;
    let before = server.cpu()?;
    let started = Instant::now();
    let until = started + scale.intake_time;
    let accepted: anyhow::Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
        let clients: Vec<_> =
            clients.iter().map(|client| scope.spawn(|| client.submit(server.address, until))).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|_| anyhow::bail!("a client panicked")))
            .collect()
    });
    let accepted = accepted?;
    let seconds = started.elapsed().as_secs_f64();
    let mut times: Vec<Duration> = accepted.concat();
    times.sort_unstable();
    let (count, cpu) = (times.len() as f64, server.cpu()? - before);
    let alone = append_and_sync(&folder)?;
    let workload = format!(
        "submissions of 10 kB accepted durably, {CLIENTS} clients over HTTP, nothing built; {:.0} us of the server's CPU each",
        cpu * 1e6 / count
    );
    let against = "appending 10 kB to a file and syncing it, one after the other";
    let row = table.push("intake", Unit::PerSecond, (workload, count / seconds), (against, 1e9 / alone));
    row.must(Must::AtLeast(5000.0));
    let p99 = times[(times.len() - 1) * 99 / 100].as_nanos() as f64;
    table.push(
        "intake-p99",
        Unit::WallNs,
        ("- from request to answer, 99th percentile", p99),
        (against, alone),
    );
    Ok(())
}

/// A developer of one plugin.
struct Submitter {
    name: PluginName,
    key: SigningKey,
    source: Digest,
    archive: Vec<u8>,
    /// Its first releases, signed.
    signed: Vec<Vec<u8>>,
}

impl Submitter {
    /// Number `i`, with its first `signed` releases ready.
    fn new(i: usize, signed: usize) -> anyhow::Result<Self> {
        let name = PluginName::new(format!("org.example.client-{i}"))?;
        let key = cose::signing_key(&sha256(name.as_str().as_bytes()).0);
        let tree = source_of(&name)?;
        let source = source_digest(&tree).context("the tree has files")?;
        let mut new = Self { name, key, source, archive: pack(&tree)?, signed: Vec::new() };
        new.signed = (0..signed).map(|i| new.sign(i)).collect();
        Ok(new)
    }

    /// Submits one release after the other until then, and gives the time from each request to its answer.
    fn submit(&self, address: SocketAddr, until: Instant) -> anyhow::Result<Vec<Duration>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut times = Vec::new();
        while Instant::now() < until {
            let signed = self.signed.get(times.len()).cloned();
            let signed = signed.unwrap_or_else(|| self.sign(times.len()));
            let body = Upload { signed, archive: self.archive.clone() }.to_bytes();
            let head = format!(
                "POST /submissions HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let request = [head.as_bytes(), &body].concat();
            let (answered, time) = wall(|| ask(&mut stream, &request));
            answered?;
            times.push(time);
        }
        Ok(times)
    }

    /// Its release number `i`, from 0.
    fn sign(&self, i: usize) -> Vec<u8> {
        let submission = Submission {
            name: self.name.clone(),
            release: Release(i as u64 + 1),
            source: self.source,
            manifest: "plugin.plugin".to_owned(),
            bytecode: None,
            owner: OwnerRecord::first(self.name.clone(), cose::public_key(&self.key)),
        };
        cose::sign(SignedKind::Submission, &submission, &self.key).to_bytes()
    }
}

fn source_of(name: &PluginName) -> anyhow::Result<SourceTree> {
    let mut tree = SourceTree::default();
    tree.insert("plugin.plugin", format!("{name}\nsend replace send.o\n").into_bytes())?;
    let digits = (0u64..).map(|i| sha256(format!("{name} {i}").as_bytes()).to_string());
    let mut text = String::from("// ");
    digits.take(SOURCE / 64).for_each(|line| text.push_str(&line));
    tree.insert("send.c", text.into_bytes())?;
    Ok(tree)
}

/// Sends a request and reads its answer, which must be 202.
fn ask(stream: &mut TcpStream, request: &[u8]) -> anyhow::Result<()> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0 && answer.len() < ANSWER, "the server closed a connection, or answered too much");
        answer.extend_from_slice(&buffer[..read]);
        let Some(end) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.context("an answer declares no length")?.trim().parse()?;
        if answer.len() >= end + 4 + length {
            let text = String::from_utf8_lossy(&answer);
            ensure!(head.starts_with("http/1.1 202"), "a submission was not accepted: {text}");
            return Ok(());
        }
    }
}

/// Nanoseconds to append ten kilobytes to a file and sync it.
fn append_and_sync(folder: &Path) -> anyhow::Result<f64> {
    let path = folder.join("appended");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..101 {
        let (written, time) = wall(|| file.write_all(&[0xc3; 10_000]).and_then(|()| file.sync_data()));
        written?;
        times.push(time);
    }
    fs::remove_file(&path)?;
    Ok(median(times))
}
