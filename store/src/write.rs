//! Writing: what becomes durable together, and in which order.
//!
//! After any failed write or sync, what is on disk is unknown: a failed sync may or may not have reached it, and a second
//! one that succeeds says nothing about the first. So the store writes no more until it is opened anew.

use std::collections::BTreeSet;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::Node;
use pds_core::prefix::PageId;
use pds_schemas::disk::{EpochRoot, Head, SubmissionEntry, SubmissionOutcome};
use pds_schemas::{Artefact, Digest, EpochNumber, Transition, TreeSize};
use rocksdb::{WriteBatch, WriteOptions};

use crate::family::{HEAD_KEY, NEXT_INDEX_KEY, blob_key, node_key};
use crate::{Blob, BlobKind, Family, Place, Store, StoreError};

/// Batch A is written in pieces of about this many bytes: only batch B has to be one.
const PIECE_BYTES: usize = 8 << 20;

/// A submission to be acknowledged.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// SHA-256 of the submission.
    pub digest: Digest,
    /// Its entry; the index is the next one.
    pub entry: SubmissionEntry,
    /// The source tree as it was sent, a gzip'ed tar.
    pub archive: Vec<u8>,
    /// The encoded [`pds_schemas::OwnerRecord`] it was made under; kept as an object.
    pub owner: Vec<u8>,
}

/// Batch A: what an epoch's commitment is about.
#[derive(Clone, Copy, Debug)]
pub struct EpochData<'a> {
    /// The epoch; the one that comes next.
    pub epoch: EpochNumber,
    /// Pages of this epoch's tree that are new; none when nothing changed.
    pub pages: &'a [(PageId, Vec<u8>)],
    /// Name records, bindings, objects, causes and policies that are new. One that is there already does no harm.
    pub blobs: &'a [Blob],
    /// The epoch's change set with its proof; present in every epoch.
    pub transition: &'a Transition,
}

/// Batch B: an epoch's commitment.
#[derive(Clone, Copy, Debug)]
pub struct EpochCommit<'a> {
    /// The new head; its size is one more than the last one's.
    pub head: &'a Head,
    /// The log's new entry: the COSE_Sign1 of the STR.
    pub entry: &'a [u8],
    /// What the epoch has beside its STR.
    pub epoch_root: EpochRoot,
    /// Nodes of the log that the entry completes, its leaf first; from [`pds_core::log::append`].
    pub nodes: &'a [Node],
    /// The submissions that this epoch decides. They leave the queue.
    pub decided: &'a [Decided],
}

/// A submission whose decision is covered by an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Its place in the queue, which it leaves.
    pub index: u64,
    /// How it ended, in the epoch.
    pub outcome: SubmissionOutcome,
}

/// What [`Store::drop_unfinished`] found and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Pages of epochs beyond the head.
    pub pages: usize,
    /// Transitions of epochs beyond the head.
    pub transitions: usize,
}

/// What the next write has to follow on. Whoever holds it may write.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// The head's size; 0 before epoch 0.
    pub size: u64,
    /// Index of the next submission.
    pub next_index: u64,
    /// Whether the head is the last one.
    pub frozen: bool,
}

impl Store {
    /// Whether an earlier write failed, so that no more will be tried.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Stores submissions with their archives and queues them, all in one synced write: durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Frozen`], and [`StoreError::Contradiction`] when an index is not the next one or a submission is there
    /// already: none of the submissions was stored. [`StoreError::Poisoned`], [`StoreError::ReadOnly`], [`StoreError::Database`].
    pub fn accept(&self, submissions: &[Accepted]) -> Result<(), StoreError> {
        let mut writer = self.turn_to_grow()?;
        let mut batch = WriteBatch::default();
        let mut next_index = writer.next_index;
        let mut given = BTreeSet::new();
        for Accepted { digest, entry, archive, owner } in submissions {
            let place = || Family::Submissions.at(digest.as_ref());
            let new = given.insert(digest) && !self.has(Family::Submissions, digest.as_ref())?;
            refuse_unless(new, place, "a submission is accepted once")?;
            refuse_unless(entry.index == next_index, place, "it gets the next index of the queue")?;
            batch.put_cf(self.family(Family::Submissions), digest, entry.to_bytes());
            let stored = [sha256(archive).as_ref(), archive].concat();
            batch.put_cf(self.family(Family::Archives), next_index.to_be_bytes(), stored);
            batch.put_cf(self.family(Family::Queue), next_index.to_be_bytes(), digest);
            self.put_blob(&mut batch, BlobKind::Object, &sha256(owner), owner);
            next_index += 1;
        }
        batch.put_cf(self.family(Family::Meta), NEXT_INDEX_KEY, next_index.to_be_bytes());
        self.write_synced(batch, "accept submissions")?;
        writer.next_index = next_index;
        Ok(())
    }

    /// Batch A: stores what the next epoch is about, not synced. Durable only by [`Store::commit_epoch`]; without it,
    /// [`Store::drop_unfinished`] removes it again (blobs stay: they are named by their hash, and nothing names them).
    ///
    /// # Errors
    /// [`StoreError::Frozen`], [`StoreError::EpochOutOfOrder`], [`StoreError::Unfinished`], [`StoreError::Contradiction`] for a page or transition
    /// of another epoch, all before anything is written. [`StoreError::Poisoned`], [`StoreError::ReadOnly`],
    /// [`StoreError::Database`].
    pub fn write_epoch_data(&self, data: &EpochData<'_>) -> Result<(), StoreError> {
        let writer = self.turn_to_grow()?;
        let expected = EpochNumber(writer.size);
        if data.epoch != expected {
            return Err(StoreError::EpochOutOfOrder { expected, found: data.epoch });
        }
        if let Some(place) = self.unfinished(writer.size)?.next().transpose()? {
            return Err(StoreError::Unfinished(place));
        }
        let epoch_key = data.epoch.0.to_be_bytes();
        let own = data.transition.epoch == data.epoch;
        refuse_unless(own, || Family::Transitions.at(epoch_key), "a transition is of its own epoch")?;
        for (id, _) in data.pages {
            let own = id.epoch() == data.epoch;
            refuse_unless(own, || Family::Pages.at(id.to_key()), "a page is of the epoch that writes it")?;
        }
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(Family::Transitions), epoch_key, data.transition.to_bytes());
        for (id, page) in data.pages {
            batch.put_cf(self.family(Family::Pages), id.to_key(), page);
            batch = self.write_when_large(batch)?;
        }
        let batch = self.put_blobs(batch, data.blobs)?;
        self.write(batch, false, "write epoch data")
    }

    /// Syncs what was written so far. A commit does that itself; for one that follows later there is less left to wait for.
    ///
    /// May be called beside reads, not beside a write: the caller is the one that writes.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`], [`StoreError::ReadOnly`], [`StoreError::Database`].
    pub fn sync_log(&self) -> Result<(), StoreError> {
        let _turn = self.turn()?;
        self.db.flush_wal(true).map_err(|error| self.failed("sync the log", error))
    }

    /// Stores what a coming epoch will name, not synced: durable by the next [`Store::commit_epoch`] or [`Store::accept`].
    ///
    /// Until an epoch names them, nothing does, and they do no harm: blobs are found by their hash alone.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`], [`StoreError::ReadOnly`], [`StoreError::Database`].
    pub fn keep_blobs(&self, blobs: &[Blob]) -> Result<(), StoreError> {
        let _turn = self.turn()?;
        let batch = self.put_blobs(WriteBatch::default(), blobs)?;
        self.write(batch, false, "write blobs")
    }

    /// Batch B: the commit point, one synced write. When it returns, this epoch and its batch A are durable: the log files
    /// are synced up to this write, and A was written before.
    ///
    /// # Errors
    /// [`StoreError::Frozen`], [`StoreError::EpochOutOfOrder`], and [`StoreError::Contradiction`] when the parts do not fit each other, batch A or
    /// the queue; nothing was written. [`StoreError::Poisoned`], [`StoreError::ReadOnly`], [`StoreError::Database`].
    pub fn commit_epoch(&self, commit: &EpochCommit<'_>) -> Result<(), StoreError> {
        let mut writer = self.turn_to_grow()?;
        let (epoch, expected) = (EpochNumber(commit.head.size.0.saturating_sub(1)), EpochNumber(writer.size));
        if commit.head.size != expected.log_size() {
            return Err(StoreError::EpochOutOfOrder { expected, found: epoch });
        }
        self.check_commit(epoch, commit)?;
        let key = epoch.0.to_be_bytes();
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(Family::Entries), key, commit.entry);
        batch.put_cf(self.family(Family::Epochs), key, commit.epoch_root.to_bytes());
        for node in commit.nodes {
            batch.put_cf(self.family(Family::Nodes), node_key(node.level, node.index), node.hash);
        }
        for Decided { index, outcome } in commit.decided {
            batch.put_cf(self.family(Family::Outcomes), index.to_be_bytes(), outcome.to_bytes());
            batch.delete_cf(self.family(Family::Queue), index.to_be_bytes());
        }
        batch.put_cf(self.family(Family::Meta), HEAD_KEY, commit.head.to_bytes());
        self.write_synced(batch, "commit an epoch")?;
        writer.size = commit.head.size.0;
        writer.frozen = commit.head.frozen;
        Ok(())
    }

    /// Removes, synced, the pages and transitions of epochs beyond the head: what a crash between batch A and batch B left.
    ///
    /// Entries, nodes and epoch roots are written by batch B alone, together with the head. One beyond it would be damage,
    /// maybe a signed statement: it is left for [`crate::fsck`] to name.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`], [`StoreError::ReadOnly`], [`StoreError::Database`].
    pub fn drop_unfinished(&self) -> Result<Dropped, StoreError> {
        let writer = self.turn()?;
        let mut batch = WriteBatch::default();
        let mut dropped = Dropped::default();
        for place in self.unfinished(writer.size)? {
            let place = place?;
            match place.family {
                Family::Pages => dropped.pages += 1,
                _ => dropped.transitions += 1,
            }
            batch.delete_cf(self.family(place.family), place.key);
        }
        if !batch.is_empty() {
            self.write_synced(batch, "drop an unfinished epoch")?;
        }
        Ok(dropped)
    }

    pub(crate) fn write_synced(&self, batch: WriteBatch, doing: &'static str) -> Result<(), StoreError> {
        self.write(batch, true, doing)
    }

    fn check_commit(&self, epoch: EpochNumber, commit: &EpochCommit<'_>) -> Result<(), StoreError> {
        let key = epoch.0.to_be_bytes();
        let written = self.has(Family::Transitions, &key)?;
        refuse_unless(
            written,
            || Family::Entries.at(key),
            "an epoch's data is written before it is committed",
        )?;
        let leaf = leaf_hash(commit.entry);
        let named = leaf == commit.head.str_hash;
        refuse_unless(named, || Family::Meta.at(HEAD_KEY), "a head names the last entry's leaf hash")?;
        let same = commit.epoch_root.page_epoch == commit.head.prefix.map(|(_, page_epoch)| page_epoch);
        refuse_unless(same, || Family::Epochs.at(key), "an epoch and its head name the same root page")?;
        let first = commit.nodes.first() == Some(&Node { level: 0, index: epoch.0, hash: leaf });
        refuse_unless(
            first,
            || Family::Nodes.at(node_key(0, epoch.0)),
            "the first node is the entry's leaf",
        )?;
        self.check_decided(epoch, commit.decided)
    }

    fn check_decided(&self, epoch: EpochNumber, decided: &[Decided]) -> Result<(), StoreError> {
        if decided.is_empty() {
            return Ok(());
        }
        // Most often they follow each other in the queue, so that the cursor is where it has to be.
        let mut queue = self.scan(Family::Queue, &decided.first().map_or(0, |d| d.index).to_be_bytes());
        for Decided { index, outcome } in decided {
            let key = index.to_be_bytes();
            if !queue.is_at(&key) {
                queue.seek(&key);
            }
            let queued = queue.take()?;
            let queued =
                queued.is_some_and(|(at, digest)| at == key && digest == outcome.submission.as_ref());
            let place = || Family::Outcomes.at(key);
            refuse_unless(queued, place, "only what is in the queue is decided")?;
            refuse_unless(outcome.epoch == epoch, place, "what an epoch decides is published in it")?;
        }
        Ok(())
    }

    /// Places of the transitions and pages of epochs from `size` on.
    fn unfinished(
        &self,
        size: u64,
    ) -> Result<impl Iterator<Item = Result<Place, StoreError>> + use<'_>, StoreError> {
        let transitions = (Family::Transitions, self.scan(Family::Transitions, &size.to_be_bytes()));
        // Page keys have four bytes for the epoch: from 2^32 on there is none.
        let first_page = PageId::key_prefix(EpochNumber(size)).map_or([0xff; 5].to_vec(), Into::into);
        let pages = (Family::Pages, self.scan(Family::Pages, &first_page));
        Ok([transitions, pages].into_iter().flat_map(|(family, mut scan)| {
            std::iter::from_fn(move || {
                let item = scan.take().transpose()?;
                Some(item.map(|(key, _)| family.at(key)))
            })
        }))
    }

    fn put_blobs(&self, mut batch: WriteBatch, blobs: &[Blob]) -> Result<WriteBatch, StoreError> {
        let mut blobs: Vec<&Blob> = blobs.iter().collect();
        // In the order of their keys RocksDB looks for the place of each from that of the one before.
        blobs.sort_unstable_by_key(|blob| (blob.kind(), blob.digest()));
        for blob in blobs {
            self.put_blob(&mut batch, blob.kind(), blob.digest(), blob.bytes());
            batch = self.write_when_large(batch)?;
        }
        Ok(batch)
    }

    fn put_blob(&self, batch: &mut WriteBatch, kind: BlobKind, digest: &Digest, bytes: &[u8]) {
        batch.put_cf(self.family(Family::Blobs), blob_key(kind, digest), bytes);
    }

    fn write_when_large(&self, batch: WriteBatch) -> Result<WriteBatch, StoreError> {
        if batch.size_in_bytes() < PIECE_BYTES {
            return Ok(batch);
        }
        self.write(batch, false, "write epoch data")?;
        Ok(WriteBatch::default())
    }

    /// A turn to write something new, which a frozen log does not take.
    fn turn_to_grow(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        let writer = self.turn()?;
        if writer.frozen { Err(StoreError::Frozen { size: TreeSize(writer.size) }) } else { Ok(writer) }
    }

    pub(crate) fn turn(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        let writer = self.writer.as_ref().ok_or(StoreError::ReadOnly)?;
        // A writer that panicked may have written without noting it.
        let writer = writer.lock().map_err(|_| StoreError::Poisoned)?;
        if self.is_poisoned() { Err(StoreError::Poisoned) } else { Ok(writer) }
    }

    fn write(&self, batch: WriteBatch, sync: bool, doing: &'static str) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.db.write_opt(batch, &options).map_err(|error| self.failed(doing, error))
    }

    fn failed(&self, doing: &'static str, error: rocksdb::Error) -> StoreError {
        self.poisoned.store(true, Ordering::Release);
        // After ENOSPC, RocksDB would write again as soon as it finds room: tables, and a new log. Reads go on.
        self.db.cancel_all_background_work(false);
        StoreError::database(doing)(error)
    }
}

fn refuse_unless(holds: bool, place: impl FnOnce() -> Place, rule: &'static str) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(StoreError::Contradiction { place: place(), rule }) }
}
