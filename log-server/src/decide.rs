//! From what the validator's verifiers report to what it stands for: a binding, or a failure cause.
//!
//! Pure but for nothing: reports in, artefacts out. Which verdicts suffice is the policy's acceptance expression.

use pds_core::acceptance::Acceptance;
use pds_core::hash::sha256;
use pds_schemas::{
    Artefact, Binding, BuildEnvironment, Digest, FailureCause, Finding, ObjectMap, Submission, Verdict,
    limits,
};
use pds_store::{Blob, BlobKind};
use pds_validator::reproducible::Reproducible;
use pds_validator::{Failure, Outcome, Stage};

/// Who gives the verdicts of this crate.
pub const VERIFIER: &str = "pds-validator";
/// Its version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The properties that it decides.
pub const PROPERTIES: [&str; 2] = [STRUCTURE, REPRODUCIBLE];

const STRUCTURE: &str = "structure";
const REPRODUCIBLE: &str = "reproducible";

/// A decided submission, with all that the epoch which publishes it must store.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What goes into the name's record.
    pub decision: pds_core::name_record::Decision,
    /// Binding or cause, and on success bytecode, manifest and build environment.
    pub blobs: Vec<Blob>,
}

/// What `acceptance` makes of `outcome`; `digest` is the submission's, `policy` that of the policy, `manifest` the bytes.
///
/// # Errors
/// The failure, when this validator and not the submission is to blame: nothing is decided then.
pub fn decide(
    submission: &Submission,
    digest: Digest,
    manifest: &[u8],
    acceptance: &Acceptance,
    policy: Digest,
    outcome: Outcome,
) -> Result<Decision, Failure> {
    if let Some(failure) = outcome.failure.as_ref().filter(|failure| failure.is_ours) {
        return Err(failure.clone());
    }
    let verdicts = verdicts(&outcome);
    let objects = ObjectMap::new(outcome.objects.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))));
    let environment = outcome.environment.as_ref().map(|e| BuildEnvironment {
        compiler: e.compiler.clone(),
        flags: e.flags.clone(),
        platform: e.platform.clone(),
        confined: e.confined,
    });
    let accepted = acceptance.is_satisfied(&objects, &verdicts);
    match environment {
        Some(environment) if accepted && !objects.is_empty() => {
            let environment = Blob::new(BlobKind::Object, environment.to_bytes());
            let manifest = Blob::new(BlobKind::Object, manifest.to_vec());
            let binding = Binding {
                name: submission.name.clone(),
                release: submission.release,
                submission: digest,
                objects,
                manifest: *manifest.digest(),
                source: submission.source,
                environment: *environment.digest(),
                policy,
                verdicts,
            };
            let binding = Blob::new(BlobKind::Binding, binding.to_bytes());
            let decision = pds_core::name_record::Decision::Validated(*binding.digest());
            let mut blobs = vec![binding, manifest, environment];
            blobs.extend(outcome.objects.into_values().map(|bytes| Blob::new(BlobKind::Object, bytes)));
            Ok(Decision { decision, blobs })
        }
        _ => Ok(failed(submission, digest, policy, verdicts, outcome.failure)),
    }
}

fn failed(
    submission: &Submission,
    digest: Digest,
    policy: Digest,
    verdicts: Vec<Verdict>,
    failure: Option<Failure>,
) -> Decision {
    let (stage, object, message) = match failure {
        Some(failure) => (stage_name(failure.stage), failure.object, failure.message),
        None => ("acceptance", None, "the policy's acceptance expression does not hold".to_owned()),
    };
    let cause = FailureCause {
        name: submission.name.clone(),
        release: submission.release,
        submission: digest,
        policy,
        stage: stage.to_owned(),
        object,
        message: clipped(message),
        verdicts,
    };
    let cause = Blob::new(BlobKind::Cause, cause.to_bytes());
    let decision = pds_core::name_record::Decision::Failed(*cause.digest());
    Decision { decision, blobs: vec![cause] }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Archive => "archive",
        Stage::Manifest => "manifest",
        Stage::Build => "build",
        Stage::Structure => STRUCTURE,
        Stage::Reproducible => REPRODUCIBLE,
    }
}

fn verdicts(outcome: &Outcome) -> Vec<Verdict> {
    let structure = outcome.structure.iter().map(|(object, report)| match report {
        Ok(report) => Verdict {
            bounds: in_encoded_order([
                ("instructions", u64::from(report.instructions)),
                ("checked-instructions", u64::from(report.checked_instructions)),
                ("stack-bytes", u64::from(report.stack_bytes)),
                ("helpers", report.helpers.len() as u64),
                ("warnings", report.warnings.len() as u64),
            ]),
            ..verdict(STRUCTURE, Some(object), Finding::Proved, None)
        },
        Err(error) => verdict(STRUCTURE, Some(object), Finding::Refuted, Some(error.to_string())),
    });
    let reproducible = outcome.reproducible.as_ref().map(|result| match result {
        Reproducible::Proved(_) => verdict(REPRODUCIBLE, None, Finding::Proved, None),
        Reproducible::Refuted(difference) => {
            verdict(REPRODUCIBLE, None, Finding::Refuted, Some(difference.to_string()))
        }
    });
    structure.chain(reproducible).collect()
}

fn verdict(property: &str, object: Option<&str>, finding: Finding, cause: Option<String>) -> Verdict {
    Verdict {
        property: property.to_owned(),
        verifier: VERIFIER.to_owned(),
        version: VERSION.to_owned(),
        finding,
        object: object.map(str::to_owned),
        bounds: Vec::new(),
        cause: cause.map(clipped),
    }
}

fn in_encoded_order<const N: usize>(mut bounds: [(&str, u64); N]) -> Vec<(String, u64)> {
    bounds.sort_by_key(|(name, _)| (name.len(), *name));
    bounds.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn clipped(mut text: String) -> String {
    if text.len() > limits::CAUSE_BYTES {
        text.truncate(text.floor_char_boundary(limits::CAUSE_BYTES - 4));
        text.push('…');
    }
    text
}
