//! Validators with fixed keys that close epochs as a log server does, keep everything, and hand out evidence.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside the functions marked as such"
)]

use std::collections::BTreeMap;
use std::convert::Infallible;

use ed25519_dalek::SigningKey;
use pds_core::checkpoint::{Checkpoint, SignedCheckpoint};
use pds_core::cose;
use pds_core::cosignature::{Cosigner, Window};
use pds_core::epoch::{EpochInput, EpochPlan, NameEvents, NamePlan, PlanError, SealedEpoch, plan};
use pds_core::evidence::{EvidenceError, TrustedValidator, Verified, verify};
use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::proof::prove_inclusion;
use pds_core::log::{Frontier, MemoryLog};
use pds_core::name_record::{Decision, NameEvent};
use pds_core::note::{KeyName, KeyType, NoteSigner, VerifierKey};
use pds_core::prefix::{MemoryPages, PrefixTree, Update, key_of};
use pds_core::tlog_policy::Policy;
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::Head;
use pds_schemas::prefix::Terminal;
use pds_schemas::{
    Artefact, Binding, Digest, EpochNumber, Evidence, EvidenceExtra, Finding, NameRecord, ObjectMap,
    PluginName, PluginPackage, PosixTime, Release, SignedTreeRoot, TreeSize, Verdict,
};

/// When the tests take place.
pub const NOW: PosixTime = PosixTime(1_800_000_000);
/// Cosignatures from a minute ago until ten seconds ahead count.
pub const WINDOW: Window = Window { now: NOW, max_age_s: 60, skew_s: 10 };
pub const OWNER: Digest = Digest([0x0e; 32]);
pub const POLICY: Digest = Digest([0x90; 32]);
pub const CAUSE: Digest = Digest([0xca; 32]);
pub const PACING: &str = "org.example.pacing";
pub const MANIFEST: &[u8] = b"org.example.pacing\na.o b.o\n";

pub fn name(text: &str) -> PluginName {
    PluginName::new(text).unwrap()
}

pub fn admitted(release: u64) -> NameEvent {
    NameEvent::Admitted { owner: OWNER, release: Release(release) }
}

pub fn decided(release: u64, decision: Decision) -> NameEvent {
    NameEvent::Decided { owner: OWNER, release: Release(release), decision }
}

pub fn validated(binding: &Binding) -> NameEvent {
    decided(binding.release.0, Decision::Validated(sha256(&binding.to_bytes())))
}

pub fn failed(release: u64) -> NameEvent {
    decided(release, Decision::Failed(CAUSE))
}

/// The objects of every plugin here.
pub fn objects() -> Vec<(String, Vec<u8>)> {
    vec![("a.o".to_owned(), b"bytecode of a".to_vec()), ("b.o".to_owned(), b"bytecode of b".to_vec())]
}

pub fn verdict(property: &str, object: Option<&str>, finding: Finding) -> Verdict {
    Verdict {
        property: property.to_owned(),
        verifier: "pds-validator".to_owned(),
        version: "1".to_owned(),
        finding,
        object: object.map(str::to_owned),
        bounds: Vec::new(),
        cause: (finding != Finding::Proved).then(|| "no bound found".to_owned()),
    }
}

/// `structure` proved of both objects, `termination` of one alone, `memory` refuted.
pub fn binding(plugin: &str, release: u64) -> Binding {
    Binding {
        name: name(plugin),
        release: Release(release),
        submission: sha256(plugin.as_bytes()),
        objects: ObjectMap::new(objects().into_iter().map(|(name, bytes)| (name, sha256(&bytes)))),
        manifest: sha256(MANIFEST),
        source: Digest([1; 32]),
        environment: Digest([2; 32]),
        policy: POLICY,
        verdicts: vec![
            verdict("structure", Some("a.o"), Finding::Proved),
            verdict("structure", Some("b.o"), Finding::Proved),
            verdict("termination", Some("a.o"), Finding::Proved),
            verdict("memory", None, Finding::Refuted),
        ],
    }
}

pub fn package(evidence: Vec<Evidence>) -> PluginPackage {
    PluginPackage { manifest: MANIFEST.to_vec(), objects: objects(), evidence }
}

pub fn witness(i: u8) -> Cosigner {
    Cosigner::new(KeyName::new(format!("witness{i}.example")).unwrap(), &[200 + i; 32]).unwrap()
}

/// A validator, all it ever made, and its keys.
pub struct Validator {
    pub origin: String,
    pub log_key: NoteSigner,
    pub str_key: SigningKey,
    pub pages: MemoryPages,
    pub tree: PrefixTree,
    pub log: MemoryLog,
    pub frontier: Frontier,
    pub records: BTreeMap<Digest, Vec<u8>>,
    pub bindings: BTreeMap<Digest, Vec<u8>>,
    pub current: BTreeMap<PluginName, NameRecord>,
    pub plans: Vec<EpochPlan>,
    pub sealed: Vec<SealedEpoch>,
}

impl Validator {
    pub fn new(seed: u8) -> Self {
        let origin = format!("pv{seed}.example/log");
        let log_key = NoteSigner::new(KeyName::new(origin.clone()).unwrap(), &[seed; 32]).unwrap();
        Self {
            origin,
            log_key,
            str_key: SigningKey::from_bytes(&[seed + 100; 32]),
            pages: MemoryPages::default(),
            tree: PrefixTree::empty(),
            log: MemoryLog::new(),
            frontier: Frontier::new(),
            records: BTreeMap::new(),
            bindings: BTreeMap::new(),
            current: BTreeMap::new(),
            plans: Vec::new(),
            sealed: Vec::new(),
        }
    }

    /// `pacing` admitted, failed, validated, and an epoch in which nothing happened; in the second, twenty other names.
    pub fn with_history(seed: u8) -> Self {
        let mut pv = Self::new(seed);
        pv.close(&[(PACING, &[admitted(1)])]);
        let others: Vec<_> = (0..20).map(|i| format!("org.example.plugin{i}")).collect();
        let first = [admitted(1)];
        let mut happened: Vec<(&str, &[NameEvent])> =
            others.iter().map(|o| (o.as_str(), &first[..])).collect();
        let failure = [failed(1)];
        happened.push((PACING, &failure));
        pv.close(&happened);
        pv.validate(PACING, 2);
        pv.close(&[]);
        pv
    }

    pub fn head(&self) -> Option<&Head> {
        self.sealed.last().map(|sealed| &sealed.head)
    }

    pub fn size(&self) -> TreeSize {
        self.log.size()
    }

    pub fn names(&self, happened: &[(&str, &[NameEvent])]) -> Vec<NameEvents> {
        let events = |(plugin, events): &(&str, &[NameEvent])| NameEvents {
            name: name(plugin),
            current: self.current.get(&name(plugin)).cloned(),
            events: events.to_vec(),
        };
        happened.iter().map(events).collect()
    }

    pub fn plan_at(&self, now: PosixTime, names: &[NameEvents]) -> Result<EpochPlan, PlanError<Infallible>> {
        let (origin, head, tree) = (self.origin.as_str(), self.head(), &self.tree);
        let input = EpochInput { origin, policy: POLICY, head, tree, now };
        plan(input, NamePlan::of(input.epoch(), names), &self.pages)
    }

    /// Closes an epoch at a time of its own, a minute after the one before.
    pub fn close(&mut self, happened: &[(&str, &[NameEvent])]) {
        let plan =
            self.plan_at(PosixTime(1_700_000_000 + 60 * self.size().0), &self.names(happened)).unwrap();
        self.commit(plan);
    }

    pub fn validate(&mut self, plugin: &str, release: u64) {
        self.bind(&binding(plugin, release));
    }

    pub fn bind(&mut self, binding: &Binding) {
        self.bindings.insert(sha256(&binding.to_bytes()), binding.to_bytes());
        self.close(&[(binding.name.as_str(), &[admitted(binding.release.0), validated(binding)])]);
    }

    /// Writes, reads back, signs.
    pub fn commit(&mut self, plan: EpochPlan) {
        self.pages.extend(plan.pages.clone());
        self.records.extend(plan.records.iter().cloned());
        let epoch = plan.str.epoch;
        let read = self.pages.0.iter().filter(|(id, _)| id.epoch() == epoch).map(|(id, bytes)| (*id, bytes));
        let record = |digest: &Digest| self.records.get(digest).cloned();
        plan.check_read_back(read, &plan.transition.to_bytes(), record).unwrap();
        let sealed = plan.seal(self.frontier.clone(), &self.log_key, &self.str_key).unwrap();
        self.tree = plan.tree.clone();
        self.frontier = sealed.frontier.clone();
        self.log.append(leaf_hash(&sealed.entry)).unwrap();
        for (_, bytes) in plan.records.iter() {
            let record = NameRecord::from_bytes(bytes).unwrap();
            self.current.insert(record.name.clone(), record);
        }
        self.plans.push(plan);
        self.sealed.push(sealed);
    }

    /// Evidence without any cosignature.
    pub fn bare_evidence(&self, plugin: &str, epoch: u64, size: u64) -> Evidence {
        let at = usize::try_from(epoch).unwrap();
        let key = key_of(&name(plugin));
        let tree = &self.plans[at].tree;
        let prefix = tree.prove_uncached(&self.pages, &key).unwrap();
        let commitment = tree.lookup(&self.pages, &key).unwrap();
        let name_record = commitment.map(|digest| self.records[&digest].clone());
        assert_eq!(name_record.is_some(), prefix.terminal == Terminal::Inclusion);
        let record = name_record.as_ref().map(|bytes| NameRecord::from_bytes(bytes).unwrap());
        let binding = record.and_then(|r| r.binding).map(|digest| self.bindings[&digest].clone());
        Evidence {
            extra: EvidenceExtra {
                name_record,
                binding,
                prefix,
                signed_tree_root: self.sealed[at].entry.clone(),
            },
            index: EpochNumber(epoch),
            inclusion: prove_inclusion(&self.log, epoch, TreeSize(size)).unwrap(),
            checkpoint: self.checkpoint(size).to_string(),
        }
    }

    /// Evidence cosigned by witnesses 0 and 1, just now.
    pub fn evidence(&self, plugin: &str, epoch: u64, size: u64) -> Evidence {
        cosigned(self.bare_evidence(plugin, epoch, size), &[(0, NOW), (1, NOW)])
    }

    /// Evidence about the last epoch under the last checkpoint.
    pub fn evidence_now(&self, plugin: &str) -> Evidence {
        let size = self.size().0;
        self.evidence(plugin, size - 1, size)
    }

    pub fn checkpoint(&self, size: u64) -> &SignedCheckpoint {
        &self.sealed[usize::try_from(size).unwrap() - 1].checkpoint
    }

    pub fn str_vkey(&self) -> VerifierKey {
        let str_name = KeyName::new(format!("{}/str", self.origin)).unwrap();
        VerifierKey::new(str_name, KeyType::StrV1, &cose::public_key(&self.str_key)).unwrap()
    }

    /// Trust in this validator with 2 of the witnesses 0, 1 and 2.
    pub fn trusted(&self) -> TrustedValidator {
        TrustedValidator::new(self.str_vkey(), self.policy("group q 2 w0 w1 w2\nquorum q\n"), false).unwrap()
    }

    /// A policy with this log, the witnesses 0, 1 and 2, and these lines.
    pub fn policy(&self, quorum: &str) -> Policy {
        let mut text = format!("log {}\n", self.log_key.verifier());
        for i in 0..3 {
            text += &format!("witness w{i} {}\n", witness(i).verifier());
        }
        Policy::parse((text + quorum).as_bytes()).unwrap()
    }

    /// What this validator's keys can make people see if it lies: any entries in its log, and evidence about one of them.
    pub fn lie(&self, entries: &[Vec<u8>], index: u64, extra: EvidenceExtra) -> Evidence {
        let log: MemoryLog = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let head = Checkpoint { origin: self.origin.clone(), size: log.size(), root: log.root() };
        let evidence = Evidence {
            extra,
            index: EpochNumber(index),
            inclusion: prove_inclusion(&log, index, log.size()).unwrap(),
            checkpoint: head.sign(&self.log_key).unwrap().to_string(),
        };
        cosigned(evidence, &[(0, NOW), (1, NOW)])
    }

    /// Evidence of epoch 0 in which the leaf of `plugin` commits to these bytes, whatever they are.
    pub fn lie_about(&self, plugin: &str, record: &[u8], binding: Option<&Binding>) -> Evidence {
        let key = key_of(&name(plugin));
        let update = Update { key, old: None, new: sha256(record) };
        let applied = PrefixTree::empty().apply_updates(&MemoryPages::default(), EpochNumber(0), &[update]);
        let tree = applied.unwrap().tree;
        let entry = self.sign_str(&SignedTreeRoot { prefix_root: tree.root(), names: 1, ..self.first_str() });
        let extra = EvidenceExtra {
            name_record: Some(record.to_vec()),
            binding: binding.map(Artefact::to_bytes),
            prefix: tree.prove(&MemoryPages::default(), &key).unwrap(),
            signed_tree_root: entry.clone(),
        };
        self.lie(&[entry], 0, extra)
    }

    /// An STR of epoch 0 with nothing in it.
    pub fn first_str(&self) -> SignedTreeRoot {
        SignedTreeRoot {
            origin: self.origin.clone(),
            epoch: EpochNumber(0),
            time: PosixTime(1_700_000_000),
            previous: Digest::ZERO,
            prefix_root: Digest::ZERO,
            names: 0,
            changes: Digest::ZERO,
            policy: POLICY,
            extensions: Digest::ZERO,
        }
    }

    pub fn sign_str(&self, str: &SignedTreeRoot) -> Vec<u8> {
        cose::sign(SignedKind::SignedTreeRoot, str, &self.str_key).to_bytes()
    }
}

/// The same evidence, its checkpoint cosigned by these witnesses at these times.
pub fn cosigned(evidence: Evidence, by: &[(u8, PosixTime)]) -> Evidence {
    let (text, _) = evidence.checkpoint.rsplit_once("\n\n").unwrap();
    let text = format!("{text}\n");
    let lines: String =
        by.iter().map(|(i, time)| format!("{}\n", witness(*i).cosign(&text, *time).unwrap())).collect();
    Evidence { checkpoint: evidence.checkpoint.clone() + &lines, ..evidence }
}

/// [`verify`] at [`NOW`], without its steps.
pub fn check(
    trusted: &TrustedValidator,
    plugin: &str,
    evidence: &Evidence,
) -> Result<Verified, EvidenceError> {
    verify(trusted, &name(plugin), evidence, &WINDOW, &mut Vec::new())
}
