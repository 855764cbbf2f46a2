//! How an epoch and a proof in memory grow with the names there are.

use pds_core::prefix::{MemoryPages, PrefixTree, Update, sort_updates};
use pds_schemas::{Digest, EpochNumber};

use crate::Scale;
use crate::measure::{cpu, median};
use crate::names::commitment;
use crate::table::{Must, Table, Unit};

/// Names inserted at once while a tree is filled.
const FILL: usize = 1_000_000;
/// Epochs, and rounds of proofs, that a median is taken of.
const RUNS: usize = 7;
/// Between these two sizes the growth has a bound.
const BOUND: (usize, usize) = (1_000_000, 10_000_000);

/// What was measured at one size.
struct At {
    names: usize,
    epoch: f64,
    proof: f64,
}

/// Measures each of the scale's sizes, and sets each beside the one before.
///
/// # Errors
/// None that a sound tree has.
pub fn measure(table: &mut Table, scale: &Scale) -> anyhow::Result<()> {
    let mut before: Option<At> = None;
    for names in scale.sizes.iter().copied() {
        let now = at(names, scale)?;
        if let Some(before) = before.take() {
            rows(table, scale, &before, &now);
        }
        before = Some(now);
    }
    Ok(())
}

fn rows(table: &mut Table, scale: &Scale, before: &At, now: &At) {
    let (from, to) = (before.names, now.names);
    let epoch = (format!("epoch of {} changes in memory, on {to} names", scale.changes), now.epoch);
    let row =
        table.push(format!("growth-epoch-{to}"), Unit::CpuNs, epoch, (format!("on {from}"), before.epoch));
    if (from, to) == BOUND {
        row.must(Must::RatioAtMost(1.6));
    }
    let proof = (format!("proof from warm pages, of {to} names"), now.proof);
    let row =
        table.push(format!("growth-proof-{to}"), Unit::CpuNs, proof, (format!("of {from}"), before.proof));
    if (from, to) == BOUND {
        row.must(Must::RatioAtMost(2.0));
    }
}

fn at(names: usize, scale: &Scale) -> anyhow::Result<At> {
    let none = MemoryPages::default();
    let mut tree = PrefixTree::empty();
    let mut epoch = 0;
    let mut apply = |tree: &PrefixTree, updates: &mut Vec<Update>| {
        sort_updates(updates);
        epoch += 1;
        let (applied, time) = cpu(|| tree.apply_updates(&none, EpochNumber(epoch), updates));
        applied.map(|applied| (applied.tree, time))
    };
    for first in (0..names).step_by(FILL) {
        let mut updates: Vec<_> = (first..names.min(first + FILL)).map(|i| update(i, None)).collect();
        tree = apply(&tree, &mut updates)?.0;
    }
    let (mut epochs, mut proofs) = (Vec::new(), Vec::new());
    let half = scale.changes / 2;
    for run in 0..RUNS {
        let replaced = (0..half).map(|i| update((run * half + i) * 7919 % names, Some(0)));
        let added = (0..scale.changes - half).map(|i| update(names + run * scale.changes + i, None));
        let (_, time) = apply(&tree, &mut replaced.chain(added).collect())?;
        epochs.push(time);
        let keys: Vec<_> = (0..scale.proofs).map(|i| key((run + i * 104_729) % names)).collect();
        let (proved, time) = cpu(|| keys.iter().try_for_each(|key| tree.prove(&none, key).map(drop)));
        proved?;
        proofs.push(time);
    }
    Ok(At { names, epoch: median(epochs), proof: median(proofs) / scale.proofs as f64 })
}

fn key(i: usize) -> Digest {
    commitment(i, usize::MAX)
}

fn update(i: usize, old: Option<usize>) -> Update {
    let version = old.map_or(0, |version| version + 1);
    Update { key: key(i), old: old.map(|version| commitment(i, version)), new: commitment(i, version) }
}
