//! Change sets: what a tree is told to do in one epoch, and the rules every change set keeps.

use pds_schemas::Digest;
use pds_schemas::prefix::Change;

use super::hash::key_of;
use super::id::PageId;

/// Most changes in one epoch's change set.
pub const MAX_CHANGES: usize = 65_536;

/// A [`Change`] without the name its key comes from: what the tree itself works on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Update {
    /// Key of the leaf.
    pub key: Digest,
    /// What the leaf committed to before; `None` when the key is new.
    pub old: Option<Digest>,
    /// What the leaf commits to now.
    pub new: Digest,
}

/// Why a list of changes is no change set. Indices count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// More than [`MAX_CHANGES`].
    #[error("{0} changes, at most 65536 fit an epoch")]
    TooMany(usize),
    /// A change whose key is not above the key before it.
    #[error("change {0} is not in the order of keys, or repeats one")]
    Order(usize),
    /// A change whose key is not SHA-256 of its name.
    #[error("the key of change {0} is not the SHA-256 of its name")]
    Key(usize),
}

/// Checks what can be checked of a change set without any tree: size, order, keys; gives it without the names.
///
/// # Errors
/// [`ChangeError`].
pub fn check_changes(changes: &[Change]) -> Result<Vec<Update>, ChangeError> {
    if changes.len() > MAX_CHANGES {
        return Err(ChangeError::TooMany(changes.len()));
    }
    if let Some(i) = changes.iter().position(|change| key_of(&change.name) != change.key) {
        return Err(ChangeError::Key(i));
    }
    let updates: Vec<_> =
        changes.iter().map(|change| Update { key: change.key, old: change.old, new: change.new }).collect();
    check_order(&updates)?;
    Ok(updates)
}

/// Sorts updates by their keys, as [`super::PrefixTree::apply_updates`] takes them.
///
/// Keys are hashes, whose first eight bytes tell nearly any two apart: those are sorted with their places, and each update,
/// three times as long as its key, is moved once.
pub fn sort_updates(updates: &mut Vec<Update>) {
    let start = |key: &Digest| key.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let mut order: Vec<(u64, usize)> =
        updates.iter().enumerate().map(|(i, update)| (start(&update.key), i)).collect();
    let key = |i: usize| &updates[i].key;
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1))));
    *updates = order.iter().map(|(_, i)| updates[*i]).collect();
}

pub(super) fn check_order(updates: &[Update]) -> Result<(), ChangeError> {
    match updates.windows(2).position(|pair| pair[0].key >= pair[1].key) {
        Some(i) => Err(ChangeError::Order(i + 1)),
        None => Ok(()),
    }
}

/// What a node that was not a parent is to hold: some updates, and maybe the leaf of another key that is there already.
#[derive(Clone, Copy)]
pub(super) struct Planting<'a> {
    pub updates: &'a [Update],
    pub other: Option<(Digest, Digest)>,
}

impl Planting<'_> {
    pub fn len(&self) -> usize {
        self.updates.len() + usize::from(self.other.is_some())
    }

    /// Key and commitment of the only leaf.
    pub fn single(&self) -> Option<(Digest, Digest)> {
        match (self.updates, self.other) {
            ([update], None) => Some((update.key, update.new)),
            ([], other) => other,
            _ => None,
        }
    }

    /// Takes off the leaves of the first slot of page `id` that any of these belong in; all are below that page.
    pub fn take_slot(&mut self, id: &PageId) -> Option<(usize, Self)> {
        let of_updates = self.updates.first().map(|update| id.nibble(&update.key));
        let of_other = self.other.map(|(key, _)| id.nibble(&key));
        let slot = match (of_updates, of_other) {
            (Some(first), Some(other)) => first.min(other),
            (first, other) => first.or(other)?,
        };
        let (updates, rest) = split_where(self.updates, |update| id.nibble(&update.key) == slot);
        self.updates = rest;
        let other = self.other.take_if(|_| of_other == Some(slot));
        Some((slot, Self { updates, other }))
    }

    /// Those whose key has a 0 at `bit`, and those that have a 1.
    pub fn split(self, bit: usize) -> [Self; 2] {
        let (left, right) = split(self.updates, bit);
        let (zero, one) = match self.other {
            Some((key, _)) if key.bit(bit) => (None, self.other),
            other => (other, None),
        };
        [Self { updates: left, other: zero }, Self { updates: right, other: one }]
    }
}

/// Sorted updates that agree on all bits before `bit`, cut where `bit` turns to 1.
pub(super) fn split(updates: &[Update], bit: usize) -> (&[Update], &[Update]) {
    updates.split_at(updates.partition_point(|update| !update.key.bit(bit)))
}

/// `updates` cut where `holds` ceases to; most are few, and looked at one by one.
fn split_where(updates: &[Update], holds: impl Fn(&Update) -> bool) -> (&[Update], &[Update]) {
    const FEW: usize = 32;
    let few = updates.len() <= FEW || !holds(&updates[FEW]);
    let count = match few {
        true => updates.iter().take_while(|update| holds(update)).count(),
        false => updates.partition_point(holds),
    };
    updates.split_at(count)
}
