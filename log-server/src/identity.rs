//! Who the validator is: its two keys, and their public halves beside the data.

use std::path::Path;

use anyhow::{Context, bail};
use pds_core::cose::{SigningKey, public_key};
use pds_core::note::{KeyName, KeyType, NoteSigner, VerifierKey};
use pds_files::{durable, key_file};
use pds_service::guard::Guard;
use pds_store::Store;

use crate::config::Config;

/// File of the log's public key in the data folder.
pub const LOG_VKEY_FILE: &str = "log.vkey";
/// File of the STRs' public key in the data folder.
pub const STR_VKEY_FILE: &str = "str.vkey";

/// The validator's secret keys.
pub struct Identity {
    /// Signs checkpoints.
    pub log: NoteSigner,
    /// Signs STRs and receipts.
    pub str: SigningKey,
}

/// The validator's public keys.
#[derive(Clone, Debug)]
pub struct PublicIdentity {
    /// Verifies checkpoints; its name is the origin.
    pub log: VerifierKey,
    /// Verifies STRs and receipts.
    pub str: VerifierKey,
}

impl Identity {
    /// Reads both keys.
    ///
    /// # Errors
    /// Names the file that is missing, unreadable, open to others, or not this validator's.
    pub fn load(config: &Config) -> anyhow::Result<Self> {
        let identity = Self::read(config)?;
        identity.ensure_is(&PublicIdentity::load(&config.data_dir)?, config, &config.data_dir)?;
        Ok(identity)
    }

    /// Reads both keys, whatever data they are for.
    ///
    /// # Errors
    /// As [`Identity::load`].
    pub fn read(config: &Config) -> anyhow::Result<Self> {
        let log = key_file::read(&config.log_key).context("read the log's key")?;
        let str = key_file::read(&config.str_key).context("read the STR key")?;
        if log == str {
            bail!("{} and {} hold the same key", config.log_key.display(), config.str_key.display());
        }
        Ok(Self { log: NoteSigner::new(KeyName::new(&*config.origin)?, &log.to_bytes())?, str })
    }

    /// Refuses public keys, `recorded` in `folder`, that are not those of this identity.
    ///
    /// # Errors
    /// Names them.
    pub fn ensure_is(&self, recorded: &PublicIdentity, config: &Config, folder: &Path) -> anyhow::Result<()> {
        let own = self.public(&config.origin)?;
        if own.log != recorded.log || own.str != recorded.str {
            bail!(
                "the keys are not those that {} was made with ({}, {}): a log keeps its keys and its origin",
                folder.display(),
                recorded.log,
                recorded.str
            );
        }
        Ok(())
    }

    fn public(&self, origin: &str) -> anyhow::Result<PublicIdentity> {
        let name = KeyName::new(format!("{origin}/str"))?;
        let str = VerifierKey::new(name, KeyType::StrV1, &public_key(&self.str))?;
        Ok(PublicIdentity { log: self.log.verifier().clone(), str })
    }
}

impl PublicIdentity {
    /// Reads what `init` wrote into the data folder.
    ///
    /// # Errors
    /// Names the file.
    pub fn load(data_dir: &Path) -> anyhow::Result<Self> {
        let read = |file: &str| -> anyhow::Result<VerifierKey> {
            let path = data_dir.join(file);
            let text = std::fs::read_to_string(&path).with_context(|| {
                format!("read {}, which `pds-log-server init` makes in the data folder", path.display())
            })?;
            text.trim_end().parse().with_context(|| format!("{}", path.display()))
        };
        Ok(Self { log: read(LOG_VKEY_FILE)?, str: read(STR_VKEY_FILE)? })
    }
}

/// Makes keys, data folder, database and guard: a new validator. Nothing that exists is touched.
///
/// # Errors
/// When any of them is there already, or cannot be made.
pub fn init(config: &Config) -> anyhow::Result<PublicIdentity> {
    let (store, guard) = (config.store_dir(), config.guard_file());
    let vkeys = [LOG_VKEY_FILE, STR_VKEY_FILE].map(|file| config.data_dir.join(file));
    let made = [&config.log_key, &config.str_key, &vkeys[0], &vkeys[1], &store, &guard];
    if let Some(path) = made.iter().find(|path| path.exists()) {
        bail!(
            "{} exists already. init only makes a new validator: a log that was once signed must go on from where it is.{}",
            path.display(),
            if guard.exists() { String::new() } else { after_interruption(&guard, &made) }
        );
    }
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("create {}", config.data_dir.display()))?;
    make_folder_of(&guard)?;
    let log = new_key(&config.log_key)?;
    let str = new_key(&config.str_key)?;
    let identity = Identity { log: NoteSigner::new(KeyName::new(&*config.origin)?, &log.to_bytes())?, str };
    let public = identity.public(&config.origin)?;
    let write = |path: &Path, key: &VerifierKey| {
        durable::create(path, format!("{key}\n").as_bytes())
            .with_context(|| format!("create {}", path.display()))
    };
    write(&vkeys[0], &public.log)?;
    write(&vkeys[1], &public.str)?;
    drop(Store::create(&store, &config.memory()).context("create database")?);
    // Last: what has a guard is complete.
    drop(Guard::create(&guard, &[]).context("create guard")?);
    Ok(public)
}

fn after_interruption(guard: &Path, made: &[&std::path::PathBuf]) -> String {
    let left = made.iter().filter(|path| path.exists()).map(|path| path.display().to_string());
    format!(
        " There is no guard at {}, which init makes last. Either it was lost: find it. Or an earlier init did not come to its \
         end: if nothing was ever signed with these keys, remove {}, and run init again",
        guard.display(),
        left.collect::<Vec<_>>().join(", ")
    )
}

fn make_folder_of(path: &Path) -> anyhow::Result<()> {
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
        }
        None => Ok(()),
    }
}

fn new_key(path: &Path) -> anyhow::Result<SigningKey> {
    make_folder_of(path)?;
    key_file::create(path).context("create a key")
}
