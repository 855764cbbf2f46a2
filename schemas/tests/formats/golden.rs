//! Accepted vectors: `vectors/accepted/<artefact>.json` holds what each sample is, byte for byte.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::kinds::KINDS;
use crate::samples;

/// The command that writes the vectors anew; every vector file names it.
const MADE_BY: &str = "BLESS=1 cargo test -p pds-schemas --test formats";

/// Compares `vectors` with the file, or writes the file under `BLESS=1`; the bytes of the file's vectors.
pub fn check_file(folder: &str, artefact: &str, vectors: Vec<Value>) -> Vec<Vec<u8>> {
    let file = path(folder, artefact);
    let fresh = json!({ "made_by": MADE_BY, "artefact": artefact, "vectors": vectors });
    if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let text = serde_json::to_string_pretty(&fresh).unwrap();
        std::fs::write(&file, text + "\n").unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let stored: Value = serde_json::from_str(&stored).unwrap();
    let (old, new) = (stored["vectors"].as_array().unwrap(), fresh["vectors"].as_array().unwrap());
    for (old, new) in old.iter().zip(new) {
        assert_eq!(old, new, "{} differs; review, then {MADE_BY}", file.display());
    }
    assert_eq!(old.len(), new.len(), "vectors of {}", file.display());
    assert_eq!(stored, fresh, "head of {}", file.display());
    old.iter().map(|vector| hex::decode(vector["hex"].as_str().unwrap()).unwrap()).collect()
}

/// The names of the files in a folder of vectors, sorted, without `.json`.
pub fn files(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(path(folder, "x").parent().unwrap()).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> =
        names.map(|n| n.strip_suffix(".json").expect("a .json file").to_owned()).collect();
    names.sort();
    names
}

fn path(folder: &str, artefact: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(folder).join(format!("{artefact}.json"))
}

#[test]
fn accepted_vectors_decode_and_encode_to_the_same_bytes() {
    let samples = samples::all();
    for kind in &KINDS {
        let of_kind = samples.iter().filter(|s| s.artefact == kind.name);
        let vectors: Vec<_> = of_kind
            .map(|s| json!({ "name": s.name, "description": s.description, "hex": hex::encode(&s.bytes) }))
            .collect();
        assert!(vectors.len() >= 2, "{} has two vectors or more", kind.name);
        for bytes in check_file("accepted", kind.name, vectors) {
            assert_eq!((kind.reencode)(&bytes), Ok(bytes), "{}", kind.name);
        }
    }
    let expected: Vec<_> = KINDS.iter().map(|k| k.name.to_owned()).collect();
    assert_eq!(files("accepted"), expected);
}

#[test]
fn accepted_vectors_are_of_one_artefact_only() {
    for sample in samples::all() {
        let readers = KINDS.iter().filter(|kind| (kind.reencode)(&sample.bytes).is_ok());
        let readers: Vec<_> = readers.map(|kind| kind.name).collect();
        assert_eq!(readers, [sample.artefact], "{}", sample.name);
    }
}
