//! The tests' memory of a validator objects to what it is there to object to.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use pds_core::checkpoint::Checkpoint;
use pds_core::cose::{self, SigningKey};
use pds_core::note::{KeyName, NoteSigner};
use pds_core::secret_key;
use pds_schemas::cose::SignedKind;
use pds_schemas::{Artefact, Digest, EpochNumber, PosixTime, SignedTreeRoot, TreeSize};
use pds_tests::validator::{ORIGIN, Validator};
use pds_tests::world::World;

fn key(validator: &Validator, which: &str) -> SigningKey {
    let text = std::fs::read_to_string(validator.path(format!("keys/{which}"))).unwrap();
    secret_key::from_text(&text).unwrap()
}

fn checkpoint(validator: &Validator, size: u64, root: u8) -> Vec<u8> {
    let signer = NoteSigner::new(KeyName::new(ORIGIN).unwrap(), &key(validator, "log").to_bytes()).unwrap();
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: TreeSize(size), root: Digest([root; 32]) };
    checkpoint.sign(&signer).unwrap().to_string().into_bytes()
}

fn entry(validator: &Validator, epoch: u64, time: u64) -> Vec<u8> {
    let str = SignedTreeRoot {
        origin: ORIGIN.to_owned(),
        epoch: EpochNumber(epoch),
        time: PosixTime(time),
        previous: if epoch == 0 { Digest::ZERO } else { Digest([1; 32]) },
        prefix_root: Digest::ZERO,
        names: 0,
        changes: Digest::ZERO,
        policy: Digest::ZERO,
        extensions: Digest::ZERO,
    };
    cose::sign(SignedKind::SignedTreeRoot, &str, &key(validator, "str")).to_bytes()
}

#[test]
#[should_panic(expected = "two checkpoints of 2 epochs")]
fn world_objects_when_a_size_has_two_roots() {
    let validator = Validator::new();
    let mut world = World::new(&validator);
    for (size, root) in [(1, 1), (2, 2), (2, 2), (3, 3), (2, 4)] {
        world.see_checkpoint(&checkpoint(&validator, size, root));
    }
}

#[test]
#[should_panic(expected = "two STRs of epoch 1")]
fn world_objects_when_an_epoch_has_two_strs() {
    let validator = Validator::new();
    let mut world = World::new(&validator);
    for (epoch, time) in [(0, 1), (1, 2), (1, 2), (0, 1), (1, 3)] {
        world.see_entry(entry(&validator, epoch, time));
    }
}

#[test]
#[should_panic(expected = "the log of 1 epochs does not grow into that of")]
fn world_objects_when_a_checkpoint_is_not_of_the_log() {
    let mut validator = Validator::new();
    let mut world = World::new(&validator);
    // The log that is served afterwards begins otherwise.
    world.see_checkpoint(&checkpoint(&validator, 1, 1));
    validator.start();
    validator.wait_epochs(1);
    world.check(validator.http());
}
