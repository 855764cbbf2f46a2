//! Another's client can read the log: from nothing but what is served, everything is recomputed and agrees.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::BTreeMap;

use pds_core::checkpoint::SignedCheckpoint;
use pds_core::cose;
use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::MemoryLog;
use pds_core::log::tile::{EntriesAddress, FULL_WIDTH, decode_entries, tile_width_at};
use pds_core::prefix::{MemoryPages, PrefixTree, key_of, verify_transition};
use pds_schemas::cose::SignedKind;
use pds_schemas::prefix::Change;
use pds_schemas::{
    Artefact, Binding, BuildEnvironment, ChangeSet, Digest, FailureCause, NameHistory, NameRecord,
    OwnerRecord, PluginName, Policy, SignedTreeRoot, Transition, TreeSize,
};
use pds_tests::http::Http;
use pds_tests::plugins::{BAD, GOOD, developer, sample, signed};
use pds_tests::validator::Validator;

/// A validator with all samples, over several epochs, one name in two.
fn populated() -> Validator {
    let validator = Validator::started();
    for folder in GOOD.into_iter().chain(BAD) {
        validator.publish(&signed(&sample(folder), 1, &developer(1)));
    }
    validator.publish(&signed(&sample("pacing"), 2, &developer(1)));
    validator
}

fn entries(http: Http, size: TreeSize) -> Vec<Vec<u8>> {
    let bundles = size.0.div_ceil(u64::from(FULL_WIDTH));
    let bundle = |index| {
        let width = tile_width_at(size, 0, index).unwrap();
        let bytes = http.body(&format!("/{}", EntriesAddress::new(index, width).unwrap()));
        decode_entries(&bytes, width).unwrap().into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    (0..bundles).flat_map(bundle).collect()
}

#[test]
fn log_is_recomputed_from_what_is_served() {
    let validator = populated();
    let http = validator.http();
    let signed = SignedCheckpoint::open(&http.body("/checkpoint"), &validator.log_key()).unwrap();
    let head = signed.checkpoint();
    let mut log = MemoryLog::new();
    let (mut tree, mut pages) = (PrefixTree::empty(), MemoryPages::default());
    let mut names: BTreeMap<PluginName, Digest> = BTreeMap::new();
    let mut records: BTreeMap<Digest, NameRecord> = BTreeMap::new();
    for entry in entries(http, head.size) {
        let key = validator.str_key().public_key();
        let str: SignedTreeRoot = cose::open(&entry, SignedKind::SignedTreeRoot, &key).unwrap();
        assert_eq!(str.epoch.0, log.size().0);
        assert_eq!(entry, http.body(&format!("/epochs/{}", str.epoch)));
        log.append(leaf_hash(&entry)).unwrap();

        let transition: Transition = http.artefact(&format!("/epochs/{}/changes", str.epoch));
        let Transition { epoch, changes: ChangeSet { changes }, proof } = &transition;
        assert_eq!((*epoch, sha256(&transition.changes.to_bytes())), (str.epoch, str.changes));
        verify_transition(&tree.root(), &str.prefix_root, changes, proof).unwrap();
        let applied = tree.apply(&pages, str.epoch, changes).unwrap();
        pages.0.extend(applied.pages);
        tree = applied.tree;
        assert_eq!(tree.root(), str.prefix_root, "epoch {epoch}");
        for Change { key, name, old, new } in changes {
            assert_eq!((*key, *old), (key_of(name), names.insert(name.clone(), *new)));
        }
        assert_eq!(str.names, names.len() as u64);
        let policy = Policy::from_bytes(&http.addressed("policies", &str.policy)).unwrap();
        assert_eq!(policy.origin, str.origin);
    }
    assert_eq!((log.size(), log.root()), (head.size, head.root));

    for (name, latest) in &names {
        let history: NameHistory = http.artefact(&format!("/plugins/{name}/history"));
        let mut next = Some(*latest);
        for bytes in &history.records {
            assert_eq!(Some(sha256(bytes)), next, "{name}");
            let record = NameRecord::from_bytes(bytes).unwrap();
            next = record.previous;
            assert_eq!(record.name, *name);
            records.insert(sha256(bytes), record);
        }
        assert_eq!(next, None, "the history of {name} begins at its first record");
    }
    assert_eq!(names.len(), GOOD.len() + BAD.len());
    let validated = records.values().filter(|record| check_reach(http, record)).count();
    assert!(validated > GOOD.len());
}

/// Fetches all that `record` names; whether it is of a validated release.
fn check_reach(http: Http, record: &NameRecord) -> bool {
    let owner = OwnerRecord::from_bytes(&http.addressed("objects", &record.owner)).unwrap();
    assert_eq!(owner.name, record.name);
    if let Some(cause) = &record.cause {
        let cause = FailureCause::from_bytes(&http.addressed("causes", cause)).unwrap();
        assert_eq!((cause.name, cause.release), (record.name.clone(), record.highest_release));
    }
    let Some(binding) = &record.binding else { return false };
    let binding = Binding::from_bytes(&http.addressed("bindings", binding)).unwrap();
    assert_eq!(binding.name, record.name);
    BuildEnvironment::from_bytes(&http.addressed("objects", &binding.environment)).unwrap();
    http.addressed("objects", &binding.manifest);
    for (_, object) in binding.objects.iter() {
        assert!(http.addressed("objects", object).starts_with(b"\x7fELF"));
    }
    true
}

/// Tiles as `tlog_tiles` asks for them.
struct Tiles(Http);

impl tlog_tiles::TileReader for Tiles {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        // Theirs is Go's path with the height in it; C2SP has none.
        let path = |tile: &tlog_tiles::Tile| tile.path().replacen("tile/8/", "tile/", 1);
        Ok(tiles.iter().map(|tile| self.0.body(&format!("/{}", path(tile)))).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

#[test]
fn log_is_read_by_signed_note_and_tlog_tiles() {
    let validator = Validator::started();
    validator.publish_tiny("org.example.a", 1);
    validator.wait_epochs(2);
    let http = validator.http();

    let note = signed_note::Note::from_bytes(&http.body("/checkpoint")).unwrap();
    let verifier = signed_note::StandardVerifier::new(&validator.log_key().to_string()).unwrap();
    let (verified, _) = note.verify(&signed_note::VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!(verified.len(), 1);
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    let (size, root) = (checkpoint.size(), *checkpoint.hash());

    let tiles = Tiles(http);
    let reader = tlog_tiles::TileHashReader::new(size, root, &tiles);
    assert_eq!(tlog_tiles::tree_hash(size, &reader).unwrap(), root);
    for (epoch, entry) in entries(http, TreeSize(size)).iter().enumerate() {
        let epoch = epoch as u64;
        let proof = tlog_tiles::prove_record(size, epoch, &reader).unwrap();
        tlog_tiles::check_record(&proof, size, root, epoch, tlog_tiles::record_hash(entry)).unwrap();
        let smaller = tlog_tiles::tree_hash(epoch + 1, &reader).unwrap();
        let proof = tlog_tiles::prove_tree(size, epoch + 1, &reader).unwrap();
        tlog_tiles::check_tree(&proof, size, root, epoch + 1, smaller).unwrap();
    }
}

#[test]
fn log_is_audited_by_the_client() {
    let validator = populated();
    let folder = tempfile::tempdir().unwrap();
    let memory = pds_client::state::Memory::open(folder.path()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let audit = |from_scratch| {
        let source = validator.source();
        let now = pds_schemas::PosixTime(0);
        let audit = pds_client::audit::audit(&source, &memory, from_scratch, now, |_, _| {});
        let report = runtime.block_on(audit).unwrap();
        assert!(report.violations.is_empty(), "{:?}", report.violations);
        report
    };
    let first = audit(false);
    assert_eq!((first.from, first.names), (TreeSize(0), (GOOD.len() + BAD.len()) as u64));
    assert_eq!(first.counts.epochs, first.size.0);
    assert!(first.counts.objects > 0 && first.counts.causes == BAD.len() as u64);
    validator.publish_tiny("org.example.later", 1);
    let second = audit(false);
    assert_eq!((second.from, second.names), (first.size, first.names + 1));
    let third = audit(true);
    assert_eq!((third.from, third.names), (TreeSize(0), second.names));
}
