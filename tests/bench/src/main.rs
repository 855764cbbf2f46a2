//! `pds-bench`: what trees, epochs, proofs and the log cost, each beside a limit or a peer measured in the same run.
//!
//! A limit is what nobody can do without: the hashes that the tree's formula calls for, counted by walking the tree's
//! shape, times the nanoseconds of one such hash measured just before in this process; signatures; bytes to be synced. Rows
//! are CPU time of the thread that does the work, except where the disk is waited for, and medians of several runs.
//! Some rows have bounds to reach, and say whether they do; nothing fails for one that does not: a benchmark is no test.

mod durable;
mod growth;
mod http;
mod intake;
mod libraries;
mod limit;
mod log;
mod measure;
mod names;
mod peer;
mod proofs;
mod stored;
mod table;
mod tree;
mod validator;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use mimalloc::MiMalloc;

use crate::names::Names;
use crate::table::Table;

/// The server's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measure trees, epochs, proofs and the log beside their limits, and print a table.
#[derive(Debug, Parser)]
#[command(version, after_help = "Example: pds-bench --names 100000 --dir /var/tmp")]
struct Options {
    /// Names in the tree that epochs and proofs are measured on, at least 1000.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=20_000_000))]
    names: u64,
    /// Numbers of names between which growth is measured, in memory.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000,10000000")]
    sizes: Vec<usize>,
    /// Numbers of names, below `names`, from which growth on the disk is measured.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000")]
    stored_sizes: Vec<usize>,
    /// A few seconds instead of minutes: a small tree, few runs. The numbers mean little.
    #[arg(long, conflicts_with_all = ["names", "sizes", "stored_sizes"])]
    quick: bool,
    /// Measure only these parts. Libraries are held against what was measured before them.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
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
    /// Be a server with a log of `entries` entries, made in this folder, and write its address there.
    #[arg(long, hide = true, value_name = "DIR")]
    serve_log: Option<PathBuf>,
    /// Entries of that log.
    #[arg(long, hide = true, default_value_t = 1_000_000)]
    entries: usize,
}

/// What there is to measure, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The hash that everything else is made of.
    Hash,
    /// The prefix tree in memory.
    Tree,
    /// Proofs of names.
    Proofs,
    /// The log.
    Log,
    /// Growth with the number of names.
    Growth,
    /// Epochs on the disk, evidence, starting.
    Durable,
    /// Requests over HTTP.
    Http,
    /// Submissions over HTTP.
    Intake,
    /// Other libraries.
    Libraries,
}

/// How much to measure.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Names in the tree.
    pub names: usize,
    /// Numbers of names between which growth is measured.
    pub sizes: Vec<usize>,
    /// Numbers of names, below `names`, from which growth on the disk is measured.
    pub stored_sizes: Vec<usize>,
    /// Epochs that the old one of which proofs are made from the database lies back.
    pub back: usize,
    /// Entries of the log.
    pub entries: usize,
    /// Changes in an epoch.
    pub changes: usize,
    /// Runs that a median is taken of.
    pub runs: usize,
    /// Proofs made and verified.
    pub proofs: usize,
    /// How long a server is under load in one turn.
    pub http_turn: Duration,
    /// Turns of server and peer.
    pub http_turns: usize,
    /// How long submissions are sent.
    pub intake_time: Duration,
}

impl Options {
    fn measures(&self, part: Part) -> bool {
        // Other libraries take half a minute even for little.
        if self.only.is_empty() { part != Part::Libraries || !self.quick } else { self.only.contains(&part) }
    }
}

impl Scale {
    fn of(options: &Options) -> Self {
        match options.quick {
            true => Self {
                names: 2000,
                sizes: vec![1000, 10_000],
                stored_sizes: vec![1000],
                back: 10,
                entries: 10_000,
                changes: 100,
                runs: 3,
                proofs: 300,
                http_turn: Duration::from_millis(100),
                http_turns: 1,
                intake_time: Duration::from_millis(300),
            },
            false => Self {
                names: options.names as usize,
                sizes: options.sizes.clone(),
                stored_sizes: options.stored_sizes.clone(),
                back: 1000,
                entries: 1_000_000,
                changes: 1000,
                runs: 21,
                proofs: 10_000,
                http_turn: Duration::from_secs(2),
                http_turns: 7,
                intake_time: Duration::from_secs(3),
            },
        }
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(address_file) = &options.serve_hello {
        return http::serve_hello(address_file);
    }
    if let Some(folder) = &options.serve_log {
        return http::serve_log(folder, options.entries);
    }
    let scale = Scale::of(&options);
    let names = Names::new(scale.names)?;
    let mut table = Table::default();
    for part in Part::value_variants().iter().filter(|part| options.measures(**part)) {
        let table = &mut table;
        match part {
            Part::Hash => limit::measure(table),
            Part::Tree => tree::measure(table, &names, &scale)?,
            Part::Proofs => proofs::measure(table, &names, &scale)?,
            Part::Log => log::measure(table, &scale)?,
            Part::Growth => growth::measure(table, &scale).context("measure growth")?,
            Part::Durable => {
                durable::measure(table, &names, &scale, &options.dir).context("measure durable epochs")?;
            }
            Part::Http => http::measure(table, &names, &scale, &options.dir).context("measure HTTP")?,
            Part::Intake => intake::measure(table, &scale, &options.dir).context("measure intake")?,
            Part::Libraries => {
                libraries::measure(table, options.peer_names).context("measure other libraries")?
            }
        }
    }
    if options.json { table.print_json() } else { table.print_markdown() }
}
