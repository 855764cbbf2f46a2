//! `pds-log-server backup`: a copy of a validator, of one moment, while it runs or when it does not.
//!
//! In it are the database and the public keys; never a secret key, and never the guard, whose point is to notice that a
//! copy took the database's place. A running server makes a checkpoint in its data folder, out of which this process
//! copies; a stopped one's database is opened here. Files are copied byte for byte, never linked, so that damage to the
//! one is not damage to the other.

pub mod manifest;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use pds_store::Store;

use self::manifest::{BackedUp, HeadLine, Manifest, copy_file};
use crate::config::{Config, STORE_FOLDER};
use crate::control::{self, Reply, Request};
use crate::identity::{LOG_VKEY_FILE, PublicIdentity, STR_VKEY_FILE};
use crate::recovery::standing::{Standing, open_guard, standing};
use crate::staging::{Staged, remove_if_there};

/// Where in the data folder a checkpoint is made, to be copied.
const CHECKPOINT_FOLDER: &str = "checkpoint";

/// Makes a backup of the validator of `config` in the new folder `target`.
///
/// `target` is complete or not there: it is filled beside its place, synced, and then renamed.
///
/// # Errors
/// When `target` exists, the validator's data is not to be had, or a file is not to be copied.
pub fn run(config: &Config, target: &Path) -> anyhow::Result<Manifest> {
    // First: one backup of a validator at a time, and one that has to wait is not to disturb what the other has copied.
    let (mut manifest, source) = Source::open(config)?;
    let filled = fill(config, target, &source, &mut manifest);
    source.close(config)?;
    filled?.commit().with_context(|| format!("put the backup in its place, {}", target.display()))?;
    Ok(manifest)
}

fn fill(config: &Config, target: &Path, source: &Source, manifest: &mut Manifest) -> anyhow::Result<Staged> {
    let staged = Staged::begin(target);
    let staged = staged.with_context(|| format!("make the new folder {}", target.display()))?;
    copy(&config.data_dir, &source.folder, staged.folder(), manifest)?;
    manifest.write(staged.folder())?;
    Ok(staged)
}

/// Makes a checkpoint of `store` in `data_dir`.
///
/// # Errors
/// The database's, the system's.
pub fn checkpoint(store: &Store, data_dir: &Path) -> anyhow::Result<control::Checkpoint> {
    let folder = data_dir.join(CHECKPOINT_FOLDER);
    remove_if_there(&folder).with_context(|| format!("remove {}", folder.display()))?;
    let copied = store.copy_to(&folder).context("make a checkpoint of the database")?;
    Ok(control::Checkpoint {
        folder: std::path::absolute(&folder)?,
        head: copied.head.as_ref().map(HeadLine::of),
        submissions: copied.next_queue_index,
    })
}

/// Removes the checkpoint in `data_dir`, if there is one.
///
/// # Errors
/// The system's.
pub fn remove_checkpoint(data_dir: &Path) -> anyhow::Result<()> {
    let folder = data_dir.join(CHECKPOINT_FOLDER);
    remove_if_there(&folder).with_context(|| format!("remove {}", folder.display()))
}

/// Where the files come from.
struct Source {
    folder: PathBuf,
    /// To the server that made the checkpoint, and keeps it while this is open; none when this process made it.
    server: Option<control::Connection>,
    /// The open database of a stopped one: no server starts, and no other backup begins, while this is copied.
    store: Option<Store>,
}

impl Source {
    fn open(config: &Config) -> anyhow::Result<(Manifest, Self)> {
        let origin = PublicIdentity::load(&config.data_dir)?.log.origin().to_owned();
        let (made, server, store) = match control::Connection::open(&config.data_dir)? {
            Some(mut server) => match server.ask(&Request::Backup)? {
                Reply::Checkpoint(made) => (made, Some(server), None),
                Reply::Refused(reason) => bail!("the server makes no backup: {reason}"),
                Reply::Frozen(_) => bail!("the server answers something else"),
            },
            None => {
                let store = Store::open(config.store_dir(), &config.memory());
                let store =
                    store.with_context(|| format!("open the database in {}", config.data_dir.display()))?;
                ensure_published(config, &store)?;
                (checkpoint(&store, &config.data_dir)?, None, Some(store))
            }
        };
        let control::Checkpoint { folder, head, submissions } = made;
        Ok((Manifest::new(&origin, head, submissions), Self { folder, server, store }))
    }

    /// A server removes its checkpoint itself, also when this process is killed.
    fn close(self, config: &Config) -> anyhow::Result<()> {
        match (self.server, &self.store) {
            (None, Some(_)) => remove_checkpoint(&config.data_dir),
            _ => Ok(()),
        }
    }
}

/// Refuses a head that is committed but not in the guard, for nobody has seen it yet; see `control.rs`. A database that
/// may not sign, such as a copy that is only served, is as good as its head.
fn ensure_published(config: &Config, store: &Store) -> anyhow::Result<()> {
    let path = config.guard_file();
    let Ok(guard) = open_guard(&path) else { return Ok(()) };
    let head = store.head().context("read head")?;
    if let Ok(Standing::GuardOneBehind) = standing(&guard, &path, head.as_ref(), store) {
        bail!(
            "the last epoch was not published, since the server ended before it moved the guard; start it once first"
        );
    }
    Ok(())
}

fn copy(data_dir: &Path, checkpoint: &Path, to: &Path, manifest: &mut Manifest) -> anyhow::Result<()> {
    let mut add = |from: &Path, path: String| {
        let copied = copy_file(from, &to.join(&path));
        let (bytes, sha256) = copied.with_context(|| format!("copy {}", from.display()))?;
        manifest.files.push(BackedUp { path, bytes, sha256 });
        anyhow::Ok(())
    };
    for file in [LOG_VKEY_FILE, STR_VKEY_FILE] {
        add(&data_dir.join(file), file.to_owned())?;
    }
    let store = to.join(STORE_FOLDER);
    std::fs::create_dir(&store).with_context(|| format!("create {}", store.display()))?;
    let read = || format!("read {}", checkpoint.display());
    for entry in std::fs::read_dir(checkpoint).with_context(read)? {
        let entry = entry.with_context(read)?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|name| anyhow::anyhow!("{} has a strange name", name.display()))?;
        add(&entry.path(), format!("{STORE_FOLDER}/{name}"))?;
    }
    manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(())
}
