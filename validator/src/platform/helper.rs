//! What helpers and operations take, give and do.

use std::collections::BTreeSet;

use serde::Deserialize;

/// Index of a kind of host pointer in [`Platform::handles`](super::Platform::handles).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandleId(pub u16);

/// Index of a structure in [`Platform::structs`](super::Platform::structs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StructId(pub u16);

/// Index among the arguments of a helper, the inputs or outputs of an operation, or the fields of a structure. An argument
/// with index 0 is in r1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u8);

/// What a 64-bit register or word means to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number, or anything at all.
    Scalar(Scalar),
    /// A pointer of the host's.
    Handle(HandleId),
}

/// How much of a register the host looks at. Of what it gives back, the rest is undefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scalar {
    /// 8 bits, 0 or 1.
    Bool,
    /// 8 bits.
    U8,
    /// 16 bits.
    U16,
    /// 32 bits.
    U32,
    /// 64 bits.
    U64,
    /// 32 bits with a sign.
    I32,
    /// 64 bits with a sign.
    I64,
    /// 64 bits that may also be a pointer.
    Word,
}

impl Scalar {
    /// Least and greatest value, as far as 64 bits with a sign hold them.
    pub const fn bounds(self) -> (i64, i64) {
        match self {
            Self::Bool => (0, 1),
            Self::U8 => (0, 0xff),
            Self::U16 => (0, 0xffff),
            Self::U32 => (0, 0xffff_ffff),
            Self::I32 => (i32::MIN as i64, i32::MAX as i64),
            Self::U64 => (0, i64::MAX),
            Self::I64 | Self::Word => (i64::MIN, i64::MAX),
        }
    }

    /// Bits that the host looks at.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bool | Self::U8 => 8,
            Self::U16 => 16,
            Self::U32 | Self::I32 => 32,
            Self::U64 | Self::I64 | Self::Word => 64,
        }
    }
}

/// Values that a number may have: what the host must be given, or what it is known to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Least.
    pub min: i64,
    /// Greatest. Of a `u64` that has no range of its own, values above it are possible too.
    pub max: i64,
}

/// An argument of a helper, an input or an output of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name, unique among its neighbours.
    pub name: String,
    /// What it is.
    pub kind: ArgumentKind,
    /// Whether 0 is fine where a pointer is expected.
    pub nullable: bool,
    /// Whether the host holds on to the pointer after the call: the memory is no longer the pluglet's to free or reuse.
    pub keeps: bool,
}

/// What an argument is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// A number. Values outside the range make the host misbehave.
    Number(Scalar, Option<Range>),
    /// A pointer of the host's, passed on.
    Handle(HandleId),
    /// A pointer to memory that the host touches during the call.
    Memory(Access, Length),
    /// A pointer to a structure of the pluglet's.
    Struct(StructId),
    /// An allocation of the plugin's that is given back, and gone after the call.
    Freed,
}

/// What the host does with memory that it is given a pointer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Reads it, and has to find it initialised.
    Reads,
    /// Writes all of it, whatever it gives back.
    Fills,
    /// Writes any part of it, or none: what was not initialised before is not afterwards.
    MayWrite,
    /// Reads all of it and writes any part.
    Updates,
}

/// How much memory behind a pointer the host touches, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Bytes(u32),
    /// `count * times + plus` bytes, but no less than `least` and no more than `most`.
    Count {
        /// The number that counts.
        count: Position,
        /// Bytes of an element.
        times: u32,
        /// Bytes besides.
        plus: u32,
        /// Bytes touched even when there are fewer.
        least: u32,
        /// Bytes that are never exceeded.
        most: Option<u32>,
    },
    /// Up to a zero byte, that one included.
    Text,
    /// Up to a zero byte, or as many bytes as a number says.
    TextWithin(Position),
    /// Up to a pointer to one past the last byte, but no more than `most`.
    Until {
        /// The end.
        end: Position,
        /// Bytes that are never exceeded.
        most: Option<u32>,
    },
    /// As many bytes as the 32-bit number that another argument points to.
    CountAt(Position),
    /// 8 bytes for each output of the operation that is called.
    Outputs,
}

/// What a helper or an operation gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// Nothing that could be relied on.
    Nothing,
    /// A number. Bits beyond its width are undefined.
    Number(Scalar, Option<Range>),
    /// A pointer of the host's.
    Handle {
        /// Its kind.
        handle: HandleId,
        /// Whether it may be null.
        nullable: bool,
    },
    /// New memory of the plugin's, not initialised.
    Allocation {
        /// The argument that says how many bytes it has.
        size: Position,
        /// Whether it may be null.
        nullable: bool,
    },
    /// The argument itself.
    Argument {
        /// Which.
        of: Position,
        /// Whether it may be null instead.
        nullable: bool,
    },
    /// A pointer into the memory of an argument, or to its end.
    Inside {
        /// Which.
        of: Position,
        /// Whether it may be null instead.
        nullable: bool,
    },
}

/// A function of the host that pluglets call by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// Its class, one of [`Platform::classes`](super::Platform::classes).
    pub class: String,
    /// Arguments in r1 and up.
    pub arguments: Vec<Argument>,
    /// The argument that is a format. The registers behind the arguments hold the values that it shows.
    pub values: Option<Position>,
    /// What r0 holds afterwards.
    pub returns: Returns,
    /// For a helper that runs operations by name: how.
    pub calls: Option<Calls>,
    /// What it does besides.
    pub effects: Effects,
    /// Why no pluglet should call it, if so.
    pub unusable: Option<String>,
    /// What has to hold before a call and cannot be told from the arguments, if anything. Nothing is proved of memory in the
    /// call unless this is.
    pub precondition: Option<String>,
}

/// What a call changes and looks at beyond its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// State that is read, `object.field` or a whole `object`.
    pub reads: BTreeSet<String>,
    /// State that is written. Setters write what their key says.
    pub writes: BTreeSet<String>,
    /// Operations that the host runs on the way, with the pluglets that are attached to them.
    pub runs: Runs,
    /// Kinds of host pointers that may be dangling afterwards.
    pub invalidates: BTreeSet<HandleId>,
    /// Whether it may wait for the world outside.
    pub blocks: bool,
}

/// Operations that a helper may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runs {
    /// These.
    Only(BTreeSet<String>),
    /// Any at all.
    Any,
}

impl Default for Runs {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// How a helper is told which operation to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// The argument that names it.
    pub name: Position,
    /// The argument that may name it instead, and wins over the name when it is not null.
    pub identity: Option<Position>,
    /// The argument with the structure that describes the call.
    pub call: Position,
    /// The structure.
    pub structure: StructId,
    /// Its field with the operation's parameter.
    pub parameter: Position,
    /// Its field with a pointer to the inputs.
    pub inputs: Position,
    /// Its field with a pointer to the outputs.
    pub outputs: Position,
}

/// A structure that helpers find in a pluglet's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struct {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u32,
    /// What the host touches of it.
    pub fields: Vec<Field>,
}

/// A field of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Bytes before it.
    pub offset: u32,
    /// Its bytes.
    pub bytes: u32,
    /// What the host does with it.
    pub access: Access,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether a pointer in it may be null.
    pub nullable: bool,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A number.
    Number(Scalar, Option<Range>),
    /// A pointer to memory that the host touches.
    Pointer(Access, Length),
    /// Something of the host's.
    Opaque,
}
