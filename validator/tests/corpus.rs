//! Real plugins: every C file of a PQUIC checkout, built by our recipe and looked into.
//!
//! Run by hand, since none of PQUIC is in this tree:
//! `PDS_PLUGIN_CORPUS=<checkout of p-quic/pquic> cargo test -p pds-validator --test corpus -- --ignored --nocapture`

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pds_plugin::archive::{ArchiveLimits, read_folder};
use pds_plugin::manifest::{Manifest, ManifestError};
use pds_plugin::source::SourceTree;
use pds_validator::build::{Circumstances, Recipe, build};
use pds_validator::platform::Platform;
use pds_validator::structure::{ElfError, Finding, StructureError, StructureLimits, verify};

/// The plugins and their headers, without what a checkout has besides.
/// Nothing stops a build here.
static RUNS: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

fn corpus() -> SourceTree {
    let root =
        std::env::var_os("PDS_PLUGIN_CORPUS").expect("PDS_PLUGIN_CORPUS names a checkout of p-quic/pquic");
    let mut corpus = SourceTree::default();
    for folder in ["plugins", "picoquic"] {
        let tree = read_folder(&Path::new(&root).join(folder), &ArchiveLimits::default()).unwrap();
        for (path, content) in tree.files() {
            corpus.insert(&format!("{folder}/{path}"), content.to_vec()).unwrap();
        }
    }
    corpus
}

#[test]
#[ignore = "needs PDS_PLUGIN_CORPUS"]
fn real_pluglets_are_refused_only_for_local_calls_or_no_code() {
    let corpus = corpus();
    let platform = Platform::parse(include_str!("../../platforms/pquic.toml")).unwrap();
    let mut called = BTreeSet::new();
    let (mut passed, mut refused, mut unbuilt) = (0, BTreeMap::new(), Vec::new());
    let mut warned: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let sources = corpus.files().filter(|(path, _)| path.starts_with("plugins/") && path.ends_with(".c"));
    for (path, _) in sources {
        let mut recipe = Recipe::pquic();
        let defines: &[&str] = match path.split('/').nth(1) {
            Some("multipath") => &["-DPACING", "-DDISABLE_QLOG"],
            Some("ack_delay") => &["-DACK_DELAY_MULT=1", "-DACK_DELAY_DIV=4", "-DACK_THRESHOLD=10"],
            _ => &[],
        };
        recipe.flags.extend(["-Ipicoquic", "-w"].iter().chain(defines).map(|flag| (*flag).to_owned()));
        let object = path.replace(".c", ".o");
        let built = match build(
            &corpus,
            "",
            &BTreeSet::from([object.as_str()]),
            &recipe,
            Circumstances::Plain,
            &RUNS,
        ) {
            Ok(built) => built,
            Err(cause) => {
                unbuilt.push(cause.to_string().lines().take(2).collect::<Vec<_>>().join(" | "));
                continue;
            }
        };
        match verify(&built.objects[&object], &StructureLimits::default()) {
            Ok(report) => {
                passed += 1;
                called.extend(report.helpers.iter().cloned());
                for warning in &report.warnings {
                    let kind = match warning {
                        Finding::AddendIgnored { .. } => "addend ignored",
                        Finding::CutShort { .. } => "cut short",
                        Finding::Unreachable { .. } => "unreachable",
                        Finding::Unrelocated { .. } => "unrelocated",
                    };
                    warned.entry(kind).or_default().insert(object.clone());
                }
            }
            Err(cause) => {
                refused.insert(object, cause);
            }
        }
    }
    // What PQUIC does not register, it does not load either.
    let strangers: Vec<&String> =
        called.iter().filter(|name| !platform.helpers.contains_key(*name)).collect();
    println!("{} helpers are called; unknown to the platform: {strangers:?}", called.len());
    println!("{passed} pass, {} are refused, {} do not build", refused.len(), unbuilt.len());
    for (object, cause) in &refused {
        println!("  {object}: {cause}");
    }
    for line in &unbuilt {
        println!("  {line}");
    }
    for (kind, objects) in &warned {
        println!("  {kind}: {} objects", objects.len());
    }
    assert!(passed > 100);
    // Two files define no function: parts of other pluglets.
    let is_known = |cause: &StructureError| {
        matches!(cause, StructureError::LocalCall { .. } | StructureError::Elf(ElfError::CodeSize(0)))
    };
    assert!(refused.values().all(is_known), "{refused:?}");
}

#[test]
#[ignore = "needs PDS_PLUGIN_CORPUS"]
fn real_manifests_are_refused_only_for_what_stands_outside_them() {
    use ManifestError as E;
    let corpus = corpus();
    let mut read = 0;
    for (path, content) in corpus.files().filter(|(path, _)| path.ends_with(".plugin")) {
        match Manifest::parse(content) {
            Ok(_) => read += 1,
            // Fragments have no name, plugins made of fragments include them.
            Err(E::Include { .. } | E::Separator { .. } | E::Name { .. }) => {}
            Err(other) => panic!("{path}: {other}"),
        }
    }
    println!("{read} manifests are read");
    assert!(read > 10);
}
