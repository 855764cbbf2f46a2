//! The preloaded library: compiled when it is needed, and set up by environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, ensure};
use pds_core::hash::sha256;

use crate::plan::Fault;

const SOURCES: [(&str, &str); 6] = [
    ("shim.c", include_str!("../shim/shim.c")),
    ("model.c", include_str!("../shim/model.c")),
    ("model.h", include_str!("../shim/model.h")),
    ("plan.c", include_str!("../shim/plan.c")),
    ("plan.h", include_str!("../shim/plan.h")),
    ("clock.c", include_str!("../shim/clock.c")),
];

/// What the library is to do in a process. Folders and files are absolute paths without a colon.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Folders whose files are watched.
    pub roots: Vec<PathBuf>,
    /// An existing folder on the disk of `roots`, and outside them, for files that a power cut brings back.
    pub stash: PathBuf,
    /// File to which all points are appended, if any.
    pub trace: Option<PathBuf>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What the clock says all the time, in POSIX seconds; `None` for the machine's.
    pub clock: Option<u64>,
    /// A file made by [`Control::create`], if any.
    pub control: Option<PathBuf>,
    /// The class of files whose syncs only say that they are, if any.
    pub lying: Option<String>,
    /// Seconds after which the process is ended by SIGALRM; `None` for never.
    pub seconds: Option<u32>,
}

impl Settings {
    /// Has `command` run with the library.
    ///
    /// # Errors
    /// When there is no C compiler, or it does not take the library.
    pub fn apply(&self, command: &mut Command) -> anyhow::Result<()> {
        command.envs(self.environment()?);
        Ok(())
    }

    /// The environment of a process with the library.
    ///
    /// # Errors
    /// As [`Settings::apply`].
    pub fn environment(&self) -> anyhow::Result<Vec<(String, OsString)>> {
        let roots: Vec<_> = self.roots.iter().map(|root| root.display().to_string()).collect();
        let faults: Vec<_> = self.faults.iter().map(ToString::to_string).collect();
        let file = |file: &Option<PathBuf>| file.clone().unwrap_or_default().into_os_string();
        let variables = [
            ("LD_PRELOAD", library()?.into()),
            ("PDS_FAULTS_ROOTS", roots.join(":").into()),
            ("PDS_FAULTS_STASH", self.stash.clone().into()),
            ("PDS_FAULTS_PLAN", faults.join(";").into()),
            ("PDS_FAULTS_TRACE", file(&self.trace)),
            ("PDS_FAULTS_CONTROL", file(&self.control)),
            ("PDS_FAULTS_CLOCK", self.clock.map_or(String::new(), |clock| clock.to_string()).into()),
            ("PDS_FAULTS_LYING", self.lying.clone().unwrap_or_default().into()),
            ("PDS_FAULTS_SECONDS", self.seconds.unwrap_or_default().to_string().into()),
        ];
        Ok(variables.map(|(name, value): (_, OsString)| (name.to_owned(), value)).into())
    }
}

/// What a running process is to think of its clock and its disks. The process sees each change at once.
#[derive(Debug)]
pub struct Control {
    file: PathBuf,
}

impl Control {
    /// Makes `file`: the machine's clock, and its disks.
    ///
    /// # Errors
    /// The system's.
    pub fn create(file: &Path) -> std::io::Result<Self> {
        let control = Self { file: file.to_owned() };
        std::fs::write(file, [0_i64.to_ne_bytes(), (-1_i64).to_ne_bytes(), 0_i64.to_ne_bytes()].concat())?;
        Ok(control)
    }

    /// Puts the clock ahead of the machine's by so many seconds, or back if negative.
    ///
    /// # Errors
    /// The system's.
    pub fn set_ahead(&self, seconds: i64) -> std::io::Result<()> {
        self.write(seconds, 0)
    }

    /// Says how many bytes every disk has free; `None` for as many as it has.
    ///
    /// # Errors
    /// The system's.
    pub fn set_free(&self, bytes: Option<u32>) -> std::io::Result<()> {
        self.write(bytes.map_or(-1, i64::from), 8)
    }

    /// Whether nothing more can be written below the watched folders: ENOSPC.
    ///
    /// # Errors
    /// The system's.
    pub fn set_full(&self, full: bool) -> std::io::Result<()> {
        self.write(full.into(), 16)
    }

    fn write(&self, value: i64, offset: u64) -> std::io::Result<()> {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::options().write(true).open(&self.file)?;
        file.write_all_at(&value.to_ne_bytes(), offset)
    }
}

/// The compiled library, beside the running binary; named by its source, so that it is compiled once.
///
/// # Errors
/// As [`Settings::apply`].
pub fn library() -> anyhow::Result<&'static Path> {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    if let Some(library) = LIBRARY.get() {
        return Ok(library);
    }
    let compiled = compile()?;
    Ok(LIBRARY.get_or_init(|| compiled))
}

fn compile() -> anyhow::Result<PathBuf> {
    let source: Vec<u8> = SOURCES.iter().flat_map(|(_, text)| text.bytes()).collect();
    let binary = std::env::current_exe().context("find the running binary")?;
    let folder = binary.parent().context("find the folder of the running binary")?;
    let library = folder.join(format!("libpds-faults-{}.so", &sha256(&source).to_string()[..16]));
    if library.exists() {
        return Ok(library);
    }
    let scratch = tempfile::tempdir_in(folder).context("make a folder to compile in")?;
    for (name, text) in SOURCES {
        std::fs::write(scratch.path().join(name), text)?;
    }
    let made = scratch.path().join("library.so");
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"])
        .arg("-o")
        .arg(&made);
    cc.args(
        SOURCES.iter().filter(|(name, _)| name.ends_with(".c")).map(|(name, _)| scratch.path().join(name)),
    );
    let output = cc.arg("-ldl").output().context("run cc, the C compiler")?;
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    // Whoever else compiles it at this moment makes the same.
    std::fs::rename(made, &library).context("keep the library")?;
    Ok(library)
}
