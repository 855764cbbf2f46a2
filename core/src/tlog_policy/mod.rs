//! Trust policies: which logs, which witnesses, and how many of them.
//!
//! Pure: the clock is an argument. Source: C2SP tlog-policy. Narrowed: logs sign with type 0x01, witnesses cosign with
//! 0x04, and at most 64 each of logs, witnesses and groups. Out of scope: fetching anything from the URLs.

mod evaluate;
mod parse;
mod quorum;

use std::fmt;

pub use evaluate::{Evaluation, EvaluationError, WitnessVerdict};
pub use parse::{LineError, PolicyError};
pub use quorum::WitnessSet;

use crate::note::VerifierKey;

/// Most bytes in a policy file.
pub const MAX_POLICY_BYTES: usize = 256 * 1024;
/// Most logs, most witnesses, and most groups in a policy. The standard asks for at least 32.
pub const MAX_ITEMS: usize = 64;

/// A policy file, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Quorum,
}

/// A log that a policy accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyLog {
    /// Its key, whose name is its origin.
    pub key: VerifierKey,
    /// How to reach it; opaque octets.
    pub url: Option<Vec<u8>>,
}

/// A witness that a policy knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyWitness {
    /// Its name in this policy, which need not be its key's name.
    pub name: PolicyName,
    /// Its key.
    pub key: VerifierKey,
    /// How to reach it; opaque octets.
    pub url: Option<Vec<u8>>,
}

/// Members of whom at least a number must have witnessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name in this policy.
    pub name: PolicyName,
    /// Members it takes, from 1 to their number.
    pub threshold: usize,
    /// At least one. Groups among them stand before this one in [`Policy::groups`].
    pub members: Vec<Member>,
}

/// Something that can have witnessed a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// Position in [`Policy::witnesses`].
    Witness(usize),
    /// Position in [`Policy::groups`].
    Group(usize),
}

/// Who must have witnessed a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// Nobody: `quorum none`.
    None,
    /// This witness or group.
    Member(Member),
}

/// Name of a witness or group: opaque octets, neither empty nor with space, tab, or newline.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(Vec<u8>);

impl Policy {
    /// Logs, in the order of their lines. May be empty.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// Witnesses, in the order of their lines.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Groups, in the order of their lines: each after its members.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Who must have witnessed a checkpoint.
    pub fn quorum(&self) -> Quorum {
        self.quorum
    }
}

impl PolicyName {
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Readable, with other octets than printable ASCII escaped.
impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyName({self})")
    }
}
