//! Plugin names to measure with, the same in every run.

use pds_core::hash::sha256;
use pds_core::prefix::{Update, key_of};
use pds_schemas::prefix::Change;
use pds_schemas::{Digest, PluginName};

/// Many names with their keys, in no order of keys.
#[derive(Debug)]
pub struct Names {
    names: Vec<(PluginName, Digest)>,
}

impl Names {
    /// `count` names of about 25 characters.
    ///
    /// # Errors
    /// None: they are well formed.
    pub fn new(count: usize) -> anyhow::Result<Self> {
        let name = |i| {
            let name = PluginName::new(format!("org.example.plugin-{i:07}"))?;
            let key = key_of(&name);
            Ok((name, key))
        };
        Ok(Self { names: (0..count + MARGIN).map(name).collect::<anyhow::Result<_>>()? })
    }

    /// Name number `i`.
    pub fn name(&self, i: usize) -> &PluginName {
        &self.names[i].0
    }

    /// Key of name number `i`.
    pub fn key(&self, i: usize) -> Digest {
        self.names[i].1
    }

    /// Keys of the first `count` names, sorted.
    pub fn sorted_keys(&self, count: usize) -> Vec<Digest> {
        let mut keys: Vec<_> = (0..count).map(|i| self.key(i)).collect();
        keys.sort_unstable();
        keys
    }

    /// Inserts the first `count` names, in no order.
    pub fn insertions(&self, count: usize) -> Vec<Update> {
        (0..count).map(|i| Update { key: self.key(i), old: None, new: commitment(i, 0) }).collect()
    }

    /// The changes of epoch `version`, from 1, to a tree of the first `held` names: `count`, half of them new names.
    pub fn changes(&self, held: usize, version: usize, count: usize) -> Vec<Change> {
        let mut changes: Vec<_> = changed(held, version, count)
            .map(|i| Change {
                key: self.key(i),
                name: self.name(i).clone(),
                old: (i < held).then(|| commitment(i, 0)),
                new: commitment(i, version),
            })
            .collect();
        changes.sort_unstable_by_key(|change| change.key);
        changes
    }
}

/// Names beyond those held, to be inserted: half an epoch's changes for each of up to 60 epochs.
const MARGIN: usize = 30_000;

/// Numbers of the names that epoch `version`, from 1, changes: half of them held, half new, none that another epoch does.
pub fn changed(held: usize, version: usize, count: usize) -> impl Iterator<Item = usize> {
    let half = count / 2;
    let old = (version - 1) * half..version * half;
    let new = held + (version - 1) * (count - half)..held + version * (count - half);
    old.map(move |i| i % held).chain(new)
}

/// What name number `i` commits to.
pub fn commitment(i: usize, version: usize) -> Digest {
    sha256(format!("{i} {version}").as_bytes())
}
