//! Why a text is not a platform.

/// Why a text is not a platform.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlatformError {
    /// Larger than [`MAX_BYTES`](super::MAX_BYTES).
    #[error("the platform has {0} bytes, the limit is {limit}", limit = super::MAX_BYTES)]
    TooLarge(usize),
    /// Not TOML, or not of the right shape; the text has line, column and the offending key.
    #[error(transparent)]
    Toml(Box<toml::de::Error>),
    /// Of a format that this program does not know.
    #[error("the platform's format is {0}, this program knows {known}", known = super::FORMAT)]
    Format(u32),
    /// A value that breaks a rule.
    #[error("{key}: {rule}")]
    Rule {
        /// Where: keys and indices from the top, e.g. `helpers.send.arguments.1`.
        key: String,
        /// The rule.
        rule: Rule,
    },
}

/// A rule that a value breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// A name that no C function, or no part of one, could have.
    #[error("{0:?} is not 1 to 128 of A-Z, a-z, 0-9 and _, beginning with no digit")]
    Name(String),
    /// A text for people that is empty, too long, or has control characters.
    #[error("a text is one line of 1 to {limit} bytes", limit = super::MAX_LINE_BYTES)]
    Line,
    /// A compiler argument that could be something else than it should.
    #[error("{0:?} is not a compiler argument of this kind")]
    CompilerArgument(String),
    /// A path that leaves the platform's checkout.
    #[error("{0:?} is not a relative path without . and ..")]
    Path(String),
    /// A number that is not within its bounds.
    #[error("{found} is not from {least} to {most}")]
    OutOfRange {
        /// What stands there.
        found: i64,
        /// Least allowed.
        least: i64,
        /// Most allowed.
        most: i64,
    },
    /// More elements than may be.
    #[error("there are {found}, the limit is {limit}")]
    TooMany {
        /// How many.
        found: usize,
        /// How many may be.
        limit: usize,
    },
    /// The same name, number or place twice.
    #[error("{0} is there twice")]
    Duplicate(String),
    /// A name that is declared nowhere.
    #[error("there is no {kind} {name:?}")]
    Unknown {
        /// What it should name.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// An argument that another one needs, and that is of the wrong kind for it.
    #[error("{name:?} is no {kind}")]
    WrongKind {
        /// What it should be.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// None, or more than one, of keys that exclude each other.
    #[error("exactly one is needed of {0}")]
    ExactlyOne(&'static str),
    /// Keys that say nothing without others, or contradict them.
    #[error("{0} does not go with the rest")]
    Misplaced(&'static str),
    /// Fields of a structure that overlap or stick out.
    #[error("bytes {from} to {to} overlap with another field, or are not in the structure")]
    Layout {
        /// First byte.
        from: u32,
        /// One past the last.
        to: u32,
    },
}
