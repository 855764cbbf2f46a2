//! Plugins to submit: the samples of `tests/plugins`, and ones that are quick to decide.

use std::path::{Path, PathBuf};

use pds_client::submit::{Plugin, Prepared, prepare, read_plugin};
use pds_core::cose::{SigningKey, public_key, signing_key};
use pds_plugin::manifest::Manifest;
use pds_plugin::source::{SourceTree, source_digest};
use pds_schemas::{OwnerRecord, PluginName, Release};

/// Samples that build and hold.
pub const GOOD: [&str; 4] = ["pacing", "telemetry", "buffer", "datagram"];
/// Samples that fail: a local call, and a syntax error.
pub const BAD: [&str; 2] = ["broken", "syntax"];

/// A pluglet that compiles and holds.
pub const HOLDS: &str = "unsigned long f(void *cnx) { return 0; }\n";
/// A pluglet that costs the validator one look at it.
pub const FAILS: &str = "#error nothing to build\n";

/// A developer's key.
pub fn developer(seed: u8) -> SigningKey {
    signing_key(&[seed; 32])
}

/// A plugin name.
pub fn name(text: &str) -> PluginName {
    PluginName::new(text).unwrap()
}

/// The folder of a sample.
pub fn sample_folder(sample: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins").join(sample)
}

/// A sample.
pub fn sample(sample: &str) -> Plugin {
    read_plugin(&sample_folder(sample), None).unwrap()
}

/// A plugin of one pluglet, `f.c`, with `code` in it.
pub fn tiny(name: &str, code: &str) -> Plugin {
    let manifest = format!("{name}\nset_timer pre f.o\n");
    plugin([("t.plugin", manifest.into_bytes()), ("f.c", code.as_bytes().to_vec())])
}

/// A plugin of these files, of which `t.plugin` is the manifest.
pub fn plugin(files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Plugin {
    let mut tree = SourceTree::default();
    for (path, content) in files {
        tree.insert(path, content).unwrap();
    }
    let manifest = Manifest::parse(tree.get("t.plugin").unwrap()).unwrap();
    let source = source_digest(&tree).unwrap();
    Plugin { tree, source, manifest_path: "t.plugin".to_owned(), manifest }
}

/// `plugin` signed by `key`, which owns its name.
pub fn signed(plugin: &Plugin, release: u64, key: &SigningKey) -> Prepared {
    let owner = OwnerRecord::first(plugin.manifest.name.clone(), public_key(key));
    prepare(plugin, None, Release(release), owner, key).unwrap()
}
