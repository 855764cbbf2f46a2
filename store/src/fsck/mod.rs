//! Rereading and rehashing everything that is stored.
//!
//! Goes on after each finding, and takes memory for one epoch at a time. What is expected follows from the signed entries
//! alone; nothing that is stored beside them is taken for true. Writing waits while a check runs.
//!
//! Out of scope: the guard outside the database, the history that others saw (their heads are not here), and whether a
//! validator decided rightly. Of an archive it is checked that it is what was sent, not what is in it.

mod epochs;
mod finding;
mod intake;
mod lane;
mod pages;
mod records;

use pds_core::checkpoint::SignedCheckpoint;
use pds_core::cose;
use pds_core::log::Frontier;
use pds_core::note::VerifierKey;
use pds_core::prefix::PrefixTree;
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::Head;
use pds_schemas::{Artefact, Digest, PublicKey, SignedTreeRoot};

use crate::family::{FORMAT_KEY, HEAD_KEY, NEXT_INDEX_KEY, read_number};
use crate::{Damage, Family, Place, Store, StoreError};
use epochs::Tip;
pub use finding::{Finding, Problem};

/// Whose log is to be in the store.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Origin of the log.
    pub origin: String,
    /// Signs its checkpoints.
    pub log: VerifierKey,
    /// Signs its STRs and receipts.
    pub str: PublicKey,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Epochs, each with its entry, nodes and transition.
    pub epochs: u64,
    /// Nodes of the log.
    pub nodes: u64,
    /// Pages of all epochs' prefix trees.
    pub pages: u64,
    /// Changes of all epochs, each with its name record and what that names.
    pub changes: u64,
    /// Names in the last tree.
    pub names: u64,
    /// Blobs of every kind.
    pub blobs: u64,
    /// Submissions.
    pub submissions: u64,
    /// Those of them that wait for a decision.
    pub queued: u64,
    /// Those of them that are decided.
    pub outcomes: u64,
    /// Archives.
    pub archives: u64,
    /// Findings reported.
    pub findings: u64,
}

/// How far the check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being read. `Entries` stands for all that belongs to an epoch.
    pub family: Family,
    /// Epochs, or keys of the family, done.
    pub done: u64,
    /// How many there are, where that is known before.
    pub of: Option<u64>,
}

/// Checks the whole store; a sound one has no finding.
///
/// `report` gets each finding as it is made, `progress` a sign of life after each epoch and now and then between keys.
pub fn check(
    store: &Store,
    keys: &Keys,
    report: &mut dyn FnMut(Finding),
    progress: &mut dyn FnMut(Progress),
) -> Counts {
    // Held to the end. Whether a writer panicked does not matter to a reader.
    let _turn = store.writer.as_ref().map(|writer| writer.lock());
    let mut checker = Checker { store, keys, counts: Counts::default(), report, progress };
    checker.check_meta();
    let head = checker.head();
    let size = head.as_ref().map_or_else(|_| checker.count_entries(), |h| h.as_ref().map_or(0, |h| h.size.0));
    let (tip, frontier) = checker.check_epochs(size);
    checker.check_nodes_within(size);
    if let Ok(Some(head)) = &head {
        checker.check_head(head, tip.as_ref(), &frontier);
        checker.check_last_tree(head);
    }
    checker.check_blobs();
    checker.check_submissions();
    checker.check_queue();
    checker.check_outcomes(size);
    checker.check_archives();
    checker.counts
}

/// A finding was reported, and there is nothing to go on with.
struct Reported;

struct Checker<'a> {
    store: &'a Store,
    keys: &'a Keys,
    counts: Counts,
    report: &'a mut dyn FnMut(Finding),
    progress: &'a mut dyn FnMut(Progress),
}

impl Checker<'_> {
    fn add(&mut self, place: Place, problem: impl Into<Problem>) {
        self.counts.findings += 1;
        (self.report)(Finding { place, problem: problem.into() });
    }

    fn require(&mut self, holds: bool, place: impl FnOnce() -> Place, rule: &'static str) {
        if !holds {
            self.add(place(), Problem::Rule(rule));
        }
    }

    fn read(&mut self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, Reported> {
        self.store.get(family, key).map_err(|error| self.unreadable(family.at(key), error))
    }

    /// What must be there.
    fn read_existing(&mut self, family: Family, key: &[u8]) -> Result<Vec<u8>, Reported> {
        self.read(family, key)?.ok_or_else(|| {
            self.add(family.at(key), Damage::Missing);
            Reported
        })
    }

    fn decode<T: Artefact>(&mut self, place: impl FnOnce() -> Place, bytes: &[u8]) -> Result<T, Reported> {
        T::from_bytes(bytes).map_err(|error| {
            self.add(place(), Damage::Malformed(error));
            Reported
        })
    }

    fn unreadable(&mut self, place: Place, error: StoreError) -> Reported {
        self.add(place, Problem::Unreadable(error));
        Reported
    }

    /// The head, `None` before epoch 0.
    fn head(&mut self) -> Result<Option<Head>, Reported> {
        let Some(bytes) = self.read(Family::Meta, HEAD_KEY)? else { return Ok(None) };
        self.decode(|| Family::Meta.at(HEAD_KEY), &bytes).map(Some)
    }

    /// Length of the run of entries from epoch 0 on: what is checked when the head cannot say.
    fn count_entries(&mut self) -> u64 {
        let mut scan = self.store.scan(Family::Entries, &[]);
        let mut size = 0;
        while let Ok(Some((key, _))) = scan.current()
            && read_number(key) == Some(size)
        {
            size += 1;
            scan.advance();
        }
        size
    }

    fn check_meta(&mut self) {
        self.for_each(Family::Meta, |checker, key, _| {
            let known = [FORMAT_KEY, HEAD_KEY, NEXT_INDEX_KEY].contains(&key);
            if !known {
                checker.add(Family::Meta.at(key), Problem::Key);
            }
        });
    }

    fn check_head(&mut self, head: &Head, tip: Option<&Tip>, frontier: &Frontier) {
        let place = || Family::Meta.at(HEAD_KEY);
        self.require(head.log_root == frontier.root(), place, "its log root is not that of the entries");
        if let Some(Tip { str, leaf, page_epoch }) = tip {
            self.require(head.str_hash == *leaf, place, "its STR hash is not that of the last entry");
            self.require(head.time == str.time, place, "its time is not the last STR's");
            self.require(head.names == str.names, place, "its number of names is not the last STR's");
            let prefix = page_epoch.map(|epoch| (str.prefix_root, epoch));
            self.require(head.prefix == prefix, place, "its prefix root is not the last STR's");
        }
        match SignedCheckpoint::open(head.checkpoint.as_bytes(), &self.keys.log) {
            Err(error) => self.add(place(), error),
            Ok(signed) => {
                let checkpoint = signed.checkpoint();
                let same = checkpoint.size == head.size && checkpoint.root == head.log_root;
                self.require(same, place, "its checkpoint is of another size or root");
                let origin = checkpoint.origin == self.keys.origin;
                self.require(origin, place, "its checkpoint is of another origin");
            }
        }
    }

    /// Walks the last tree from its root, as answers to peers do.
    fn check_last_tree(&mut self, head: &Head) {
        let place = || Family::Meta.at(HEAD_KEY);
        let (root, page_epoch) = match head.prefix {
            Some((root, epoch)) => (root, Some(epoch)),
            None => (Digest::ZERO, None),
        };
        let Ok(tree) = PrefixTree::open(root, page_epoch) else {
            return self.add(place(), Problem::Rule("its prefix root and page name no tree"));
        };
        let mut names = 0;
        let walked = tree.for_each_leaf(self.store, |_| {
            names += 1;
            std::ops::ControlFlow::<()>::Continue(())
        });
        self.counts.names = names;
        match walked {
            Err(error) => self.add(place(), Problem::Tree(error)),
            Ok(_) => self.require(
                names == head.names,
                place,
                "its number of names is not that of the tree's leaves",
            ),
        }
    }

    fn open_str(&mut self, place: impl FnOnce() -> Place, bytes: &[u8]) -> Result<SignedTreeRoot, Reported> {
        cose::open(bytes, SignedKind::SignedTreeRoot, &self.keys.str).map_err(|error| {
            self.add(place(), error);
            Reported
        })
    }
}
