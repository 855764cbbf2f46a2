//! One epoch of our own log, taken from somebody who serves it.

use anyhow::{Context, ensure};
use pds_client::api::ValidatorApi;
use pds_core::checkpoint::Checkpoint;
use pds_core::cose;
use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::{Frontier, Node};
use pds_core::prefix::PrefixTree;
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::{EpochRoot, Head, SubmissionOutcome};
use pds_schemas::prefix::Change;
use pds_schemas::{
    Artefact, Binding, ChangeSet, Digest, EpochNumber, FailureCause, NameRecord, OwnerRecord, SignedTreeRoot,
    Transition,
};
use pds_store::{BlobKind, Decided, EpochCommit, EpochData, Store};

use super::CaughtUp;
use super::bring::bring;
use super::settle::{Decision, Left, Unsettled};
use crate::identity::Identity;
use crate::stored::read;

/// Changes whose records are in memory at a time.
const GROUP: usize = 1024;

/// Our log and tree, as far as they are caught up.
pub struct Follower {
    /// Whom to ask.
    pub api: ValidatorApi,
    /// The database. Written only here while this runs.
    pub store: Store,
    /// Our keys.
    pub identity: Identity,
    /// The validator.
    pub origin: String,
    /// The last head; `None` before epoch 0.
    pub head: Option<Head>,
    /// The log's edge.
    pub frontier: Frontier,
    /// The tree.
    pub tree: PrefixTree,
    /// The queue.
    pub unsettled: Unsettled,
    /// What came.
    pub counts: CaughtUp,
}

impl Follower {
    /// Takes the epoch that comes next, from its entry, whose hash must be `leaf`; `last` is the guard's head for the last.
    ///
    /// # Errors
    /// For the first thing that does not hold; then the database is as it was, but for blobs that nothing names.
    pub async fn take(
        &mut self,
        epoch: EpochNumber,
        entry: &[u8],
        leaf: &Digest,
        last: Option<&Head>,
    ) -> anyhow::Result<()> {
        ensure!(leaf_hash(entry) == *leaf, "the entry is not the log's");
        let key = cose::public_key(&self.identity.str);
        let str: SignedTreeRoot = cose::open(entry, SignedKind::SignedTreeRoot, &key)?;
        self.check_str(epoch, &str)?;
        let changes = self.changes(&str).await?;
        let applied = self.tree.apply(&self.store, epoch, &changes.changes).context("apply the changes")?;
        let root = applied.tree.root();
        ensure!(
            root == str.prefix_root,
            "the changes lead to prefix root {root}, its STR has {}",
            str.prefix_root
        );
        bring(&self.api, &self.store, [(BlobKind::Policy, str.policy)]).await?;
        let mut decisions = Vec::new();
        for group in changes.changes.chunks(GROUP) {
            decisions.extend(self.bring_records(epoch, group).await?);
        }
        let settled = self.unsettled.settle(str.policy, &decisions)?;
        let decided = settled.left.iter().map(|&Left { index, submission, cause }| Decided {
            index,
            outcome: SubmissionOutcome { submission, epoch, cause },
        });
        let decided: Vec<_> = decided.collect();
        let transition = Transition { epoch, changes, proof: applied.proof };
        let data =
            EpochData { epoch, pages: &applied.pages, blobs: &settled.causes, transition: &transition };
        self.store.write_epoch_data(&data).context("write epoch data")?;
        let pages = self.store.pages(epoch).collect::<Result<Vec<_>, _>>().context("read the pages back")?;
        let read = self.store.transition(epoch).context("read the transition back")?;
        ensure!(
            pages == applied.pages && read.is_some_and(|read| read == transition.to_bytes()),
            "what was read back is not what was written"
        );
        self.commit(&str, entry, applied.tree, last, &decided)?;
        self.counts.epochs += 1;
        self.counts.settled += decided.len() as u64;
        self.counts.unknown += settled.unknown;
        Ok(())
    }

    fn check_str(&self, epoch: EpochNumber, str: &SignedTreeRoot) -> anyhow::Result<()> {
        let head = self.head.as_ref();
        ensure!(str.origin == self.origin, "its STR is of origin {:?}", str.origin);
        ensure!(str.epoch == epoch, "its STR is of epoch {}", str.epoch);
        let previous = head.map_or(Digest::ZERO, |head| head.str_hash);
        ensure!(str.previous == previous, "its STR does not follow on the one before");
        ensure!(
            head.is_none_or(|head| str.time >= head.time),
            "its STR is of a time before the one before it"
        );
        Ok(())
    }

    /// What the STR says that changed.
    async fn changes(&self, str: &SignedTreeRoot) -> anyhow::Result<ChangeSet> {
        let nothing = ChangeSet::default();
        let changes = if str.changes == sha256(&nothing.to_bytes()) {
            nothing
        } else {
            self.api.changes(str.epoch).await?.changes
        };
        ensure!(sha256(&changes.to_bytes()) == str.changes, "the changes are not those that its STR names");
        let added = changes.changes.iter().filter(|change| change.old.is_none()).count() as u64;
        let names = self.head.as_ref().map_or(0, |head| head.names) + added;
        ensure!(str.names == names, "its STR has {} names, by the changes there are {names}", str.names);
        Ok(changes)
    }

    /// Brings the records of `changes`, and all that they name; gives the decisions that are new in them.
    async fn bring_records(&self, epoch: EpochNumber, changes: &[Change]) -> anyhow::Result<Vec<Decision>> {
        let (api, store) = (&self.api, &self.store);
        bring(api, store, changes.iter().map(|change| (BlobKind::NameRecord, change.new))).await?;
        let mut named = Vec::new();
        let mut records = Vec::new();
        for change in changes {
            let record: NameRecord = read(store, BlobKind::NameRecord, &change.new)?;
            let before: Option<NameRecord> =
                change.old.map(|old| read(store, BlobKind::NameRecord, &old)).transpose()?;
            check_record(epoch, change, &record, before.as_ref())
                .map_err(|rule| anyhow::anyhow!("the record of {}: {rule}", change.name))?;
            named.push((BlobKind::Object, record.owner));
            named.extend(record.binding.map(|digest| (BlobKind::Binding, digest)));
            named.extend(record.cause.map(|digest| (BlobKind::Cause, digest)));
            records.push((record, before));
        }
        bring(api, store, named).await?;
        let mut named = Vec::new();
        let mut decisions = Vec::new();
        for (record, before) in records {
            decisions.extend(decided_in(store, &record, before.as_ref(), &mut named)?);
        }
        bring(api, store, named).await?;
        Ok(decisions)
    }

    fn commit(
        &mut self,
        str: &SignedTreeRoot,
        entry: &[u8],
        tree: PrefixTree,
        last: Option<&Head>,
        decided: &[Decided],
    ) -> anyhow::Result<()> {
        let mut frontier = self.frontier.clone();
        let mut nodes: Vec<Node> = Vec::new();
        let str_hash = leaf_hash(entry);
        frontier.append(str_hash, |node| nodes.push(node))?;
        let (size, log_root) = (frontier.size(), frontier.root());
        let mut head = Head {
            size,
            log_root,
            str_hash,
            time: str.time,
            prefix: tree.root_page().map(|page| (tree.root(), page)),
            names: str.names,
            checkpoint: String::new(),
            frozen: last.is_some_and(|last| last.frozen),
        };
        match last {
            Some(last) => {
                last.checkpoint.clone_into(&mut head.checkpoint);
                ensure!(head == *last, "the last epoch's head is not the guard's");
            }
            // Signed before, and the same again: the guard's head extends this root.
            None => {
                let checkpoint = Checkpoint { origin: self.origin.clone(), size, root: log_root };
                head.checkpoint = checkpoint.sign(&self.identity.log)?.to_string();
            }
        }
        let commit = EpochCommit {
            head: &head,
            entry,
            epoch_root: EpochRoot { page_epoch: tree.root_page() },
            nodes: &nodes,
            decided,
        };
        self.store.commit_epoch(&commit).context("commit the epoch")?;
        (self.head, self.frontier, self.tree) = (Some(head), frontier, tree);
        Ok(())
    }
}

fn check_record(
    epoch: EpochNumber,
    change: &Change,
    record: &NameRecord,
    before: Option<&NameRecord>,
) -> Result<(), &'static str> {
    let rules = [
        (record.name == change.name, "it is about another name"),
        (record.changed == epoch, "it says that it changed in another epoch"),
        (record.previous == change.old, "it follows another record than the one before it in the tree"),
        (
            before.is_none_or(|before| before.highest_release <= record.highest_release),
            "its highest release is below that of the record before it",
        ),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(rule))
}

/// The decisions that are in `record` and were not in the one before; `named` gets what they name.
fn decided_in(
    store: &Store,
    record: &NameRecord,
    before: Option<&NameRecord>,
    named: &mut Vec<(BlobKind, Digest)>,
) -> anyhow::Result<Vec<Decision>> {
    let owner: OwnerRecord = read(store, BlobKind::Object, &record.owner)?;
    ensure!(owner.name == record.name, "the owner record of {} is of {}", record.name, owner.name);
    let mut decisions = Vec::new();
    if let Some(digest) = record.binding {
        let binding: Binding = read(store, BlobKind::Binding, &digest)?;
        let fits = binding.name == record.name && binding.release <= record.highest_release;
        ensure!(fits, "the binding of {} is of {} release {}", record.name, binding.name, binding.release);
        named.extend(binding.objects.iter().map(|(_, object)| (BlobKind::Object, *object)));
        named.extend([binding.manifest, binding.environment].map(|object| (BlobKind::Object, object)));
        named.push((BlobKind::Policy, binding.policy));
        if before.and_then(|before| before.binding) != Some(digest) {
            let (name, release, submission) = (binding.name, binding.release, binding.submission);
            decisions.push(Decision { name, release, submission, cause: None });
        }
    }
    if let Some(digest) = record.cause {
        let cause: FailureCause = read(store, BlobKind::Cause, &digest)?;
        let fits = cause.name == record.name && cause.release <= record.highest_release;
        ensure!(fits, "the cause of {} is of {} release {}", record.name, cause.name, cause.release);
        named.push((BlobKind::Policy, cause.policy));
        if before.and_then(|before| before.cause) != Some(digest) {
            let (name, release, submission) = (cause.name, cause.release, cause.submission);
            decisions.push(Decision { name, release, submission, cause: Some(digest) });
        }
    }
    Ok(decisions)
}
