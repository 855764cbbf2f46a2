//! A validator's epochs on a disk, step by step as `pds-log-server` closes them, each step timed.

use std::path::Path;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use pds_core::epoch::{EpochInput, EpochPlan, NameEvents};
use pds_core::hash::sha256;
use pds_core::log::Frontier;
use pds_core::note::{KeyName, NoteSigner};
use pds_core::prefix::PrefixTree;
use pds_log_server::epoch_data::{Content, Prepared, prepare};
use pds_schemas::disk::{EpochRoot, Head, SubmissionEntry, SubmissionOutcome};
use pds_schemas::{Artefact, Digest, EpochNumber, PosixTime, PublicKey};
use pds_service::guard::Guard;
use pds_store::{Accepted, Blob, Decided, EpochCommit, MemoryBudget, Store};

use crate::measure::{cpu, wall};
use crate::peer::PlainDatabase;

/// The measured validator's name.
pub const ORIGIN: &str = "bench.example/log";
/// When its first epoch is closed.
pub const START: PosixTime = PosixTime(1_795_392_000);

/// One validator with all that it writes.
pub struct Validator {
    /// The database.
    pub store: Store,
    /// Given the same to write.
    pub peer: PlainDatabase,
    /// Outside the database.
    pub guard: Guard,
    /// Signs checkpoints.
    pub log: NoteSigner,
    /// Signs STRs.
    pub str_key: SigningKey,
    /// The last head.
    pub head: Option<Head>,
    /// The log's edge.
    pub frontier: Frontier,
    /// The tree.
    pub tree: PrefixTree,
    /// Index of the next submission.
    next_index: u64,
}

/// What closing one epoch took, and how much it wrote. Steps that the disk has no part in are in CPU time.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// All steps together, on the wall.
    pub wall: Duration,
    /// Name records, tree, change set, unsigned STR; of both threads.
    pub plan_cpu: Duration,
    /// Batch A, not synced: the records, while the tree is changed, and then the rest.
    pub write: Duration,
    /// Reading back, shortly after, and recomputing everything, of both threads; batch A is synced meanwhile.
    pub check_cpu: Duration,
    /// Two signatures.
    pub seal_cpu: Duration,
    /// Batch B, synced.
    pub commit: Duration,
    /// The guard: two syncs.
    pub guard: Duration,
    /// One synced batch of the same keys and values, to the peer.
    pub batch: Duration,
    /// Bytes of that batch.
    pub bytes: usize,
    /// Bytes of the head.
    pub head_bytes: usize,
}

impl Steps {
    /// Steps (b), (d), (e) and (f): what is left of an epoch that is planned and checked.
    pub fn written(&self) -> Duration {
        self.write + self.seal_cpu + self.commit + self.guard
    }
}

impl Validator {
    /// A new one with everything in `folder`.
    ///
    /// # Errors
    /// The disk's.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            store: Store::create(folder.join("store"), &MemoryBudget::default())?,
            peer: PlainDatabase::create(&folder.join("peer"))?,
            guard: Guard::create(&folder.join("guard"), &[])?,
            log: NoteSigner::new(KeyName::new(ORIGIN)?, &[1; 32])?,
            str_key: SigningKey::from_bytes(&[2; 32]),
            head: None,
            frontier: Frontier::new(),
            tree: PrefixTree::empty(),
            next_index: 0,
        })
    }

    /// The key that checks its STRs.
    pub fn str_public(&self) -> PublicKey {
        PublicKey(self.str_key.verifying_key().to_bytes())
    }

    /// The next epoch.
    pub fn next_epoch(&self) -> EpochNumber {
        EpochNumber(self.frontier.size().0)
    }

    /// Accepts `count` submissions, durably and unmeasured, and returns them as the next epoch decides them.
    ///
    /// # Errors
    /// The store's.
    pub fn submit(&mut self, count: usize) -> anyhow::Result<Vec<Decided>> {
        let epoch = self.next_epoch();
        let accept = |i: u64| {
            let signed = [&[0x5a; 400][..], &i.to_be_bytes()].concat();
            let entry = SubmissionEntry { signed: signed.clone(), receipt: vec![0xa5; 200], index: i };
            Accepted { digest: sha256(&signed), entry, archive: vec![0; 64], owner: vec![0; 64] }
        };
        let accepted: Vec<_> = (self.next_index..).take(count).map(accept).collect();
        self.store.accept(&accepted)?;
        self.next_index += count as u64;
        let outcome = |a: &Accepted| SubmissionOutcome { submission: a.digest, epoch, cause: None };
        Ok(accepted.iter().map(|a| Decided { index: a.entry.index, outcome: outcome(a) }).collect())
    }

    /// Closes the next epoch, which names the `bindings`.
    ///
    /// # Errors
    /// The disk's.
    pub fn close(
        &mut self,
        names: &[NameEvents],
        bindings: &[Blob],
        decided: &[Decided],
    ) -> anyhow::Result<(EpochPlan, Steps)> {
        let now = PosixTime(START.0 + self.next_epoch().0);
        let (policy, head, tree) = (Digest([9; 32]), self.head.as_ref(), &self.tree);
        let input = EpochInput { origin: ORIGIN, policy, head, tree, now };
        // The server keeps these when they are decided, like here not synced.
        self.store.keep_blobs(bindings)?;
        let named: Vec<_> = bindings.iter().map(|blob| (blob.kind(), *blob.digest())).collect();
        let content = Content { names, blobs: &[], named: &named };
        let (prepared, prepare) = wall(|| prepare(&self.store, input, content));
        let Prepared { plan: planned, costs } = prepared?;

        let sign = || cpu(|| planned.seal(self.frontier.clone(), &self.log, &self.str_key));
        let ((sealed, seal_cpu), seal) = wall(sign);
        let sealed = sealed?;
        let (committed, commit) = wall(|| {
            self.store.commit_epoch(&EpochCommit {
                head: &sealed.head,
                entry: &sealed.entry,
                epoch_root: EpochRoot { page_epoch: planned.tree.root_page() },
                nodes: &sealed.nodes,
                decided,
            })
        });
        committed?;
        let head = sealed.head.to_bytes();
        let (swapped, guard) = wall(|| self.guard.swap(&head));
        swapped?;

        let (bytes, batch) = self.peer.write(&planned, &sealed, decided)?;
        let steps = Steps {
            wall: prepare + seal + commit + guard,
            plan_cpu: costs.plan.cpu,
            write: costs.write.wall,
            check_cpu: costs.check.cpu,
            seal_cpu,
            commit,
            guard,
            batch,
            bytes,
            head_bytes: head.len(),
        };
        self.head = Some(sealed.head);
        self.frontier = sealed.frontier;
        self.tree = planned.tree.clone();
        Ok((planned, steps))
    }
}
