//! Whether everything that records and STRs point at can be had, is what its digest says, and is about the record's name.

use std::collections::{BTreeMap, BTreeSet};

use pds_schemas::{Artefact, BuildEnvironment, Digest, PluginName, Release, limits};

use super::records::Records;
use super::{AuditError, Counts, Violation, Violations, WIDTH};
use crate::api::{ApiError, ValidatorApi};
use crate::parallel;

pub(super) async fn check(
    api: &ValidatorApi,
    records: Records,
    counts: &mut Counts,
    violations: &mut Violations,
) -> Result<(), AuditError> {
    let current = records.current();
    let Records { mut policies, owners, bindings, causes, .. } = records;

    let got = each(api, owners, |api, digest, name| async move {
        let owner = api.owner(&digest).await?;
        Ok((owner.name != name).then(|| other("owner record", digest, name, owner.name.to_string())))
    });
    let owners = tally("owner record", got.await, violations)?;
    counts.owners += owners.len() as u64;
    owners.into_iter().flatten().for_each(|violation| violations.push(violation));

    let got = each(api, flat(causes), |api, digest, (name, highest)| async move {
        let cause = api.cause(&digest).await?;
        let about = (&cause.name, cause.release);
        Ok((cause.policy, fits("failure cause", digest, name, highest, about)))
    });
    let causes = tally("failure cause", got.await, violations)?;
    counts.causes += causes.len() as u64;
    for (policy, violation) in causes {
        policies.insert(policy);
        violation.into_iter().for_each(|violation| violations.push(violation));
    }

    let got = each(api, flat(bindings), move |api, digest, (name, highest)| {
        let stands = current.contains(&digest);
        async move {
            let binding = api.binding(&digest).await?;
            let violation = fits("binding", digest, name, highest, (&binding.name, binding.release));
            // What stands must be there to the last byte; what stood once need not be.
            let objects = stands.then(|| {
                let objects = binding.objects.iter().map(|(_, digest)| (*digest, limits::OBJECT_BYTES));
                let beside = [
                    (binding.manifest, limits::MANIFEST_BYTES),
                    (binding.environment, BuildEnvironment::MAX_BYTES),
                ];
                objects.chain(beside).collect::<Vec<_>>()
            });
            Ok((binding.policy, violation, objects))
        }
    });
    let bindings = tally("binding", got.await, violations)?;
    counts.bindings += bindings.len() as u64;
    let mut objects: BTreeSet<(Digest, usize)> = BTreeSet::new();
    for (policy, violation, named) in bindings {
        policies.insert(policy);
        violation.into_iter().for_each(|violation| violations.push(violation));
        objects.extend(named.into_iter().flatten());
    }

    // Those in force, and those that decided.
    let policies = policies.into_iter().map(|digest| (digest, ()));
    let got = each(api, policies, |api, digest, ()| async move { api.policy(&digest).await.map(|_| ()) });
    counts.policies += tally("policy", got.await, violations)?.len() as u64;

    let got = parallel::map(objects, WIDTH, |(digest, cap)| {
        let api = api.clone();
        async move { (digest, api.object(&digest, cap).await.map(|_| ())) }
    })
    .await;
    counts.objects += tally("object", got, violations)?.len() as u64;
    Ok(())
}

fn flat<K, V>(map: BTreeMap<(Digest, K), V>) -> impl Iterator<Item = (Digest, (K, V))> {
    map.into_iter().map(|((digest, key), value)| (digest, (key, value)))
}

/// A violation, unless what a record points at is `about` its name and a release it has seen.
fn fits(
    what: &'static str,
    digest: Digest,
    name: PluginName,
    highest: Release,
    about: (&PluginName, Release),
) -> Option<Violation> {
    let (found, release) = about;
    (*found != name || release > highest)
        .then(|| other(what, digest, name, format!("{found} release {release}")))
}

fn other(what: &'static str, digest: Digest, name: PluginName, found: String) -> Violation {
    Violation::OtherSubject { what, digest, name, found }
}

async fn each<K, T, F>(
    api: &ValidatorApi,
    wanted: impl IntoIterator<Item = (Digest, K)>,
    ask: impl Fn(ValidatorApi, Digest, K) -> F,
) -> Vec<(Digest, Result<T, ApiError>)>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ApiError>> + Send + 'static,
{
    parallel::map(wanted, WIDTH, |(digest, key)| {
        let asked = ask(api.clone(), digest, key);
        async move { (digest, asked.await) }
    })
    .await
}

/// What was had; a violation for each that was withheld.
fn tally<T>(
    what: &str,
    got: Vec<(Digest, Result<T, ApiError>)>,
    violations: &mut Violations,
) -> Result<Vec<T>, AuditError> {
    let mut had = Vec::new();
    for (digest, answer) in got {
        had.extend(violations.unless_withheld(&format!("{what} {digest}"), answer)?);
    }
    Ok(had)
}
