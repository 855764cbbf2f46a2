//! A validator in this process: a world built with the core, and an HTTP server that tells of it, truly or not.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "every test file uses its own part; a helper that fails fails its test"
)]

pub mod raw;
pub mod server;
pub mod world;

use std::path::{Path, PathBuf};
use std::time::Duration;

use pds_client::api::ValidatorApi;
use pds_client::fetch::Source;
use pds_client::http::{Http, Timeouts};
use pds_client::state::Memory;
use pds_client::trust::TrustFile;
use tempfile::TempDir;

pub use server::{Fake, Lie};
pub use world::{NOW, World, name};

/// Timeouts that a test can wait for.
pub const SHORT: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    idle: Duration::from_millis(300),
    total: Duration::from_secs(20),
};

/// A folder with a trust file and a state folder, for some validators.
pub struct Desk {
    pub folder: TempDir,
    pub trust: PathBuf,
}

impl Desk {
    /// Nicknames are PV1, PV2 and so on.
    pub fn new(fakes: &[&Fake]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = String::new();
        for (i, fake) in fakes.iter().enumerate() {
            let world = fake.world.lock().unwrap();
            let policy = format!("pv{}.policy", i + 1);
            std::fs::write(folder.path().join(&policy), world.policy_file()).unwrap();
            text += &format!(
                "[validators.PV{}]\nurl = \"{}\"\nstr_key = \"{}\"\npolicy = \"{policy}\"\n",
                i + 1,
                fake.url,
                world.str_vkey()
            );
        }
        let trust = folder.path().join("trust.toml");
        std::fs::write(&trust, text).unwrap();
        Self { folder, trust }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn memory(&self) -> Memory {
        Memory::open(&self.path("state")).unwrap()
    }

    pub fn trust(&self) -> TrustFile {
        TrustFile::load(&self.trust).unwrap()
    }

    pub fn source(&self, nickname: &str) -> Source {
        let known = self.trust().get(nickname).unwrap().clone();
        let api = ValidatorApi::new(Http::new(SHORT).unwrap(), &known.url).unwrap();
        Source { known, api }
    }

    /// As [`Desk::source`], but reached at another URL.
    pub fn source_at(&self, nickname: &str, url: &str) -> Source {
        let api = ValidatorApi::new(Http::new(SHORT).unwrap(), url).unwrap();
        Source { api, ..self.source(nickname) }
    }

    pub fn conflicts(&self) -> Vec<PathBuf> {
        let Ok(folders) = std::fs::read_dir(self.path("state/conflicts")) else { return Vec::new() };
        folders.map(|folder| folder.unwrap().path()).collect()
    }
}

/// Writes files under a folder, making folders as needed.
pub fn write_files(folder: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}
