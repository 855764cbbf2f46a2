use pds_schemas::{OwnerRecord, PluginName, Release, Submission};
use pds_service::http::Client;
use tempfile::TempDir;

use super::*;
use crate::config::tests::config_in;
use crate::epoch_writer::EpochContent;
use crate::{identity, recovery};

/// A sequencer on a validator made for it, whose epoch 0 has `time`; nobody builds.
struct Bench {
    sequencer: Sequencer,
    _folder: TempDir,
}

impl Bench {
    fn new(time: PosixTime) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config_in(folder.path());
        identity::init(&config).unwrap();
        let mut writer = recovery::open(&config).unwrap();
        let published = writer.close(time, EpochContent::default()).unwrap();
        let shared = Arc::new(Shared::new(Arc::clone(&writer.store), published));
        let rules = Rules {
            interval: Duration::from_secs(60),
            decide_within_s: 120,
            queue: QueueLimits { all: 10, per_owner: 10, per_client: 10 },
            disk: config.data_dir.clone(),
            reserve_bytes: 0,
        };
        let line = Line::new(1, Duration::ZERO);
        let sequencer = Sequencer::new(rules, writer, shared, Queue::default(), 0, line);
        Self { sequencer, _folder: folder }
    }

    fn accept(&mut self, group: Vec<Candidate>) -> Vec<Result<Acknowledged, Refusal>> {
        let (group, mut answers): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|candidate| {
                let (answer, result) = oneshot::channel();
                ((candidate, answer), result)
            })
            .unzip();
        self.sequencer.accept(group);
        answers.iter_mut().map(|answer| answer.try_recv().expect("everybody is answered")).collect()
    }

    fn stored(&self) -> u64 {
        self.sequencer.writer.store.next_queue_index().unwrap()
    }
}

fn candidate(name: &str, release: u64, owner: u8) -> Candidate {
    let name = PluginName::new(name).unwrap();
    let key = cose::signing_key(&[owner; 32]);
    let submission = Submission {
        name: name.clone(),
        release: Release(release),
        source: Digest([7; 32]),
        manifest: "a.plugin".to_owned(),
        bytecode: None,
        owner: OwnerRecord::first(name, cose::public_key(&key)),
    };
    let signed = cose::sign(SignedKind::Submission, &submission, &key).to_bytes();
    Candidate {
        digest: pds_core::hash::sha256(&submission.to_bytes()),
        submission,
        signer: cose::public_key(&key),
        client: Client::Many,
        signed,
        archive: vec![1],
    }
}

#[test]
fn promise_is_counted_from_the_last_epoch_when_the_clock_went_back() {
    let ahead = PosixTime(now().0 + 1_000_000);
    let mut bench = Bench::new(ahead);
    let acknowledged = bench.accept(vec![candidate("a.b", 1, 1)]).remove(0).unwrap();
    let key = cose::public_key(&bench.sequencer.writer.identity.str);
    let receipt: Receipt = cose::open(&acknowledged.entry.receipt, SignedKind::Receipt, &key).unwrap();
    assert_eq!((receipt.time, receipt.decide_by), (ahead, PosixTime(ahead.0 + 120)));
}

#[test]
fn group_is_decided_as_if_it_came_one_by_one() {
    let mut bench = Bench::new(now());
    let group = vec![
        candidate("a.b", 1, 1),
        candidate("a.b", 1, 1),
        candidate("a.b", 2, 2),
        candidate("a.b", 3, 1),
        candidate("a.b", 2, 1),
    ];
    let results = bench.accept(group);
    let index = |i: usize| results[i].as_ref().map(|a| (a.entry.index, a.known)).map_err(Clone::clone);
    assert_eq!((index(0), index(1), index(3)), (Ok((0, false)), Ok((0, true)), Ok((1, false))));
    assert!(matches!(index(2), Err(Refusal::NotOwner(..))));
    assert!(matches!(index(4), Err(Refusal::OldRelease { highest: Release(3), .. })));
    assert_eq!(bench.stored(), 2);
}

#[test]
fn nothing_is_written_when_a_fault_comes_up_within_a_group() {
    let mut bench = Bench::new(now());
    let known = bench.accept(vec![candidate("a.b", 1, 1)]).remove(0).unwrap();
    // What no decoder reads stands for a damaged place of the database.
    let damaged = candidate("c.d", 1, 1);
    let entry = SubmissionEntry { signed: vec![0; 1 << 17], index: 1, ..known.entry };
    let accepted = Accepted { digest: damaged.digest, entry, archive: vec![1], owner: vec![1] };
    bench.sequencer.writer.store.accept(&[accepted]).unwrap();
    bench.sequencer.next_index = 2;

    let group = vec![candidate("e.f", 1, 1), candidate("a.b", 1, 1), damaged, candidate("g.h", 1, 1)];
    let results = bench.accept(group);
    assert!(matches!(results[1], Ok(Acknowledged { known: true, .. })), "what is durable is told");
    for i in [0, 2, 3] {
        assert_eq!(results[i].as_ref().unwrap_err(), &Refusal::Halted);
    }
    assert_eq!(bench.stored(), 2);
    bench.sequencer.close_epoch(PosixTime(5_000_000_001));
    assert_eq!(bench.sequencer.writer.next_epoch(), pds_schemas::EpochNumber(1), "nor is anything signed");
}

#[test]
fn submission_fails_in_the_epoch_by_which_its_decision_was_promised() {
    let mut bench = Bench::new(PosixTime(5_000_000_000));
    bench.accept(vec![candidate("org.example.slow", 1, 1)]).remove(0).unwrap();
    let name = PluginName::new("org.example.slow").unwrap();
    let record = |bench: &Bench| {
        let writer = &bench.sequencer.writer;
        crate::queue::current_record(&writer.store, &writer.tree, &name).unwrap().unwrap()
    };
    bench.sequencer.close_epoch(PosixTime(5_000_000_119));
    assert_eq!(record(&bench).state, pds_schemas::State::Pending);

    bench.sequencer.close_epoch(PosixTime(5_000_000_120));
    let failed = record(&bench);
    assert_eq!(failed.state, pds_schemas::State::Failed);
    let store = &bench.sequencer.writer.store;
    let cause = store.blob(pds_store::BlobKind::Cause, &failed.cause.unwrap()).unwrap().unwrap();
    assert_eq!(pds_schemas::FailureCause::from_bytes(&cause).unwrap().stage, "overdue");

    // What the builder finds later changes nothing.
    let late = decide::undecided(Undecided::Overdue, &name, Release(1), Digest::ZERO, Digest::ZERO).unwrap();
    bench.sequencer.decided(0, late);
    bench.sequencer.close_epoch(PosixTime(5_000_000_121));
    assert_eq!(record(&bench), failed);
}

#[test]
fn release_that_the_log_saw_and_a_restore_lost_may_be_brought_again() {
    let mut bench = Bench::new(PosixTime(5_000_000_000));
    let name = PluginName::new("a.b").unwrap();
    let record = |bench: &Bench| {
        let writer = &bench.sequencer.writer;
        crate::queue::current_record(&writer.store, &writer.tree, &name).unwrap()
    };
    // The log says that release 2 waits; nothing here does.
    let lost = || candidate("a.b", 2, 1);
    let owner = pds_core::hash::sha256(&lost().submission.owner.to_bytes());
    let events = vec![pds_core::name_record::NameEvent::Admitted { owner, release: Release(2) }];
    let names = vec![pds_core::epoch::NameEvents { name: name.clone(), current: None, events }];
    let admitted = EpochContent { names, ..EpochContent::default() };
    bench.sequencer.writer.close(PosixTime(5_000_000_001), admitted).unwrap();
    let pending = record(&bench).unwrap();

    let other = || {
        let mut other = lost();
        other.submission.source = Digest([8; 32]);
        other.digest = pds_core::hash::sha256(&other.submission.to_bytes());
        other
    };
    let refused = |bench: &mut Bench, candidate| bench.accept(vec![candidate]).remove(0).unwrap_err();
    assert!(matches!(refused(&mut bench, candidate("a.b", 1, 1)), Refusal::OldRelease { .. }));
    assert!(matches!(refused(&mut bench, candidate("a.b", 2, 2)), Refusal::NotOwner(..)));
    let brought = bench.accept(vec![lost()]).remove(0).unwrap();
    assert_eq!((brought.entry.index, brought.known), (0, false));
    // It is one submission: the same again is known, and another of its release is refused.
    assert!(bench.accept(vec![lost()]).remove(0).unwrap().known);
    assert!(matches!(refused(&mut bench, other()), Refusal::OldRelease { .. }));
    bench.sequencer.close_epoch(PosixTime(5_000_000_002));
    assert_eq!(record(&bench).as_ref(), Some(&pending), "the log has said all that already");
    bench.sequencer.close_epoch(PosixTime(6_000_000_000));
    assert_eq!(record(&bench).unwrap().state, pds_schemas::State::Failed, "it is decided, here as overdue");
    assert!(matches!(refused(&mut bench, other()), Refusal::OldRelease { .. }));
}
