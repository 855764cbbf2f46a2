//! The thread's CPU clock, medians, and lines of output.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

/// CPU time that this thread has used.
pub fn cpu_now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below 10^9"))
}

/// What `work` gives, and the CPU time that it took.
pub fn cpu<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = cpu_now();
    let result = std::hint::black_box(work());
    (result, cpu_now().saturating_sub(start))
}

/// The middle one in nanoseconds; the upper of two. At least one sample.
pub fn median(mut samples: Vec<Duration>) -> f64 {
    samples.sort_unstable();
    samples[samples.len() / 2].as_nanos() as f64
}

/// Prints nanoseconds of CPU.
pub fn say_time(id: &str, size: usize, nanoseconds: f64, what: &str) {
    println!("{}", json!({ "id": id, "what": what, "size": size, "value": nanoseconds, "unit": "cpu_ns" }));
}

/// Prints a number of bytes.
pub fn say_bytes(id: &str, size: usize, bytes: f64, what: &str) {
    println!("{}", json!({ "id": id, "what": what, "size": size, "value": bytes, "unit": "bytes" }));
}
