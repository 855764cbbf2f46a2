//! What bytecode meets where it runs: a platform, as data.
//!
//! Pure: text in, a [`Platform`] or the reason of refusal out; no panic and no unbounded allocation on any text. A platform
//! is a TOML file (`platforms/pquic.toml` is the first): which helpers there are, what they take, give and do, which fields
//! of state have which number, which operations pluglets attach to and call, how much memory there is and what the loader
//! can take. Verifiers ask a platform and know none by name: a new one is a file, and no code.
//!
//! Everything is resolved here: names of handles, arguments, classes and operations become positions or are refused, so that
//! a verifier finds no loose ends. A platform's [`digest`](Platform::digest) is that of its text: a policy that names it says
//! by which table a validator decided.
//!
//! Not here: what follows from a table for a program, which is the verifiers' to say; and reading files.

mod argument;
mod error;
mod helper;
mod limits;
mod link;
mod resolve;
mod state;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use pds_schemas::Digest;
use sha2::{Digest as _, Sha256};

pub use error::{PlatformError, Rule};
pub use helper::{
    Access, Argument, ArgumentKind, Calls, Effects, Field, FieldKind, HandleId, Helper, Length, Position,
    Range, Returns, Runs, Scalar, Struct, StructId, Type,
};
pub use state::{
    Allocator, Anchor, Build, DataReference, Handle, Index, Key, Limits, ManifestRules, Memory, Metadata,
    Monitor, Object, Operation, Unreliable, Value,
};

/// The format that is read here.
pub const FORMAT: u32 = 1;
/// Most bytes of a platform.
pub const MAX_BYTES: usize = 512 << 10;
/// Most bytes of a text for people.
pub const MAX_LINE_BYTES: usize = 512;
/// Most helpers, operations, handles, structures, objects, or keys of an object.
pub const MAX_ITEMS: usize = 4096;
/// Most arguments of a helper: r1 to r5.
pub const MAX_ARGUMENTS: usize = 5;

/// What a pluglet meets where it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Platform {
    /// SHA-256 of the text.
    pub digest: Digest,
    /// Its name, e.g. `pquic`.
    pub name: String,
    /// Number of this edition, from 1.
    pub revision: u32,
    /// What it is, for people.
    pub description: String,
    /// Where its facts come from.
    pub sources: Vec<String>,
    /// How pluglets are compiled.
    pub build: Build,
    /// What manifests may say.
    pub manifest: ManifestRules,
    /// What loader and runtime can take.
    pub limits: Limits,
    /// What registers hold when a pluglet begins; others hold leftovers.
    pub entry: BTreeMap<u8, Type>,
    /// What the loader makes of references to data.
    pub data: DataReference,
    /// Instructions whose result is not what the instruction set says.
    pub unreliable: BTreeSet<Unreliable>,
    /// A pluglet's own memory.
    pub memory: Memory,
    /// What helpers are for: names that policies and people can use, each with its meaning.
    pub classes: BTreeMap<String, String>,
    /// Kinds of host pointers, by [`HandleId`].
    pub handles: Vec<Handle>,
    /// Structures, by [`StructId`].
    pub structs: Vec<Struct>,
    /// Helpers by name.
    pub helpers: BTreeMap<String, Helper>,
    /// Meanings of the index that some fields take.
    pub indices: BTreeMap<String, Index>,
    /// Objects of the host whose fields can be read or written.
    pub objects: BTreeMap<String, Object>,
    /// Operations of the host by name.
    pub operations: BTreeMap<String, Operation>,
}

impl Platform {
    /// Reads a platform.
    ///
    /// # Errors
    /// [`PlatformError`], with the key.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        if text.len() > MAX_BYTES {
            return Err(PlatformError::TooLarge(text.len()));
        }
        let shape = |cause| PlatformError::Toml(Box::new(cause));
        // The format first: what an unknown one holds is not ours to complain about.
        let text::Format { format } = toml::from_str(text).map_err(shape)?;
        if format != FORMAT {
            return Err(PlatformError::Format(format));
        }
        let digest = Digest(Sha256::digest(text).into());
        resolve::platform(toml::from_str(text).map_err(shape)?, digest)
    }

    /// A kind of host pointer.
    pub fn handle(&self, id: HandleId) -> &Handle {
        &self.handles[usize::from(id.0)]
    }

    /// A structure.
    pub fn structure(&self, id: StructId) -> &Struct {
        &self.structs[usize::from(id.0)]
    }

    /// The object that `helper` reads fields of.
    pub fn read_by(&self, helper: &str) -> Option<&Object> {
        self.objects.values().find(|object| object.getter == helper)
    }

    /// The object that `helper` writes fields of.
    pub fn written_by(&self, helper: &str) -> Option<&Object> {
        self.objects.values().find(|object| object.setter.as_deref() == Some(helper))
    }

    /// The object, by name, on which `helper` sets a word of metadata.
    pub fn kept_by(&self, helper: &str) -> Option<&str> {
        self.with_metadata(|metadata| metadata.setter == helper)
    }

    /// The object, by name, on which `helper` reads a word of metadata.
    pub fn found_by(&self, helper: &str) -> Option<&str> {
        self.with_metadata(|metadata| metadata.getter == helper)
    }

    fn with_metadata(&self, is_it: impl Fn(&Metadata) -> bool) -> Option<&str> {
        let found = self.objects.iter().find(|(_, object)| object.metadata.as_ref().is_some_and(&is_it));
        found.map(|(name, _)| name.as_str())
    }
}
