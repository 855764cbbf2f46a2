//! What the world was told by a validator, and what it may therefore never say.
//!
//! Remembers every acknowledged submission, every checkpoint and every STR across restarts; the sightings are checked
//! as they come, the whole log with [`World::check`].

use std::collections::BTreeMap;

use pds_core::checkpoint::SignedCheckpoint;
use pds_core::cose;
use pds_core::hash::leaf_hash;
use pds_core::log::MemoryLog;
use pds_core::log::proof::verify_consistency;
use pds_core::note::VerifierKey;
use pds_schemas::cose::SignedKind;
use pds_schemas::json::{LogProof, Progress, SubmissionStatus};
use pds_schemas::{Digest, PosixTime, Receipt, SignedTreeRoot, TreeSize};

use crate::http::Http;
use crate::validator::{ORIGIN, Validator};

/// A memory of one validator.
#[derive(Debug)]
pub struct World {
    log_key: VerifierKey,
    str_key: VerifierKey,
    acknowledged: BTreeMap<Digest, SubmissionStatus>,
    /// Roots by size.
    roots: BTreeMap<u64, Digest>,
    /// Log entries by epoch.
    entries: BTreeMap<u64, Vec<u8>>,
}

impl World {
    /// Knows a validator's keys and nothing else.
    pub fn new(validator: &Validator) -> Self {
        Self {
            log_key: validator.log_key(),
            str_key: validator.str_key(),
            acknowledged: BTreeMap::new(),
            roots: BTreeMap::new(),
            entries: BTreeMap::new(),
        }
    }

    /// Remembers an acknowledgement, whose receipt must hold.
    pub fn acknowledge(&mut self, status: SubmissionStatus) {
        let receipt = pds_client::submit::receipt_bytes(&status).unwrap();
        let receipt: Receipt = cose::open(&receipt, SignedKind::Receipt, &self.str_key.public_key()).unwrap();
        assert_eq!((receipt.submission, receipt.index), (status.submission, status.index));
        assert_eq!(receipt.origin, ORIGIN);
        let taken = self.acknowledged.values().find(|s| s.index == status.index);
        assert!(taken.is_none_or(|s| s.submission == status.submission), "one place was given twice");
        self.acknowledged.insert(status.submission, status);
    }

    /// Everything that was acknowledged.
    pub fn acknowledged(&self) -> impl ExactSizeIterator<Item = &SubmissionStatus> {
        self.acknowledged.values()
    }

    /// Checks that everything acknowledged is known, with the receipt that was given, and no less far than it was.
    pub fn check_acknowledged(&mut self, http: Http) {
        for known in self.acknowledged.values_mut() {
            let now: SubmissionStatus = http.json(&format!("/submissions/{}", known.submission));
            assert_eq!((now.index, &now.receipt), (known.index, &known.receipt));
            if known.progress == Progress::Published {
                assert_eq!(now, *known, "what is published stays");
            }
            *known = now;
        }
    }

    /// Looks at what is served now; false when nobody answers.
    pub fn observe(&mut self, http: Http) -> bool {
        let get = |path| http.send("GET", path, &[], &[]).ok().filter(|answer| answer.status == 200);
        let Some(checkpoint) = get("/checkpoint") else { return false };
        self.see_checkpoint(&checkpoint.body);
        let Some(entry) = get("/epochs/latest") else { return false };
        self.see_entry(entry.body);
        true
    }

    /// Remembers a checkpoint; there must be no other of its size.
    pub fn see_checkpoint(&mut self, note: &[u8]) {
        let signed = SignedCheckpoint::open(note, &self.log_key).unwrap();
        let checkpoint = signed.checkpoint();
        let (size, root) = (checkpoint.size.0, checkpoint.root);
        assert_eq!(*self.roots.entry(size).or_insert(root), root, "two checkpoints of {size} epochs");
    }

    /// Remembers a log entry; there must be no other STR of its epoch.
    pub fn see_entry(&mut self, entry: Vec<u8>) -> SignedTreeRoot {
        let key = self.str_key.public_key();
        let str: SignedTreeRoot = cose::open(&entry, SignedKind::SignedTreeRoot, &key).unwrap();
        let known = self.entries.entry(str.epoch.0).or_insert_with(|| entry.clone());
        assert_eq!(*known, entry, "two STRs of epoch {}", str.epoch);
        str
    }

    /// The largest log that was seen.
    pub fn size(&self) -> TreeSize {
        TreeSize(self.roots.last_key_value().map_or(0, |(size, _)| *size))
    }

    /// Reads the whole log, and holds it against everything that was ever seen of it. Gives its STRs.
    pub fn check(&mut self, http: Http) -> Vec<SignedTreeRoot> {
        assert!(self.observe(http));
        let size = self.size();
        self.check_proofs(http, size);
        let mut log = MemoryLog::new();
        let (mut previous, mut time) = (Digest::ZERO, PosixTime(0));
        let mut strs = Vec::new();
        for epoch in 0..size.0 {
            let entry = http.body(&format!("/epochs/{epoch}"));
            let hash = leaf_hash(&entry);
            let str = self.see_entry(entry);
            assert_eq!((str.epoch.0, str.origin.as_str()), (epoch, ORIGIN));
            assert_eq!(str.previous, previous, "epoch {epoch} does not follow on the one before it");
            assert!(str.time >= time, "time ran backwards at epoch {epoch}");
            (previous, time) = (hash, str.time);
            log.append(hash).unwrap();
            if let Some(seen) = self.roots.get(&(epoch + 1)) {
                assert_eq!(log.root(), *seen, "the checkpoint of {} epochs is of another log", epoch + 1);
            }
            strs.push(str);
        }
        strs
    }

    fn check_proofs(&self, http: Http, to: TreeSize) {
        for (from, root) in &self.roots {
            let proof: LogProof = http.json(&format!("/proofs/consistency?from={from}&to={to}"));
            let result = verify_consistency(TreeSize(*from), root, to, &self.roots[&to.0], &proof.hashes);
            assert_eq!(result, Ok(()), "the log of {from} epochs does not grow into that of {to}");
        }
    }
}
