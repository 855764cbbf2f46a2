//! From what the validator's verifiers report to what it stands for: a binding, or a failure cause.
//!
//! Pure: reports in, artefacts out. Which verdicts suffice is the policy's acceptance expression. Artefacts are signed over
//! for good, so what goes into them is cut to what their decoders take, and shows on a terminal as what it is.

use pds_core::acceptance::Acceptance;
use pds_core::hash::sha256;
use pds_schemas::{
    Artefact, Binding, BuildEnvironment, Digest, FailureCause, Finding, ObjectMap, PluginName, Release,
    Submission, Verdict, limits,
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

/// Most bytes of a verdict's cause. One for each object, and a failure cause or binding still holds them all.
const VERDICT_CAUSE_BYTES: usize = 1024;

const STRUCTURE: &str = "structure";
const REPRODUCIBLE: &str = "reproducible";

/// A decided submission, with all that must be stored before an epoch publishes it.
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
            let environment = Blob::new(BlobKind::Object, readable(&environment)?);
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
            let binding = Blob::new(BlobKind::Binding, readable(&binding)?);
            let decision = pds_core::name_record::Decision::Validated(*binding.digest());
            let mut blobs = vec![binding, manifest, environment];
            blobs.extend(outcome.objects.into_values().map(|bytes| Blob::new(BlobKind::Object, bytes)));
            Ok(Decision { decision, blobs })
        }
        _ => failed(submission, digest, policy, verdicts, outcome.failure),
    }
}

fn failed(
    submission: &Submission,
    digest: Digest,
    policy: Digest,
    verdicts: Vec<Verdict>,
    failure: Option<Failure>,
) -> Result<Decision, Failure> {
    let (stage, object, message) = match failure {
        Some(failure) => (stage_name(failure.stage), failure.object, failure.message),
        None => ("acceptance", None, "the policy's acceptance expression does not hold".to_owned()),
    };
    failed_by(&FailureCause {
        name: submission.name.clone(),
        release: submission.release,
        submission: digest,
        policy,
        stage: stage.to_owned(),
        object,
        message: shown(&message, limits::CAUSE_BYTES),
        verdicts,
    })
}

/// Why a submission fails of which nothing was proved or refuted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// It was promised to be decided by now.
    Overdue,
    /// The log ends.
    Frozen,
    /// An epoch published its decision beside that of a later release, and only the record of the name is known. Not for a
    /// record: none names it.
    Superseded,
}

impl Undecided {
    /// What a cause calls it, and what it says.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Overdue => (
                "overdue",
                "this validator did not come to a decision in the time it promised; submit a new release",
            ),
            Self::Frozen => (
                "frozen",
                "this validator ended its log before it came to a decision; submit to another validator",
            ),
            Self::Superseded => (
                "superseded",
                "decided in one epoch with a later release, which took its place; how it was decided is not known to this \
                 validator, which was restored from a copy made before",
            ),
        }
    }
}

/// The failure of a submission that is not decided.
///
/// # Errors
/// When nobody could read the cause, which cannot be.
pub fn undecided(
    why: Undecided,
    name: &PluginName,
    release: Release,
    digest: Digest,
    policy: Digest,
) -> Result<Decision, Failure> {
    let (stage, message) = why.words();
    failed_by(&FailureCause {
        name: name.clone(),
        release,
        submission: digest,
        policy,
        stage: stage.to_owned(),
        object: None,
        message: message.to_owned(),
        verdicts: Vec::new(),
    })
}

fn failed_by(cause: &FailureCause) -> Result<Decision, Failure> {
    let cause = Blob::new(BlobKind::Cause, readable(cause)?);
    let decision = pds_core::name_record::Decision::Failed(*cause.digest());
    Ok(Decision { decision, blobs: vec![cause] })
}

/// The encoding of `artefact`, which is one that everybody can read.
fn readable<T: Artefact>(artefact: &T) -> Result<Vec<u8>, Failure> {
    let bytes = artefact.to_bytes();
    match T::from_bytes(&bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Failure {
            stage: Stage::Build,
            object: None,
            message: format!("the {} that this makes could not be read: {error}", T::NAME),
            is_ours: true,
        }),
    }
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
    // A second build that came to no end is no silence about it.
    let unknown = outcome.failure.as_ref().filter(|f| f.stage == Stage::Reproducible);
    let unknown = unknown.filter(|_| outcome.reproducible.is_none());
    let unknown = unknown.map(|f| verdict(REPRODUCIBLE, None, Finding::Error, Some(f.message.clone())));
    structure.chain(reproducible).chain(unknown).collect()
}

fn verdict(property: &str, object: Option<&str>, finding: Finding, cause: Option<String>) -> Verdict {
    Verdict {
        property: property.to_owned(),
        verifier: VERIFIER.to_owned(),
        version: VERSION.to_owned(),
        finding,
        object: object.map(str::to_owned),
        bounds: Vec::new(),
        cause: cause.map(|cause| shown(&cause, VERDICT_CAUSE_BYTES)),
    }
}

fn in_encoded_order<const N: usize>(mut bounds: [(&str, u64); N]) -> Vec<(String, u64)> {
    bounds.sort_by_key(|(name, _)| (name.len(), *name));
    bounds.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// `text` without characters that could confuse a terminal or turn a line around, cut to `limit` bytes.
fn shown(text: &str, limit: usize) -> String {
    let confusing = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown: String = text.chars().map(|c| if confusing(c) { '\u{fffd}' } else { c }).collect();
    if shown.len() > limit {
        shown.truncate(shown.floor_char_boundary(limit - '…'.len_utf8()));
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pds_core::name_record::Decision as Decided;
    use pds_schemas::{OwnerRecord, PluginName, PublicKey, Release};
    use pds_validator::build::BuildEnvironment as Built;
    use pds_validator::reproducible::{Against, Difference};
    use pds_validator::structure::StructureError;

    use super::*;

    fn submission() -> Submission {
        let name = PluginName::new(format!("{}.b", ["a"; 120].join("."))).unwrap();
        Submission {
            name: name.clone(),
            release: Release(u64::MAX),
            source: Digest([1; 32]),
            manifest: "a.plugin".to_owned(),
            bytecode: None,
            owner: OwnerRecord::first(name, PublicKey([2; 32])),
        }
    }

    fn outcome(objects: impl IntoIterator<Item = String>) -> Outcome {
        let environment = Built {
            compiler: "clang".to_owned(),
            flags: vec!["-O2".to_owned()],
            platform: "pquic".to_owned(),
            confined: false,
        };
        Outcome {
            objects: objects.into_iter().map(|name| (name, vec![1])).collect(),
            environment: Some(environment),
            reproducible: Some(Reproducible::Proved(Against::SecondBuild)),
            ..Outcome::default()
        }
    }

    fn decided(acceptance: &str, outcome: Outcome) -> Result<Decision, Failure> {
        let policy = pds_schemas::Policy {
            origin: "pv.example".to_owned(),
            acceptance: acceptance.to_owned(),
            verifiers: PROPERTIES
                .map(|property| pds_schemas::Verifier {
                    property: property.to_owned(),
                    name: VERIFIER.to_owned(),
                    version: VERSION.to_owned(),
                })
                .to_vec(),
            platforms: Vec::new(),
            epoch_interval_s: 1,
            decide_within_s: 2,
        };
        let acceptance = Acceptance::of_policy(&policy).unwrap();
        decide(&submission(), Digest([3; 32]), b"manifest", &acceptance, Digest([4; 32]), outcome)
    }

    fn binding(decision: &Decision) -> Binding {
        assert!(matches!(decision.decision, Decided::Validated(_)));
        Binding::from_bytes(decision.blobs[0].bytes()).unwrap()
    }

    fn cause(decision: &Decision) -> FailureCause {
        assert!(matches!(decision.decision, Decided::Failed(_)));
        FailureCause::from_bytes(decision.blobs[0].bytes()).unwrap()
    }

    #[test]
    fn largest_plugin_makes_artefacts_that_can_be_read() {
        let names = || (0..limits::OBJECTS).map(|i| format!("{}{i:03}.o", "x".repeat(245)));
        let target = "\u{1b}[2J".repeat(100_000);
        let refused = |name| (name, Err(StructureError::LocalCall { index: 0, target: target.clone() }));
        let refused: BTreeMap<_, _> = names().map(refused).collect();
        let failure = Failure {
            stage: Stage::Structure,
            object: names().next(),
            message: target.clone(),
            is_ours: false,
        };
        let worst = Outcome { structure: refused, failure: Some(failure), ..outcome(names()) };
        let failed = cause(&decided("structure", worst.clone()).unwrap());
        assert_eq!(failed.verdicts.len(), limits::OBJECTS + 1);
        assert!(failed.message.ends_with('…') && failed.message.len() <= limits::CAUSE_BYTES);
        let validated = binding(&decided("reproducible", worst).unwrap());
        assert_eq!(validated.verdicts.len(), limits::OBJECTS + 1);
        let causes: Vec<_> = validated.verdicts.iter().filter_map(|v| v.cause.as_ref()).collect();
        assert_eq!(causes.len(), limits::OBJECTS);
        assert!(causes.iter().all(|cause| !cause.contains('\u{1b}') && cause.contains('\u{fffd}')));
    }

    #[test]
    fn nothing_but_proved_is_success() {
        let one = || outcome(["a.o".to_owned()]);
        assert_eq!(binding(&decided("reproducible", one()).unwrap()).objects.len(), 1);
        cause(&decided("structure", one()).unwrap());
        cause(&decided("structure & reproducible", one()).unwrap());
        let difference = Difference::Names { object: "a.o".to_owned() };
        let refuted = Outcome { reproducible: Some(Reproducible::Refuted(difference)), ..one() };
        cause(&decided("reproducible", refuted).unwrap());
        cause(&decided("reproducible", Outcome { environment: None, ..one() }).unwrap());
        cause(&decided("reproducible", outcome([])).unwrap());
    }

    #[test]
    fn second_build_without_an_end_is_an_error_and_not_silence() {
        let failure = |is_ours| Failure {
            stage: Stage::Reproducible,
            object: Some("a.o".to_owned()),
            message: "not compiled within 20s".to_owned(),
            is_ours,
        };
        let late = |is_ours| Outcome {
            reproducible: None,
            failure: Some(failure(is_ours)),
            ..outcome(["a.o".to_owned()])
        };
        let failed = cause(&decided("reproducible", late(false)).unwrap());
        assert_eq!(failed.verdicts.len(), 1);
        assert_eq!((failed.verdicts[0].finding, failed.stage.as_str()), (Finding::Error, REPRODUCIBLE));
        assert_eq!(decided("reproducible", late(true)).unwrap_err(), failure(true));
    }

    #[test]
    fn environment_that_nobody_could_read_is_not_signed_over() {
        let mut unreadable = outcome(["a.o".to_owned()]);
        unreadable.environment.as_mut().unwrap().compiler = String::new();
        assert!(decided("reproducible", unreadable).unwrap_err().is_ours);
    }
}
