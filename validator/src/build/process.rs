//! One child process with a time limit, and the beginning of what it says.
//!
//! The child leads a process group of its own, and what is left of the group is killed when time is up. Knows nothing of
//! compilers.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Status(i32),
    Signal(i32),
    TimedOut,
}

/// A process that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub ended: Ended,
    /// Standard output and error as they came, cut to whole lines within the limit; a last line says so.
    pub words: String,
}

/// Runs a program to its end or to `limit`, without standard input.
///
/// # Errors
/// When it cannot be started.
pub(super) fn run(
    program: &Path,
    arguments: &[OsString],
    environment: &[(&str, &OsStr)],
    folder: &Path,
    limit: Duration,
    words_bytes: usize,
) -> io::Result<Run> {
    let deadline = Instant::now() + limit;
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(program);
    command
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
    let heard = Heard::listen(reader, words_bytes);
    let ended = match wait_until(&mut child, deadline)? {
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Status(code),
            (None, signal) => Ended::Signal(signal.unwrap_or_default()),
        },
        None => {
            // The group goes before its leader is waited for, while the number cannot be another's.
            kill_group(child.id());
            child.kill()?;
            child.wait()?;
            Ended::TimedOut
        }
    };
    Ok(Run { ended, words: heard.words() })
}

/// Waits for a child until `deadline`; `None` when it is still running then.
fn wait_until(child: &mut Child, deadline: Instant) -> io::Result<Option<std::process::ExitStatus>> {
    // The standard library cannot wait with a limit; the pause grows with what has been waited.
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Kills a process group by its leader's id. The standard library cannot, so the shell's own `kill` does; the script is
/// constant and its argument a number.
fn kill_group(leader: u32) {
    let script = ["-c", "kill -KILL \"-$1\"", "sh"];
    let mut command = Command::new("/bin/sh");
    command.args(script).arg(leader.to_string()).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Without a shell the leader is still killed by the caller.
    let _ = command.status();
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

    fn sh(script: &str, limit: Duration, words_bytes: usize) -> Run {
        let arguments = ["-c".into(), script.into()];
        run(
            Path::new("/bin/sh"),
            &arguments,
            &[("GIVEN", "yes".as_ref())],
            Path::new("/"),
            limit,
            words_bytes,
        )
        .unwrap()
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
        let stat = format!("/proc/{}/stat", run.words.trim());
        // Killed is not yet gone; nobody may have collected it either.
        let is_alive = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        let patience = Instant::now() + LONG;
        while is_alive() {
            assert!(Instant::now() < patience, "{stat} is still there");
            thread::yield_now();
        }
    }
}
