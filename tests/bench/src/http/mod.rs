//! Requests a second over HTTP: tiles beside nginx serving the same bytes as files, evidence beside axum saying hello.
//!
//! Each server is a process of its own, and has the same load maker and as many connections. Server and peer take turns for
//! seconds each, and each row is the turn with the middle ratio: what else the machine does hits both.

mod hello;
mod load;
mod log;
mod nginx;
mod process;
pub mod world;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use pds_schemas::{Artefact, Evidence, TreeSize};

pub use self::hello::serve as serve_hello;
pub use self::log::serve_log;
pub use self::process::Server;
use crate::Scale;
use crate::durable::read_all;
use crate::measure::wall;
use crate::names::Names;
use crate::table::{Must, Row, Table, Unit};

/// Connections of the load maker.
const CONNECTIONS: usize = 32;
/// Names that are asked for again and again.
const HOT: usize = 10_000;
/// The full tile that is asked for.
const TILE: &str = "/tile/0/000";

/// One server under load.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// Requests a second.
    rate: f64,
    /// Microseconds of the server's CPU for each request.
    cpu_us: f64,
}

/// Measures all of it in a new folder in `dir`.
///
/// # Errors
/// A server's that does not start, or answers otherwise than it should.
pub fn measure(table: &mut Table, names: &Names, scale: &Scale, dir: &Path) -> anyhow::Result<()> {
    let folder =
        tempfile::Builder::new().prefix("pds-bench-http-").tempdir_in(dir).context("make a folder")?;
    let folder = folder.path().canonicalize()?;
    let count = scale.names;
    let config = world::make(&folder, names, count).context("make a validator")?;
    let own = std::env::current_exe()?;
    let (server, started) = wall(|| {
        let server = start_validator(&config)?;
        load::fetch(server.address, "/readyz").map(|_| server)
    });
    let server = server?;
    let (read, reading) = wall(|| read_all(&folder.join("data").join("store")));
    let workload =
        format!("server process: from its start to ready, {count} names, {:.0} MB", read? as f64 / 1e6);
    let against = ("reading every file of its database once", reading.as_nanos() as f64);
    let bounded = table.push("server-start", Unit::WallNs, (workload, started.as_nanos() as f64), against);
    bounded.must(Must::AtMost(3e9));
    let hello_file = folder.join("hello");
    let hello =
        start(own, &["--serve-hello"], &hello_file, &hello_file).context("start axum saying hello")?;

    let bytes = load::fetch(server.address, TILE)?;
    match nginx::binary() {
        Some(binary) => {
            let file = folder.join("files").join(TILE.trim_start_matches('/'));
            fs::create_dir_all(file.parent().context("a tile is in a folder")?)?;
            fs::write(&file, &bytes)?;
            let nginx = nginx::serve(&binary, &folder).context("start nginx")?;
            ensure!(load::fetch(nginx.address, TILE)? == bytes, "nginx serves other bytes");
            let tile = |target: &mut Vec<u8>| target.extend_from_slice(TILE.as_bytes());
            let workload = format!("HTTP: a full tile ({} bytes), {CONNECTIONS} connections", bytes.len());
            let pair = compare(scale, (&server, tile), (&nginx, tile))?;
            let row = row(table, "http-tile", &workload, "nginx, the same bytes as a file", pair);
            row.must(Must::RatioAtLeast(0.9));
        }
        None => eprintln!("pds-bench: there is no nginx, so no row of tiles; `make bench-deps` installs it"),
    }
    check_evidence(server.address, names)?;
    let greet = |target: &mut Vec<u8>| target.push(b'/');
    let hot = HOT.min(count);
    for ((id, least), asked, workload) in [
        (("http-evidence-hot", 0.6), hot, format!("HTTP: evidence, {hot} hot names of {count}")),
        (("http-evidence", 0.4), count, format!("HTTP: evidence, random names of {count}")),
    ] {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let name = |target: &mut Vec<u8>| {
            target.extend_from_slice(b"/plugins/");
            target.extend_from_slice(names.name(random.below(asked)).as_str().as_bytes());
        };
        let pair = compare(scale, (&server, name), (&hello, greet))?;
        row(table, id, &workload, "axum saying hello", pair).must(Must::RatioAtLeast(least));
    }
    measure_log(table, scale, &folder, &hello).context("measure proofs of a log")?;
    let workload = format!("server process: peak memory (VmHWM) after this load, {count} names");
    let against = ("the keys and commitments of its names", 64.0 * count as f64);
    let bounded = table.push("server-memory", Unit::Bytes, (workload, server.peak_memory()?), against);
    bounded.must(Must::AtMost(f64::from(400 << 20)));
    Ok(())
}

/// Proofs of a log of many entries, in the handler and over HTTP.
fn measure_log(table: &mut Table, scale: &Scale, folder: &Path, hello: &Server) -> anyhow::Result<()> {
    log::measure_handlers(table, scale, folder)?;
    let served = folder.join("served");
    fs::create_dir(&served)?;
    let entries = scale.entries.to_string();
    let options = ["--entries", &entries, "--serve-log"];
    let server = start(std::env::current_exe()?, &options, &served, &served.join(log::ADDRESS));
    let server = server.context("serve a log")?;
    let size = TreeSize(scale.entries as u64);
    for (i, kind) in ["inclusion", "consistency"].into_iter().enumerate() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let proof = |target: &mut Vec<u8>| {
            let at = random.below(scale.entries - 1) as u64 + 1;
            target.extend_from_slice(log::target(i, at, size).as_bytes());
        };
        let pair = compare(scale, (&server, proof), (hello, |target: &mut Vec<u8>| target.push(b'/')))?;
        let workload = format!("HTTP: {kind} proofs from a log of {size} entries");
        row(table, &format!("http-{kind}"), &workload, "axum saying hello", pair);
    }
    Ok(())
}

/// Starts the validator of this configuration, which [`world`] made.
///
/// # Errors
/// As [`Server::start`].
pub fn start_validator(config: &Path) -> anyhow::Result<Server> {
    let program = std::env::current_exe()?.with_file_name("pds-log-server");
    let address = config.with_file_name("address");
    start(program, &["--config"], config, &address)
        .context("start pds-log-server, which `cargo build --workspace` builds")
}

fn start(
    program: impl AsRef<std::ffi::OsStr>,
    options: &[&str],
    argument: &Path,
    address_file: &Path,
) -> anyhow::Result<Server> {
    let mut command = Command::new(program);
    command.args(options).arg(argument);
    Server::start(&command, || fs::read_to_string(address_file).ok()?.trim_end().parse().ok())
}

/// What is measured is evidence, about the name asked for.
fn check_evidence(address: SocketAddr, names: &Names) -> anyhow::Result<()> {
    let name = names.name(0);
    let evidence = Evidence::from_bytes(&load::fetch(address, &format!("/plugins/{name}"))?)
        .map_err(|error| anyhow::anyhow!("what {name} is answered is no evidence: {error}"))?;
    ensure!(evidence.extra.binding.is_some(), "{name} is validated");
    Ok(())
}

/// Of server and peer in turn, the two turns with the middle ratio.
fn compare(
    scale: &Scale,
    (server, mut ask_server): (&Server, impl FnMut(&mut Vec<u8>)),
    (peer, mut ask_peer): (&Server, impl FnMut(&mut Vec<u8>)),
) -> anyhow::Result<(Turn, Turn)> {
    let time = scale.http_turn;
    turn(server, 2 * time, &mut ask_server).context("warm the server up")?;
    let mut pairs = Vec::new();
    for _ in 0..scale.http_turns {
        pairs.push((
            turn(server, time, &mut ask_server)?,
            turn(peer, time, &mut ask_peer).context("the peer")?,
        ));
    }
    let ratio = |(server, peer): &(Turn, Turn)| server.rate / peer.rate;
    pairs.sort_unstable_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    Ok(pairs[pairs.len() / 2])
}

fn turn(server: &Server, time: Duration, target: &mut impl FnMut(&mut Vec<u8>)) -> anyhow::Result<Turn> {
    let before = server.cpu()?;
    let load = load::run(server.address, CONNECTIONS, time, target)?;
    let requests = load.requests as f64;
    Ok(Turn { rate: requests / load.seconds, cpu_us: (server.cpu()? - before) * 1e6 / requests })
}

fn row<'a>(
    table: &'a mut Table,
    id: &str,
    workload: &str,
    against: &str,
    (server, peer): (Turn, Turn),
) -> &'a mut Row {
    let with_cpu = |what: &str, turn: Turn| format!("{what}; {:.1} us CPU a request", turn.cpu_us);
    let measured = (with_cpu(workload, server), server.rate);
    table.push(id, Unit::PerSecond, measured, (with_cpu(against, peer), peer.rate))
}

/// xorshift64 (Marsaglia 2003): which names are asked for is the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
