//! What was accepted: submissions with their receipts, archives, and the queue.

use pds_core::cose;
use pds_core::hash::sha256;
use pds_core::prefix::{PrefixTree, key_of};
use pds_schemas::cose::{CoseSign1, SignedKind};
use pds_schemas::disk::{SubmissionEntry, SubmissionOutcome};
use pds_schemas::{
    Artefact, Binding, Digest, EpochNumber, FailureCause, NameRecord, PluginName, Receipt, SignedTreeRoot,
    Submission,
};

use super::{Checker, Problem, Reported};
use crate::family::{NEXT_INDEX_KEY, read_digest, read_number};
use crate::read::check_archive;
use crate::{BlobKind, Damage, Family, Place, Store};

impl Checker<'_> {
    /// Checks every submission, and that there are as many as indexes were given out.
    pub(super) fn check_submissions(&mut self) {
        self.for_each(Family::Submissions, |checker, key, value| {
            checker.counts.submissions += 1;
            let Some(digest) = read_digest(key) else {
                return checker.add(Family::Submissions.at(key), Problem::Key);
            };
            if let Ok(entry) = checker.decode(|| Family::Submissions.at(key), value) {
                checker.check_submission(&digest, &entry);
            }
        });
        let place = || Family::Meta.at(NEXT_INDEX_KEY);
        let Ok(next) = self.read(Family::Meta, NEXT_INDEX_KEY) else { return };
        let next = next.map_or(Some(0), |bytes| read_number(&bytes));
        let same = next == Some(self.counts.submissions);
        self.require(same, place, "is not the number of submissions");
    }

    /// Checks that the queue holds submissions, undecided and each under its index.
    pub(super) fn check_queue(&mut self) {
        self.for_each(Family::Queue, |checker, key, value| {
            checker.counts.queued += 1;
            let place = || Family::Queue.at(key);
            let Some(index) = read_number(key) else { return checker.add(place(), Problem::Key) };
            let Some(digest) = read_digest(value) else {
                return checker.add(place(), Damage::Length(value.len()));
            };
            let Ok(stored) = checker.read(Family::Submissions, digest.as_ref()) else { return };
            let Some(stored) = stored else {
                return checker.add(place(), Problem::Rule("names no submission"));
            };
            // A malformed one was reported with the submissions.
            let Ok(entry) = SubmissionEntry::from_bytes(&stored) else { return };
            checker.require(entry.index == index, place, "names a submission that has another index");
            match checker.store.has(Family::Outcomes, key) {
                Ok(decided) => checker.require(!decided, place, "names a submission that is decided"),
                Err(error) => {
                    checker.unreadable(Family::Outcomes.at(key), error);
                }
            }
        });
    }

    /// Checks that each outcome belongs to a submission of its index, and what it says of it.
    pub(super) fn check_outcomes(&mut self, size: u64) {
        self.for_each(Family::Outcomes, |checker, key, value| {
            checker.counts.outcomes += 1;
            let place = || Family::Outcomes.at(key);
            let Some(index) = read_number(key) else { return checker.add(place(), Problem::Key) };
            let Ok(outcome) = checker.decode::<SubmissionOutcome>(place, value) else { return };
            let digest = outcome.submission;
            let Ok(stored) = checker.read(Family::Submissions, digest.as_ref()) else { return };
            let Some(stored) = stored else {
                return checker.add(place(), Problem::Rule("names no submission"));
            };
            // A malformed one was reported with the submissions.
            let Ok(entry) = SubmissionEntry::from_bytes(&stored) else { return };
            checker.require(entry.index == index, place, "names a submission that has another index");
            if outcome.epoch.0 >= size {
                return checker.add(place(), Problem::Rule("is published in an epoch beyond the head"));
            }
            let _ = checker.check_outcome(&place(), &entry, &outcome);
        });
    }

    /// Checks that each archive is what was sent, and belongs to a submission.
    pub(super) fn check_archives(&mut self) {
        self.for_each(Family::Archives, |checker, key, value| {
            checker.counts.archives += 1;
            let place = || Family::Archives.at(key);
            if read_number(key).is_none() {
                return checker.add(place(), Problem::Key);
            }
            if let Err(damage) = check_archive(value) {
                checker.add(place(), damage);
            }
            let mut known = false;
            for family in [Family::Queue, Family::Outcomes] {
                match checker.store.has(family, key) {
                    Ok(there) => known |= there,
                    Err(error) => {
                        checker.unreadable(family.at(key), error);
                        return;
                    }
                }
            }
            checker.require(known, place, "belongs to no submission");
        });
    }

    fn check_submission(&mut self, digest: &Digest, entry: &SubmissionEntry) {
        let place = || Family::Submissions.at(digest.as_ref());
        match cose::open_any_key::<Submission>(&entry.signed, SignedKind::Submission) {
            Err(error) => self.add(place(), error),
            Ok((submission, key)) => {
                let named = sha256(&submission.to_bytes()) == *digest;
                self.require(named, place, "is another submission than its key says");
                let owned = submission.owner.keys.contains(&key);
                self.require(owned, place, "is signed by a key that its owner record does not have");
                let owner = sha256(&submission.owner.to_bytes());
                self.exists(BlobKind::Object, &owner, &place());
                self.check_receipt(digest, &submission, entry);
            }
        }
        match self.store.has(Family::Outcomes, &entry.index.to_be_bytes()) {
            Ok(true) => {}
            Ok(false) => {
                let _ = self.check_undecided(digest, entry);
            }
            Err(error) => {
                self.unreadable(Family::Outcomes.at(entry.index.to_be_bytes()), error);
            }
        }
    }

    fn check_receipt(&mut self, digest: &Digest, submission: &Submission, entry: &SubmissionEntry) {
        let place = || Family::Submissions.at(digest.as_ref());
        match cose::open::<Receipt>(&entry.receipt, SignedKind::Receipt, &self.keys.str) {
            Err(error) => self.add(place(), error),
            Ok(receipt) => {
                let origin = receipt.origin == self.keys.origin;
                self.require(origin, place, "its receipt is of another origin");
                let same = receipt.submission == *digest
                    && receipt.name == submission.name
                    && receipt.release == submission.release
                    && receipt.index == entry.index;
                self.require(same, place, "its receipt is of another submission or index");
            }
        }
    }

    /// Checks that the epoch which is to have published the decision did.
    fn check_outcome(
        &mut self,
        own: &Place,
        entry: &SubmissionEntry,
        outcome: &SubmissionOutcome,
    ) -> Result<(), Reported> {
        let place = || own.clone();
        let digest = outcome.submission;
        if let Some(cause) = &outcome.cause {
            let cause: FailureCause = self.named_artefact(BlobKind::Cause, cause, own)?;
            self.require(cause.submission == digest, place, "its cause is another submission's");
        }
        let Ok(signed) = CoseSign1::from_bytes(&entry.signed) else { return Err(Reported) };
        let Ok(submission) = Submission::from_bytes(&signed.payload) else { return Err(Reported) };
        let record = self.record_at(outcome.epoch, &submission.name)?;
        let now = self.decided_by(&record, own)?;
        let before = match &record.previous {
            Some(previous) => {
                let previous: NameRecord = self.named_artefact(BlobKind::NameRecord, previous, own)?;
                self.decided_by(&previous, own)?
            }
            None => [None; 2],
        };
        // Of two decisions about a name in one epoch, the record may have the later one alone. So another decision of that
        // epoch has to do, and a submission said to be decided beside it is believed.
        let of_this_epoch = |decided: &Digest| {
            let entry = || self.store.submission(decided).ok().flatten();
            let of = || self.store.outcome(entry()?.index).ok().flatten();
            *decided == digest || of().is_some_and(|of| of.epoch == outcome.epoch)
        };
        let found = record.changed == outcome.epoch
            && record.highest_release >= submission.release
            && now.iter().flatten().any(of_this_epoch)
            && !before.contains(&Some(digest));
        self.require(found, place, "is not decided in the epoch it is said to be published in");
        let [validated, failed] = now.map(|decided| decided == Some(digest));
        let other = validated && outcome.cause.is_some() || failed && outcome.cause != record.cause;
        self.require(!other, place, "ended otherwise than the name's record says");
        Ok(())
    }

    /// The submissions behind a record's binding and cause.
    fn decided_by(&mut self, record: &NameRecord, by: &Place) -> Result<[Option<Digest>; 2], Reported> {
        let mut decided = [None; 2];
        if let Some(binding) = &record.binding {
            let binding: Binding = self.named_artefact(BlobKind::Binding, binding, by)?;
            decided[0] = Some(binding.submission);
        }
        if let Some(cause) = &record.cause {
            let cause: FailureCause = self.named_artefact(BlobKind::Cause, cause, by)?;
            decided[1] = Some(cause.submission);
        }
        Ok(decided)
    }

    /// The record of `name` in the tree of `epoch`. That it can be looked up was checked with the epoch.
    fn record_at(&mut self, epoch: EpochNumber, name: &PluginName) -> Result<NameRecord, Reported> {
        let sound = |store: &Store| {
            let signed = CoseSign1::from_bytes(&store.entry(epoch).ok()??).ok()?;
            let str = SignedTreeRoot::from_bytes(&signed.payload).ok()?;
            let tree = PrefixTree::open(str.prefix_root, store.epoch_root(epoch).ok()??.page_epoch).ok()?;
            let commitment = tree.lookup(store, &key_of(name)).ok()??;
            NameRecord::from_bytes(&store.blob(BlobKind::NameRecord, &commitment).ok()??).ok()
        };
        sound(self.store).ok_or(Reported)
    }

    fn check_undecided(&mut self, digest: &Digest, entry: &SubmissionEntry) -> Result<(), Reported> {
        let place = || Family::Submissions.at(digest.as_ref());
        let key = entry.index.to_be_bytes();
        match self.store.has(Family::Archives, &key) {
            Ok(true) => {}
            Ok(false) => self.add(Family::Archives.at(key), Problem::Unresolved(place())),
            Err(error) => {
                self.unreadable(Family::Archives.at(key), error);
            }
        }
        let queued = self.read(Family::Queue, &key)?;
        let same = queued.is_some_and(|queued| queued == digest.as_ref());
        self.require(same, place, "is undecided and not in the queue");
        Ok(())
    }
}
