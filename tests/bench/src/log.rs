//! The log: appending to it, hashing only, and making proofs from the hashes of all its complete subtrees.

use pds_core::hash::leaf_hashes;
use pds_core::log::proof::{prove_consistency, prove_inclusion};
use pds_core::log::tile::FULL_WIDTH;
use pds_core::log::{Frontier, MemoryLog};
use pds_schemas::{Digest, TreeSize};

use crate::Scale;
use crate::limit::HashSpeed;
use crate::measure::{cpu, median};
use crate::names::commitment;
use crate::table::{Must, Table, Unit};

/// Measures all of it.
///
/// # Errors
/// None: the log is far from full.
pub fn measure(table: &mut Table, scale: &Scale) -> anyhow::Result<()> {
    append(table, scale)?;
    proofs(table, scale)
}

/// Entries appended at a time: those of a bundle.
const TOGETHER: usize = FULL_WIDTH as usize;

fn append(table: &mut Table, scale: &Scale) -> anyhow::Result<()> {
    let count = scale.entries;
    let entries: Vec<Digest> = (0..count).map(|i| commitment(i, 0)).collect();
    let speed = HashSpeed::now();
    let mut times = Vec::new();
    let mut nodes = 0;
    for _ in 0..scale.runs.min(5) {
        let mut log = Frontier::new();
        nodes = 0;
        let (appended, time) = cpu(|| {
            entries.chunks(TOGETHER).try_for_each(|entries| log.extend(&leaf_hashes(entries), |_| nodes += 1))
        });
        appended?;
        times.push(time);
    }
    let (count, inner) = (count as f64, (nodes - count) as f64);
    let row = table.push(
        "log-append",
        Unit::CpuNs,
        (
            format!("log append of an entry of 32 bytes, {count} of them, a bundle at a time, hashing only"),
            median(times) / count,
        ),
        ("the hashes of its leaf and nodes", speed.one_block + inner / count * speed.two_blocks),
    );
    row.must(Must::RatioAtMost(1.15));
    Ok(())
}

fn proofs(table: &mut Table, scale: &Scale) -> anyhow::Result<()> {
    let size = scale.entries as u64;
    let log: MemoryLog = (0..scale.entries).map(|i| commitment(i, 0)).collect();
    let speed = HashSpeed::now();
    // 7919 is prime: every index once before any comes again.
    let asked: Vec<u64> = (1..=scale.proofs as u64).map(|i| i * 7919 % (size - 1) + 1).collect();
    let inclusion = |index: u64| prove_inclusion(&log, index, TreeSize(size));
    let consistency = |from: u64| prove_consistency(&log, TreeSize(from), TreeSize(size));
    proof_row(table, scale, ("log-inclusion", "inclusion"), &speed, &asked, inclusion)?;
    proof_row(table, scale, ("log-consistency", "consistency"), &speed, &asked, consistency)
}

fn proof_row<E: std::error::Error + Send + Sync + 'static>(
    table: &mut Table,
    scale: &Scale,
    (id, kind): (&str, &str),
    speed: &HashSpeed,
    asked: &[u64],
    prove: impl Fn(u64) -> Result<Vec<Digest>, E>,
) -> anyhow::Result<()> {
    let mut times = Vec::new();
    let mut hashes = 0;
    for _ in 0..scale.runs {
        let (made, time) = cpu(|| asked.iter().map(|i| prove(*i)).collect::<Result<Vec<_>, _>>());
        hashes = made?.iter().map(Vec::len).sum();
        times.push(time);
    }
    let count = asked.len() as f64;
    let hashes = hashes as f64 / count;
    let row = table.push(
        id,
        Unit::CpuNs,
        (format!("{kind} proof from a log of {} entries in memory", scale.entries), median(times) / count),
        (format!("computing its {hashes:.1} hashes instead"), hashes * speed.two_blocks),
    );
    row.must(Must::AtMost(5e3));
    Ok(())
}
