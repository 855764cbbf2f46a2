//! The pure crates stay pure: no I/O crate below them, no file, network, clock or thread in them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside the functions marked as such"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// All that may be below `pds-core` and `pds-schemas`: hashing, signatures, encodings, parsing, and what these stand on.
/// None of them opens a file or a socket, or reads a clock; `libc` is there for `cpufeatures`, which asks some systems what
/// the processor can do. A new one is a decision: read its source first.
const ALLOWED: [&str; 23] = [
    "base64",
    "block-buffer",
    "cfg-if",
    "const-oid",
    "cpufeatures",
    "crypto-common",
    "curve25519-dalek",
    "digest",
    "ed25519",
    "ed25519-dalek",
    "fiat-crypto",
    "hex",
    "hybrid-array",
    "libc",
    "serde",
    "serde_core",
    "sha2",
    "signature",
    "subtle",
    "thiserror",
    "typenum",
    "winnow",
    "zeroize",
];
/// Run by the compiler; nothing of them is in the program.
const PROC_MACROS: [&str; 7] = [
    "curve25519-dalek-derive",
    "proc-macro2",
    "quote",
    "serde_derive",
    "syn",
    "thiserror-impl",
    "unicode-ident",
];
/// What no source of a pure crate may name.
const FORBIDDEN: [&str; 13] = [
    // One import a line, so that what follows is seen.
    "std::{",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "std::io",
    "std::os",
    "SystemTime",
    "Instant",
    "async fn",
    "println!",
    "extern \"C\"",
];

/// Names of all crates below `package`, itself included, as built for any target; those used by tests alone left out.
fn dependencies(package: &str) -> BTreeSet<String> {
    let args = ["tree", "--offline", "-p", package, "-e", "normal", "--prefix", "none", "--target", "all"];
    let output =
        Command::new(env!("CARGO")).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn pure_crates_depend_on_nothing_that_does_io() {
    for (package, own) in [("pds-schemas", &["pds-schemas"][..]), ("pds-core", &["pds-core", "pds-schemas"])]
    {
        let known: BTreeSet<&str> = ALLOWED.iter().chain(&PROC_MACROS).chain(own).copied().collect();
        let found = dependencies(package);
        assert!(found.contains(package) && found.contains("thiserror"), "{found:?}");
        let other: Vec<_> = found.iter().filter(|name| !known.contains(name.as_str())).collect();
        assert!(other.is_empty(), "{package} depends on {other:?}");
    }
}

#[test]
fn pure_crates_name_no_file_network_clock_or_thread() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [core.join("src"), core.join("../schemas/src")] {
        let mut found = Vec::new();
        sources(&folder, &mut found);
        assert!(found.len() > 10, "{} has {} sources", folder.display(), found.len());
        for (path, text) in found {
            for (i, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let bad = FORBIDDEN.iter().find(|word| code.contains(**word));
                assert_eq!(bad, None, "{path}:{}", i + 1);
            }
        }
    }
}
