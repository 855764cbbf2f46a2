//! Names to ask about, and what was proved of each: nothing of it may be taken back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pds_schemas::{EpochNumber, NameRecord, PluginName, Release};

use super::finding::{Finding, Trouble};
use super::random::Random;
use super::run::HammerError;
use crate::api::ValidatorApi;

/// Epochs whose changes are read to learn names from.
const EPOCHS: u64 = 256;

/// Names that are known to be there.
#[derive(Debug, Default)]
pub struct Names {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    list: Vec<PluginName>,
    /// Whether names are in the list by the user's word alone.
    is_given: bool,
    proved: HashMap<PluginName, Proved>,
}

/// What evidence showed of a name.
#[derive(Clone, Copy, Debug)]
struct Proved {
    /// The earliest epoch in which it was there.
    first: EpochNumber,
    /// The latest epoch of which something is known, and the highest release then.
    latest: (EpochNumber, Release),
}

impl Names {
    /// Adds a name that was proved to be there.
    pub fn add(&self, name: PluginName) {
        self.lock().list.push(name);
    }

    /// Adds names that are there by the user's word, who may be wrong.
    pub fn give(&self, names: impl IntoIterator<Item = PluginName>) {
        let mut known = self.lock();
        known.list.extend(names);
        known.is_given = !known.list.is_empty();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them.
    pub fn pick(&self, random: &mut Random) -> Option<PluginName> {
        let known = self.lock();
        let at = random.below(known.list.len() as u64);
        known.list.get(usize::try_from(at).ok()?).cloned()
    }

    /// Learns at most `most` names from what changed in the latest of `size` epochs.
    ///
    /// # Errors
    /// What the server answers.
    pub async fn learn(&self, api: &ValidatorApi, size: u64, most: usize) -> Result<(), Trouble> {
        let mut found = std::collections::BTreeSet::new();
        for epoch in (size.saturating_sub(EPOCHS)..size).rev() {
            if found.len() >= most {
                break;
            }
            let transition = api.changes(EpochNumber(epoch)).await?;
            found.extend(transition.changes.changes.into_iter().map(|change| change.name));
        }
        self.lock().list.extend(found.into_iter().take(most));
        Ok(())
    }

    /// Holds verified evidence about a known name, of an epoch, against what was proved of it. `is_now`: evidence of the
    /// newest epoch, in which every name is there that was proved to be, or that the server itself told of.
    ///
    /// # Errors
    /// [`Finding::Vanished`], [`Finding::Receded`]; [`HammerError::NeverThere`] for a name that only the user told of.
    pub fn hold(
        &self,
        name: &PluginName,
        epoch: EpochNumber,
        record: Option<&NameRecord>,
        is_now: bool,
    ) -> Result<(), Trouble> {
        let mut known = self.lock();
        let proved = known.proved.get(name).copied();
        let Some(record) = record else {
            let was_proved = proved.is_some_and(|proved| proved.first <= epoch);
            return match (was_proved, is_now, known.is_given) {
                (true, _, _) | (_, true, false) => {
                    Err(Finding::Vanished { name: name.clone(), epoch }.into())
                }
                (false, true, true) => Err(HammerError::NeverThere(name.clone()).into()),
                (false, false, _) => Ok(()),
            };
        };
        let now = (epoch, record.highest_release);
        let Some(proved) = proved else {
            known.proved.insert(name.clone(), Proved { first: epoch, latest: now });
            return Ok(());
        };
        let (earlier, later) =
            if now.0 < proved.latest.0 { (now, proved.latest) } else { (proved.latest, now) };
        if earlier.1 > later.1 {
            let ((first, earlier), (second, later)) = (earlier, later);
            return Err(Finding::Receded { name: name.clone(), first, earlier, second, later }.into());
        }
        known.proved.insert(name.clone(), Proved { first: proved.first.min(epoch), latest: later });
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use pds_schemas::{Digest, State};

    use super::*;

    /// The first record of a name, undecided.
    pub fn record(name: &PluginName, release: u64) -> NameRecord {
        NameRecord {
            name: name.clone(),
            owner: Digest::ZERO,
            highest_release: Release(release),
            state: State::Pending,
            binding: None,
            cause: None,
            changed: EpochNumber(0),
            previous: None,
        }
    }

    #[test]
    fn name_may_neither_vanish_nor_recede() {
        let names = Names::default();
        let name: PluginName = "org.example.a".parse().unwrap();
        let hold = |epoch, release: Option<u64>| {
            let record = release.map(|release| record(&name, release));
            match names.hold(&name, EpochNumber(epoch), record.as_ref(), false) {
                Ok(()) => Ok(()),
                Err(Trouble::Finding(finding)) => Err(*finding),
                Err(other) => panic!("{other:?}"),
            }
        };
        // Not yet there, as far as anybody knows.
        hold(3, None).unwrap();
        hold(5, Some(2)).unwrap();
        hold(4, None).unwrap();
        assert!(matches!(hold(5, None), Err(Finding::Vanished { .. })));
        assert!(matches!(hold(9, None), Err(Finding::Vanished { .. })));
        hold(7, Some(3)).unwrap();
        hold(6, Some(3)).unwrap();
        assert!(matches!(hold(8, Some(2)), Err(Finding::Receded { .. })));
        assert!(matches!(hold(6, Some(4)), Err(Finding::Receded { .. })));
        hold(4, Some(1)).unwrap();
        assert!(matches!(hold(4, None), Err(Finding::Vanished { .. })));
        assert!(names.hold(&name, EpochNumber(1), None, true).is_err());
    }

    #[test]
    fn name_of_the_users_may_vanish_only_once_it_was_seen() {
        let names = Names::default();
        let (seen, wrong): (PluginName, PluginName) =
            ("org.example.a".parse().unwrap(), "org.example.b".parse().unwrap());
        names.give([seen.clone(), wrong.clone()]);
        names.hold(&seen, EpochNumber(5), Some(&record(&seen, 1)), true).unwrap();
        let vanished = names.hold(&seen, EpochNumber(6), None, true);
        assert!(matches!(vanished, Err(Trouble::Finding(f)) if matches!(*f, Finding::Vanished { .. })));
        let never = names.hold(&wrong, EpochNumber(6), None, true);
        assert!(matches!(never, Err(Trouble::End(HammerError::NeverThere(name))) if name == wrong));
        // It may come.
        names.hold(&wrong, EpochNumber(6), None, false).unwrap();
    }
}
