//! What a platform has besides helpers: state and its fields, operations, memory, limits.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::helper::{Argument, HandleId, Returns, Type};

/// How pluglets are compiled.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Arguments of the compiler.
    pub flags: Vec<String>,
    /// Macros that are always defined, `NAME` or `NAME=value`.
    pub defines: Vec<String>,
    /// Macros that a manifest may define.
    pub allowed_defines: BTreeSet<String>,
    /// Folders of headers, relative to a checkout of the platform.
    pub headers: Vec<String>,
    /// Whether headers of the machine's C library are needed.
    pub system_headers: bool,
}

/// What manifests may say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestRules {
    /// How pluglets may attach, by keyword.
    pub anchors: BTreeMap<String, Anchor>,
    /// What a plugin may ask for.
    pub options: BTreeSet<String>,
    /// Most bytes of an operation's name.
    pub operation_bytes: u32,
    /// Most bytes of a plugin's name.
    pub name_bytes: u32,
    /// Greatest parameter of an operation.
    pub parameter_max: u32,
}

/// A way to attach to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Whether there can be one for each operation and parameter, whichever of the exclusive anchors it uses.
    pub exclusive: bool,
    /// Whether what the pluglet gives back is the operation's result.
    pub decides: bool,
    /// Whether it makes a new operation, for the application to call.
    pub makes: bool,
}

/// What loader and runtime can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of an object.
    pub object_bytes: u32,
    /// Most sections of an object.
    pub sections: u32,
    /// Most instruction slots once memory checks are inserted.
    pub checked_slots: u32,
    /// Most loads and stores that get a memory check.
    pub checked_accesses: u32,
    /// Slots that one memory check takes; 0 when the runtime inserts none.
    pub slots_per_check: u32,
    /// Most bytes of machine code that the runtime makes of an object; 0 when it does not matter.
    pub machine_code_bytes: u32,
    /// Most bytes of machine code of one memory check.
    pub machine_code_bytes_per_check: u32,
    /// Bytes below the frame pointer.
    pub stack_bytes: u16,
    /// Most inputs, and most outputs, of an operation.
    pub operation_values: u8,
    /// Most plugins at a time.
    pub plugins: u32,
    /// Most bytes of a plugin that is sent to a peer.
    pub plugin_bytes: u32,
}

/// What a loader makes of a reference to data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataReference {
    /// A private copy of the C string at the symbol, whatever the addend.
    Text,
    /// The place in the loaded section, with the addend.
    Section,
    /// Nothing: such objects are refused.
    None,
}

/// Instructions that a runtime may run otherwise than the instruction set says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unreliable {
    /// A 32-bit move between registers.
    #[serde(rename = "mov32-register")]
    Mov32Register,
    /// Multiplication by the constant 0.
    MulByZero,
    /// Byte swap to little-endian.
    SwapToLittleEndian,
    /// A 32-bit shift by a register.
    #[serde(rename = "shift32-by-register")]
    Shift32ByRegister,
    /// An unsigned comparison with a negative constant.
    UnsignedCompareWithNegative,
    /// A 32-bit division or remainder by a register.
    #[serde(rename = "div32-by-register")]
    Div32ByRegister,
}

/// A pluglet's own memory besides its stack.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Bytes of a plugin's heap.
    pub heap_bytes: u64,
    /// What the runtime checks of each load and store.
    pub monitor: Monitor,
    /// Bytes before each allocation that belong to the allocator.
    pub block_header_bytes: u32,
    /// How memory is allocated, by name. Exactly one needs no option.
    pub allocators: BTreeMap<String, Allocator>,
}

/// What a runtime checks of each load and store through a register other than the frame pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Monitor {
    /// Nothing.
    None,
    /// Whether the first byte is in heap or stack, or one past their end.
    FirstByte,
    /// Whether all bytes are in heap or stack.
    AllBytes,
}

/// A way to allocate memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocator {
    /// The option that a plugin asks for it with. Default none.
    #[serde(default)]
    pub option: Option<String>,
    /// Bytes of each block, the most that can be asked for. Default: any size.
    #[serde(default)]
    pub block_bytes: Option<u32>,
    /// How many blocks there are. Default: as many as fit.
    #[serde(default)]
    pub blocks: Option<u32>,
    /// What addresses are a multiple of.
    pub alignment: u32,
}

/// A kind of host pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// Its name.
    pub name: String,
    /// What it points at, for people.
    pub description: String,
    /// Bytes behind it that helpers may read; 0 when unknown.
    pub bytes: u32,
    /// Whether these end with a zero byte, and are as many as it takes.
    pub text: bool,
    /// Whether helpers may also write them.
    pub writable: bool,
    /// Whether they are in the plugin's own heap, where it may load, store and free them.
    pub heap: bool,
}

/// Meanings of the index that some fields take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Greatest index.
    pub max: u16,
    /// Names of some.
    #[serde(default)]
    pub values: BTreeMap<String, u16>,
}

/// An object of the host whose fields can be read or written by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The pointer that stands for it.
    pub handle: HandleId,
    /// The helper that reads a field.
    pub getter: String,
    /// The helper that writes one.
    pub setter: Option<String>,
    /// Words that a plugin can leave on it.
    pub metadata: Option<Metadata>,
    /// Its fields by number.
    pub keys: BTreeMap<u16, Key>,
}

/// Words that a plugin can leave on an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The helper that reads one.
    pub getter: String,
    /// The helper that writes one.
    pub setter: String,
    /// How many there are.
    pub slots: u16,
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name of its number in the platform's headers.
    pub name: String,
    /// What reading it gives; `None` when it cannot be read.
    pub get: Option<Value>,
    /// What writing it takes; `None` when it cannot be written.
    pub set: Option<Value>,
    /// Whether a pointer in it may be null.
    pub nullable: bool,
    /// What an index means, one of [`Platform::indices`](super::Platform::indices).
    pub index: Option<String>,
    /// How a value that is written can make the host leave its memory, if it can.
    pub hazard: Option<String>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// The same thing always.
    Fixed(Type),
    /// The input, at the index, of the operation that the pluglet is attached to.
    Input,
    /// Its output at the index.
    Output,
    /// What it gave back.
    Return,
}

/// An operation of the host that pluglets attach to or call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whether the host has one of its own.
    pub host: bool,
    /// What its parameter means; `None` when it takes none.
    pub parameter: Option<String>,
    /// What it is given.
    pub inputs: Vec<Argument>,
    /// What it writes to its caller's array.
    pub outputs: Vec<Argument>,
    /// What it gives back.
    pub returns: Returns,
    /// Kinds of host pointers that may be dangling after it ran.
    pub invalidates: BTreeSet<HandleId>,
}
