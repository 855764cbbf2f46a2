//! `pds-bench-peers`: other people's libraries at the work of `pds-bench`, on one thread, in CPU time.
//!
//! Prints one JSON object a line: `{"id", "what", "size", "value", "unit"}`, where `size` is the number of names or
//! entries, and `unit` is `cpu_ns` or `bytes`. `pds-bench` runs it when `make bench-deps` has built it.

mod directory;
mod log;
mod measure;
mod tree;

use clap::Parser;

/// Measure akd and rs_merkle.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Names in akd's tree. A million takes about a minute and five gigabytes.
    #[arg(long, default_value_t = 100_000)]
    names: usize,
    /// Names in akd's whole directory, whose labels are verifiable random functions: 0.2 ms of CPU each.
    #[arg(long, default_value_t = 5000)]
    directory_names: usize,
    /// Changes in an epoch.
    #[arg(long, default_value_t = 1000)]
    changes: usize,
    /// Entries of rs_merkle's log.
    #[arg(long, default_value_t = 1_000_000)]
    entries: usize,
    /// Runs that a median is taken of, and proofs in one run.
    #[arg(long, default_value_t = 500)]
    proofs: usize,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    log::measure(options.entries);
    runtime.block_on(directory::measure(options.directory_names, options.proofs))?;
    runtime.block_on(tree::measure(options.names, options.changes, options.proofs))
}
