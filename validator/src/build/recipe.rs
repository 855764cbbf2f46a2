//! How a validator builds, and what it built with: data to be written down and compared.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a validator builds: data, so that it can be written down and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The platform whose pluglets these are, e.g. `pquic`.
    pub platform: String,
    /// The compiler, an absolute path or a name to be found in `/usr/bin` and `/bin`.
    pub compiler: PathBuf,
    /// Arguments before `-c SOURCE -o OBJECT`. The compiler runs in the root of the source tree.
    pub flags: Vec<String>,
    /// Wall time for one object. Default 20 s.
    pub time_limit: Duration,
    /// Wall time for all objects of one build. Default 300 s.
    pub total_time_limit: Duration,
    /// Bytes of memory (address space) for one compiler process. Default 2 GiB.
    pub memory_bytes: u64,
    /// Most bytes kept of what the compiler says about one object. Default 16 KiB.
    pub words_bytes: usize,
    /// Most bytes of one object. Default 1 MiB.
    pub object_bytes: u64,
    /// Most bytes of all objects of one plugin. Default 16 MiB.
    pub total_object_bytes: u64,
}

impl Recipe {
    /// The recipe for PQUIC's pluglets: Debian's clang for BPF, with the headers of this machine's libc.
    ///
    /// No debug information, since that would hold the scratch folder's name. `-Werror=date-time` refuses what could
    /// never be reproduced; `-D__x86_64__` because libc's headers want an architecture and BPF is none they know.
    pub fn pquic() -> Self {
        let headers = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
        let flags = [
            "-target",
            "bpf",
            "-O2",
            "-fintegrated-cc1",
            "-fno-crash-diagnostics",
            "-fno-color-diagnostics",
            "-Werror=date-time",
            "-DDISABLE_PROTOOP_PRINTF",
            "-D__x86_64__",
            "-idirafter",
            &headers,
            "-I.",
        ];
        Self {
            platform: "pquic".to_owned(),
            compiler: "clang".into(),
            flags: flags.map(str::to_owned).to_vec(),
            time_limit: Duration::from_secs(20),
            total_time_limit: Duration::from_secs(300),
            memory_bytes: 2 << 30,
            words_bytes: 16 << 10,
            object_bytes: 1 << 20,
            total_object_bytes: 16 << 20,
        }
    }

    /// The compiler's file. A bare name is looked for in our own search path, not in the caller's.
    pub fn compiler_file(&self) -> PathBuf {
        if self.compiler.components().count() > 1 {
            return self.compiler.clone();
        }
        let candidates = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(&self.compiler));
        candidates.iter().find(|path| path.is_file()).unwrap_or(&candidates[0]).clone()
    }
}

/// What objects were built with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildEnvironment {
    /// The first line of `COMPILER --version`.
    pub compiler: String,
    /// The recipe's flags.
    pub flags: Vec<String>,
    /// The recipe's platform.
    pub platform: String,
    /// Whether the compiler ran in a sandbox.
    pub confined: bool,
}
