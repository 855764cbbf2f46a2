//! Clocks and medians.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// CPU time that this thread has used.
pub fn cpu_now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below 10^9"))
}

/// What `work` gives, and the CPU time this thread used for it. What it gives is dropped by the caller, unmeasured.
pub fn cpu<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = cpu_now();
    let result = black_box(work());
    (result, cpu_now().saturating_sub(start))
}

/// What `work` gives, and how long it took by the clock on the wall.
pub fn wall<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = black_box(work());
    (result, start.elapsed())
}

/// The middle one of `samples` as nanoseconds; the upper of two.
///
/// # Panics
/// Without samples.
pub fn median(samples: impl IntoIterator<Item = Duration>) -> f64 {
    let mut samples: Vec<_> = samples.into_iter().collect();
    samples.sort_unstable();
    samples[samples.len() / 2].as_nanos() as f64
}
