//! How a validator builds, and what it built with: data to be written down and compared.

use std::path::PathBuf;
use std::time::Duration;

/// How a validator builds: data, so that it can be written down and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The platform whose pluglets these are, e.g. `pquic`.
    pub platform: String,
    /// The compiler, a path or a name to be found in `/usr/bin` and `/bin`.
    pub compiler: PathBuf,
    /// Arguments before `-c SOURCE -o OBJECT`. The compiler runs in the root of the source tree.
    pub flags: Vec<String>,
    /// Wall time for one object. Default 20 s.
    pub time_limit: Duration,
    /// Wall time for all objects of one build. Default 300 s.
    pub total_time_limit: Duration,
    /// Most bytes kept of what the compiler says about one object. Default 16 KiB.
    pub words_bytes: usize,
    /// Most bytes of one object. Default 1 MiB.
    pub object_bytes: u64,
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
            words_bytes: 16 << 10,
            object_bytes: 1 << 20,
        }
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
