//! The text form of offline proofs: shaped as in C2SP tlog-proof, and refused in any other form.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pds_core::checkpoint::{Checkpoint, CheckpointError};
use pds_core::hash::leaf_hash;
use pds_core::log::MemoryLog;
use pds_core::log::proof::{prove_inclusion, verify_inclusion};
use pds_core::note::{KeyName, Note, NoteError, NoteSigner};
use pds_core::tlog_proof::{MAX_EXTRA_BYTES, MAX_HASHES, MAX_PROOF_BYTES, TlogProof, TlogProofError};
use pds_schemas::{Digest, TreeSize};
use proptest::prelude::*;

fn note(size: u64, root: Digest) -> Note {
    let log = NoteSigner::new(KeyName::new("example.com/fancylog").unwrap(), &[1; 32]).unwrap();
    let head = Checkpoint { origin: "example.com/fancylog".to_owned(), size: TreeSize(size), root };
    head.sign(&log).unwrap().note().clone()
}

fn proof(extra: Option<Vec<u8>>) -> TlogProof {
    let log: MemoryLog = (0..11u8).map(|i| leaf_hash(&[i])).collect();
    let hashes = prove_inclusion(&log, 5, log.size()).unwrap();
    TlogProof::new(extra, 5, hashes, note(11, log.root())).unwrap()
}

#[test]
fn proof_has_the_lines_of_the_standard() {
    let proof = proof(Some(b"age".to_vec()));
    let text = proof.to_string();
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(lines[..3], ["c2sp.org/tlog-proof@v1", "extra YWdl", "index 5"]);
    assert_eq!(lines[3], STANDARD.encode(proof.hashes()[0]));
    assert_eq!((proof.hashes().len(), lines[7], lines[8], lines[9]), (4, "", "example.com/fancylog", "11"));
    assert_eq!(text[text.find("example.com").unwrap()..], proof.note().to_string());

    let parsed = TlogProof::parse(text.as_bytes()).unwrap();
    assert_eq!(parsed, proof);
    assert_eq!((parsed.extra(), parsed.index()), (Some(b"age".as_slice()), 5));
    let head = parsed.checkpoint();
    let verified = verify_inclusion(&leaf_hash(&[5]), parsed.index(), head.size, parsed.hashes(), &head.root);
    assert_eq!(verified, Ok(()));
}

#[test]
fn proof_of_a_lone_leaf_has_no_hashes() {
    let proof = TlogProof::new(None, 0, vec![], note(1, leaf_hash(b""))).unwrap();
    assert!(proof.to_string().starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nexample.com/fancylog\n1\n"));
    assert_eq!(TlogProof::parse(proof.to_string().as_bytes()), Ok(proof));
}

#[test]
fn proof_is_refused_with_its_cause() {
    let text = proof(Some(b"age".to_vec())).to_string();
    let check = |from: &str, to: &str, expect: TlogProofError| {
        assert!(text.contains(from), "{from:?}");
        assert_eq!(
            TlogProof::parse(text.replacen(from, to, 1).as_bytes()),
            Err(expect),
            "{from:?} -> {to:?}"
        );
    };
    check("@v1\n", "@v2\n", TlogProofError::FirstLine);
    check("c2sp", " c2sp", TlogProofError::FirstLine);
    check("c2sp", "\nc2sp", TlogProofError::FirstLine);
    check("@v1\n", "@v1 \n", TlogProofError::FirstLine);
    check("@v1\n", "@v1\r\n", TlogProofError::FirstLine);
    for extra in ["", "YWd", "YWdl=", "YWd-", " YWdl", "YWdl ", "YWZ="] {
        check("extra YWdl", &format!("extra {extra}"), TlogProofError::Extra);
    }
    check("extra YWdl", "extra", TlogProofError::Index);
    check("extra YWdl", "Extra YWdl", TlogProofError::Index);
    check("extra YWdl", "extra YWdl\nextra YWdl", TlogProofError::Index);
    check("extra YWdl\nindex 5\n", "index 5\nextra YWdl\n", TlogProofError::Hash(0));
    for index in ["", "05", "+5", "-1", "5 ", " 5", "0x5", "18446744073709551616"] {
        check("index 5", &format!("index {index}"), TlogProofError::Index);
    }
    check("index 5\n", "", TlogProofError::Index);
    check("index 5\n", "index 5\nindex 5\n", TlogProofError::Hash(0));
    check("index 5", "index 11", TlogProofError::IndexBeyondSize { index: 11, size: TreeSize(11) });
    check("index 5\n", "index 5\n#\n", TlogProofError::Hash(0));
    check("index 5\n", "index 5\nAAAA\n", TlogProofError::Hash(0));
    check("\n\n", "\n \n\n", TlogProofError::Hash(4));
    check("index 5\n", "index 5\n\n", TlogProofError::Checkpoint(CheckpointError::Size));
    check("\n\nexample", "\n\n\nexample", TlogProofError::Checkpoint(CheckpointError::Origin));
    check("\n\nexample", "\nexample", TlogProofError::Hash(4));
    check("\n11\n", "\n011\n", TlogProofError::Checkpoint(CheckpointError::Size));
    check("\n\n\u{2014}", "\n\u{2014}", TlogProofError::Note(NoteError::NoText));
    let head = text.split_once("\n\n").unwrap().0;
    for cut in
        [head.to_owned(), format!("{head}\n"), "c2sp.org/tlog-proof@v1\nindex 0\n".to_owned(), String::new()]
    {
        assert_eq!(TlogProof::parse(cut.as_bytes()), Err(TlogProofError::NoCheckpoint));
    }
    let unsigned = TlogProof::parse(format!("{head}\n\n").as_bytes());
    assert_eq!(unsigned, Err(TlogProofError::Note(NoteError::NoText)));
    assert_eq!(TlogProof::parse(b"\xff\n\n"), Err(TlogProofError::NotUtf8));
    assert!(TlogProof::parse(format!("{text}\n").as_bytes()).is_err());
    assert!(TlogProof::parse(text.trim_end().as_bytes()).is_err());
}

#[test]
fn proof_is_refused_when_over_a_limit() {
    let new = |extra, hashes| TlogProof::new(extra, 0, vec![Digest::ZERO; hashes], note(1, Digest::ZERO));
    let largest = new(Some(vec![1; MAX_EXTRA_BYTES]), MAX_HASHES).unwrap();
    assert_eq!(TlogProof::parse(largest.to_string().as_bytes()), Ok(largest.clone()));
    assert_eq!(new(Some(vec![1; MAX_EXTRA_BYTES + 1]), 0), Err(TlogProofError::Extra));
    assert_eq!(new(Some(vec![]), 0), Err(TlogProofError::Extra));
    assert_eq!(new(None, MAX_HASHES + 1), Err(TlogProofError::TooManyHashes));
    let one_more = format!("\n{}\n\nexample", STANDARD.encode([0; 32]));
    let text = largest.to_string().replacen("\n\nexample", &one_more, 1);
    assert_eq!(TlogProof::parse(text.as_bytes()), Err(TlogProofError::TooManyHashes));
    let long = vec![b'a'; MAX_PROOF_BYTES + 1];
    assert_eq!(TlogProof::parse(&long), Err(TlogProofError::TooLong(MAX_PROOF_BYTES + 1)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn proof_parser_never_panics_and_writes_what_it_read(at in 0usize..400, to in any::<u8>(), cut in 0usize..3) {
        let mut bytes = proof(Some(b"age".to_vec())).to_string().into_bytes();
        let at = at % bytes.len();
        bytes.splice(at..(at + cut).min(bytes.len()), [to]);
        if let Ok(proof) = TlogProof::parse(&bytes) {
            prop_assert_eq!(proof.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn proof_parser_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(TlogProof::parse(&bytes).is_err());
    }
}
