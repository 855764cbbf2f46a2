//! Round robin: who waits for one thing gets it before anybody gets a second.
//!
//! Pure. [`crate::http::FairSemaphore`] and a daemon's own queues hand out by it what there is too little of.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// What waits, by whom it is for.
#[derive(Debug)]
pub struct Turns<K, T> {
    /// What each waits for, first come first. Who waits for nothing has no entry.
    lanes: HashMap<K, VecDeque<T>>,
    /// Whose turn is next; each that waits is here once.
    order: VecDeque<K>,
}

impl<K, T> Default for Turns<K, T> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, T> Turns<K, T> {
    /// Has `item` wait behind what `key` waits for already; a new key waits behind all others.
    pub fn push(&mut self, key: K, item: T) {
        let lane = self.lanes.entry(key).or_default();
        if lane.is_empty() {
            self.order.push_back(key);
        }
        lane.push_back(item);
    }

    /// The next in turn.
    pub fn pop(&mut self) -> Option<(K, T)> {
        self.pop_of(|_| true)
    }

    /// The next in turn whose key is `eligible`; who is passed over keeps its turn.
    pub fn pop_of(&mut self, eligible: impl Fn(&K) -> bool) -> Option<(K, T)> {
        let turn = self.order.iter().position(eligible)?;
        let key = self.order.remove(turn)?;
        let lane = self.lanes.get_mut(&key)?;
        let item = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&key);
        } else {
            self.order.push_back(key);
        }
        item.map(|item| (key, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(items: &[(char, u32)]) -> Turns<char, u32> {
        let mut turns = Turns::default();
        for (key, item) in items {
            turns.push(*key, *item);
        }
        turns
    }

    #[test]
    fn each_gets_one_before_anybody_gets_a_second() {
        let mut turns = turns(&[('a', 1), ('a', 2), ('a', 3), ('b', 4), ('c', 5), ('b', 6)]);
        let all: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(all, [('a', 1), ('b', 4), ('c', 5), ('a', 2), ('b', 6), ('a', 3)]);
    }

    #[test]
    fn late_comer_waits_for_one_of_each_other_only() {
        let mut turns = turns(&[('a', 1), ('a', 2), ('a', 3), ('b', 4), ('b', 5)]);
        assert_eq!(turns.pop(), Some(('a', 1)));
        turns.push('c', 6);
        assert_eq!(std::iter::from_fn(|| turns.pop()).take(3).last(), Some(('c', 6)));
    }

    #[test]
    fn coming_back_gains_no_turn() {
        let mut turns = turns(&[('a', 1), ('b', 2), ('b', 3)]);
        assert_eq!(turns.pop(), Some(('a', 1)));
        turns.push('a', 4);
        let rest: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(rest, [('b', 2), ('a', 4), ('b', 3)]);
    }

    #[test]
    fn who_is_passed_over_keeps_its_turn() {
        let mut turns = turns(&[('a', 1), ('b', 2), ('a', 3)]);
        assert_eq!(turns.pop_of(|key| *key != 'a'), Some(('b', 2)));
        turns.push('b', 4);
        assert_eq!(turns.pop_of(|key| *key == 'c'), None);
        assert_eq!(turns.pop(), Some(('a', 1)));
    }

    #[test]
    fn nothing_is_kept_of_who_waits_for_nothing() {
        let mut turns = turns(&[('a', 1), ('b', 2)]);
        while turns.pop().is_some() {}
        assert!(turns.lanes.is_empty() && turns.order.is_empty());
    }
}
