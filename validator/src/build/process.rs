//! One child process with a time limit, and the beginning of what it says.
//!
//! The child leads a process group of its own, of which nothing is left when it has ended or its time is up. Knows nothing
//! of compilers. Not a sandbox: a process that moves to a group of its own escapes.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Signal, WaitId, WaitIdOptions, getrlimit, kill_process_group, waitid};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Status(i32),
    Signal(i32),
    TimedOut,
    Stopped,
}

/// A process that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub ended: Ended,
    /// Standard output and error as they came, cut to whole lines within the limit; a last line says so.
    pub words: String,
}

/// What a process may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Wall time.
    pub time: Duration,
    /// Bytes of address space, of each process of the group.
    pub memory_bytes: u64,
    /// Bytes of a file that it writes.
    pub file_bytes: u64,
    /// Bytes that are kept of what it says.
    pub words_bytes: usize,
}

/// Runs a program to its end, or until its time is up or `stop` is set, without standard input.
///
/// # Errors
/// When it cannot be started.
pub(super) fn run(
    program: &Path,
    arguments: &[OsString],
    environment: &[(&str, &OsStr)],
    folder: &Path,
    bounds: Bounds,
    stop: &AtomicBool,
) -> io::Result<Run> {
    // Behind prlimit(1) a program that is not there would look like one that failed.
    std::fs::metadata(program)?;
    let deadline = Instant::now() + bounds.time;
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(PRLIMIT);
    command
        .args(limits(bounds))
        .arg("--")
        .arg(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let mut child = command.spawn()?;
    // The command holds our ends of the pipe, which would never see its end.
    drop(command);
    let leader = Pid::from_child(&child);
    let heard = Heard::listen(reader, bounds.words_bytes);
    let by_itself = ends_by_itself(leader, deadline, stop);
    // The group goes before its leader is collected, while the number cannot be another's. A leader that has ended keeps
    // its status, and one that is alone makes this fail.
    let _ = kill_process_group(leader, Signal::KILL);
    let status = collect(&mut child)?;
    let ended = match (by_itself?, status.code()) {
        (false, _) if stop.load(Ordering::Relaxed) => Ended::Stopped,
        (false, _) => Ended::TimedOut,
        (true, Some(code)) => Ended::Status(code),
        (true, None) => Ended::Signal(status.signal().unwrap_or_default()),
    };
    Ok(Run { ended, words: heard.words() })
}

/// Sets limits on itself and becomes the program, which so has them from its first instruction on. In Debian's util-linux,
/// which is essential.
const PRLIMIT: &str = "/usr/bin/prlimit";

/// Arguments of prlimit(1). No limit is above the one that this process has itself, which only root could raise.
fn limits(bounds: Bounds) -> [String; 4] {
    let limits = [
        ("as", Resource::As, bounds.memory_bytes),
        ("fsize", Resource::Fsize, bounds.file_bytes),
        // The time limit is ours to enforce; this one ends what we do not live to see the end of.
        ("cpu", Resource::Cpu, bounds.time.as_secs() + 1),
        ("core", Resource::Core, 0),
    ];
    limits.map(|(name, resource, most)| {
        let own = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        format!("--{name}={}", most.min(own))
    })
}

/// Kills what may be left of a child, and collects it.
fn collect(child: &mut Child) -> io::Result<std::process::ExitStatus> {
    child.kill()?;
    child.wait()
}

/// Waits for a child to end, without collecting it; false when it still runs at `deadline`, or when `stop` is set.
fn ends_by_itself(child: Pid, deadline: Instant, stop: &AtomicBool) -> io::Result<bool> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // There is no waiting with a limit; the pause grows with what has been waited.
    let mut pause = Duration::from_millis(1);
    loop {
        if waitid(WaitId::Pid(child), look)?.is_some() {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// What comes out of a pipe: the first bytes are kept, the rest is read and dropped so that the writer never blocks.
struct Heard {
    kept: Arc<Mutex<(Vec<u8>, u64)>>,
    closed: Receiver<()>,
}

impl Heard {
    fn listen(mut pipe: impl Read + Send + 'static, most: usize) -> Self {
        let kept = Arc::new(Mutex::new((Vec::new(), 0)));
        let (sender, closed) = mpsc::channel();
        let shared = Arc::clone(&kept);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let room = most - kept.0.len();
                kept.0.extend_from_slice(&buffer[..read.min(room)]);
                kept.1 += read.saturating_sub(room) as u64;
            }
            // The listener may have stopped waiting.
            let _ = sender.send(());
        });
        Self { kept, closed }
    }

    /// What was kept. A process that outlives its leader may hold the pipe open: not waited for beyond a second.
    fn words(self) -> String {
        let _ = self.closed.recv_timeout(Duration::from_secs(1));
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, dropped) = (&kept.0, kept.1);
        if dropped == 0 {
            return String::from_utf8_lossy(bytes).into_owned();
        }
        // Whole lines only, so that nothing a caller looks for in them is cut in two.
        let end = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let mut words = String::from_utf8_lossy(&bytes[..end]).into_owned();
        words.push_str(&format!("({} more bytes were cut)", dropped + (bytes.len() - end) as u64));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, time: Duration, words_bytes: usize) -> Run {
        bounded_sh(script, Bounds { time, memory_bytes: 1 << 30, file_bytes: 1 << 20, words_bytes })
    }

    fn bounded_sh(script: &str, bounds: Bounds) -> Run {
        let arguments = ["-c".into(), script.into()];
        let environment = [("GIVEN", "yes".as_ref())];
        run(Path::new("/bin/sh"), &arguments, &environment, Path::new("/"), bounds, &AtomicBool::new(false))
            .unwrap()
    }

    fn wait_until_gone(process: &str) {
        let stat = format!("/proc/{}/stat", process.trim());
        // Killed is not yet gone; nobody may have collected it either.
        let is_alive = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        let patience = Instant::now() + LONG;
        while is_alive() {
            assert!(Instant::now() < patience, "{stat} is still there");
            thread::yield_now();
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn run_keeps_both_outputs_in_order_and_the_status() {
        let run = sh("echo one; echo two >&2; echo $GIVEN $HOME; exit 3", LONG, 100);
        assert_eq!(run, Run { ended: Ended::Status(3), words: "one\ntwo\nyes\n".into() });
        assert_eq!(sh("kill -9 $$", LONG, 100).ended, Ended::Signal(9));
    }

    #[test]
    fn run_drains_what_it_does_not_keep() {
        // More than a pipe holds, so an undrained writer would hang until the limit.
        let run = sh("echo one; head -c 1000000 /dev/zero | tr '\\0' x", LONG, 10);
        assert_eq!(run.ended, Ended::Status(0));
        assert_eq!(run.words, "one\n(1000000 more bytes were cut)");
    }

    #[test]
    fn run_kills_the_whole_group_when_time_is_up() {
        let run = sh("sleep 1000 & echo $!; wait", Duration::from_millis(200), 100);
        assert_eq!(run.ended, Ended::TimedOut);
        wait_until_gone(&run.words);
    }

    #[test]
    fn run_kills_what_outlives_its_leader() {
        // Without its own end of the pipe, so that nothing but the group tells of it.
        let run = sh("sleep 1000 >/dev/null 2>&1 & echo $!; exit 7", LONG, 100);
        assert_eq!(run.ended, Ended::Status(7));
        wait_until_gone(&run.words);
    }

    #[test]
    fn run_kills_what_ignores_signals_and_never_stops_talking() {
        let run = sh("trap '' TERM HUP INT; while :; do echo y; done", Duration::from_millis(200), 10);
        assert_eq!(run.ended, Ended::TimedOut);
        assert!(run.words.starts_with("y\n") && run.words.len() < 100, "{}", run.words);
    }

    #[test]
    fn run_bounds_files_and_memory() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("large");
        let bounds = Bounds { time: LONG, memory_bytes: 64 << 20, file_bytes: 1 << 16, words_bytes: 1000 };
        let run = bounded_sh(&format!("exec head -c 1000000 /dev/zero >'{}'", file.display()), bounds);
        assert_eq!((run.ended, run.words.as_str()), (Ended::Signal(25), ""));
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 1 << 16);
        // Without a newline, tail keeps everything.
        let run = bounded_sh("head -c 100000000 /dev/zero | tail -n 1 | wc -c", bounds);
        assert!(run.words.contains("memory exhausted"), "{}", run.words);
    }

    #[test]
    fn run_ends_when_it_is_stopped() {
        let bounds = Bounds { time: LONG, memory_bytes: 1 << 30, file_bytes: 0, words_bytes: 100 };
        let arguments = ["-c".into(), "sleep 1000".into()];
        let stop = AtomicBool::new(true);
        let run = run(Path::new("/bin/sh"), &arguments, &[], Path::new("/"), bounds, &stop).unwrap();
        assert_eq!(run.ended, Ended::Stopped);
    }
}
