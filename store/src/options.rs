//! How RocksDB is set up: every option that is not its default, with the reason.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel, Options,
};

use crate::{DatabaseError, Family, StoreError};

/// Most memory that the database is to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget {
    /// Bytes of cached blocks, indexes and filters of all families together.
    pub block_cache_bytes: usize,
    /// Bytes of data not yet in table files, all families together. The write-ahead log may grow to four times this.
    pub write_buffer_bytes: usize,
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self { block_cache_bytes: 128 << 20, write_buffer_bytes: 64 << 20 }
    }
}

/// Options of the whole database.
pub(crate) fn database(budget: &MemoryBudget) -> Options {
    let mut options = Options::default();
    // The default, point-in-time recovery, takes one flipped byte in the log for its end and silently drops the synced
    // records behind it. This mode forgives only a record cut off at the very end, which cannot have been synced; and one
    // whose length was damaged there, which looks the same. The guard outside the database knows a head lost that way.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // A reused log file has old records behind its end, which that mode could not tell from damage. (The default; stated
    // because the line above depends on it.)
    options.set_recycle_log_file_num(0);
    // Damage found by a background job stops writing at once. (The default; stated because we depend on it.)
    options.set_paranoid_checks(true);
    // After a write that failed for want of room, RocksDB goes on by itself: it writes the families' memory to tables and
    // drops the log. Done one by one, an end in between would have it replay the failed write from the log into some of
    // the families only, and one batch would no longer be one.
    options.set_atomic_flush(true);
    // All families share one budget, whatever is written most.
    options.set_db_write_buffer_size(budget.write_buffer_bytes);
    // Bounds what an open has to replay, and the memory of an open for reading, which cannot flush.
    options.set_max_total_wal_size(4 * budget.write_buffer_bytes as u64);
    // Bounds open files and the memory of their readers; the default keeps every file open.
    options.set_max_open_files(512);
    // RocksDB's own diary, LOG, holds the options of this start and nothing after: built with assertions, as Debian does,
    // RocksDB ends the process when it cannot go on with it, and a full disk must not end reading.
    options.set_log_level(LogLevel::Fatal);
    options.set_keep_log_file_num(4);
    options
}

/// Options of each column family, on one shared cache.
pub(crate) fn families(budget: &MemoryBudget) -> Result<Vec<ColumnFamilyDescriptor>, StoreError> {
    let cache = Cache::new_lru_cache(budget.block_cache_bytes).map_err(|error| StoreError::Database {
        doing: "set up the block cache".to_owned(),
        source: DatabaseError::from(error),
    })?;
    let of =
        |family: Family| ColumnFamilyDescriptor::new(family.name(), family_options(family, budget, &cache));
    Ok(Family::ALL.into_iter().map(of).collect())
}

fn family_options(family: Family, budget: &MemoryBudget, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    // Indexes and filters count against the cache instead of growing beside it; those of level 0 are used by every read.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if found_by_exact_key(family) {
        // 10 bits a key: one in a hundred files that lack a key is searched for it in vain.
        blocks.set_bloom_filter(10.0, false);
        // (The default; stated because the filter is of use only with it.)
        blocks.set_whole_key_filtering(true);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    // The shared budget decides when to write tables, not a family's own size.
    options.set_write_buffer_size(budget.write_buffer_bytes);
    // Memory is taken in steps of this. The default, a mebibyte for each family however little it holds, would use up a
    // small budget before anything is stored, and write a table for every few values.
    options.set_arena_block_size(budget.write_buffer_bytes / 1024);
    // Hashes and gzip'ed archives do not compress, and what remains is small. The default, snappy, would make the files
    // unreadable to a RocksDB built without it, and put one more decoder between us and what we read back.
    options.set_compression_type(DBCompressionType::None);
    options
}

/// Families read by one exact key at a time in no particular order; the others are small, or read in order.
fn found_by_exact_key(family: Family) -> bool {
    matches!(family, Family::Pages | Family::Nodes | Family::Blobs | Family::Submissions)
}
