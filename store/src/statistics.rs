//! Figures for metrics. Estimates, cheap to take at any time.

use rocksdb::properties;

use crate::{Family, Store, StoreError};

/// Figures of the whole database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Figures of each family, in the order of [`Family::ALL`].
    pub families: Vec<FamilyStatistics>,
    /// Bytes of cached blocks, all families together.
    pub block_cache_bytes: u64,
    /// Most bytes of blocks that are cached.
    pub block_cache_capacity_bytes: u64,
    /// Bytes of cached blocks that are in use and cannot be given up.
    pub block_cache_pinned_bytes: u64,
    /// Compactions under way.
    pub running_compactions: u64,
    /// Table files being written from memory.
    pub running_flushes: u64,
    /// Errors of background jobs since the store was opened; above 0, writing is over.
    pub background_errors: u64,
    /// Whether writes wait for compaction.
    pub write_stopped: bool,
    /// Bytes a second to which writes are slowed down; 0 when they are not.
    pub delayed_write_rate: u64,
}

/// Figures of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyStatistics {
    /// Which.
    pub family: Family,
    /// Keys, about.
    pub keys: u64,
    /// Bytes in table files.
    pub table_bytes: u64,
    /// Bytes in memory, not yet in table files.
    pub memory_bytes: u64,
    /// Bytes outside the cache by which its table files are read.
    pub reader_bytes: u64,
    /// Bytes that compaction has yet to rewrite, about.
    pub pending_compaction_bytes: u64,
    /// Whether a compaction waits to be run.
    pub compaction_pending: bool,
}

impl Store {
    /// The database's figures.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn statistics(&self) -> Result<Statistics, StoreError> {
        // These are of the whole database and alike in every family.
        let shared = |name| self.property(Family::Meta, name);
        Ok(Statistics {
            families: Family::ALL.into_iter().map(|f| self.family_statistics(f)).collect::<Result<_, _>>()?,
            block_cache_bytes: shared(properties::BLOCK_CACHE_USAGE)?,
            block_cache_capacity_bytes: shared(properties::BLOCK_CACHE_CAPACITY)?,
            block_cache_pinned_bytes: shared(properties::BLOCK_CACHE_PINNED_USAGE)?,
            running_compactions: shared(properties::NUM_RUNNING_COMPACTIONS)?,
            running_flushes: shared(properties::NUM_RUNNING_FLUSHES)?,
            background_errors: shared(properties::BACKGROUND_ERRORS)?,
            write_stopped: shared(properties::IS_WRITE_STOPPED)? > 0,
            delayed_write_rate: shared(properties::ACTUAL_DELAYED_WRITE_RATE)?,
        })
    }

    fn family_statistics(&self, family: Family) -> Result<FamilyStatistics, StoreError> {
        Ok(FamilyStatistics {
            family,
            keys: self.property(family, properties::ESTIMATE_NUM_KEYS)?,
            table_bytes: self.property(family, properties::TOTAL_SST_FILES_SIZE)?,
            memory_bytes: self.property(family, properties::CUR_SIZE_ALL_MEM_TABLES)?,
            reader_bytes: self.property(family, properties::ESTIMATE_TABLE_READERS_MEM)?,
            pending_compaction_bytes: self.property(family, properties::ESTIMATE_PENDING_COMPACTION_BYTES)?,
            compaction_pending: self.property(family, properties::COMPACTION_PENDING)? > 0,
        })
    }

    fn property(&self, family: Family, name: &std::ffi::CStr) -> Result<u64, StoreError> {
        let value = self.db.property_int_value_cf(self.family(family), name);
        Ok(value.map_err(StoreError::database(format!("read statistics of {family}")))?.unwrap_or(0))
    }
}
