//! What each byte of a stored file is for, so that flips can be drawn from every kind.
//!
//! RocksDB's formats, as far as needed: logs and manifests are records in blocks of 32 KiB (its wiki, "Write Ahead Log File
//! Format"), tables are blocks found by the footer (its wiki, "BlockBasedTable Format"; format version 5).

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, ensure};

/// Bytes of a file by what they are for.
pub type Regions = BTreeMap<String, Vec<Range<usize>>>;

const LOG_BLOCK: usize = 32 << 10;
/// Checksum, length, type.
const LOG_HEADER: usize = 7;
const FOOTER: usize = 53;
/// Kind of compression and checksum behind each block of a table.
const TRAILER: usize = 5;

/// What the bytes of `file`, which holds `bytes`, are for; nothing for an empty file.
///
/// # Errors
/// When the file is not what its name says.
pub fn of(file: &Path, bytes: &[u8]) -> anyhow::Result<Regions> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let parent = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let mut regions = Regions::new();
    if bytes.is_empty() {
        return Ok(regions);
    }
    if name.ends_with(".sst") {
        return table(bytes).with_context(|| format!("read {name}"));
    }
    match name.split_once('-') {
        _ if name.ends_with(".log") => log("log", bytes, &mut regions),
        Some(("MANIFEST", _)) => log("manifest", bytes, &mut regions),
        Some((class, _)) => drop(regions.insert(class.to_owned(), whole(bytes))),
        None if name.ends_with(".guard") => drop(regions.insert("guard".to_owned(), whole(bytes))),
        None if parent == "keys" => drop(regions.insert(format!("secret key {name}"), whole(bytes))),
        None => drop(regions.insert(name.into_owned(), whole(bytes))),
    }
    Ok(regions)
}

#[expect(clippy::single_range_in_vec_init, reason = "a region is a list of ranges, here of one")]
fn whole(bytes: &[u8]) -> Vec<Range<usize>> {
    vec![0..bytes.len()]
}

fn log(class: &str, bytes: &[u8], regions: &mut Regions) {
    let mut at = 0;
    while at + LOG_HEADER <= bytes.len() {
        if LOG_BLOCK - at % LOG_BLOCK < LOG_HEADER {
            at = at.next_multiple_of(LOG_BLOCK);
            continue;
        }
        let length = usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
        let end = (at + LOG_HEADER + length).min(bytes.len());
        let parts = [
            ("checksum", at..at + 4),
            ("length", at + 4..at + 6),
            ("type", at + 6..at + 7),
            ("payload", at + 7..end),
        ];
        for (part, range) in parts {
            regions.entry(format!("{class} {part}")).or_default().push(range);
        }
        at = end;
    }
}

fn table(bytes: &[u8]) -> anyhow::Result<Regions> {
    ensure!(bytes.len() > FOOTER, "too short");
    let footer = bytes.len() - FOOTER;
    // The kind of checksum, then two handles.
    let mut rest = &bytes[footer + 1..];
    let (metaindex, index) = (block(&mut rest)?, block(&mut rest)?);
    let mut regions = Regions::new();
    let mut first_meta = metaindex.start.min(index.start);
    for (name, range) in metaindex_entries(bytes.get(metaindex.clone()).context("metaindex")?)? {
        first_meta = first_meta.min(range.start);
        let kind = if name.contains("filter") { "filter" } else { "properties" };
        regions.entry(format!("table {kind}")).or_default().push(range);
    }
    let parts = [
        ("data", 0..first_meta),
        ("index", index),
        ("metaindex", metaindex),
        ("footer", footer..bytes.len()),
    ];
    for (part, range) in parts {
        regions.entry(format!("table {part}")).or_default().push(range);
    }
    let inside = regions.values().flatten().all(|range| range.end <= bytes.len());
    ensure!(inside, "a block is outside the file");
    Ok(regions)
}

/// Names and blocks of a metaindex, whose entries share nothing with each other.
fn metaindex_entries(block_bytes: &[u8]) -> anyhow::Result<Vec<(String, Range<usize>)>> {
    let content = &block_bytes[..block_bytes.len().saturating_sub(TRAILER)];
    let (_, count) = content.split_last_chunk().context("no restarts")?;
    let restarts = 4 * (u32::from_le_bytes(*count) as usize + 1);
    let mut rest = content.get(..content.len().saturating_sub(restarts)).context("restarts")?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (shared, own, value) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
        ensure!(shared == 0, "an entry of the metaindex shares its key");
        let (key, behind) = rest.split_at_checked(own).context("key")?;
        let (mut handle, behind) = behind.split_at_checked(value).context("handle")?;
        entries.push((String::from_utf8_lossy(key).into_owned(), block(&mut handle)?));
        rest = behind;
    }
    Ok(entries)
}

fn block(handle: &mut &[u8]) -> anyhow::Result<Range<usize>> {
    let (offset, size) = (number(handle)?, number(handle)?);
    Ok(offset..offset.checked_add(size + TRAILER).context("handle")?)
}

/// A LEB128 number.
fn number(bytes: &mut &[u8]) -> anyhow::Result<usize> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first().context("a number is cut off")?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    anyhow::bail!("a number is too large")
}
