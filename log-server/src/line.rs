//! What the builders are to decide, in turns over the owners who wait.
//!
//! Within one owner it is first come, first served. With several builders, one is never given to an owner who has all the
//! others: slow builds of one owner keep nobody else waiting for longer than for a free builder.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::gauge;
use pds_schemas::PublicKey;
use pds_service::turns::Turns;

/// Places of the queue that wait for a builder.
#[derive(Debug)]
pub struct Line {
    /// Most builders that one owner has at a time.
    most: usize,
    /// Time before a place is tried again.
    pause: Duration,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Turns<PublicKey, u64>,
    /// To be tried again, when that is due; soonest first.
    again: VecDeque<(Instant, PublicKey, u64)>,
    /// Builders that each owner has; who has none has no entry.
    busy: HashMap<PublicKey, usize>,
    closed: bool,
}

/// A place that one builder is at, until dropped.
#[derive(Debug)]
pub struct Job {
    /// The place in the queue.
    pub place: u64,
    owner: PublicKey,
    line: Arc<Line>,
}

impl Line {
    /// A line for this many builders, in which a place to be tried again waits for `pause` first.
    pub fn new(builders: usize, pause: Duration) -> Arc<Self> {
        let most = builders.saturating_sub(1).max(1);
        Arc::new(Self { most, pause, state: Mutex::default(), news: Condvar::new() })
    }

    /// Has `place`, of what `owner` signed, wait for a builder.
    pub fn push(&self, owner: PublicKey, place: u64) {
        self.state().waiting.push(owner, place);
        self.news.notify_one();
    }

    /// The next place in turn; waits until there is one. `None` once the line is closed.
    pub fn take(self: &Arc<Self>) -> Option<Job> {
        let mut state = self.state();
        while !state.closed {
            let now = Instant::now();
            while let Some((_, owner, place)) = state.again.pop_front_if(|(due, ..)| *due <= now) {
                state.waiting.push(owner, place);
            }
            let State { waiting, busy, again, .. } = &mut *state;
            let next = waiting.pop_of(|owner| busy.get(owner).is_none_or(|busy| *busy < self.most));
            if let Some((owner, place)) = next {
                *busy.entry(owner).or_default() += 1;
                gauge!("pds_builders_busy").increment(1);
                return Some(Job { place, owner, line: Arc::clone(self) });
            }
            state = match again.front().map(|(due, ..)| due.saturating_duration_since(now)) {
                Some(time) => self.news.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
                None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        None
    }

    /// Gives out nothing more, also to those who wait for it.
    pub fn close(&self) {
        self.state().closed = true;
        self.news.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one step; a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    /// Has the place wait again, after the line's pause.
    pub fn again(self) {
        let mut state = self.line.state();
        state.again.push_back((Instant::now() + self.line.pause, self.owner, self.place));
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let mut state = self.line.state();
        if let Some(busy) = state.busy.get_mut(&self.owner) {
            *busy -= 1;
            if *busy == 0 {
                state.busy.remove(&self.owner);
            }
        }
        drop(state);
        gauge!("pds_builders_busy").decrement(1);
        // Its owner may now have another, and what is to be tried again has a time to wait for.
        self.line.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEDY: PublicKey = PublicKey([1; 32]);
    const PAUSE: Duration = Duration::from_millis(50);
    const MODEST: PublicKey = PublicKey([2; 32]);

    fn line(builders: usize, places: &[(PublicKey, u64)]) -> Arc<Line> {
        let line = Line::new(builders, PAUSE);
        for (owner, place) in places {
            line.push(*owner, *place);
        }
        line
    }

    fn next(line: &Arc<Line>) -> u64 {
        line.take().unwrap().place
    }

    #[test]
    fn builders_take_turns_over_owners() {
        let line = line(1, &[(GREEDY, 0), (GREEDY, 1), (GREEDY, 2), (MODEST, 3)]);
        let order: Vec<u64> = (0..4).map(|_| next(&line)).collect();
        assert_eq!(order, [0, 3, 1, 2]);
    }

    #[test]
    fn last_builder_is_not_for_an_owner_who_has_the_others() {
        let line = line(3, &[(GREEDY, 0), (GREEDY, 1), (GREEDY, 2)]);
        let first = line.take().unwrap();
        let second = line.take().unwrap();
        std::thread::scope(|scope| {
            let third = scope.spawn(|| next(&line));
            line.push(MODEST, 3);
            assert_eq!(third.join().unwrap(), 3);
            let third = scope.spawn(|| next(&line));
            drop(first);
            assert_eq!(third.join().unwrap(), 2);
        });
        drop(second);
    }

    #[test]
    fn only_builder_is_for_everybody() {
        let line = line(1, &[(GREEDY, 0)]);
        assert_eq!(next(&line), 0);
    }

    #[test]
    fn what_is_to_be_tried_again_comes_when_it_is_time() {
        let line = line(1, &[(GREEDY, 0), (GREEDY, 1)]);
        let began = Instant::now();
        line.take().unwrap().again();
        assert_eq!((next(&line), next(&line)), (1, 0));
        assert!(began.elapsed() >= PAUSE);
    }

    #[test]
    fn closing_ends_those_who_wait() {
        let line = line(2, &[]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| line.take().is_none());
            line.close();
            assert!(waiting.join().unwrap());
        });
        line.push(GREEDY, 0);
        assert!(line.take().is_none());
    }
}
