//! Proofs that a name is in the tree, without signatures: making, size, verifying.

use pds_core::prefix::{MemoryPages, verify_inclusion};
use pds_schemas::{Artefact, Digest};

use crate::Scale;
use crate::limit::HashSpeed;
use crate::measure::{cpu, median};
use crate::names::{Names, commitment};
use crate::table::{Must, Table, Unit};
use crate::tree;

/// Measures all of it, over names spread evenly.
///
/// # Errors
/// None that a sound tree has.
pub fn measure(table: &mut Table, names: &Names, scale: &Scale) -> anyhow::Result<()> {
    let (held, count) = (scale.names, scale.proofs);
    let tree = tree::of_first(names, held)?;
    let (root, none) = (tree.root(), MemoryPages::default());
    // 7919 is prime: every name once before any comes again.
    let asked: Vec<_> = (0..count).map(|i| i * 7919 % held).collect();
    let keys: Vec<Digest> = asked.iter().map(|i| names.key(*i)).collect();
    let commitments: Vec<Digest> = asked.iter().map(|i| commitment(*i, 0)).collect();
    let speed = HashSpeed::now();

    let mut times = Vec::new();
    let mut proofs = Vec::new();
    for _ in 0..scale.runs {
        let (made, time) =
            cpu(|| keys.iter().map(|key| tree.prove(&none, key)).collect::<Result<Vec<_>, _>>());
        proofs = made?;
        times.push(time);
    }
    let per_proof = |total: f64| total / count as f64;
    let levels: usize = proofs.iter().map(|proof| proof.copath.len() + 1).sum();
    let hashes = per_proof(levels as f64);
    let of_hashes = format!("its {hashes:.1} hashes");
    let limit = hashes * speed.two_blocks;
    let row = table.push(
        "proof-make",
        Unit::CpuNs,
        (format!("proof for one of {held} names, made with warm pages"), per_proof(median(times))),
        (format!("computing {of_hashes} instead"), limit),
    );
    row.must(Must::AtMost(3e3));

    let mut sizes: Vec<_> = proofs.iter().map(|proof| proof.to_bytes().len()).collect();
    sizes.sort_unstable();
    let siblings = |of: &pds_schemas::prefix::PrefixProof| of.copath.iter().flatten().count() * 32;
    let mut contents: Vec<_> = proofs.iter().map(siblings).collect();
    contents.sort_unstable();
    let at = |sizes: &[usize], percent: usize| sizes[(sizes.len() - 1) * percent / 100] as f64;
    let mean = |sizes: &[usize]| per_proof(sizes.iter().sum::<usize>() as f64);
    for (id, workload, measured, content) in [
        ("proof-bytes", "its encoding: mean", mean(&sizes), mean(&contents)),
        ("proof-bytes-p99", "its encoding: 99th percentile", at(&sizes, 99), at(&contents, 99)),
        ("proof-bytes-largest", "its encoding: largest", at(&sizes, 100), at(&contents, 100)),
    ] {
        let row = table.push(id, Unit::Bytes, (workload, measured), ("the sibling hashes in it", content));
        if id == "proof-bytes" {
            row.must(Must::AtMost(720.0));
        }
    }

    let mut times = Vec::new();
    for _ in 0..scale.runs {
        let mut all = keys.iter().zip(&commitments).zip(&proofs);
        let (verified, time) = cpu(|| {
            all.try_for_each(|((key, commitment), proof)| verify_inclusion(&root, key, commitment, proof))
        });
        verified?;
        times.push(time);
    }
    let row = table.push(
        "proof-verify",
        Unit::CpuNs,
        ("verifying it, hashing only", per_proof(median(times))),
        (of_hashes, limit),
    );
    row.must(Must::RatioAtMost(1.4));
    Ok(())
}
