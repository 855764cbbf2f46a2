//! What the system is for: plugins go in, and what comes out convinces a peer offline, or says why it failed.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::BTreeMap;

use pds_core::cosignature::Window;
use pds_core::evidence::{Currency, Verified, from_tlog_proof, verify};
use pds_core::formula;
use pds_core::package::{PackageError, TermError, Trust, judge};
use pds_core::tlog_proof::TlogProof;
use pds_schemas::json::{Outcome, Progress, SubmissionStatus};
use pds_schemas::{
    Artefact, Binding, EpochNumber, Evidence, FailureCause, PluginName, PluginPackage, PosixTime, Release,
    State,
};
use pds_tests::http::Http;
use pds_tests::plugins::{BAD, FAILS, GOOD, HOLDS, developer, name, sample, signed, tiny};
use pds_tests::validator::Validator;
use pds_tests::world::World;

const WINDOW: Window = Window { now: PosixTime(0), max_age_s: 0, skew_s: 0 };

fn checked(validator: &Validator, name: &PluginName, evidence: &Evidence) -> Verified {
    verify(&validator.trusted(), name, evidence, &WINDOW, &mut Vec::new()).unwrap()
}

fn evidence(validator: &Validator, name: &PluginName) -> Verified {
    let verified = checked(validator, name, &validator.http().artefact(&format!("/plugins/{name}")));
    assert_eq!(verified.currency, Currency::Now);
    verified
}

fn cause(http: Http, verified: &Verified) -> FailureCause {
    let digest = verified.record.as_ref().unwrap().cause.unwrap();
    FailureCause::from_bytes(&http.addressed("causes", &digest)).unwrap()
}

/// The plugin as a peer receives it.
fn package(http: Http, name: &PluginName, binding: &Binding) -> PluginPackage {
    let object = |(name, digest): (&str, _)| (name.to_owned(), http.addressed("objects", digest));
    PluginPackage {
        manifest: http.addressed("objects", &binding.manifest),
        objects: binding.objects.iter().map(object).collect(),
        evidence: vec![http.artefact(&format!("/plugins/{name}"))],
    }
}

#[test]
fn plugins_are_published_with_evidence_that_holds_offline() {
    let mut validator = Validator::started();
    let http = validator.http();
    let mut world = World::new(&validator);
    let mut prepared = BTreeMap::new();
    for folder in GOOD.into_iter().chain(BAD) {
        let submission = signed(&sample(folder), 1, &developer(1));
        let answer = http.submit(&submission.upload.to_bytes());
        assert_eq!(answer.status, 202, "{folder}");
        let status: SubmissionStatus = answer.json();
        assert_eq!((status.submission, status.epoch), (submission.digest, None));
        world.acknowledge(status);
        prepared.insert(folder, submission);
    }

    for folder in GOOD {
        let submission = &prepared[folder];
        let status = validator.wait_published(&submission.digest);
        assert_eq!((status.outcome, status.cause), (Some(Outcome::Validated), None), "{folder}");
        let name = &submission.submission.name;
        let verified = evidence(&validator, name);
        let (record, binding) = (verified.record.unwrap(), verified.binding.unwrap());
        assert_eq!((record.state, record.highest_release), (State::Validated, Release(1)));
        assert_eq!(status.epoch, Some(record.changed));
        assert_eq!((binding.submission, binding.source), (submission.digest, submission.submission.source));
        let manifest = sample(folder).manifest;
        let objects: Vec<&str> = manifest.objects().into_iter().collect();
        assert_eq!(binding.objects.len(), objects.len());
        assert!(objects.iter().all(|object| binding.objects.get(object).is_some()));
        assert_eq!(binding.to_bytes(), http.addressed("bindings", &record.binding.unwrap()));
    }
    for (folder, stage, object) in
        [("broken", "structure", "smooth_rtt.o"), ("syntax", "build", "stream_opened.o")]
    {
        let submission = &prepared[folder];
        let status = validator.wait_published(&submission.digest);
        assert_eq!(status.outcome, Some(Outcome::Failed), "{folder}");
        let verified = evidence(&validator, &submission.submission.name);
        let record = verified.record.as_ref().unwrap();
        assert_eq!((record.state, record.cause), (State::Failed, status.cause), "{folder}");
        assert!(verified.binding.is_none());
        let cause = cause(http, &verified);
        assert_eq!((cause.submission, cause.stage.as_str()), (submission.digest, stage), "{folder}");
        assert_eq!(cause.object.as_deref(), Some(object), "{folder}");
        assert!(!cause.message.is_empty());
    }
    world.check_acknowledged(http);
    assert!(world.acknowledged().all(|status| status.progress == Progress::Published));

    let absent = evidence(&validator, &name("org.example.nobody"));
    assert!(absent.record.is_none() && absent.binding.is_none());
    world.check(http);
    validator.stop();
    validator.fsck();
}

#[test]
fn package_is_judged_by_its_bytes_and_its_epoch() {
    let validator = Validator::started();
    let http = validator.http();
    let prepared = signed(&sample("pacing"), 1, &developer(1));
    let status = validator.publish(&prepared);
    let name = &prepared.submission.name;
    let formula = formula::parse("PV[structure, reproducible]").unwrap();
    let trust = Trust::from([("PV".to_owned(), validator.trusted())]);
    let result = |package: &PluginPackage| {
        let judgement = judge(&formula, &trust, name, package, &WINDOW);
        assert_eq!(judgement.satisfied, judgement.terms[0].result.is_ok());
        judgement.terms[0].result.clone()
    };
    let binding = evidence(&validator, name).binding.unwrap();
    let package = package(http, name, &binding);
    assert!(result(&package).is_ok());

    for (i, (_, bytes)) in package.objects.iter().enumerate() {
        for bit in [0, bytes.len() * 4, bytes.len() * 8 - 1] {
            let mut tampered = package.clone();
            tampered.objects[i].1[bit / 8] ^= 1 << (bit % 8);
            let refused = result(&tampered);
            assert!(matches!(refused, Err(TermError::Package(PackageError::Object { .. }))), "{refused:?}");
        }
    }
    let mut tampered = package.clone();
    tampered.manifest.push(b'\n');
    assert!(matches!(result(&tampered), Err(TermError::Package(PackageError::Manifest { .. }))));

    // How it was is no word about how it is.
    validator.wait_epochs(1);
    let epoch = status.epoch.unwrap();
    let past: Evidence = http.artefact(&format!("/plugins/{name}?epoch={epoch}"));
    let verified = checked(&validator, name, &past);
    assert!(matches!(verified.currency, Currency::History { .. }));
    assert_eq!((verified.str.epoch, verified.binding.as_ref()), (epoch, Some(&binding)));
    let refused = result(&PluginPackage { evidence: vec![past], ..package });
    assert!(matches!(refused, Err(TermError::History { .. })), "{refused:?}");
    let before = checked(&validator, name, &http.artefact(&format!("/plugins/{name}?epoch=0")));
    assert!(before.record.is_none());

    let path = format!("/plugins/{name}");
    let text = http.get_with(&path, &[("accept", "text/plain")]).body;
    let from_text = from_tlog_proof(&TlogProof::parse(&text).unwrap()).unwrap();
    assert_eq!(checked(&validator, name, &from_text).binding, Some(binding));
}

#[test]
fn release_replaces_the_one_before_it_unless_it_fails() {
    let validator = Validator::started();
    let http = validator.http();
    let plugin = name("org.example.releases");
    let submit = |release: u64, code: &str| {
        let plugin = tiny("org.example.releases", &format!("// {release}\n{code}"));
        validator.publish(&signed(&plugin, release, &developer(1)))
    };
    submit(1, HOLDS);
    let first = evidence(&validator, &plugin);

    submit(5, HOLDS);
    let second = evidence(&validator, &plugin);
    let (record, binding) = (second.record.as_ref().unwrap(), second.binding.as_ref().unwrap());
    assert_eq!((record.highest_release, binding.release), (Release(5), Release(5)));
    assert_ne!(Some(binding), first.binding.as_ref());
    assert!(record.previous.is_some() && record.changed > first.record.unwrap().changed);

    let failed = submit(6, FAILS);
    assert_eq!(failed.outcome, Some(Outcome::Failed));
    let third = evidence(&validator, &plugin);
    let record = third.record.as_ref().unwrap();
    assert_eq!((record.state, record.highest_release), (State::Validated, Release(6)));
    assert_eq!(third.binding, second.binding, "the release before stays");
    let cause = cause(http, &third);
    assert_eq!((cause.release, cause.stage.as_str()), (Release(6), "build"));
    assert!(cause.message.contains("nothing to build"), "{}", cause.message);

    submit(7, HOLDS);
    let fourth = evidence(&validator, &plugin);
    assert_eq!(fourth.binding.unwrap().release, Release(7));
    assert_eq!(fourth.record.unwrap().cause, None);
    assert!(fourth.str.epoch > EpochNumber(3));
}
