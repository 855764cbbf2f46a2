//! Who has how many places in the queue, and who may have one more.
//!
//! Nobody may hold more places than are left free, besides a fixed share: the fuller the queue, the less it takes more from
//! who has much already, and the last places, as well as those that are freed in a full queue, are for who has none. An
//! owner here is the key that signed; keys cost nothing, which is why clients have shares as well.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pds_schemas::PublicKey;
use pds_service::http::Client;

/// Most places of the queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// For all.
    pub all: usize,
    /// For the submissions that one key signed; `all` or more leaves one owner the whole queue.
    pub per_owner: usize,
    /// For what one client sent; `all` or more leaves one client the whole queue.
    pub per_client: usize,
}

/// By whom a place is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The key that signed.
    pub owner: PublicKey,
    /// Who sent it; [`Client::Many`], who has no share, also for what was in the queue when the process started.
    pub client: Client,
}

/// Why there is no place, with the number that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// For anybody.
    #[error("{0} submissions wait for their decision, which is the most that this validator keeps")]
    All(usize),
    /// For this owner.
    #[error(
        "{0} submissions signed by this key wait for their decision, its share of the queue at this moment"
    )]
    Owner(usize),
    /// For this client.
    #[error("{0} submissions of this client wait for their decision, its share of the queue at this moment")]
    Client(usize),
}

/// The places that are held. Written only by the sequencer's thread.
#[derive(Debug, Default)]
pub struct Places(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// Who holds none has no entry, here and in `clients`.
    owners: HashMap<PublicKey, usize>,
    clients: HashMap<Client, usize>,
}

impl Places {
    /// One more for `holder`.
    pub fn take(&self, holder: Holder) {
        let mut held = self.held();
        held.all += 1;
        *held.owners.entry(holder.owner).or_default() += 1;
        if holder.client != Client::Many {
            *held.clients.entry(holder.client).or_default() += 1;
        }
    }

    /// One less for `holder`.
    pub fn give_back(&self, holder: Holder) {
        let mut held = self.held();
        held.all = held.all.saturating_sub(1);
        one_less(&mut held.owners, &holder.owner);
        one_less(&mut held.clients, &holder.client);
    }

    /// Whether `client` may have one more, whoever signed for it.
    ///
    /// # Errors
    /// [`Full`], but not [`Full::Owner`].
    pub fn check_client(&self, limits: &QueueLimits, client: Client) -> Result<(), Full> {
        let held = self.held();
        let free = limits.all.saturating_sub(held.all);
        if free == 0 {
            return Err(Full::All(limits.all));
        }
        let share = share(limits.per_client, limits.all, free);
        let has_room = held.clients.get(&client).is_none_or(|held| *held < share);
        if has_room { Ok(()) } else { Err(Full::Client(share)) }
    }

    /// Whether `holder` may have one more.
    ///
    /// # Errors
    /// [`Full`].
    pub fn check(&self, limits: &QueueLimits, holder: Holder) -> Result<(), Full> {
        self.check_client(limits, holder.client)?;
        let held = self.held();
        let share = share(limits.per_owner, limits.all, limits.all.saturating_sub(held.all));
        let has_room = held.owners.get(&holder.owner).is_none_or(|held| *held < share);
        if has_room { Ok(()) } else { Err(Full::Owner(share)) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Counts are changed in steps that cannot panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn share(limit: usize, all: usize, free: usize) -> usize {
    if limit >= all { all } else { limit.min(free) }
}

fn one_less<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: QueueLimits = QueueLimits { all: 100, per_owner: 99, per_client: 99 };

    fn holder(owner: u8, client: u8) -> Holder {
        Holder { owner: PublicKey([owner; 32]), client: Client::of([192, 0, 2, client].into(), &[]) }
    }

    /// Takes places until there are no more, and says how many and why.
    fn flood(places: &Places, limits: &QueueLimits, holder: Holder) -> (usize, Full) {
        let mut taken = 0;
        loop {
            if let Err(full) = places.check(limits, holder) {
                return (taken, full);
            }
            places.take(holder);
            taken += 1;
        }
    }

    #[test]
    fn one_takes_at_most_what_it_leaves() {
        let places = Places::default();
        assert_eq!(flood(&places, &LIMITS, holder(1, 1)), (50, Full::Client(50)));
        assert_eq!(flood(&places, &LIMITS, holder(1, 2)), (0, Full::Owner(50)), "same key, other address");
        assert_eq!(flood(&places, &LIMITS, holder(2, 1)), (0, Full::Client(50)), "same address, other key");
        assert_eq!(flood(&places, &LIMITS, holder(2, 2)), (25, Full::Client(25)));
        assert_eq!(places.check(&LIMITS, holder(3, 3)), Ok(()));
    }

    #[test]
    fn freed_place_is_for_who_has_none() {
        let places = Places::default();
        let flooders = || (1..=20).map(|flooder| holder(flooder, flooder));
        let taken: Vec<usize> = flooders().map(|flooder| flood(&places, &LIMITS, flooder).0).collect();
        assert_eq!(taken[..8], [50, 25, 13, 6, 3, 2, 1, 0]);
        places.give_back(holder(1, 1));
        for flooder in flooders().take(7) {
            assert!(places.check(&LIMITS, flooder).is_err(), "{flooder:?}");
        }
        assert_eq!(places.check(&LIMITS, holder(99, 99)), Ok(()));
    }

    #[test]
    fn fixed_shares_hold_before_the_rest_does() {
        let limits = QueueLimits { all: 100, per_owner: 10, per_client: 15 };
        let places = Places::default();
        assert_eq!(flood(&places, &limits, holder(1, 1)), (10, Full::Owner(10)));
        assert_eq!(flood(&places, &limits, holder(2, 1)), (5, Full::Client(15)));
    }

    #[test]
    fn share_of_all_is_no_share() {
        let limits = QueueLimits { all: 100, per_owner: 100, per_client: 100 };
        let places = Places::default();
        assert_eq!(flood(&places, &limits, holder(1, 1)), (100, Full::All(100)));
        assert_eq!(places.check_client(&limits, holder(1, 2).client), Err(Full::All(100)));
    }

    #[test]
    fn place_that_is_given_back_is_there_again() {
        let places = Places::default();
        let (taken, _) = flood(&places, &LIMITS, holder(1, 1));
        places.give_back(holder(1, 1));
        assert_eq!(places.check(&LIMITS, holder(1, 1)), Ok(()));
        for _ in 1..taken {
            places.give_back(holder(1, 1));
        }
        let held = places.held();
        assert!(held.all == 0 && held.owners.is_empty() && held.clients.is_empty(), "{held:?}");
    }

    #[test]
    fn who_asks_for_many_is_bounded_by_keys_alone() {
        let many = |owner| Holder { owner: PublicKey([owner; 32]), client: Client::Many };
        let places = Places::default();
        assert_eq!(flood(&places, &LIMITS, many(1)), (50, Full::Owner(50)));
        assert_eq!(places.check(&LIMITS, many(2)), Ok(()));
    }
}
