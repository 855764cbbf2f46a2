//! Closing epochs on disk: the only place that signs STRs and checkpoints.
//!
//! [`EpochWriter::close`] is the order of ARCHITECTURE.md, "Closing an epoch", step by step. After an error in it the
//! writer must be dropped: what is on disk is known again only after a restart, which runs [`crate::recovery`].

use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use metrics::histogram;
use pds_core::epoch::{EpochInput, EpochPlan, NameEvents, PlanError, ReadBackError, SealError, plan};
use pds_core::log::Frontier;
use pds_core::prefix::PrefixTree;
use pds_schemas::disk::{EpochRoot, Head};
use pds_schemas::{Artefact, Digest, EpochNumber, PosixTime};
use pds_service::guard::{Guard, GuardError};
use pds_store::{Blob, BlobKind, Decided, EpochCommit, EpochData, Store, StoreError};

use crate::identity::Identity;
use crate::shared::Published;

/// The validator's log and tree, with all that it takes to make them grow.
pub struct EpochWriter {
    /// The database.
    pub store: Arc<Store>,
    /// Holds `head`, outside the database.
    pub guard: Guard,
    /// The keys.
    pub identity: Identity,
    /// The validator.
    pub origin: String,
    /// The policy in force.
    pub policy: Blob,
    /// The last signed head; `None` before epoch 0.
    pub head: Option<Head>,
    /// The log's edge.
    pub frontier: Frontier,
    /// The tree.
    pub tree: PrefixTree,
}

/// What goes into one epoch.
#[derive(Debug, Default)]
pub struct EpochContent {
    /// What happened to names.
    pub names: Vec<NameEvents>,
    /// Bindings, causes and objects that the decisions name, which are in the database already.
    pub named: Vec<(BlobKind, Digest)>,
    /// The submissions decided, with their outcomes in this epoch.
    pub decided: Vec<Decided>,
}

/// Why an epoch was not closed. This process must not write or sign again.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The tree could not be read or does not take the changes.
    #[error("plan the epoch")]
    Plan(#[from] Box<PlanError<StoreError>>),
    /// The database failed.
    #[error("{doing}")]
    Store {
        /// The step.
        doing: &'static str,
        /// What the database says.
        source: StoreError,
    },
    /// The disk does not hold what was written.
    #[error("what was read back is not what was written")]
    ReadBack(#[from] ReadBackError),
    /// Signing failed.
    #[error("sign the epoch")]
    Seal(#[from] SealError),
    /// The guard did not move.
    #[error("move the guard")]
    Guard(#[from] GuardError),
}

impl EpochWriter {
    /// The epoch that comes next.
    pub fn next_epoch(&self) -> EpochNumber {
        EpochNumber(self.head.as_ref().map_or(0, |head| head.size.0))
    }

    /// Closes the next epoch with `content`, frozen by the caller (a), and returns what may now be published (g).
    ///
    /// # Errors
    /// [`CloseError`].
    pub fn close(&mut self, now: PosixTime, content: EpochContent) -> Result<Published, CloseError> {
        let store = Arc::clone(&self.store);
        let store_error = |doing| move |source| CloseError::Store { doing, source };
        let input = EpochInput {
            origin: &self.origin,
            policy: *self.policy.digest(),
            head: self.head.as_ref(),
            tree: &self.tree,
            now,
            names: &content.names,
        };
        let mut clock = StepClock(Instant::now());
        let plan = plan(input, &*store).map_err(Box::new)?;
        clock.step("plan");
        let records = plan.records.iter().map(|(_, bytes)| Blob::new(BlobKind::NameRecord, bytes.clone()));
        let mut blobs: Vec<Blob> = records.collect();
        if store.blob(BlobKind::Policy, self.policy.digest()).map_err(store_error("read policy"))?.is_none() {
            blobs.push(self.policy.clone());
        }
        // (b) Batch A, not synced.
        let data = EpochData {
            epoch: plan.str.epoch,
            pages: &plan.pages,
            blobs: &blobs,
            transition: &plan.transition,
        };
        store.write_epoch_data(&data).map_err(store_error("write epoch data"))?;
        clock.step("write");
        // (c) What is about to be signed is what the disk holds. It is synced meanwhile, so that (e) has less to wait for.
        let policy = (BlobKind::Policy, *self.policy.digest());
        let named = content.named.iter().copied().chain([policy]);
        std::thread::scope(|scope| {
            let syncing = std::thread::Builder::new().spawn_scoped(scope, || store.sync_log());
            let checked = check_read_back(&store, &plan, named);
            // Where there is no thread to be had, (e) syncs all of it.
            if let Ok(Ok(synced)) = syncing.map(ScopedJoinHandle::join) {
                synced.map_err(store_error("sync epoch data"))?;
            }
            checked
        })?;
        clock.step("check");
        // (d) Signatures, in memory only.
        let sealed = plan.seal(self.frontier.clone(), &self.identity.log, &self.identity.str)?;
        clock.step("sign");
        // (e) Batch B, synced: the commit point.
        let commit = EpochCommit {
            head: &sealed.head,
            entry: &sealed.entry,
            epoch_root: EpochRoot { page_epoch: plan.tree.root_page() },
            nodes: &sealed.nodes,
            decided: &content.decided,
        };
        store.commit_epoch(&commit).map_err(store_error("commit the epoch"))?;
        clock.step("commit");
        // (f) The guard, before anybody sees the head.
        self.guard.swap(&sealed.head.to_bytes())?;
        clock.step("guard");
        self.head = Some(sealed.head.clone());
        self.frontier = sealed.frontier;
        self.tree = plan.tree.clone();
        Ok(Published { head: sealed.head, str: plan.str, entry: sealed.entry, tree: plan.tree })
    }
}

/// Says of each step of an epoch how long it took.
struct StepClock(Instant);

impl StepClock {
    fn step(&mut self, step: &'static str) {
        let before = std::mem::replace(&mut self.0, Instant::now());
        histogram!("pds_epoch_step_seconds", "step" => step).record((self.0 - before).as_secs_f64());
    }
}

fn check_read_back(
    store: &Store,
    plan: &EpochPlan,
    named: impl IntoIterator<Item = (BlobKind, Digest)>,
) -> Result<(), CloseError> {
    let store_error = |source| CloseError::Store { doing: "read the epoch back", source };
    let epoch = plan.str.epoch;
    let records = plan.records.iter().map(|(digest, _)| *digest);
    let mut read = store.read_back(epoch, records, named).map_err(store_error)?;
    // The plan asks for the record of every change, and hashes it.
    Ok(plan.check_read_back(read.pages, &read.transition, |digest| read.records.remove(digest))?)
}
