//! akd's whole directory: labels by verifiable random function, values committed to.

use akd::append_only_zks::AzksParallelismConfig;
use akd::client::lookup_verify;
use akd::directory::Directory;
use akd::ecvrf::HardCodedAkdVRF;
use akd::storage::StorageManager;
use akd::storage::memory::AsyncInMemoryDatabase;
use akd::{AkdLabel, AkdValue, EpochHash, WhatsAppV1Configuration};
use protobuf::Message;

use crate::measure::{cpu, cpu_now, median, say_bytes, say_time};

type Profile = WhatsAppV1Configuration;

/// Publishes `names`, then looks up and verifies `proofs` of them.
///
/// # Errors
/// akd's.
pub async fn measure(names: usize, proofs: usize) -> anyhow::Result<()> {
    let storage = StorageManager::new_no_cache(AsyncInMemoryDatabase::new());
    let serial = AzksParallelismConfig::disabled();
    let directory = Directory::<Profile, _, _>::new(storage, HardCodedAkdVRF {}, serial).await?;
    let label = |i: usize| AkdLabel::from(format!("org.example.plugin-{i:07}").as_str());
    let values = (0..names).map(|i| (label(i), AkdValue(vec![0x5a; 32])));
    directory.publish(values.collect()).await?;
    let key = directory.get_public_key().await?;

    let (mut made, mut verified, mut bytes) = (Vec::new(), Vec::new(), 0);
    for i in (0..proofs).map(|i| i * 7919 % names) {
        let started = cpu_now();
        let (proof, EpochHash(epoch, root)) = directory.lookup(label(i)).await?;
        made.push(cpu_now().saturating_sub(started));
        bytes += akd_core::proto::specs::types::LookupProof::from(&proof).write_to_bytes()?.len();
        let (valid, time) = cpu(|| lookup_verify::<Profile>(key.as_bytes(), root, epoch, label(i), proof));
        valid.map_err(|error| anyhow::anyhow!("akd refused its own lookup proof: {error:?}"))?;
        verified.push(time);
    }
    say_time("akd-lookup", names, median(made), "akd, with its VRFs: making a lookup proof");
    say_time("akd-lookup-verify", names, median(verified), "akd, with its VRFs: verifying a lookup proof");
    let mean = bytes as f64 / proofs as f64;
    say_bytes("akd-lookup-bytes", names, mean, "akd, with its VRFs: a lookup proof in protobuf, mean");
    Ok(())
}
