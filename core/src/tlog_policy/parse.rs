//! Reading a policy file.
//!
//! Pure. Source: C2SP tlog-policy, "Policy file syntax and structure". A last line without newline is refused: a file cut
//! short in a name could otherwise be a valid policy with another meaning.

use std::collections::{HashMap, HashSet};

use super::{
    Group, MAX_ITEMS, MAX_POLICY_BYTES, Member, Policy, PolicyLog, PolicyName, PolicyWitness, Quorum,
};
use crate::canonical;
use crate::note::{KeyType, VerifierKey, VkeyError};

/// Why a file is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Over [`MAX_POLICY_BYTES`].
    #[error("a policy has at most {MAX_POLICY_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// The last line has no newline.
    #[error("the policy's last line does not end in newline; was the file cut short?")]
    NoFinalNewline,
    /// No quorum line.
    #[error("a policy has a quorum line (`quorum none` to ask for no witness)")]
    NoQuorum,
    /// A line that is wrong.
    #[error("line {line} of the policy: {cause}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        cause: LineError,
    },
}

/// What is wrong with one line of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A control character other than tab and newline, or 0x7f.
    #[error("byte {0:#04x} is not allowed")]
    Octet(u8),
    /// A first word other than log, witness, group, quorum.
    #[error("a line begins with log, witness, group, quorum or #")]
    Keyword,
    /// Too few or too many words for this kind of line.
    #[error("expected: {0}")]
    Words(&'static str),
    /// More lines of this kind than [`MAX_ITEMS`].
    #[error("more than {MAX_ITEMS} of these")]
    TooMany,
    /// A vkey that cannot be read.
    #[error(transparent)]
    Vkey(#[from] VkeyError),
    /// A vkey that is not UTF-8.
    #[error("a verifier key is UTF-8")]
    VkeyNotUtf8,
    /// A key that logs, or witnesses, do not sign with.
    #[error("a key of type {0:?} does not belong on this line")]
    KeyType(KeyType),
    /// A public key that an earlier line of this kind has, be it under another name.
    #[error("this public key is on an earlier line")]
    DuplicateKey,
    /// A name that is defined already, or that is predefined.
    #[error("name {0} is already defined")]
    DuplicateName(PolicyName),
    /// A name that no line above defines.
    #[error("name {0} is not defined above")]
    UnknownName(PolicyName),
    /// A name that already is a member of this or another group.
    #[error("{0} is already a member of a group")]
    MemberTwice(PolicyName),
    /// A threshold that is not `any`, `all`, or a decimal number from 1 to the number of members.
    #[error("a threshold is any, all, or 1 to the number of members")]
    Threshold,
    /// A second quorum line.
    #[error("a policy has one quorum line")]
    SecondQuorum,
}

const LOG_FORM: &str = "log <vkey> [<url>]";
const WITNESS_FORM: &str = "witness <name> <vkey> [<url>]";
const GROUP_FORM: &str = "group <name> all|any|<k> <name>...";
const QUORUM_FORM: &str = "quorum <name>|none";
/// Predefined, for the quorum line only.
const NONE: &[u8] = b"none";

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLong(bytes.len()));
        }
        let lines = match bytes {
            [] => return Err(PolicyError::NoQuorum),
            [lines @ .., b'\n'] => lines,
            _ => return Err(PolicyError::NoFinalNewline),
        };
        let mut draft = Draft::default();
        for (i, line) in lines.split(|b| *b == b'\n').enumerate() {
            draft.line(line).map_err(|cause| PolicyError::Line { line: i + 1, cause })?;
        }
        let Draft { logs, witnesses, groups, quorum, .. } = draft;
        Ok(Self { logs, witnesses, groups, quorum: quorum.ok_or(PolicyError::NoQuorum)? })
    }
}

/// What the lines so far define.
#[derive(Default)]
struct Draft {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Quorum>,
    names: HashMap<PolicyName, Member>,
    in_a_group: HashSet<Member>,
}

impl Draft {
    fn line(&mut self, line: &[u8]) -> Result<(), LineError> {
        if let Some(octet) = line.iter().find(|b| **b < 0x20 && **b != b'\t' || **b == 0x7f) {
            return Err(LineError::Octet(*octet));
        }
        let words: Vec<&[u8]> =
            line.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [word, ..] if word.starts_with(b"#") => Ok(()),
            [b"log", words @ ..] => self.log(words),
            [b"witness", words @ ..] => self.witness(words),
            [b"group", words @ ..] => self.group(words),
            [b"quorum", words @ ..] => self.quorum(words),
            _ => Err(LineError::Keyword),
        }
    }

    fn log(&mut self, words: &[&[u8]]) -> Result<(), LineError> {
        let (vkey, url) = match words {
            [vkey] => (vkey, None),
            [vkey, url] => (vkey, Some(url.to_vec())),
            _ => return Err(LineError::Words(LOG_FORM)),
        };
        let key = parse_key(vkey, KeyType::Ed25519)?;
        if self.logs.iter().any(|log| log.key.public_key() == key.public_key()) {
            return Err(LineError::DuplicateKey);
        }
        push_limited(&mut self.logs, PolicyLog { key, url })
    }

    fn witness(&mut self, words: &[&[u8]]) -> Result<(), LineError> {
        let (name, vkey, url) = match words {
            [name, vkey] => (name, vkey, None),
            [name, vkey, url] => (name, vkey, Some(url.to_vec())),
            _ => return Err(LineError::Words(WITNESS_FORM)),
        };
        let key = parse_key(vkey, KeyType::CosignatureV1)?;
        if self.witnesses.iter().any(|witness| witness.key.public_key() == key.public_key()) {
            return Err(LineError::DuplicateKey);
        }
        let name = self.define(name, Member::Witness(self.witnesses.len()))?;
        push_limited(&mut self.witnesses, PolicyWitness { name, key, url })
    }

    fn group(&mut self, words: &[&[u8]]) -> Result<(), LineError> {
        let [name, threshold, names @ ..] = words else { return Err(LineError::Words(GROUP_FORM)) };
        if names.is_empty() {
            return Err(LineError::Words(GROUP_FORM));
        }
        let mut members = Vec::new();
        for name in names {
            let member = self.find(name)?;
            // tlog-policy: "Each defined name can be listed as a group member at most once."
            if !self.in_a_group.insert(member) {
                return Err(LineError::MemberTwice(PolicyName(name.to_vec())));
            }
            members.push(member);
        }
        let threshold = match *threshold {
            b"any" => 1,
            b"all" => members.len(),
            digits => parse_threshold(digits, members.len())?,
        };
        let name = self.define(name, Member::Group(self.groups.len()))?;
        push_limited(&mut self.groups, Group { name, threshold, members })
    }

    fn quorum(&mut self, words: &[&[u8]]) -> Result<(), LineError> {
        let [name] = words else { return Err(LineError::Words(QUORUM_FORM)) };
        let quorum = if *name == NONE { Quorum::None } else { Quorum::Member(self.find(name)?) };
        match self.quorum.replace(quorum) {
            None => Ok(()),
            Some(_) => Err(LineError::SecondQuorum),
        }
    }

    /// Witnesses and groups share one namespace, with `none` in it.
    fn define(&mut self, name: &[u8], member: Member) -> Result<PolicyName, LineError> {
        let name = PolicyName(name.to_vec());
        if name.0 == NONE || self.names.contains_key(&name) {
            return Err(LineError::DuplicateName(name));
        }
        self.names.insert(name.clone(), member);
        Ok(name)
    }

    fn find(&self, name: &[u8]) -> Result<Member, LineError> {
        let name = PolicyName(name.to_vec());
        self.names.get(&name).copied().ok_or(LineError::UnknownName(name))
    }
}

fn parse_key(vkey: &[u8], expected: KeyType) -> Result<VerifierKey, LineError> {
    let vkey = std::str::from_utf8(vkey).map_err(|_| LineError::VkeyNotUtf8)?;
    let key: VerifierKey = vkey.parse()?;
    if key.key_type() == expected { Ok(key) } else { Err(LineError::KeyType(key.key_type())) }
}

fn parse_threshold(digits: &[u8], members: usize) -> Result<usize, LineError> {
    let number = std::str::from_utf8(digits).ok().and_then(canonical::decimal);
    let number = number.and_then(|k| usize::try_from(k).ok());
    number.filter(|k| (1..=members).contains(k)).ok_or(LineError::Threshold)
}

fn push_limited<T>(items: &mut Vec<T>, item: T) -> Result<(), LineError> {
    if items.len() == MAX_ITEMS {
        return Err(LineError::TooMany);
    }
    items.push(item);
    Ok(())
}
