//! Reading what is stored.
//!
//! What is named by its hash is hashed before it is returned; of all else RocksDB checks the checksum of the block.

use std::ops::Range;

use pds_core::hash::sha256;
use pds_core::log::NodeReader;
use pds_core::prefix::{PageId, PageSource};
use pds_schemas::disk::{EpochRoot, SubmissionEntry, SubmissionOutcome};
use pds_schemas::{Artefact, Digest, EpochNumber};

use crate::family::{blob_key, node_key, read_digest, read_number};
use crate::{BlobKind, Damage, Family, Store, StoreError};

/// Keys that are looked up together: a look-up that waits for memory or the disk does not keep the next one from starting,
/// and what they give takes little room.
const TOGETHER: usize = 256;

impl Store {
    /// The log's entry of `epoch`: the COSE_Sign1 of its STR.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn entry(&self, epoch: EpochNumber) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(Family::Entries, &epoch.0.to_be_bytes())
    }

    /// The log's entries of all `epochs`, in order. Ask for no more than fit in memory.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when one is missing: ask only for those below the head's size. [`StoreError::Database`].
    pub fn entries(&self, epochs: Range<u64>) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut scan = self.scan(Family::Entries, &epochs.start.to_be_bytes());
        let mut entry = |epoch: u64| match scan.take()? {
            Some((key, value)) if key == epoch.to_be_bytes() => Ok(value),
            _ => Err(missing(Family::Entries, &epoch.to_be_bytes())),
        };
        epochs.map(&mut entry).collect()
    }

    /// What `epoch` has beside its STR; `None` when it is not committed.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Database`].
    pub fn epoch_root(&self, epoch: EpochNumber) -> Result<Option<EpochRoot>, StoreError> {
        self.get_artefact(Family::Epochs, &epoch.0.to_be_bytes())
    }

    /// The encoded `Transition` of `epoch`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn transition(&self, epoch: EpochNumber) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(Family::Transitions, &epoch.0.to_be_bytes())
    }

    /// The bytes of `kind` whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when what is stored has another hash. [`StoreError::Database`].
    pub fn blob(&self, kind: BlobKind, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let key = blob_key(kind, digest);
        let Some(bytes) = self.get(Family::Blobs, &key)? else { return Ok(None) };
        match sha256(&bytes) {
            computed if computed == *digest => Ok(Some(bytes)),
            computed => Err(corrupt(Family::Blobs, &key, Damage::Digest(computed))),
        }
    }

    /// The accepted submission of this digest.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Database`].
    pub fn submission(&self, digest: &Digest) -> Result<Option<SubmissionEntry>, StoreError> {
        self.get_artefact(Family::Submissions, digest.as_ref())
    }

    /// How the submission at place `index` of the queue ended; `None` while no committed epoch covers its decision.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Database`].
    pub fn outcome(&self, index: u64) -> Result<Option<SubmissionOutcome>, StoreError> {
        self.get_artefact(Family::Outcomes, &index.to_be_bytes())
    }

    /// The gzip'ed tar that came with the submission at place `index` of the queue.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when its hash is not the one stored beside it. [`StoreError::Database`].
    pub fn archive(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let key = index.to_be_bytes();
        let Some(mut bytes) = self.get(Family::Archives, &key)? else { return Ok(None) };
        check_archive(&bytes).map_err(|damage| corrupt(Family::Archives, &key, damage))?;
        Ok(Some(bytes.split_off(32)))
    }

    /// Undecided submissions as (index, digest), at most `limit`, in order of their index, from `from` on.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Database`].
    pub fn queue(&self, from: u64, limit: usize) -> Result<Vec<(u64, Digest)>, StoreError> {
        let mut scan = self.scan(Family::Queue, &from.to_be_bytes());
        let mut queued = Vec::new();
        while queued.len() < limit
            && let Some((key, value)) = scan.take()?
        {
            let damaged = |bytes: &[u8]| corrupt(Family::Queue, &key, Damage::Length(bytes.len()));
            let index = read_number(&key).ok_or_else(|| damaged(&key))?;
            queued.push((index, read_digest(&value).ok_or_else(|| damaged(&value))?));
        }
        Ok(queued)
    }

    /// The pages that `epoch` wrote, in the order of their keys.
    ///
    /// # Errors
    /// The iterator's items: [`StoreError::Corrupt`] for a key that no page has, [`StoreError::Database`]. None for an epoch
    /// beyond 32 bits, which wrote none.
    pub fn pages(
        &self,
        epoch: EpochNumber,
    ) -> impl Iterator<Item = Result<(PageId, Vec<u8>), StoreError>> + use<'_> {
        let prefix = PageId::key_prefix(epoch).ok();
        let mut scan = prefix.map(|prefix| (prefix, self.scan(Family::Pages, &prefix)));
        std::iter::from_fn(move || {
            let (prefix, scan) = scan.as_mut()?;
            let (key, value) = match scan.take() {
                Ok(Some(item)) if item.0.starts_with(prefix) => item,
                Ok(_) => return None,
                Err(error) => return Some(Err(error)),
            };
            let id = PageId::from_key(&key);
            Some(
                id.map(|id| (id, value)).map_err(|_| corrupt(Family::Pages, &key, Damage::Length(key.len()))),
            )
        })
    }

    /// Gives `each` the pages that `epoch` wrote, in the order of their keys, from `from` on and before `until`, as the
    /// database gives them out now; until `each` fails, whose error is the inner one. Shortly after they were written they
    /// come from RocksDB's memory: this is about what the database understood.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a key that no page has, [`StoreError::Database`].
    pub fn read_pages<E>(
        &self,
        epoch: EpochNumber,
        (from, until): (Option<PageId>, Option<PageId>),
        mut each: impl FnMut(PageId, &[u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, StoreError> {
        let Ok(prefix) = PageId::key_prefix(epoch) else { return Ok(Ok(())) };
        let mut scan = self.scan(Family::Pages, &from.map_or(prefix.to_vec(), |id| id.to_key()));
        while let Some((key, bytes)) = scan.item()? {
            let id = PageId::from_key(key);
            let id = id.map_err(|_| corrupt(Family::Pages, key, Damage::Length(key.len())))?;
            if id.epoch() != epoch || until.is_some_and(|until| id >= until) {
                break;
            }
            if let Err(error) = each(id, bytes) {
                return Ok(Err(error));
            }
            scan.advance();
        }
        Ok(Ok(()))
    }

    /// Gives `each` of the blobs once, by its digest, with the bytes stored under it, which are not yet hashed; until `each`
    /// fails, whose error is the inner one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn read_blobs<E>(
        &self,
        blobs: impl IntoIterator<Item = (BlobKind, Digest)>,
        mut each: impl FnMut(BlobKind, &Digest, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<Result<(), E>, StoreError> {
        let mut blobs: Vec<_> = blobs.into_iter().collect();
        blobs.sort_unstable();
        blobs.dedup();
        for blobs in blobs.chunks(TOGETHER) {
            let keys: Vec<_> = blobs.iter().map(|(kind, digest)| blob_key(*kind, digest)).collect();
            let values = self.db.batched_multi_get_cf(self.family(Family::Blobs), &keys, true);
            for ((kind, digest), value) in blobs.iter().zip(values) {
                let value = value.map_err(StoreError::database("read blobs"))?;
                if let Err(error) = each(*kind, digest, value.as_deref()) {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Checks that each of the blobs is there and has its hash, as the database gives it out now.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Database`].
    pub fn check_blobs(&self, blobs: impl IntoIterator<Item = (BlobKind, Digest)>) -> Result<(), StoreError> {
        self.read_blobs(blobs, |kind, digest, bytes| {
            let corrupt = |damage| corrupt(Family::Blobs, &blob_key(kind, digest), damage);
            match sha256(bytes.ok_or_else(|| corrupt(Damage::Missing))?) {
                computed if computed == *digest => Ok(()),
                computed => Err(corrupt(Damage::Digest(computed))),
            }
        })?
    }

    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(self.family(family), key).map_err(StoreError::database(format!("read {family}")))
    }

    pub(crate) fn has(&self, family: Family, key: &[u8]) -> Result<bool, StoreError> {
        let value = self.db.get_pinned_cf(self.family(family), key);
        Ok(value.map_err(StoreError::database(format!("read {family}")))?.is_some())
    }

    pub(crate) fn get_artefact<T: Artefact>(
        &self,
        family: Family,
        key: &[u8],
    ) -> Result<Option<T>, StoreError> {
        let Some(bytes) = self.get(family, key)? else { return Ok(None) };
        T::from_bytes(&bytes).map(Some).map_err(|error| corrupt(family, key, error.into()))
    }
}

impl NodeReader for Store {
    type Error = StoreError;

    fn node(&self, level: u8, index: u64) -> Result<Digest, StoreError> {
        let key = node_key(level, index);
        let bytes = self.get(Family::Nodes, &key)?.ok_or_else(|| missing(Family::Nodes, &key))?;
        read_digest(&bytes).ok_or_else(|| corrupt(Family::Nodes, &key, Damage::Length(bytes.len())))
    }
}

/// Pages are returned as stored; the tree compares each with the hash that names it.
impl PageSource for Store {
    type Error = StoreError;

    fn page(&self, id: &PageId) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(Family::Pages, &id.to_key())
    }
}

/// Checks a stored archive: the SHA-256 of what follows, and what follows.
pub(crate) fn check_archive(stored: &[u8]) -> Result<(), Damage> {
    let (digest, archive) = stored.split_first_chunk::<32>().ok_or(Damage::Length(stored.len()))?;
    match sha256(archive) {
        computed if computed.0 == *digest => Ok(()),
        computed => Err(Damage::Digest(computed)),
    }
}

fn corrupt(family: Family, key: &[u8], damage: Damage) -> StoreError {
    StoreError::Corrupt { place: family.at(key), damage }
}

fn missing(family: Family, key: &[u8]) -> StoreError {
    corrupt(family, key, Damage::Missing)
}
