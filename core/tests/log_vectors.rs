//! The public proof vectors of transparency-dev/merkle, where they are at hand.
//!
//! Looked for in `PDS_MERKLE_VECTORS`, else in `shared/vectors` beside the workspace; skipped, and said so, where they
//! are not. `log.rs` carries known values of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pds_core::log::proof::{verify_consistency, verify_inclusion};
use pds_schemas::{Digest, TreeSize};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inclusion {
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consistency {
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

fn vectors<T: DeserializeOwned>(file: &str) -> Option<Vec<T>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = std::env::var_os("PDS_MERKLE_VECTORS").map_or_else(beside, PathBuf::from);
    if !folder.exists() {
        eprintln!("skipped: no vectors in {}", folder.display());
        return None;
    }
    Some(serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap())
}

/// `None` for what is not 32 bytes: our types cannot even hold it, which counts as refused.
fn digest(text: &str) -> Option<Digest> {
    Some(Digest(STANDARD.decode(text).ok()?.try_into().ok()?))
}

fn digests(proof: Option<&[String]>) -> Option<Vec<Digest>> {
    proof.unwrap_or_default().iter().map(|text| digest(text)).collect()
}

/// Some cases have short texts for roots; padded, they are roots that nothing leads to.
fn root(text: &str) -> Digest {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(STANDARD.decode(text).unwrap()) {
        *to = from;
    }
    Digest(bytes)
}

#[test]
fn inclusion_agrees_with_the_public_vectors() {
    let Some(cases) = vectors::<Inclusion>("inclusion.json") else { return };
    assert!(cases.len() > 90);
    for case in cases {
        let accepted =
            digest(&case.leaf_hash).zip(digests(case.proof.as_deref())).is_some_and(|(leaf, proof)| {
                let size = TreeSize(case.tree_size);
                verify_inclusion(&leaf, case.leaf_idx, size, &proof, &root(&case.root)).is_ok()
            });
        assert_eq!(accepted, !case.want_err, "{} {} of {}", case.desc, case.leaf_idx, case.tree_size);
    }
}

#[test]
fn growth_agrees_with_the_public_vectors() {
    let Some(cases) = vectors::<Consistency>("consistency.json") else { return };
    assert!(cases.len() > 90);
    for case in cases {
        let accepted = digests(case.proof.as_deref()).is_some_and(|proof| {
            let (from, to) = (TreeSize(case.size1), TreeSize(case.size2));
            verify_consistency(from, &root(&case.root1), to, &root(&case.root2), &proof).is_ok()
        });
        assert_eq!(accepted, !case.want_err, "{} {} to {}", case.desc, case.size1, case.size2);
    }
}
