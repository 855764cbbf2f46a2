//! `pds-faults`: injects faults below a validator, and prints what came of it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pds_faults::case::{Injector, judge_folder};
use pds_faults::matrix::{self, Extent};
use pds_faults::template::Template;
use pds_faults::{flips, scenario};

/// Injects faults into every file operation of a validator's start, submissions and epochs; exit code 1 if anything breaks.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All single faults, and pairs.
    Matrix {
        /// Pairs with the second fault in the start after the first; all of them if not given.
        #[arg(long)]
        pairs: Option<usize>,
        /// Single faults; all of them if not given.
        #[arg(long)]
        singles: Option<usize>,
        /// Chooses what is sampled.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Cases at a time.
        #[arg(long, default_value_t = 2)]
        jobs: usize,
    },
    /// Flips bits in every kind of stored bytes.
    Flips {
        /// Bits for each kind.
        #[arg(long, default_value_t = 24)]
        each: usize,
        /// Chooses them.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// As `pds-log-server fsck`.
    #[command(hide = true)]
    Fsck { data_dir: PathBuf },
    /// One run, as `matrix` starts it with faults.
    #[command(hide = true)]
    Scenario { config: PathBuf, journal: PathBuf, trace: PathBuf, number: u32 },
    /// What `matrix` does after the faults.
    #[command(hide = true)]
    Judge { folder: PathBuf },
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Scenario { config, journal, trace, number } => {
            scenario::run(&scenario::Run { config, journal, trace: Some(trace), number })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Fsck { data_dir } => Ok(if pds_log_server::fsck::run(&data_dir, false)? {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }),
        Command::Flips { each, seed } => {
            let report = flips::run(&injector()?, each, seed)?;
            Ok(end(&report.violations, &format!("seed {seed}\n{report}")))
        }
        Command::Judge { folder } => {
            if let Err(error) = judge_folder(&folder) {
                eprintln!("{error:#}");
                return Ok(ExitCode::FAILURE);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Matrix { pairs, singles, seed, jobs } => {
            let table = matrix::run(&injector()?, Extent { singles, pairs, seed, jobs: jobs.max(1) })?;
            Ok(end(table.violations(), &format!("seed {seed}\n{table}")))
        }
    }
}

fn injector() -> anyhow::Result<Injector> {
    Ok(Injector { program: std::env::current_exe()?, template: Template::make()?, lying: None })
}

fn end(violations: &[String], report: &str) -> ExitCode {
    for violation in violations {
        println!("VIOLATION {violation}");
    }
    println!("{report}");
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
