//! Evidence under fixed keys: nothing but what the validator said is ever believed; and under keys that sign whatever the
//! fuzzer says: what is believed fits together all the same.

use std::sync::LazyLock;

use pds_core::evidence::{Currency, TrustedValidator, Verified};
use pds_core::hash::sha256;
use pds_core::prefix::{
    MemoryPages, PrefixProofError, PrefixTree, Update, key_of, verify_absence, verify_inclusion,
};
use pds_schemas::prefix::PrefixProof;
use pds_schemas::{
    Artefact, Binding, Digest, EpochNumber, Evidence, EvidenceExtra, NameRecord, SignedTreeRoot, State,
};

use crate::feed::Feed;
use crate::world::{NOW, PACING, Validator, check, name};

/// The names that evidence is about: with a binding, without one, and unknown.
pub const NAMES: [&str; 3] = [PACING, "org.example.plugin3", "org.example.nobody"];

static PV: LazyLock<Validator> = LazyLock::new(|| Validator::with_history(1));
static TRUSTED: LazyLock<TrustedValidator> = LazyLock::new(|| PV.trusted());

/// All that the validator can say of the three names, at every epoch and under every checkpoint.
pub static SAID: LazyLock<Vec<(&str, Evidence)>> = LazyLock::new(|| {
    let last = PV.size().0;
    let places = (0..last).flat_map(|epoch| (epoch + 1..=last).map(move |size| (epoch, size)));
    let about = |(epoch, size)| NAMES.map(|plugin| (plugin, PV.evidence(plugin, epoch, size)));
    places.flat_map(about).collect()
});

/// Evidence put together from what the validator said at different times, and then edited.
pub fn evidence(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let (plugin, mut evidence) = SAID[feed.below(SAID.len())].clone();
    for _ in 0..feed.below(4) {
        let (_, other) = SAID[feed.below(SAID.len())].clone();
        match feed.byte() % 7 {
            0 => evidence.extra.name_record = other.extra.name_record,
            1 => evidence.extra.binding = other.extra.binding,
            2 => evidence.extra.prefix = other.extra.prefix,
            3 => evidence.extra.signed_tree_root = other.extra.signed_tree_root,
            4 => evidence.index = other.index,
            5 => evidence.inclusion = other.inclusion,
            _ => evidence.checkpoint = other.checkpoint,
        }
    }
    let asked = if feed.byte() % 4 == 0 { NAMES[feed.below(3)] } else { plugin };
    let Ok(evidence) = Evidence::from_bytes(&feed.edit(&evidence.to_bytes(), 4)) else { return };
    if let Ok(verified) = check(&TRUSTED, asked, &evidence) {
        assert_said(asked, &evidence, &verified);
    }
}

/// That the validator said this, word for word.
fn assert_said(asked: &str, evidence: &Evidence, verified: &Verified) {
    let epoch = verified.str.epoch;
    let at = usize::try_from(epoch.0).expect("an epoch there was");
    assert_eq!(verified.str, PV.plans[at].str);
    let size = match verified.currency {
        Currency::Now => epoch.log_size(),
        Currency::History { size } => size,
    };
    let said = SAID.iter().find(|(plugin, said)| {
        *plugin == asked && said.index == epoch && said.inclusion == evidence.inclusion
    });
    let (_, said) = said.expect("evidence that the validator made");
    assert_eq!(evidence.extra, said.extra);
    let text = PV.checkpoint(size.0).note().text();
    assert!(evidence.checkpoint.starts_with(text), "a checkpoint of {size} that nobody signed");
    assert!(verified.cosigned.len() >= 2 && verified.cosigned.iter().all(|time| *time == NOW));
    assert_eq!(verified.record.as_ref().map(Artefact::to_bytes), said.extra.name_record);
    assert_eq!(verified.binding.as_ref().map(Artefact::to_bytes), said.extra.binding);
}

/// A validator that signs whatever it is given: edited records, bindings, proofs and STRs, with digests made to fit.
pub fn evidence_signed(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let honest = &SAID.iter().rfind(|(plugin, _)| *plugin == PACING).expect("pacing is validated").1.extra;
    let asked = NAMES[feed.below(12) / 10 % 3];
    let record = honest.name_record.as_deref().expect("pacing has a record");
    let binding = honest.binding.as_deref().expect("pacing has a binding");
    let (record, binding) = (feed.edit(record, 3), feed.edit(binding, 3));
    let choices = feed.byte();
    let binding = (choices & 1 == 0).then_some(binding);
    let record = match NameRecord::from_bytes(&record) {
        Ok(read) if choices & 2 == 0 => {
            NameRecord { binding: binding.as_deref().map(sha256), ..read }.to_bytes()
        }
        _ => record,
    };
    let record = (choices & 4 == 0).then_some(record);
    let (prefix, prefix_root) = prove(asked, record.as_deref(), choices & 8 == 0, &mut feed);
    let epoch = feed.below(4);
    let mut str = SignedTreeRoot { prefix_root, names: 1, ..PV.first_str() };
    if epoch > 0 {
        (str.epoch, str.previous) = (EpochNumber(epoch as u64), Digest([1; 32]));
    }
    let payload = feed.edit(&str.to_bytes(), 2);
    let entry = match SignedTreeRoot::from_bytes(&payload) {
        Ok(str) => PV.sign_str(&str),
        Err(_) => PV.sign_str(&str),
    };
    let extra = EvidenceExtra { name_record: record, binding, prefix, signed_tree_root: entry.clone() };
    let index = if feed.byte() % 8 == 0 { feed.below(4) } else { epoch };
    let mut entries = vec![b"an entry before".to_vec(); index];
    entries.push(entry);
    entries.resize(index + 1 + feed.below(3), b"an entry after".to_vec());
    let evidence = PV.lie(&entries, index as u64, extra);
    if let Ok(verified) = check(&TRUSTED, asked, &evidence) {
        assert_fits(asked, &evidence, &verified);
    }
}

/// A proof about the name and the root it leads to: of a tree of this name alone, or an edited one.
fn prove(asked: &str, record: Option<&[u8]>, alone: bool, feed: &mut Feed<'_>) -> (PrefixProof, Digest) {
    let key = key_of(&name(asked));
    let commitment = record.map(sha256);
    let new = Update { key, old: None, new: commitment.unwrap_or(Digest::ZERO) };
    let updates = if commitment.is_some() { vec![new] } else { Vec::new() };
    let pages = MemoryPages::default();
    let applied = PrefixTree::empty().apply_updates(&pages, EpochNumber(0), &updates);
    let tree = applied.expect("one new key").tree;
    let honest = tree.prove(&pages, &key).expect("pages in memory");
    if alone {
        return (honest, tree.root());
    }
    let Ok(forged) = PrefixProof::from_bytes(&feed.edit(&honest.to_bytes(), 4)) else {
        return (honest, tree.root());
    };
    let refused = match commitment {
        Some(commitment) => verify_inclusion(&Digest::ZERO, &key, &commitment, &forged),
        None => verify_absence(&Digest::ZERO, &key, &forged),
    };
    match refused {
        Err(PrefixProofError::Root { computed }) => (forged, computed),
        _ => (forged, tree.root()),
    }
}

/// What must hold of everything that is believed, whoever lied.
fn assert_fits(asked: &str, evidence: &Evidence, verified: &Verified) {
    let Verified { str, record, binding, .. } = verified;
    assert_eq!((str.origin.as_str(), str.epoch), (PV.origin.as_str(), evidence.index));
    let key = key_of(&name(asked));
    let extra = &evidence.extra;
    assert_eq!(extra.name_record.is_some(), record.is_some());
    let Some(record) = record else {
        assert!(binding.is_none() && extra.binding.is_none());
        return assert_eq!(verify_absence(&str.prefix_root, &key, &extra.prefix), Ok(()));
    };
    let commitment = sha256(&record.to_bytes());
    assert_eq!(verify_inclusion(&str.prefix_root, &key, &commitment, &extra.prefix), Ok(()));
    assert_eq!(record.name.as_str(), asked);
    assert!(record.changed <= str.epoch);
    assert_eq!(binding.is_some(), record.state == State::Validated);
    assert_eq!(binding.as_ref().map(|binding| sha256(&binding.to_bytes())), record.binding);
    if let Some(Binding { name, release, .. }) = binding {
        assert!(name.as_str() == asked && *release <= record.highest_release);
    }
}
