//! Servers as processes of their own: started, waited for, and ended by their number.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for a server to begin or to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two looks at what a server is at.
const LOOK: Duration = Duration::from_millis(10);

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `command`, and waits until `address` names an address and it takes connections there. The server ends with
    /// the thread that starts it, however that ends.
    ///
    /// # Errors
    /// When it cannot be started, ends early or does not listen in time.
    pub fn start(command: &Command, mut address: impl FnMut() -> Option<SocketAddr>) -> anyhow::Result<Self> {
        let mut tied = Command::new("setpriv");
        tied.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program()).args(command.get_args());
        let name = command.get_program().display();
        let child = tied.spawn().with_context(|| format!("start {name} by setpriv of util-linux"))?;
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let started = Instant::now();
        loop {
            if let Some(address) = address().filter(|address| TcpStream::connect(address).is_ok()) {
                server.address = address;
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                anyhow::bail!("{name} ended early: {status}");
            }
            ensure!(started.elapsed() < PATIENCE, "{name} did not listen within {PATIENCE:?}");
            std::thread::sleep(LOOK);
        }
    }

    /// CPU seconds of the server and of its children so far; counted by the system in hundredths.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let all = children.split_ascii_whitespace().map(str::to_owned).chain([pid.to_string()]);
        all.map(|pid| cpu_of(&pid)).sum()
    }

    /// Most bytes of memory that the server had so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak_memory(&self) -> anyhow::Result<f64> {
        // proc_pid_status(5): the peak resident set size, in kibibytes.
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("a process has a peak")?;
        let kib: f64 = peak.trim().trim_end_matches(" kB").parse().context("VmHWM")?;
        Ok(kib * 1024.0)
    }

    fn end(&mut self) -> anyhow::Result<ExitStatus> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(LOOK);
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("pds-bench: could not end a server: {error:#}");
        }
    }
}

/// proc_pid_stat(5): after the name in parentheses, utime and stime are fields 14 and 15, in clock ticks.
fn cpu_of(pid: &str) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("a process has a name")?;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>()?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
