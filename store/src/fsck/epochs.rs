//! The log and what each of its entries commits to, epoch by epoch.

use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::{Frontier, Node};
use pds_core::prefix::verify_transition;
use pds_schemas::disk::EpochRoot;
use pds_schemas::{Artefact, Digest, EpochNumber, SignedTreeRoot, Transition};

use super::lane::Lane;
use super::pages::Expected;
use super::{Checker, Problem, Progress, Reported};
use crate::Family;
use crate::family::{node_key, read_digest, read_node_key};

/// What is known of the last epoch looked at.
pub(super) struct Tip {
    pub str: SignedTreeRoot,
    /// Leaf hash of its entry.
    pub leaf: Digest,
    /// Epoch that wrote the top page of its tree, as follows from the STRs.
    pub page_epoch: Option<EpochNumber>,
}

/// The tree that an epoch starts from.
#[derive(Clone, Copy)]
struct Before {
    root: Digest,
    names: u64,
    page_epoch: Option<EpochNumber>,
}

impl Checker<'_> {
    /// Checks the first `size` epochs, and that the families ordered by epoch hold nothing else. `None` when the last entry
    /// is damaged.
    pub(super) fn check_epochs(&mut self, size: u64) -> (Option<Tip>, Frontier) {
        let [mut entries, mut epochs, mut transitions, mut pages] =
            [Family::Entries, Family::Epochs, Family::Transitions, Family::Pages]
                .map(|family| Lane::new(self.store, family));
        let mut frontier = Frontier::new();
        let mut tip: Option<Tip> = None;
        let mut leaf = Digest::ZERO;
        for number in 0..size {
            let (epoch, key) = (EpochNumber(number), number.to_be_bytes());
            let entry = entries.take(&key, self).ok();
            let str = self.check_entry(epoch, entry.as_deref(), &leaf, tip.as_ref());
            leaf = self.leaf_of(epoch, entry.as_deref(), str.is_some());
            self.check_nodes(&mut frontier, leaf);

            let nothing = Before { root: Digest::ZERO, names: 0, page_epoch: None };
            let before = match &tip {
                None => (number == 0).then_some(nothing),
                Some(Tip { str, page_epoch, .. }) => {
                    Some(Before { root: str.prefix_root, names: str.names, page_epoch: *page_epoch })
                }
            };
            let stored = epochs.take(&key, self).ok();
            let page_epoch = self.check_epoch_root(epoch, stored.as_deref(), str.as_ref(), before);
            if let Ok(transition) = transitions.take(&key, self) {
                self.check_transition(epoch, &transition, str.as_ref(), before);
            }
            let expected = Expected {
                root: str.as_ref().map(|str| str.prefix_root),
                before: before.map(|before| (before.root, before.page_epoch)),
            };
            self.check_pages(epoch, &mut pages, expected);
            if let Some(str) = &str {
                self.check_policy(epoch, str);
            }
            tip = str.map(|str| Tip { str, leaf, page_epoch });
            self.counts.epochs += 1;
            (self.progress)(Progress { family: Family::Entries, done: number + 1, of: Some(size) });
        }
        for lane in [entries, epochs, transitions, pages] {
            lane.finish(size, self);
        }
        (tip, frontier)
    }

    /// Checks that every node is one that a log of `size` leaves has; those were compared when they were computed.
    pub(super) fn check_nodes_within(&mut self, size: u64) {
        self.for_each(Family::Nodes, |checker, key, _| {
            checker.counts.nodes += 1;
            match read_node_key(key) {
                Some((level, index)) if level < 64 => {
                    if index >= size >> level {
                        checker.add(Family::Nodes.at(key), Problem::Beyond);
                    }
                }
                _ => checker.add(Family::Nodes.at(key), Problem::Key),
            }
        });
    }

    fn check_entry(
        &mut self,
        epoch: EpochNumber,
        entry: Option<&[u8]>,
        leaf_before: &Digest,
        before: Option<&Tip>,
    ) -> Option<SignedTreeRoot> {
        let place = || Family::Entries.at(epoch.0.to_be_bytes());
        let str = self.open_str(place, entry?).ok()?;
        self.require(str.origin == self.keys.origin, place, "its origin is not this log's");
        self.require(str.epoch == epoch, place, "its epoch is not its index");
        self.require(
            str.previous == *leaf_before,
            place,
            "its previous digest is not that of the entry before",
        );
        if let Some(before) = before {
            self.require(str.time >= before.str.time, place, "its time is before that of the entry before");
        }
        Some(str)
    }

    /// The leaf to go on with: that of the entry if its signature holds, or else the stored one, so that one damaged entry
    /// is not reported again as a damaged log.
    fn leaf_of(&mut self, epoch: EpochNumber, entry: Option<&[u8]>, holds: bool) -> Digest {
        let from_entry = entry.map(leaf_hash);
        if let Some(leaf) = from_entry.filter(|_| holds) {
            return leaf;
        }
        let stored = self.store.get(Family::Nodes, &node_key(0, epoch.0)).ok().flatten();
        stored.and_then(|bytes| read_digest(&bytes)).or(from_entry).unwrap_or_default()
    }

    fn check_nodes(&mut self, frontier: &mut Frontier, leaf: Digest) {
        let mut complete = Vec::new();
        // Full only at 2^64 - 1 leaves, which no loop reaches.
        let _ = frontier.append(leaf, |node| complete.push(node));
        for Node { level, index, hash } in complete {
            let key = node_key(level, index);
            if let Ok(stored) = self.read_existing(Family::Nodes, &key) {
                let place = || Family::Nodes.at(key);
                self.require(stored == hash.as_ref(), place, "is not the hash of the entries below it");
            }
        }
    }

    /// Gives the epoch that wrote the top page: as the STRs have it, or, next to a damaged entry, as it is stored.
    fn check_epoch_root(
        &mut self,
        epoch: EpochNumber,
        stored: Option<&[u8]>,
        str: Option<&SignedTreeRoot>,
        before: Option<Before>,
    ) -> Option<EpochNumber> {
        let place = || Family::Epochs.at(epoch.0.to_be_bytes());
        let stored =
            stored.and_then(|bytes| self.decode::<EpochRoot>(place, bytes).ok()).map(|root| root.page_epoch);
        let (Some(str), Some(before)) = (str, before) else { return stored.flatten() };
        let changed = str.prefix_root != before.root;
        let page_epoch = if changed { Some(epoch) } else { before.page_epoch };
        if let Some(stored) = stored {
            self.require(stored == page_epoch, place, "its page epoch is not the last that changed the tree");
        }
        page_epoch
    }

    fn check_transition(
        &mut self,
        epoch: EpochNumber,
        bytes: &[u8],
        str: Option<&SignedTreeRoot>,
        before: Option<Before>,
    ) {
        let place = || Family::Transitions.at(epoch.0.to_be_bytes());
        let Ok(transition) = self.decode::<Transition>(place, bytes) else { return };
        self.require(transition.epoch == epoch, place, "its epoch is not its key");
        let changes = &transition.changes.changes;
        if let Some(str) = str {
            let digest = sha256(&transition.changes.to_bytes());
            if digest != str.changes {
                return self.add(place(), Problem::Rule("its change set is not the one that the STR names"));
            }
            if let Some(before) = before {
                let proof = &transition.proof;
                if let Err(error) = verify_transition(&before.root, &str.prefix_root, changes, proof) {
                    self.add(place(), error);
                }
                let new = changes.iter().filter(|change| change.old.is_none()).count() as u64;
                let entry = || Family::Entries.at(epoch.0.to_be_bytes());
                self.require(
                    str.names == before.names + new,
                    entry,
                    "its number of names is not what changed",
                );
            }
        }
        self.counts.changes += changes.len() as u64;
        for change in changes {
            // Whatever is wrong with it is reported by then.
            let _: Result<(), Reported> = self.check_change(epoch, change);
        }
    }
}
