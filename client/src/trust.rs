//! The trust file: which validators a peer knows, by its own nicknames.
//!
//! TOML; paths are relative to the file:
//!
//! ```toml
//! [validators.PV1]
//! url = "http://127.0.0.1:7400/"
//! str_key = "pv1.example/str+b5b2f2a1+/3Bkcy1zdHIvdjE..."
//! policy = "pv1.policy"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use pds_core::cosignature::Window;
use pds_core::evidence::{TrustError, TrustedValidator};
use pds_core::expression::Expression;
use pds_core::formula::{self, Formula, Term};
use pds_core::note::VkeyError;
use pds_core::tlog_policy::{MAX_POLICY_BYTES, Policy, PolicyError};
use pds_schemas::{PosixTime, PublicKey};
use serde::Deserialize;

use crate::http::{self, HttpError};
use pds_files::durable;

/// Most bytes of a trust file.
const MAX_BYTES: usize = 1 << 20;

/// Everybody a peer trusts to a degree, by nickname.
#[derive(Clone, Debug)]
pub struct TrustFile {
    /// Where the file is; for messages.
    pub path: PathBuf,
    /// At least one, by nickname.
    pub validators: BTreeMap<String, KnownValidator>,
}

/// One validator of a trust file.
#[derive(Clone, Debug)]
pub struct KnownValidator {
    /// The peer's own name for it.
    pub nickname: String,
    /// Where it is reached.
    pub url: String,
    /// Its keys and witnesses.
    pub trusted: TrustedValidator,
    /// Oldest cosignature that counts, in seconds. Default 86,400.
    pub max_age_s: u64,
    /// How far a witness's clock may be ahead, in seconds. Default 300.
    pub skew_s: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    validators: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// `http://` or `https://`.
    url: String,
    /// A vkey of type 0xff `pds-str/v1`.
    str_key: String,
    /// A C2SP tlog-policy file, relative to this one: exactly one log, and the witness quorum.
    policy: PathBuf,
    /// Takes a policy with `quorum none`. Default false.
    #[serde(default)]
    allow_quorum_none: bool,
    /// Oldest cosignature that counts, in seconds.
    #[serde(default = "default_max_age_s")]
    max_age_s: u64,
    /// How far a witness's clock may be ahead, in seconds.
    #[serde(default = "default_skew_s")]
    skew_s: u64,
}

fn default_max_age_s() -> u64 {
    86_400
}

fn default_skew_s() -> u64 {
    300
}

/// Why a trust file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustFileError {
    /// It, or a policy it names, cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not UTF-8, or not the TOML it should be; the text says where.
    #[error("{}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        message: String,
    },
    /// Nobody in it.
    #[error("{} has no validators", .0.display())]
    Empty(PathBuf),
    /// A nickname that no formula could use.
    #[error("validators.{0}: a nickname is letters, digits, - and _, as formulas take it")]
    Nickname(String),
    /// Two nicknames for one origin: one of them could vouch twice.
    #[error("validators.{first} and validators.{second} are both {origin}")]
    SameOrigin {
        /// One nickname.
        first: String,
        /// The other.
        second: String,
        /// What both are.
        origin: String,
    },
    /// Two nicknames with a key in common: whoever has it could vouch twice.
    #[error("validators.{first} and validators.{second} have a key in common")]
    SameKey {
        /// One nickname.
        first: String,
        /// The other.
        second: String,
    },
    /// A URL that cannot be used.
    #[error("validators.{nickname}.url")]
    Url {
        /// Whose.
        nickname: String,
        /// What is wrong.
        source: HttpError,
    },
    /// An STR key that cannot be used.
    #[error("validators.{nickname}.str_key")]
    Key {
        /// Whose.
        nickname: String,
        /// What is wrong.
        source: VkeyError,
    },
    /// A policy file that cannot be used.
    #[error("validators.{nickname}.policy: {}", path.display())]
    Policy {
        /// Whose.
        nickname: String,
        /// The policy file.
        path: PathBuf,
        /// What is wrong.
        source: PolicyError,
    },
    /// Key and policy that do not belong together, or protect nobody.
    #[error("validators.{nickname}")]
    Trust {
        /// Whose.
        nickname: String,
        /// What is wrong.
        source: TrustError,
    },
    /// A formula that counts one validator twice.
    #[error("the formula counts {0} twice beside itself; properties of one validator are written {0}[a, b]")]
    CountedTwice(String),
    /// A nickname that is asked for and not there.
    #[error("{} has no validator called {nickname}; it has {known}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The nickname.
        nickname: String,
        /// Those there are.
        known: String,
    },
}

impl TrustFile {
    /// Reads a trust file and the policies it names.
    ///
    /// # Errors
    /// [`TrustFileError`].
    pub fn load(path: &Path) -> Result<Self, TrustFileError> {
        let bytes = read(durable::read(path, MAX_BYTES), path)?;
        Self::parse(path, &bytes, |policy| durable::read(policy, MAX_POLICY_BYTES))
    }

    /// As [`TrustFile::load`], from the bytes of the file at `path`; `read_policy` reads the policies it names.
    ///
    /// # Errors
    /// [`TrustFileError`].
    pub fn parse(
        path: &Path,
        bytes: &[u8],
        read_policy: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Self, TrustFileError> {
        let parse = |message: String| TrustFileError::Parse { path: path.to_owned(), message };
        let text = std::str::from_utf8(bytes).map_err(|e| parse(e.to_string()))?;
        let file: File = toml::from_str(text).map_err(|e| parse(e.to_string()))?;
        if file.validators.is_empty() {
            return Err(TrustFileError::Empty(path.to_owned()));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut validators: BTreeMap<String, KnownValidator> = BTreeMap::new();
        let mut origins: BTreeMap<String, String> = BTreeMap::new();
        for (nickname, entry) in file.validators {
            let known = entry.into_known(nickname.clone(), folder, &read_policy)?;
            let origin = known.trusted.origin().to_owned();
            if let Some(first) = origins.insert(origin.clone(), nickname.clone()) {
                return Err(TrustFileError::SameOrigin { first, second: nickname, origin });
            }
            let keys = known.own_keys();
            let shares = |other: &&KnownValidator| other.own_keys().iter().any(|key| keys.contains(key));
            if let Some(other) = validators.values().find(shares) {
                return Err(TrustFileError::SameKey { first: other.nickname.clone(), second: nickname });
            }
            validators.insert(nickname, known);
        }
        Ok(Self { path: path.to_owned(), validators })
    }

    /// The validator of this nickname.
    ///
    /// # Errors
    /// [`TrustFileError::Unknown`].
    pub fn get(&self, nickname: &str) -> Result<&KnownValidator, TrustFileError> {
        self.validators.get(nickname).ok_or_else(|| TrustFileError::Unknown {
            path: self.path.clone(),
            nickname: nickname.to_owned(),
            known: self.validators.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// The validators of these terms, each once, in the order of their nicknames.
    ///
    /// # Errors
    /// [`TrustFileError::Unknown`], and [`TrustFileError::CountedTwice`] for the likes of `2 of (PV1, PV1, PV2)`, which one
    /// validator alone would satisfy.
    pub fn named_by(&self, formula: &Formula) -> Result<Vec<&KnownValidator>, TrustFileError> {
        if let Some(nickname) = counted_twice(formula) {
            return Err(TrustFileError::CountedTwice(nickname.to_owned()));
        }
        let mut nicknames: Vec<&str> = formula.atoms().iter().map(|term| term.nickname.as_str()).collect();
        nicknames.sort_unstable();
        nicknames.dedup();
        nicknames.into_iter().map(|nickname| self.get(nickname)).collect()
    }

    /// The formula that asks for everybody.
    pub fn everybody(&self) -> Formula {
        let term =
            |nickname: &String| Expression::Atom(Term { nickname: nickname.clone(), properties: Vec::new() });
        let mut of: Vec<Formula> = self.validators.keys().map(term).collect();
        if of.len() == 1 { of.remove(0) } else { Expression::Threshold { least: of.len(), of } }
    }
}

/// A validator that stands twice among the alternatives of which more than one must hold.
fn counted_twice(formula: &Formula) -> Option<&str> {
    let Expression::Threshold { least, of } = formula else { return None };
    let mut seen = BTreeSet::new();
    let mut twice = of.iter().filter_map(|alternative| match alternative {
        Expression::Atom(term) if *least > 1 && !seen.insert(&term.nickname) => Some(term.nickname.as_str()),
        _ => None,
    });
    twice.next().or_else(|| of.iter().find_map(counted_twice))
}

impl KnownValidator {
    /// Which cosignatures count at `now`.
    pub fn window(&self, now: PosixTime) -> Window {
        Window { now, max_age_s: self.max_age_s, skew_s: self.skew_s }
    }

    /// The keys of its STRs and of its log.
    fn own_keys(&self) -> [PublicKey; 2] {
        let log = &self.trusted.policy().logs()[0].key;
        [self.trusted.str_key().public_key(), log.public_key()]
    }
}

impl Entry {
    fn into_known(
        self,
        nickname: String,
        folder: &Path,
        read_policy: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<KnownValidator, TrustFileError> {
        let plain = matches!(formula::parse(&nickname), Ok(Expression::Atom(term)) if term.nickname == nickname && term.properties.is_empty());
        if !plain {
            return Err(TrustFileError::Nickname(nickname));
        }
        if let Err(source) = http::parse_base(&self.url) {
            return Err(TrustFileError::Url { nickname, source });
        }
        let key = self.str_key.parse();
        let key = key.map_err(|source| TrustFileError::Key { nickname: nickname.clone(), source })?;
        let path = folder.join(&self.policy);
        let policy = Policy::parse(&read(read_policy(&path), &path)?);
        let policy = policy.map_err(|source| TrustFileError::Policy {
            nickname: nickname.clone(),
            path: path.clone(),
            source,
        })?;
        let trusted = TrustedValidator::new(key, policy, self.allow_quorum_none);
        let trusted =
            trusted.map_err(|source| TrustFileError::Trust { nickname: nickname.clone(), source })?;
        Ok(KnownValidator {
            nickname,
            url: self.url,
            trusted,
            max_age_s: self.max_age_s,
            skew_s: self.skew_s,
        })
    }
}

fn read(bytes: io::Result<Vec<u8>>, path: &Path) -> Result<Vec<u8>, TrustFileError> {
    bytes.map_err(|source| TrustFileError::Read { path: path.to_owned(), source })
}
