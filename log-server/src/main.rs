//! `pds-log-server`: the command line of a plugin validator.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use pds_log_server::config::Config;
use pds_log_server::{fsck, identity, run};

/// A plugin validator: rebuilds and verifies submitted plugins, and signs one tree of what it validated every epoch.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

const EXAMPLES: &str = "\
Examples:
  pds-log-server init --config log-server.toml     make keys, database and guard of a new validator
  pds-log-server --config log-server.toml          run it; SIGTERM ends it in order
  pds-log-server --config log-server.toml --check-config
  pds-log-server fsck data                         reread and rehash all that a stopped one stores

Exit codes:
  0  done
  1  failed, refused to start, or fsck has findings
  2  wrong usage
  3  fsck could not read the database";

#[derive(Args)]
struct Run {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only check the configuration file.
    #[arg(long, requires = "config")]
    check_config: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new validator: keys, database and guard. Touches nothing that exists.
    Init {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print the public keys as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Reread and rehash everything that a stopped validator stores, and name every bad place.
    Fsck {
        /// Its data folder.
        data_dir: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match (cli.command, cli.run) {
        (Some(Command::Fsck { data_dir, json }), _) => {
            return match fsck::run(&data_dir, json) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(error) => {
                    eprintln!("pds-log-server: {error:#}");
                    ExitCode::from(3)
                }
            };
        }
        (Some(Command::Init { config, json }), _) => init(&config, json),
        (None, Run { config: Some(file), check_config }) => Config::load(&file).and_then(|config| {
            if check_config {
                println!("{} is fine", file.display());
                return Ok(());
            }
            run::run(&config)
        }),
        (None, Run { config: None, .. }) => {
            eprintln!("pds-log-server: --config FILE is needed; see --help");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("{error:#}");
            // A TOML error ends in an empty line.
            eprintln!("pds-log-server: {}", text.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn init(file: &std::path::Path, json: bool) -> anyhow::Result<()> {
    let public = identity::init(&Config::load(file)?)?;
    if json {
        println!("{}", serde_json::json!({ "log": public.log.to_string(), "str": public.str.to_string() }));
    } else {
        println!("log key  {}\nSTR key  {}", public.log, public.str);
        println!(
            "Give both to those who are to trust this validator. Keep copies of the key files, and never of the guard."
        );
    }
    Ok(())
}
