//! `pds-log-server restore`: from a backup to a data folder that was wholly reread.
//!
//! A backup is believed in nothing: every file must be what the manifest says, the manifest's head that of the database,
//! and the database without a finding of `fsck`. Whether the restored validator may sign is the guard's to say, which
//! never comes out of a backup: a database behind its guard only serves, until it has caught up.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use pds_store::{Store, fsck};

use crate::backup::manifest::{HeadLine, Manifest, copy_file};
use crate::config::{Config, STORE_FOLDER};
use crate::fsck::keys_of;
use crate::identity::{Identity, PublicIdentity};
use crate::recovery::standing::{MayNotSign, Standing, open_guard, standing};
use crate::staging::Staged;

/// Findings that are shown; the rest is counted.
const SHOWN_FINDINGS: usize = 10;

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// Where its log is; nothing before epoch 0.
    pub head: Option<HeadLine>,
    /// Whether the guard lets it sign.
    pub standing: Result<Standing, MayNotSign>,
}

/// Restores `backup` into the data folder of `config`, which must be empty or not there.
///
/// The folder is complete or not there: it is filled beside its place, checked, synced, and then renamed.
///
/// # Errors
/// Names what is in the way, or what is wrong with the backup.
pub fn run(config: &Config, backup: &Path) -> anyhow::Result<Restored> {
    let manifest = Manifest::read(backup)?;
    ensure!(
        manifest.origin == config.origin,
        "{} is a backup of {}, the configuration is of {}",
        backup.display(),
        manifest.origin,
        config.origin
    );
    let target = &config.data_dir;
    let staged = Staged::begin(target);
    let staged = staged.with_context(|| format!("make the data folder {}", target.display()))?;
    std::fs::create_dir(staged.folder().join(STORE_FOLDER)).context("create the database's folder")?;
    for file in &manifest.files {
        let from = backup.join(&file.path);
        let copied = copy_file(&from, &staged.folder().join(&file.path));
        let copied = copied.with_context(|| format!("copy {}", from.display()))?;
        ensure!(
            copied == (file.bytes, file.sha256),
            "{} is damaged: it is not what the backup's manifest says",
            from.display()
        );
    }
    let restored = check(config, staged.folder())?;
    ensure!(restored.head == manifest.head, "the backup's database has another head than its manifest says");
    staged.commit().with_context(|| format!("put the data folder in its place, {}", target.display()))?;
    Ok(restored)
}

/// Rereads and rehashes all that the validator in `folder` stores.
fn check(config: &Config, folder: &Path) -> anyhow::Result<Restored> {
    let identity = PublicIdentity::load(folder)?;
    let keys = keys_of(&identity);
    ensure!(
        keys.origin == config.origin,
        "the backup's keys are of {}, not of {}",
        keys.origin,
        config.origin
    );
    // Without them it can only be served, and whose log it is is for its readers to know.
    if config.log_key.exists() && config.str_key.exists() {
        Identity::read(config)?.ensure_is(&identity, config, folder)?;
    }
    let store =
        Store::open(folder.join(STORE_FOLDER), &config.memory()).context("open the copied database")?;
    // The checkpoint may have been made while an epoch was under way.
    store.drop_unfinished().context("drop an unfinished epoch")?;
    let mut findings = Vec::new();
    let mut report = |finding: fsck::Finding| {
        if findings.len() < SHOWN_FINDINGS {
            findings.push(finding.to_string());
        }
    };
    let counts = fsck::check(&store, &keys, &mut report, &mut |_| {});
    if counts.findings > 0 {
        bail!("the backup is damaged, {} findings: {}", counts.findings, findings.join("; "));
    }
    let head = store.head().context("read head")?;
    let path = config.guard_file();
    let standing = open_guard(&path).and_then(|guard| standing(&guard, &path, head.as_ref(), &store));
    Ok(Restored { head: head.as_ref().map(HeadLine::of), standing })
}
