//! Arbitrary values of every artefact, within the rules of its decoder.

use std::collections::BTreeMap;

use pds_schemas::cose::{CoseSign1, SignedKind};
use pds_schemas::disk::{EpochRoot, Head, SubmissionEntry, SubmissionOutcome};
use pds_schemas::prefix::{Change, PrefixProof, Terminal, TransitionProof};
use pds_schemas::*;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn set_digest() -> impl Strategy<Value = Digest> {
    digest().prop_filter("zeros have a meaning of their own", |d| *d != Digest::ZERO)
}

fn key() -> impl Strategy<Value = PublicKey> {
    any::<[u8; 32]>().prop_map(PublicKey)
}

/// Numbers of every encoded width.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0_u32..64).prop_map(|(n, shift)| n >> shift)
}

fn positive() -> impl Strategy<Value = u64> {
    number().prop_map(|n| n.max(1))
}

fn epoch() -> impl Strategy<Value = EpochNumber> {
    number().prop_map(|n| EpochNumber(n.min(u64::MAX - 1)))
}

fn release() -> impl Strategy<Value = Release> {
    positive().prop_map(Release)
}

fn name() -> impl Strategy<Value = PluginName> {
    "[a-z0-9]([a-z0-9_-]{0,10}[a-z0-9])?(\\.[a-z0-9]([a-z0-9_-]{0,10}[a-z0-9])?){1,3}"
        .prop_map(|text| PluginName::new(text).unwrap())
}

fn line() -> impl Strategy<Value = String> {
    "[^\\p{C}]{1,20}"
}

fn origin() -> impl Strategy<Value = String> {
    "[a-z0-9.é]{1,20}/[a-z]{1,5}"
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=most)
}

/// Sorts as RFC 8949 sorts encoded texts.
fn encoded_order<T>(map: BTreeMap<String, T>) -> Vec<(String, T)> {
    let mut pairs: Vec<_> = map.into_iter().collect();
    pairs.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    pairs
}

fn objects() -> impl Strategy<Value = ObjectMap> {
    btree_map(line(), digest(), 1..4).prop_map(ObjectMap::new)
}

pub fn owner_record() -> impl Strategy<Value = OwnerRecord> {
    let history = prop_oneof![Just((0, None)), (positive(), digest()).prop_map(|(n, d)| (n, Some(d)))];
    (name(), history, btree_set(key(), 1..4), btree_set(key(), 0..3), number()).prop_map(
        |(name, (sequence, previous), keys, recovery, transfer_delay_epochs)| OwnerRecord {
            name,
            sequence,
            previous,
            keys: keys.into_iter().collect(),
            threshold: 1,
            recovery: recovery.into_iter().collect(),
            transfer_delay_epochs,
        },
    )
}

pub fn submission() -> impl Strategy<Value = Submission> {
    (owner_record(), release(), digest(), line(), option::of(objects())).prop_map(
        |(owner, release, source, manifest, bytecode)| Submission {
            name: owner.name.clone(),
            release,
            source,
            manifest,
            bytecode,
            owner,
        },
    )
}

pub fn upload() -> impl Strategy<Value = Upload> {
    (bytes(80), bytes(80)).prop_map(|(signed, archive)| Upload { signed, archive })
}

pub fn receipt() -> impl Strategy<Value = Receipt> {
    (origin(), digest(), name(), release(), number(), number(), number()).prop_map(
        |(origin, submission, name, release, index, time, within)| Receipt {
            origin,
            submission,
            name,
            release,
            index,
            time: PosixTime(time),
            decide_by: PosixTime(time.saturating_add(within)),
        },
    )
}

fn finding() -> impl Strategy<Value = (Finding, Option<String>)> {
    let other = prop_oneof![Just(Finding::Refuted), Just(Finding::Inconclusive), Just(Finding::Error)];
    prop_oneof![
        Just((Finding::Proved, None)),
        (other, any::<String>()).prop_map(|(f, cause)| (f, Some(cause)))
    ]
}

pub fn verdict() -> impl Strategy<Value = Verdict> {
    let bounds = btree_map(line(), number(), 0..4).prop_map(encoded_order);
    (line(), line(), line(), finding(), option::of(line()), bounds).prop_map(
        |(property, verifier, version, (finding, cause), object, bounds)| Verdict {
            property,
            verifier,
            version,
            finding,
            object,
            bounds,
            cause,
        },
    )
}

pub fn binding() -> impl Strategy<Value = Binding> {
    (name(), release(), objects(), vec(digest(), 5), vec(verdict(), 0..3)).prop_map(
        |(name, release, objects, d, verdicts)| Binding {
            name,
            release,
            submission: d[0],
            objects,
            manifest: d[1],
            source: d[2],
            environment: d[3],
            policy: d[4],
            verdicts,
        },
    )
}

pub fn failure_cause() -> impl Strategy<Value = FailureCause> {
    (name(), release(), digest(), digest(), line(), option::of(line()), any::<String>(), vec(verdict(), 0..3))
        .prop_map(|(name, release, submission, policy, stage, object, message, verdicts)| FailureCause {
            name,
            release,
            submission,
            policy,
            stage,
            object,
            message,
            verdicts,
        })
}

pub fn build_environment() -> impl Strategy<Value = BuildEnvironment> {
    (line(), vec(line(), 0..4), line(), any::<bool>()).prop_map(|(compiler, flags, platform, confined)| {
        BuildEnvironment { compiler, flags, platform, confined }
    })
}

pub fn policy() -> impl Strategy<Value = Policy> {
    let verifier =
        (line(), line(), line()).prop_map(|(property, name, version)| Verifier { property, name, version });
    (origin(), line(), vec(verifier, 0..3), vec(line(), 0..3), number(), number()).prop_map(
        |(origin, acceptance, verifiers, platforms, interval, decide_within_s)| Policy {
            origin,
            acceptance,
            verifiers,
            platforms,
            epoch_interval_s: interval.max(1),
            decide_within_s,
        },
    )
}

/// A state with the binding and the cause that may stand beside it.
fn state() -> impl Strategy<Value = (State, Option<Digest>, Option<Digest>)> {
    let failed = prop_oneof![Just(State::Failed), Just(State::WithdrawnByValidator)];
    prop_oneof![
        Just((State::Pending, None, None)),
        (digest(), option::of(digest())).prop_map(|(b, c)| (State::Validated, Some(b), c)),
        (failed, digest()).prop_map(|(state, c)| (state, None, Some(c))),
        option::of(digest()).prop_map(|c| (State::WithdrawnByOwner, None, c)),
    ]
}

pub fn name_record() -> impl Strategy<Value = NameRecord> {
    (name(), digest(), release(), state(), epoch(), option::of(digest())).prop_map(
        |(name, owner, highest_release, (state, binding, cause), changed, previous)| NameRecord {
            name,
            owner,
            highest_release,
            state,
            binding,
            cause,
            changed,
            previous,
        },
    )
}

pub fn signed_tree_root() -> impl Strategy<Value = SignedTreeRoot> {
    let before = prop_oneof![
        Just((EpochNumber(0), Digest::ZERO)),
        (epoch().prop_map(|e| EpochNumber(e.0.max(1))), set_digest()),
    ];
    let tree = prop_oneof![Just((0, Digest::ZERO)), (positive(), set_digest())];
    (origin(), before, number(), tree, digest(), digest(), digest()).prop_map(
        |(origin, (epoch, previous), time, (names, prefix_root), changes, policy, extensions)| {
            SignedTreeRoot {
                origin,
                epoch,
                time: PosixTime(time),
                previous,
                prefix_root,
                names,
                changes,
                policy,
                extensions,
            }
        },
    )
}

pub fn change_set() -> impl Strategy<Value = ChangeSet> {
    let change = (name(), option::of(digest()), digest())
        .prop_filter("a change changes something", |(_, old, new)| *old != Some(*new));
    btree_map(digest(), change, 0..4).prop_map(|map| {
        let changes = map.into_iter().map(|(key, (name, old, new))| Change { key, name, old, new });
        ChangeSet { changes: changes.collect() }
    })
}

pub fn transition() -> impl Strategy<Value = Transition> {
    (epoch(), change_set(), bytes(5), vec(digest(), 0..4)).prop_map(|(epoch, changes, kinds, values)| {
        let values = values.iter().flat_map(|d| d.0).collect();
        Transition { epoch, changes, proof: TransitionProof { kinds, values } }
    })
}

pub fn prefix_proof() -> impl Strategy<Value = PrefixProof> {
    let copath = |least: usize| {
        let most = prop_oneof![4 => Just(20_usize), 1 => Just(255)];
        most.prop_flat_map(move |most| vec(option::of(set_digest()), least..=most))
    };
    let other = (digest(), digest()).prop_map(|(key, commitment)| Terminal::OtherLeaf { key, commitment });
    prop_oneof![
        (Just(Terminal::Inclusion), copath(1)),
        (other, copath(1)),
        (Just(Terminal::MissingChild), copath(0)),
    ]
    .prop_map(|(terminal, copath)| PrefixProof { terminal, copath })
}

pub fn evidence_extra() -> impl Strategy<Value = EvidenceExtra> {
    (prefix_proof(), bytes(40), option::of(bytes(40)), bytes(40)).prop_map(
        |(prefix, record, binding, signed_tree_root)| {
            let included = prefix.terminal == Terminal::Inclusion;
            let binding = binding.filter(|_| included);
            EvidenceExtra { name_record: included.then_some(record), binding, prefix, signed_tree_root }
        },
    )
}

pub fn evidence() -> impl Strategy<Value = Evidence> {
    (evidence_extra(), epoch(), vec(digest(), 0..4), any::<String>())
        .prop_map(|(extra, index, inclusion, checkpoint)| Evidence { extra, index, inclusion, checkpoint })
}

pub fn plugin_package() -> impl Strategy<Value = PluginPackage> {
    let objects = btree_map(line(), bytes(20), 0..3).prop_map(encoded_order);
    (bytes(40), objects, vec(evidence(), 0..2)).prop_map(|(manifest, objects, evidence)| PluginPackage {
        manifest,
        objects,
        evidence,
    })
}

pub fn name_history() -> impl Strategy<Value = NameHistory> {
    vec(bytes(40), 1..4).prop_map(|records| NameHistory { records })
}

pub fn cose_sign1() -> impl Strategy<Value = CoseSign1> {
    (0_usize..4, key(), bytes(80), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(
        |(kind, key, payload, r, s)| {
            let signature = [r, s].concat().try_into().unwrap();
            CoseSign1 { kind: SignedKind::ALL[kind], key, payload, signature }
        },
    )
}

pub fn head() -> impl Strategy<Value = Head> {
    let prefix = prop_oneof![
        Just((0, None)),
        (positive(), digest(), epoch()).prop_map(|(names, root, epoch)| (names, Some((root, epoch)))),
    ];
    (positive(), digest(), digest(), number(), prefix, any::<String>()).prop_map(
        |(size, log_root, str_hash, time, (names, prefix), checkpoint)| Head {
            size: TreeSize(size),
            log_root,
            str_hash,
            time: PosixTime(time),
            prefix,
            names,
            checkpoint,
        },
    )
}

pub fn submission_entry() -> impl Strategy<Value = SubmissionEntry> {
    (bytes(40), bytes(40), number()).prop_map(|(signed, receipt, index)| SubmissionEntry {
        signed,
        receipt,
        index,
    })
}

pub fn submission_outcome() -> impl Strategy<Value = SubmissionOutcome> {
    (digest(), epoch(), option::of(digest())).prop_map(|(submission, epoch, cause)| SubmissionOutcome {
        submission,
        epoch,
        cause,
    })
}

pub fn epoch_root() -> impl Strategy<Value = EpochRoot> {
    option::of(epoch()).prop_map(|page_epoch| EpochRoot { page_epoch })
}
