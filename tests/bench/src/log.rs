//! Appending to the log, hashing only.

use pds_core::hash::leaf_hash;
use pds_core::log::Frontier;
use pds_schemas::Digest;

use crate::Scale;
use crate::limit::HashSpeed;
use crate::measure::{cpu, median};
use crate::names::commitment;
use crate::table::{Table, Unit};

/// Measures it.
///
/// # Errors
/// None: the log is far from full.
pub fn measure(table: &mut Table, scale: &Scale) -> anyhow::Result<()> {
    let count = scale.million;
    let entries: Vec<Digest> = (0..count).map(|i| commitment(i, 0)).collect();
    let speed = HashSpeed::now();
    let mut times = Vec::new();
    let mut nodes = 0;
    for _ in 0..scale.runs.min(5) {
        let mut log = Frontier::new();
        nodes = 0;
        let (appended, time) = cpu(|| {
            entries.iter().try_for_each(|entry| log.append(leaf_hash(entry.as_ref()), |_| nodes += 1))
        });
        appended?;
        times.push(time);
    }
    let (count, inner) = (count as f64, (nodes - count) as f64);
    table.push(
        "log-append",
        Unit::CpuNs,
        (format!("log append of an entry of 32 bytes, {count} of them, hashing only"), median(times) / count),
        ("the hashes of its leaf and nodes", speed.one_block + inner / count * speed.two_blocks),
    );
    Ok(())
}
