//! What becomes of the queue when decisions come from elsewhere.
//!
//! A submission that waited in the copy may have been decided since. Its decision must not be made a second time, so it
//! leaves the queue in the epoch that published it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use anyhow::Context;
use pds_core::cose;
use pds_core::prefix::PrefixTree;
use pds_schemas::cose::SignedKind;
use pds_schemas::{Digest, NameRecord, PluginName, Release, Submission};
use pds_store::{Blob, BlobKind, Store};

use crate::decide::{Undecided, undecided};
use crate::stored::{is_undecided, read};

/// A decision that an epoch published.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The name.
    pub name: PluginName,
    /// The release that was decided.
    pub release: Release,
    /// SHA-256 of the submission.
    pub submission: Digest,
    /// SHA-256 of the cause, if it failed.
    pub cause: Option<Digest>,
}

/// The submissions that wait in the copy: for each name and release, the place in the queue and the digest.
#[derive(Debug, Default)]
pub struct Unsettled(BTreeMap<PluginName, BTreeMap<Release, (u64, Digest)>>);

/// What an epoch settles.
#[derive(Debug, Default)]
pub struct Settled {
    /// Submissions that waited, and leave the queue with it.
    pub left: Vec<Left>,
    /// Causes that no record names, which tell what is not known.
    pub causes: Vec<Blob>,
    /// Decisions of submissions that the copy does not have.
    pub unknown: u64,
}

/// A submission that leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its place.
    pub index: u64,
    /// SHA-256 of it.
    pub submission: Digest,
    /// SHA-256 of the cause, if it failed, or if how it ended is not known.
    pub cause: Option<Digest>,
}

impl Unsettled {
    /// Reads the queue of `store`.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn load(store: &Store) -> anyhow::Result<Self> {
        let mut unsettled = Self::default();
        for (index, digest) in store.queue(0, usize::MAX).context("read queue")? {
            let entry = store.submission(&digest).context("read submission")?;
            let entry =
                entry.with_context(|| format!("submission {digest} is queued and not there; run fsck"))?;
            let (submission, _): (Submission, _) = cose::open_any_key(&entry.signed, SignedKind::Submission)
                .with_context(|| format!("submission {digest} is damaged; run fsck"))?;
            unsettled.0.entry(submission.name).or_default().insert(submission.release, (index, digest));
        }
        Ok(unsettled)
    }

    /// Takes out what an epoch under `policy` decided.
    ///
    /// Decisions of one name are published in the order of its releases, and of several in one epoch its record may name
    /// only the last: what waits with no higher release than one that was decided was decided too, how is not known.
    ///
    /// # Errors
    /// When there are no words for a cause that is not known.
    pub fn settle(&mut self, policy: Digest, decisions: &[Decision]) -> anyhow::Result<Settled> {
        let mut settled = Settled::default();
        let mut known = BTreeSet::new();
        for Decision { name, release, submission, cause } in decisions {
            let Some(releases) = self.0.get_mut(name) else { continue };
            let Some((index, _)) = releases.get(release).filter(|(_, digest)| digest == submission).copied()
            else {
                continue;
            };
            releases.remove(release);
            known.insert(*submission);
            settled.left.push(Left { index, submission: *submission, cause: *cause });
        }
        for Decision { name, release, submission, .. } in decisions {
            settled.unknown += u64::from(!known.contains(submission));
            let Some(releases) = self.0.get_mut(name) else { continue };
            let later =
                release.0.checked_add(1).map(|next| releases.split_off(&Release(next))).unwrap_or_default();
            for (release, (index, submission)) in std::mem::replace(releases, later) {
                let unknown = undecided(Undecided::Superseded, name, release, submission, policy);
                let unknown = unknown.map_err(|failure| anyhow::anyhow!("{}", failure.message))?;
                let cause = unknown.blobs.first().map(|blob| *blob.digest());
                settled.causes.extend(unknown.blobs);
                settled.left.push(Left { index, submission, cause });
            }
        }
        self.0.retain(|_, releases| !releases.is_empty());
        settled.left.sort_by_key(|left| left.index);
        Ok(settled)
    }

    fn waits(&self, name: &PluginName, release: Release) -> bool {
        self.0.get(name).is_some_and(|releases| releases.contains_key(&release))
    }
}

/// Names of `tree` whose highest release has no decision, and does not wait for one either.
///
/// # Errors
/// When the database is damaged.
pub fn lost(store: &Store, tree: &PrefixTree, unsettled: &Unsettled) -> anyhow::Result<u64> {
    let mut lost = 0;
    let mut look = |commitment: &Digest| {
        let record: NameRecord = read(store, BlobKind::NameRecord, commitment)?;
        let waits = unsettled.waits(&record.name, record.highest_release);
        lost += u64::from(!waits && is_undecided(store, &record)?);
        anyhow::Ok(())
    };
    let walked = tree.for_each_leaf(store, |leaf| match look(&leaf.commitment) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    });
    match walked.context("walk the prefix tree")? {
        ControlFlow::Continue(()) => Ok(lost),
        ControlFlow::Break(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use pds_schemas::FailureCause;

    use super::*;

    fn name(text: &str) -> PluginName {
        PluginName::new(text).unwrap()
    }

    fn digest(number: u8) -> Digest {
        Digest([number; 32])
    }

    fn decision(text: &str, release: u64, submission: u8, cause: Option<u8>) -> Decision {
        let cause = cause.map(digest);
        Decision { name: name(text), release: Release(release), submission: digest(submission), cause }
    }

    /// Places 0 to 3: releases 1, 2 and 4 of one name, release 1 of another.
    fn unsettled() -> Unsettled {
        let mut unsettled = Unsettled::default();
        for (index, (text, release)) in (0..).zip([("a.b", 1), ("a.b", 2), ("c.d", 1), ("a.b", 4)]) {
            let place = (index, digest(index as u8));
            unsettled.0.entry(name(text)).or_default().insert(Release(release), place);
        }
        unsettled
    }

    fn indexes(settled: &Settled) -> Vec<u64> {
        settled.left.iter().map(|left| left.index).collect()
    }

    #[test]
    fn decided_submission_leaves_the_queue_with_its_cause() {
        let mut waiting = unsettled();
        let settled = waiting
            .settle(digest(9), &[decision("a.b", 1, 0, None), decision("c.d", 1, 2, Some(7))])
            .unwrap();
        let left = |index, submission, cause: Option<u8>| Left {
            index,
            submission: digest(submission),
            cause: cause.map(digest),
        };
        assert_eq!(settled.left, [left(0, 0, None), left(2, 2, Some(7))]);
        assert_eq!((settled.unknown, settled.causes.len()), (0, 0));
        assert!(!waiting.waits(&name("a.b"), Release(1)) && waiting.waits(&name("a.b"), Release(2)));
        assert!(!waiting.waits(&name("c.d"), Release(1)));
    }

    #[test]
    fn lower_releases_leave_with_a_later_one_and_higher_ones_stay() {
        let mut waiting = unsettled();
        let settled = waiting.settle(digest(9), &[decision("a.b", 3, 77, None)]).unwrap();
        assert_eq!((indexes(&settled), settled.unknown), (vec![0, 1], 1));
        for (left, cause) in settled.left.iter().zip(&settled.causes) {
            assert_eq!(left.cause, Some(*cause.digest()));
            let cause = pds_schemas::Artefact::from_bytes(cause.bytes());
            let cause: FailureCause = cause.unwrap();
            assert_eq!((cause.submission, cause.stage.as_str()), (left.submission, "superseded"));
        }
        assert!(waiting.waits(&name("a.b"), Release(4)) && waiting.waits(&name("c.d"), Release(1)));
    }

    #[test]
    fn two_decisions_of_one_epoch_are_each_taken_for_what_they_are() {
        let mut waiting = unsettled();
        let both = [decision("a.b", 1, 0, None), decision("a.b", 4, 3, Some(7))];
        let settled = waiting.settle(digest(9), &both).unwrap();
        assert_eq!(indexes(&settled), [0, 1, 3]);
        assert_eq!((settled.left[0].cause, settled.left[2].cause), (None, Some(digest(7))));
        assert_eq!(settled.left[1].cause, Some(*settled.causes[0].digest()));
        assert_eq!(settled.unknown, 0);
    }

    #[test]
    fn release_that_was_decided_does_not_wait_as_another_submission() {
        let mut waiting = unsettled();
        let settled = waiting.settle(digest(9), &[decision("c.d", 1, 99, None)]).unwrap();
        assert_eq!((indexes(&settled), settled.unknown, settled.causes.len()), (vec![2], 1, 1));
        assert!(!waiting.waits(&name("c.d"), Release(1)));
    }
}
