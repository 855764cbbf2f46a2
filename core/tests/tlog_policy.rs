//! Trust policies: the example of C2SP tlog-policy, quorums against brute force, evaluation, and what is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use pds_core::checkpoint::Checkpoint;
use pds_core::cosignature::{Cosigner, Window};
use pds_core::note::{KeyName, KeyType, Note, NoteError, NoteSigner, SignatureLine};
use pds_core::tlog_policy::{
    EvaluationError, LineError, MAX_ITEMS, MAX_POLICY_BYTES, Member, Policy, PolicyError, Quorum, WitnessSet,
    WitnessVerdict,
};
use pds_schemas::{Digest, PosixTime, TreeSize};
use proptest::prelude::*;

const WINDOW: Window = Window { now: PosixTime(10_000), max_age_s: 1000, skew_s: 60 };

fn log(seed: u8) -> NoteSigner {
    NoteSigner::new(KeyName::new(format!("log{seed}.example")).unwrap(), &[seed; 32]).unwrap()
}

fn witness(seed: u8) -> Cosigner {
    Cosigner::new(KeyName::new(format!("w{seed}.example")).unwrap(), &[seed; 32]).unwrap()
}

/// Puts `log <vkey>` for LOG and `witness w<i> <vkey>` for W<i>, each on its line.
fn with_keys(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('W').and_then(|seed| seed.parse().ok()) {
        Some(seed) => format!("witness w{seed} {}", witness(seed).verifier()),
        None if line == "LOG" => format!("log {}", log(100).verifier()),
        None => line.to_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn policy(text: &str) -> Policy {
    Policy::parse(with_keys(text).as_bytes()).unwrap()
}

fn set(witnesses: &[usize]) -> WitnessSet {
    witnesses.iter().copied().collect()
}

const EXAMPLE: &str = "LOG\n\nW1\nW2\nW3\ngroup X-witnesses 2 w1 w2 w3\n\nW4\nW5\nW6\n\
    group Y-witnesses any w4 w5 w6\n\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n";

#[test]
fn policy_of_the_standard_is_read_and_counts() {
    let policy = policy(EXAMPLE);
    assert_eq!((policy.logs().len(), policy.witnesses().len(), policy.groups().len()), (1, 6, 3));
    assert_eq!(policy.quorum(), Quorum::Member(Member::Group(2)));
    assert_eq!(policy.groups()[0].threshold, 2);
    assert_eq!(policy.groups()[2].members, [Member::Group(0), Member::Group(1)]);
    let check = |witnesses: &[usize], expect| {
        assert_eq!(policy.is_satisfied(&set(witnesses)), expect, "{witnesses:?}");
    };
    check(&[0, 1, 3], true);
    check(&[1, 2, 5], true);
    check(&[0, 1, 2, 3, 4, 5], true);
    check(&[0, 1, 2], false);
    check(&[0, 3, 4, 5], false);
    check(&[3, 4, 5], false);
    check(&[], false);
    assert!(!policy.has_disjoint_quorums());
}

#[test]
fn policy_may_have_comments_tabs_urls_and_any_octets_in_names() {
    let (key, log) = (witness(1).verifier().to_string(), log(100).verifier().to_string());
    let mut text = Vec::new();
    text.extend(format!("\t# comment \u{e9}\n \n\tlog\t{log}  https://log.example/ \n").as_bytes());
    text.extend(b"#\xff\xfe\n  witness \xff\xe2 ");
    text.extend(format!("{key}\thttp://w/\n").as_bytes());
    text.extend(b" group g# 1 \xff\xe2\nquorum   g#\t\n#end\n");
    let policy = Policy::parse(&text).unwrap();
    assert_eq!(policy.logs()[0].url.as_deref(), Some(b"https://log.example/".as_slice()));
    assert_eq!(policy.witnesses()[0].name.as_bytes(), b"\xff\xe2");
    assert_eq!(policy.witnesses()[0].name.to_string(), "\\xff\\xe2");
    assert!(policy.is_satisfied(&set(&[0])) && !policy.is_satisfied(&set(&[])));
}

#[test]
fn policy_may_be_without_logs_or_witnesses() {
    let nobody = policy("quorum none\n");
    assert!(nobody.is_satisfied(&set(&[])) && nobody.has_disjoint_quorums());
    // Keywords are names like any other, where a name stands.
    let odd = format!("witness quorum {}\ngroup any any quorum\nquorum any\n", witness(1).verifier());
    assert!(Policy::parse(odd.as_bytes()).unwrap().is_satisfied(&set(&[0])));
}

#[test]
fn policy_is_refused_with_its_cause() {
    let (one, log1) = (witness(1).verifier().to_string(), log(100).verifier().to_string());
    let check = |text: &str, line, cause: &dyn Fn(&LineError) -> bool| match Policy::parse(
        with_keys(text).as_bytes(),
    ) {
        Err(PolicyError::Line { line: found, cause: why }) if found == line && cause(&why) => (),
        other => panic!("{text:?}: {other:?}"),
    };
    let keyword = &|e: &LineError| *e == LineError::Keyword;
    let words = &|e: &LineError| matches!(e, LineError::Words(_));
    let vkey = &|e: &LineError| matches!(e, LineError::Vkey(_));
    let unknown = &|e: &LineError| matches!(e, LineError::UnknownName(_));
    let duplicate = &|e: &LineError| matches!(e, LineError::DuplicateName(_));
    let twice = &|e: &LineError| matches!(e, LineError::MemberTwice(_));
    let threshold = &|e: &LineError| *e == LineError::Threshold;
    let key = &|e: &LineError| *e == LineError::DuplicateKey;
    check("Log x\n", 1, keyword);
    check("quorums none\n", 1, keyword);
    check("log\n", 1, words);
    check(&format!("log {log1} url more\n"), 1, words);
    check("witness\nquorum none\n", 1, words);
    check("\n\nwitness w\n", 3, words);
    check(&format!("witness w {one} url more\n"), 1, words);
    check("W1\ngroup g any\n", 2, words);
    check("W1\ngroup g\n", 2, words);
    check("quorum\n", 1, words);
    check("quorum none none\n", 1, words);
    check("log x\n", 1, vkey);
    check(&format!("witness {one}  \n"), 1, words);
    check(&format!("log {one}\n"), 1, &|e| *e == LineError::KeyType(KeyType::CosignatureV1));
    check(&format!("witness w {log1}\n"), 1, &|e| *e == LineError::KeyType(KeyType::Ed25519));
    check("group g any w1\nW1\n", 1, unknown);
    check("group g any g\n", 1, unknown);
    check("W1\ngroup g any w1 none\n", 2, unknown);
    check("W1\nquorum w2\n", 2, unknown);
    check("quorum w1\nW1\n", 1, unknown);
    check("W1\nquorum W1 \n", 2, unknown);
    check(&format!("W1\nwitness w1 {}\n", witness(2).verifier()), 2, duplicate);
    check("W1\nW2\ngroup w2 any w1\n", 3, duplicate);
    check("W1\nW2\ngroup g any w1\ngroup g any w2\n", 4, duplicate);
    check(&format!("witness none {one}\n"), 1, duplicate);
    check("W1\ngroup none any w1\n", 2, duplicate);
    check("W1\ngroup g any w1 w1\n", 2, twice);
    check("W1\ngroup g any w1\ngroup h any w1\n", 3, twice);
    check("W1\nW2\ngroup g any w1\ngroup h any g w2\ngroup i any h g\n", 5, twice);
    for k in ["0", "3", "01", "+1", "-1", "1.0", "ANY", "18446744073709551617", "\u{e9}", "w1"] {
        check(&format!("W1\nW2\ngroup g {k} w1 w2\n"), 3, threshold);
    }
    check(&format!("W1\nwitness other {one}\n"), 2, key);
    let renamed = Cosigner::new(KeyName::new("renamed").unwrap(), &[1; 32]).unwrap();
    check(&format!("W1\nwitness other {}\n", renamed.verifier()), 2, key);
    check("LOG\nLOG\n", 2, key);
    check("W1\nquorum w1\nquorum none\n", 3, &|e| *e == LineError::SecondQuorum);
    check("quorum none\r\n", 1, &|e| *e == LineError::Octet(b'\r'));
    check("# \0\nquorum none\n", 1, &|e| *e == LineError::Octet(0));
    check("# \x7f\nquorum none\n", 1, &|e| *e == LineError::Octet(0x7f));
    let not_utf8 = Policy::parse(b"log \xff\n");
    assert_eq!(not_utf8, Err(PolicyError::Line { line: 1, cause: LineError::VkeyNotUtf8 }));

    assert_eq!(Policy::parse(b""), Err(PolicyError::NoQuorum));
    assert_eq!(Policy::parse(b"\n"), Err(PolicyError::NoQuorum));
    assert_eq!(Policy::parse(b"# quorum none\n"), Err(PolicyError::NoQuorum));
    assert_eq!(Policy::parse(b"quorum none"), Err(PolicyError::NoFinalNewline));
    let long = vec![b'\n'; MAX_POLICY_BYTES + 1];
    assert_eq!(Policy::parse(&long), Err(PolicyError::TooLong(MAX_POLICY_BYTES + 1)));
}

#[test]
fn policy_holds_as_many_as_stated_and_no_more() {
    let of = |count: usize| {
        let logs = (1..=count).map(|i| format!("log {}\n", log(i as u8).verifier()));
        let witnesses = (1..=count).map(|i| format!("W{i}\ngroup g{i} any w{i}\n"));
        with_keys(&format!("{}{}quorum g1\n", logs.collect::<String>(), witnesses.collect::<String>()))
    };
    let full = Policy::parse(of(MAX_ITEMS).as_bytes()).unwrap();
    assert_eq!((full.logs().len(), full.witnesses().len(), full.groups().len()), (64, 64, 64));
    let many = Policy::parse(of(MAX_ITEMS + 1).as_bytes());
    assert_eq!(many, Err(PolicyError::Line { line: MAX_ITEMS + 1, cause: LineError::TooMany }));
    assert!(set(&[63]).contains(63) && set(&[64, usize::MAX]).is_empty() && !set(&[0]).contains(64));
}

#[test]
fn quorums_are_disjoint_when_half_suffices() {
    let check = |text: &str, expect| assert_eq!(policy(text).has_disjoint_quorums(), expect, "{text}");
    check("W1\nquorum w1\n", false);
    check("W1\nW2\ngroup g any w1 w2\nquorum g\n", true);
    check("W1\nW2\ngroup g all w1 w2\nquorum g\n", false);
    check("W1\nW2\nW3\ngroup g 2 w1 w2 w3\nquorum g\n", false);
    check("W1\nW2\nW3\nW4\ngroup g 2 w1 w2 w3 w4\nquorum g\n", true);
    check("W1\nW2\nW3\nW4\ngroup g 3 w1 w2 w3 w4\nquorum g\n", false);
    // A majority of members does not help when the members can be had by both.
    check("W1\nW2\nW3\nW4\ngroup a any w1 w2\ngroup b any w3 w4\ngroup g all a b\nquorum g\n", true);
    check("W1\nW2\nW3\ngroup a any w1 w2\ngroup g all a w3\nquorum g\n", false);
    check("W1\nW2\nW3\nW4\ngroup a any w1 w2\ngroup g 2 a w3 w4\nquorum g\n", true);
    check("W1\nW2\nW3\ngroup a any w1 w2\ngroup g 2 a w3\nquorum w3\n", false);
    let majority = |k: usize| {
        let witnesses: String = (1..=33).map(|i| format!("W{i}\n")).collect();
        let names: String = (1..=33).map(|i| format!(" w{i}")).collect();
        format!("{witnesses}group g {k}{names}\nquorum g\n")
    };
    check(&majority(16), true);
    check(&majority(17), false);
}

/// The head of the log with seed 100, and these lines below its signature.
fn note(lines: impl IntoIterator<Item = SignatureLine>) -> Note {
    let head = Checkpoint { origin: "log100.example".to_owned(), size: TreeSize(9), root: Digest([3; 32]) };
    let signed = head.sign(&log(100)).unwrap();
    let lines = signed.note().signatures().iter().cloned().chain(lines).collect();
    signed.note().with_signatures(lines).unwrap()
}

fn cosign(seed: u8, time: u64) -> SignatureLine {
    witness(seed).cosign(note([]).text(), PosixTime(time)).unwrap()
}

#[test]
fn evaluation_counts_only_cosignatures_inside_the_window() {
    let policy = policy("LOG\nW1\nW2\nW3\nW4\nW5\ngroup g 2 w1 w2 w3 w4 w5\nquorum g\n");
    let lines = [cosign(1, 9000), cosign(2, 8999), cosign(3, 10_061), cosign(4, 10_060), cosign(9, 1)];
    let evaluation = policy.evaluate(&note(lines.clone()), &WINDOW).unwrap();
    let expect = [
        WitnessVerdict::Counted(PosixTime(9000)),
        WitnessVerdict::TooOld(PosixTime(8999)),
        WitnessVerdict::InFuture(PosixTime(10_061)),
        WitnessVerdict::Counted(PosixTime(10_060)),
        WitnessVerdict::Absent,
    ];
    assert_eq!((evaluation.log, evaluation.witnesses.as_slice()), (0, expect.as_slice()));
    assert_eq!(evaluation.counted(), set(&[0, 3]));
    assert!(evaluation.has_quorum);
    assert_eq!(evaluation.checkpoint.checkpoint().size, TreeSize(9));
    let stricter = Window { max_age_s: 999, ..WINDOW };
    assert!(!policy.evaluate(&note(lines), &stricter).unwrap().has_quorum);
    assert!(!policy.evaluate(&note([]), &WINDOW).unwrap().has_quorum);
}

#[test]
fn evaluation_takes_the_best_of_a_witness_and_counts_it_once() {
    let policy = policy("LOG\nW1\nW2\ngroup g all w1 w2\nquorum g\n");
    let lines = [cosign(1, 9500), cosign(1, 9600), cosign(1, 1), cosign(1, 99_999)];
    let evaluation = policy.evaluate(&note(lines), &WINDOW).unwrap();
    assert_eq!(evaluation.witnesses, [WitnessVerdict::Counted(PosixTime(9600)), WitnessVerdict::Absent]);
    assert!(!evaluation.has_quorum);
}

#[test]
fn evaluation_is_refused_with_its_cause() {
    let policy = policy("LOG\nW1\nquorum w1\n");
    let unknown = |origin: &str| Err(EvaluationError::NoKnownLog { origin: origin.to_owned() });
    let mut forged = cosign(1, 9500);
    forged.signature[40] ^= 1;
    assert!(matches!(
        policy.evaluate(&note([forged]), &WINDOW),
        Err(EvaluationError::Note(NoteError::KnownKeyFailed { .. }))
    ));

    let only_cosigned = note([]).with_signatures(vec![cosign(1, 9500)]).unwrap();
    assert_eq!(policy.evaluate(&only_cosigned, &WINDOW), unknown("log100.example"));
    let stranger = Checkpoint { origin: "log7.example".to_owned(), ..note([]).text().parse().unwrap() };
    let stranger_note = stranger.sign(&log(7)).unwrap().note().clone();
    assert_eq!(policy.evaluate(&stranger_note, &WINDOW), unknown("log7.example"));
    // A log of the policy cannot speak for another origin.
    let text = stranger.to_note_text();
    let in_its_name = Note::new(text.clone(), vec![log(100).sign(&text)]).unwrap();
    assert_eq!(policy.evaluate(&in_its_name, &WINDOW), unknown("log7.example"));
    let no_checkpoint = log(100).sign_note("hello\n").unwrap();
    assert!(matches!(policy.evaluate(&no_checkpoint, &WINDOW), Err(EvaluationError::Checkpoint(_))));
    let without_logs = Policy::parse(b"quorum none\n").unwrap();
    assert_eq!(without_logs.evaluate(&note([]), &WINDOW), unknown("log100.example"));
}

/// A random quorum over up to 7 witnesses: each group takes some of the names not taken yet.
fn random_policy() -> impl Strategy<Value = String> {
    let groups = prop::collection::vec((any::<u8>(), any::<prop::sample::Index>()), 1..5);
    (1usize..=7, groups).prop_map(|(count, groups)| {
        let mut text: String = (1..=count).map(|i| format!("W{i}\n")).collect();
        let mut free: Vec<String> = (1..=count).map(|i| format!("w{i}")).collect();
        let last = groups.len() - 1;
        for (g, (mask, k)) in groups.into_iter().enumerate() {
            let all = g == last;
            let (taken, rest): (Vec<_>, Vec<_>) =
                free.iter().cloned().enumerate().partition(|(i, _)| all || mask >> (i % 8) & 1 == 1);
            if taken.is_empty() {
                continue;
            }
            let names: Vec<String> = taken.into_iter().map(|(_, name)| name).collect();
            text += &format!("group g{g} {} {}\n", k.index(names.len()) + 1, names.join(" "));
            free = rest.into_iter().map(|(_, name)| name).chain([format!("g{g}")]).collect();
        }
        text + &format!("quorum {}\n", free.last().expect("the last group took all"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn disjoint_quorums_are_found_exactly_when_they_exist(text in random_policy()) {
        let policy = policy(&text);
        let count = policy.witnesses().len();
        let sets: Vec<WitnessSet> = (0..1usize << count)
            .map(|mask| (0..count).filter(|i| mask >> i & 1 == 1).collect())
            .filter(|set| policy.is_satisfied(set))
            .collect();
        let exist = sets.iter().any(|a| sets.iter().any(|b| a.is_disjoint(b)));
        prop_assert_eq!(policy.has_disjoint_quorums(), exist, "{}", text);
    }

    #[test]
    fn policy_parser_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = [bytes.as_slice(), b"\nquorum none\n"].concat();
        prop_assert!(Policy::parse(&bytes).is_err());
        if let Ok(policy) = Policy::parse(&text) {
            prop_assert!(policy.logs().is_empty() && policy.witnesses().is_empty());
        }
    }

    #[test]
    fn policy_parser_never_panics_on_altered_policies(at in 0usize..600, to in any::<u8>(), cut in 0usize..9) {
        let mut bytes = with_keys(EXAMPLE).into_bytes();
        let at = at % bytes.len();
        bytes.splice(at..(at + cut).min(bytes.len()), [to]);
        if let Ok(policy) = Policy::parse(&bytes) {
            prop_assert!(!policy.is_satisfied(&set(&[])));
        }
    }
}
