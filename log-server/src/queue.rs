//! The submissions that wait for their decision, and the names that they claim.
//!
//! A copy in memory of what the database says, owned by the sequencer. Names are claimed from the moment a submission is
//! accepted: the first key owns the name, and releases only grow, before any epoch says so.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::Context;
use pds_core::cose;
use pds_core::epoch::NameEvents;
use pds_core::hash::sha256;
use pds_core::name_record::{Decision, NameEvent};
use pds_core::prefix::{PrefixTree, key_of};
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::SubmissionOutcome;
use pds_schemas::{
    Artefact, Digest, EpochNumber, NameRecord, PluginName, PosixTime, PublicKey, Receipt, Release, Submission,
};
use pds_service::http::Client;
use pds_store::{BlobKind, Decided, Store};

use crate::admission::{Holder, Places};
use crate::epoch_writer::EpochContent;
use crate::stored::is_undecided;

/// Most names that one epoch changes. What is left over waits for the next one.
pub const NAMES_AN_EPOCH: usize = 32_768;

/// One undecided, or decided and unpublished, submission.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// SHA-256 of the submission.
    pub digest: Digest,
    /// Its name.
    pub name: PluginName,
    /// Its release.
    pub release: Release,
    /// SHA-256 of the owner record it was made under.
    pub owner: Digest,
    /// Whose place it is.
    pub holder: Holder,
    /// An STR of this time or later must not leave it undecided.
    pub decide_by: PosixTime,
    /// Its decision, once there is one.
    pub decision: Option<Settled>,
    /// Whether an epoch covers that it was seen.
    pub admitted: bool,
}

/// A decision whose artefacts are in the database.
#[derive(Clone, Debug)]
pub struct Settled {
    /// What goes into the name's record.
    pub decision: Decision,
    /// Binding or cause, and what they name.
    pub named: Vec<(BlobKind, Digest)>,
}

/// Who has a name, and which release was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// SHA-256 of the owner record.
    pub owner: Digest,
    /// The highest release.
    pub highest: Release,
}

/// All waiting submissions.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<u64, Waiting>,
    /// How many of them have no decision: asked for after every group of commands, however many wait.
    undecided: usize,
    /// For each name with a waiting submission: how many, and the claim.
    claims: HashMap<PluginName, (usize, Claim)>,
    /// The places of all that waits.
    places: Arc<Places>,
}

/// What an epoch takes from the queue.
#[derive(Debug)]
pub struct Frozen {
    /// For the epoch.
    pub content: EpochContent,
    /// Places in the queue that the epoch covers.
    pub covered: Vec<u64>,
}

impl Queue {
    /// Reads the queue of `store`.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn load(store: &Store) -> anyhow::Result<Self> {
        let mut queue = Self::default();
        for (index, digest) in store.queue(0, usize::MAX).context("read queue")? {
            let entry = store.submission(&digest).context("read submission")?;
            let entry =
                entry.with_context(|| format!("submission {digest} is queued and not there; run fsck"))?;
            let (submission, owner): (Submission, _) =
                cose::open_any_key(&entry.signed, SignedKind::Submission)
                    .with_context(|| format!("submission {digest} is damaged; run fsck"))?;
            let receipt: Receipt = cose::open_any_key(&entry.receipt, SignedKind::Receipt)
                .with_context(|| format!("the receipt of submission {digest} is damaged; run fsck"))?
                .0;
            let holder = Holder { owner, client: Client::Many };
            queue.push(index, digest, &submission, holder, receipt.decide_by);
        }
        Ok(queue)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Who holds the places, as it is at any time.
    pub fn places(&self) -> Arc<Places> {
        Arc::clone(&self.places)
    }

    /// How many are undecided.
    pub fn undecided(&self) -> usize {
        self.undecided
    }

    /// Whether an epoch has something to say of some submission.
    pub fn has_news(&self) -> bool {
        self.waiting.values().any(|w| w.decision.is_some() || !w.admitted)
    }

    /// Places of the undecided submissions with the keys that signed them, first come first.
    pub fn undecided_places(&self) -> Vec<(u64, PublicKey)> {
        let undecided = self.waiting.iter().filter(|(_, w)| w.decision.is_none());
        undecided.map(|(index, w)| (*index, w.holder.owner)).collect()
    }

    /// What is promised to be decided by `time` and is not, with its place in the queue.
    pub fn overdue(&self, time: PosixTime) -> Vec<(u64, Waiting)> {
        let overdue = |w: &Waiting| w.decision.is_none() && w.decide_by <= time;
        self.waiting.iter().filter(|(_, w)| overdue(w)).map(|(index, w)| (*index, w.clone())).collect()
    }

    /// Adds an accepted submission.
    pub fn push(
        &mut self,
        index: u64,
        digest: Digest,
        submission: &Submission,
        holder: Holder,
        decide_by: PosixTime,
    ) {
        self.places.take(holder);
        let owner = sha256(&submission.owner.to_bytes());
        let claim = Claim { owner, highest: submission.release };
        let (count, held) = self.claims.entry(submission.name.clone()).or_insert((0, claim));
        *count += 1;
        held.highest = held.highest.max(submission.release);
        let waiting = Waiting {
            digest,
            name: submission.name.clone(),
            release: submission.release,
            owner,
            holder,
            decide_by,
            decision: None,
            admitted: false,
        };
        self.waiting.insert(index, waiting);
        self.undecided += 1;
    }

    /// Who has `name` by what waits or by the tree; `None` when nobody does.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn claim(
        &self,
        name: &PluginName,
        store: &Store,
        tree: &PrefixTree,
    ) -> anyhow::Result<Option<Claim>> {
        let recorded = current_record(store, tree, name)?;
        let recorded = recorded.map(|r| Claim { owner: r.owner, highest: r.highest_release });
        let waiting = self.claims.get(name).map(|(_, claim)| *claim);
        Ok(match (recorded, waiting) {
            (Some(recorded), Some(waiting)) => {
                Some(Claim { owner: recorded.owner, highest: recorded.highest.max(waiting.highest) })
            }
            (recorded, waiting) => recorded.or(waiting),
        })
    }

    /// Whether the log saw `release` of `name` and waits for its decision, and no such submission is here: it was accepted
    /// by a database that is lost, and an older copy caught up with the log. It may be brought again.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn is_missing(
        &self,
        name: &PluginName,
        release: Release,
        store: &Store,
        tree: &PrefixTree,
    ) -> anyhow::Result<bool> {
        if self.claims.get(name).is_some_and(|(_, claim)| claim.highest >= release) {
            return Ok(false);
        }
        match current_record(store, tree, name)? {
            Some(record) if record.highest_release == release => is_undecided(store, &record),
            _ => Ok(false),
        }
    }

    /// Whether that place waits for its decision.
    pub fn is_undecided(&self, index: u64) -> bool {
        self.waiting.get(&index).is_some_and(|w| w.decision.is_none())
    }

    /// Notes a decision; `None` if that place is not waiting for one.
    pub fn decide(&mut self, index: u64, decision: Settled) -> Option<Digest> {
        let waiting = self.waiting.get_mut(&index).filter(|w| w.decision.is_none())?;
        waiting.decision = Some(decision);
        self.undecided -= 1;
        Some(waiting.digest)
    }

    /// What the epoch `epoch` is to say: admissions, and decisions in the order of the queue.
    ///
    /// A decision waits for those of the same name before it, so that a retried build cannot put an old release back.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn freeze(&self, epoch: EpochNumber, store: &Store, tree: &PrefixTree) -> anyhow::Result<Frozen> {
        let mut names: BTreeMap<&PluginName, Vec<NameEvent>> = BTreeMap::new();
        let mut held_back: HashSet<&PluginName> = HashSet::new();
        let mut frozen = Frozen { content: EpochContent::default(), covered: Vec::new() };
        for (index, waiting) in &self.waiting {
            let Waiting { name, owner, release, .. } = waiting;
            let decision = waiting.decision.as_ref().filter(|_| !held_back.contains(name));
            if waiting.decision.is_none() {
                held_back.insert(name);
            }
            if decision.is_none() && waiting.admitted {
                continue;
            }
            if names.len() == NAMES_AN_EPOCH && !names.contains_key(name) {
                continue;
            }
            let (owner, release) = (*owner, *release);
            let events = names.entry(name).or_default();
            match decision {
                None => events.push(NameEvent::Admitted { owner, release }),
                Some(Settled { decision, named }) => {
                    events.push(NameEvent::Decided { owner, release, decision: *decision });
                    frozen.content.named.extend(named);
                    frozen.content.decided.push(ended(*index, epoch, waiting.digest, *decision));
                }
            }
            frozen.covered.push(*index);
        }
        for (name, events) in names {
            let current = current_record(store, tree, name)?;
            frozen.content.names.push(NameEvents { name: name.clone(), current, events });
        }
        Ok(frozen)
    }

    /// Takes note that an epoch covers `frozen`, and returns the submissions that it published.
    pub fn settle(&mut self, covered: &[u64], published: &HashSet<Digest>) -> Vec<Digest> {
        let mut gone = Vec::new();
        for index in covered {
            let Some(waiting) = self.waiting.get_mut(index) else { continue };
            waiting.admitted = true;
            if !published.contains(&waiting.digest) {
                continue;
            }
            gone.push(waiting.digest);
            if let Some(waiting) = self.waiting.remove(index) {
                self.places.give_back(waiting.holder);
                self.release_claim(&waiting.name);
            }
        }
        gone
    }

    fn release_claim(&mut self, name: &PluginName) {
        if let Some((count, _)) = self.claims.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.claims.remove(name);
            }
        }
    }
}

fn ended(index: u64, epoch: EpochNumber, submission: Digest, decision: Decision) -> Decided {
    let cause = match decision {
        Decision::Validated(_) => None,
        Decision::Failed(cause) => Some(cause),
    };
    Decided { index, outcome: SubmissionOutcome { submission, epoch, cause } }
}

/// The record of `name` in `tree`.
///
/// # Errors
/// When the database is damaged.
pub fn current_record(
    store: &Store,
    tree: &PrefixTree,
    name: &PluginName,
) -> anyhow::Result<Option<NameRecord>> {
    let Some(commitment) = tree.lookup(store, &key_of(name)).context("read prefix tree")? else {
        return Ok(None);
    };
    let bytes = store.blob(BlobKind::NameRecord, &commitment).context("read name record")?;
    let bytes = bytes.ok_or_else(|| anyhow::anyhow!("name record {commitment} is gone; run fsck"))?;
    Ok(Some(NameRecord::from_bytes(&bytes).context("decode name record")?))
}
