//! Judging a plugin: does what was received satisfy a formula, by the evidence that came with it?
//!
//! Pure: the clock is an argument. All terms are about the same manifest and the same full object map as was received,
//! and about the same owner; evidence of history satisfies nothing.

use std::collections::{BTreeMap, BTreeSet};

use pds_schemas::{Binding, Digest, Evidence, ObjectMap, PluginName, PluginPackage, State};

use crate::acceptance::is_proved;
use crate::cosignature::Window;
use crate::evidence::{self, Currency, EvidenceError, Step, TrustedValidator, Verified};
use crate::formula::{Formula, Term};
use crate::hash::sha256;

/// Validators by the nicknames that a peer's formulas use.
pub type Trust = BTreeMap<String, TrustedValidator>;

/// What became of one term of a formula.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermJudgement {
    /// The term.
    pub term: Term,
    /// What was checked and holds.
    pub steps: Vec<Step>,
    /// The owner record's digest if the term holds.
    pub result: Result<Digest, TermError>,
}

/// What became of a formula.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it is satisfied.
    pub satisfied: bool,
    /// Each of its terms, in the order of its text.
    pub terms: Vec<TermJudgement>,
}

/// Why a term does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    /// A nickname that nobody defined.
    #[error("no trusted validator is called {0}")]
    UnknownNickname(String),
    /// No evidence from this validator came along.
    #[error("there is no evidence from {0}")]
    NoEvidence(String),
    /// The evidence proves nothing.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The evidence is of an earlier epoch than its checkpoint.
    #[error("the evidence is history: epoch {epoch} under a checkpoint of {size} epochs")]
    History {
        /// The STR's epoch.
        epoch: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// The name is not validated.
    #[error("the validator says: {}", .0.map_or("never admitted".to_owned(), |s| s.to_string()))]
    NotValidated(Option<State>),
    /// What was received is not what was validated.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A property of the term is not proved.
    #[error("{0} is not proved")]
    NotProved(String),
}

/// Why a package is not what a binding stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// The manifest is another one.
    #[error("the manifest hashes to {found}, the binding has {bound}")]
    Manifest {
        /// In the binding.
        bound: Digest,
        /// As received.
        found: Digest,
    },
    /// An object is another one.
    #[error("object {name} hashes to {found}, the binding has {bound}")]
    Object {
        /// The object.
        name: String,
        /// In the binding.
        bound: Digest,
        /// As received.
        found: Digest,
    },
    /// An object of the binding was not received.
    #[error("object {0} of the binding is missing")]
    MissingObject(String),
    /// An object was received that the binding does not have.
    #[error("object {0} is not in the binding")]
    ExtraObject(String),
    /// Two objects of one name were received: what is checked could be another one than what is used.
    #[error("object {0} stands twice in the package")]
    DuplicateObject(String),
}

/// Checks that `package` is exactly what `binding` stands for.
///
/// # Errors
/// [`PackageError`].
pub fn check_package(package: &PluginPackage, binding: &Binding) -> Result<(), PackageError> {
    let found = sha256(&package.manifest);
    if found != binding.manifest {
        return Err(PackageError::Manifest { bound: binding.manifest, found });
    }
    let mut names = BTreeSet::new();
    if let Some((twice, _)) = package.objects.iter().find(|(name, _)| !names.insert(name)) {
        return Err(PackageError::DuplicateObject(twice.clone()));
    }
    let received = ObjectMap::new(package.objects.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))));
    for (name, bound) in binding.objects.iter() {
        match received.get(name) {
            None => return Err(PackageError::MissingObject(name.to_owned())),
            Some(found) if found != bound => {
                return Err(PackageError::Object { name: name.to_owned(), bound: *bound, found: *found });
            }
            Some(_) => {}
        }
    }
    match received.iter().find(|(name, _)| binding.objects.get(name).is_none()) {
        Some((name, _)) => Err(PackageError::ExtraObject(name.to_owned())),
        None => Ok(()),
    }
}

/// Holds `package`, said to be the plugin `name`, against `formula`.
///
/// A term holds if any evidence that came from its validator bears it out, so more evidence never makes a judgement worse;
/// where none does, what became of the first is told.
pub fn judge(
    formula: &Formula,
    trust: &Trust,
    name: &PluginName,
    package: &PluginPackage,
    window: &Window,
) -> Judgement {
    let received = Received { name, package, window };
    let judge_one = |term: &&Term| match trust.get(&term.nickname) {
        Some(validator) => judge_term(term, validator, received),
        None => refused(term, TermError::UnknownNickname(term.nickname.clone())),
    };
    let terms: Vec<_> = formula.atoms().iter().map(judge_one).collect();
    let owners: BTreeSet<Digest> = terms.iter().filter_map(|t| t.result.as_ref().ok().copied()).collect();
    let holds = |term: &Term, owner| terms.iter().any(|t| t.term == *term && t.result.as_ref() == Ok(owner));
    let satisfied = owners.iter().any(|owner| formula.is_satisfied(&mut |term| holds(term, owner)));
    Judgement { satisfied, terms }
}

#[derive(Clone, Copy)]
struct Received<'a> {
    name: &'a PluginName,
    package: &'a PluginPackage,
    window: &'a Window,
}

fn refused(term: &Term, error: TermError) -> TermJudgement {
    TermJudgement { term: term.clone(), steps: Vec::new(), result: Err(error) }
}

fn judge_term(term: &Term, validator: &TrustedValidator, received: Received<'_>) -> TermJudgement {
    let mut first = None;
    for evidence in &received.package.evidence {
        if evidence.checkpoint.lines().next() != Some(validator.origin()) {
            continue;
        }
        let mut steps = Vec::new();
        let result = judge_evidence(term, validator, evidence, received, &mut steps);
        let holds = result.is_ok();
        let judgement = TermJudgement { term: term.clone(), steps, result };
        if holds {
            return judgement;
        }
        first.get_or_insert(judgement);
    }
    first.unwrap_or_else(|| refused(term, TermError::NoEvidence(validator.origin().to_owned())))
}

fn judge_evidence(
    term: &Term,
    validator: &TrustedValidator,
    evidence: &Evidence,
    received: Received<'_>,
    steps: &mut Vec<Step>,
) -> Result<Digest, TermError> {
    let verified = evidence::verify(validator, received.name, evidence, received.window, steps)?;
    if let Currency::History { size } = verified.currency {
        return Err(TermError::History { epoch: verified.str.epoch.0, size: size.0 });
    }
    let Verified { record: Some(record), binding: Some(binding), .. } = &verified else {
        return Err(TermError::NotValidated(verified.record.map(|r| r.state)));
    };
    check_package(received.package, binding)?;
    let unproved = |p: &&String| !is_proved(p, &binding.objects, &binding.verdicts);
    match term.properties.iter().find(unproved) {
        Some(property) => Err(TermError::NotProved(property.clone())),
        None => Ok(record.owner),
    }
}
