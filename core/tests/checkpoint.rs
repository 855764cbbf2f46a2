//! Checkpoints and cosignatures: the examples of the C2SP texts, merging, and what is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use pds_core::checkpoint::{Checkpoint, CheckpointError, Merge, SignedCheckpoint};
use pds_core::cosignature::{self, Cosigner, Freshness, MAX_TIME, Window};
use pds_core::note::{
    KeyName, KeyType, MAX_SIGNATURES, Note, NoteError, NoteSigner, SignatureError, SignatureLine, VerifierKey,
};
use pds_schemas::{Digest, PosixTime, TreeSize};
use proptest::prelude::*;

const ORIGIN: &str = "example.com/behind-the-sofa";
const BODY: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
/// From tlog-cosignature, which gives no keys for it.
const LINES: &str = "
\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
";

fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::new(KeyName::new(name).unwrap(), &[seed; 32]).unwrap()
}

fn witness(seed: u8) -> Cosigner {
    Cosigner::new(KeyName::new(format!("w{seed}.example")).unwrap(), &[seed; 32]).unwrap()
}

fn head() -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size: TreeSize(42), root: Digest([7; 32]) }
}

fn signed() -> SignedCheckpoint {
    head().sign(&signer(ORIGIN, 1)).unwrap()
}

#[test]
fn checkpoint_of_the_standard_is_read() {
    let note = Note::parse(format!("{BODY}{LINES}").as_bytes()).unwrap();
    assert_eq!(note.to_string(), format!("{BODY}{LINES}"));
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), (ORIGIN, TreeSize(20_852_163)));
    assert!(checkpoint.root.to_string().starts_with("0ac5186a91863e8e1d90c808014aa89b"));
    assert_eq!(checkpoint.to_note_text(), BODY);
    // Its cosignature is 4 + 8 + 64 bytes, and made at the time of the text's own example.
    let cosignature = &note.signatures()[1].signature;
    assert_eq!((cosignature.len(), &cosignature[..8]), (72, 1_679_315_147u64.to_be_bytes().as_slice()));
}

#[test]
fn checkpoint_is_read_by_tlog_tiles() {
    let theirs = tlog_tiles::Checkpoint::from_bytes(head().to_note_text().as_bytes()).unwrap();
    assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), (ORIGIN, 42, [7; 32]));
}

#[test]
fn checkpoint_is_refused_with_its_cause() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let check = |text: &str, expect| assert_eq!(text.parse::<Checkpoint>(), Err(expect), "{text:?}");
    check("", CheckpointError::Lines);
    check("a\n", CheckpointError::Lines);
    check("a\n1\n", CheckpointError::Lines);
    check(&format!("a\n1\n{root}"), CheckpointError::Lines);
    check(&format!("\n1\n{root}\n"), CheckpointError::Origin);
    for size in ["", "01", "00", "+1", "-1", " 1", "1 ", "1.0", "0x1", "18446744073709551616", "١"] {
        check(&format!("a\n{size}\n{root}\n"), CheckpointError::Size);
    }
    for root in [
        "",
        "AAAA",
        &root[1..],
        &root[..43],
        &format!("{root}="),
        &root.replace('/', "_"),
        &root.replace("2I=", "2J="),
    ] {
        check(&format!("a\n1\n{root}\n"), CheckpointError::Root);
    }
    check(&format!("a\n1\n{root}\nextension\n"), CheckpointError::ExtensionLines);
    check(&format!("a\n1\n{root}\n\n"), CheckpointError::ExtensionLines);
    let max = format!("a\n18446744073709551615\n{root}\n");
    assert_eq!(max.parse::<Checkpoint>().unwrap().size, TreeSize(u64::MAX));
}

#[test]
fn checkpoint_opens_only_under_its_logs_key() {
    let log = signer(ORIGIN, 1);
    let bytes = signed().to_string();
    let open = |bytes: &str, key: &VerifierKey| SignedCheckpoint::open(bytes.as_bytes(), key);
    assert_eq!(open(&bytes, log.verifier()), Ok(signed()));
    assert!(signed().is_signed_by(log.verifier()));

    let wrong = |key: &str, key_type| {
        Err(CheckpointError::WrongKey { key: key.to_owned(), key_type, origin: ORIGIN.to_owned() })
    };
    let other = signer("example.com/other", 1);
    assert_eq!(open(&bytes, other.verifier()), wrong("example.com/other", KeyType::Ed25519));
    assert_eq!(head().sign(&other), wrong("example.com/other", KeyType::Ed25519));
    let cosigner = Cosigner::new(KeyName::new(ORIGIN).unwrap(), &[1; 32]).unwrap();
    assert_eq!(open(&bytes, cosigner.verifier()), wrong(ORIGIN, KeyType::CosignatureV1));
    let unsigned = Err(CheckpointError::Note(NoteError::NoKnownSignature));
    assert_eq!(open(&bytes, signer(ORIGIN, 2).verifier()), unsigned);
    let larger = bytes.replacen("\n42\n", "\n43\n", 1);
    assert!(matches!(
        open(&larger, log.verifier()),
        Err(CheckpointError::Note(NoteError::KnownKeyFailed { cause: SignatureError::Mismatch, .. }))
    ));
    let extended = log.sign_note(&format!("{}more\n", head().to_note_text())).unwrap();
    assert_eq!(SignedCheckpoint::from_note(extended, log.verifier()), Err(CheckpointError::ExtensionLines));
}

#[test]
fn cosignature_gives_its_time() {
    let w = witness(2);
    let text = head().to_note_text();
    for time in [PosixTime(0), PosixTime(1_679_315_147), MAX_TIME] {
        let line = w.cosign(&text, time).unwrap();
        assert_eq!(cosignature::verify(&text, &line, w.verifier()), Ok(time));
    }
    let late = PosixTime(MAX_TIME.0 + 1);
    assert_eq!(w.cosign(&text, late), Err(SignatureError::TimeOutOfRange(late)));
}

#[test]
fn cosignature_is_refused_with_its_cause() {
    let (w, text) = (witness(2), head().to_note_text());
    let line = w.cosign(&text, PosixTime(1000)).unwrap();
    let check = |text: &str, line: &SignatureLine, key: &VerifierKey, expect| {
        assert_eq!(cosignature::verify(text, line, key), Err(expect));
    };
    check(&text, &line, signer(ORIGIN, 2).verifier(), SignatureError::KeyType(KeyType::Ed25519));
    check(&text, &line, witness(3).verifier(), SignatureError::OtherKey);
    for found in [0, 7, 8, 64, 71, 73] {
        let cut = SignatureLine { signature: vec![0; found], ..line.clone() };
        check(&text, &cut, w.verifier(), SignatureError::Length { expected: 72, found });
    }
    let with_time = |time: u64| {
        let signature = [time.to_be_bytes().as_slice(), &line.signature[8..]].concat();
        SignatureLine { signature, ..line.clone() }
    };
    check(&text, &with_time(1001), w.verifier(), SignatureError::Mismatch);
    let late = SignatureError::TimeOutOfRange(PosixTime(u64::MAX));
    check(&text, &with_time(u64::MAX), w.verifier(), late);
    check(&text.replace("42", "43"), &line, w.verifier(), SignatureError::Mismatch);
    // What a log signs cannot be passed off as a cosignature, even by a key used for both.
    let plain = signer("x", 2).sign(&text).signature;
    let forged = [1000u64.to_be_bytes().as_slice(), &plain].concat();
    check(
        &text,
        &SignatureLine { signature: forged, ..line.clone() },
        w.verifier(),
        SignatureError::Mismatch,
    );
}

#[test]
fn window_has_its_bounds_inside() {
    let window = Window { now: PosixTime(1000), max_age_s: 100, skew_s: 10 };
    let check = |window: Window, time, expect| assert_eq!(window.judge(PosixTime(time)), expect, "{time}");
    check(window, 899, Freshness::TooOld);
    check(window, 900, Freshness::Fresh);
    check(window, 1010, Freshness::Fresh);
    check(window, 1011, Freshness::InFuture);
    check(window, u64::MAX, Freshness::InFuture);
    let endless = Window { now: PosixTime(1000), max_age_s: u64::MAX, skew_s: u64::MAX };
    check(endless, 0, Freshness::Fresh);
    check(endless, u64::MAX, Freshness::Fresh);
}

#[test]
fn merging_keeps_order_and_one_line_a_witness() {
    let text = head().to_note_text();
    let (w2, w3) = (witness(2), witness(3));
    let line = |w: &Cosigner, time| w.cosign(&text, PosixTime(time)).unwrap();
    let mut head = signed();
    let log_line = head.note().signatures()[0].clone();
    assert_eq!(head.add_cosignature(&line(&w2, 10), w2.verifier()), Ok(Merge::Added));
    assert_eq!(head.add_cosignature(&line(&w3, 10), w3.verifier()), Ok(Merge::Added));
    assert_eq!(head.add_cosignature(&line(&w2, 10), w2.verifier()), Ok(Merge::Kept));
    assert_eq!(head.add_cosignature(&line(&w2, 9), w2.verifier()), Ok(Merge::Kept));
    assert_eq!(head.note().signatures(), [log_line.clone(), line(&w2, 10), line(&w3, 10)]);
    assert_eq!(head.add_cosignature(&line(&w2, 11), w2.verifier()), Ok(Merge::Replaced));
    assert_eq!(head.note().signatures(), [log_line, line(&w2, 11), line(&w3, 10)]);
    assert!(head.is_signed_by(w3.verifier()));
    assert_eq!(SignedCheckpoint::open(head.to_string().as_bytes(), signer(ORIGIN, 1).verifier()), Ok(head));
}

#[test]
fn merging_replaces_lines_that_do_not_hold() {
    let text = head().to_note_text();
    let w = witness(2);
    let good = w.cosign(&text, PosixTime(10)).unwrap();
    // A forged line with the latest of times must not lock the witness out.
    let mut forged = good.clone();
    forged.signature[..8].copy_from_slice(&MAX_TIME.0.to_be_bytes());
    let log_line = signed().note().signatures()[0].clone();
    let lines = vec![forged.clone(), log_line.clone(), forged];
    let note = signed().note().with_signatures(lines).unwrap();
    let mut head = SignedCheckpoint::from_note(note, signer(ORIGIN, 1).verifier()).unwrap();
    assert!(!head.is_signed_by(w.verifier()));
    assert_eq!(head.add_cosignature(&good, w.verifier()), Ok(Merge::Replaced));
    assert_eq!(head.note().signatures(), [good, log_line]);
}

#[test]
fn merging_is_refused_and_changes_nothing() {
    let text = head().to_note_text();
    let (w, mut full) = (witness(2), signed());
    let other = w.cosign(&text.replace("42", "43"), PosixTime(10)).unwrap();
    let before = full.clone();
    let refused = Err(CheckpointError::Cosignature(SignatureError::Mismatch));
    assert_eq!(full.add_cosignature(&other, w.verifier()), refused);
    let log = signer(ORIGIN, 1);
    let as_log = full.add_cosignature(&log.sign(&text), log.verifier());
    assert_eq!(as_log, Err(CheckpointError::Cosignature(SignatureError::KeyType(KeyType::Ed25519))));
    assert_eq!(full, before);

    let stranger = w.cosign(&text, PosixTime(1)).unwrap();
    let mut lines = vec![stranger; MAX_SIGNATURES];
    lines[0] = signed().note().signatures()[0].clone();
    let note = signed().note().with_signatures(lines).unwrap();
    let mut full = SignedCheckpoint::from_note(note, log.verifier()).unwrap();
    let before = full.clone();
    let w3 = witness(3);
    let late = full.add_cosignature(&w3.cosign(&text, PosixTime(1)).unwrap(), w3.verifier());
    assert_eq!(late, Err(CheckpointError::Note(NoteError::TooManySignatures)));
    assert_eq!(full, before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn checkpoint_round_trips(origin in "[^\\p{Cc}\n]{1,40}", size in any::<u64>(), root in any::<[u8; 32]>()) {
        let head = Checkpoint { origin, size: TreeSize(size), root: Digest(root) };
        prop_assert_eq!(head.to_note_text().parse(), Ok(head));
    }

    #[test]
    fn checkpoint_parser_never_panics_and_writes_what_it_read(text in "(\\PC|\n){0,90}") {
        if let Ok(head) = text.parse::<Checkpoint>() {
            prop_assert_eq!(head.to_note_text(), text);
        }
    }

    #[test]
    fn cosignature_is_refused_when_any_bit_is_flipped(bit in 0usize..72 * 8) {
        let (w, text) = (witness(2), head().to_note_text());
        let mut line = w.cosign(&text, PosixTime(1000)).unwrap();
        line.signature[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(cosignature::verify(&text, &line, w.verifier()).is_err());
    }
}
