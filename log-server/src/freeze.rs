//! `pds-log-server freeze`: the end of a log, for ever.
//!
//! A last epoch decides all that waits, for nobody is to hold a receipt whose promise can never be kept; then nothing is
//! ever signed again. That it was the last stands in the head record, which database and guard both hold, so that neither an
//! old copy nor another configuration takes it up again. What was published stays served.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pds_schemas::disk::Head;
use tokio::sync::oneshot;

use crate::backup::manifest::HeadLine;
use crate::config::Config;
use crate::control::{Connection, Reply, Request};
use crate::epoch_writer::EpochContent;
use crate::line::Line;
use crate::queue::Queue;
use crate::recovery;
use crate::sequencer::{Command, Rules, Sequencer, now};
use crate::shared::Shared;

/// Freezes the log of `config`, of a server that runs or of a stopped one; one that is frozen stays so.
///
/// A running server leaves what waits as long as SIGTERM would, `shutdown_grace_s`, to be decided; what is then undecided,
/// and all that waits in a stopped one, fails.
///
/// # Errors
/// Why it is not frozen.
pub fn run(config: &Config) -> anyhow::Result<HeadLine> {
    match Connection::open(&config.data_dir)? {
        Some(mut server) => match server.ask(&Request::Freeze)? {
            Reply::Frozen(head) => Ok(head),
            Reply::Refused(reason) => bail!("the server does not freeze its log: {reason}"),
            Reply::Checkpoint(_) => bail!("the server answers something else"),
        },
        None => stopped(config).map(|head| HeadLine::of(&head)),
    }
}

fn stopped(config: &Config) -> anyhow::Result<Head> {
    let mut writer = recovery::open(config)?;
    let published = match recovery::published(&writer)? {
        Some(published) if published.head.frozen => return Ok(published.head),
        Some(published) => published,
        None => writer.close(now(), EpochContent::default()).context("close epoch 0")?,
    };
    let store = Arc::clone(&writer.store);
    let queue = Queue::load(&store)?;
    let next_index = store.next_queue_index().context("read queue")?;
    let shared = Arc::new(Shared::new(store, published));
    // Nobody builds: what waits fails.
    let line = Line::new(0, Duration::ZERO);
    let sequencer = Sequencer::new(Rules::of(config), writer, shared, queue, next_index, line);
    let (commands, inbox) = mpsc::channel();
    let (answer, mut frozen) = oneshot::channel();
    commands.send(Command::Freeze(Instant::now(), answer)).context("ask for the last epoch")?;
    drop(commands);
    sequencer.run(&inbox);
    match frozen.try_recv().context("the sequencer ended without an answer")? {
        Ok(head) => Ok(head),
        Err(reason) => bail!("{reason}"),
    }
}
