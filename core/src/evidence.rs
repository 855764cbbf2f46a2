//! Checking evidence offline: where a name stands with one validator.
//!
//! Pure: the clock is an argument. The chain is: a log's signature and a witness quorum on the checkpoint; the STR's
//! signature; the STR at its epoch's place in the checkpointed log; the name in the STR's prefix tree; the name record's
//! and the binding's digests. Nothing in the evidence is believed before the step that proves it, and the path in the
//! prefix tree is that of the name that was asked for. Judging a whole plugin is [`crate::package`]'s.

use std::fmt;

use pds_schemas::cose::SignedKind;
use pds_schemas::{
    Artefact, Binding, DecodeError, Digest, EpochNumber, Evidence, EvidenceExtra, NameRecord, PluginName,
    PosixTime, SignedTreeRoot, State, TreeSize,
};

use crate::cose::{self, CoseError};
use crate::cosignature::Window;
use crate::hash::{leaf_hash, sha256};
use crate::log::proof::{InclusionError, verify_inclusion};
use crate::note::{KeyType, Note, NoteError, VerifierKey};
use crate::prefix::{self, PrefixProofError, key_of};
use crate::tlog_policy::{EvaluationError, Policy, Quorum, WitnessVerdict};
use crate::tlog_proof::{TlogProof, TlogProofError};

/// A validator as a peer knows it: the key of its STRs, and a C2SP tlog-policy with exactly its log.
#[derive(Clone, Debug)]
pub struct TrustedValidator {
    str_key: VerifierKey,
    policy: Policy,
}

/// Why keys and policy do not make a validator that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Not a key that signs STRs.
    #[error("the STR key {0} is not of type 0xff \"pds-str/v1\"")]
    NotStrKey(String),
    /// Not exactly one log.
    #[error("the trust policy has {0} logs, exactly one is expected")]
    Logs(usize),
    /// The log is another one than the STR key's.
    #[error("the trust policy's log is {log:?}, the STR key is of {str:?}")]
    Origins {
        /// The log's origin.
        log: String,
        /// The STR key's origin.
        str: String,
    },
    /// The log and the STRs have one key.
    #[error("the log and its STRs are signed with one key, two are expected")]
    SharedKey,
    /// A witness has one of the validator's own keys: the validator would vouch for itself.
    #[error("the key of witness {0} is the validator's own")]
    OwnWitness(String),
    /// A quorum that nobody has to meet.
    #[error(
        "the trust policy's quorum is none: nothing would show a split view, or an old one; this needs `allow_quorum_none`"
    )]
    QuorumNone,
    /// A quorum that two sets of witnesses with nobody in common can both meet.
    #[error("two disjoint sets of witnesses satisfy the trust policy: each could be shown another history")]
    DisjointQuorums,
}

impl TrustedValidator {
    /// Puts keys and policy together. `allow_quorum_none` takes a policy without quorum, under which a split view
    /// does not show, and neither does age: only cosignatures say when a checkpoint was the newest.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new(str_key: VerifierKey, policy: Policy, allow_quorum_none: bool) -> Result<Self, TrustError> {
        if str_key.key_type() != KeyType::StrV1 {
            return Err(TrustError::NotStrKey(str_key.to_string()));
        }
        let [log] = policy.logs() else { return Err(TrustError::Logs(policy.logs().len())) };
        if log.key.origin() != str_key.origin() {
            let (log, str) = (log.key.origin().to_owned(), str_key.origin().to_owned());
            return Err(TrustError::Origins { log, str });
        }
        if log.key.public_key() == str_key.public_key() {
            return Err(TrustError::SharedKey);
        }
        let own = [log.key.public_key(), str_key.public_key()];
        if let Some(witness) = policy.witnesses().iter().find(|w| own.contains(&w.key.public_key())) {
            return Err(TrustError::OwnWitness(witness.key.name().to_string()));
        }
        if policy.quorum() == Quorum::None {
            return if allow_quorum_none {
                Ok(Self { str_key, policy })
            } else {
                Err(TrustError::QuorumNone)
            };
        }
        if policy.has_disjoint_quorums() {
            return Err(TrustError::DisjointQuorums);
        }
        Ok(Self { str_key, policy })
    }

    /// The validator's name.
    pub fn origin(&self) -> &str {
        self.str_key.origin()
    }

    /// The key of its STRs.
    pub fn str_key(&self) -> &VerifierKey {
        &self.str_key
    }

    /// The key of its log, and its witnesses.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// Whether evidence speaks of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Currency {
    /// The STR is the last entry under the checkpoint.
    Now,
    /// Later entries are under the checkpoint: this is how it was, and satisfies no formula.
    History {
        /// The checkpoint's size.
        size: TreeSize,
    },
}

/// What evidence proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The validator's statement of the epoch.
    pub str: SignedTreeRoot,
    /// The name's record; `None` when it was never admitted.
    pub record: Option<NameRecord>,
    /// What the validator stands for; present exactly when the record is of a validated release.
    pub binding: Option<Binding>,
    /// Whether this is now or history.
    pub currency: Currency,
    /// Times of the witnesses' cosignatures that counted.
    pub cosigned: Vec<PosixTime>,
}

/// One thing that was checked and holds; for people who want to see why they may believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The log signed the checkpoint.
    CheckpointSigned {
        /// The log.
        origin: String,
        /// The checkpoint's size.
        size: TreeSize,
    },
    /// The witnesses that counted are a quorum.
    Quorum {
        /// How many counted.
        counted: usize,
        /// How many the policy knows.
        known: usize,
    },
    /// The policy asks for no witness.
    NoWitnesses,
    /// The STR key signed the STR.
    StrSigned {
        /// Its epoch.
        epoch: EpochNumber,
        /// Its time.
        time: PosixTime,
    },
    /// The STR is in the log at its epoch's place.
    StrInLog {
        /// Index.
        index: EpochNumber,
        /// Hashes of the proof.
        hashes: usize,
    },
    /// The name's leaf is in the prefix tree.
    NameIncluded {
        /// The leaf's depth.
        depth: usize,
        /// The record's digest.
        record: Digest,
    },
    /// The name has no leaf in the prefix tree.
    NameAbsent {
        /// Where the search ended.
        depth: usize,
    },
    /// The record is about the name.
    Record {
        /// Its state.
        state: State,
    },
    /// The binding is the record's.
    Binding {
        /// Its digest.
        binding: Digest,
    },
    /// The STR is the checkpoint's last entry, or it is not.
    Currency(Currency),
}

/// Why evidence proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The checkpoint is no note.
    #[error("checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The checkpoint does not hold under the trust policy.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] EvaluationError),
    /// Too few witnesses.
    #[error("{counted} of {known} witnesses count, which is no quorum: {detail}")]
    NoQuorum {
        /// How many counted.
        counted: usize,
        /// How many the policy knows.
        known: usize,
        /// Each witness and what became of it.
        detail: String,
    },
    /// The STR does not hold.
    #[error("STR: {0}")]
    Str(#[from] CoseError),
    /// The STR is another validator's.
    #[error("STR: of origin {found:?}, {expected:?} is expected")]
    Origin {
        /// Whose is expected.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// The STR is not at its epoch's place.
    #[error("the STR of epoch {epoch} is said to be log entry {index}")]
    Place {
        /// The STR's epoch.
        epoch: EpochNumber,
        /// The evidence's index.
        index: EpochNumber,
    },
    /// The STR is not in the log.
    #[error("the STR is not in the log: {0}")]
    NotInLog(#[from] InclusionError),
    /// The prefix proof does not hold.
    #[error("prefix tree: {0}")]
    Prefix(#[from] PrefixProofError),
    /// Something inside is malformed.
    #[error("malformed: {0}")]
    Malformed(DecodeError),
    /// The record is about another name.
    #[error("the name record is about {found}, asked was {asked}")]
    OtherName {
        /// What was asked for.
        asked: PluginName,
        /// What it is about.
        found: PluginName,
    },
    /// The record was made in an epoch after the STR's.
    #[error("the name record is of epoch {changed}, the STR of epoch {epoch}")]
    RecordFromLater {
        /// The record's epoch.
        changed: EpochNumber,
        /// The STR's epoch.
        epoch: EpochNumber,
    },
    /// The record names a binding that is not there, or the other way round.
    #[error("the name record and the binding beside it do not belong together")]
    BindingMismatch,
}

/// Checks all that `evidence` says about `name`, and tells each step that holds in `steps`, up to the first that does not.
///
/// # Errors
/// [`EvidenceError`].
pub fn verify(
    validator: &TrustedValidator,
    name: &PluginName,
    evidence: &Evidence,
    window: &Window,
    steps: &mut Vec<Step>,
) -> Result<Verified, EvidenceError> {
    let (size, root, cosigned) = verify_checkpoint(validator, &evidence.checkpoint, window, steps)?;
    let str = verify_str(validator, evidence, size, &root, steps)?;
    let (record, binding) = verify_name(name, &evidence.extra, &str, steps)?;
    let last = str.epoch.log_size() == size;
    let currency = if last { Currency::Now } else { Currency::History { size } };
    steps.push(Step::Currency(currency));
    Ok(Verified { str, record, binding, currency, cosigned })
}

fn verify_checkpoint(
    validator: &TrustedValidator,
    text: &str,
    window: &Window,
    steps: &mut Vec<Step>,
) -> Result<(TreeSize, Digest, Vec<PosixTime>), EvidenceError> {
    let evaluation = validator.policy.evaluate(&Note::parse(text.as_bytes())?, window)?;
    let checkpoint = evaluation.checkpoint.checkpoint().clone();
    steps.push(Step::CheckpointSigned { origin: checkpoint.origin, size: checkpoint.size });
    let counted = evaluation.counted().len();
    let known = validator.policy.witnesses().len();
    if !evaluation.has_quorum {
        let witnesses = validator.policy.witnesses().iter().zip(&evaluation.witnesses);
        let detail: Vec<_> = witnesses.map(|(w, verdict)| format!("{} {verdict}", w.key.name())).collect();
        return Err(EvidenceError::NoQuorum { counted, known, detail: detail.join(", ") });
    }
    let none = validator.policy.quorum() == Quorum::None;
    steps.push(if none { Step::NoWitnesses } else { Step::Quorum { counted, known } });
    let time = |verdict: &WitnessVerdict| match verdict {
        WitnessVerdict::Counted(time) => Some(*time),
        _ => None,
    };
    let cosigned = evaluation.witnesses.iter().filter_map(time).collect();
    Ok((checkpoint.size, checkpoint.root, cosigned))
}

fn verify_str(
    validator: &TrustedValidator,
    evidence: &Evidence,
    size: TreeSize,
    root: &Digest,
    steps: &mut Vec<Step>,
) -> Result<SignedTreeRoot, EvidenceError> {
    let entry = &evidence.extra.signed_tree_root;
    let str: SignedTreeRoot = cose::open_by(entry, SignedKind::SignedTreeRoot, &validator.str_key)?;
    if str.origin != validator.origin() {
        return Err(EvidenceError::Origin { expected: validator.origin().to_owned(), found: str.origin });
    }
    steps.push(Step::StrSigned { epoch: str.epoch, time: str.time });
    if str.epoch != evidence.index {
        return Err(EvidenceError::Place { epoch: str.epoch, index: evidence.index });
    }
    verify_inclusion(&leaf_hash(entry), evidence.index.0, size, &evidence.inclusion, root)?;
    steps.push(Step::StrInLog { index: evidence.index, hashes: evidence.inclusion.len() });
    Ok(str)
}

fn verify_name(
    name: &PluginName,
    extra: &EvidenceExtra,
    str: &SignedTreeRoot,
    steps: &mut Vec<Step>,
) -> Result<(Option<NameRecord>, Option<Binding>), EvidenceError> {
    let key = key_of(name);
    let depth = extra.prefix.copath.len();
    let Some(bytes) = &extra.name_record else {
        prefix::verify_absence(&str.prefix_root, &key, &extra.prefix)?;
        if extra.binding.is_some() {
            return Err(EvidenceError::BindingMismatch);
        }
        steps.push(Step::NameAbsent { depth });
        return Ok((None, None));
    };
    let commitment = sha256(bytes);
    prefix::verify_inclusion(&str.prefix_root, &key, &commitment, &extra.prefix)?;
    steps.push(Step::NameIncluded { depth, record: commitment });
    let record = NameRecord::from_bytes(bytes).map_err(EvidenceError::Malformed)?;
    if record.name != *name {
        return Err(EvidenceError::OtherName { asked: name.clone(), found: record.name });
    }
    if record.changed > str.epoch {
        return Err(EvidenceError::RecordFromLater { changed: record.changed, epoch: str.epoch });
    }
    steps.push(Step::Record { state: record.state });
    let binding = verify_binding(&record, extra.binding.as_deref())?;
    if let Some(digest) = record.binding {
        steps.push(Step::Binding { binding: digest });
    }
    Ok((Some(record), binding))
}

fn verify_binding(record: &NameRecord, bytes: Option<&[u8]>) -> Result<Option<Binding>, EvidenceError> {
    let (named, bytes) = match (record.binding, bytes) {
        (None, None) => return Ok(None),
        (Some(named), Some(bytes)) => (named, bytes),
        _ => return Err(EvidenceError::BindingMismatch),
    };
    if sha256(bytes) != named {
        return Err(EvidenceError::BindingMismatch);
    }
    let binding = Binding::from_bytes(bytes).map_err(EvidenceError::Malformed)?;
    if binding.name != record.name || binding.release > record.highest_release {
        return Err(EvidenceError::BindingMismatch);
    }
    Ok(Some(binding))
}

/// Why evidence does not convert to or from a C2SP tlog-proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversionError {
    /// The tlog-proof, or what would become one, is malformed.
    #[error(transparent)]
    TlogProof(#[from] TlogProofError),
    /// The checkpoint is no note.
    #[error("checkpoint: {0}")]
    Note(#[from] NoteError),
    /// There is no extra line.
    #[error("the tlog-proof has no extra line, so it is no evidence about a plugin")]
    NoExtra,
    /// The extra data is malformed.
    #[error("extra data: {0}")]
    Extra(DecodeError),
}

/// The same evidence as a C2SP tlog-proof.
///
/// # Errors
/// [`ConversionError`] for evidence that could not verify.
pub fn to_tlog_proof(evidence: &Evidence) -> Result<TlogProof, ConversionError> {
    let note = Note::parse(evidence.checkpoint.as_bytes())?;
    let extra = evidence.extra.to_bytes();
    Ok(TlogProof::new(Some(extra), evidence.index.0, evidence.inclusion.clone(), note)?)
}

/// The same evidence out of a C2SP tlog-proof.
///
/// # Errors
/// [`ConversionError`].
pub fn from_tlog_proof(proof: &TlogProof) -> Result<Evidence, ConversionError> {
    let extra = proof.extra().ok_or(ConversionError::NoExtra)?;
    let extra = EvidenceExtra::from_bytes(extra).map_err(ConversionError::Extra)?;
    Ok(Evidence {
        extra,
        index: EpochNumber(proof.index()),
        inclusion: proof.hashes().to_vec(),
        checkpoint: proof.note().to_string(),
    })
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CheckpointSigned { origin, size } => {
                write!(f, "the log {origin} signed a checkpoint of {size} epochs")
            }
            Self::Quorum { counted, known } => {
                write!(f, "{counted} of {known} witnesses cosigned it in time, which is a quorum")
            }
            Self::NoWitnesses => f.write_str(
                "no witness is asked for (quorum none): neither a split view nor an old one would show",
            ),
            Self::StrSigned { epoch, time } => {
                write!(f, "the validator's STR key signed epoch {epoch}, at POSIX time {time}")
            }
            Self::StrInLog { index, hashes } => {
                write!(
                    f,
                    "that STR is entry {index} of the log ({hashes} hashes up to the checkpoint's root)"
                )
            }
            Self::NameIncluded { depth, record } => {
                write!(
                    f,
                    "the name's leaf, {depth} levels deep in its prefix tree, commits to record {record}"
                )
            }
            Self::NameAbsent { depth } => {
                write!(f, "the name has no leaf in its prefix tree: the search ends at depth {depth}")
            }
            Self::Record { state } => write!(f, "the record is about the name asked for, which is {state}"),
            Self::Binding { binding } => write!(f, "the binding is the one the record names, {binding}"),
            Self::Currency(Currency::Now) => {
                f.write_str("the STR is the last entry under the checkpoint: this is now")
            }
            Self::Currency(Currency::History { size }) => {
                write!(f, "the checkpoint has {size} entries, later ones than this STR: this is history")
            }
        }
    }
}
