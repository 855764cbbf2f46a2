//! The committed corpora in `tests/fuzz/corpus/`: what is in them, and that no target finds a fault with them.
//!
//! `BLESS=1 cargo test -p pds-fuzz-targets` writes the generated inputs anew; the diff is reviewed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use pds_fuzz_targets::{TARGETS, Target, seeds};

/// Mutations of each input.
const MUTATIONS: u64 = 32;
/// Most bytes of all corpora together, so that a clone stays small.
const MOST_BYTES: usize = 300_000;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// Every input of a target by its file's name.
fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = fuzz_folder().join("corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let read = |file: std::fs::DirEntry| {
        (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
    };
    files.map(|file| read(file.unwrap())).collect()
}

fn by_hand(name: &str) -> bool {
    name.starts_with("found-") || name.starts_with("regression-")
}

#[test]
fn corpora_hold_what_their_generator_makes() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/vectors/accepted");
    let mut fresh: BTreeMap<&str, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for (target, name, bytes) in seeds::seeds(&vectors) {
        assert!(
            fresh.entry(target).or_default().insert(name.clone(), bytes).is_none(),
            "{target}/{name} twice"
        );
    }
    let targets: Vec<&str> = fresh.keys().copied().collect();
    let mut expected: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    expected.sort_unstable();
    assert_eq!(targets, expected, "targets with seeds");
    let mut total = 0;
    for (target, fresh) in fresh {
        if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
            let folder = fuzz_folder().join("corpus").join(target);
            std::fs::create_dir_all(&folder).unwrap();
            for name in corpus(target).keys().filter(|name| !by_hand(name)) {
                std::fs::remove_file(folder.join(name)).unwrap();
            }
            fresh.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).unwrap());
        }
        let mut stored = corpus(target);
        total += stored.values().map(Vec::len).sum::<usize>();
        stored.retain(|name, _| !by_hand(name));
        assert!(stored == fresh, "{target}: BLESS=1 cargo test -p pds-fuzz-targets, and review the diff");
    }
    assert!(total <= MOST_BYTES, "{total} bytes");
}

#[test]
fn every_artefact_of_the_formats_is_in_the_corpus() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/vectors/accepted");
    let stored = corpus("artefact");
    for file in std::fs::read_dir(vectors).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let seed = file.replace(".json", "-smallest");
        assert!(stored.contains_key(&seed), "{seed}: is it among the KINDS?");
    }
}

#[test]
fn every_target_has_its_program() {
    let manifest = std::fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        let program = fuzz_folder().join("fuzz_targets").join(format!("{name}.rs"));
        let text = std::fs::read_to_string(&program).unwrap();
        assert!(text.contains(&format!("pds_fuzz_targets::{name}(bytes)")), "{}", program.display());
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is in Cargo.toml");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}

/// Runs a target, and says which input it was that it did not like.
fn run(target: &Target, what: &str, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{} found a fault with {what}: {hex}", target.name);
    }
}

/// A step of a linear congruential generator (Knuth's MMIX); mutations are the same in every run.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap()
}

fn mutated(bytes: &[u8], state: &mut u64) -> Vec<u8> {
    let mut mutated = bytes.to_vec();
    for _ in 0..1 + next(state) % 3 {
        let at = next(state) % (mutated.len() + 1);
        match (next(state) % 4, mutated.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << (next(state) % 8),
            (1, Some(byte)) => *byte = next(state).to_le_bytes()[0],
            (2, Some(_)) => drop(mutated.remove(at)),
            _ => mutated.insert(at, next(state).to_le_bytes()[0]),
        }
    }
    mutated
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    for (file, bytes) in corpus(name) {
        run(target, &file, &bytes);
        for length in 0..bytes.len() {
            run(target, &format!("the first {length} bytes of {file}"), &bytes[..length]);
        }
        let mut state = bytes.len() as u64;
        for i in 0..MUTATIONS {
            run(target, &format!("mutation {i} of {file}"), &mutated(&bytes, &mut state));
        }
    }
}

/// A test for each target, so that they run side by side and are named when they fail.
macro_rules! replayed {
    ($($name:ident)*) => {
        mod no_fault_is_found_with_the_corpus_of {
            $(#[test]
            fn $name() {
                super::replay(stringify!($name));
            })*

            #[test]
            fn every_target() {
                let replayed = [$(stringify!($name)),*];
                let targets: Vec<&str> = pds_fuzz_targets::TARGETS.iter().map(|target| target.name).collect();
                assert_eq!(targets, replayed);
            }
        }
    };
}

replayed! {
    artefact evidence_bytes transition_bytes binding_bytes upload_bytes cose_bytes cbor inspect page tile
    note checkpoint tlog_policy tlog_proof formula words json manifest trust_file config backup_manifest
    hammer_journal control_line
    prefix_proof transition log_proof source_tree evidence evidence_signed archive structure intake answer
}
