//! The prefix tree in memory: building it, closing an epoch, the change set and its proof.

use pds_core::prefix::{Applied, MemoryPages, PrefixTree, Update, sort_updates, verify_transition};
use pds_schemas::{Artefact, ChangeSet, Digest, EpochNumber, Transition};

use crate::Scale;
use crate::limit::{HashSpeed, hashes_on_paths};
use crate::measure::{cpu, median};
use crate::names::Names;
use crate::table::{Must, Table, Unit};

/// Measures all of it.
///
/// # Errors
/// None that a sound tree has.
pub fn measure(table: &mut Table, names: &Names, scale: &Scale) -> anyhow::Result<()> {
    build(table, names, scale)?;
    epoch(table, names, scale)
}

fn build(table: &mut Table, names: &Names, scale: &Scale) -> anyhow::Result<()> {
    let count = scale.names;
    let keys = names.sorted_keys(count);
    let hashes = hashes_on_paths(&keys, &keys) as f64;
    let updates = names.insertions(count);
    let speed = HashSpeed::now();
    let mut times = Vec::new();
    for _ in 0..scale.runs.min(5) {
        let mut updates = updates.clone();
        let (tree, time) = cpu(|| {
            sort_updates(&mut updates);
            PrefixTree::empty().apply_updates(&MemoryPages::default(), EpochNumber(0), &updates)
        });
        tree?;
        times.push(time);
    }
    let row = table.push(
        "build",
        Unit::CpuNs,
        (format!("prefix tree of {count} names, built in memory, sort included"), median(times)),
        (format!("its {hashes} hashes"), hashes * speed.two_blocks),
    );
    row.must(Must::RatioAtMost(3.0));
    Ok(())
}

/// A tree of the first `count` names, every page in memory.
///
/// # Errors
/// None that a sound tree has.
pub fn of_first(names: &Names, count: usize) -> anyhow::Result<PrefixTree> {
    let mut updates: Vec<Update> = names.insertions(count);
    sort_updates(&mut updates);
    Ok(PrefixTree::empty().apply_updates(&MemoryPages::default(), EpochNumber(0), &updates)?.tree)
}

fn epoch(table: &mut Table, names: &Names, scale: &Scale) -> anyhow::Result<()> {
    let (held, count) = (scale.names, scale.changes);
    let tree = of_first(names, held)?;
    let mut old_keys = names.sorted_keys(held);
    let speed = HashSpeed::now();
    let (mut apply_times, mut verify_times) = (Vec::new(), Vec::new());
    let (mut apply_hashes, mut verify_hashes) = (0, 0);
    let (mut bytes, mut content) = (0, 0);
    for version in 1..=scale.runs {
        let changes = names.changes(held, version, count);
        let (applied, time) = cpu(|| tree.apply(&MemoryPages::default(), EpochNumber(1), &changes));
        let Applied { tree: next, proof, .. } = applied?;
        apply_times.push(time);
        let (verified, time) = cpu(|| verify_transition(&tree.root(), &next.root(), &changes, &proof));
        verified?;
        verify_times.push(time);

        let changed: Vec<Digest> = changes.iter().map(|change| change.key).collect();
        let mut new_keys = old_keys.clone();
        new_keys.extend(changes.iter().filter(|change| change.old.is_none()).map(|change| change.key));
        new_keys.sort_unstable();
        let new = hashes_on_paths(&new_keys, &changed);
        apply_hashes += new;
        verify_hashes += new + hashes_on_paths(&old_keys, &changed);
        let named: usize = changes.iter().map(|c| c.name.as_str().len() + 64 + 32 * c.old.iter().len()).sum();
        content += named + proof.values.len();
        let transition = Transition { epoch: EpochNumber(1), changes: ChangeSet { changes }, proof };
        bytes += transition.to_bytes().len();
    }
    old_keys.clear();
    let mean = |sum: u64| (sum as f64 / scale.runs as f64).round();
    let (apply_hashes, verify_hashes) = (mean(apply_hashes), mean(verify_hashes));
    let row = table.push(
        "epoch",
        Unit::CpuNs,
        (format!("epoch of {count} changes on {held} names, in memory"), median(apply_times)),
        (format!("its {apply_hashes} hashes"), apply_hashes * speed.two_blocks),
    );
    row.must(Must::RatioAtMost(4.0));
    let row = table.push(
        "transition-bytes",
        Unit::Bytes,
        (format!("change set of {count} on {held} names with its proof"), mean(bytes as u64)),
        ("the hashes and names in it", mean(content as u64)),
    );
    row.must(Must::AtMost(420e3));
    let keys = count as f64 * speed.one_block;
    let row = table.push(
        "transition-verify",
        Unit::CpuNs,
        ("verifying it", median(verify_times)),
        (
            format!("both roots' {verify_hashes} hashes, {count} of names"),
            verify_hashes * speed.two_blocks + keys,
        ),
    );
    row.must(Must::AtMost(5e6));
    Ok(())
}
