//! One submission from source to report, stage by stage.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use pds_schemas::Digest;

use crate::build::{self, BuildEnvironment, Circumstances, Recipe};
use crate::reproducible::{Reproducible, compare};
use crate::structure::{self, StructureError, StructureLimits, StructureReport};
use pds_plugin::archive::{self, ArchiveLimits};
use pds_plugin::manifest::Manifest;
use pds_plugin::source::SourceTree;

/// Everything that was found out about a submission. What comes after a failed stage is missing, but for `structure`
/// and `reproducible`, neither of which needs the other.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The manifest, once it could be read.
    pub manifest: Option<Manifest>,
    /// The objects, by the manifest's names; empty unless all were built.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// What they were built with.
    pub environment: Option<BuildEnvironment>,
    /// For each object, what it holds or why it is refused.
    pub structure: BTreeMap<String, Result<StructureReport, StructureError>>,
    /// Whether the build can be repeated; missing when there was none, or the second one failed.
    pub reproducible: Option<Reproducible>,
    /// The first thing that went wrong, in the order of the stages; `None` when nothing did.
    pub failure: Option<Failure>,
}

/// Why a submission cannot be validated, for its developer to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where it went wrong.
    pub stage: Stage,
    /// The object it is about, if about one.
    pub object: Option<String>,
    /// What went wrong; for a build, with the compiler's words.
    pub message: String,
    /// Whether the validator itself is to blame (no compiler, no room): nothing is known about the submission then.
    pub is_ours: bool,
}

/// The stages of a validation, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Unpacking.
    Archive,
    /// Reading the manifest.
    Manifest,
    /// Compiling.
    Build,
    /// The structure of the bytecode.
    Structure,
    /// Building again, and comparing.
    Reproducible,
}

impl Stage {
    /// The stage's name, which for the last two is the property's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Manifest => "manifest",
            Self::Build => "build",
            Self::Structure => "structure",
            Self::Reproducible => "reproducible",
        }
    }
}

/// [`validate`] for a tree that is still packed.
pub fn validate_archive(
    archive: &[u8],
    limits: &ArchiveLimits,
    manifest_path: &str,
    recipe: &Recipe,
    expected_bytecode: Option<&BTreeMap<String, Digest>>,
    stop: &AtomicBool,
) -> Outcome {
    match archive::unpack(archive, limits) {
        Ok(tree) => validate(&tree, manifest_path, recipe, expected_bytecode, stop),
        Err(cause) => {
            Outcome { failure: Some(Failure::new(Stage::Archive, None, &cause)), ..Outcome::default() }
        }
    }
}

/// Builds a submission twice and looks at its bytecode. Takes seconds, and blocks for them.
///
/// `manifest_path` is the manifest's place in the tree; objects are named relative to its folder.
/// `expected_bytecode` has the SHA-256 of every object when the developer submitted bytecode too. Setting
/// `stop`, from another thread, ends it soon, with a failure of ours.
pub fn validate(
    tree: &SourceTree,
    manifest_path: &str,
    recipe: &Recipe,
    expected_bytecode: Option<&BTreeMap<String, Digest>>,
    stop: &AtomicBool,
) -> Outcome {
    let mut outcome = Outcome::default();
    outcome.failure = run(tree, manifest_path, recipe, expected_bytecode, stop, &mut outcome).err();
    outcome
}

fn run(
    tree: &SourceTree,
    manifest_path: &str,
    recipe: &Recipe,
    expected_bytecode: Option<&BTreeMap<String, Digest>>,
    stop: &AtomicBool,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let failed = |stage, object, message: &dyn ToString| Failure::new(stage, object, message);
    let text = tree.get(manifest_path);
    let text =
        text.ok_or_else(|| failed(Stage::Manifest, None, &format!("there is no file {manifest_path}")))?;
    let manifest = Manifest::parse(text).map_err(|cause| failed(Stage::Manifest, None, &cause))?;
    let manifest = outcome.manifest.insert(manifest);

    let folder = manifest_path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let build = |circumstances, stage| {
        build::build(tree, folder, &manifest.objects(), recipe, circumstances, stop).map_err(|cause| {
            Failure { is_ours: cause.is_ours(), ..failed(stage, cause.object().map(str::to_owned), &cause) }
        })
    };
    let built = build(Circumstances::Plain, Stage::Build)?;
    outcome.objects = built.objects;
    outcome.environment = Some(built.environment);

    let limits = StructureLimits::default();
    let verify = |(object, bytes): (&String, &Vec<u8>)| (object.clone(), structure::verify(bytes, &limits));
    outcome.structure = outcome.objects.iter().map(verify).collect();

    let again = build(Circumstances::Other, Stage::Reproducible);
    outcome.reproducible =
        again.as_ref().ok().map(|again| compare(&outcome.objects, &again.objects, expected_bytecode));

    // Nothing is known of the submission as long as we could not do our part.
    if let Err(failure) = &again
        && failure.is_ours
    {
        return Err(failure.clone());
    }
    for (object, result) in &outcome.structure {
        if let Err(cause) = result {
            return Err(failed(Stage::Structure, Some(object.clone()), cause));
        }
    }
    match (again, &outcome.reproducible) {
        (Err(failure), _) => Err(failure),
        (Ok(_), Some(Reproducible::Refuted(difference))) => {
            Err(failed(Stage::Reproducible, Some(difference.object().to_owned()), difference))
        }
        _ => Ok(()),
    }
}

impl Failure {
    fn new(stage: Stage, object: Option<String>, message: &dyn ToString) -> Self {
        Self { stage, object, message: message.to_string(), is_ours: false }
    }
}
