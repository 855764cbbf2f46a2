//! Signed notes and verifier keys: the example of C2SP signed-note, `signed_note` as an oracle, and what is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use pds_core::cosignature::Cosigner;
use pds_core::note::{
    KeyId, KeyName, KeyNameError, KeyType, MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteError, NoteSigner,
    SignatureError, SignatureLine, VerifierKey, VkeyError,
};
use pds_schemas::{PosixTime, PublicKey};
use proptest::prelude::*;

const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
const POEM: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

fn signer(of: &str, seed: u8) -> NoteSigner {
    NoteSigner::new(name(of), &[seed; 32]).unwrap()
}

#[test]
fn note_of_the_standard_verifies() {
    let key: VerifierKey = VKEY.parse().unwrap();
    assert_eq!(key.to_string(), VKEY);
    assert_eq!((key.key_type(), key.name().as_str()), (KeyType::Ed25519, "example.com/foo"));
    let note = Note::parse(NOTE.as_bytes()).unwrap();
    assert_eq!(note.to_string(), NOTE);
    assert_eq!(note.text(), "This is an example message.\n");
    let verified = note.verify(&[&key]).unwrap();
    assert_eq!((verified.len(), verified[0].key, verified[0].time), (1, &key, None));
}

#[test]
fn note_text_may_have_blank_lines() {
    let note = Note::parse(POEM.as_bytes()).unwrap();
    assert!(note.text().ends_with(":\n\ned è subito sera.\n"));
    assert_eq!(note.to_string(), POEM);
    for text in ["\n", "\n\n", "a\n\n", "a\n\n\u{2014} b AAAAAAA=\n", "\n\n\n\n"] {
        let note = signer("a", 1).sign_note(text).unwrap();
        assert_eq!(Note::parse(note.to_string().as_bytes()), Ok(note));
    }
}

#[test]
fn note_is_refused_with_its_cause() {
    let check = |bytes: &[u8], expect| {
        assert_eq!(Note::parse(bytes), Err(expect), "{:?}", String::from_utf8_lossy(bytes));
    };
    let line = |line| NoteError::SignatureLine { line };
    check(b"", NoteError::NoText);
    check(b"text\n", NoteError::NoText);
    check("text\n\u{2014} a AAAAAAA=\n".as_bytes(), NoteError::NoText);
    check("\n\u{2014} a AAAAAAA=\n".as_bytes(), NoteError::NoText);
    check(b"text\n\n", NoteError::NotSigned);
    check(b"\xff\n\n", NoteError::NotUtf8);
    check("te\txt\n\n\u{2014} a AAAAAAA=\n".as_bytes(), NoteError::ControlCharacter(b'\t'));
    check("text\r\n\n\u{2014} a AAAAAAA=\n".as_bytes(), NoteError::ControlCharacter(b'\r'));
    check("text\0\n\n\u{2014} a AAAAAAA=\n".as_bytes(), NoteError::ControlCharacter(0));
    check("text\n\n\u{2014} a AAAAAAA=\n\n".as_bytes(), NoteError::NotSigned);
    for wrong in [
        "\u{2014} a AAAAAAA=",          // no newline
        "- a AAAAAAA=\n",               // a hyphen
        "\u{2013} a AAAAAAA=\n",        // an en dash
        "\u{2014}a AAAAAAA=\n",         // no space
        "\u{2014}  AAAAAAA=\n",         // no name
        "\u{2014} AAAAAAA=\n",          // likewise
        "\u{2014} a  AAAAAAA=\n",       // two spaces
        "\u{2014} a AAAAAAA= \n",       // trailing space
        "\u{2014} a b AAAAAAA=\n",      // space in the name
        "\u{2014} a\u{a0}b AAAAAAA=\n", // Unicode space in the name
        "\u{2014} a\u{3000} AAAAAAA=\n",
        "\u{2014} a+b AAAAAAA=\n", // plus in the name
        "\u{2014} a AAAAAA==\n",   // key ID only
        "\u{2014} a AAA=\n",
        "\u{2014} a \n",
        "\u{2014} a\n",
        "\u{2014} a AAAAAAA\n",  // no padding
        "\u{2014} a AAAAAAB=\n", // trailing bits
        "\u{2014} a AAAA-AA=\n", // another alphabet
        " \u{2014} a AAAAAAA=\n",
    ] {
        check(format!("text\n\n{wrong}").as_bytes(), line(1));
        check(format!("text\n\n\u{2014} ok AAAAAAA=\n{wrong}").as_bytes(), line(2));
    }
}

#[test]
fn note_is_refused_when_over_a_limit() {
    let of = |count: usize| format!("text\n\n{}", "\u{2014} a AAAAAAA=\n".repeat(count));
    assert_eq!(Note::parse(of(MAX_SIGNATURES).as_bytes()).unwrap().signatures().len(), MAX_SIGNATURES);
    assert_eq!(Note::parse(of(MAX_SIGNATURES + 1).as_bytes()), Err(NoteError::TooManySignatures));
    let long = format!("{}{}", "\n".repeat(MAX_NOTE_BYTES), of(1));
    assert_eq!(Note::parse(long.as_bytes()), Err(NoteError::TooLong(long.len())));
    let line = signer("a", 1).sign("text\n");
    assert_eq!(
        Note::new("text\n", vec![line.clone(); MAX_SIGNATURES + 1]),
        Err(NoteError::TooManySignatures)
    );
    assert!(matches!(Note::new("\n".repeat(MAX_NOTE_BYTES), vec![line]), Err(NoteError::TooLong(_))));
    // 16 post-quantum signatures have room.
    let large = SignatureLine { name: name("a"), key_id: KeyId([0; 4]), signature: vec![0; 5000] };
    assert!(Note::new("text\n", vec![large; 16]).is_ok());
}

#[test]
fn note_is_not_made_when_it_could_not_be_parsed() {
    let line = || signer("a", 1).sign("");
    assert_eq!(Note::new("", vec![line()]), Err(NoteError::NoText));
    assert_eq!(Note::new("text", vec![line()]), Err(NoteError::NoText));
    assert_eq!(Note::new("a\tb\n", vec![line()]), Err(NoteError::ControlCharacter(b'\t')));
    assert_eq!(Note::new("text\n", vec![]), Err(NoteError::NotSigned));
    let empty = SignatureLine { signature: vec![], ..line() };
    assert_eq!(Note::new("text\n", vec![line(), empty]), Err(NoteError::SignatureLine { line: 2 }));
}

#[test]
fn verification_passes_over_unknown_keys_and_refuses_failing_known_ones() {
    let (a, b) = (signer("a", 1), signer("b", 2));
    let (key_a, key_b) = (a.verifier(), b.verifier());
    let bad = |line: SignatureLine| {
        let mut line = line;
        line.signature[5] ^= 1;
        line
    };
    let note = |lines| Note::new("text\n", lines).unwrap();
    let failed = |of: &str, cause| Err(NoteError::KnownKeyFailed { key: name(of), cause });

    let both = note(vec![a.sign("text\n"), b.sign("text\n")]);
    assert_eq!(both.verify(&[key_b, key_a]).unwrap().len(), 2);
    assert_eq!(both.verify(&[]), Err(NoteError::NoKnownSignature));
    assert_eq!(both.verify(&[signer("a", 3).verifier()]), Err(NoteError::NoKnownSignature));
    assert_eq!(both.verify(&[signer("c", 1).verifier()]), Err(NoteError::NoKnownSignature));

    let one_bad = note(vec![a.sign("text\n"), bad(b.sign("text\n"))]);
    assert_eq!(one_bad.verify(&[key_a]).unwrap().len(), 1);
    assert_eq!(one_bad.verify(&[key_a, key_b]), failed("b", SignatureError::Mismatch));
    let repeated = note(vec![a.sign("text\n"), bad(a.sign("text\n"))]);
    assert_eq!(repeated.verify(&[key_a]), failed("a", SignatureError::Mismatch));
    assert_eq!(note(vec![a.sign("other\n")]).verify(&[key_a]), failed("a", SignatureError::Mismatch));

    let short = SignatureLine { signature: vec![0; 63], ..a.sign("text\n") };
    let length = SignatureError::Length { expected: 64, found: 63 };
    assert_eq!(note(vec![short]).verify(&[key_a]), failed("a", length));

    // Same name with another ID, or same ID with another name, is another key.
    let renamed = SignatureLine { name: name("c"), ..bad(a.sign("text\n")) };
    let other_id = SignatureLine { key_id: KeyId([0; 4]), ..bad(a.sign("text\n")) };
    assert_eq!(note(vec![renamed, other_id, a.sign("text\n")]).verify(&[key_a]).unwrap().len(), 1);
}

#[test]
fn str_key_signs_no_note() {
    let a = signer("a", 1);
    let key = VerifierKey::new(name("a/str"), KeyType::StrV1, &a.verifier().public_key()).unwrap();
    assert_eq!((key.origin(), key.to_string().parse()), ("a", Ok(key.clone())));
    let line = SignatureLine { name: key.name().clone(), key_id: key.id(), ..a.sign("text\n") };
    let cause = SignatureError::KeyType(KeyType::StrV1);
    let refused = Err(NoteError::KnownKeyFailed { key: name("a/str"), cause });
    assert_eq!(Note::new("text\n", vec![line]).unwrap().verify(&[&key]), refused);
}

#[test]
fn cosignature_is_no_signature_of_the_same_key_and_the_reverse() {
    let cosigner = Cosigner::new(name("w"), &[1; 32]).unwrap();
    let log = signer("w", 1);
    assert_ne!(cosigner.verifier().id(), log.verifier().id());
    let cosigned = cosigner.cosign("text\n", PosixTime(7)).unwrap();
    let as_log = SignatureLine { key_id: log.verifier().id(), ..cosigned };
    let as_witness = SignatureLine { key_id: cosigner.verifier().id(), ..log.sign("text\n") };
    for (line, key, expected, found) in
        [(as_log, log.verifier(), 64, 72), (as_witness, cosigner.verifier(), 72, 64)]
    {
        let cause = SignatureError::Length { expected, found };
        let refused = Err(NoteError::KnownKeyFailed { key: name("w"), cause });
        assert_eq!(Note::new("text\n", vec![line]).unwrap().verify(&[key]), refused);
    }
}

#[test]
fn vkey_is_refused_with_its_cause() {
    let check = |text: &str, expect| assert_eq!(text.parse::<VerifierKey>(), Err(expect), "{text}");
    let material = "AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    check("", VkeyError::Form);
    check("example.com/foo", VkeyError::Form);
    check("example.com/foo+530d903a", VkeyError::Form);
    check(&format!("example.com/foo+530D903A+{material}"), VkeyError::Form);
    check(&format!("example.com/foo+530d903+{material}"), VkeyError::Form);
    check(&format!("example.com/foo+0530d903a+{material}"), VkeyError::Form);
    check(&format!("example.com/foo++530d903+{material}"), VkeyError::Form);
    check(&format!("{VKEY}\n"), VkeyError::Form);
    check(&format!("{VKEY}="), VkeyError::Form);
    check("example.com/foo+530d903a+", VkeyError::Form);
    check(&format!("{}+530d903a+{material}", "x".repeat(600)), VkeyError::Form);
    check(&format!("{}+530d903a+{material}", "x".repeat(256)), VkeyError::NameTooLong(256));
    check(&format!("+530d903a+{material}"), VkeyError::Name(KeyNameError));
    check(&format!("a b+530d903a+{material}"), VkeyError::Name(KeyNameError));
    check(&format!("a\u{2028}b+530d903a+{material}"), VkeyError::Name(KeyNameError));
    let (expected, found) = (KeyId([0x53, 0x0d, 0x90, 0x3a]), KeyId([0x53, 0x0d, 0x90, 0x3b]));
    check(&format!("example.com/foo+530d903b+{material}"), VkeyError::KeyId { expected, found });
    let renamed = format!("example.com/bar+530d903a+{material}").parse::<VerifierKey>();
    assert!(matches!(renamed, Err(VkeyError::KeyId { .. })));

    use base64::Engine as _;
    let of = |bytes: &[u8]| format!("a+00000000+{}", base64::engine::general_purpose::STANDARD.encode(bytes));
    check(&of(&[0x01; 32]), VkeyError::KeyLength(31));
    check(&of(&[0x01; 34]), VkeyError::KeyLength(33));
    for other in [0x00, 0x02, 0x03, 0x05, 0x06, 0xfa, 0xff] {
        check(&of(&[other; 33]), VkeyError::UnsupportedType(other));
    }
    check(&of(b"\xffpds-str/v1"), VkeyError::KeyLength(0));
    check(&of(b"\xffpds-str/v2"), VkeyError::UnsupportedType(0xff));
}

#[test]
fn vkey_is_refused_when_weak_or_misnamed() {
    let new = |of: &str, kind, bytes| VerifierKey::new(name(of), kind, &PublicKey(bytes)).map(|_| ());
    let good = signer("a", 1).verifier().public_key().0;
    let mut identity = [0; 32];
    identity[0] = 1;
    // y = p + 3 is a second encoding of y = 3, a point of large order.
    let mut second = [0xff; 32];
    (second[0], second[31]) = (0xf0, 0x7f);
    let mut not_a_point = [0; 32];
    not_a_point[0] = 2;
    for bytes in [identity, [0; 32], second, not_a_point] {
        assert_eq!(new("a", KeyType::Ed25519, bytes), Err(VkeyError::WeakKey), "{bytes:?}");
    }
    assert_eq!(new("a", KeyType::Ed25519, good), Ok(()));
    for bad in ["a", "/str", "a/str/", "a/STR"] {
        assert_eq!(new(bad, KeyType::StrV1, good), Err(VkeyError::StrName), "{bad}");
    }
}

#[test]
fn note_is_accepted_by_signed_note() {
    let ours = signer("example.com/log", 9);
    let theirs = signed_note::StandardVerifier::new(&ours.verifier().to_string()).unwrap();
    let note = ours.sign_note("a\n\nb\n").unwrap();
    let parsed = signed_note::Note::from_bytes(note.to_string().as_bytes()).unwrap();
    let (verified, rest) = parsed.verify(&signed_note::VerifierList::new(vec![Box::new(theirs)])).unwrap();
    assert_eq!((verified.len(), rest.len()), (1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn note_is_refused_when_any_bit_is_flipped(bit in 0..NOTE.len() * 8) {
        let key: VerifierKey = VKEY.parse().unwrap();
        let mut bytes = NOTE.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let believed = Note::parse(&bytes).and_then(|note| note.verify(&[&key]).map(|_| ()));
        prop_assert!(believed.is_err());
    }

    #[test]
    fn note_parser_never_panics_and_writes_what_it_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn note_parser_agrees_with_signed_note(text in "[a\n]{0,4}\n\n(\u{2014}[ -]{1,2}[a+]{0,2} (AAAAAAA=|AAAA|AAAAAAAA){1,2}\n{0,2}){0,3}") {
        let ours = Note::parse(text.as_bytes());
        let theirs = signed_note::Note::from_bytes(text.as_bytes());
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs.map(|n| n.to_bytes()));
        if let Ok(note) = ours {
            prop_assert_eq!(note.to_string(), text);
        }
    }

    #[test]
    fn vkey_parser_never_panics_and_writes_what_it_read(text in "\\PC{0,80}", tail in "[0-9a-f+/=A-Z]{0,60}") {
        for text in [format!("{text}{tail}"), format!("{VKEY}{tail}")] {
            if let Ok(key) = text.parse::<VerifierKey>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }
}
