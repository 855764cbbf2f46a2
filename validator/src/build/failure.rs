//! Why a plugin cannot be built.

use std::time::Duration;

/// Why there are no objects. `words` is what the compiler said, cut to the recipe's limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildFailure {
    /// The validator's own fault: no scratch folder, no room in it.
    #[error("the scratch folder fails: {0}")]
    Scratch(String),
    /// The validator's own fault: the compiler cannot be started.
    #[error("the compiler {compiler} cannot be run: {cause}")]
    NoCompiler {
        /// As the recipe has it.
        compiler: String,
        /// What the system says.
        cause: String,
    },
    /// The validator's own doing: it is about to end.
    #[error("the build was stopped")]
    Stopped,
    /// The object's source is not in the tree.
    #[error("{object}: there is no {path} in the source tree")]
    NoSource {
        /// The object.
        object: String,
        /// Where its source should be.
        path: String,
    },
    /// An include of an absolute path, or of one that leaves the tree.
    #[error("{path}, line {line}: includes a file outside the source tree")]
    OutsideInclude {
        /// The file of the tree.
        path: String,
        /// Its line, from 1.
        line: usize,
    },
    /// The compiler refused.
    #[error("{object}: the compiler says\n{words}")]
    Refused {
        /// The object.
        object: String,
        /// What the compiler said.
        words: String,
    },
    /// The compiler was ended by a signal, its own or another's.
    #[error("{object}: the compiler ended by signal {signal}\n{words}")]
    Killed {
        /// The object.
        object: String,
        /// The signal's number.
        signal: i32,
        /// What the compiler said.
        words: String,
    },
    /// Over the time limit, and stopped.
    #[error("{object}: not compiled within {limit:?}")]
    TimedOut {
        /// The object.
        object: String,
        /// What it had: the time for one object, or what was left of the time for all.
        limit: Duration,
    },
    /// The compiler was content and wrote nothing, or an empty file.
    #[error("{object}: the compiler wrote no object\n{words}")]
    NoObject {
        /// The object.
        object: String,
        /// What the compiler said.
        words: String,
    },
    /// The object is larger than the recipe allows.
    #[error("{object}: the object has {size} bytes, the limit is {limit}")]
    ObjectTooLarge {
        /// The object.
        object: String,
        /// What it has.
        size: u64,
        /// What it may have.
        limit: u64,
    },
    /// The objects are larger together than the recipe allows.
    #[error("with {object} the objects have more than {limit} bytes together")]
    TotalTooLarge {
        /// The object that went over.
        object: String,
        /// What they may have.
        limit: u64,
    },
}

impl BuildFailure {
    /// Whether the validator itself is to blame, so that nothing is known about the source.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Scratch(_) | Self::NoCompiler { .. } | Self::Stopped)
    }

    /// The object it is about, if about one.
    pub fn object(&self) -> Option<&str> {
        match self {
            Self::Scratch(_) | Self::NoCompiler { .. } | Self::Stopped | Self::OutsideInclude { .. } => None,
            Self::NoSource { object, .. }
            | Self::Refused { object, .. }
            | Self::Killed { object, .. }
            | Self::TimedOut { object, .. }
            | Self::NoObject { object, .. }
            | Self::ObjectTooLarge { object, .. }
            | Self::TotalTooLarge { object, .. } => Some(object),
        }
    }
}
