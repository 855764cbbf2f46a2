//! How a name's record follows from the one before and what happened in an epoch.
//!
//! Pure. The rules are those of the name record in ARCHITECTURE.md: releases only grow, a release that fails leaves the
//! validated one standing, and every record names the one before it.

use pds_schemas::{Artefact, Digest, EpochNumber, NameRecord, PluginName, Release, State};

use crate::hash::sha256;

/// Something that happened to a name since the last epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameEvent {
    /// A submission was accepted; it is not decided yet.
    Admitted {
        /// The owner record it was made under.
        owner: Digest,
        /// Its release.
        release: Release,
    },
    /// A submission was decided.
    Decided {
        /// The owner record it was made under.
        owner: Digest,
        /// Its release.
        release: Release,
        /// How.
        decision: Decision,
    },
}

/// What a validator decided about one release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It stands for the release: SHA-256 of the binding.
    Validated(Digest),
    /// It does not: SHA-256 of the failure cause.
    Failed(Digest),
}

/// What a leaf commits to: SHA-256 of the record's bytes.
pub fn commitment_of(record: &NameRecord) -> Digest {
    sha256(&record.to_bytes())
}

/// The record of `name` after `events`, in the order they happened, or `None` if they change nothing that a record says.
///
/// A record does not say which release its binding is of. So whoever gives the events sees to it that a name's releases are
/// decided in the order of their numbers: a late decision of an older one would take the newer one's place.
///
/// An owner record, once there, only changes by a transfer: an event's owner counts for a new name alone.
pub fn next_record(
    name: &PluginName,
    current: Option<&NameRecord>,
    events: &[NameEvent],
    epoch: EpochNumber,
) -> Option<NameRecord> {
    let mut next = current.cloned();
    for event in events {
        let (owner, release) = match event {
            NameEvent::Admitted { owner, release } | NameEvent::Decided { owner, release, .. } => {
                (*owner, *release)
            }
        };
        let record = next.get_or_insert_with(|| first_record(name, owner, release, epoch));
        record.highest_release = record.highest_release.max(release);
        if let NameEvent::Decided { decision, .. } = event {
            decide(record, *decision);
        }
    }
    let next = next?;
    if Some(&next) == current {
        return None;
    }
    Some(NameRecord { changed: epoch, previous: current.map(commitment_of), ..next })
}

fn first_record(name: &PluginName, owner: Digest, release: Release, epoch: EpochNumber) -> NameRecord {
    NameRecord {
        name: name.clone(),
        owner,
        highest_release: release,
        state: State::Pending,
        binding: None,
        cause: None,
        changed: epoch,
        previous: None,
    }
}

fn decide(record: &mut NameRecord, decision: Decision) {
    match decision {
        Decision::Validated(binding) => {
            record.state = State::Validated;
            record.binding = Some(binding);
            record.cause = None;
        }
        Decision::Failed(cause) => {
            // The validated release, if there is one, stands; the cause says how the latest one ended.
            record.cause = Some(cause);
            if record.state != State::Validated {
                record.state = State::Failed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Digest = Digest([1; 32]);
    const BINDING: Digest = Digest([2; 32]);
    const CAUSE: Digest = Digest([3; 32]);

    fn name() -> PluginName {
        PluginName::new("org.example.pacing").unwrap()
    }

    fn admitted(release: u64) -> NameEvent {
        NameEvent::Admitted { owner: OWNER, release: Release(release) }
    }

    fn decided(release: u64, decision: Decision) -> NameEvent {
        NameEvent::Decided { owner: OWNER, release: Release(release), decision }
    }

    fn after(history: &[&[NameEvent]]) -> Option<NameRecord> {
        let mut current = None;
        for (epoch, events) in history.iter().enumerate() {
            let next = next_record(&name(), current.as_ref(), events, EpochNumber(epoch as u64));
            current = next.or(current);
        }
        current
    }

    #[test]
    fn record_is_pending_until_something_is_decided() {
        let record = after(&[&[admitted(1)]]).unwrap();
        assert_eq!((record.state, record.highest_release.0, record.previous), (State::Pending, 1, None));
        assert_eq!(after(&[&[]]), None);
    }

    #[test]
    fn record_names_the_one_before_it() {
        let first = after(&[&[admitted(1)]]).unwrap();
        let second = after(&[&[admitted(1)], &[decided(1, Decision::Validated(BINDING))]]).unwrap();
        assert_eq!(second.previous, Some(commitment_of(&first)));
        assert_eq!((second.state, second.binding, second.changed.0), (State::Validated, Some(BINDING), 1));
    }

    #[test]
    fn record_stays_validated_when_a_later_release_fails() {
        let record = after(&[
            &[decided(1, Decision::Validated(BINDING))],
            &[admitted(2), decided(2, Decision::Failed(CAUSE))],
        ])
        .unwrap();
        assert_eq!(record.state, State::Validated);
        assert_eq!((record.binding, record.cause), (Some(BINDING), Some(CAUSE)));
        assert_eq!(record.highest_release, Release(2));
    }

    #[test]
    fn record_fails_then_recovers() {
        let failed = after(&[&[decided(1, Decision::Failed(CAUSE))]]).unwrap();
        assert_eq!((failed.state, failed.binding, failed.cause), (State::Failed, None, Some(CAUSE)));
        let recovered =
            after(&[&[decided(1, Decision::Failed(CAUSE))], &[decided(2, Decision::Validated(BINDING))]])
                .unwrap();
        assert_eq!((recovered.state, recovered.cause), (State::Validated, None));
    }

    #[test]
    fn record_does_not_change_when_nothing_it_says_does() {
        let current = after(&[&[admitted(2)]]);
        assert_eq!(next_record(&name(), current.as_ref(), &[admitted(2)], EpochNumber(9)), None);
        assert_eq!(next_record(&name(), current.as_ref(), &[admitted(1)], EpochNumber(9)), None);
    }

    #[test]
    fn record_keeps_its_first_owner() {
        let other = NameEvent::Admitted { owner: Digest([9; 32]), release: Release(5) };
        assert_eq!(after(&[&[admitted(1)], &[other]]).unwrap().owner, OWNER);
    }
}
