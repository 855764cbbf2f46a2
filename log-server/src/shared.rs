//! What the sequencer shows to everybody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use pds_core::prefix::PrefixTree;
use pds_schemas::disk::Head;
use pds_schemas::json::Progress;
use pds_schemas::{Digest, EpochNumber, SignedTreeRoot};
use pds_store::Store;

/// The last published epoch, whole: what is read from one of these belongs together.
#[derive(Debug)]
pub struct Published {
    /// The head.
    pub head: Head,
    /// The STR's payload.
    pub str: SignedTreeRoot,
    /// The log entry: the STR's COSE_Sign1.
    pub entry: Vec<u8>,
    /// The prefix tree.
    pub tree: PrefixTree,
}

/// State shared by the sequencer, the builder and the HTTP handlers.
#[derive(Debug)]
pub struct Shared {
    /// The database. Written only by the sequencer.
    pub store: Arc<Store>,
    /// Replaced only by the sequencer, once an epoch is durable and the guard has moved.
    published: RwLock<Arc<Published>>,
    /// Submissions that are not published yet and no longer just queued. Written by builder and sequencer.
    progress: Mutex<HashMap<Digest, Progress>>,
    /// Why nothing is signed or accepted any more. Set once, by the sequencer.
    halted: RwLock<Option<String>>,
    /// Whether this only serves a copy. Set before anybody sees it.
    is_read_only: bool,
}

/// Why nothing more is ever signed or accepted, and all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The log has its last epoch.
    Frozen(EpochNumber),
    /// This process serves a copy.
    ReadOnly,
}

impl Shared {
    /// Starts from what was published last.
    pub fn new(store: Arc<Store>, published: Published) -> Self {
        Self {
            store,
            published: RwLock::new(Arc::new(published)),
            progress: Mutex::default(),
            halted: RwLock::default(),
            is_read_only: false,
        }
    }

    /// As [`Shared::new`], for a process that only serves.
    pub fn read_only(store: Arc<Store>, published: Published) -> Self {
        Self { is_read_only: true, ..Self::new(store, published) }
    }

    /// Whether, and why, this process accepts and signs nothing by what it is for.
    pub fn closed(&self) -> Option<Closed> {
        let head = &self.published().head;
        if head.frozen {
            return Some(Closed::Frozen(EpochNumber(head.size.0 - 1)));
        }
        self.is_read_only.then_some(Closed::ReadOnly)
    }

    /// The last published epoch.
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes an epoch.
    pub fn publish(&self, published: Published) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(published);
    }

    /// How far an unpublished submission got; `None` while it is queued or once it is published.
    pub fn progress(&self, submission: &Digest) -> Option<Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).get(submission).copied()
    }

    /// Notes how far a submission got; `None` forgets it.
    pub fn set_progress(&self, submission: Digest, progress: Option<Progress>) {
        let mut map = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Some(progress) => map.insert(submission, progress),
            None => map.remove(&submission),
        };
    }

    /// Why this process signs and accepts no more, if so.
    pub fn halted(&self) -> Option<String> {
        self.halted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that this process signs and accepts no more. The first reason stays.
    pub fn halt(&self, reason: String) {
        self.halted.write().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }
}
