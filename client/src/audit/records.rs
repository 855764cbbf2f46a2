//! The name records that changes commit to, out of the histories that are served.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pds_core::hash::sha256;
use pds_schemas::prefix::Change;
use pds_schemas::{Artefact, Digest, EpochNumber, NameRecord, PluginName, Release};

use super::chain::Changed;
use super::{AuditError, Counts, Violation, Violations, WIDTH};
use crate::api::{ApiError, ValidatorApi};
use crate::parallel;

/// Everything that must be reachable, by digest.
#[derive(Default)]
pub(super) struct Records {
    /// Policies in force in some epoch.
    pub policies: BTreeSet<Digest>,
    /// Owner records that some record of the name names.
    pub owners: BTreeSet<(Digest, PluginName)>,
    /// Bindings and causes likewise, with the highest release when one was first named.
    pub bindings: BTreeMap<(Digest, PluginName), Release>,
    pub causes: BTreeMap<(Digest, PluginName), Release>,
    /// The record that stands, for names that changed.
    current: HashMap<PluginName, NameRecord>,
}

impl Records {
    /// The bindings that stand at the end.
    pub fn current(&self) -> BTreeSet<Digest> {
        self.current.values().filter_map(|record| record.binding).collect()
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
            // The first change is held against the record before it, which an earlier audit may have read.
            let is_known = self.current.contains_key(&name);
            let before = changes.first().and_then(|first| first.change.old).filter(|_| !is_known);
            async move {
                let records = history(&api, &name, &changes, before).await;
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
                let before = self.current.get(&name).or_else(|| records.get(&change.old?));
                if let (Some(old), None) = (change.old, before) {
                    violations.push(Violation::NoRecord { epoch, name: name.clone(), record: old });
                }
                if let Err(rule) = check_record(record, before, epoch, &change) {
                    violations.push(Violation::Record { epoch, name: name.clone(), rule });
                }
                counts.records += 1;
                self.owners.insert((record.owner, name.clone()));
                let release = record.highest_release;
                for (named, all) in [(record.binding, &mut self.bindings), (record.cause, &mut self.causes)] {
                    if let Some(digest) = named {
                        all.entry((digest, name.clone())).or_insert(release);
                    }
                }
                self.current.insert(name.clone(), record.clone());
            }
        }
        Ok(())
    }
}

fn check_record(
    record: &NameRecord,
    before: Option<&NameRecord>,
    epoch: EpochNumber,
    change: &Change,
) -> Result<(), &'static str> {
    if record.name != change.name {
        return Err("it is about another name");
    }
    if record.changed != epoch {
        return Err("it says that it changed in another epoch");
    }
    if record.previous != change.old {
        return Err("it follows another record than the one before it in the tree");
    }
    if before.is_some_and(|before| before.highest_release > record.highest_release) {
        return Err("its highest release is below that of the record before it");
    }
    Ok(())
}

/// The records of `changes`, by digest, and the one `before` them, as far as the history has them.
async fn history(
    api: &ValidatorApi,
    name: &PluginName,
    changes: &[Changed],
    before: Option<Digest>,
) -> Result<HashMap<Digest, NameRecord>, ApiError> {
    let mut wanted: BTreeSet<Digest> = changes.iter().map(|changed| changed.change.new).collect();
    wanted.extend(before);
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
            let is_too_early = record.changed < earliest && before != Some(digest);
            if is_too_early || last.is_some_and(|last| record.changed >= last) {
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
    use pds_schemas::State;

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
        let check = |record: &NameRecord| check_record(record, None, EpochNumber(3), &change);
        assert_eq!(check(&good), Ok(()));
        assert!(check(&NameRecord { name: name("a.c"), ..good.clone() }).is_err());
        assert!(check(&NameRecord { changed: EpochNumber(2), ..good.clone() }).is_err());
        assert!(check(&NameRecord { previous: None, ..good.clone() }).is_err());
        let after = |release| {
            let before = NameRecord { highest_release: Release(release), ..good.clone() };
            check_record(&good, Some(&before), EpochNumber(3), &change)
        };
        assert!(after(1).is_ok() && after(2).is_err());
    }
}
