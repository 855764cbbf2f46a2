//! The check is content with what is sound, and names what is not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;

use common::{BUDGET, Outcome, Validator, assert_sound, check, keys, raw};
use pds_core::prefix::{PageId, page_links};
use pds_schemas::disk::{Head, SubmissionEntry, SubmissionOutcome};
use pds_schemas::{Artefact, Digest, EpochNumber, NameRecord, SignedTreeRoot};
use pds_store::fsck::{self, Finding, Problem};
use pds_store::{BlobKind, Family, Place, Store};
use rocksdb::DB;

/// Findings in a database that is open for tampering: a reader sees what is in its log.
fn findings(path: &Path) -> Vec<Finding> {
    check(&Store::open_read_only(path, &BUDGET).unwrap()).0
}

fn show(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

fn tampered_with(path: &Path) -> DB {
    drop(Validator::with_history(path));
    raw::open(path)
}

#[test]
fn sound_store_has_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut pv = Validator::create(&path);
    assert_eq!(assert_sound(&pv.store), fsck::Counts::default());
    pv.close(&[]);
    let empty = assert_sound(&pv.store);
    assert_eq!((empty.epochs, empty.nodes, empty.pages, empty.names), (1, 1, 0, 0));
    drop(pv);

    let pv = Validator::with_history(&folder.path().join("other"));
    let mut steps = Vec::new();
    let counts =
        fsck::check(&pv.store, &keys(), &mut |finding| panic!("{finding}"), &mut |step| steps.push(step));
    let expect = fsck::Counts {
        epochs: 4,
        nodes: 7,
        pages: counts.pages,
        changes: 17,
        names: 12,
        blobs: counts.blobs,
        submissions: 14,
        queued: 9,
        outcomes: 5,
        archives: 14,
        findings: 0,
    };
    assert_eq!(counts, expect);
    assert!(counts.pages > 4 && counts.blobs > 30, "{counts:?}");
    assert!(steps.iter().any(|step| (step.family, step.done, step.of) == (Family::Entries, 4, Some(4))));
}

#[test]
fn flipped_byte_is_named_in_every_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let db = tampered_with(&path);
    for family in Family::ALL {
        let pairs = raw::pairs(&db, family);
        assert!(!pairs.is_empty(), "{family}");
        for (i, (key, value)) in pairs.into_iter().enumerate() {
            let place = family.at(key.clone());
            if (family, key.as_slice()) == (Family::Meta, b"format") {
                continue; // Without its format, a store is not opened: see locking.rs.
            }
            // Some bytes of each value; between them, all kinds of bytes there are.
            for at in [0, 1, value.len() / 3 + i, value.len() / 2, value.len() * 2 / 3 + i, value.len() - 1] {
                let at = at % value.len();
                let mut flipped = value.clone();
                flipped[at] ^= 1 << (i % 8);
                raw::put(&db, family, &key, &flipped);
                let found = findings(&path);
                let named = found.iter().any(|finding| names(finding, &place));
                assert!(named, "byte {at} of {place}: {:#?}", show(&found));
            }
            raw::put(&db, family, &key, &value);
        }
    }
    assert!(findings(&path).is_empty());
}

/// What was tampered with may be the place; or what names a missing place; or a page above the place, which no longer
/// names it or names it under another epoch.
fn names(finding: &Finding, tampered: &Place) -> bool {
    let page = |place: &Place| PageId::from_key(&place.key).unwrap();
    let place = &finding.place;
    place == tampered
        || matches!(&finding.problem, Problem::Unresolved(by) if by == tampered)
        || (place.family, tampered.family) == (Family::Pages, Family::Pages)
            && page(place).depth() > page(tampered).depth()
            && page(place).prefix().common_prefix(page(tampered).prefix()) >= page(tampered).depth().into()
}

#[test]
fn missing_value_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let db = tampered_with(&path);
    let queued: Vec<_> = raw::pairs(&db, Family::Queue).into_iter().map(|(index, _)| index).collect();
    for family in Family::ALL.into_iter().filter(|family| *family != Family::Meta) {
        for (key, value) in raw::pairs(&db, family) {
            raw::delete(&db, family, &key);
            let found = findings(&path);
            let expect = match family {
                // What nothing waits for any more may go.
                Family::Archives if !queued.contains(&key) => None,
                Family::Submissions => Some(Family::Meta.at("next-queue-index")),
                Family::Queue => Some(Family::Submissions.at(value.clone())),
                Family::Outcomes => {
                    let outcome = SubmissionOutcome::from_bytes(&value).unwrap();
                    Some(Family::Submissions.at(outcome.submission.0))
                }
                _ => Some(family.at(key.clone())),
            };
            let named = expect.as_ref().is_none_or(|expect| found.iter().any(|f| f.place == *expect));
            assert!(named, "{}: {:#?}", family.at(key.clone()), show(&found));
            assert_eq!(expect.is_some(), !found.is_empty(), "{:#?}", show(&found));
            raw::put(&db, family, &key, &value);
        }
    }
    assert!(findings(&path).is_empty());
}

#[test]
fn head_that_contradicts_the_log_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let db = tampered_with(&path);
    let pairs = raw::pairs(&db, Family::Meta);
    let honest = pairs.into_iter().find(|(key, _)| key == b"head").unwrap().1;
    let check = |expect: &str, change: fn(&mut Head)| {
        let mut head = Head::from_bytes(&honest).unwrap();
        change(&mut head);
        raw::put(&db, Family::Meta, b"head", &head.to_bytes());
        let found = findings(&path);
        let named =
            |f: &Finding| f.place == Family::Meta.at("head") && f.problem.to_string().contains(expect);
        assert!(found.iter().any(named), "{expect}: {:#?}", show(&found));
    };
    check("log root", |head| head.log_root.0[0] ^= 1);
    check("STR hash", |head| head.str_hash.0[0] ^= 1);
    check("its time", |head| head.time.0 += 1);
    check("number of names", |head| head.names += 1);
    check("prefix root", |head| head.prefix = head.prefix.map(|(root, _)| (root, EpochNumber(1))));
    check("tree is not whole", |head| head.prefix = head.prefix.map(|(root, _)| (root, EpochNumber(1))));
    check("another size or root", |head| head.size.0 -= 1);
    check("signature", |head| head.checkpoint = head.checkpoint.replace("\n4\n", "\n5\n"));
}

#[test]
fn missing_head_is_named_by_what_it_does_not_cover() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let db = tampered_with(&path);
    raw::delete(&db, Family::Meta, b"head");
    let found = findings(&path);
    let beyond = |family: Family, epoch: u64| {
        found
            .iter()
            .any(|f| f.place == family.at(epoch.to_be_bytes()) && matches!(f.problem, Problem::Beyond))
    };
    assert!((0..4).all(|epoch| beyond(Family::Entries, epoch) && beyond(Family::Epochs, epoch)));
    assert!(found.iter().any(|f| f.place.family == Family::Nodes && matches!(f.problem, Problem::Beyond)));
}

#[test]
fn values_beyond_the_head_and_under_strange_keys_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let db = tampered_with(&path);
    let number = |number: u64| number.to_be_bytes().to_vec();
    let page = |epoch| PageId::new(EpochNumber(epoch), 0, Digest::ZERO).unwrap().to_key();
    let check = |family: Family, key: Vec<u8>, expect: &str| {
        raw::put(&db, family, &key, b"anything");
        let found = findings(&path);
        let named = |f: &Finding| f.place == family.at(key.clone()) && f.problem.to_string().contains(expect);
        assert!(found.iter().any(named), "{}: {:#?}", family.at(key.clone()), show(&found));
        raw::delete(&db, family, &key);
    };
    check(Family::Entries, number(4), "beyond");
    check(Family::Entries, number(u64::MAX), "beyond");
    check(Family::Epochs, number(4), "beyond");
    check(Family::Transitions, number(4), "unfinished");
    check(Family::Transitions, number(5), "beyond");
    check(Family::Pages, page(4), "unfinished");
    check(Family::Pages, page(5), "beyond");
    // Epoch 2 changed nothing.
    check(Family::Pages, page(2), "kinds call for");
    check(Family::Nodes, [vec![0], number(4)].concat(), "beyond");
    check(Family::Nodes, [vec![2], number(1)].concat(), "beyond");
    check(Family::Nodes, [vec![64], number(0)].concat(), "key");
    check(Family::Blobs, vec![0; 33], "key");
    check(Family::Blobs, vec![6; 33], "key");
    check(Family::Archives, vec![7; 8], "no submission");
    check(Family::Queue, number(1000), "bytes");
    for family in Family::ALL {
        check(family, vec![0, 0, 1], "key");
        check(family, vec![0xff; 77], "key");
    }
    let page_of_epoch_1 =
        raw::pairs(&db, Family::Pages).into_iter().find(|(key, _)| *key == page(1)).unwrap().1;
    raw::put(&db, Family::Pages, &page(2), &page_of_epoch_1);
    let found = findings(&path);
    let idle = |f: &Finding| f.place.key == page(2) && f.problem.to_string().contains("changed nothing");
    assert!(found.iter().any(idle), "{:#?}", show(&found));
    raw::delete(&db, Family::Pages, &page(2));
    assert!(findings(&path).is_empty());
}

#[test]
fn unfinished_epoch_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let pv = Validator::with_history(&path);
    let draft = pv.draft(&[(pv.store.queue(0, 1).unwrap()[0].1, Outcome::Validated)]);
    pv.store.write_epoch_data(&draft.data()).unwrap();
    drop(pv);
    let found = findings(&path);
    assert_eq!(found.len(), draft.pages.len() + 1);
    assert!(
        found.iter().all(|finding| matches!(finding.problem, Problem::Unfinished)),
        "{:#?}",
        show(&found)
    );
}

#[test]
fn link_to_another_epochs_page_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let db = tampered_with(&path);
    let mut tried = 0;
    for (key, value) in raw::pairs(&db, Family::Pages) {
        let id = PageId::from_key(&key).unwrap();
        let below = page_links(&id, &value).unwrap().below;
        for (child, hash) in below.iter().filter(|(child, _)| child.epoch() < id.epoch()) {
            // The four bytes behind the child's hash: the only ones that no hash covers.
            let at = value.windows(32).position(|bytes| bytes == hash.as_ref()).unwrap() + 32;
            for epoch in (0..=id.epoch().0).filter(|epoch| *epoch != child.epoch().0) {
                let mut other = value.clone();
                other[at..at + 4].copy_from_slice(&(epoch as u32).to_be_bytes());
                assert_eq!(page_links(&id, &other).unwrap().hash, page_links(&id, &value).unwrap().hash);
                raw::put(&db, Family::Pages, &key, &other);
                let found = findings(&path);
                assert!(
                    found.iter().any(|f| names(f, &Family::Pages.at(key.clone()))),
                    "{:#?}",
                    show(&found)
                );
                tried += 1;
            }
            raw::put(&db, Family::Pages, &key, &value);
        }
    }
    assert!(tried > 2, "the history has no links to earlier epochs");
}

#[test]
fn log_of_another_validator_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let pv = Validator::with_history(&folder.path().join("store"));
    let check = |keys: fsck::Keys| {
        let mut found = Vec::new();
        fsck::check(&pv.store, &keys, &mut |finding| found.push(finding), &mut |_| {});
        found
    };
    let place = |epoch: u64| Family::Entries.at(epoch.to_be_bytes());
    let found = check(fsck::Keys { str: pds_schemas::PublicKey([9; 32]), ..keys() });
    let unsigned =
        |epoch| found.iter().any(|f| f.place == place(epoch) && matches!(f.problem, Problem::Signature(_)));
    assert!((0..4).all(unsigned), "{:#?}", show(&found));

    let found = check(fsck::Keys { origin: "other.example/log".to_owned(), ..keys() });
    let foreign =
        |epoch| found.iter().any(|f| f.place == place(epoch) && f.problem.to_string().contains("origin"));
    assert!((0..4).all(foreign), "{:#?}", show(&found));

    let name = pds_core::note::KeyName::new(common::ORIGIN).unwrap();
    let other = pds_core::note::NoteSigner::new(name, &[8; 32]).unwrap();
    let found = check(fsck::Keys { log: other.verifier().clone(), ..keys() });
    assert_eq!(found.len(), 1);
    assert!(matches!(found[0].problem, Problem::Checkpoint(_)), "{:#?}", show(&found));
}

#[test]
fn signed_statement_that_does_not_hold_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let waiting = |pv: &Validator| pv.store.queue(0, 1).unwrap()[0].1;
    let check = |test: &str, family: Family, expect: &str, change: fn(&mut SignedTreeRoot)| {
        let mut pv = Validator::with_history(&folder.path().join(test));
        let draft = pv.draft_of(&[(waiting(&pv), Outcome::Validated)], |_| {}, change);
        pv.store.write_epoch_data(&draft.data()).unwrap();
        pv.store.commit_epoch(&draft.commit()).unwrap();
        pv.adopt(draft);
        let (found, _) = check(&pv.store);
        let named = |f: &Finding| {
            let of_epoch =
                f.place.key.starts_with(&4u64.to_be_bytes()) || f.place.key.starts_with(&4u32.to_be_bytes());
            f.place.family == family && of_epoch && f.problem.to_string().contains(expect)
        };
        assert!(found.iter().any(named), "{test}: {:#?}", show(&found));
    };
    check("time", Family::Entries, "time is before", |str| str.time.0 = 999);
    check("previous", Family::Entries, "previous digest", |str| str.previous.0[0] ^= 1);
    check("origin", Family::Entries, "origin", |str| str.origin = "other.example/log".to_owned());
    check("epoch", Family::Entries, "epoch is not its index", |str| str.epoch.0 = 5);
    check("names", Family::Entries, "number of names", |str| str.names += 1);
    check("changes", Family::Transitions, "change set", |str| str.changes.0[0] ^= 1);
    check("root", Family::Transitions, "root", |str| str.prefix_root.0[0] ^= 1);
    check("pages", Family::Pages, "root", |str| str.prefix_root.0[0] ^= 1);
}

#[test]
fn name_record_that_does_not_follow_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let check = |test: &str, expect: &str, change: fn(&mut NameRecord)| {
        let mut pv = Validator::with_history(&folder.path().join(test));
        let late = pv.store.queue(0, 100).unwrap().last().unwrap().1;
        let draft = pv.draft_of(&[(late, Outcome::Validated)], change, |_| {});
        pv.store.write_epoch_data(&draft.data()).unwrap();
        pv.store.commit_epoch(&draft.commit()).unwrap();
        pv.adopt(draft);
        let (found, _) = check(&pv.store);
        let named = |f: &Finding| f.place.family == Family::Blobs && f.problem.to_string().contains(expect);
        assert!(found.iter().any(named), "{test}: {:#?}", show(&found));
    };
    check("name", "another name than the change", |record| record.name = common::name("org.example.other"));
    check("previous", "previous record", |record| record.previous = Some(Digest::ZERO));
    check("changed", "epoch is not the one", |record| record.changed.0 -= 1);
    check("owner", "owner record of another name", |record| record.name = common::name("org.example.other"));
    check("no-owner", "names it", |record| record.owner = Digest::ZERO);
    check("release", "above the highest", |record| record.highest_release.0 = 6);
}

#[test]
fn submission_that_contradicts_the_log_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let db = tampered_with(&path);
    let entries: Vec<_> = raw::pairs(&db, Family::Submissions)
        .into_iter()
        .map(|(key, value)| (key, SubmissionEntry::from_bytes(&value).unwrap()))
        .collect();
    let check = |of: &(Vec<u8>, SubmissionEntry), expect: &str, change: &dyn Fn(&mut SubmissionEntry)| {
        let (key, honest) = of;
        let mut entry = honest.clone();
        change(&mut entry);
        raw::put(&db, Family::Submissions, key, &entry.to_bytes());
        let found = findings(&path);
        let place = Family::Submissions.at(key.clone());
        let named = |f: &Finding| f.place == place && f.problem.to_string().contains(expect);
        assert!(found.iter().any(named), "{expect}: {:#?}", show(&found));
        raw::put(&db, Family::Submissions, key, &honest.to_bytes());
    };
    for (i, submission) in entries.iter().enumerate() {
        check(submission, "another submission or index", &|entry| entry.index += 1);
        let neighbour = &entries[(i + 1) % entries.len()].1;
        check(submission, "another submission or index", &|entry| {
            entry.receipt.clone_from(&neighbour.receipt);
        });
        check(submission, "than its key says", &|entry| entry.signed.clone_from(&neighbour.signed));
    }
    assert!(findings(&path).is_empty());
}

#[test]
fn outcome_that_contradicts_the_log_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let db = tampered_with(&path);
    let outcomes: Vec<_> = raw::pairs(&db, Family::Outcomes)
        .into_iter()
        .map(|(key, value)| (key, SubmissionOutcome::from_bytes(&value).unwrap()))
        .collect();
    let named = |place: &Place, expect: &str| {
        let found = findings(&path);
        let named = |f: &Finding| f.place == *place && f.problem.to_string().contains(expect);
        assert!(found.iter().any(named), "{expect}: {:#?}", show(&found));
    };
    let check = |of: &(Vec<u8>, SubmissionOutcome), expect: &str, change: &dyn Fn(&mut SubmissionOutcome)| {
        let (key, honest) = of;
        let mut outcome = *honest;
        change(&mut outcome);
        raw::put(&db, Family::Outcomes, key, &outcome.to_bytes());
        named(&Family::Outcomes.at(key.clone()), expect);
        raw::put(&db, Family::Outcomes, key, &honest.to_bytes());
    };
    let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.cause.is_some()).collect();
    let queued = raw::pairs(&db, Family::Queue);
    assert_eq!((outcomes.len(), failed.len()), (5, 2));
    for (i, outcome) in outcomes.iter().enumerate() {
        let (key, SubmissionOutcome { submission, epoch, .. }) = outcome;
        for other in (0..4).map(EpochNumber).filter(|other| other != epoch) {
            check(outcome, "is not decided in the epoch", &|outcome| {
                (outcome.epoch, outcome.cause) = (other, None);
            });
        }
        check(outcome, "beyond the head", &|outcome| outcome.epoch = EpochNumber(4));
        check(outcome, "names no submission", &|outcome| outcome.submission = Digest::ZERO);
        let neighbour = outcomes[(i + 1) % outcomes.len()].1.submission;
        check(outcome, "has another index", &|outcome| outcome.submission = neighbour);
        raw::delete(&db, Family::Outcomes, key);
        named(&Family::Submissions.at(submission.0), "not in the queue");
        raw::put(&db, Family::Outcomes, key, &outcome.1.to_bytes());
    }
    check(failed[0], "cause is another", &|outcome| outcome.cause = failed[1].1.cause);
    check(failed[0], "ended otherwise", &|outcome| outcome.cause = None);
    // One that waits, and of which an outcome says that it does not.
    let (key, digest) = &queued[0];
    let early = SubmissionOutcome { submission: Digest(digest[..].try_into().unwrap()), ..outcomes[0].1 };
    raw::put(&db, Family::Outcomes, key, &early.to_bytes());
    named(&Family::Queue.at(key.clone()), "is decided");
    raw::delete(&db, Family::Outcomes, key);
    assert!(findings(&path).is_empty());
}

#[test]
fn blob_that_was_never_written_is_named_by_what_names_it() {
    let folder = tempfile::tempdir().unwrap();
    for kind in BlobKind::ALL {
        let mut pv = Validator::create(&folder.path().join(kind.name()));
        let all = pv.submit_all([("org.example.a".to_owned(), 1), ("org.example.b".to_owned(), 1)]);
        let mut draft = pv.draft(&[(all[0], Outcome::Validated), (all[1], Outcome::Failed)]);
        draft.blobs.retain(|blob| blob.kind() != kind);
        pv.store.write_epoch_data(&draft.data()).unwrap();
        pv.store.commit_epoch(&draft.commit()).unwrap();
        let (found, _) = check(&pv.store);
        let unresolved = |f: &Finding| {
            f.place.family == Family::Blobs
                && f.place.to_string().contains(kind.name())
                && matches!(f.problem, Problem::Unresolved(_))
        };
        assert!(!found.is_empty() && found.iter().all(unresolved), "{}: {:#?}", kind.name(), show(&found));
    }
}

#[test]
fn two_decisions_about_a_name_in_one_epoch_are_sound() {
    let folder = tempfile::tempdir().unwrap();
    for (i, first) in [Outcome::Validated, Outcome::Failed].into_iter().enumerate() {
        for (j, second) in [Outcome::Validated, Outcome::Failed].into_iter().enumerate() {
            let mut pv = Validator::create(&folder.path().join(format!("{i}{j}")));
            let all = pv.submit_all((1..3).map(|release| ("org.example.a".to_owned(), release)));
            pv.close(&[(all[0], first), (all[1], second)]);
            assert_sound(&pv.store);
        }
    }
}

/// A flipped byte in a table file is refused at opening, found by the check, or without any effect.
#[test]
fn flipped_byte_in_a_table_file_changes_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(tampered_with(&path));
    let everything = || {
        let db = raw::open(&path);
        Family::ALL.map(|family| raw::pairs(&db, family))
    };
    // Opening for writing turned the log into table files.
    let expect = everything();
    let files = fs::read_dir(&path).unwrap().map(|file| file.unwrap().path());
    let tables: Vec<_> = files.filter(|file| file.extension().is_some_and(|e| e == "sst")).collect();
    assert!(tables.len() >= Family::ALL.len());
    let (mut refused, mut found, mut harmless) = (0, 0, 0);
    for table in tables {
        let sound = fs::read(&table).unwrap();
        for step in 0..12 {
            let mut bytes = sound.clone();
            bytes[sound.len() * step / 12] ^= 1 << (step % 8);
            fs::write(&table, bytes).unwrap();
            match Store::open_read_only(&path, &BUDGET).map(|store| check(&store).0.len()) {
                Err(_) => refused += 1,
                Ok(0) => {
                    harmless += 1;
                    assert!(everything() == expect, "{table:?} at {step}/12");
                }
                Ok(_) => found += 1,
            }
            fs::write(&table, &sound).unwrap();
        }
    }
    assert!(found + refused > 4 * harmless, "{refused} refused, {found} found, {harmless} harmless");
}
