//! How the operator's commands reach a running server: a socket in its data folder.
//!
//! One line of JSON asks, one answers. The socket has mode 0600, and only the server's own user and root are answered.
//! Not HTTP, and on no network: whoever can use it could as well write the database.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::{Mutex, oneshot};
use tracing::{error, info, warn};

use crate::backup;
use crate::backup::manifest::HeadLine;
use crate::config::Config;
use crate::sequencer::Command;
use crate::shared::Shared;

/// Its name in the data folder.
const SOCKET_FILE: &str = "control.sock";
/// Most bytes of a line.
const LINE_BYTES: u64 = 64 << 10;
/// Longest that a request may take to come.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Checkpoints that are made before one has met an epoch between commit and publication too often.
const CHECKPOINT_TRIES: usize = 10;
/// Longest path that fits a socket's address (`sun_path`), with the zero at its end.
const ADDRESS_BYTES: usize = 108;

/// What the server is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Make a checkpoint, and keep it until the connection ends.
    Backup,
    /// Close the log's last epoch.
    Freeze,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Request::Backup`].
    Checkpoint(Checkpoint),
    /// To [`Request::Freeze`]: the last head.
    Frozen(HeadLine),
    /// Why not.
    Refused(String),
}

/// A copy of the database, to be copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The folder.
    pub folder: PathBuf,
    /// Its head; nothing before epoch 0.
    pub head: Option<HeadLine>,
    /// Submissions accepted until then.
    pub submissions: u64,
}

/// A connection to a running server.
#[derive(Debug)]
pub struct Connection(BufReader<UnixStream>);

impl Connection {
    /// Connects to the server of `data_dir`; `None` when none listens.
    ///
    /// # Errors
    /// The system's.
    pub fn open(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        match at_socket(data_dir, |path| UnixStream::connect(path)) {
            Ok(stream) => Ok(Some(Self(BufReader::new(stream)))),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("connect to {}", socket(data_dir).display())),
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub fn ask(&mut self, request: &Request) -> anyhow::Result<Reply> {
        let line = format!("{}\n", serde_json::to_string(request)?);
        self.0.get_mut().write_all(line.as_bytes()).context("ask the server")?;
        let mut answer = String::new();
        (&mut self.0).take(LINE_BYTES).read_line(&mut answer).context("hear the server's answer")?;
        ensure!(answer.ends_with('\n'), "the server ended without an answer; its log says why");
        serde_json::from_str(&answer).context("read the server's answer")
    }
}

/// What the socket is served from.
#[derive(Clone, Debug)]
pub struct Control {
    data_dir: PathBuf,
    shared: Arc<Shared>,
    /// Held while there is a checkpoint: there is room for one.
    checkpoint: Arc<Mutex<()>>,
    /// To the sequencer.
    commands: Sender<Command>,
    /// What it may leave waiting submissions to be decided before a log ends.
    grace: Duration,
}

impl Control {
    /// Over the validator of `config` that shows `shared`, whose sequencer listens to `commands`.
    pub fn new(config: &Config, shared: Arc<Shared>, commands: Sender<Command>) -> Self {
        let grace = Duration::from_secs(config.shutdown_grace_s);
        Self { data_dir: config.data_dir.clone(), shared, checkpoint: Arc::default(), commands, grace }
    }

    /// Listens, in place of a server that is gone: the database's lock says so. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(&self) -> anyhow::Result<UnixListener> {
        backup::remove_checkpoint(&self.data_dir)?;
        let path = socket(&self.data_dir);
        let doing = || format!("listen on {}", path.display());
        remove_socket(&self.data_dir).with_context(doing)?;
        let listener = at_socket(&self.data_dir, |path| UnixListener::bind(path)).with_context(doing)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).with_context(doing)?;
        Ok(listener)
    }

    /// Answers until dropped.
    pub async fn serve(self, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(self.clone().answer(stream));
                }
                Err(error) => {
                    warn!(%error, "cannot accept on the control socket");
                    // Such as too many open files: others are to end theirs first.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn answer(self, stream: tokio::net::UnixStream) {
        // The mode of the socket keeps others out, from a moment after it is there.
        let own = rustix::process::geteuid().as_raw();
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
            warn!("refused another user at the control socket");
            return;
        }
        let (reader, mut writer) = stream.into_split();
        let mut reader = tokio::io::BufReader::new(reader.take(LINE_BYTES));
        let mut line = String::new();
        let read = tokio::time::timeout(REQUEST_TIME, reader.read_line(&mut line)).await;
        let Ok(Ok(_)) = read else { return };
        let request = serde_json::from_str(&line);
        let mut say = async |reply: &Reply| {
            let line = serde_json::to_string(reply).expect("strings and numbers are JSON");
            writer.write_all(format!("{line}\n").as_bytes()).await
        };
        let said = match request {
            Ok(Request::Backup) => match self.checkpoint().await {
                Ok(held) => {
                    let said = say(&Reply::Checkpoint(held.made.clone())).await;
                    // Whoever asked is done with it, or gone.
                    let _ = reader.read(&mut [0]).await;
                    held.remove().await;
                    said
                }
                Err(reason) => say(&Reply::Refused(reason)).await,
            },
            Ok(Request::Freeze) => say(&self.freeze().await).await,
            Err(error) => say(&Reply::Refused(format!("no such request: {error}"))).await,
        };
        // One that is gone needs no answer.
        drop(said);
    }

    async fn freeze(&self) -> Reply {
        let (answer, frozen) = oneshot::channel();
        let ended = || Reply::Refused("it is about to end".to_owned());
        if self.commands.send(Command::Freeze(Instant::now() + self.grace, answer)).is_err() {
            return ended();
        }
        info!(grace_s = self.grace.as_secs(), "asked to freeze the log; taking no more submissions");
        match frozen.await {
            Ok(Ok(head)) => Reply::Frozen(HeadLine::of(&head)),
            Ok(Err(reason)) => Reply::Refused(reason),
            Err(_) => ended(),
        }
    }

    async fn checkpoint(&self) -> Result<Held, String> {
        let Ok(turn) = Arc::clone(&self.checkpoint).try_lock_owned() else {
            return Err("another backup is under way".to_owned());
        };
        let (shared, data_dir) = (Arc::clone(&self.shared), self.data_dir.clone());
        let made = tokio::task::spawn_blocking(move || published_checkpoint(&shared, &data_dir)).await;
        match made {
            Ok(Ok(made)) => {
                info!(epochs = made.head.as_ref().map_or(0, |head| head.size.0), "made a checkpoint");
                Ok(Held { made, data_dir: self.data_dir.clone(), _turn: turn })
            }
            Ok(Err(error)) => {
                error!(error = format!("{error:#}"), "could not make a checkpoint");
                Err(format!("{error:#}"))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A checkpoint in `data_dir` whose head is published.
///
/// A head that is committed but not in the guard is known to nobody: a copy that serves it, and a validator that goes on
/// from an older one, would be two histories.
fn published_checkpoint(shared: &Shared, data_dir: &Path) -> anyhow::Result<Checkpoint> {
    for _ in 0..CHECKPOINT_TRIES {
        let made = backup::checkpoint(&shared.store, data_dir)?;
        if made.head.as_ref().is_none_or(|head| head.size <= shared.published().head.size) {
            return Ok(made);
        }
    }
    backup::remove_checkpoint(data_dir)?;
    match shared.halted() {
        Some(reason) => bail!("the last epoch was not published ({reason}); start the server again first"),
        None => bail!("an epoch is being published; try again"),
    }
}

/// Removes the socket of `data_dir`, if it is there.
///
/// # Errors
/// The system's.
pub fn remove_socket(data_dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(socket(data_dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A checkpoint that somebody copies.
struct Held {
    made: Checkpoint,
    data_dir: PathBuf,
    _turn: tokio::sync::OwnedMutexGuard<()>,
}

impl Held {
    async fn remove(self) {
        let data_dir = self.data_dir.clone();
        let removed = tokio::task::spawn_blocking(move || backup::remove_checkpoint(&data_dir)).await;
        if let Ok(Err(error)) = removed {
            warn!(
                error = format!("{error:#}"),
                "a checkpoint is left, and takes up room until the next backup"
            );
        }
    }
}

fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET_FILE)
}

/// Calls `with` with a path to the socket that is short enough for an address.
fn at_socket<T>(data_dir: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = socket(data_dir);
    if path.as_os_str().len() < ADDRESS_BYTES {
        return with(&path);
    }
    let folder = std::fs::File::open(data_dir)?;
    with(&PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_FILE}", folder.as_raw_fd())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_are_reached_too() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(150));
        std::fs::create_dir(&long).unwrap();
        assert!(Connection::open(&long).unwrap().is_none());
        let listener = at_socket(&long, |path| std::os::unix::net::UnixListener::bind(path)).unwrap();
        assert!(socket(&long).exists());
        assert!(Connection::open(&long).unwrap().is_some());
        drop(listener);
        assert!(Connection::open(&long).unwrap().is_none(), "a socket without a server is none");
    }
}
