//! The shape of a platform's text: TOML tables as they stand, with names not yet resolved.
//!
//! Every table refuses keys that it does not know.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::helper::Access;
use super::state::{Build, DataReference, Index, Limits, ManifestRules, Memory, Metadata, Unreliable};

/// The one key that every format has.
#[derive(Deserialize)]
pub(super) struct Format {
    pub(super) format: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Platform {
    #[serde(rename = "format")]
    _format: u32,
    pub(super) name: String,
    pub(super) revision: u32,
    pub(super) description: String,
    pub(super) sources: Vec<String>,
    pub(super) build: Build,
    pub(super) manifest: ManifestRules,
    pub(super) limits: Limits,
    pub(super) entry: BTreeMap<String, String>,
    pub(super) loader: Loader,
    #[serde(default)]
    pub(super) instructions: Instructions,
    pub(super) memory: Memory,
    pub(super) classes: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) handles: BTreeMap<String, Handle>,
    #[serde(default)]
    pub(super) structs: BTreeMap<String, Struct>,
    #[serde(default)]
    pub(super) helpers: BTreeMap<String, Helper>,
    #[serde(default)]
    pub(super) indices: BTreeMap<String, Index>,
    #[serde(default)]
    pub(super) objects: BTreeMap<String, Object>,
    #[serde(default)]
    pub(super) operations: BTreeMap<String, Operation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Loader {
    pub(super) data: DataReference,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Instructions {
    pub(super) unreliable: Vec<Unreliable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Handle {
    pub(super) description: String,
    #[serde(default)]
    pub(super) bytes: u32,
    #[serde(default)]
    pub(super) text: bool,
    #[serde(default)]
    pub(super) writable: bool,
    #[serde(default)]
    pub(super) heap: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Struct {
    pub(super) bytes: u32,
    pub(super) fields: Vec<Field>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) offset: u32,
    pub(super) access: Access,
    #[serde(rename = "type")]
    pub(super) scalar: Option<String>,
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
    /// Of something opaque.
    pub(super) bytes: Option<u32>,
    /// Of a pointer: what is done behind it, and how far.
    pub(super) points_to: Option<Access>,
    pub(super) count: Option<String>,
    pub(super) times: Option<u32>,
    #[serde(default)]
    pub(super) text: bool,
    #[serde(default)]
    pub(super) outputs: bool,
    #[serde(default)]
    pub(super) nullable: bool,
}

/// An argument, an input, an output.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Argument {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
    pub(super) access: Option<Access>,
    pub(super) bytes: Option<u32>,
    pub(super) count: Option<String>,
    pub(super) times: Option<u32>,
    pub(super) plus: Option<u32>,
    pub(super) least: Option<u32>,
    pub(super) most: Option<u32>,
    #[serde(default)]
    pub(super) text: bool,
    pub(super) until: Option<String>,
    pub(super) count_at: Option<String>,
    #[serde(rename = "struct")]
    pub(super) structure: Option<String>,
    #[serde(default)]
    pub(super) frees: bool,
    #[serde(default)]
    pub(super) nullable: bool,
    #[serde(default)]
    pub(super) keeps: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Returns {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
    pub(super) allocation: Option<String>,
    pub(super) argument: Option<String>,
    pub(super) inside: Option<String>,
    #[serde(default)]
    pub(super) nullable: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Helper {
    pub(super) class: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) values: Option<String>,
    pub(super) returns: Option<Returns>,
    pub(super) calls: Option<Calls>,
    #[serde(default)]
    pub(super) reads: Vec<String>,
    #[serde(default)]
    pub(super) writes: Vec<String>,
    #[serde(default)]
    pub(super) runs: Vec<String>,
    #[serde(default)]
    pub(super) invalidates: Vec<String>,
    #[serde(default)]
    pub(super) blocks: bool,
    pub(super) unusable: Option<String>,
    pub(super) precondition: Option<String>,
}

/// Names of arguments, and behind `call` of fields of its structure.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Calls {
    pub(super) name: String,
    pub(super) identity: Option<String>,
    pub(super) call: String,
    pub(super) parameter: String,
    pub(super) inputs: String,
    pub(super) outputs: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Object {
    pub(super) handle: String,
    pub(super) getter: String,
    pub(super) setter: Option<String>,
    pub(super) metadata: Option<Metadata>,
    #[serde(default)]
    pub(super) keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) key: u16,
    pub(super) name: String,
    pub(super) get: Option<String>,
    pub(super) set: Option<String>,
    #[serde(default)]
    pub(super) nullable: bool,
    pub(super) index: Option<String>,
    pub(super) hazard: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    pub(super) host: bool,
    pub(super) parameter: Option<String>,
    #[serde(default)]
    pub(super) inputs: Vec<Argument>,
    #[serde(default)]
    pub(super) outputs: Vec<Argument>,
    pub(super) returns: Option<Returns>,
    #[serde(default)]
    pub(super) invalidates: Vec<String>,
}
