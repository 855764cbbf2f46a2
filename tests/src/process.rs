//! Child processes: found, started, listened to, and ended by their handle.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;

/// The binary `name` of this workspace, in the target folder that the running test is in.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/test-0123456789abcdef
    let folder = test.ancestors().nth(2).unwrap();
    let path = folder.join(name);
    assert!(
        path.exists(),
        "there is no {}: build the workspace first, cargo build --workspace",
        path.display()
    );
    path
}

/// A child process whose standard error is kept, and which ends with this handle.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// What it said so far.
    pub log: Arc<Log>,
}

impl Process {
    /// Starts `command`.
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("start {command:?}: {e}"));
        let log = Arc::new(Log::default());
        let (stderr, written) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Some(Ok(line)) = lines.next() {
                written.update(|said| said.lines.push(String::from_utf8_lossy(&line).into_owned()));
            }
            written.update(|said| said.ended = true);
        });
        Self { child, log }
    }

    /// Bytes of memory that it has in use: its resident set.
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most of [`Process::resident_bytes`] since it started.
    pub fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(which)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Asks it to end: SIGTERM.
    pub fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Ends it as a power cut would: SIGKILL. Returns once it is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.log.wait_for_end();
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of process {}\n{}---", self.child.id(), self.log.tail());
        }
        // Fails when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines that a process wrote.
#[derive(Debug, Default)]
pub struct Log {
    said: Mutex<Said>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lock().lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All lines.
    pub fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    /// Whether some line has `part` in it.
    pub fn has(&self, part: &str) -> bool {
        self.lock().lines.iter().any(|line| line.contains(part))
    }

    /// Waits for a line, from the `from`th on, of which `find` makes something; `None` when the process ended without one.
    pub fn wait_for<T>(&self, from: usize, mut find: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.lock();
        let mut next = from;
        loop {
            while let Some(line) = said.lines.get(next) {
                next += 1;
                if let Some(found) = find(line) {
                    return Some(found);
                }
            }
            if said.ended {
                return None;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(said);
                panic!("waited {PATIENCE:?} for a line of\n{}", self.tail());
            }
            said = self.news.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets the process go on for `most`, or until it ends.
    pub fn watch(&self, most: Duration) {
        let said = self.lock();
        let waited = self.news.wait_timeout_while(said, most, |said| !said.ended);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn wait_for_end(&self) {
        let said = self.lock();
        let waited = self.news.wait_timeout_while(said, PATIENCE, |said| !said.ended);
        let (said, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(said);
        assert!(!waited.timed_out(), "waited {PATIENCE:?} for the end of\n{}", self.tail());
    }

    fn tail(&self) -> String {
        let said = self.lock();
        let from = said.lines.len().saturating_sub(40);
        said.lines[from..].iter().map(|line| format!("{line}\n")).collect()
    }

    fn update(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.lock());
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
