//! Judging plugins: what was received against what validators stand for, under a formula.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside the functions marked as such"
)]

mod common;

use common::*;
use pds_core::cosignature::Window;
use pds_core::evidence::EvidenceError;
use pds_core::formula;
use pds_core::hash::sha256;
use pds_core::name_record::{Decision, NameEvent};
use pds_core::package::{Judgement, PackageError, TermError, Trust, check_package, judge};
use pds_schemas::{
    Artefact, Binding, Digest, Evidence, Finding, ObjectMap, PluginPackage, PosixTime, Release, State,
};

type Objects = Vec<(String, Vec<u8>)>;

/// Validators `PV1`, `PV2` and `PV3`, each of which validated release 1 of pacing.
fn validators() -> Vec<Validator> {
    (1..=3).map(|seed| validator(seed, &binding(PACING, 1))).collect()
}

fn validator(seed: u8, bound: &Binding) -> Validator {
    let mut pv = Validator::new(seed);
    pv.close(&[("org.example.other", &[admitted(1)])]);
    pv.bind(bound);
    pv
}

/// One whose record of pacing has this owner.
fn validator_of_owner(seed: u8, owner: Digest) -> Validator {
    let (mut pv, bound) = (Validator::new(seed), binding(PACING, 1));
    let digest = sha256(&bound.to_bytes());
    pv.bindings.insert(digest, bound.to_bytes());
    let decision = Decision::Validated(digest);
    pv.close(&[(PACING, &[NameEvent::Decided { owner, release: Release(1), decision }])]);
    pv
}

fn trust(validators: &[Validator]) -> Trust {
    validators.iter().enumerate().map(|(i, pv)| (format!("PV{}", i + 1), pv.trusted())).collect()
}

/// The package with evidence from each of these validators.
fn package_of(validators: &[Validator]) -> PluginPackage {
    package(validators.iter().map(|pv| pv.evidence_now(PACING)).collect())
}

fn judged(text: &str, trust: &Trust, package: &PluginPackage) -> Judgement {
    judge(&formula::parse(text).unwrap(), trust, &name(PACING), package, &WINDOW)
}

/// Why `PV1` alone does not hold, when `damage` hit the package with its evidence.
fn refusal(damage: impl FnOnce(&Validator, &mut PluginPackage)) -> TermError {
    let pvs = &validators()[..1];
    let mut package = package_of(pvs);
    damage(&pvs[0], &mut package);
    let judgement = judged("PV1", &trust(pvs), &package);
    assert!(!judgement.satisfied);
    judgement.terms[0].result.clone().unwrap_err()
}

#[test]
fn formula_counts_the_validators_that_came_along() {
    let pvs = validators();
    let trust = trust(&pvs);
    let check = |text: &str, from: &[usize], expect: bool| {
        let evidence = from.iter().map(|i| pvs[i - 1].evidence_now(PACING)).collect();
        assert_eq!(judged(text, &trust, &package(evidence)).satisfied, expect, "{text} from {from:?}");
    };
    check("PV1", &[1], true);
    check("PV1", &[2, 3], false);
    check("PV1", &[], false);
    check("PV1 & (PV2 | PV3)", &[1, 2], true);
    check("PV1 & (PV2 | PV3)", &[3, 1], true);
    check("PV1 & (PV2 | PV3)", &[2, 3], false);
    check("PV1 & (PV2 | PV3)", &[1], false);
    check("2 of (PV1, PV2, PV3)", &[2, 3], true);
    check("2 of (PV1, PV2, PV3)", &[2], false);
    check("2 of (PV1, PV2, PV3)", &[2, 2], false);
    check("3 of (PV1, PV2, PV3)", &[1, 2, 3], true);
    check("1 of (PV1, nobody)", &[1], true);
    check("PV1 & nobody", &[1, 2, 3], false);
}

#[test]
fn judgement_tells_each_term() {
    let pvs = validators();
    let package = package_of(&pvs[..2]);
    let judgement = judged("PV1[structure] & (PV2[memory] | PV3 | nobody)", &trust(&pvs), &package);
    assert!(!judgement.satisfied);
    let results: Vec<_> = judgement.terms.iter().map(|t| t.result.clone()).collect();
    let expect = [
        Ok(OWNER),
        Err(TermError::NotProved("memory".to_owned())),
        Err(TermError::NoEvidence(pvs[2].origin.clone())),
        Err(TermError::UnknownNickname("nobody".to_owned())),
    ];
    assert_eq!(results, expect);
    assert_eq!(judgement.terms.iter().map(|t| t.steps.len()).collect::<Vec<_>>(), [8, 8, 0, 0]);
}

#[test]
fn package_holds_in_its_encoding_too() {
    let pvs = validators();
    let package = PluginPackage::from_bytes(&package_of(&pvs).to_bytes()).unwrap();
    assert!(judged("3 of (PV1, PV2, PV3)", &trust(&pvs), &package).satisfied);
}

#[test]
fn package_is_refused_with_any_bit_of_manifest_or_objects_flipped() {
    let (whole, bound) = (package(Vec::new()), binding(PACING, 1));
    assert_eq!(check_package(&whole, &bound), Ok(()));
    for bit in 0..MANIFEST.len() * 8 {
        let mut bent = whole.clone();
        bent.manifest[bit / 8] ^= 1 << (bit % 8);
        let found = sha256(&bent.manifest);
        let refused = PackageError::Manifest { bound: bound.manifest, found };
        assert_eq!(check_package(&bent, &bound), Err(refused), "bit {bit}");
    }
    for object in 0..2 {
        for bit in 0..whole.objects[object].1.len() * 8 {
            let mut bent = whole.clone();
            bent.objects[object].1[bit / 8] ^= 1 << (bit % 8);
            let (name, bytes) = bent.objects[object].clone();
            let bound_to = *bound.objects.get(&name).unwrap();
            let refused = PackageError::Object { name, bound: bound_to, found: sha256(&bytes) };
            assert_eq!(check_package(&bent, &bound), Err(refused), "object {object} bit {bit}");
        }
    }
}

#[test]
fn package_is_refused_when_it_is_not_all_of_the_binding_and_nothing_else() {
    let package_error = |error| TermError::Package(error);
    let object = |name: &str| (name.to_owned(), b"bytecode of a".to_vec());
    let check = |expect: PackageError, damage: &dyn Fn(&mut Objects)| {
        assert_eq!(refusal(|_, p| damage(&mut p.objects)), package_error(expect));
    };
    let missing = |name: &str| PackageError::MissingObject(name.to_owned());
    check(missing("b.o"), &|objects| objects.truncate(1));
    check(missing("a.o"), &|objects| objects.clear());
    check(missing("a.o"), &|objects| objects[0].0 = "c.o".to_owned());
    check(missing("a.o"), &|objects| objects[0].0 = "A.o".to_owned());
    check(PackageError::ExtraObject("c.o".to_owned()), &|objects| objects.push(object("c.o")));
    // The good object behind a bad one of the same name, and twice the good one.
    let twice = || PackageError::DuplicateObject("a.o".to_owned());
    check(twice(), &|objects| objects.insert(0, ("a.o".to_owned(), b"evil".to_vec())));
    check(twice(), &|objects| objects.push(object("a.o")));
    // Two objects that changed their names for each other's.
    let (a, b) = (sha256(b"bytecode of a"), sha256(b"bytecode of b"));
    check(PackageError::Object { name: "a.o".to_owned(), bound: a, found: b }, &|objects| {
        let [one, other] = objects.as_mut_slice() else { panic!("two objects") };
        std::mem::swap(&mut one.1, &mut other.1);
    });
    let other_manifest = refusal(|_, p| p.manifest = b"org.example.pacing\nb.o a.o\n".to_vec());
    let manifest = matches!(other_manifest, TermError::Package(PackageError::Manifest { .. }));
    assert!(manifest, "{other_manifest:?}");
}

#[test]
fn formula_fails_when_validators_stand_for_different_owners() {
    let [a, b] = [Digest([0xa; 32]), Digest([0xb; 32])];
    let pvs = [validator_of_owner(1, a), validator_of_owner(2, b), validator_of_owner(3, a)];
    let (trust, package) = (trust(&pvs), package_of(&pvs));
    let both = judged("PV1 & PV2", &trust, &package);
    assert!(!both.satisfied);
    assert_eq!(both.terms.iter().map(|t| t.result.clone()).collect::<Vec<_>>(), [Ok(a), Ok(b)]);
    let check = |text: &str, expect| assert_eq!(judged(text, &trust, &package).satisfied, expect, "{text}");
    check("PV1 | PV2", true);
    check("PV1 & PV3", true);
    check("2 of (PV1, PV2, PV3)", true);
    check("3 of (PV1, PV2, PV3)", false);
    check("PV2 & (PV1 | PV3)", false);
    // PV1 and PV3 bear out both halves, PV1 and PV2 would not.
    check("(PV1 | PV2) & (PV2 | PV3)", true);
    check("(PV1 & PV2) | (PV2 & PV3)", false);
}

#[test]
fn formula_fails_when_validators_stand_for_different_objects() {
    let other =
        ObjectMap::new([("a.o".to_owned(), sha256(b"bytecode of a")), ("c.o".to_owned(), Digest::ZERO)]);
    let different = Binding { objects: other, ..binding(PACING, 1) };
    let pvs = [validator(1, &binding(PACING, 1)), validator(2, &different)];
    let (trust, package) = (trust(&pvs), package_of(&pvs));
    assert!(judged("PV1", &trust, &package).satisfied);
    let judgement = judged("PV1 & PV2", &trust, &package);
    assert!(!judgement.satisfied);
    let refused = TermError::Package(PackageError::MissingObject("c.o".to_owned()));
    assert_eq!(judgement.terms[1].result, Err(refused));
}

#[test]
fn term_holds_only_with_its_properties_proved_of_every_object() {
    let pvs = &validators()[..1];
    let (trust, package) = (trust(pvs), package_of(pvs));
    let check = |text: &str, unproved: Option<&str>| {
        let expect = unproved.map_or(Ok(OWNER), |p| Err(TermError::NotProved(p.to_owned())));
        assert_eq!(judged(text, &trust, &package).terms[0].result, expect, "{text}");
    };
    check("PV1[structure]", None);
    // Proved of a.o alone, refuted, and never looked at.
    check("PV1[termination]", Some("termination"));
    check("PV1[structure, memory]", Some("memory"));
    check("PV1[structure, size]", Some("size"));
}

#[test]
fn term_fails_when_one_verifier_of_a_property_disagrees() {
    for finding in [Finding::Refuted, Finding::Inconclusive, Finding::Error] {
        let mut bound = binding(PACING, 1);
        bound.verdicts.push(verdict("structure", Some("b.o"), finding));
        let pvs = [validator(1, &bound)];
        let judgement = judged("PV1[structure]", &trust(&pvs), &package_of(&pvs));
        let refused = Err(TermError::NotProved("structure".to_owned()));
        assert_eq!(judgement.terms[0].result, refused, "{finding:?}");
    }
}

#[test]
fn term_fails_when_the_name_is_not_validated() {
    let state = |events: &[NameEvent]| {
        let mut pv = Validator::new(1);
        pv.close(&[(PACING, events), ("org.example.other", &[admitted(1)])]);
        let pvs = [pv];
        judged("PV1", &trust(&pvs), &package_of(&pvs)).terms[0].result.clone()
    };
    assert_eq!(state(&[]), Err(TermError::NotValidated(None)));
    assert_eq!(state(&[admitted(1)]), Err(TermError::NotValidated(Some(State::Pending))));
    assert_eq!(state(&[admitted(1), failed(1)]), Err(TermError::NotValidated(Some(State::Failed))));
}

#[test]
fn term_holds_while_a_later_release_fails() {
    let mut pv = validator(1, &binding(PACING, 1));
    pv.close(&[(PACING, &[admitted(2), failed(2)])]);
    let pvs = [pv];
    assert!(judged("PV1[structure]", &trust(&pvs), &package_of(&pvs)).satisfied);
}

#[test]
fn term_fails_with_history() {
    let mut pv = validator(1, &binding(PACING, 1));
    pv.close(&[]);
    let pvs = [pv];
    let check =
        |evidence: Evidence| judged("PV1", &trust(&pvs), &package(vec![evidence])).terms[0].result.clone();
    assert_eq!(check(pvs[0].evidence(PACING, 1, 3)), Err(TermError::History { epoch: 1, size: 3 }));
    // Under the checkpoint of its day it was now; what makes it stale is that nobody cosigned that lately.
    let stale = cosigned(pvs[0].bare_evidence(PACING, 1, 2), &[(0, PosixTime(NOW.0 - 61)), (1, NOW)]);
    let refused = check(stale);
    assert!(
        matches!(refused, Err(TermError::Evidence(EvidenceError::NoQuorum { counted: 1, .. }))),
        "{refused:?}"
    );
    assert_eq!(check(pvs[0].evidence_now(PACING)), Ok(OWNER));
}

#[test]
fn term_fails_when_the_clock_has_moved_on() {
    let pvs = &validators()[..1];
    let later = Window { now: PosixTime(NOW.0 + 61), ..WINDOW };
    let (formula, package) = (formula::parse("PV1").unwrap(), package_of(pvs));
    assert!(!judge(&formula, &trust(pvs), &name(PACING), &package, &later).satisfied);
}

#[test]
fn term_fails_with_the_evidence_of_another_name_or_validator() {
    let pvs = validators();
    let (trust, package) = (trust(&pvs), package_of(&pvs));
    let formula = formula::parse("PV1").unwrap();
    let judgement = judge(&formula, &trust, &name("org.example.other"), &package, &WINDOW);
    let refused = judgement.terms[0].result.clone();
    assert!(matches!(refused, Err(TermError::Evidence(EvidenceError::Prefix(_)))), "{refused:?}");
    // PV2's evidence under PV1's name: its checkpoint's first line is covered by PV2's signature.
    let refused = refusal(|pv, p| {
        let foreign = pvs[1].evidence_now(PACING);
        let checkpoint = foreign.checkpoint.replacen(&pvs[1].origin, &pv.origin, 1);
        p.evidence = vec![Evidence { checkpoint, ..foreign }];
    });
    assert!(matches!(refused, TermError::Evidence(EvidenceError::Checkpoint(_))), "{refused:?}");
}

#[test]
fn term_holds_when_any_evidence_of_its_validator_does() {
    let mut pv = validator(1, &binding(PACING, 1));
    pv.close(&[]);
    let (history, good) = (pv.evidence(PACING, 1, 3), pv.evidence_now(PACING));
    let mut unsigned = good.clone();
    unsigned.checkpoint = format!("{}\n", pv.origin);
    let pvs = [pv];
    let check = |evidence: &[&Evidence]| {
        let package = package(evidence.iter().map(|e| (*e).clone()).collect());
        judged("PV1", &trust(&pvs), &package).terms[0].result.clone()
    };
    assert_eq!(check(&[&history, &unsigned, &good]), Ok(OWNER));
    assert_eq!(check(&[&good, &history]), Ok(OWNER));
    // Where none does, the first is told of.
    assert_eq!(check(&[&history, &unsigned]), Err(TermError::History { epoch: 1, size: 3 }));
    let refused = check(&[&unsigned, &history]);
    assert!(matches!(refused, Err(TermError::Evidence(EvidenceError::Note(_)))), "{refused:?}");
}
