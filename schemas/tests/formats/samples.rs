//! The values behind the accepted vectors. Their digests, keys and signatures are fixed bytes: shapes, not truths.

use pds_schemas::cbor::Artefact;
use pds_schemas::cose::{CoseSign1, SignedKind};
use pds_schemas::disk::{EpochRoot, Head, SubmissionEntry, SubmissionOutcome};
use pds_schemas::prefix::{Change, PrefixProof, Terminal, TransitionProof};
use pds_schemas::*;

/// A value that must be accepted.
pub struct Sample {
    pub artefact: &'static str,
    pub name: &'static str,
    pub description: &'static str,
    pub bytes: Vec<u8>,
}

fn sample<A: Artefact>(name: &'static str, description: &'static str, value: &A) -> Sample {
    Sample { artefact: A::NAME, name, description, bytes: value.to_bytes() }
}

/// The sample called `name` of `artefact`.
pub fn named(artefact: &str, name: &str) -> Sample {
    let found = all().into_iter().find(|s| s.artefact == artefact && s.name == name);
    found.unwrap_or_else(|| panic!("{artefact} has no sample {name}"))
}

/// Every sample, those of one artefact together.
pub fn all() -> Vec<Sample> {
    let groups = [
        owner_records(),
        submissions(),
        receipts(),
        verdicts(),
        bindings(),
        failures(),
        environments(),
        policies(),
        name_records(),
        trees(),
        changes(),
        proofs(),
        evidence(),
        packages(),
        histories(),
        signed(),
        disk(),
    ];
    groups.into_iter().flatten().collect()
}

const ORIGIN: &str = "pv1.example/log";
const CHECKPOINT: &str = "pv1.example/log\n4\nREREREREREREREREREREREREREREREREREREREREREQ=\n\n\
    \u{2014} pv1.example/log AAECAwQ=\n\u{2014} witness.example/w1 BQYHCAk=\n";

fn d(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

fn plugin() -> PluginName {
    PluginName::new("be.mpiraux.datagram").unwrap()
}

fn objects() -> ObjectMap {
    let names = ["send.o", "process_datagram.o", "frame.o"];
    ObjectMap::new(names.iter().zip(0x31..).map(|(name, byte)| ((*name).to_owned(), d(byte))))
}

fn cose(kind: SignedKind, payload: Vec<u8>) -> CoseSign1 {
    CoseSign1 { kind, key: key(0xa1), payload, signature: [0xee; 64] }
}

fn first_owner() -> OwnerRecord {
    OwnerRecord::first(plugin(), key(0xa1))
}

fn later_owner() -> OwnerRecord {
    OwnerRecord {
        sequence: 2,
        previous: Some(d(0x21)),
        keys: vec![key(0xa1), key(0xa2)],
        recovery: vec![key(0xb1)],
        transfer_delay_epochs: 24,
        ..first_owner()
    }
}

fn owner_records() -> Vec<Sample> {
    vec![
        sample("first", "sequence 0: one key, nothing before it", &first_owner()),
        sample("later", "sequence 2: a record before it, two keys, a recovery key", &later_owner()),
    ]
}

fn submission() -> Submission {
    Submission {
        name: plugin(),
        release: Release(1),
        source: d(0x22),
        manifest: "datagram.plugin".into(),
        bytecode: None,
        owner: first_owner(),
    }
}

fn submissions() -> Vec<Sample> {
    let with_bytecode = Submission {
        release: Release(70_000),
        bytecode: Some(objects()),
        owner: later_owner(),
        ..submission()
    };
    let payload = cose(SignedKind::Submission, submission().to_bytes()).to_bytes();
    vec![
        sample("first", "a name's first submission, source only", &submission()),
        sample("with-bytecode", "a later one; objects in encoded order, shorter names first", &with_bytecode),
        sample(
            "with-archive",
            "a signed submission and its archive",
            &Upload { signed: payload.clone(), archive: vec![0x1f, 0x8b, 8, 0] },
        ),
        sample(
            "empty-archive",
            "an archive of no bytes is still an upload",
            &Upload { signed: payload, archive: vec![] },
        ),
    ]
}

fn receipt() -> Receipt {
    Receipt {
        origin: ORIGIN.into(),
        submission: d(0x23),
        name: plugin(),
        release: Release(1),
        index: 0,
        time: PosixTime(1_800_000_000),
        decide_by: PosixTime(1_800_086_400),
    }
}

fn receipts() -> Vec<Sample> {
    let at_once = Receipt { index: 300, decide_by: PosixTime(1_800_000_000), ..receipt() };
    vec![
        sample("a-day", "a day to decide", &receipt()),
        sample("at-once", "decide-by equals the time of acceptance", &at_once),
    ]
}

fn proved() -> Verdict {
    Verdict {
        property: "structure".into(),
        verifier: "pds-validator".into(),
        version: "0.1.0".into(),
        finding: Finding::Proved,
        object: Some("send.o".into()),
        bounds: vec![("instructions".into(), 412)],
        cause: None,
    }
}

fn not_proved(finding: Finding, property: &str, cause: &str) -> Verdict {
    Verdict {
        property: property.into(),
        finding,
        object: None,
        bounds: vec![],
        cause: Some(cause.into()),
        ..proved()
    }
}

fn refuted() -> Verdict {
    not_proved(Finding::Refuted, "termination", "loop at instruction 12\nhas no bound")
}

fn verdicts() -> Vec<Sample> {
    let inconclusive = not_proved(Finding::Inconclusive, "memory", "r1 may be any address");
    let bounds = [("steps", 1_000_000), ("states", 4096), ("seconds", 60)];
    let bounded = Verdict {
        object: Some("frame.o".into()),
        bounds: bounds.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
        ..inconclusive.clone()
    };
    vec![
        sample("proved", "of one object, with one bound, no cause", &proved()),
        sample("refuted", "of the whole plugin; the cause has two lines", &refuted()),
        sample("inconclusive", "the verifier could not tell", &inconclusive),
        sample("inconclusive-bounded", "three bounds, shorter names first", &bounded),
        sample("error", "the verifier did not run", &not_proved(Finding::Error, "memory", "tool is missing")),
    ]
}

fn binding() -> Binding {
    Binding {
        name: plugin(),
        release: Release(1),
        submission: d(0x23),
        objects: objects(),
        manifest: d(0x24),
        source: d(0x22),
        environment: d(0x25),
        policy: d(0x26),
        verdicts: vec![proved(), refuted()],
    }
}

fn bindings() -> Vec<Sample> {
    let bare = Binding { verdicts: vec![], ..binding() };
    vec![
        sample("two-verdicts", "three objects; one property proved, one refuted", &binding()),
        sample("no-verdict", "a policy that asks for nothing", &bare),
    ]
}

fn failures() -> Vec<Sample> {
    let build = FailureCause {
        name: plugin(),
        release: Release(2),
        submission: d(0x27),
        policy: d(0x26),
        stage: "build".into(),
        object: Some("send.o".into()),
        message: "send.c:3: unknown type name".into(),
        verdicts: vec![],
    };
    let verify = FailureCause {
        stage: "verify".into(),
        object: None,
        message: "structure & termination does not hold".into(),
        verdicts: vec![proved(), refuted()],
        ..build.clone()
    };
    vec![
        sample("build", "an object does not compile; no verdict yet", &build),
        sample("verify", "the acceptance expression does not hold", &verify),
    ]
}

fn environments() -> Vec<Sample> {
    let confined = BuildEnvironment {
        compiler: "Debian clang version 14.0.6".into(),
        flags: vec!["-target".into(), "bpf".into(), "-O2".into()],
        platform: "pquic".into(),
        confined: true,
    };
    let open = BuildEnvironment { flags: vec![], confined: false, ..confined.clone() };
    vec![
        sample("confined", "three flags, in order", &confined),
        sample("open", "no flags, not confined", &open),
    ]
}

fn policies() -> Vec<Sample> {
    let verifier = |property: &str| Verifier {
        property: property.into(),
        name: "pds-validator".into(),
        version: "0.1.0".into(),
    };
    let full = Policy {
        origin: ORIGIN.into(),
        acceptance: "structure & (memory | memory-monitored)".into(),
        verifiers: vec![verifier("structure"), verifier("memory")],
        platforms: vec!["pquic".into(), "xbgp".into()],
        epoch_interval_s: 3600,
        decide_within_s: 86_400,
    };
    let least = Policy {
        acceptance: "structure".into(),
        verifiers: vec![],
        platforms: vec![],
        epoch_interval_s: 1,
        decide_within_s: 0,
        ..full.clone()
    };
    vec![
        sample("full", "two verifiers, two platforms", &full),
        sample("least", "empty lists, the shortest interval", &least),
    ]
}

fn name_record(state: State) -> NameRecord {
    let name_cause = matches!(state, State::Failed | State::WithdrawnByValidator);
    NameRecord {
        name: plugin(),
        owner: d(0x28),
        highest_release: Release(3),
        state,
        binding: (state == State::Validated).then(|| d(0x29)),
        cause: name_cause.then(|| d(0x2a)),
        changed: EpochNumber(3),
        previous: Some(d(0x2b)),
    }
}

fn name_records() -> Vec<Sample> {
    let first = NameRecord {
        highest_release: Release(1),
        changed: EpochNumber(0),
        previous: None,
        ..name_record(State::Pending)
    };
    let stands = NameRecord { cause: Some(d(0x2a)), ..name_record(State::Validated) };
    let taken_back = NameRecord { cause: Some(d(0x2a)), ..name_record(State::WithdrawnByOwner) };
    vec![
        sample("pending-first", "the first record of a name", &first),
        sample("pending", "a later release, before anything was validated", &name_record(State::Pending)),
        sample("validated", "a binding and no cause", &name_record(State::Validated)),
        sample("validated-later-failed", "a later release failed; the earlier one stands", &stands),
        sample("failed", "a cause and no binding", &name_record(State::Failed)),
        sample("withdrawn-by-owner", "no cause", &name_record(State::WithdrawnByOwner)),
        sample("withdrawn-by-owner-failed", "the latest decision was a failure", &taken_back),
        sample("withdrawn-by-validator", "a cause", &name_record(State::WithdrawnByValidator)),
    ]
}

fn str_of(epoch: u64) -> SignedTreeRoot {
    SignedTreeRoot {
        origin: ORIGIN.into(),
        epoch: EpochNumber(epoch),
        time: PosixTime(1_800_000_000 + 3600 * epoch),
        previous: if epoch == 0 { Digest::ZERO } else { d(0x2c) },
        prefix_root: if epoch == 0 { Digest::ZERO } else { d(0x2d) },
        names: epoch,
        changes: d(0x2e),
        policy: d(0x26),
        extensions: Digest::ZERO,
    }
}

fn trees() -> Vec<Sample> {
    let extended = SignedTreeRoot { extensions: d(0x2f), ..str_of(3) };
    let named = SignedTreeRoot { names: 2, prefix_root: d(0x2d), ..str_of(0) };
    let last = SignedTreeRoot { epoch: EpochNumber(u64::MAX - 1), ..str_of(3) };
    vec![
        sample("epoch-0-empty", "nothing before it, no names: two digests of zeros", &str_of(0)),
        sample("epoch-0-named", "names in the first epoch", &named),
        sample("epoch-3", "a later epoch", &str_of(3)),
        sample("extended", "extensions are carried and not interpreted", &extended),
        sample("last-epoch", "the highest epoch there can be", &last),
    ]
}

fn change(byte: u8, old: Option<Digest>) -> Change {
    let name = PluginName::new(format!("be.mpiraux.plugin{byte}")).unwrap();
    Change { key: d(byte), name, old, new: d(0x51) }
}

fn change_set() -> ChangeSet {
    ChangeSet { changes: vec![change(0x41, None), change(0x42, Some(d(0x52)))] }
}

fn changes() -> Vec<Sample> {
    let proof = TransitionProof { kinds: vec![0b1101_1000], values: vec![0x53; 96] };
    let still = Transition {
        epoch: EpochNumber(0),
        changes: ChangeSet::default(),
        proof: TransitionProof::default(),
    };
    vec![
        sample("none", "an epoch in which nothing changed", &ChangeSet::default()),
        sample("two", "a new name and a changed one, ascending by key", &change_set()),
        sample("none", "nothing changed, nothing to prove", &still),
        sample(
            "two",
            "two changes; kinds 3, 1, 2, 0 and three values",
            &Transition { epoch: EpochNumber(3), changes: change_set(), proof },
        ),
    ]
}

fn inclusion() -> PrefixProof {
    PrefixProof { terminal: Terminal::Inclusion, copath: vec![Some(d(0x61)), None, Some(d(0x62))] }
}

fn absence(copath: Vec<Option<Digest>>) -> PrefixProof {
    PrefixProof { terminal: Terminal::MissingChild, copath }
}

fn proofs() -> Vec<Sample> {
    let other = Terminal::OtherLeaf { key: d(0x63), commitment: d(0x64) };
    let other = PrefixProof { terminal: other, copath: vec![Some(d(0x61)); 9] };
    let mut deep = vec![Some(d(0x61))];
    deep.resize(255, None);
    let deep = PrefixProof { terminal: Terminal::Inclusion, copath: deep };
    let lonely = PrefixProof { terminal: Terminal::Inclusion, copath: vec![None] };
    vec![
        sample("inclusion", "depth 3, the middle sibling missing", &inclusion()),
        sample("inclusion-lonely", "the only leaf of a tree: depth 1, no sibling", &lonely),
        sample("inclusion-depth-255", "the deepest leaf there can be", &deep),
        sample("other-leaf", "absence by another leaf at depth 9: a bitmap of two bytes", &other),
        sample("missing-child", "absence by a missing child", &absence(vec![Some(d(0x61)), None])),
        sample("missing-child-empty-tree", "depth 0: the empty tree", &absence(vec![])),
    ]
}

fn extra_absent() -> EvidenceExtra {
    let signed_tree_root = cose(SignedKind::SignedTreeRoot, str_of(3).to_bytes()).to_bytes();
    let prefix = absence(vec![Some(d(0x61)), None]);
    EvidenceExtra { name_record: None, binding: None, prefix, signed_tree_root }
}

fn extra_validated() -> EvidenceExtra {
    EvidenceExtra {
        name_record: Some(name_record(State::Validated).to_bytes()),
        binding: Some(binding().to_bytes()),
        prefix: inclusion(),
        ..extra_absent()
    }
}

fn evidence_of(extra: EvidenceExtra, inclusion: Vec<Digest>) -> Evidence {
    Evidence { extra, index: EpochNumber(3), inclusion, checkpoint: CHECKPOINT.into() }
}

fn evidence() -> Vec<Sample> {
    let failed = EvidenceExtra {
        name_record: Some(name_record(State::Failed).to_bytes()),
        binding: None,
        ..extra_validated()
    };
    vec![
        sample("validated", "a name record with its binding", &extra_validated()),
        sample("failed", "a name record without a binding", &failed),
        sample("absent", "neither: a proof of absence", &extra_absent()),
        sample(
            "validated",
            "the second of two hashes up to size 4",
            &evidence_of(extra_validated(), vec![d(0x71), d(0x72)]),
        ),
        sample("absent", "the only leaf of a log: no hashes", &evidence_of(extra_absent(), vec![])),
    ]
}

fn packages() -> Vec<Sample> {
    let full = PluginPackage {
        manifest: b"be.mpiraux.datagram\n".to_vec(),
        objects: vec![("send.o".into(), vec![0x95; 8]), ("frame.o".into(), vec![])],
        evidence: vec![
            evidence_of(extra_validated(), vec![d(0x71), d(0x72)]),
            evidence_of(extra_absent(), vec![]),
        ],
    };
    let bare = PluginPackage { evidence: vec![], ..full.clone() };
    vec![
        sample("two-validators", "two objects and two validators' evidence", &full),
        sample("no-evidence", "satisfies no formula, but is well formed", &bare),
    ]
}

fn histories() -> Vec<Sample> {
    let first = NameRecord { previous: None, changed: EpochNumber(0), ..name_record(State::Pending) };
    let records = vec![name_record(State::Validated).to_bytes(), first.to_bytes()];
    let short = NameHistory { records: vec![first.to_bytes()] };
    vec![
        sample("two", "newest first, down to the first", &NameHistory { records }),
        sample("one", "a name that never changed", &short),
    ]
}

fn signed() -> Vec<Sample> {
    vec![
        sample(
            "signed-tree-root",
            "the log entry of epoch 3",
            &cose(SignedKind::SignedTreeRoot, str_of(3).to_bytes()),
        ),
        sample(
            "submission",
            "a developer's signature",
            &cose(SignedKind::Submission, submission().to_bytes()),
        ),
        sample("receipt", "a validator's promise", &cose(SignedKind::Receipt, receipt().to_bytes())),
        sample("owner", "a transfer", &cose(SignedKind::OwnerRecord, later_owner().to_bytes())),
        sample("empty-payload", "the payload is the caller's affair", &cose(SignedKind::Receipt, vec![])),
    ]
}

fn disk() -> Vec<Sample> {
    let empty = Head {
        size: TreeSize(1),
        log_root: d(0x81),
        str_hash: d(0x81),
        time: PosixTime(1_800_000_000),
        prefix: None,
        names: 0,
        checkpoint: CHECKPOINT.into(),
    };
    let named = Head {
        size: TreeSize(4),
        log_root: d(0x44),
        prefix: Some((d(0x2d), EpochNumber(2))),
        names: 3,
        ..empty.clone()
    };
    let waiting = SubmissionEntry {
        signed: cose(SignedKind::Submission, submission().to_bytes()).to_bytes(),
        receipt: cose(SignedKind::Receipt, receipt().to_bytes()).to_bytes(),
        index: 0,
    };
    let outcome = |cause| SubmissionOutcome { submission: d(0x5b), epoch: EpochNumber(3), cause };
    vec![
        sample("empty", "after epoch 0, no names", &empty),
        sample("named", "after epoch 3; the top page is of epoch 2", &named),
        sample("first", "the first of the queue", &waiting),
        sample("later", "an index of two bytes", &SubmissionEntry { index: 300, ..waiting.clone() }),
        sample("validated", "published, no cause", &outcome(None)),
        sample("failed", "published with its cause", &outcome(Some(d(0x2a)))),
        sample("empty-tree", "no page", &EpochRoot { page_epoch: None }),
        sample("page", "the top page is of epoch 24", &EpochRoot { page_epoch: Some(EpochNumber(24)) }),
    ]
}
