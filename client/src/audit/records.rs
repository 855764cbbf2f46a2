//! The name records that changes commit to, out of the histories that are served.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pds_core::hash::sha256;
use pds_schemas::prefix::Change;
use pds_schemas::{Artefact, Digest, EpochNumber, NameRecord, PluginName};

use super::chain::Changed;
use super::{AuditError, Counts, Violation, Violations, WIDTH};
use crate::api::{ApiError, ValidatorApi};
use crate::parallel;

/// Everything that must be reachable, by digest.
#[derive(Default)]
pub(super) struct Records {
    /// Policies in force in some epoch.
    pub policies: BTreeSet<Digest>,
    /// Owner records, bindings and causes that some record names.
    pub owners: BTreeSet<Digest>,
    pub bindings: BTreeSet<Digest>,
    pub causes: BTreeSet<Digest>,
    /// The binding that stands, by name, for names that changed.
    current: HashMap<PluginName, Option<Digest>>,
}

impl Records {
    /// The bindings that stand at the end.
    pub fn current(&self) -> BTreeSet<Digest> {
        self.current.values().filter_map(|binding| *binding).collect()
    }

    /// Fetches and checks the record of every change; the changes are in the order of epochs.
    pub async fn follow(
        &mut self,
        api: &ValidatorApi,
        changed: Vec<Changed>,
        counts: &mut Counts,
        violations: &mut Violations,
    ) -> Result<(), AuditError> {
        let mut by_name: BTreeMap<PluginName, Vec<Changed>> = BTreeMap::new();
        for change in changed {
            by_name.entry(change.change.name.clone()).or_default().push(change);
        }
        let fetched = parallel::map(by_name, WIDTH, |(name, changes)| {
            let api = api.clone();
            async move {
                let records = history(&api, &name, &changes).await;
                (name, changes, records)
            }
        })
        .await;
        for (name, changes, records) in fetched {
            let what = format!("the history of {name}");
            let Some(records) = violations.unless_withheld(&what, records)? else { continue };
            for Changed { epoch, change } in changes {
                let Some(record) = records.get(&change.new) else {
                    violations.push(Violation::NoRecord { epoch, name: name.clone(), record: change.new });
                    continue;
                };
                if let Err(rule) = check_record(record, epoch, &change) {
                    violations.push(Violation::Record { epoch, name: name.clone(), rule });
                }
                counts.records += 1;
                self.owners.insert(record.owner);
                self.bindings.extend(record.binding);
                self.causes.extend(record.cause);
                self.current.insert(name.clone(), record.binding);
            }
        }
        Ok(())
    }
}

fn check_record(record: &NameRecord, epoch: EpochNumber, change: &Change) -> Result<(), &'static str> {
    if record.name != change.name {
        return Err("it is about another name");
    }
    if record.changed != epoch {
        return Err("it says that it changed in another epoch");
    }
    if record.previous != change.old {
        return Err("it follows another record than the one before it in the tree");
    }
    Ok(())
}

/// The records of `changes`, by digest, as far as the history has them.
async fn history(
    api: &ValidatorApi,
    name: &PluginName,
    changes: &[Changed],
) -> Result<HashMap<Digest, NameRecord>, ApiError> {
    let mut wanted: BTreeSet<Digest> = changes.iter().map(|changed| changed.change.new).collect();
    let mut from = changes.last().map(|changed| changed.change.new);
    let earliest = changes.first().map_or(EpochNumber(0), |changed| changed.epoch);
    let mut last = None;
    let mut found = HashMap::new();
    while let (false, Some(start)) = (wanted.is_empty(), from) {
        let page = api.history(name, Some(start)).await?;
        let mut next = Some(start);
        for bytes in page.records {
            let digest = sha256(&bytes);
            // A history is a chain of digests: what is not the next link is not part of it.
            if next != Some(digest) {
                return Ok(found);
            }
            let Ok(record) = NameRecord::from_bytes(&bytes) else { return Ok(found) };
            // Epochs fall from link to link, so that a made-up history ends too.
            if record.changed < earliest || last.is_some_and(|last| record.changed >= last) {
                return Ok(found);
            }
            last = Some(record.changed);
            next = record.previous;
            if wanted.remove(&digest) {
                found.insert(digest, record);
            }
        }
        // A page without the record it starts at would be asked for forever.
        from = next.filter(|next| *next != start);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use pds_core::prefix::key_of;
    use pds_schemas::{Release, State};

    use super::*;

    #[test]
    fn record_is_refused_when_it_does_not_fit_its_change() {
        let name = |text| PluginName::new(text).unwrap();
        let (old, new) = (Some(Digest([1; 32])), Digest([2; 32]));
        let change = Change { key: key_of(&name("a.b")), name: name("a.b"), old, new };
        let good = NameRecord {
            name: name("a.b"),
            owner: Digest::ZERO,
            highest_release: Release(1),
            state: State::Pending,
            binding: None,
            cause: None,
            changed: EpochNumber(3),
            previous: old,
        };
        let check = |record: &NameRecord| check_record(record, EpochNumber(3), &change);
        assert_eq!(check(&good), Ok(()));
        assert!(check(&NameRecord { name: name("a.c"), ..good.clone() }).is_err());
        assert!(check(&NameRecord { changed: EpochNumber(2), ..good.clone() }).is_err());
        assert!(check(&NameRecord { previous: None, ..good }).is_err());
    }
}
