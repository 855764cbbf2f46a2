//! When a worker's next operation is due.
//!
//! Pure: the clock is an argument.

use std::time::{Duration, Instant};

/// The timetable of one worker.
#[derive(Clone, Debug)]
pub struct Pace {
    next: Instant,
    every: Option<Duration>,
    /// Operations that a busy server's `Retry-After` struck out.
    held_back: u64,
}

/// One operation of a timetable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// When to start.
    pub at: Instant,
    /// Whether that is past, so that the time since then counts as waiting for the server.
    pub is_late: bool,
}

impl Pace {
    /// An operation `every` so long from `first` on; without `every`, whenever the one before is done.
    pub fn new(first: Instant, every: Option<Duration>) -> Self {
        // A timetable without time between operations would never move on.
        Self { next: first, every: every.filter(|every| !every.is_zero()), held_back: 0 }
    }

    /// The next operation, if it is due before `end`.
    pub fn next(&mut self, now: Instant, end: Instant) -> Option<Due> {
        let at = self.next;
        let due = match self.every {
            None => Due { at: at.max(now), is_late: false },
            Some(every) => {
                self.next = at + every;
                Due { at, is_late: at < now }
            }
        };
        if due.at < end {
            return Some(due);
        }
        self.next = at;
        None
    }

    /// Lets nothing be due before `until`: a busy server asked for it.
    pub fn hold(&mut self, until: Instant) {
        let Some(every) = self.every else {
            self.next = self.next.max(until);
            return;
        };
        let Some(gap) = until.checked_duration_since(self.next) else { return };
        let struck = u32::try_from(gap.as_nanos().div_ceil(every.as_nanos())).unwrap_or(u32::MAX);
        self.held_back += u64::from(struck);
        self.next += every * struck;
    }

    /// Whether operations are due at fixed times.
    pub fn has_timetable(&self) -> bool {
        self.every.is_some()
    }

    /// Operations that fell to [`Pace::hold`].
    pub fn held_back(&self) -> u64 {
        self.held_back
    }

    /// Operations due before `end` that were never started: the server held up those before them.
    pub fn left_undone(&self, end: Instant) -> u64 {
        let (Some(every), Some(left)) = (self.every, end.checked_duration_since(self.next)) else { return 0 };
        u64::try_from(left.as_nanos().div_ceil(every.as_nanos())).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    #[test]
    fn timetable_does_not_wait_for_the_server() {
        let begin = Instant::now();
        let end = begin + STEP * 5;
        let mut pace = Pace::new(begin, Some(STEP));
        assert_eq!(pace.next(begin, end), Some(Due { at: begin, is_late: false }));
        // The first answer took 35 ms: three were due meanwhile, and count from then.
        let now = begin + Duration::from_millis(35);
        for i in 1..=3 {
            assert_eq!(pace.next(now, end), Some(Due { at: begin + STEP * i, is_late: true }));
        }
        assert_eq!(pace.next(now, end), Some(Due { at: begin + STEP * 4, is_late: false }));
        assert_eq!(pace.next(now, end), None);
        assert_eq!((pace.left_undone(end), pace.held_back()), (0, 0));
    }

    #[test]
    fn what_was_never_started_is_counted() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin, Some(STEP));
        pace.next(begin, begin + STEP * 10);
        assert_eq!(pace.left_undone(begin + STEP * 10), 9);
        assert_eq!(pace.left_undone(begin), 0);
        assert_eq!(Pace::new(begin, None).left_undone(begin + STEP), 0);
    }

    #[test]
    fn busy_server_is_left_alone_as_long_as_it_asks() {
        let begin = Instant::now();
        let end = begin + STEP * 100;
        let mut pace = Pace::new(begin, Some(STEP));
        pace.next(begin, end);
        pace.hold(begin + Duration::from_millis(35));
        assert_eq!(pace.held_back(), 3);
        assert_eq!(pace.next(begin, end), Some(Due { at: begin + STEP * 4, is_late: false }));
        // What lies before the next one anyway changes nothing.
        pace.hold(begin);
        assert_eq!(pace.held_back(), 3);

        let mut closed = Pace::new(begin, None);
        closed.hold(begin + STEP);
        assert_eq!(closed.next(begin, end), Some(Due { at: begin + STEP, is_late: false }));
        assert_eq!(closed.next(begin + STEP * 2, end), Some(Due { at: begin + STEP * 2, is_late: false }));
        assert_eq!(closed.next(end, end), None);
    }
}
