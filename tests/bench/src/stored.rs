//! Proofs with every page read from the database, of the last epoch and of an old one; and how that grows.

use std::cell::Cell;
use std::path::Path;

use pds_core::prefix::{PageId, PageSource, PrefixTree};
use pds_schemas::{Digest, EpochNumber, NameRecord};
use pds_store::{Store, StoreError};

use crate::Scale;
use crate::durable::{self, At, events, keep_records};
use crate::limit::HashSpeed;
use crate::measure::{cpu, median};
use crate::names::Names;
use crate::table::{Must, Table, Unit};
use crate::validator::Validator;

/// Rounds of proofs that a median is taken of.
const ROUNDS: usize = 7;
/// Between these two sizes the growth has a bound.
const BOUND: (usize, usize) = (1_000_000, 10_000_000);

/// What one proof takes.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    /// Nanoseconds of CPU, the median of the rounds.
    pub cpu: f64,
    /// Pages read.
    pages: f64,
    /// Their bytes.
    bytes: f64,
}

/// Measures proofs of the last epoch, and, once `scale.back` epochs more are closed, of the same one again; gives the
/// nanoseconds of the former.
///
/// # Errors
/// The disk's.
pub fn measure(
    table: &mut Table,
    names: &Names,
    scale: &Scale,
    (validator, records): (&mut Validator, &mut Vec<NameRecord>),
) -> anyhow::Result<f64> {
    let count = scale.names;
    let now = proof(validator, names, count, scale)?;
    row(table, ("proof-stored", "of the last epoch"), count, &now, 40e3);
    let old = validator.tree.clone();
    for epoch in 0..scale.back {
        let which = || (0..scale.changes).map(|i| (epoch * scale.changes + i) * 7919 % count);
        let (plan, _) = validator.close(&events(names, which(), records), &[], &[])?;
        keep_records(records, &plan, names, which())?;
    }
    let which = format!("of {} epochs ago, each of which changed {}", scale.back, scale.changes);
    let before = prove(&validator.store, (old.root(), old.root_page()), names, count, scale)?;
    row(table, ("proof-stored-old", &which), count, &before, 60e3);
    Ok(now.cpu)
}

/// Measures the smaller sizes, and sets each beside the next one, of which `largest` is the last.
///
/// # Errors
/// The disk's.
pub fn growth(
    table: &mut Table,
    names: &Names,
    scale: &Scale,
    dir: &Path,
    largest: At,
) -> anyhow::Result<()> {
    let mut sizes: Vec<usize> = scale.stored_sizes.iter().copied().filter(|n| *n < largest.names).collect();
    sizes.sort_unstable();
    let mut all =
        sizes.into_iter().map(|n| durable::at(names, n, scale, dir)).collect::<Result<Vec<_>, _>>()?;
    all.push(largest);
    for pair in all.windows(2) {
        let (before, now) = (&pair[0], &pair[1]);
        let (from, to) = (before.names, now.names);
        let bounded = (from, to) == BOUND;
        let epoch = format!("epoch of {} changes on {to} names: written, signed, committed", scale.changes);
        let against = (format!("on {from}"), before.written);
        let row = table.push(format!("growth-durable-{to}"), Unit::WallNs, (epoch, now.written), against);
        if bounded {
            row.must(Must::RatioAtMost(1.6));
        }
        let proof = format!("proof for one of {to} names, every page from RocksDB");
        let against = (format!("of {from}"), before.proof);
        let row = table.push(format!("growth-proof-stored-{to}"), Unit::CpuNs, (proof, now.proof), against);
        if bounded {
            row.must(Must::RatioAtMost(2.0));
        }
    }
    Ok(())
}

/// Measures proofs for the first `count` names in the last epoch's tree.
///
/// # Errors
/// The database's.
pub fn proof(validator: &Validator, names: &Names, count: usize, scale: &Scale) -> anyhow::Result<Proof> {
    let tree = &validator.tree;
    prove(&validator.store, (tree.root(), tree.root_page()), names, count, scale)
}

fn row(table: &mut Table, (id, which): (&str, &str), names: usize, proof: &Proof, bound: f64) {
    let Proof { cpu, pages, bytes } = *proof;
    let workload = format!("proof for one of {names} names, {which}, every page from RocksDB");
    // A page of four levels is hashed whole before it is used; most have 15 parents or more, and leaves below.
    let blocks = bytes / 64.0;
    let limit = blocks * HashSpeed::now().two_blocks / 2.0;
    let against = format!("hashing the {pages:.1} pages it reads, {bytes:.0} bytes, once");
    table.push(id, Unit::CpuNs, (workload, cpu), (against, limit)).must(Must::AtMost(bound));
}

fn prove(
    store: &Store,
    (root, page): (Digest, Option<EpochNumber>),
    names: &Names,
    count: usize,
    scale: &Scale,
) -> anyhow::Result<Proof> {
    let tree = PrefixTree::open(root, page)?;
    let source = Counting { store, pages: Cell::new(0), bytes: Cell::new(0) };
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let keys: Vec<_> = (0..scale.proofs).map(|i| names.key((round + i * 104_729) % count)).collect();
        let (proved, time) = cpu(|| {
            for key in &keys {
                tree.prove_uncached(&source, key)?;
            }
            Ok::<_, anyhow::Error>(())
        });
        proved?;
        times.push(time);
    }
    let proofs = scale.proofs as f64;
    let each = |count: &Cell<usize>| count.get() as f64 / (proofs * ROUNDS as f64);
    Ok(Proof { cpu: median(times) / proofs, pages: each(&source.pages), bytes: each(&source.bytes) })
}

/// A store whose pages are counted when they are read.
struct Counting<'a> {
    store: &'a Store,
    pages: Cell<usize>,
    bytes: Cell<usize>,
}

impl PageSource for Counting<'_> {
    type Error = StoreError;

    fn page(&self, id: &PageId) -> Result<Option<Vec<u8>>, StoreError> {
        let page = self.store.page(id)?;
        self.pages.update(|pages| pages + 1);
        self.bytes.update(|bytes| bytes + page.as_ref().map_or(0, Vec::len));
        Ok(page)
    }
}
