//! All that a validator has, in memory, made by the functions that a real one uses.

use std::collections::HashMap;

use ed25519_dalek::SigningKey;
use pds_core::checkpoint::SignedCheckpoint;
use pds_core::cose;
use pds_core::cosignature::Cosigner;
use pds_core::epoch::{EpochInput, EpochPlan, NameEvents, NamePlan, plan};
use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::proof::prove_inclusion;
use pds_core::log::{Frontier, MemoryLog};
use pds_core::name_record::{Decision, NameEvent};
use pds_core::note::{KeyName, KeyType, NoteSigner, VerifierKey};
use pds_core::prefix::{MemoryPages, PrefixTree, key_of};
use pds_schemas::disk::Head;
use pds_schemas::{
    Artefact, Binding, BuildEnvironment, Digest, EpochNumber, Evidence, EvidenceExtra, FailureCause, Finding,
    NameHistory, NameRecord, ObjectMap, OwnerRecord, PluginName, Policy, PosixTime, Release, Transition,
    TreeSize, Verdict, Verifier,
};

/// When a test takes place, unless it runs the real program.
pub const NOW: u64 = 1_800_000_000;

pub fn name(text: &str) -> PluginName {
    PluginName::new(text).unwrap()
}

/// A validator's data.
#[derive(Clone)]
pub struct World {
    pub origin: String,
    pub seed: u8,
    pub now: u64,
    pub head: Option<Head>,
    pub tree: PrefixTree,
    pub trees: Vec<PrefixTree>,
    pub pages: MemoryPages,
    pub log: MemoryLog,
    pub frontier: Frontier,
    pub entries: Vec<Vec<u8>>,
    pub transitions: Vec<Transition>,
    /// By epoch, cosigned.
    pub checkpoints: Vec<String>,
    /// By digest: everything content-addressed.
    pub stored: HashMap<Digest, Vec<u8>>,
    pub current: HashMap<PluginName, NameRecord>,
    pub policy: Digest,
}

impl World {
    /// A validator without epochs; its keys follow from the seed.
    pub fn new(seed: u8, now: u64) -> Self {
        let origin = format!("pv{seed}.example");
        let policy = Policy {
            origin: origin.clone(),
            acceptance: "structure".to_owned(),
            verifiers: vec![Verifier {
                property: "structure".to_owned(),
                name: "pds-validator".to_owned(),
                version: "1".to_owned(),
            }],
            platforms: vec!["pquic".to_owned()],
            epoch_interval_s: 5,
            decide_within_s: 60,
        };
        let mut world = Self {
            origin,
            seed,
            now,
            head: None,
            tree: PrefixTree::empty(),
            trees: Vec::new(),
            pages: MemoryPages::default(),
            log: MemoryLog::new(),
            frontier: Frontier::new(),
            entries: Vec::new(),
            transitions: Vec::new(),
            checkpoints: Vec::new(),
            stored: HashMap::new(),
            current: HashMap::new(),
            policy: Digest::ZERO,
        };
        world.policy = world.store(policy.to_bytes());
        world
    }

    pub fn store(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = sha256(&bytes);
        self.stored.insert(digest, bytes);
        digest
    }

    pub fn str_key(&self) -> SigningKey {
        SigningKey::from_bytes(&[self.seed; 32])
    }

    pub fn log_key(&self) -> NoteSigner {
        NoteSigner::new(KeyName::new(&*self.origin).unwrap(), &[self.seed + 100; 32]).unwrap()
    }

    fn witness(&self) -> Cosigner {
        Cosigner::new(KeyName::new("witness.example").unwrap(), &[self.seed + 200; 32]).unwrap()
    }

    pub fn str_vkey(&self) -> String {
        let name = KeyName::new(format!("{}/str", self.origin)).unwrap();
        VerifierKey::new(name, KeyType::StrV1, &cose::public_key(&self.str_key())).unwrap().to_string()
    }

    pub fn policy_file(&self) -> String {
        let (log, witness) = (self.log_key(), self.witness());
        format!("log {}\nwitness w {}\nquorum w\n", log.verifier(), witness.verifier())
    }

    /// Closes an epoch in which this happened.
    pub fn close(&mut self, events: Vec<(PluginName, Vec<NameEvent>)>) {
        self.close_bent(events, |_| ());
    }

    /// As [`World::close`], with the plan changed before it is signed.
    pub fn close_bent(
        &mut self,
        events: Vec<(PluginName, Vec<NameEvent>)>,
        bend: impl FnOnce(&mut EpochPlan),
    ) {
        let names: Vec<NameEvents> = events
            .into_iter()
            .map(|(name, events)| NameEvents { current: self.current.get(&name).cloned(), name, events })
            .collect();
        let input = EpochInput {
            origin: &self.origin,
            policy: self.policy,
            head: self.head.as_ref(),
            tree: &self.tree,
            now: PosixTime(self.now),
        };
        let mut plan = plan(input, NamePlan::of(input.epoch(), &names), &self.pages).unwrap();
        bend(&mut plan);
        let sealed = plan.seal(self.frontier.clone(), &self.log_key(), &self.str_key()).unwrap();
        for (digest, bytes) in plan.records.iter() {
            let record = NameRecord::from_bytes(bytes).unwrap();
            self.current.insert(record.name.clone(), record);
            self.stored.insert(*digest, bytes.clone());
        }
        self.pages.extend(plan.pages);
        self.tree = plan.tree.clone();
        self.trees.push(plan.tree);
        self.log.append(leaf_hash(&sealed.entry)).unwrap();
        self.entries.push(sealed.entry);
        self.transitions.push(plan.transition);
        self.frontier = sealed.frontier;
        self.head = Some(sealed.head);
        self.checkpoints.push(self.cosigned(sealed.checkpoint));
    }

    pub fn cosigned(&self, mut checkpoint: SignedCheckpoint) -> String {
        let witness = self.witness();
        let line = witness.cosign(checkpoint.note().text(), PosixTime(self.now)).unwrap();
        checkpoint.add_cosignature(&line, witness.verifier()).unwrap();
        checkpoint.to_string()
    }

    pub fn size(&self) -> TreeSize {
        TreeSize(self.entries.len() as u64)
    }

    /// The bytecode and manifest that [`World::validate`] stands for.
    pub fn plugin(of: &PluginName, release: u64) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
        let manifest = format!("{of}\nheader_parsed pre a.o\nsend_message extern sub/b.o\n");
        let object = |path: &str| (path.to_owned(), format!("bytecode {path} {release}").into_bytes());
        (manifest.into_bytes(), vec![object("a.o"), object("sub/b.o")])
    }

    pub fn owner(&mut self, of: &PluginName) -> Digest {
        let key = cose::public_key(&SigningKey::from_bytes(&[42; 32]));
        self.store(OwnerRecord::first(of.clone(), key).to_bytes())
    }

    /// Closes an epoch in which a release was admitted, and not decided.
    pub fn admit(&mut self, of: &PluginName, release: u64) {
        let event = NameEvent::Admitted { owner: self.owner(of), release: Release(release) };
        self.close(vec![(of.clone(), vec![event])]);
    }

    /// Closes an epoch in which a release was validated.
    pub fn validate(&mut self, of: &PluginName, release: u64) -> Digest {
        self.validate_submission(of, release, Digest([9; 32]))
    }

    /// As [`World::validate`], of this submission.
    pub fn validate_submission(&mut self, of: &PluginName, release: u64, submission: Digest) -> Digest {
        let (manifest, objects) = Self::plugin(of, release);
        let environment = BuildEnvironment {
            compiler: "clang 14".to_owned(),
            flags: vec!["-O2".to_owned()],
            platform: "pquic".to_owned(),
            confined: true,
        };
        let map: Vec<(String, Digest)> =
            objects.into_iter().map(|(path, bytes)| (path, self.store(bytes))).collect();
        let binding = Binding {
            name: of.clone(),
            release: Release(release),
            submission,
            objects: ObjectMap::new(map),
            manifest: self.store(manifest),
            source: Digest([8; 32]),
            environment: self.store(environment.to_bytes()),
            policy: self.policy,
            verdicts: vec![Verdict {
                property: "structure".to_owned(),
                verifier: "pds-validator".to_owned(),
                version: "1".to_owned(),
                finding: Finding::Proved,
                object: None,
                bounds: Vec::new(),
                cause: None,
            }],
        };
        let binding = self.store(binding.to_bytes());
        self.decide(of, release, Decision::Validated(binding));
        binding
    }

    /// Closes an epoch in which a release failed.
    pub fn fail(&mut self, of: &PluginName, release: u64) -> Digest {
        let cause = FailureCause {
            name: of.clone(),
            release: Release(release),
            submission: Digest([9; 32]),
            policy: self.policy,
            stage: "build".to_owned(),
            object: Some("a.o".to_owned()),
            message: "a.c:1: unknown type name".to_owned(),
            verdicts: Vec::new(),
        };
        let cause = self.store(cause.to_bytes());
        self.decide(of, release, Decision::Failed(cause));
        cause
    }

    fn decide(&mut self, of: &PluginName, release: u64, decision: Decision) {
        let owner = self.owner(of);
        let event = NameEvent::Decided { owner, release: Release(release), decision };
        self.close(vec![(of.clone(), vec![event])]);
    }

    /// Evidence about a name at `epoch`, under the checkpoint of `size` entries.
    pub fn evidence_at(&self, of: &PluginName, epoch: u64, size: u64) -> Evidence {
        let tree = &self.trees[epoch as usize];
        let key = key_of(of);
        let record = tree.lookup(&self.pages, &key).unwrap().map(|digest| self.stored[&digest].clone());
        let binding = record.as_ref().and_then(|bytes| NameRecord::from_bytes(bytes).unwrap().binding);
        Evidence {
            extra: EvidenceExtra {
                name_record: record,
                binding: binding.map(|digest| self.stored[&digest].clone()),
                prefix: tree.prove(&self.pages, &key).unwrap(),
                signed_tree_root: self.entries[epoch as usize].clone(),
            },
            index: EpochNumber(epoch),
            inclusion: prove_inclusion(&self.log, epoch, TreeSize(size)).unwrap(),
            checkpoint: self.checkpoints[size as usize - 1].clone(),
        }
    }

    pub fn evidence(&self, of: &PluginName, epoch: Option<u64>) -> Evidence {
        let size = self.size().0;
        self.evidence_at(of, epoch.unwrap_or(size - 1), size)
    }

    pub fn history(&self, of: &PluginName, from: Option<Digest>) -> NameHistory {
        let latest = self.current.get(of).map(|record| sha256(&record.to_bytes()));
        let mut next = from.or(latest);
        let mut records = Vec::new();
        // Small pages, so that whoever reads them has to turn them.
        while let Some(bytes) = next.filter(|_| records.len() < 3).and_then(|digest| self.stored.get(&digest))
        {
            records.push(bytes.clone());
            next = NameRecord::from_bytes(bytes).unwrap().previous;
        }
        NameHistory { records }
    }
}
