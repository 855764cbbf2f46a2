//! Every artefact of `pds_schemas`, field by field.

use pds_core::hash::sha256;
use pds_core::note::Note;
use pds_schemas::cose::{CoseSign1, SignedKind};
use pds_schemas::disk::{EpochRoot, Head, SubmissionEntry, SubmissionOutcome};
use pds_schemas::prefix::{PrefixProof, Terminal};
use pds_schemas::{
    Artefact, Binding, BuildEnvironment, ChangeSet, Evidence, EvidenceExtra, FailureCause, NameHistory,
    NameRecord, ObjectMap, OwnerRecord, PluginPackage, Policy, Receipt, SignedTreeRoot, Submission,
    Transition, Upload, Verdict,
};

use super::item::{Item, count, list, map, optional, text};
use super::text::show_note;
use super::{Dump, dump};

/// Everything that `bytes` decode as.
pub(super) fn dumps(bytes: &[u8]) -> Vec<Dump> {
    let all = [
        read(bytes, cose),
        read(bytes, owner),
        read(bytes, submission),
        read(bytes, upload),
        read(bytes, receipt),
        read(bytes, name_record),
        read(bytes, tree_root),
        read(bytes, changes),
        read(bytes, transition),
        read(bytes, extra),
        read(bytes, evidence),
        read(bytes, prefix_proof),
        read(bytes, history),
        read(bytes, package),
        read(bytes, |verdict: &Verdict| Item::of(verdict)),
        read(bytes, binding),
        read(bytes, cause),
        read(bytes, environment),
        read(bytes, policy),
        read(bytes, head),
        read(bytes, submission_entry),
        read(bytes, submission_outcome),
        read(bytes, epoch_root),
    ];
    all.into_iter().flatten().collect()
}

fn read<T: Artefact>(bytes: &[u8], show: impl Fn(&T) -> Item) -> Option<Dump> {
    let value = T::from_bytes(bytes).ok()?;
    Some(dump(format!("{} (CBOR)", T::NAME), show(&value)))
}

/// Bytes inside that should be a `T`.
fn inner<T: Artefact>(bytes: &[u8], show: impl Fn(&T) -> Item) -> Item {
    T::from_bytes(bytes).map_or_else(|_| blob(bytes), |value| show(&value))
}

/// Bytes that are not shown themselves.
pub(super) fn blob(bytes: &[u8]) -> Item {
    map([("bytes", count(bytes.len())), ("sha256", text(sha256(bytes)))])
}

fn number(value: impl Into<u64>) -> Item {
    Item::Number(value.into())
}

pub(super) fn cose(signed: &CoseSign1) -> Item {
    let payload = match signed.kind {
        SignedKind::SignedTreeRoot => inner(&signed.payload, tree_root),
        SignedKind::Submission => inner(&signed.payload, submission),
        SignedKind::Receipt => inner(&signed.payload, receipt),
        SignedKind::OwnerRecord => inner(&signed.payload, owner),
    };
    map([
        ("type", text(signed.kind.typ())),
        ("key", text(signed.key)),
        ("payload-sha256", text(sha256(&signed.payload))),
        ("payload", payload),
        ("signature", text(hex::encode(signed.signature))),
    ])
}

fn owner(owner: &OwnerRecord) -> Item {
    map([
        ("name", text(&owner.name)),
        ("sequence", number(owner.sequence)),
        ("previous", optional(owner.previous)),
        ("keys", list(&owner.keys, text)),
        ("threshold", number(owner.threshold)),
        ("recovery", list(&owner.recovery, text)),
        ("transfer-delay-epochs", number(owner.transfer_delay_epochs)),
    ])
}

fn objects(objects: &ObjectMap) -> Item {
    Item::Map(objects.iter().map(|(name, digest)| (name.to_owned(), text(digest))).collect())
}

fn submission(submission: &Submission) -> Item {
    map([
        ("name", text(&submission.name)),
        ("release", number(submission.release.0)),
        ("source", text(submission.source)),
        ("manifest", text(&submission.manifest)),
        ("bytecode", submission.bytecode.as_ref().map_or(Item::Nothing, objects)),
        ("owner", owner(&submission.owner)),
    ])
}

fn upload(upload: &Upload) -> Item {
    map([("signed", inner(&upload.signed, cose)), ("archive", blob(&upload.archive))])
}

fn receipt(receipt: &Receipt) -> Item {
    map([
        ("origin", text(&receipt.origin)),
        ("submission", text(receipt.submission)),
        ("name", text(&receipt.name)),
        ("release", number(receipt.release.0)),
        ("index", number(receipt.index)),
        ("time", number(receipt.time.0)),
        ("decide-by", number(receipt.decide_by.0)),
    ])
}

fn name_record(record: &NameRecord) -> Item {
    map([
        ("name", text(&record.name)),
        ("state", text(record.state)),
        ("highest-release", number(record.highest_release.0)),
        ("binding", optional(record.binding)),
        ("cause", optional(record.cause)),
        ("changed-in-epoch", number(record.changed.0)),
        ("owner", text(record.owner)),
        ("previous", optional(record.previous)),
    ])
}

fn tree_root(str: &SignedTreeRoot) -> Item {
    map([
        ("origin", text(&str.origin)),
        ("epoch", number(str.epoch.0)),
        ("time", number(str.time.0)),
        ("names", number(str.names)),
        ("prefix-root", text(str.prefix_root)),
        ("previous", text(str.previous)),
        ("changes", text(str.changes)),
        ("policy", text(str.policy)),
        ("extensions", text(str.extensions)),
    ])
}

fn changes(set: &ChangeSet) -> Item {
    list(&set.changes, |change| {
        map([
            ("name", text(&change.name)),
            ("key", text(change.key)),
            ("old", optional(change.old)),
            ("new", text(change.new)),
        ])
    })
}

fn transition(transition: &Transition) -> Item {
    map([
        ("epoch", number(transition.epoch.0)),
        ("changes", changes(&transition.changes)),
        ("proof-kind-bytes", count(transition.proof.kinds.len())),
        ("proof-values", count(transition.proof.values.len() / 32)),
    ])
}

fn prefix_proof(proof: &PrefixProof) -> Item {
    let ends = match &proof.terminal {
        Terminal::Inclusion => text("at the leaf of the name (inclusion)"),
        Terminal::MissingChild => text("at a missing child (absence)"),
        Terminal::OtherLeaf { key, commitment } => {
            map([("at-another-leaf", text(key)), ("commitment", text(commitment))])
        }
    };
    let copath = list(&proof.copath, |sibling| optional(sibling.as_ref()));
    map([("ends", ends), ("depth", count(proof.copath.len())), ("copath-deepest-first", copath)])
}

pub(super) fn extra(extra: &EvidenceExtra) -> Item {
    let record = extra.name_record.as_ref();
    map([
        ("name-record", record.map_or(Item::Nothing, |bytes| inner(bytes, name_record))),
        ("binding", extra.binding.as_ref().map_or(Item::Nothing, |bytes| inner(bytes, binding))),
        ("prefix-proof", prefix_proof(&extra.prefix)),
        ("signed-tree-root", inner(&extra.signed_tree_root, cose)),
    ])
}

fn evidence(evidence: &Evidence) -> Item {
    map([
        ("extra", extra(&evidence.extra)),
        ("index", number(evidence.index.0)),
        ("inclusion", list(&evidence.inclusion, text)),
        ("checkpoint", checkpoint(&evidence.checkpoint)),
    ])
}

fn checkpoint(note: &str) -> Item {
    Note::parse(note.as_bytes()).map_or_else(|_| text(note), |note| show_note(&note))
}

fn history(history: &NameHistory) -> Item {
    list(&history.records, |bytes| inner(bytes, name_record))
}

fn package(package: &PluginPackage) -> Item {
    let objects = package.objects.iter().map(|(name, bytes)| (name.clone(), blob(bytes))).collect();
    map([
        ("manifest", text(String::from_utf8_lossy(&package.manifest))),
        ("objects", Item::Map(objects)),
        ("evidence", list(&package.evidence, evidence)),
    ])
}

fn binding(binding: &Binding) -> Item {
    map([
        ("name", text(&binding.name)),
        ("release", number(binding.release.0)),
        ("submission", text(binding.submission)),
        ("objects", objects(&binding.objects)),
        ("manifest", text(binding.manifest)),
        ("source", text(binding.source)),
        ("environment", text(binding.environment)),
        ("policy", text(binding.policy)),
        ("verdicts", list(&binding.verdicts, Item::of)),
    ])
}

fn cause(cause: &FailureCause) -> Item {
    map([
        ("name", text(&cause.name)),
        ("release", number(cause.release.0)),
        ("submission", text(cause.submission)),
        ("policy", text(cause.policy)),
        ("stage", text(&cause.stage)),
        ("object", optional(cause.object.as_ref())),
        ("message", text(&cause.message)),
        ("verdicts", list(&cause.verdicts, Item::of)),
    ])
}

fn environment(environment: &BuildEnvironment) -> Item {
    map([
        ("compiler", text(&environment.compiler)),
        ("flags", list(&environment.flags, text)),
        ("platform", text(&environment.platform)),
        ("confined", text(environment.confined)),
    ])
}

fn policy(policy: &Policy) -> Item {
    map([
        ("origin", text(&policy.origin)),
        ("acceptance", text(&policy.acceptance)),
        (
            "verifiers",
            list(&policy.verifiers, |v| {
                map([("property", text(&v.property)), ("name", text(&v.name)), ("version", text(&v.version))])
            }),
        ),
        ("platforms", list(&policy.platforms, text)),
        ("epoch-interval-s", number(policy.epoch_interval_s)),
        ("decide-within-s", number(policy.decide_within_s)),
    ])
}

fn head(head: &Head) -> Item {
    map([
        ("size", number(head.size.0)),
        ("log-root", text(head.log_root)),
        ("str-hash", text(head.str_hash)),
        ("time", number(head.time.0)),
        ("prefix-root", optional(head.prefix.map(|(root, _)| root))),
        ("prefix-page-epoch", optional(head.prefix.map(|(_, epoch)| epoch))),
        ("names", number(head.names)),
        ("checkpoint", checkpoint(&head.checkpoint)),
    ])
}

fn submission_entry(entry: &SubmissionEntry) -> Item {
    map([
        ("signed", inner(&entry.signed, cose)),
        ("receipt", inner(&entry.receipt, cose)),
        ("index", number(entry.index)),
    ])
}

fn submission_outcome(outcome: &SubmissionOutcome) -> Item {
    map([
        ("submission", text(outcome.submission)),
        ("published-in-epoch", number(outcome.epoch.0)),
        ("cause", optional(outcome.cause)),
    ])
}

fn epoch_root(root: &EpochRoot) -> Item {
    map([("page-epoch", optional(root.page_epoch))])
}
