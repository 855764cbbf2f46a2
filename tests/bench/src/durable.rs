//! What goes through the disk, or needs a validator that signed: durable epochs, evidence, starting.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use ed25519_dalek::{Signer, SigningKey};
use pds_core::checkpoint::SignedCheckpoint;
use pds_core::cose;
use pds_core::cosignature::{Cosigner, Window};
use pds_core::epoch::{EpochPlan, NameEvents};
use pds_core::evidence::{self, TrustedValidator};
use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::proof::{prove_inclusion, verify_inclusion};
use pds_core::log::{self, Frontier};
use pds_core::name_record::{Decision, NameEvent};
use pds_core::note::{KeyName, KeyType, VerifierKey};
use pds_core::prefix::{self, PrefixTree, key_of};
use pds_core::tlog_policy::Policy;
use pds_schemas::cose::SignedKind;
use pds_schemas::{
    Artefact, Binding, Digest, EpochNumber, Evidence, EvidenceExtra, Finding, NameRecord, ObjectMap,
    PluginName, PosixTime, Release, SignedTreeRoot, TreeSize, Verdict,
};
use pds_service::guard::Guard;
use pds_store::{Blob, BlobKind, MemoryBudget, Store};

use crate::Scale;
use crate::limit::{HashSpeed, hashes_on_paths};
use crate::measure::{cpu, median, wall};
use crate::names::{Names, changed};
use crate::stored;
use crate::table::{Must, Table, Unit};
use crate::validator::{ORIGIN, START, Steps, Validator};

/// Names of one epoch while the tree is filled, below the most that an epoch may change.
const FILL: usize = 50_000;
/// Epochs closed before the measured ones.
const WARM_UP: usize = 2;

/// Measures all of it in a new folder in `dir`.
///
/// # Errors
/// The disk's.
pub fn measure(table: &mut Table, names: &Names, scale: &Scale, dir: &Path) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("pds-bench-").tempdir_in(dir).context("make a folder")?;
    let mut validator = Validator::create(folder.path())?;
    let mut records = fill(&mut validator, names, scale.names)?;
    let epochs = epochs(names, scale.names, scale, (&mut validator, &mut records), folder.path())?;
    rows(table, scale, &epochs);
    check_evidence(table, &validator, &records, scale)?;
    let proof = stored::measure(table, names, scale, (&mut validator, &mut records))?;
    drop(validator);
    start(table, scale, folder.path())?;
    stored::growth(table, names, scale, dir, At { names: scale.names, written: epochs.written(), proof })
}

/// What a validator of one size takes.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Names in its tree.
    pub names: usize,
    /// Nanoseconds to write, sign and commit an epoch; see [`Steps::written`].
    pub written: f64,
    /// Nanoseconds of CPU for a proof from the database.
    pub proof: f64,
}

/// Measures a validator of the first `count` names in a new folder in `dir`, with fewer rows.
///
/// # Errors
/// The disk's.
pub fn at(names: &Names, count: usize, scale: &Scale, dir: &Path) -> anyhow::Result<At> {
    let folder = tempfile::Builder::new().prefix("pds-bench-").tempdir_in(dir).context("make a folder")?;
    let mut validator = Validator::create(folder.path())?;
    let mut records = fill(&mut validator, names, count)?;
    let epochs = epochs(names, count, scale, (&mut validator, &mut records), folder.path())?;
    Ok(At {
        names: count,
        written: epochs.written(),
        proof: stored::proof(&validator, names, count, scale)?.cpu,
    })
}

/// Admits and validates the first `count` names; gives their records.
fn fill(validator: &mut Validator, names: &Names, count: usize) -> anyhow::Result<Vec<NameRecord>> {
    let mut records = Vec::new();
    let all: Vec<usize> = (0..count).collect();
    for some in all.chunks(FILL) {
        let (plan, _) = validator.close(&events(names, some.iter().copied(), &[]), &[], &[])?;
        keep_records(&mut records, &plan, names, some.iter().copied())?;
    }
    Ok(records)
}

/// A release of each of these names was validated.
pub fn events(names: &Names, which: impl Iterator<Item = usize>, records: &[NameRecord]) -> Vec<NameEvents> {
    let event = |i| {
        let (name, current) = (names.name(i).clone(), records.get(i).cloned());
        let release = Release(current.as_ref().map_or(1, |record: &NameRecord| record.highest_release.0 + 1));
        let decision = Decision::Validated(sha256(&binding(&name, release).to_bytes()));
        NameEvents {
            name,
            current,
            events: vec![NameEvent::Decided { owner: Digest([3; 32]), release, decision }],
        }
    };
    which.map(event).collect()
}

/// Puts the new records, which come in the order of their keys, where their names' numbers say.
pub fn keep_records(
    records: &mut Vec<NameRecord>,
    plan: &EpochPlan,
    names: &Names,
    which: impl Iterator<Item = usize>,
) -> anyhow::Result<()> {
    let mut new = HashMap::new();
    for (_, bytes) in plan.records.iter() {
        let record = NameRecord::from_bytes(bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
        new.insert(record.name.clone(), record);
    }
    for i in which {
        let record = new.remove(names.name(i)).context("every change makes a record")?;
        if i < records.len() { records[i] = record } else { records.push(record) }
    }
    Ok(())
}

/// A binding as large as those of small plugins: three objects, two verdicts of each.
pub fn binding(name: &PluginName, release: Release) -> Binding {
    let objects = ["send.o", "receive.o", "timer.o"];
    let verdict = |property: &str, object: &str| Verdict {
        property: property.to_owned(),
        verifier: "pds-validator".to_owned(),
        version: "0.1.0".to_owned(),
        finding: Finding::Proved,
        object: Some(object.to_owned()),
        bounds: vec![("instructions".to_owned(), 240)],
        cause: None,
    };
    let verdicts =
        objects.iter().flat_map(|o| ["structure", "termination"].map(|property| verdict(property, o)));
    Binding {
        name: name.clone(),
        release,
        submission: Digest([4; 32]),
        objects: ObjectMap::new(objects.map(|object| (object.to_owned(), sha256(object.as_bytes())))),
        manifest: Digest([5; 32]),
        source: Digest([6; 32]),
        environment: Digest([7; 32]),
        policy: Digest([9; 32]),
        verdicts: verdicts.collect(),
    }
}

/// Epochs as they were closed, and beside each what its bytes take without a database.
#[derive(Debug, Default)]
struct Epochs {
    steps: Vec<Steps>,
    /// Hashes of all their trees.
    hashes: u64,
    /// A file of as many bytes, synced.
    file: Vec<Duration>,
    /// The same, not synced.
    unsynced: Vec<Duration>,
    /// A file of the head, synced.
    head: Vec<Duration>,
}

impl Epochs {
    fn written(&self) -> f64 {
        median(self.steps.iter().map(Steps::written))
    }
}

fn epochs(
    names: &Names,
    count: usize,
    scale: &Scale,
    (validator, records): (&mut Validator, &mut Vec<NameRecord>),
    folder: &Path,
) -> anyhow::Result<Epochs> {
    let mut keys = names.sorted_keys(count);
    let mut all = Epochs::default();
    for version in 1..=WARM_UP + scale.runs {
        let which = || changed(count, version, scale.changes);
        let decided = validator.submit(scale.changes)?;
        let names_changed = events(names, which(), records);
        let blobs = which().zip(&names_changed).map(|(i, events)| {
            let release = Release(records.get(i).map_or(1, |record| record.highest_release.0 + 1));
            Blob::new(BlobKind::Binding, binding(&events.name, release).to_bytes())
        });
        let blobs: Vec<_> = blobs.collect();
        let (plan, steps) = validator.close(&names_changed, &blobs, &decided)?;
        keep_records(records, &plan, names, which())?;
        let mut changed: Vec<_> = names_changed.iter().map(|events| key_of(&events.name)).collect();
        changed.sort_unstable();
        keys.extend(&changed);
        keys.sort_unstable();
        keys.dedup();
        if version > WARM_UP {
            all.hashes += hashes_on_paths(&keys, &changed);
            all.steps.push(steps);
            all.file.push(write_file(folder, steps.bytes, true)?);
            all.head.push(write_file(folder, steps.head_bytes, true)?);
            all.unsynced.push(write_file(folder, steps.bytes, false)?);
        }
    }
    Ok(all)
}

fn rows(table: &mut Table, scale: &Scale, all: &Epochs) {
    let speed = HashSpeed::now();
    let hashes = (all.hashes as f64 / scale.runs as f64).round();
    let step = |step: fn(&Steps) -> Duration| median(all.steps.iter().map(step));
    let bytes = all.steps.iter().map(|steps| steps.bytes).sum::<usize>() as f64 / scale.runs as f64;
    let same_bytes = format!("writing a file of as many bytes ({:.2} MB) and syncing it", bytes / 1e6);
    let sign = signing_time();
    let times = |times: &[Duration]| median(times.iter().copied());
    let (file, small, unsynced) = (times(&all.file), times(&all.head), times(&all.unsynced));
    let durable = format!("epoch of {} on {} names, durable in RocksDB, p50", scale.changes, scale.names);
    let row = table.push("durable", Unit::WallNs, (durable, step(|s| s.wall)), (same_bytes.clone(), file));
    row.must(Must::AtMost(25e6));
    let written = "of these (b), (d), (e), (f): written, signed, committed, the guard moved";
    let batch = ("one synced batch of the same keys and values, RocksDB as it comes", step(|s| s.batch));
    let row = table.push("durable-written", Unit::WallNs, (written, all.written()), batch);
    row.must(Must::AtMost(15e6)).must(Must::RatioAtMost(2.0));
    let of_hashes = || (format!("the tree's {hashes} hashes"), hashes * speed.two_blocks);
    let plan = ("- (a) plan: records, tree, proof, STR; CPU", step(|s| s.plan_cpu));
    table.push("durable-plan", Unit::CpuNs, plan, of_hashes());
    let write = ("- (b) write batch A, not synced", step(|s| s.write));
    table.push("durable-write", Unit::WallNs, write, ("writing such a file, not synced", unsynced));
    let check = ("- (c) read back, recompute all of it; CPU", step(|s| s.check_cpu));
    table.push("durable-check", Unit::CpuNs, check, of_hashes());
    let seal = ("- (d) sign STR and checkpoint; CPU", step(|s| s.seal_cpu));
    table.push("durable-seal", Unit::CpuNs, seal, ("two Ed25519 signatures", 2.0 * sign));
    let commit = ("- (e) commit: batch B, synced, covers A", step(|s| s.commit));
    table.push("durable-commit", Unit::WallNs, commit, (same_bytes, file));
    let guard = ("- (f) move the guard: file, rename and folder synced", step(|s| s.guard));
    table.push("durable-guard", Unit::WallNs, guard, ("writing a file of the head and syncing it", small));
}

fn write_file(folder: &Path, bytes: usize, sync: bool) -> anyhow::Result<Duration> {
    let (path, content) = (folder.join("baseline"), vec![0xc3; bytes]);
    let (written, time) = wall(|| {
        let mut file = File::create(&path)?;
        file.write_all(&content)?;
        if sync { file.sync_data() } else { Ok(()) }
    });
    written.and_then(|()| fs::remove_file(&path)).context("write the file to compare with")?;
    Ok(time)
}

fn signing_time() -> f64 {
    let key = SigningKey::from_bytes(&[8; 32]);
    let message = [0x5a; 300];
    median((0..101).map(|_| cpu(|| key.sign(&message)).1))
}

/// Strict verification of one signature over a message as long as an STR's.
fn strict_time() -> anyhow::Result<f64> {
    let key = SigningKey::from_bytes(&[8; 32]);
    let message = [0x5a; 300];
    let signature = key.sign(&message);
    let public = key.verifying_key();
    let mut times = Vec::new();
    for _ in 0..301 {
        let (valid, time) = cpu(|| public.verify_strict(&message, &signature));
        valid?;
        times.push(time);
    }
    Ok(median(times))
}

fn check_evidence(
    table: &mut Table,
    validator: &Validator,
    records: &[NameRecord],
    scale: &Scale,
) -> anyhow::Result<()> {
    let head = validator.head.as_ref().context("epochs were closed")?;
    let now = PosixTime(START.0 + head.size.0);
    let witness = Cosigner::new(KeyName::new("witness.example")?, &[10; 32])?;
    let mut checkpoint = SignedCheckpoint::open(head.checkpoint.as_bytes(), validator.log.verifier())?;
    let line = witness.cosign(&checkpoint.checkpoint().to_note_text(), now)?;
    checkpoint.add_cosignature(&line, witness.verifier())?;
    let (log, verifier) = (validator.log.verifier(), witness.verifier());
    let policy = format!("log {log}\nwitness w {verifier}\nquorum w\n");
    let str_name = KeyName::new(format!("{ORIGIN}/str"))?;
    let str_key = VerifierKey::new(str_name, KeyType::StrV1, &validator.str_public())?;
    let trusted = TrustedValidator::new(str_key, Policy::parse(policy.as_bytes())?, false)?;
    let window = Window { now, max_age_s: 60, skew_s: 60 };

    let asked = records.iter().step_by((records.len() / scale.proofs.min(500)).max(1));
    let mut made = Vec::new();
    for record in asked {
        made.push((record.name.clone(), evidence_of(validator, record, &checkpoint)?.to_bytes()));
    }
    let strict = strict_time()?;
    let (mut whole_times, mut part_times) = (Vec::new(), Vec::new());
    let (size, root) = (head.size, head.log_root);
    for (name, bytes) in &made {
        let (verified, time) = cpu(|| {
            let evidence = Evidence::from_bytes(bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
            Ok::<_, anyhow::Error>(evidence::verify(&trusted, name, &evidence, &window, &mut Vec::new())?)
        });
        verified?;
        whole_times.push(time);
        let evidence = Evidence::from_bytes(bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
        let (verified, time) = cpu(|| verify_under(&trusted, name, &evidence, size, &root));
        verified?;
        part_times.push(time);
    }
    let mut sizes: Vec<_> = made.iter().map(|(_, bytes)| bytes.len()).collect();
    sizes.sort_unstable();
    let part = "name in the STR, its signature, it in the log".to_owned();
    let row = table.push(
        "evidence-part",
        Unit::CpuNs,
        (format!("verifying evidence under a known head: {part}"), median(part_times)),
        ("one strict Ed25519 verification", strict),
    );
    row.must(Must::AboveReferenceAtMost(10e3));
    let size = sizes[sizes.len() / 2];
    table.push(
        "evidence-whole",
        Unit::CpuNs,
        (
            format!("decoding and verifying whole evidence ({size} bytes), one witness in the quorum"),
            median(whole_times),
        ),
        ("its three strict Ed25519 verifications", 3.0 * strict),
    );
    Ok(())
}

fn evidence_of(
    validator: &Validator,
    record: &NameRecord,
    checkpoint: &SignedCheckpoint,
) -> anyhow::Result<Evidence> {
    let size = checkpoint.checkpoint().size;
    let index = EpochNumber(size.0 - 1);
    let store = &validator.store;
    Ok(Evidence {
        extra: EvidenceExtra {
            name_record: Some(record.to_bytes()),
            binding: Some(binding(&record.name, record.highest_release).to_bytes()),
            prefix: validator.tree.prove(store, &key_of(&record.name))?,
            signed_tree_root: store.entry(index)?.context("the last epoch has an STR")?,
        },
        index,
        inclusion: prove_inclusion(store, index.0, size)?,
        checkpoint: checkpoint.to_string(),
    })
}

/// What is left to check for one more name when the checkpoint is verified already.
fn verify_under(
    trusted: &TrustedValidator,
    name: &PluginName,
    evidence: &Evidence,
    size: TreeSize,
    root: &Digest,
) -> anyhow::Result<()> {
    let extra = &evidence.extra;
    let entry = &extra.signed_tree_root;
    let str: SignedTreeRoot = cose::open_by(entry, SignedKind::SignedTreeRoot, trusted.str_key())?;
    verify_inclusion(&leaf_hash(entry), evidence.index.0, size, &evidence.inclusion, root)?;
    let commitment = sha256(extra.name_record.as_ref().context("the name is included")?);
    Ok(prefix::verify_inclusion(&str.prefix_root, &key_of(name), &commitment, &extra.prefix)?)
}

/// Opens copies of what was written, as it was left: RocksDB has its log to replay.
fn start(table: &mut Table, scale: &Scale, folder: &Path) -> anyhow::Result<()> {
    let copy = folder.join("copy");
    let (mut start_times, mut read_times) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..scale.runs.min(5) {
        fs::create_dir(&copy)?;
        for entry in fs::read_dir(folder.join("store"))? {
            let entry = entry?;
            fs::copy(entry.path(), copy.join(entry.file_name()))?;
        }
        let (read, time) = wall(|| read_all(&copy));
        bytes = read?;
        read_times.push(time);
        let (started, time) = wall(|| recover(&copy, &folder.join("guard")));
        drop(started?);
        start_times.push(time);
        fs::remove_dir_all(&copy)?;
    }
    let bytes = bytes as f64 / 1e6;
    let workload =
        format!("start: open the database, compare it with the guard, load log and tree ({bytes:.0} MB)");
    let against = "reading every file of it once";
    let row =
        table.push("start", Unit::WallNs, (workload, median(start_times)), (against, median(read_times)));
    row.must(Must::AtMost(3e9));
    Ok(())
}

/// Reads every file of a folder; gives their bytes.
///
/// # Errors
/// The disk's.
pub fn read_all(folder: &Path) -> std::io::Result<usize> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        bytes += fs::read(entry?.path())?.len();
    }
    Ok(bytes)
}

fn recover(store: &Path, guard: &Path) -> anyhow::Result<(Store, Frontier, PrefixTree)> {
    let guard = Guard::open(guard)?;
    let store = Store::open(store, &MemoryBudget::default())?;
    let head = store.head()?.context("epochs were closed")?;
    anyhow::ensure!(guard.value() == head.to_bytes(), "the guard holds the head");
    anyhow::ensure!(log::root(&store, head.size)? == head.log_root, "the log hashes to the head");
    store.drop_unfinished()?;
    let frontier = Frontier::load(&store, head.size)?;
    let (root, page) = head.prefix.context("there are names")?;
    let tree = PrefixTree::open(root, Some(page))?;
    // One proof shows that the tree is there.
    tree.prove(&store, &root)?;
    Ok((store, frontier, tree))
}
