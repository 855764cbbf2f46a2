//! Evidence: what it proves, and all the ways in which it must prove nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside the functions marked as such"
)]

mod common;

use common::*;
use pds_core::checkpoint::Checkpoint;
use pds_core::cose::{self, CoseError};
use pds_core::evidence::{
    ConversionError, Currency, EvidenceError, Step, TrustError, TrustedValidator, from_tlog_proof,
    to_tlog_proof, verify,
};
use pds_core::hash::sha256;
use pds_core::log::proof::InclusionError;
use pds_core::note::{KeyName, KeyType, Note, NoteError, NoteSigner, VerifierKey};
use pds_core::prefix::{PrefixProofError, key_of};
use pds_core::tlog_policy::{EvaluationError, Policy};
use pds_core::tlog_proof::TlogProof;
use pds_schemas::cose::{CoseSign1, SignedKind};
use pds_schemas::prefix::{PrefixProof, Terminal};
use pds_schemas::{
    Artefact, Binding, Digest, EpochNumber, Evidence, EvidenceExtra, NameRecord, PosixTime, Release,
    SignedTreeRoot, State, TreeSize,
};

/// A name that nobody has, whose absence from `pv`'s last tree ends as `ending` says.
fn absent_name(pv: &Validator, ending: impl Fn(&Terminal) -> bool) -> String {
    let proof = |plugin: &str| pv.tree.prove(&pv.pages, &key_of(&name(plugin))).unwrap();
    let mut names = (0..).map(|i| format!("org.example.nobody{i}"));
    names.find(|plugin| ending(&proof(plugin).terminal)).unwrap()
}

fn another_leaf(ending: &Terminal) -> bool {
    matches!(ending, Terminal::OtherLeaf { .. })
}

/// A validator's history, evidence about pacing now, and what `damage` makes of checking it.
fn after(damage: impl FnOnce(&Validator, &mut Evidence)) -> EvidenceError {
    let pv = Validator::with_history(1);
    let mut evidence = pv.evidence_now(PACING);
    damage(&pv, &mut evidence);
    check(&pv.trusted(), PACING, &evidence).unwrap_err()
}

/// The same for a lone signed STR of a validator that lies: epoch 0, an empty tree, one entry in the log.
fn after_lying(sign: impl FnOnce(&Validator) -> Vec<u8>) -> EvidenceError {
    let pv = Validator::new(1);
    let entry = sign(&pv);
    check(&pv.trusted(), PACING, &pv.lie(std::slice::from_ref(&entry), 0, absence(entry.clone())))
        .unwrap_err()
}

/// Absence from an empty tree.
fn absence(signed_tree_root: Vec<u8>) -> EvidenceExtra {
    let prefix = PrefixProof { terminal: Terminal::MissingChild, copath: Vec::new() };
    EvidenceExtra { name_record: None, binding: None, prefix, signed_tree_root }
}

fn other_root(error: &EvidenceError) -> bool {
    matches!(error, EvidenceError::Prefix(PrefixProofError::Root { .. }))
}

#[test]
fn evidence_tells_every_epoch_under_every_checkpoint() {
    let pv = Validator::with_history(1);
    let states = [State::Pending, State::Failed, State::Validated, State::Validated];
    for size in 1..=4 {
        for epoch in 0..size {
            let found = check(&pv.trusted(), PACING, &pv.evidence(PACING, epoch, size)).unwrap();
            let record = found.record.unwrap();
            assert_eq!((found.str.epoch.0, record.state), (epoch, states[epoch as usize]));
            assert_eq!((record.name, record.changed.0), (name(PACING), epoch.min(2)));
            let bound = (record.state == State::Validated).then(|| binding(PACING, 2));
            assert_eq!(found.binding, bound);
            let history = Currency::History { size: TreeSize(size) };
            assert_eq!(found.currency, if epoch + 1 == size { Currency::Now } else { history });
            assert_eq!(found.cosigned, [NOW, NOW]);
        }
    }
}

#[test]
fn evidence_tells_a_failure_and_its_cause() {
    let pv = Validator::with_history(1);
    let record = check(&pv.trusted(), PACING, &pv.evidence(PACING, 1, 2)).unwrap().record.unwrap();
    assert_eq!((record.state, record.cause, record.binding), (State::Failed, Some(CAUSE), None));
}

#[test]
fn evidence_tells_absence_of_both_kinds() {
    let mut pv = Validator::new(1);
    pv.close(&[]);
    let empty = pv.evidence_now(PACING);
    assert_eq!((empty.extra.prefix.terminal, empty.extra.prefix.copath.len()), (Terminal::MissingChild, 0));
    assert_eq!(check(&pv.trusted(), PACING, &empty).unwrap().record, None);

    let pv = Validator::with_history(1);
    for ending in [another_leaf, |ending: &Terminal| *ending == Terminal::MissingChild] {
        let nobody = absent_name(&pv, ending);
        let found = check(&pv.trusted(), &nobody, &pv.evidence_now(&nobody)).unwrap();
        assert_eq!((found.record, found.binding, found.currency), (None, None, Currency::Now));
    }
}

#[test]
fn evidence_holds_for_every_one_of_many_names() {
    let mut pv = Validator::new(1);
    let names: Vec<_> = (0..300).map(|i| format!("org.example.many{i}")).collect();
    let first = [admitted(1)];
    let happened: Vec<(&str, &[_])> = names.iter().map(|n| (n.as_str(), &first[..])).collect();
    pv.close(&happened[..150]);
    pv.close(&happened[150..]);
    let trusted = pv.trusted();
    for (i, plugin) in names.iter().enumerate() {
        let found = check(&trusted, plugin, &pv.evidence_now(plugin)).unwrap();
        assert_eq!(found.record.unwrap().name, name(plugin));
        let before = check(&trusted, plugin, &pv.evidence(plugin, 0, 2)).unwrap();
        assert_eq!(before.record.is_some(), i < 150);
    }
}

#[test]
fn evidence_round_trips_as_cbor_and_as_tlog_proof() {
    let pv = Validator::with_history(1);
    let nobody = absent_name(&pv, another_leaf);
    for evidence in [
        pv.evidence_now(PACING),
        pv.evidence(PACING, 0, 3),
        pv.evidence_now(&nobody),
        pv.bare_evidence(PACING, 1, 2),
    ] {
        assert_eq!(Evidence::from_bytes(&evidence.to_bytes()).as_ref(), Ok(&evidence));
        let proof = to_tlog_proof(&evidence).unwrap();
        let text = proof.to_string();
        let parsed = TlogProof::parse(text.as_bytes()).unwrap();
        assert_eq!((&parsed, parsed.to_string()), (&proof, text));
        assert_eq!(from_tlog_proof(&parsed).unwrap().to_bytes(), evidence.to_bytes());
    }
}

#[test]
fn tlog_proof_is_refused_when_it_is_no_evidence() {
    let pv = Validator::with_history(1);
    let evidence = pv.evidence_now(PACING);
    let note = Note::parse(evidence.checkpoint.as_bytes()).unwrap();
    let proof = |extra| TlogProof::new(extra, 3, evidence.inclusion.clone(), note.clone()).unwrap();
    assert_eq!(from_tlog_proof(&proof(None)), Err(ConversionError::NoExtra));
    let mut extra = evidence.extra.to_bytes();
    extra.push(0);
    assert!(matches!(from_tlog_proof(&proof(Some(extra))), Err(ConversionError::Extra(_))));
    let unsigned = Evidence { checkpoint: "no note".to_owned(), ..evidence.clone() };
    assert_eq!(to_tlog_proof(&unsigned), Err(ConversionError::Note(NoteError::NoText)));

    let mut lines = note.signatures().to_vec();
    lines[1].name = KeyName::new("unknown.example").unwrap();
    lines[1].signature = vec![7; 300 << 10];
    let long = note.with_signatures(lines).unwrap();
    // Notes and evidence have one limit: whatever a log can serve, evidence can carry.
    let proof = TlogProof::new(Some(evidence.extra.to_bytes()), 3, evidence.inclusion.clone(), long).unwrap();
    let carried = from_tlog_proof(&proof).unwrap();
    assert_eq!(Evidence::from_bytes(&carried.to_bytes()), Ok(carried));
}

#[test]
fn steps_end_before_the_one_that_does_not_hold() {
    let pv = Validator::with_history(1);
    let mut evidence = pv.evidence_now(PACING);
    let mut steps = Vec::new();
    verify(&pv.trusted(), &name(PACING), &evidence, &WINDOW, &mut steps).unwrap();
    let kinds = |steps: &[Step]| steps.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join("; ");
    assert_eq!(steps.len(), 8, "{}", kinds(&steps));
    assert_eq!(steps[1], Step::Quorum { counted: 2, known: 3 });
    assert_eq!(steps[7], Step::Currency(Currency::Now));
    evidence.extra.binding = None;
    let mut fewer = Vec::new();
    verify(&pv.trusted(), &name(PACING), &evidence, &WINDOW, &mut fewer).unwrap_err();
    assert_eq!(fewer, steps[..6]);
}

/// Flips every bit of `whole`, evidence about `plugin`, and gives the positions of those bytes in which a flip is not
/// noticed. What is not noticed must change nothing that is believed but who cosigned.
fn unnoticed(pv: &Validator, plugin: &str, whole: &Evidence) -> Vec<usize> {
    let trusted = pv.trusted();
    let honest = check(&trusted, plugin, whole).unwrap();
    let bytes = whole.to_bytes();
    let mut found = Vec::new();
    for bit in 0..bytes.len() * 8 {
        let mut bent = bytes.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let Ok(evidence) = Evidence::from_bytes(&bent) else { continue };
        assert_ne!(evidence, *whole, "bit {bit}: two encodings of one value");
        if let Ok(verified) = check(&trusted, plugin, &evidence) {
            assert_eq!(verified, honest, "bit {bit}");
            found.push(bit / 8);
        }
    }
    found.dedup();
    found
}

#[test]
fn evidence_proves_nothing_with_any_bit_flipped() {
    let pv = Validator::with_history(1);
    let nobody = absent_name(&pv, another_leaf);
    let nowhere = absent_name(&pv, |ending| *ending == Terminal::MissingChild);
    for (plugin, evidence) in [
        (PACING, pv.evidence_now(PACING)),
        (PACING, pv.evidence(PACING, 1, 3)),
        (&nobody, pv.evidence_now(&nobody)),
        (&nowhere, pv.evidence_now(&nowhere)),
    ] {
        assert_eq!(unnoticed(&pv, plugin, &evidence), [0; 0], "{plugin}");
    }
}

#[test]
fn evidence_lets_flips_pass_only_in_lines_of_unknown_witnesses() {
    let pv = Validator::with_history(1);
    // Witness 9 is in no policy here: what its line says is vouched for by nobody and believed by nobody.
    let evidence = cosigned(pv.evidence_now(PACING), &[(9, NOW)]);
    let bytes = evidence.to_bytes();
    let line = bytes.windows(16).position(|w| w == b"witness9.example").unwrap();
    let found = unnoticed(&pv, PACING, &evidence);
    // The name and the base64 behind it, but neither the dash before them nor the newline at the end.
    assert!(found.len() > 80);
    assert!(found.iter().all(|at| (line..bytes.len() - 1).contains(at)), "{line}: {found:?}");
}

#[test]
fn evidence_without_a_surplus_cosignature_says_the_same_with_fewer_witnesses() {
    let pv = Validator::with_history(1);
    let all = cosigned(pv.evidence_now(PACING), &[(2, PosixTime(NOW.0 - 5))]);
    let found = check(&pv.trusted(), PACING, &all).unwrap();
    assert_eq!(found.cosigned, [NOW, NOW, PosixTime(NOW.0 - 5)]);
    let fewer = check(&pv.trusted(), PACING, &pv.evidence_now(PACING)).unwrap();
    assert_eq!((fewer.str, fewer.record, fewer.binding), (found.str, found.record, found.binding));
}

#[test]
fn evidence_proves_nothing_about_another_name() {
    let pv = Validator::with_history(1);
    for other in ["org.example.plugin3", "org.example.nobody"] {
        let error = check(&pv.trusted(), other, &pv.evidence_now(PACING)).unwrap_err();
        assert!(other_root(&error), "{error:?}");
    }
    let error = after(|pv, e| e.extra.name_record = pv.evidence_now("org.example.plugin3").extra.name_record);
    assert!(other_root(&error), "{error:?}");
}

#[test]
fn evidence_proves_nothing_with_a_record_of_another_epoch() {
    let error = after(|pv, e| e.extra.name_record = pv.evidence(PACING, 1, 4).extra.name_record);
    assert!(other_root(&error), "{error:?}");
    let error = after(|pv, e| e.extra.prefix = pv.evidence(PACING, 0, 4).extra.prefix);
    assert!(other_root(&error), "{error:?}");
    // The earlier record with the proof that was right for it.
    let error = after(|pv, e| {
        let earlier = pv.evidence(PACING, 1, 4).extra;
        e.extra = EvidenceExtra { signed_tree_root: e.extra.signed_tree_root.clone(), ..earlier };
    });
    assert!(other_root(&error), "{error:?}");
}

#[test]
fn str_is_refused_when_another_validator_signed_it() {
    let other = Validator::with_history(2);
    let found = cose::public_key(&other.str_key);
    let error = after(|pv, e| {
        e.extra.signed_tree_root = other.evidence_now(PACING).extra.signed_tree_root;
        assert_ne!(pv.str_vkey().public_key(), found);
    });
    let expected = Validator::new(1).str_vkey().public_key();
    assert_eq!(error, EvidenceError::Str(CoseError::WrongKey { expected, found }));
}

#[test]
fn str_is_refused_when_it_is_signed_with_the_log_key() {
    let log_key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let (expected, found) = (Validator::new(1).str_vkey().public_key(), cose::public_key(&log_key));
    let sign = |pv: &Validator| cose::sign(SignedKind::SignedTreeRoot, &pv.first_str(), &log_key);
    let error = after_lying(|pv| sign(pv).to_bytes());
    assert_eq!(error, EvidenceError::Str(CoseError::WrongKey { expected, found }));
    let error = after_lying(|pv| CoseSign1 { key: expected, ..sign(pv) }.to_bytes());
    assert_eq!(error, EvidenceError::Str(CoseError::BadSignature(expected)));
}

#[test]
fn str_is_refused_when_it_is_signed_as_something_else() {
    for kind in [SignedKind::Submission, SignedKind::Receipt, SignedKind::OwnerRecord] {
        let error = after_lying(|pv| cose::sign(kind, &pv.first_str(), &pv.str_key).to_bytes());
        let (expected, found) = (SignedKind::SignedTreeRoot.typ(), kind.typ());
        assert_eq!(error, EvidenceError::Str(CoseError::WrongKind { expected, found }));
        // The header changed afterwards: the signature covers it.
        let error = after_lying(|pv| {
            let signed = cose::sign(kind, &pv.first_str(), &pv.str_key);
            CoseSign1 { kind: SignedKind::SignedTreeRoot, ..signed }.to_bytes()
        });
        assert!(matches!(error, EvidenceError::Str(CoseError::BadSignature(_))), "{error:?}");
    }
}

#[test]
fn str_is_refused_when_it_is_something_else_signed_as_one() {
    let error =
        after_lying(|pv| cose::sign(SignedKind::SignedTreeRoot, &binding(PACING, 1), &pv.str_key).to_bytes());
    assert!(matches!(error, EvidenceError::Str(CoseError::Payload(_))), "{error:?}");
    let error = after_lying(|pv| pv.first_str().to_bytes());
    assert!(matches!(error, EvidenceError::Str(CoseError::Envelope { .. })), "{error:?}");
}

#[test]
fn str_is_refused_when_its_origin_is_not_the_signers() {
    let error =
        after_lying(|pv| pv.sign_str(&SignedTreeRoot { origin: "pv9.example".to_owned(), ..pv.first_str() }));
    let (expected, found) = (Validator::new(1).origin, "pv9.example".to_owned());
    assert_eq!(error, EvidenceError::Origin { expected, found });
}

#[test]
fn str_is_refused_when_it_is_not_at_its_epochs_place() {
    let error = after(|_, e| e.index = EpochNumber(2));
    assert_eq!(error, EvidenceError::Place { epoch: EpochNumber(3), index: EpochNumber(2) });
    // A log that really has the STR of epoch 5 as its entry 0, and one that has an STR of epoch 0 again as entry 1.
    let error = after_lying(|pv| {
        pv.sign_str(&SignedTreeRoot { epoch: EpochNumber(5), previous: Digest([1; 32]), ..pv.first_str() })
    });
    assert_eq!(error, EvidenceError::Place { epoch: EpochNumber(5), index: EpochNumber(0) });
    let pv = Validator::new(1);
    let entry = pv.sign_str(&pv.first_str());
    let again = pv.lie(&[entry.clone(), entry.clone()], 1, absence(entry));
    let error = check(&pv.trusted(), PACING, &again).unwrap_err();
    assert_eq!(error, EvidenceError::Place { epoch: EpochNumber(0), index: EpochNumber(1) });
}

#[test]
fn str_is_refused_when_it_is_not_in_the_log() {
    let bad = EvidenceError::NotInLog(InclusionError::BadProof);
    assert_eq!(after(|pv, e| e.inclusion = pv.evidence(PACING, 2, 4).inclusion), bad);
    let short = InclusionError::ProofLength { expected: 2, found: 1 };
    assert_eq!(after(|_, e| e.inclusion.truncate(1)), EvidenceError::NotInLog(short));
    let none = InclusionError::IndexBeyondSize { index: 3, size: TreeSize(3) };
    let error = after(|pv, e| e.checkpoint = pv.evidence(PACING, 2, 3).checkpoint);
    assert_eq!(error, EvidenceError::NotInLog(none));
    // Another STR of the same epoch, as good as the logged one but for not being logged.
    let error = after(|pv, e| {
        let str = SignedTreeRoot { time: PosixTime(1_799_999_999), ..pv.plans[3].str.clone() };
        e.extra.signed_tree_root = pv.sign_str(&str);
    });
    assert_eq!(error, bad);
}

#[test]
fn checkpoint_is_refused_when_it_is_another_logs() {
    let other = Validator::with_history(2);
    let error = after(|_, e| e.checkpoint = other.evidence_now(PACING).checkpoint);
    assert_eq!(error, EvidenceError::Checkpoint(EvaluationError::NoKnownLog { origin: other.origin }));
    // Another key under the log's own name.
    let error = after(|pv, e| {
        let thief = NoteSigner::new(KeyName::new(pv.origin.clone()).unwrap(), &[99; 32]).unwrap();
        e.checkpoint = pv.checkpoint(4).checkpoint().sign(&thief).unwrap().to_string();
        *e = cosigned(e.clone(), &[(0, NOW), (1, NOW)]);
    });
    let origin = Validator::new(1).origin;
    assert_eq!(error, EvidenceError::Checkpoint(EvaluationError::NoKnownLog { origin }));
    // Witnesses' cosignatures alone.
    let error = after(|pv, e| {
        let lines: Vec<_> = e.checkpoint.split_inclusive('\n').collect();
        assert!(lines[4].contains(&pv.origin));
        e.checkpoint = [&lines[..4], &lines[5..]].concat().concat();
    });
    let origin = Validator::new(1).origin;
    assert_eq!(error, EvidenceError::Checkpoint(EvaluationError::NoKnownLog { origin }));
}

#[test]
fn checkpoint_is_refused_with_another_root() {
    let error = after(|pv, e| {
        let head = Checkpoint { root: Digest([5; 32]), ..pv.checkpoint(4).checkpoint().clone() };
        e.checkpoint = head.sign(&pv.log_key).unwrap().to_string();
        *e = cosigned(e.clone(), &[(0, NOW), (1, NOW)]);
    });
    assert_eq!(error, EvidenceError::NotInLog(InclusionError::BadProof));
    // The root alone changed, below it the old signatures.
    let error = after(|pv, e| {
        let (old, new) = (pv.checkpoint(4).checkpoint().clone(), pv.checkpoint(3).checkpoint().root);
        let text = Checkpoint { root: new, ..old.clone() }.to_note_text();
        e.checkpoint = e.checkpoint.replace(&old.to_note_text(), &text);
    });
    let failed =
        matches!(error, EvidenceError::Checkpoint(EvaluationError::Note(NoteError::KnownKeyFailed { .. })));
    assert!(failed, "{error:?}");
    assert_eq!(after(|_, e| e.checkpoint.clear()), EvidenceError::Note(NoteError::NoText));
}

#[test]
fn checkpoint_is_refused_when_cosignatures_are_too_few_too_old_or_in_the_future() {
    let pv = Validator::with_history(1);
    let at = |offset: i64| PosixTime(NOW.0.checked_add_signed(offset).unwrap());
    let found = |by: &[(u8, PosixTime)]| match check(
        &pv.trusted(),
        PACING,
        &cosigned(pv.bare_evidence(PACING, 3, 4), by),
    ) {
        Ok(verified) => verified.cosigned.len(),
        Err(EvidenceError::NoQuorum { counted, known: 3, detail }) => {
            assert_eq!(detail.matches("witness").count(), 3, "{detail}");
            counted + 100
        }
        Err(error) => panic!("{error:?}"),
    };
    // 100 and more: no quorum.
    assert_eq!(found(&[]), 100);
    assert_eq!(found(&[(0, NOW)]), 101);
    assert_eq!(found(&[(0, NOW), (0, NOW)]), 101);
    assert_eq!(found(&[(0, NOW), (9, NOW), (8, NOW)]), 101);
    assert_eq!(found(&[(0, NOW), (2, NOW)]), 2);
    assert_eq!(found(&[(0, at(-60)), (1, at(10))]), 2);
    assert_eq!(found(&[(0, at(-61)), (1, NOW)]), 101);
    assert_eq!(found(&[(0, NOW), (1, at(11))]), 101);
    assert_eq!(found(&[(0, at(-61)), (1, at(11)), (2, NOW)]), 101);
    assert_eq!(found(&[(0, at(-61)), (0, at(-1)), (1, NOW)]), 2);
}

#[test]
fn checkpoint_is_refused_when_a_known_witness_did_not_sign_it() {
    let error = after(|pv, e| {
        // Witness 2 cosigned size 3; its line is put below size 4, whose quorum would be met without it.
        let earlier = cosigned(pv.bare_evidence(PACING, 2, 3), &[(2, NOW)]);
        e.checkpoint += earlier.checkpoint.lines().last().unwrap();
        e.checkpoint.push('\n');
    });
    let EvidenceError::Checkpoint(EvaluationError::Note(NoteError::KnownKeyFailed { key, .. })) = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(key.as_str(), "witness2.example");
}

#[test]
fn binding_is_refused_when_it_is_not_the_records() {
    let mismatch = EvidenceError::BindingMismatch;
    assert_eq!(after(|_, e| e.extra.binding = None), mismatch);
    let of = |plugin, release| Some(binding(plugin, release).to_bytes());
    assert_eq!(after(|_, e| e.extra.binding = of("org.example.plugin3", 2)), mismatch);
    assert_eq!(after(|_, e| e.extra.binding = of(PACING, 1)), mismatch);
    let pv = Validator::with_history(1);
    let mut pending = pv.evidence_now("org.example.plugin3");
    pending.extra.binding = of("org.example.plugin3", 1);
    assert_eq!(check(&pv.trusted(), "org.example.plugin3", &pending), Err(mismatch.clone()));
    let nobody = absent_name(&pv, another_leaf);
    let mut absent = pv.evidence_now(&nobody);
    absent.extra.binding = of(&nobody, 1);
    assert_eq!(check(&pv.trusted(), &nobody, &absent), Err(mismatch));
}

#[test]
fn record_is_refused_when_its_validator_lies_in_it() {
    let pv = Validator::new(1);
    let record = |bound: &Binding| NameRecord {
        name: name(PACING),
        owner: OWNER,
        highest_release: Release(2),
        state: State::Validated,
        binding: Some(sha256(&bound.to_bytes())),
        cause: None,
        changed: EpochNumber(0),
        previous: None,
    };
    let found = |record: &[u8], bound: &Binding| {
        check(&pv.trusted(), PACING, &pv.lie_about(PACING, record, Some(bound))).map(|v| v.binding)
    };
    let bound = binding(PACING, 2);
    let honest = record(&bound);
    assert_eq!(found(&honest.to_bytes(), &bound), Ok(Some(bound.clone())));
    // A leaf that commits to the record of another name.
    let other = NameRecord { name: name("org.example.other"), ..honest.clone() };
    let (asked, of) = (name(PACING), other.name.clone());
    assert_eq!(found(&other.to_bytes(), &bound), Err(EvidenceError::OtherName { asked, found: of }));
    // A record from an epoch that is yet to come.
    let later = NameRecord { changed: EpochNumber(1), ..honest.clone() };
    let from_later = EvidenceError::RecordFromLater { changed: EpochNumber(1), epoch: EpochNumber(0) };
    assert_eq!(found(&later.to_bytes(), &bound), Err(from_later));
    // Bindings of another name, and of a release never seen.
    for bound in [binding("org.example.other", 2), binding(PACING, 3)] {
        assert_eq!(found(&record(&bound).to_bytes(), &bound), Err(EvidenceError::BindingMismatch));
    }
    // Bytes that are no record: what stands behind its end, or validated without a binding.
    let mut trailing = honest.to_bytes();
    trailing.push(0);
    let unbound = NameRecord { binding: None, ..honest };
    for bytes in [trailing, unbound.to_bytes()] {
        assert!(matches!(found(&bytes, &bound), Err(EvidenceError::Malformed(_))));
    }
}

#[test]
fn absence_of_a_name_that_is_there_cannot_be_forged() {
    let forged = |terminal: Terminal, keep: usize| {
        after(|_, e| {
            e.extra.name_record = None;
            e.extra.binding = None;
            e.extra.prefix.terminal = terminal;
            e.extra.prefix.copath.drain(..e.extra.prefix.copath.len() - keep);
        })
    };
    let pv = Validator::with_history(1);
    let honest = pv.evidence_now(PACING).extra;
    let depth = honest.prefix.copath.len();
    let (key, commitment) = (key_of(&name(PACING)), sha256(honest.name_record.as_ref().unwrap()));
    let prefix = |error| EvidenceError::Prefix(error);
    assert_eq!(forged(Terminal::Inclusion, depth), prefix(PrefixProofError::NotAbsence));
    let own = Terminal::OtherLeaf { key, commitment };
    assert_eq!(forged(own, depth), prefix(PrefixProofError::OtherLeafIsTarget));
    // A key beside the target's, with the commitment that would give the right hash for the target.
    let mut beside = key;
    beside.0[31] ^= 1;
    assert!(other_root(&forged(Terminal::OtherLeaf { key: beside, commitment }, depth)));
    let mut off = key;
    off.0[0] ^= 0x80;
    let off_path = PrefixProofError::OtherLeafOffPath { shared: 0, depth };
    assert_eq!(forged(Terminal::OtherLeaf { key: off, commitment }, depth), prefix(off_path));
    for keep in 0..=depth {
        let error = forged(Terminal::MissingChild, keep);
        let refused = matches!(error, EvidenceError::Prefix(PrefixProofError::NoDeepestSibling(_)));
        assert!(other_root(&error) || refused, "{keep}: {error:?}");
    }
    // The proof of somebody else's absence.
    let nobody = absent_name(&pv, another_leaf);
    let error = check(&pv.trusted(), PACING, &pv.evidence_now(&nobody)).unwrap_err();
    let refused = matches!(error, EvidenceError::Prefix(PrefixProofError::OtherLeafOffPath { .. }));
    assert!(other_root(&error) || refused, "{error:?}");
}

#[test]
fn presence_of_a_name_that_is_not_there_cannot_be_forged() {
    let pv = Validator::with_history(1);
    let nobody = absent_name(&pv, another_leaf);
    let mut evidence = pv.evidence_now(&nobody);
    let Terminal::OtherLeaf { key, .. } = evidence.extra.prefix.terminal else { panic!("not another leaf") };
    let theirs = pv.current.values().find(|record| key_of(&record.name) == key).unwrap();
    evidence.extra.name_record = Some(theirs.to_bytes());
    evidence.extra.binding = None;
    let error = check(&pv.trusted(), &nobody, &evidence).unwrap_err();
    assert_eq!(error, EvidenceError::Prefix(PrefixProofError::NotInclusion));
    // The other leaf's own commitment, climbed from the place of the name asked for: the leaf's hash has its key in it.
    evidence.extra.prefix.terminal = Terminal::Inclusion;
    let error = check(&pv.trusted(), &nobody, &evidence).unwrap_err();
    assert!(other_root(&error), "{error:?}");
}

#[test]
fn trust_is_refused_when_keys_and_policy_do_not_fit() {
    let pv = Validator::new(1);
    let log = |v: &Validator| format!("log {}\n", v.log_key.verifier());
    let vkey = |name: &str, seed: u8, key_type| {
        let key = cose::public_key(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32]));
        VerifierKey::new(KeyName::new(name).unwrap(), key_type, &key).unwrap()
    };
    let witness_line = |i: u8| format!("witness w{i} {}\n", witness(i).verifier());
    let found = |str_key: VerifierKey, policy: String, allow| {
        TrustedValidator::new(str_key, Policy::parse(policy.as_bytes()).unwrap(), allow).map(|_| ())
    };
    let (w0, w1) = (witness_line(0), witness_line(1));
    let one = "quorum w0\n";
    let good = format!("{}{w0}{one}", log(&pv));
    assert_eq!(found(pv.str_vkey(), good.clone(), false), Ok(()));

    let log_vkey = pv.log_key.verifier().clone();
    assert_eq!(
        found(log_vkey.clone(), good.clone(), false),
        Err(TrustError::NotStrKey(log_vkey.to_string()))
    );
    let none = format!("{w0}{one}");
    assert_eq!(found(pv.str_vkey(), none, false), Err(TrustError::Logs(0)));
    let two = format!("{}{}{w0}{one}", log(&pv), log(&Validator::new(2)));
    assert_eq!(found(pv.str_vkey(), two, false), Err(TrustError::Logs(2)));
    let foreign = Validator::new(2);
    let origins = TrustError::Origins { log: pv.origin.clone(), str: foreign.origin.clone() };
    assert_eq!(found(foreign.str_vkey(), good.clone(), false), Err(origins));
    let shared = vkey(&format!("{}/str", pv.origin), 1, KeyType::StrV1);
    assert_eq!(found(shared, good, false), Err(TrustError::SharedKey));

    for seed in [1, 101] {
        let own = vkey("friend.example", seed, KeyType::CosignatureV1);
        let policy = format!("{}witness w0 {own}\n{w1}group q all w0 w1\nquorum q\n", log(&pv));
        let refused = Err(TrustError::OwnWitness("friend.example".to_owned()));
        assert_eq!(found(pv.str_vkey(), policy, false), refused);
    }

    let nobody = format!("{}{w0}quorum none\n", log(&pv));
    assert_eq!(found(pv.str_vkey(), nobody.clone(), false), Err(TrustError::QuorumNone));
    assert_eq!(found(pv.str_vkey(), nobody, true), Ok(()));
    let any = format!("{}{w0}{w1}group q any w0 w1\nquorum q\n", log(&pv));
    for allow in [false, true] {
        assert_eq!(found(pv.str_vkey(), any.clone(), allow), Err(TrustError::DisjointQuorums));
    }
}

#[test]
fn quorum_none_says_so_and_still_refuses_a_false_cosignature() {
    let pv = Validator::with_history(1);
    let trusted = TrustedValidator::new(pv.str_vkey(), pv.policy("quorum none\n"), true).unwrap();
    let mut steps = Vec::new();
    let bare = pv.bare_evidence(PACING, 3, 4);
    let found = verify(&trusted, &name(PACING), &bare, &WINDOW, &mut steps).unwrap();
    assert_eq!((found.cosigned, &steps[1]), (Vec::new(), &Step::NoWitnesses));
    let earlier = cosigned(pv.bare_evidence(PACING, 2, 3), &[(2, NOW)]);
    let line = earlier.checkpoint.lines().last().unwrap();
    let bent = Evidence { checkpoint: format!("{}{line}\n", bare.checkpoint), ..bare };
    let error = check(&trusted, PACING, &bent).unwrap_err();
    assert!(matches!(error, EvidenceError::Checkpoint(EvaluationError::Note(_))), "{error:?}");
}
