//! From a platform as written to what it means: every name resolved, every bound checked.

use std::collections::{BTreeMap, BTreeSet};

use pds_schemas::Digest;

use super::argument::{Names, number, rule, unknown};
use super::error::{PlatformError, Rule};
use super::helper::{HandleId, Struct, StructId, Type};
use super::link::Parts;
use super::state::{Handle, Operation};
use super::{MAX_ITEMS, MAX_LINE_BYTES, Platform, limits, text};

/// Most bytes of a structure, and most fields.
const MAX_STRUCT: u32 = 2048;

pub(super) fn platform(raw: text::Platform, digest: Digest) -> Result<Platform, PlatformError> {
    check_name("name", &raw.name)?;
    number("revision", raw.revision.into(), 1, u32::MAX.into())?;
    check_line("description", &raw.description)?;
    within("sources", raw.sources.len(), MAX_ITEMS)?;
    for (i, source) in raw.sources.iter().enumerate() {
        check_line(&format!("sources.{i}"), source)?;
    }
    named("classes", &raw.classes, |key, meaning| check_line(key, meaning))?;
    limits::check(&raw.build, &raw.manifest, &raw.limits, &raw.memory)?;
    let mut names = Names::default();
    let handles = handles(&raw.handles, &mut names)?;
    let structs = structs(&raw.structs, &mut names)?;
    let entry = entry(&raw.entry, &names)?;
    let most = usize::from(raw.limits.operation_values);
    let operations = named("operations", &raw.operations, |key, raw| operation(key, raw, &names, most))?;
    named("indices", &raw.indices, limits::check_index)?;
    let parts = Parts { names, structs, classes: raw.classes, operations, indices: raw.indices };
    let helpers = named("helpers", &raw.helpers, |key, raw| parts.helper(key, raw))?;
    let objects = named("objects", &raw.objects, |key, raw| parts.object(key, raw, &helpers))?;
    Ok(Platform {
        digest,
        name: raw.name,
        revision: raw.revision,
        description: raw.description,
        sources: raw.sources,
        build: raw.build,
        manifest: raw.manifest,
        limits: raw.limits,
        entry,
        data: raw.loader.data,
        unreliable: raw.instructions.unreliable.into_iter().collect(),
        memory: raw.memory,
        classes: parts.classes,
        handles,
        structs: parts.structs,
        helpers,
        indices: parts.indices,
        objects,
        operations: parts.operations,
    })
}

fn handles(raw: &BTreeMap<String, text::Handle>, names: &mut Names) -> Result<Vec<Handle>, PlatformError> {
    let handles = named("handles", raw, |key, raw| {
        check_line(key, &raw.description)?;
        number(&format!("{key}.bytes"), raw.bytes.into(), 0, i64::from(u32::MAX >> 8))?;
        // A string's length is not known, and what is writable has one.
        if raw.text && raw.bytes != 0 {
            return Err(rule(key, Rule::Misplaced("text")));
        }
        if raw.writable && raw.bytes == 0 {
            return Err(rule(key, Rule::Misplaced("writable")));
        }
        Ok(raw)
    })?;
    let handles = handles.into_iter().enumerate().map(|(index, (name, raw))| {
        names.handles.insert(name.clone(), HandleId(small(index)));
        let description = raw.description.clone();
        let text::Handle { bytes, text, writable, heap, .. } = *raw;
        Handle { name, description, bytes, text, writable, heap }
    });
    Ok(handles.collect())
}

fn structs(raw: &BTreeMap<String, text::Struct>, names: &mut Names) -> Result<Vec<Struct>, PlatformError> {
    let structs = named("structs", raw, |key, raw| structure(key, raw, names))?;
    let structs = structs.into_iter().enumerate().map(|(index, (name, fields))| {
        names.structs.insert(name.clone(), StructId(small(index)));
        Struct { name, ..fields }
    });
    Ok(structs.collect())
}

/// A structure, without its name.
fn structure(key: &str, raw: &text::Struct, names: &Names) -> Result<Struct, PlatformError> {
    number(&format!("{key}.bytes"), raw.bytes.into(), 1, MAX_STRUCT.into())?;
    within(&format!("{key}.fields"), raw.fields.len(), usize::from(u8::MAX))?;
    let mut fields = Vec::with_capacity(raw.fields.len());
    let mut taken = vec![false; raw.bytes as usize];
    for (i, one) in raw.fields.iter().enumerate() {
        let key = format!("{key}.fields.{i}");
        check_name(&key, &one.name)?;
        if raw.fields[..i].iter().any(|other| other.name == one.name) {
            return Err(rule(&key, Rule::Duplicate(one.name.clone())));
        }
        let field = names.field(&key, &raw.fields, one)?;
        let (from, to) = (field.offset, field.offset.saturating_add(field.bytes));
        match taken.get_mut(from as usize..to as usize) {
            Some(place) if from < to && !place.contains(&true) => place.fill(true),
            _ => return Err(rule(&key, Rule::Layout { from, to })),
        }
        fields.push(field);
    }
    Ok(Struct { name: String::new(), bytes: raw.bytes, fields })
}

/// `r1` to `r5`, with what they hold.
fn entry(raw: &BTreeMap<String, String>, names: &Names) -> Result<BTreeMap<u8, Type>, PlatformError> {
    let registers = ["r1", "r2", "r3", "r4", "r5"];
    let mut entry = BTreeMap::new();
    for (register, kind) in raw {
        let key = format!("entry.{register}");
        let number = (1..).zip(registers).find(|(_, name)| name == register);
        let (number, _) = number.ok_or_else(|| unknown(&key, "register", register))?;
        entry.insert(number, names.kind(&key, kind)?);
    }
    Ok(entry)
}

fn operation(
    key: &str,
    raw: &text::Operation,
    names: &Names,
    most: usize,
) -> Result<Operation, PlatformError> {
    if let Some(parameter) = &raw.parameter {
        check_name(&format!("{key}.parameter"), parameter)?;
    }
    let inputs = names.arguments(&format!("{key}.inputs"), &raw.inputs, most)?;
    let outputs = names.arguments(&format!("{key}.outputs"), &raw.outputs, most)?;
    let returns = names.returns(&format!("{key}.returns"), &inputs, raw.returns.as_ref())?;
    let invalidates = names.handle_set(&format!("{key}.invalidates"), &raw.invalidates)?;
    Ok(Operation { host: raw.host, parameter: raw.parameter.clone(), inputs, outputs, returns, invalidates })
}

impl Names {
    pub(super) fn handle_set(&self, key: &str, raw: &[String]) -> Result<BTreeSet<HandleId>, PlatformError> {
        raw.iter().map(|name| self.handle(key, name)).collect()
    }
}

/// Takes each of a table's values, with its key, for something else.
pub(super) fn named<'a, T, U>(
    key: &str,
    table: &'a BTreeMap<String, T>,
    mut each: impl FnMut(&str, &'a T) -> Result<U, PlatformError>,
) -> Result<BTreeMap<String, U>, PlatformError> {
    within(key, table.len(), MAX_ITEMS)?;
    let one = |(name, value): (&String, &'a T)| {
        let key = format!("{key}.{name}");
        check_name(&key, name)?;
        Ok((name.clone(), each(&key, value)?))
    };
    table.iter().map(one).collect()
}

pub(super) fn within(key: &str, found: usize, limit: usize) -> Result<(), PlatformError> {
    if found <= limit { Ok(()) } else { Err(rule(key, Rule::TooMany { found, limit })) }
}

/// `[A-Za-z_][A-Za-z0-9_]*` of at most 128 bytes.
pub(super) fn check_name(key: &str, name: &str) -> Result<(), PlatformError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if name.len() <= 128 && starts && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(rule(key, Rule::Name(name.chars().take(128).collect())))
    }
}

pub(super) fn check_line(key: &str, line: &str) -> Result<(), PlatformError> {
    let fits = !line.is_empty() && line.len() <= MAX_LINE_BYTES && !line.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(rule(key, Rule::Line)) }
}

/// Tables have at most [`MAX_ITEMS`] entries.
fn small(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
