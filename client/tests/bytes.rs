//! Bytes from anywhere: read without panic, and never taken for what they are not.

mod common;

use common::{Desk, Fake, NOW, World, name};
use pds_client::inspect::inspect;
use pds_client::verify::{self, Circumstances, MemoryRefusal, Recalled, Received, TermFailure};
use pds_core::evidence::to_tlog_proof;
use pds_core::formula;
use pds_schemas::{Artefact, Evidence, PluginName, PluginPackage, PosixTime, TreeSize};
use proptest::prelude::*;

fn plugin() -> PluginName {
    name("org.example.pacing")
}

fn world() -> World {
    let mut world = World::new(1, NOW);
    world.validate(&name("org.example.other"), 1);
    world.validate(&plugin(), 1);
    world
}

fn package(world: &World) -> PluginPackage {
    let (manifest, objects) = World::plugin(&plugin(), 1);
    PluginPackage { manifest, objects, evidence: vec![world.evidence(&plugin(), None)] }
}

#[tokio::test]
async fn package_is_refused_with_any_byte_flipped() {
    let world = world();
    let bytes = package(&world).to_bytes();
    let desk = Desk::new(&[&Fake::start(world).await]);
    let trust = desk.trust();
    let formula = formula::parse("PV1").unwrap();
    let under = Circumstances { trust: &trust, now: PosixTime(NOW), memory: None, allow_older: false };
    let holds = |bytes: &[u8]| {
        let Ok(Received::Package(package)) = Received::read(bytes) else { return false };
        verify::judge(&formula, &plugin(), &package, &under).unwrap().satisfied
    };
    assert!(holds(&bytes));
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 1 << (at % 8);
        assert!(!holds(&bent), "byte {at} of {}", bytes.len());
    }
}

#[test]
fn each_form_is_told_apart_and_says_its_name() {
    let world = world();
    let package = package(&world);
    let evidence = package.evidence[0].clone();
    let proof = to_tlog_proof(&evidence).unwrap().to_string();
    let read = |bytes: &[u8]| Received::read(bytes).unwrap();
    assert!(matches!(read(&package.to_bytes()), Received::Package(p) if *p == package));
    assert!(matches!(read(&evidence.to_bytes()), Received::Evidence(e) if *e == evidence));
    assert!(matches!(read(proof.as_bytes()), Received::TlogProof(e) if *e == evidence));
    for bytes in [package.to_bytes(), evidence.to_bytes(), proof.into_bytes()] {
        assert_eq!(read(&bytes).claimed_name(), Some(plugin()));
        assert_eq!(read(&bytes).evidence(), std::slice::from_ref(&evidence));
    }
    assert!(Received::read(world.checkpoints[0].as_bytes()).is_err());
}

#[tokio::test]
async fn evidence_is_held_against_what_was_seen() {
    let world = world();
    let desk = Desk::new(&[&Fake::start(world.clone()).await]);
    let (memory, known) = (desk.memory(), desk.source("PV1").known);
    let recall = |size: u64| {
        let evidence = world.evidence_at(&plugin(), size - 1, size);
        verify::recall(&memory, &known, &evidence).unwrap()
    };
    assert_eq!(recall(1), Recalled::Nothing);
    let log_key = &known.trusted.policy().logs()[0].key;
    let seen = |size: usize| {
        let note = world.checkpoints[size - 1].as_bytes();
        let checkpoint = pds_core::checkpoint::SignedCheckpoint::open(note, log_key).unwrap();
        let held = memory.recall(&known.trusted).unwrap();
        assert_eq!(memory.remember(&known.trusted, &checkpoint, held.as_ref()).unwrap(), None);
    };
    seen(1);
    assert_eq!(recall(1), Recalled::Same);
    assert_eq!(recall(2), Recalled::Newer { seen: TreeSize(1) });
    seen(2);
    seen(1);
    let (seen, size) = (TreeSize(2), TreeSize(1));
    assert_eq!(recall(1), Recalled::Older { seen, size }, "memory never goes back");
}

#[tokio::test]
async fn older_evidence_does_not_pass_beside_newer() {
    let mut world = World::new(1, NOW);
    world.validate(&plugin(), 1);
    let older = world.evidence(&plugin(), None);
    world.validate(&plugin(), 2);
    let newer = world.evidence(&plugin(), None);
    let desk = Desk::new(&[&Fake::start(world).await]);
    let (memory, trust) = (desk.memory(), desk.trust());
    let known = desk.source("PV1").known;
    let log_key = &known.trusted.policy().logs()[0].key;
    let seen = pds_core::checkpoint::SignedCheckpoint::open(newer.checkpoint.as_bytes(), log_key).unwrap();
    assert_eq!(memory.remember(&known.trusted, &seen, None).unwrap(), None);

    let formula = formula::parse("PV1").unwrap();
    let holds = |release: u64, evidence: &[&Evidence], allow_older: bool| {
        let (manifest, objects) = World::plugin(&plugin(), release);
        let evidence = evidence.iter().map(|e| (*e).clone()).collect();
        let package = PluginPackage { manifest, objects, evidence };
        let now = PosixTime(NOW);
        let under = Circumstances { trust: &trust, now, memory: Some(&memory), allow_older };
        verify::judge(&formula, &plugin(), &package, &under).unwrap().terms.remove(0).result
    };
    let refused = TermFailure::Memory(MemoryRefusal::Older { seen: TreeSize(2), size: TreeSize(1) });
    for evidence in [[&newer, &older], [&older, &newer]] {
        assert_eq!(holds(1, &evidence, false), Err(refused.clone()));
        assert!(holds(1, &evidence, true).is_ok());
        assert!(holds(2, &evidence, false).is_ok(), "the newer one is enough");
    }
    assert_eq!(holds(1, &[&older], false), Err(refused));
}

proptest! {
    #[test]
    fn any_bytes_are_shown_and_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(!inspect(&bytes).is_empty());
        prop_assert!(Received::read(&bytes).is_err());
    }

    #[test]
    fn damaged_files_are_shown_without_panic(at in any::<prop::sample::Index>(), bit in 0..8_u8, kind in 0..4_usize) {
        let world = world();
        let mut bytes = match kind {
            0 => package(&world).to_bytes(),
            1 => world.entries[1].clone(),
            2 => world.transitions[1].to_bytes(),
            _ => world.policy_file().into_bytes(),
        };
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        for dump in inspect(&bytes) {
            prop_assert!(!dump.content.to_string().chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
