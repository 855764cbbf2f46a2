//! A validator with many names and a full tile of epochs, made with the log-server's own parts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use pds_core::epoch::NameEvents;
use pds_core::hash::sha256;
use pds_core::log::tile::FULL_WIDTH;
use pds_core::name_record::{Decision, NameEvent};
use pds_log_server::config::Config;
use pds_log_server::epoch_writer::EpochContent;
use pds_log_server::{identity, recovery};
use pds_schemas::{Artefact, Digest, PosixTime, Release};
use pds_store::{Blob, BlobKind};

use crate::durable::binding;
use crate::names::Names;
use crate::validator::START;

/// Names of one epoch while the tree is filled, below the most that an epoch may change.
const FILL: usize = 50_000;

/// Makes a validator without names in `folder`, with `options` behind those that every one has here; gives its
/// configuration's file.
///
/// # Errors
/// The disk's.
pub fn init(folder: &Path, options: &str) -> anyhow::Result<PathBuf> {
    let file = folder.join("validator.toml");
    // No epoch is closed while requests are measured.
    let text = "origin = \"bench.example/log\"\nlisten = \"127.0.0.1:0\"\naddress_file = \"address\"\ndata_dir = \"data\"\n\
                log_key = \"log.key\"\nstr_key = \"str.key\"\nepoch_interval_s = 86400\ndecide_within_s = 172800\n\
                allow_unconfined = true\nlog_filter = \"error\"\nshutdown_grace_s = 0\n";
    fs::write(&file, format!("{text}{options}"))?;
    identity::init(&Config::load(&file)?)?;
    Ok(file)
}

/// Makes a validator in `folder` whose log has a full tile and whose tree has the first `count` names, each with a
/// validated release; gives its configuration's file.
///
/// # Errors
/// The disk's.
pub fn make(folder: &Path, names: &Names, count: usize) -> anyhow::Result<PathBuf> {
    let file = init(folder, "")?;
    let config = Config::load(&file)?;
    let mut writer = recovery::open(&config)?;
    let all: Vec<usize> = (0..count).collect();
    for some in all.chunks(FILL) {
        let bindings =
            some.iter().map(|i| Blob::new(BlobKind::Binding, binding(names.name(*i), Release(1)).to_bytes()));
        let bindings: Vec<Blob> = bindings.collect();
        writer.store.keep_blobs(&bindings)?;
        let events = some.iter().zip(&bindings).map(|(i, blob)| validated(names, *i, *blob.digest()));
        let content = EpochContent { names: events.collect(), ..EpochContent::default() };
        close(&mut writer, content)?;
    }
    while writer.next_epoch().0 < u64::from(FULL_WIDTH) {
        close(&mut writer, EpochContent::default())?;
    }
    Ok(file)
}

fn close(
    writer: &mut pds_log_server::epoch_writer::EpochWriter,
    content: EpochContent,
) -> anyhow::Result<()> {
    let now = PosixTime(START.0 + writer.next_epoch().0);
    writer.close(now, content).map(drop).context("close an epoch")
}

fn validated(names: &Names, i: usize, binding: Digest) -> NameEvents {
    let owner = sha256(names.key(i).as_ref());
    let event = NameEvent::Decided { owner, release: Release(1), decision: Decision::Validated(binding) };
    NameEvents { name: names.name(i).clone(), current: None, events: vec![event] }
}
