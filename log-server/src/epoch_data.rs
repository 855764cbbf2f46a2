//! Steps (a) to (c) of closing an epoch: it is planned, written, and recomputed from what the database gives out again.
//!
//! Nothing here signs, and nothing that it leaves on the disk counts before [`crate::epoch_writer`] commits it. The order
//! is that of ARCHITECTURE.md, "Closing an epoch". Two threads share the work: records and changes are made of half the
//! names each; records need no tree, so they are written and read back while the tree is changed; and pages are looked at
//! one by one, so that both threads look at some.

use std::ops::{AddAssign, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pds_core::epoch::{
    EpochInput, EpochPlan, NameEvents, NamePlan, PagesRead, PlanError, ReadBackError, change_names,
    check_record, plan,
};
use pds_schemas::Digest;
use pds_store::{Blob, BlobKind, Damage, EpochData, Family, Store, StoreError};
use rustix::time::{ClockId, clock_gettime};

/// Parts that an epoch's pages are read back in: enough that neither thread waits long for the other at the end.
const PARTS: usize = 8;

/// What an epoch is made of, beside the validator's state.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// What happened to names.
    pub names: &'a [NameEvents],
    /// What is to be written with the records.
    pub blobs: &'a [Blob],
    /// What is in the database already, and is to be read back.
    pub named: &'a [(BlobKind, Digest)],
}

/// An epoch that is written, not synced, and may be signed.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The epoch.
    pub plan: EpochPlan,
    /// What it took.
    pub costs: Costs,
}

/// What the steps took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    /// (a) Records, changes, tree, unsigned STR.
    pub plan: Cost,
    /// (b) Batch A.
    pub write: Cost,
    /// (c) Reading back, recomputing.
    pub check: Cost,
}

/// What a step took of all threads that worked on it, which may have done so at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// On the wall.
    pub wall: Duration,
    /// Of the processor.
    pub cpu: Duration,
}

/// Why an epoch may not be signed. What is on disk is known again only after a restart.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
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
}

/// Plans the epoch after `input.head`, writes batch A and checks all of it as read back.
///
/// # Errors
/// [`PrepareError`].
pub fn prepare(store: &Store, input: EpochInput<'_>, content: Content<'_>) -> Result<Prepared, PrepareError> {
    let mut costs = Costs::default();
    let names = plan_names(input, content.names, &mut costs.plan);
    let (planned, kept) = beside(
        || Cost::of(|| plan(input, names.clone(), store).map_err(Box::new)),
        || write_records(store, &names, content),
    );
    costs.plan += planned.1;
    let plan = planned.0?;
    let (write, check) = kept?;
    costs.write += write;
    costs.check += check;
    let data =
        EpochData { epoch: plan.str.epoch, pages: &plan.pages, blobs: &[], transition: &plan.transition };
    let (written, cost) = Cost::of(|| store.write_epoch_data(&data));
    costs.write += cost;
    written.map_err(failed("write epoch data"))?;
    costs.check += check_tree(store, &plan)?;
    Ok(Prepared { plan, costs })
}

fn plan_names(input: EpochInput<'_>, names: &[NameEvents], total: &mut Cost) -> NamePlan {
    let (here, there) = names.split_at(names.len() / 2);
    let change = |names| Cost::of(|| change_names(input.epoch(), names));
    let (here, there) = beside(|| change(here), || change(there));
    let (names, joining) = Cost::of(|| NamePlan::join(here.0.into_iter().chain(there.0)));
    for cost in [here.1, there.1, joining] {
        *total += cost;
    }
    names
}

/// Writes what is found by its hash, and checks it as read back, with what was there before; gives the costs of both.
fn write_records(
    store: &Store,
    names: &NamePlan,
    content: Content<'_>,
) -> Result<(Cost, Cost), PrepareError> {
    let (kept, write) = Cost::of(|| {
        let records = names.records().iter();
        let mut blobs: Vec<_> =
            records.map(|(_, bytes)| Blob::new(BlobKind::NameRecord, bytes.clone())).collect();
        blobs.extend_from_slice(content.blobs);
        store.keep_blobs(&blobs)
    });
    kept.map_err(failed("write records"))?;
    let (checked, check) = Cost::of(|| {
        let others = content.blobs.iter().map(|blob| (blob.kind(), *blob.digest()));
        store.check_blobs(others.chain(content.named.iter().copied())).map_err(failed("read blobs back"))?;
        let records = names.records().iter().map(|(digest, _)| (BlobKind::NameRecord, *digest));
        let checked = store.read_blobs(records, |_, digest, bytes| check_record(digest, bytes));
        Ok::<_, PrepareError>(checked.map_err(failed("read records back"))??)
    });
    checked.map(|()| (write, check))
}

/// Checks pages and transition as read back. All of batch A is synced meanwhile, so that the commit has less to wait for.
fn check_tree(store: &Store, plan: &EpochPlan) -> Result<Cost, PrepareError> {
    let tasks = Tasks { store, plan, next: AtomicUsize::new(0) };
    let (checked, synced) =
        beside(|| beside(|| Cost::of(|| tasks.work()), || Cost::of(|| tasks.work())), || store.sync_log());
    synced.map_err(failed("sync epoch data"))?;
    let ((here, mut cost), (there, other)) = checked;
    let (joined, joining) = Cost::of(|| {
        let mut parts = here?;
        parts.extend(there?);
        parts.sort_by_key(|(place, _)| *place);
        let mut read = PagesRead::new(plan, 0..0);
        parts.into_iter().for_each(|(_, part)| read.append(part));
        Ok::<_, PrepareError>(plan.check_pages(read)?)
    });
    joined?;
    cost += other;
    cost += joining;
    Ok(cost)
}

/// What there is to check of an epoch, taken from the front by whoever is free.
struct Tasks<'a> {
    store: &'a Store,
    plan: &'a EpochPlan,
    next: AtomicUsize,
}

impl<'a> Tasks<'a> {
    /// Does tasks as long as there are any; gives the parts of the pages read, each with its place among them.
    fn work(&self) -> Result<Vec<(usize, PagesRead<'a>)>, PrepareError> {
        let mut parts = Vec::new();
        loop {
            match self.next.fetch_add(1, Ordering::Relaxed) {
                // The longest task, first.
                0 => self.check_transition()?,
                task @ 1..=PARTS => parts.push((task, self.read_part(task - 1)?)),
                _ => return Ok(parts),
            }
        }
    }

    fn check_transition(&self) -> Result<(), PrepareError> {
        let epoch = self.plan.str.epoch;
        let read = self.store.transition(epoch).and_then(|bytes| {
            let place = Family::Transitions.at(epoch.0.to_be_bytes());
            bytes.ok_or(StoreError::Corrupt { place, damage: Damage::Missing })
        });
        Ok(self.plan.check_transition(&read.map_err(failed("read the transition back"))?)?)
    }

    /// Reads what there is between the first page of this part, or the epoch's begin, and that of the next, or its end.
    fn read_part(&self, part: usize) -> Result<PagesRead<'a>, PrepareError> {
        let pages = &self.plan.pages;
        let start = |part: usize| part * pages.len() / PARTS;
        let Range { start, end } = start(part)..start(part + 1);
        let bound =
            |part: usize, at: usize| pages.get(at).filter(|_| 0 < part && part < PARTS).map(|page| page.0);
        let mut read = PagesRead::new(self.plan, start..end);
        let between = (bound(part, start), bound(part + 1, end));
        let epoch = self.plan.str.epoch;
        let taken = self.store.read_pages(epoch, between, |id, bytes| read.take(id, bytes));
        taken.map_err(failed("read pages back"))??;
        Ok(read)
    }
}

/// Does `there` on another thread while this one does `here`; on this one too when there is no thread to be had.
fn beside<A, B: Send>(here: impl FnOnce() -> A, there: impl Fn() -> B + Sync) -> (A, B) {
    thread::scope(|scope| match thread::Builder::new().spawn_scoped(scope, &there) {
        Ok(other) => {
            let here = here();
            (here, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        }
        Err(_) => (here(), there()),
    })
}

fn failed(doing: &'static str) -> impl FnOnce(StoreError) -> PrepareError {
    move |source| PrepareError::Store { doing, source }
}

impl Cost {
    /// What `work` gives, and what it took of this thread.
    pub fn of<T>(work: impl FnOnce() -> T) -> (T, Self) {
        let (started, cpu) = (Instant::now(), thread_cpu());
        let result = work();
        (result, Self { wall: started.elapsed(), cpu: thread_cpu().saturating_sub(cpu) })
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
