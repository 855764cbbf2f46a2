//! Trust files: what they say, and what is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

mod common;

use common::{Desk, Fake, NOW, World};
use pds_client::trust::{TrustFile, TrustFileError};
use pds_core::evidence::TrustError;
use pds_core::formula;
use pds_schemas::PosixTime;

async fn desk() -> Desk {
    let mut fakes = Vec::new();
    for seed in [1, 2] {
        fakes.push(Fake::start(World::new(seed, NOW)).await);
    }
    Desk::new(&[&fakes[0], &fakes[1]])
}

/// The error of the good file with one text replaced.
async fn refused(from: &str, to: &str) -> TrustFileError {
    let desk = desk().await;
    let text = std::fs::read_to_string(&desk.trust).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    std::fs::write(&desk.trust, text.replacen(from, to, 1)).unwrap();
    TrustFile::load(&desk.trust).unwrap_err()
}

#[tokio::test]
async fn trust_file_has_defaults() {
    let desk = desk().await;
    let trust = desk.trust();
    let known = trust.get("PV1").unwrap();
    assert_eq!(known.trusted.origin(), "pv1.example");
    let window = known.window(PosixTime(NOW));
    assert_eq!((window.max_age_s, window.skew_s), (86_400, 300));
    assert_eq!(trust.everybody().to_string(), "PV1 & PV2");
    let formula = formula::parse("PV2 | PV1[structure] | PV2").unwrap();
    let named: Vec<_> =
        trust.named_by(&formula).unwrap().iter().map(|known| known.nickname.clone()).collect();
    assert_eq!(named, ["PV1", "PV2"]);
    assert!(matches!(trust.get("PV3"), Err(TrustFileError::Unknown { .. })));
}

#[tokio::test]
async fn trust_file_is_refused_with_its_cause() {
    use TrustFileError as E;
    assert!(matches!(refused("url", "uri").await, E::Parse { message, .. } if message.contains("uri")));
    assert!(matches!(refused("http://", "gopher://").await, E::Url { nickname, .. } if nickname == "PV1"));
    assert!(matches!(refused("pv1.example/str+", "pv1.example/str-").await, E::Key { .. }));
    assert!(matches!(refused("pv1.policy", "pv9.policy").await, E::Read { .. }));
    assert!(matches!(refused("validators.PV1", "validators.\"P V\"").await, E::Nickname(_)));
    assert!(matches!(refused("validators.PV1", "validators.\"PV1[a]\"").await, E::Nickname(_)));
    let other_policy = refused("pv1.policy", "pv2.policy").await;
    assert!(matches!(other_policy, E::Trust { source: TrustError::Origins { .. }, .. }), "{other_policy:?}");
}

#[tokio::test]
async fn trust_file_is_refused_when_one_validator_could_vouch_twice() {
    let desk = desk().await;
    let text = std::fs::read_to_string(&desk.trust).unwrap();
    let again = text.split("[validators.PV2]").next().unwrap().replace("PV1", "PV3");
    std::fs::write(&desk.trust, text + &again).unwrap();
    assert!(matches!(TrustFile::load(&desk.trust), Err(TrustFileError::SameOrigin { .. })));
}

#[tokio::test]
async fn trust_file_is_refused_when_two_origins_have_one_key() {
    let mut twin = World::new(1, NOW);
    twin.origin = "pv9.example".to_owned();
    let desk = Desk::new(&[&Fake::start(World::new(1, NOW)).await, &Fake::start(twin).await]);
    let error = TrustFile::load(&desk.trust).unwrap_err();
    let TrustFileError::SameKey { first, second } = &error else { panic!("{error:?}") };
    assert_eq!((first.as_str(), second.as_str()), ("PV1", "PV2"));
}

#[tokio::test]
async fn formula_is_refused_when_it_counts_a_validator_twice() {
    let trust = desk().await.trust();
    for text in ["2 of (PV1, PV1)", "PV1 & PV1", "2 of (PV1, PV2, PV1[structure])", "PV2 | 2 of (PV1, PV1)"] {
        let error = trust.named_by(&formula::parse(text).unwrap()).unwrap_err();
        assert!(matches!(&error, TrustFileError::CountedTwice(twice) if twice == "PV1"), "{text}: {error:?}");
    }
    for text in ["PV1 | PV1[structure]", "2 of (PV1, PV2)", "(PV1 & PV2) | (PV1[structure] & PV2)"] {
        assert!(trust.named_by(&formula::parse(text).unwrap()).is_ok(), "{text}");
    }
}

#[tokio::test]
async fn policy_without_witnesses_needs_a_flag() {
    let desk = desk().await;
    let policy = std::fs::read_to_string(desk.path("pv1.policy")).unwrap();
    std::fs::write(desk.path("pv1.policy"), policy.replace("quorum w", "quorum none")).unwrap();
    let error = TrustFile::load(&desk.trust).unwrap_err();
    assert!(matches!(error, TrustFileError::Trust { source: TrustError::QuorumNone, .. }), "{error:?}");
    let text = std::fs::read_to_string(&desk.trust).unwrap();
    std::fs::write(&desk.trust, text.replacen("url", "allow_quorum_none = true\nurl", 1)).unwrap();
    assert!(TrustFile::load(&desk.trust).is_ok());
}
