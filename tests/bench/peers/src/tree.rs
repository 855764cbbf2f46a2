//! akd's tree alone, without its directory: labels are given, as ours are hashes of names.

use akd::append_only_zks::{AzksParallelismConfig, InsertMode};
use akd::auditor::audit_verify;
use akd::storage::StorageManager;
use akd::storage::memory::AsyncInMemoryDatabase;
use akd::{Azks, AzksElement, AzksValue, NodeLabel, WhatsAppV1Configuration};
use anyhow::Context;
use protobuf::Message;
use sha2::{Digest, Sha256};

use crate::measure::{cpu_now, median, say_bytes, say_time};

type Profile = WhatsAppV1Configuration;

/// Epochs measured after the first.
const EPOCHS: usize = 5;

fn element(i: usize, version: u64) -> AzksElement {
    let hash = |text: String| -> [u8; 32] { Sha256::digest(text).into() };
    // Every version of a name is a new leaf in akd.
    let label = NodeLabel::new(hash(format!("org.example.plugin-{i:07} {version}")), 256);
    AzksElement { label, value: AzksValue(hash(format!("{i} {version}"))) }
}

/// Builds a tree of `names`, closes epochs of `changes`, proves and verifies.
///
/// # Errors
/// akd's.
pub async fn measure(names: usize, changes: usize, proofs: usize) -> anyhow::Result<()> {
    let storage = StorageManager::new_no_cache(AsyncInMemoryDatabase::new());
    let mut tree = Azks::new::<Profile, _>(&storage).await.context("new tree")?;
    let serial = AzksParallelismConfig::disabled();
    let started = cpu_now();
    let all = (0..names).map(|i| element(i, 0)).collect();
    tree.batch_insert_nodes::<Profile, _>(&storage, all, InsertMode::Directory, serial).await?;
    let built = cpu_now().saturating_sub(started);
    say_time("akd-build", names, built.as_nanos() as f64, "akd, tree only: building");

    let mut roots = vec![tree.get_root_hash::<Profile, _>(&storage).await?];
    let mut times = Vec::new();
    for epoch in 1..=EPOCHS {
        let batch = (0..changes).map(|i| element(epoch * changes + i, epoch as u64)).collect();
        let started = cpu_now();
        tree.batch_insert_nodes::<Profile, _>(&storage, batch, InsertMode::Directory, serial).await?;
        roots.push(tree.get_root_hash::<Profile, _>(&storage).await?);
        times.push(cpu_now().saturating_sub(started));
    }
    let what = format!("akd, tree only: an epoch of {changes}");
    say_time("akd-epoch", names, median(times), &what);

    let (mut times, mut bytes) = (Vec::new(), 0);
    for i in 0..proofs {
        let label = element(i * 7919 % names, 0).label;
        let started = cpu_now();
        let proof = tree.get_membership_proof::<Profile, _>(&storage, label).await?;
        times.push(cpu_now().saturating_sub(started));
        bytes += akd_core::proto::specs::types::MembershipProof::from(&proof).write_to_bytes()?.len();
    }
    say_time("akd-proof", names, median(times), "akd, tree only: making a membership proof");
    let mean = bytes as f64 / proofs as f64;
    say_bytes("akd-proof-bytes", names, mean, "akd, tree only: a membership proof in protobuf, mean");

    let last = EPOCHS as u64 + 1;
    let proof = tree.get_append_only_proof::<Profile, _>(&storage, last - 1, last, serial).await?;
    let single = proof.proofs.first().context("one epoch has one proof")?;
    let size = akd_core::proto::specs::types::SingleAppendOnlyProof::from(single).write_to_bytes()?.len();
    say_bytes("akd-audit-bytes", names, size as f64, "akd: an append-only proof of an epoch in protobuf");
    let hashes = roots.split_off(roots.len() - 2);
    let started = cpu_now();
    audit_verify::<Profile>(hashes, proof).await?;
    let taken = cpu_now().saturating_sub(started);
    say_time("akd-audit", names, taken.as_nanos() as f64, "akd: verifying an append-only proof of an epoch");
    Ok(())
}
