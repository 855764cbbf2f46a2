//! What was accepted: submissions with their receipts, archives, and the queue.

use pds_core::cose;
use pds_core::hash::sha256;
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::SubmissionEntry;
use pds_schemas::{Artefact, Digest, Receipt, Submission};

use super::{Checker, Problem, Reported};
use crate::family::{NEXT_INDEX_KEY, read_digest, read_number};
use crate::read::check_archive;
use crate::{BlobKind, Damage, Family};

impl Checker<'_> {
    /// Checks every submission, and that there are as many as indexes were given out.
    pub(super) fn check_submissions(&mut self, size: u64) {
        self.for_each(Family::Submissions, |checker, key, value| {
            checker.counts.submissions += 1;
            let Some(digest) = read_digest(key) else {
                return checker.add(Family::Submissions.at(key), Problem::Key);
            };
            if let Ok(entry) = checker.decode(|| Family::Submissions.at(key), value) {
                checker.check_submission(&digest, &entry, size);
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
                let place_of_submission = Family::Submissions.at(digest.as_ref());
                return checker.add(place_of_submission, Problem::Unresolved(place()));
            };
            // A malformed one was reported with the submissions.
            let Ok(entry) = SubmissionEntry::from_bytes(&stored) else { return };
            checker.require(entry.index == index, place, "names a submission that has another index");
            checker.require(entry.published.is_none(), place, "names a submission that is decided");
        });
    }

    /// Checks that each archive is what was sent, and belongs to a submission.
    pub(super) fn check_archives(&mut self) {
        self.for_each(Family::Archives, |checker, key, value| {
            checker.counts.archives += 1;
            let place = || Family::Archives.at(key);
            if read_digest(key).is_none() {
                return checker.add(place(), Problem::Key);
            }
            if let Err(damage) = check_archive(value) {
                checker.add(place(), damage);
            }
            match checker.store.has(Family::Submissions, key) {
                Ok(known) => checker.require(known, place, "belongs to no submission"),
                Err(error) => {
                    checker.unreadable(Family::Submissions.at(key), error);
                }
            }
        });
    }

    fn check_submission(&mut self, digest: &Digest, entry: &SubmissionEntry, size: u64) {
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
        match entry.published {
            Some(published) => {
                let signed = published.epoch.0 < size;
                self.require(signed, place, "is published in an epoch beyond the head");
                if let Some(cause) = &published.cause {
                    self.exists(BlobKind::Cause, cause, &place());
                }
            }
            None => {
                let _ = self.check_undecided(digest, entry);
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

    fn check_undecided(&mut self, digest: &Digest, entry: &SubmissionEntry) -> Result<(), Reported> {
        let place = || Family::Submissions.at(digest.as_ref());
        match self.store.has(Family::Archives, digest.as_ref()) {
            Ok(true) => {}
            Ok(false) => self.add(Family::Archives.at(digest.as_ref()), Problem::Unresolved(place())),
            Err(error) => {
                self.unreadable(Family::Archives.at(digest.as_ref()), error);
            }
        }
        let queued = self.read(Family::Queue, &entry.index.to_be_bytes())?;
        let same = queued.is_some_and(|queued| queued == digest.as_ref());
        self.require(same, place, "is undecided and not in the queue");
        Ok(())
    }
}
