//! `pds-bench`: what trees, epochs, proofs and the log cost, each beside a limit or a peer measured in the same run.
//!
//! A limit is what nobody can do without: the hashes that the tree's formula calls for, counted by walking the tree's
//! shape, times the nanoseconds of one such hash measured just before in this process; signatures; bytes to be synced. Rows
//! are CPU time of the thread that does the work, except where the disk is waited for, and medians of several runs.
//! Nothing here passes or fails: a benchmark is no test.

mod durable;
mod http;
mod limit;
mod log;
mod measure;
mod names;
mod peers;
mod proofs;
mod table;
mod tree;
mod validator;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use crate::names::Names;
use crate::table::Table;

/// Measure trees, epochs, proofs and the log beside their limits, and print a table.
#[derive(Debug, Parser)]
#[command(version, after_help = "Example: pds-bench --names 1000000 --dir /var/tmp")]
struct Options {
    /// Names in the tree that epochs and proofs are measured on, at least 1000.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1000..=20_000_000))]
    names: u64,
    /// A few seconds instead of minutes: a small tree, few runs. The numbers mean little.
    #[arg(long, conflicts_with = "names")]
    quick: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Folder whose disk is measured; what is written there is removed again.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Names in the trees of other libraries; theirs of a million take minutes and gigabytes.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10_000..=1_000_000))]
    peer_names: u64,
    /// Be the peer that says hello over HTTP, and write its address into this file.
    #[arg(long, hide = true, value_name = "FILE")]
    serve_hello: Option<PathBuf>,
}

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Names in the tree.
    pub names: usize,
    /// Names of the large tree that is built, and entries of the log.
    pub million: usize,
    /// Changes in an epoch.
    pub changes: usize,
    /// Runs that a median is taken of.
    pub runs: usize,
    /// Proofs made and verified.
    pub proofs: usize,
    /// Names in the tree that evidence over HTTP is about.
    pub http_names: usize,
    /// How long a server is under load in one turn.
    pub http_turn: Duration,
    /// Turns of server and peer.
    pub http_turns: usize,
}

impl Scale {
    fn of(options: &Options) -> Self {
        let names = options.names as usize;
        match options.quick {
            true => Self {
                names: 2000,
                million: 10_000,
                changes: 100,
                runs: 3,
                proofs: 300,
                http_names: 2000,
                http_turn: Duration::from_millis(100),
                http_turns: 1,
            },
            false => Self {
                names,
                million: 1_000_000,
                changes: 1000,
                runs: 21,
                proofs: 10_000,
                http_names: 1_000_000,
                http_turn: Duration::from_secs(2),
                http_turns: 7,
            },
        }
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(address_file) = &options.serve_hello {
        return http::serve_hello(address_file);
    }
    let scale = Scale::of(&options);
    let names = Names::new(scale.names.max(scale.million))?;
    let mut table = Table::default();
    limit::measure(&mut table);
    tree::measure(&mut table, &names, &scale)?;
    proofs::measure(&mut table, &names, &scale)?;
    log::measure(&mut table, &scale)?;
    durable::measure(&mut table, &names, &scale, &options.dir).context("measure durable epochs")?;
    http::measure(&mut table, &names, &scale, &options.dir).context("measure HTTP")?;
    if !options.quick {
        peers::measure(&mut table, options.peer_names).context("measure other libraries")?;
    }
    if options.json { table.print_json() } else { table.print_markdown() }
}
