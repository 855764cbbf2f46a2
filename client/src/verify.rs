//! Checking offline what somebody handed over: a plugin package, or evidence in either form.
//!
//! No network. What was remembered of a log counts: evidence under an older head than one already seen is not of now.

use std::collections::BTreeSet;

use pds_core::checkpoint::{Checkpoint, SignedCheckpoint};
use pds_core::evidence::{self, ConversionError, EvidenceError, Step, Verified};
use pds_core::expression::Expression;
use pds_core::formula::{Formula, Term};
use pds_core::package::{self, Judgement, TermJudgement};
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
    pub fn read(bytes: &[u8]) -> Result<Self, NotRecognised> {
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
            Err(tlog_proof) => Err(NotRecognised { package, evidence, tlog_proof }),
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

/// Holds a package against a formula, each term with its own validator's window.
///
/// Otherwise as [`package::judge`].
pub fn judge(
    formula: &Formula,
    trust: &TrustFile,
    name: &PluginName,
    package: &PluginPackage,
    now: PosixTime,
) -> Judgement {
    let validators = trust.to_trust();
    let judge_term = |term: &&Term| -> TermJudgement {
        // Whoever is unknown has no window, and is refused for being unknown.
        let window = trust.validators.get(&term.nickname).map(|known| known.window(now));
        let window = window.unwrap_or(pds_core::cosignature::Window { now, max_age_s: 0, skew_s: 0 });
        let alone = Expression::Atom((*term).clone());
        let judged = package::judge(&alone, &validators, name, package, &window);
        judged.terms.into_iter().next().expect("an atom has one term")
    };
    let terms: Vec<TermJudgement> = formula.atoms().iter().map(judge_term).collect();
    let owners: BTreeSet<Digest> = terms.iter().filter_map(|t| t.result.as_ref().ok().copied()).collect();
    let holds = |term: &Term, owner| terms.iter().any(|t| t.term == *term && t.result.as_ref() == Ok(owner));
    let satisfied = owners.iter().any(|owner| formula.is_satisfied(&mut |term| holds(term, owner)));
    Judgement { satisfied, terms }
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
