//! Closing epochs on disk: the only place that signs STRs and checkpoints.
//!
//! [`EpochWriter::close`] is the order of ARCHITECTURE.md, "Closing an epoch", step by step. After an error in it the
//! writer must be dropped: what is on disk is known again only after a restart, which runs [`crate::recovery`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::histogram;
use pds_core::epoch::{EpochInput, NameEvents, SealError};
use pds_core::log::Frontier;
use pds_core::prefix::PrefixTree;
use pds_schemas::disk::{EpochRoot, Head};
use pds_schemas::{Artefact, Digest, EpochNumber, PosixTime};
use pds_service::guard::{Guard, GuardError};
use pds_store::{Blob, BlobKind, Decided, EpochCommit, Store, StoreError};

use crate::epoch_data::{Content, PrepareError, Prepared, prepare};
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
    /// Whether it is the last epoch, after which the log is frozen.
    pub is_last: bool,
}

/// Why an epoch was not closed. This process must not write or sign again.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The log was frozen: there are no more epochs.
    #[error("the log was frozen, and has its last epoch")]
    Frozen,
    /// It could not be planned, was not written, or is not what was read back.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The database failed.
    #[error("{doing}")]
    Store {
        /// The step.
        doing: &'static str,
        /// What the database says.
        source: StoreError,
    },
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

    /// Whether the last epoch was closed for ever.
    pub fn is_frozen(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.frozen)
    }

    /// Closes the next epoch with `content`, frozen by the caller (a), and returns what may now be published (g).
    ///
    /// # Errors
    /// [`CloseError`].
    pub fn close(&mut self, now: PosixTime, content: EpochContent) -> Result<Published, CloseError> {
        if self.is_frozen() {
            return Err(CloseError::Frozen);
        }
        let store = Arc::clone(&self.store);
        let store_error = |doing| move |source| CloseError::Store { doing, source };
        let input = EpochInput {
            origin: &self.origin,
            policy: *self.policy.digest(),
            head: self.head.as_ref(),
            tree: &self.tree,
            now,
        };
        let policy = (BlobKind::Policy, *self.policy.digest());
        let has_policy = store.blob(policy.0, &policy.1).map_err(store_error("read policy"))?.is_some();
        let named: Vec<_> = content.named.iter().copied().chain(has_policy.then_some(policy)).collect();
        let new_policy = [self.policy.clone()];
        let blobs = if has_policy { &[] } else { &new_policy[..] };
        // (b) and (c): batch A is on its way to the disk, and what is about to be signed is what the database holds.
        let Prepared { plan, costs } =
            prepare(&store, input, Content { names: &content.names, blobs, named: &named })?;
        for (step, cost) in [("plan", costs.plan), ("write", costs.write), ("check", costs.check)] {
            record_step(step, cost.wall);
        }
        let mut clock = StepClock(Instant::now());
        // (d) Signatures, in memory only.
        let mut sealed = plan.seal(self.frontier.clone(), &self.identity.log, &self.identity.str)?;
        sealed.head.frozen = content.is_last;
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

fn record_step(step: &'static str, time: Duration) {
    histogram!("pds_epoch_step_seconds", "step" => step).record(time.as_secs_f64());
}

/// Says of each step of an epoch how long it took.
struct StepClock(Instant);

impl StepClock {
    fn step(&mut self, step: &'static str) {
        let before = std::mem::replace(&mut self.0, Instant::now());
        record_step(step, self.0 - before);
    }
}
