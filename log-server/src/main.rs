//! `pds-log-server`: the command line of a plugin validator.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mimalloc::MiMalloc;
use pds_log_server::backup::manifest::Manifest;
use pds_log_server::config::Config;
use pds_log_server::{backup, catch_up, freeze, fsck, identity, restore, run};
use pds_schemas::TreeSize;

/// Pages of the tree and connections come and go in different threads, for which the C library's allocator keeps arenas.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
  pds-log-server backup --config log-server.toml /backups/2026-11-25
                                                   copy it as it is now, running or not
  pds-log-server restore --config log-server.toml /backups/2026-11-25
                                                   check a backup wholly, and make the data folder from it
  pds-log-server restore --config log-server.toml --from https://mirror.example/
                                                   fetch and check what was signed after the backup was made

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
    /// Copy the validator as it is at one moment, running or not, into a new folder: database and public keys.
    ///
    /// Secret keys and the guard are not in it. The folder is complete or not there.
    Backup {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The folder to make.
        #[arg(value_name = "DIR")]
        target: PathBuf,
        /// Print the backup's manifest as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make the data folder from a backup, catch up with the guard from a server, or one after the other.
    ///
    /// All of a backup is reread and rehashed before it takes its place. Neither keys nor guard are touched. If the guard
    /// says that more was signed than the backup holds, the server refuses to sign until `--from` has brought the rest: from
    /// any server that has it, all of it verified against the guard. It can be killed and run again.
    Restore {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The backup.
        #[arg(value_name = "DIR", required_unless_present = "from")]
        backup: Option<PathBuf>,
        /// A server that has the rest of the log.
        #[arg(long, value_name = "URL")]
        from: Option<String>,
    },
    /// End the log: decide or fail all that waits in a last epoch, and sign nothing ever again. What was published stays
    /// served.
    Freeze {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Say that you know that this cannot be undone.
        #[arg(long, required = true)]
        for_ever: bool,
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
        (Some(Command::Backup { config, target, json }), _) => make_backup(&config, &target, json),
        (Some(Command::Restore { config, backup, from }), _) => {
            restore_validator(&config, backup.as_deref(), from.as_deref())
        }
        (Some(Command::Freeze { config, .. }), _) => end_log(&config),
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

fn make_backup(file: &Path, target: &Path, json: bool) -> anyhow::Result<()> {
    let manifest = backup::run(&Config::load(file)?, target)?;
    if json {
        println!("{}", serde_json::to_string(&manifest)?);
        return Ok(());
    }
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let epochs = manifest.head.as_ref().map_or(TreeSize(0), |head| head.size);
    let Manifest { origin, submissions, files, .. } = &manifest;
    println!("{origin}: {epochs} epochs and {submissions} submissions in {}", target.display());
    println!("{} files, {bytes} bytes; without secret keys and guard", files.len());
    Ok(())
}

fn restore_validator(file: &Path, backup: Option<&Path>, from: Option<&str>) -> anyhow::Result<()> {
    let config = Config::load(file)?;
    if let Some(backup) = backup {
        restore_backup(&config, backup)?;
    }
    from.map_or(Ok(()), |url| catch_up_from(&config, url))
}

fn catch_up_from(config: &Config, url: &str) -> anyhow::Result<()> {
    let came = catch_up::run(config, url, &mut |epoch, last| {
        if epoch.0.is_multiple_of(100) || epoch == last {
            eprintln!("epoch {epoch} of {last}");
        }
    })?;
    let catch_up::CaughtUp { epochs, settled, unknown, lost } = came;
    println!("{}: caught up with the guard, {epochs} epochs, all checked: it may sign", config.origin);
    println!("{settled} submissions that waited in the copy were decided in them");
    if epochs > 0 {
        println!(
            "gone, being accepted after the copy was made: the uploads and receipts of {unknown} decisions, and {lost} \
             submissions that their names show as undecided; of others nothing is known. Their developers have receipts: \
             ask them to submit again, and under a new release what is refused as old"
        );
    }
    Ok(())
}

fn end_log(file: &Path) -> anyhow::Result<()> {
    let config = Config::load(file)?;
    let last = freeze::run(&config)?;
    println!("{}: frozen at {} epochs, log root {}", config.origin, last.size, last.log_root);
    Ok(())
}

fn restore_backup(config: &Config, backup: &Path) -> anyhow::Result<()> {
    let restored = restore::run(config, backup)?;
    let epochs = restored.head.as_ref().map_or(TreeSize(0), |head| head.size);
    println!("{}: restored {epochs} epochs into {}, all checked", config.origin, config.data_dir.display());
    match restored.standing {
        Ok(_) => println!("the guard agrees: it may sign"),
        Err(reason) => println!("it may not sign yet: {:#}", anyhow::Error::from(reason)),
    }
    Ok(())
}

fn init(file: &Path, json: bool) -> anyhow::Result<()> {
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
