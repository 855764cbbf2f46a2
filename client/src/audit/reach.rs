//! Whether everything that records and STRs point at can be had, and is what its digest says.

use std::collections::BTreeSet;

use pds_schemas::{Artefact, BuildEnvironment, Digest, limits};

use super::records::Records;
use super::{AuditError, Counts, Violations, WIDTH};
use crate::api::{ApiError, ValidatorApi};
use crate::parallel;

pub(super) async fn check(
    api: &ValidatorApi,
    records: Records,
    counts: &mut Counts,
    violations: &mut Violations,
) -> Result<(), AuditError> {
    let current = records.current();
    let Records { policies, owners, bindings, causes, .. } = records;

    let got = each(api, policies, |api, digest| async move { api.policy(&digest).await.map(|_| ()) }).await;
    counts.policies += tally("policy", got, violations)?.len() as u64;
    let got = each(api, owners, |api, digest| async move { api.owner(&digest).await.map(|_| ()) }).await;
    counts.owners += tally("owner record", got, violations)?.len() as u64;
    let got = each(api, causes, |api, digest| async move { api.cause(&digest).await.map(|_| ()) }).await;
    counts.causes += tally("failure cause", got, violations)?.len() as u64;

    let got = each(api, bindings, move |api, digest| {
        let stands = current.contains(&digest);
        async move {
            let binding = api.binding(&digest).await?;
            // What stands must be there to the last byte; what stood once need not be.
            Ok(stands.then(|| {
                let objects = binding.objects.iter().map(|(_, digest)| (*digest, limits::OBJECT_BYTES));
                let beside = [
                    (binding.manifest, limits::MANIFEST_BYTES),
                    (binding.environment, BuildEnvironment::MAX_BYTES),
                ];
                objects.chain(beside).collect::<Vec<_>>()
            }))
        }
    })
    .await;
    let bindings = tally("binding", got, violations)?;
    counts.bindings += bindings.len() as u64;

    let objects: BTreeSet<(Digest, usize)> = bindings.into_iter().flatten().flatten().collect();
    let got = parallel::map(objects, WIDTH, |(digest, cap)| {
        let api = api.clone();
        async move { (digest, api.object(&digest, cap).await.map(|_| ())) }
    })
    .await;
    counts.objects += tally("object", got, violations)?.len() as u64;
    Ok(())
}

async fn each<T, F>(
    api: &ValidatorApi,
    digests: BTreeSet<Digest>,
    ask: impl Fn(ValidatorApi, Digest) -> F,
) -> Vec<(Digest, Result<T, ApiError>)>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ApiError>> + Send + 'static,
{
    parallel::map(digests, WIDTH, |digest| {
        let asked = ask(api.clone(), digest);
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
