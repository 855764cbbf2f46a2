//! A small validator that writes through the store's own API, so that tests have honest data to start from.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod raw;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use pds_core::checkpoint::Checkpoint;
use pds_core::cose;
use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::{Frontier, Node};
use pds_core::name_record::{Decision, NameEvent, commitment_of, next_record};
use pds_core::note::{KeyName, NoteSigner};
use pds_core::prefix::{PageId, PrefixTree, key_of};
use pds_schemas::cose::SignedKind;
use pds_schemas::disk::{EpochRoot, Head, SubmissionEntry, SubmissionOutcome};
use pds_schemas::prefix::Change;
use pds_schemas::{
    Artefact, Binding, BuildEnvironment, ChangeSet, Digest, EpochNumber, FailureCause, NameRecord, ObjectMap,
    OwnerRecord, PluginName, Policy, PosixTime, Receipt, Release, SignedTreeRoot, Submission, Transition,
    TreeSize,
};
use pds_store::{Accepted, Blob, BlobKind, Decided, EpochCommit, EpochData, MemoryBudget, Store, fsck};

pub const ORIGIN: &str = "pv.example/log";
pub const BUDGET: MemoryBudget = MemoryBudget { block_cache_bytes: 4 << 20, write_buffer_bytes: 4 << 20 };

/// How a submission is decided.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Validated,
    Failed,
}

/// An epoch that is computed and not written.
pub struct Draft {
    pub epoch: EpochNumber,
    pub pages: Vec<(PageId, Vec<u8>)>,
    pub blobs: Vec<Blob>,
    pub transition: Transition,
    pub head: Head,
    pub entry: Vec<u8>,
    pub nodes: Vec<Node>,
    pub decided: Vec<Decided>,
    tree: PrefixTree,
    records: BTreeMap<PluginName, NameRecord>,
    frontier: Frontier,
}

impl Draft {
    pub fn data(&self) -> EpochData<'_> {
        EpochData { epoch: self.epoch, pages: &self.pages, blobs: &self.blobs, transition: &self.transition }
    }

    pub fn commit(&self) -> EpochCommit<'_> {
        EpochCommit {
            head: &self.head,
            entry: &self.entry,
            epoch_root: EpochRoot { page_epoch: self.head.prefix.map(|(_, epoch)| epoch) },
            nodes: &self.nodes,
            decided: &self.decided,
        }
    }
}

pub struct Validator {
    pub path: PathBuf,
    pub store: Store,
    log: NoteSigner,
    str: SigningKey,
    developer: SigningKey,
    tree: PrefixTree,
    records: BTreeMap<PluginName, NameRecord>,
    frontier: Frontier,
    last_leaf: Digest,
    admitted: Vec<Submission>,
    next_index: u64,
}

pub fn name(text: &str) -> PluginName {
    PluginName::new(text).unwrap()
}

pub fn keys() -> fsck::Keys {
    fsck::Keys {
        origin: ORIGIN.to_owned(),
        log: log_key().verifier().clone(),
        str: cose::public_key(&str_key()),
    }
}

fn log_key() -> NoteSigner {
    NoteSigner::new(KeyName::new(ORIGIN).unwrap(), &[1; 32]).unwrap()
}

fn str_key() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

impl Validator {
    pub fn create(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            store: Store::create(path, &BUDGET).unwrap(),
            log: log_key(),
            str: str_key(),
            developer: SigningKey::from_bytes(&[3; 32]),
            tree: PrefixTree::empty(),
            records: BTreeMap::new(),
            frontier: Frontier::new(),
            last_leaf: Digest::ZERO,
            admitted: Vec::new(),
            next_index: 0,
        }
    }

    /// Three epochs with everything in them: names that are pending, validated, failed, validated and then failed; an
    /// epoch without changes; a submission that waits.
    pub fn with_history(path: &Path) -> Self {
        let mut pv = Self::create(path);
        let first: Vec<Digest> = (0..12).map(|i| pv.submit(&format!("org.example.plugin{i}"), 1)).collect();
        pv.close(&[]);
        pv.close(&[
            (first[0], Outcome::Validated),
            (first[1], Outcome::Failed),
            (first[2], Outcome::Validated),
        ]);
        pv.close(&[]);
        let again = pv.submit("org.example.plugin0", 2);
        pv.close(&[(again, Outcome::Failed), (first[3], Outcome::Validated)]);
        pv.submit("org.example.late", 7);
        pv
    }

    pub fn accepted(&self, name_text: &str, release: u64, index: u64) -> Accepted {
        let owner = OwnerRecord::first(name(name_text), cose::public_key(&self.developer));
        let submission = Submission {
            name: name(name_text),
            release: Release(release),
            source: sha256(name_text.as_bytes()),
            manifest: "plugin.toml".to_owned(),
            bytecode: None,
            owner: owner.clone(),
        };
        let digest = sha256(&submission.to_bytes());
        let receipt = Receipt {
            origin: ORIGIN.to_owned(),
            submission: digest,
            name: name(name_text),
            release: Release(release),
            index,
            time: PosixTime(1000),
            decide_by: PosixTime(2000),
        };
        let entry = SubmissionEntry {
            signed: cose::sign(SignedKind::Submission, &submission, &self.developer).to_bytes(),
            receipt: cose::sign(SignedKind::Receipt, &receipt, &self.str).to_bytes(),
            index,
        };
        Accepted {
            digest,
            entry,
            archive: format!("archive of {name_text} {release}").into(),
            owner: owner.to_bytes(),
        }
    }

    pub fn submit(&mut self, name_text: &str, release: u64) -> Digest {
        self.submit_all([(name_text.to_owned(), release)])[0]
    }

    /// Submits all in one write.
    pub fn submit_all(&mut self, releases: impl IntoIterator<Item = (String, u64)>) -> Vec<Digest> {
        let accepted: Vec<_> =
            releases.into_iter().zip(self.next_index..).map(|((n, r), i)| self.accepted(&n, r, i)).collect();
        self.store.accept(&accepted).unwrap();
        self.next_index += accepted.len() as u64;
        self.admitted.extend(accepted.iter().map(|accepted| submission_of(&accepted.entry)));
        accepted.into_iter().map(|accepted| accepted.digest).collect()
    }

    /// Writes and commits the next epoch.
    pub fn close(&mut self, decisions: &[(Digest, Outcome)]) {
        let draft = self.draft(decisions);
        self.store.write_epoch_data(&draft.data()).unwrap();
        self.store.commit_epoch(&draft.commit()).unwrap();
        self.adopt(draft);
    }

    /// Closes the store and opens it again; what was admitted is remembered.
    pub fn reopen(self, budget: &MemoryBudget) -> Self {
        let Self { path, store, .. } = self;
        drop(store);
        Self { store: Store::open(&path, budget).unwrap(), path, ..self }
    }

    pub fn adopt(&mut self, draft: Draft) {
        self.last_leaf = draft.head.str_hash;
        self.tree = draft.tree;
        self.records = draft.records;
        self.frontier = draft.frontier;
        self.admitted.clear();
    }

    /// Computes the next epoch; writes nothing.
    pub fn draft(&self, decisions: &[(Digest, Outcome)]) -> Draft {
        self.draft_of(decisions, |_| {}, |_| {})
    }

    /// As `draft`, but commits to what `change_record` makes of each name record, and signs what `change_str` makes of the
    /// STR.
    pub fn draft_of(
        &self,
        decisions: &[(Digest, Outcome)],
        change_record: impl Fn(&mut NameRecord),
        change_str: impl FnOnce(&mut SignedTreeRoot),
    ) -> Draft {
        let epoch = EpochNumber(self.frontier.size().0);
        let policy = Policy {
            origin: ORIGIN.to_owned(),
            acceptance: "structure".to_owned(),
            verifiers: Vec::new(),
            platforms: vec!["pquic".to_owned()],
            epoch_interval_s: 60,
            decide_within_s: 600,
        };
        let mut blobs = vec![Blob::new(BlobKind::Policy, policy.to_bytes())];
        let policy = *blobs[0].digest();
        let mut events: BTreeMap<PluginName, Vec<NameEvent>> = BTreeMap::new();
        for submission in &self.admitted {
            let owner = sha256(&submission.owner.to_bytes());
            let event = NameEvent::Admitted { owner, release: submission.release };
            events.entry(submission.name.clone()).or_default().push(event);
        }
        let mut decided = Vec::new();
        for (digest, outcome) in decisions {
            let entry = self.store.submission(digest).unwrap().unwrap();
            let submission = submission_of(&entry);
            let (decision, cause) = match outcome {
                Outcome::Validated => (Decision::Validated(bind(&submission, policy, &mut blobs)), None),
                Outcome::Failed => {
                    let cause = fail(&submission, policy, &mut blobs);
                    (Decision::Failed(cause), Some(cause))
                }
            };
            let owner = sha256(&submission.owner.to_bytes());
            let event = NameEvent::Decided { owner, release: submission.release, decision };
            events.entry(submission.name.clone()).or_default().push(event);
            let outcome = SubmissionOutcome { submission: *digest, epoch, cause };
            decided.push(Decided { index: entry.index, outcome });
        }
        let mut records = self.records.clone();
        let mut changes = Vec::new();
        for (name, events) in events {
            let current = records.get(&name);
            let mut record = next_record(&name, current, &events, epoch).unwrap();
            change_record(&mut record);
            let old = current.map(commitment_of);
            changes.push(Change { key: key_of(&name), name: name.clone(), old, new: commitment_of(&record) });
            blobs.push(Blob::new(BlobKind::NameRecord, record.to_bytes()));
            records.insert(name, record);
        }
        changes.sort_by_key(|change| change.key);
        let applied = self.tree.apply(&self.store, epoch, &changes).unwrap();
        let changes = ChangeSet { changes };
        let mut str = SignedTreeRoot {
            origin: ORIGIN.to_owned(),
            epoch,
            time: PosixTime(1000 + epoch.0 * 60),
            previous: self.last_leaf,
            prefix_root: applied.tree.root(),
            names: records.len() as u64,
            changes: sha256(&changes.to_bytes()),
            policy,
            extensions: Digest::ZERO,
        };
        change_str(&mut str);
        let entry = cose::sign(SignedKind::SignedTreeRoot, &str, &self.str).to_bytes();
        let (mut frontier, mut nodes) = (self.frontier.clone(), Vec::new());
        frontier.append(leaf_hash(&entry), |node| nodes.push(node)).unwrap();
        let size = TreeSize(epoch.0 + 1);
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: frontier.root() };
        let head = Head {
            size,
            log_root: frontier.root(),
            str_hash: leaf_hash(&entry),
            time: str.time,
            prefix: applied.tree.root_page().map(|epoch| (str.prefix_root, epoch)),
            names: str.names,
            checkpoint: checkpoint.sign(&self.log).unwrap().note().to_string(),
        };
        let transition = Transition { epoch, changes, proof: applied.proof };
        let pages = applied.pages;
        Draft {
            epoch,
            pages,
            blobs,
            transition,
            head,
            entry,
            nodes,
            decided,
            tree: applied.tree,
            records,
            frontier,
        }
    }
}

fn submission_of(entry: &SubmissionEntry) -> Submission {
    cose::open_any_key(&entry.signed, SignedKind::Submission).unwrap().0
}

fn bind(submission: &Submission, policy: Digest, blobs: &mut Vec<Blob>) -> Digest {
    let environment = BuildEnvironment {
        compiler: "clang 14".to_owned(),
        flags: Vec::new(),
        platform: "pquic".to_owned(),
        confined: true,
    };
    let mut object = |bytes: Vec<u8>| {
        blobs.push(Blob::new(BlobKind::Object, bytes));
        *blobs[blobs.len() - 1].digest()
    };
    let binding = Binding {
        name: submission.name.clone(),
        release: submission.release,
        submission: sha256(&submission.to_bytes()),
        objects: ObjectMap::new([(
            "main.o".to_owned(),
            object(format!("code of {}", submission.name).into()),
        )]),
        manifest: object(format!("manifest of {}", submission.name).into()),
        source: submission.source,
        environment: object(environment.to_bytes()),
        policy,
        verdicts: Vec::new(),
    };
    blobs.push(Blob::new(BlobKind::Binding, binding.to_bytes()));
    *blobs[blobs.len() - 1].digest()
}

fn fail(submission: &Submission, policy: Digest, blobs: &mut Vec<Blob>) -> Digest {
    let cause = FailureCause {
        name: submission.name.clone(),
        release: submission.release,
        submission: sha256(&submission.to_bytes()),
        policy,
        stage: "build".to_owned(),
        object: None,
        message: "does not compile".to_owned(),
        verdicts: Vec::new(),
    };
    blobs.push(Blob::new(BlobKind::Cause, cause.to_bytes()));
    *blobs[blobs.len() - 1].digest()
}

/// All findings of a check, and what was counted.
pub fn check(store: &Store) -> (Vec<fsck::Finding>, fsck::Counts) {
    let mut findings = Vec::new();
    let counts = fsck::check(store, &keys(), &mut |finding| findings.push(finding), &mut |_| {});
    assert_eq!(counts.findings, findings.len() as u64);
    (findings, counts)
}

/// Asserts that there is nothing to find.
pub fn assert_sound(store: &Store) -> fsck::Counts {
    let (findings, counts) = check(store);
    let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(shown.is_empty(), "{shown:#?}");
    counts
}

/// Copies the files of an open store: what a machine that stops now would find again.
pub fn image(store: &Store, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(store.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
