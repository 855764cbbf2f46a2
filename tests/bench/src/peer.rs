//! What a durable epoch is held against: RocksDB as it comes, given the same keys and values in one synced batch.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use pds_core::epoch::{EpochPlan, SealedEpoch};
use pds_schemas::Artefact;
use pds_schemas::disk::EpochRoot;
use pds_store::{Decided, Family};
use rocksdb::{ColumnFamily, DB, Options, WriteBatch, WriteOptions};

use crate::measure::wall;

/// A database with the families of a store, all options at their defaults but that nothing is compressed, as in a store.
pub struct PlainDatabase(DB);

impl PlainDatabase {
    /// Makes a new one.
    ///
    /// # Errors
    /// The disk's.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_compression_type(rocksdb::DBCompressionType::None);
        let families = Family::ALL.map(|family| (family.name(), options.clone()));
        DB::open_cf_with_opts(&options, path, families).map(Self).context("make a database to compare with")
    }

    /// Writes what an epoch writes in one synced batch; gives the bytes of its keys and values, and the time it took.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(
        &self,
        plan: &EpochPlan,
        sealed: &SealedEpoch,
        decided: &[Decided],
    ) -> anyhow::Result<(usize, Duration)> {
        let epoch = plan.str.epoch.0.to_be_bytes();
        let root = EpochRoot { page_epoch: plan.tree.root_page() }.to_bytes();
        let (written, time) = wall(|| {
            let mut batch = WriteBatch::default();
            for (id, page) in &plan.pages {
                batch.put_cf(self.family(Family::Pages), id.to_key(), page);
            }
            for (digest, record) in plan.records.iter() {
                let key = [&[0][..], digest.as_ref()].concat();
                batch.put_cf(self.family(Family::Blobs), key, record);
            }
            batch.put_cf(self.family(Family::Transitions), epoch, plan.transition.to_bytes());
            batch.put_cf(self.family(Family::Entries), epoch, &sealed.entry);
            batch.put_cf(self.family(Family::Epochs), epoch, &root);
            for node in &sealed.nodes {
                let key = [&[node.level][..], &node.index.to_be_bytes()].concat();
                batch.put_cf(self.family(Family::Nodes), key, node.hash);
            }
            for Decided { index, outcome } in decided {
                batch.put_cf(self.family(Family::Outcomes), index.to_be_bytes(), outcome.to_bytes());
                batch.delete_cf(self.family(Family::Queue), index.to_be_bytes());
            }
            batch.put_cf(self.family(Family::Meta), b"head", sealed.head.to_bytes());
            let bytes = batch.size_in_bytes();
            let mut options = WriteOptions::default();
            options.set_sync(true);
            self.0.write_opt(batch, &options).map(|()| bytes)
        });
        Ok((written.context("write the batch to compare with")?, time))
    }

    fn family(&self, family: Family) -> &ColumnFamily {
        self.0.cf_handle(family.name()).expect("every family was made with the database")
    }
}
