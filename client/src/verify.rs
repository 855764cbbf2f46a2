//! Checking offline what somebody handed over: a plugin package, or evidence in either form.
//!
//! No network. What was remembered of a log counts: evidence under an older head than one already seen is not of now.

use std::collections::BTreeSet;

use pds_core::checkpoint::{Checkpoint, SignedCheckpoint};
use pds_core::evidence::{self, ConversionError, EvidenceError, Step, Verified};
use pds_core::expression::Expression;
use pds_core::formula::{Formula, Term};
use pds_core::package::{self, TermError, TermJudgement, Trust};
use pds_core::tlog_proof::{MAX_PROOF_BYTES, TlogProof, TlogProofError};
use pds_plugin::manifest::Manifest;
use pds_schemas::{
    Artefact, DecodeError, Digest, Evidence, NameRecord, PluginName, PluginPackage, PosixTime, TreeSize,
};

use crate::state::{Memory, StateError};
use crate::trust::{KnownValidator, TrustFile};

/// Most bytes of anything that is read here.
pub const MAX_BYTES: usize =
    if PluginPackage::MAX_BYTES > MAX_PROOF_BYTES { PluginPackage::MAX_BYTES } else { MAX_PROOF_BYTES };

/// What was handed over.
#[derive(Clone, Debug)]
pub enum Received {
    /// A plugin with evidence.
    Package(Box<PluginPackage>),
    /// Evidence alone.
    Evidence(Box<Evidence>),
    /// Evidence alone, as a C2SP tlog-proof.
    TlogProof(Box<Evidence>),
}

/// Bytes that are none of what can be verified.
#[derive(Debug, thiserror::Error)]
#[error("neither a package ({package}), nor evidence ({evidence}), nor a tlog-proof ({tlog_proof})")]
pub struct NotRecognised {
    /// Why it is no package.
    pub package: DecodeError,
    /// Why it is no evidence.
    pub evidence: DecodeError,
    /// Why it is no tlog-proof with evidence in it.
    pub tlog_proof: ConversionError,
}

impl Received {
    /// Reads whichever form it is.
    ///
    /// # Errors
    /// [`NotRecognised`].
    pub fn read(bytes: &[u8]) -> Result<Self, Box<NotRecognised>> {
        let package = match PluginPackage::from_bytes(bytes) {
            Ok(package) => return Ok(Self::Package(Box::new(package))),
            Err(cause) => cause,
        };
        let evidence = match Evidence::from_bytes(bytes) {
            Ok(evidence) => return Ok(Self::Evidence(Box::new(evidence))),
            Err(cause) => cause,
        };
        let read = |bytes: &[u8]| -> Result<Evidence, ConversionError> {
            evidence::from_tlog_proof(&TlogProof::parse(bytes).map_err(|e: TlogProofError| e)?)
        };
        match read(bytes) {
            Ok(evidence) => Ok(Self::TlogProof(Box::new(evidence))),
            Err(tlog_proof) => Err(Box::new(NotRecognised { package, evidence, tlog_proof })),
        }
    }

    /// The name it says it is about: a package's manifest says so, evidence's record; absence says nothing.
    ///
    /// Not verified: whoever asked for a name holds this against it.
    pub fn claimed_name(&self) -> Option<PluginName> {
        match self {
            Self::Package(package) => Manifest::parse(&package.manifest).ok().map(|manifest| manifest.name),
            Self::Evidence(evidence) | Self::TlogProof(evidence) => {
                let record = evidence.extra.name_record.as_ref()?;
                NameRecord::from_bytes(record).ok().map(|record| record.name)
            }
        }
    }

    /// All evidence in it.
    pub fn evidence(&self) -> &[Evidence] {
        match self {
            Self::Package(package) => &package.evidence,
            Self::Evidence(evidence) | Self::TlogProof(evidence) => std::slice::from_ref(evidence),
        }
    }
}

/// What became of a formula.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Whether it is satisfied.
    pub satisfied: bool,
    /// Each of its terms, in the order of its text.
    pub terms: Vec<TermVerdict>,
}

/// What became of one term of a formula.
#[derive(Clone, Debug)]
pub struct TermVerdict {
    /// The term.
    pub term: Term,
    /// What was checked and holds.
    pub steps: Vec<Step>,
    /// How its last evidence relates to what was seen of that log before.
    pub recalled: Recalled,
    /// The owner record's digest if the term holds.
    pub result: Result<Digest, TermFailure>,
}

/// Why a term does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermFailure {
    /// Its evidence, or the package, does not hold.
    #[error(transparent)]
    Judged(#[from] TermError),
    /// Its evidence does not fit what was seen before.
    #[error(transparent)]
    Memory(#[from] MemoryRefusal),
}

/// Evidence that holds by itself, and not beside what was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryRefusal {
    /// It was of now once.
    #[error("the evidence is under {size} epochs, {seen} were seen before: it is not of now; fetch it anew")]
    Older {
        /// Size seen.
        seen: TreeSize,
        /// Size of the evidence's checkpoint.
        size: TreeSize,
    },
    /// Its log showed another history before.
    #[error("SPLIT VIEW: another root of {size} epochs was seen before; both checkpoints are kept")]
    TwoRoots {
        /// Size of both.
        size: TreeSize,
    },
}

/// Under which circumstances something is verified.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Whom to believe.
    pub trust: &'a TrustFile,
    /// The clock.
    pub now: PosixTime,
    /// What was seen before, if that is to count.
    pub memory: Option<&'a Memory>,
    /// Takes evidence under an older head than was seen.
    pub allow_older: bool,
}

/// Holds a package, said to be the plugin `name`, against a formula: each term with its own validator's window, and all
/// that hold about one owner.
///
/// Otherwise as [`package::judge`].
///
/// # Errors
/// [`StateError`].
pub fn judge(
    formula: &Formula,
    name: &PluginName,
    package: &PluginPackage,
    under: &Circumstances<'_>,
) -> Result<Verdict, StateError> {
    let terms = formula.atoms().into_iter().map(|term| judge_term(term, name, package, under));
    let terms = terms.collect::<Result<Vec<TermVerdict>, StateError>>()?;
    let owners: BTreeSet<Digest> = terms.iter().filter_map(|t| t.result.as_ref().ok().copied()).collect();
    let holds = |term: &Term, owner| terms.iter().any(|t| t.term == *term && t.result.as_ref() == Ok(owner));
    let satisfied = owners.iter().any(|owner| formula.is_satisfied(&mut |term| holds(term, owner)));
    Ok(Verdict { satisfied, terms })
}

fn judge_term(
    term: &Term,
    name: &PluginName,
    package: &PluginPackage,
    under: &Circumstances<'_>,
) -> Result<TermVerdict, StateError> {
    let Some(known) = under.trust.validators.get(&term.nickname) else {
        let unknown = TermError::UnknownNickname(term.nickname.clone());
        let (steps, recalled) = (Vec::new(), Recalled::Nothing);
        return Ok(TermVerdict { term: term.clone(), steps, recalled, result: Err(unknown.into()) });
    };
    let trust = Trust::from([(term.nickname.clone(), known.trusted.clone())]);
    let (alone, window) = (Expression::Atom(term.clone()), known.window(under.now));
    let judge = |package: &PluginPackage| -> TermJudgement {
        let judged = package::judge(&alone, &trust, name, package, &window);
        judged.terms.into_iter().next().expect("an atom has one term")
    };
    // Any good evidence counts, so what memory refuses must not be among what is judged.
    let theirs = |e: &&Evidence| e.checkpoint.lines().next() == Some(known.trusted.origin());
    let mut taken = Vec::new();
    let (mut recalled, mut refusal) = (Recalled::Nothing, None);
    for evidence in package.evidence.iter().filter(theirs) {
        let seen = under.memory.map_or(Ok(Recalled::Nothing), |memory| recall(memory, known, evidence))?;
        match seen.refusal(under.allow_older) {
            Some(cause) => refusal = Some(cause),
            None => taken.push(evidence.clone()),
        }
        recalled = seen;
    }
    let all = judge(package);
    let (TermJudgement { term, steps, result }, refusal) = match refusal {
        Some(refusal) if all.result.is_ok() => {
            let fit = judge(&PluginPackage { evidence: taken, ..package.clone() });
            if fit.result.is_ok() { (fit, None) } else { (all, Some(refusal)) }
        }
        _ => (all, None),
    };
    let result = match refusal {
        Some(refusal) => Err(refusal.into()),
        None => result.map_err(TermFailure::from),
    };
    Ok(TermVerdict { term, steps, recalled, result })
}

/// Whose evidence it says it is.
pub fn validator_of<'a>(trust: &'a TrustFile, evidence: &Evidence) -> Option<&'a KnownValidator> {
    let origin = evidence.checkpoint.lines().next()?;
    trust.validators.values().find(|known| known.trusted.origin() == origin)
}

/// Checks evidence about `name`.
///
/// # Errors
/// [`EvidenceError`]; `steps` has what holds up to there.
pub fn evidence(
    known: &KnownValidator,
    name: &PluginName,
    evidence: &Evidence,
    now: PosixTime,
    steps: &mut Vec<Step>,
) -> Result<Verified, EvidenceError> {
    evidence::verify(&known.trusted, name, evidence, &known.window(now), steps)
}

/// How evidence relates to what was seen of its log before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// Nothing was seen before.
    Nothing,
    /// The very head that was seen last.
    Same,
    /// A larger log; that it grew from the one seen cannot be checked offline.
    Newer {
        /// Size seen.
        seen: TreeSize,
    },
    /// A smaller log than was seen: this was now once.
    Older {
        /// Size seen.
        seen: TreeSize,
        /// Size of the evidence's checkpoint.
        size: TreeSize,
    },
    /// Another root of the same size than was seen.
    TwoRoots {
        /// Size of both.
        size: TreeSize,
    },
}

impl Recalled {
    /// Why what was seen before forbids to take the evidence for what it says.
    pub fn refusal(self, allow_older: bool) -> Option<MemoryRefusal> {
        match self {
            Self::Older { seen, size } if !allow_older => Some(MemoryRefusal::Older { seen, size }),
            Self::TwoRoots { size } => Some(MemoryRefusal::TwoRoots { size }),
            _ => None,
        }
    }
}

/// Holds evidence's checkpoint, if its log signed it, against what is remembered of that log.
///
/// # Errors
/// [`StateError`].
pub fn recall(memory: &Memory, known: &KnownValidator, evidence: &Evidence) -> Result<Recalled, StateError> {
    let Some(held) = memory.recall(&known.trusted)? else { return Ok(Recalled::Nothing) };
    let log_key = &known.trusted.policy().logs()[0].key;
    let Ok(offered) = SignedCheckpoint::open(evidence.checkpoint.as_bytes(), log_key) else {
        return Ok(Recalled::Nothing);
    };
    let (old, new): (&Checkpoint, &Checkpoint) = (held.checkpoint(), offered.checkpoint());
    Ok(match new.size.cmp(&old.size) {
        std::cmp::Ordering::Less => Recalled::Older { seen: old.size, size: new.size },
        std::cmp::Ordering::Greater => Recalled::Newer { seen: old.size },
        std::cmp::Ordering::Equal if old.root == new.root => Recalled::Same,
        std::cmp::Ordering::Equal => {
            memory.keep_conflict(&held, &offered)?;
            Recalled::TwoRoots { size: old.size }
        }
    })
}
