//! Helpers and objects: what is written of them refers to everything else.

use std::collections::{BTreeMap, BTreeSet};

use super::argument::{Names, find, position, rule, unknown};
use super::error::{PlatformError, Rule};
use super::helper::{ArgumentKind, Calls, Effects, Field, FieldKind, Helper, Length, Position, Runs, Struct};
use super::resolve::{check_line, check_name, within};
use super::state::{Index, Key, Metadata, Object, Operation, Value};
use super::{Argument, HandleId, MAX_ARGUMENTS, MAX_ITEMS, text};

/// The argument of a getter or setter that holds the field's number.
const KEY: &str = "key";
/// That of a field with many values.
const INDEX: &str = "index";
/// That of what is written.
const VALUE: &str = "value";
/// That of which word of metadata.
const SLOT: &str = "slot";

/// What helpers and objects refer to.
pub(super) struct Parts {
    pub(super) names: Names,
    pub(super) structs: Vec<Struct>,
    pub(super) classes: BTreeMap<String, String>,
    pub(super) operations: BTreeMap<String, Operation>,
    pub(super) indices: BTreeMap<String, Index>,
}

impl Parts {
    pub(super) fn helper(&self, key: &str, raw: &text::Helper) -> Result<Helper, PlatformError> {
        if !self.classes.contains_key(&raw.class) {
            return Err(unknown(&format!("{key}.class"), "class", &raw.class));
        }
        let arguments = self.names.arguments(&format!("{key}.arguments"), &raw.arguments, MAX_ARGUMENTS)?;
        let is_text = |kind: &ArgumentKind| matches!(kind, ArgumentKind::Memory(_, Length::Text));
        let values = raw.values.as_deref();
        let values = values.map(|name| find(&format!("{key}.values"), &arguments, name, "text", is_text));
        let returns = self.names.returns(&format!("{key}.returns"), &arguments, raw.returns.as_ref())?;
        let calls = raw.calls.as_ref();
        let calls = calls.map(|calls| self.calls(&format!("{key}.calls"), &arguments, calls)).transpose()?;
        if let Some(position) = self.loose_outputs(&arguments, calls) {
            return Err(rule(&format!("{key}.arguments.{}", position.0), Rule::Misplaced("outputs")));
        }
        for (name, words) in [("unusable", &raw.unusable), ("precondition", &raw.precondition)] {
            words.as_ref().map_or(Ok(()), |words| check_line(&format!("{key}.{name}"), words))?;
        }
        Ok(Helper {
            class: raw.class.clone(),
            arguments,
            values: values.transpose()?,
            returns,
            calls,
            effects: self.effects(key, raw)?,
            unusable: raw.unusable.clone(),
            precondition: raw.precondition.clone(),
        })
    }

    /// An argument whose structure points at the outputs of an operation although none is called with it.
    fn loose_outputs(&self, arguments: &[Argument], calls: Option<Calls>) -> Option<Position> {
        let has_outputs = |field: &Field| matches!(field.kind, FieldKind::Pointer(_, Length::Outputs));
        let loose = |argument: &Argument| match argument.kind {
            ArgumentKind::Struct(id) => {
                self.structs[usize::from(id.0)].fields.iter().any(has_outputs)
                    && calls.is_none_or(|calls| calls.structure != id)
            }
            _ => false,
        };
        arguments.iter().position(loose).map(position)
    }

    fn calls(&self, key: &str, arguments: &[Argument], raw: &text::Calls) -> Result<Calls, PlatformError> {
        let is_struct = |kind: &ArgumentKind| matches!(kind, ArgumentKind::Struct(_));
        let is_text = |kind: &ArgumentKind| matches!(kind, ArgumentKind::Memory(_, Length::Text));
        let name = find(key, arguments, &raw.name, "text", is_text)?;
        let call = find(key, arguments, &raw.call, "struct", is_struct)?;
        let identity = raw.identity.as_deref();
        let identity = identity.map(|name| find(key, arguments, name, "struct", is_struct)).transpose()?;
        let ArgumentKind::Struct(structure) = arguments[usize::from(call.0)].kind else {
            return Err(rule(key, Rule::WrongKind { kind: "struct", name: raw.call.clone() }));
        };
        let fields = &self.structs[usize::from(structure.0)].fields;
        let field = |name: &str, kind: &'static str, fits: &dyn Fn(&FieldKind) -> bool| {
            let index = fields.iter().position(|field| field.name == name);
            let index = index.ok_or_else(|| unknown(key, "field", name))?;
            if fits(&fields[index].kind) {
                return Ok(position(index));
            }
            Err(rule(key, Rule::WrongKind { kind, name: name.to_owned() }))
        };
        let is_number = |kind: &FieldKind| matches!(kind, FieldKind::Number(..));
        let is_inputs =
            |kind: &FieldKind| matches!(kind, FieldKind::Pointer(_, Length::Count { times: 8, .. }));
        let is_outputs = |kind: &FieldKind| matches!(kind, FieldKind::Pointer(_, Length::Outputs));
        Ok(Calls {
            name,
            identity,
            call,
            structure,
            parameter: field(&raw.parameter, "number", &is_number)?,
            inputs: field(&raw.inputs, "pointer to words that are counted", &is_inputs)?,
            outputs: field(&raw.outputs, "pointer to outputs", &is_outputs)?,
        })
    }

    fn effects(&self, key: &str, raw: &text::Helper) -> Result<Effects, PlatformError> {
        let places = |name: &str, places: &[String]| {
            let key = format!("{key}.{name}");
            within(&key, places.len(), MAX_ITEMS)?;
            for place in places {
                place.split('.').try_for_each(|part| check_name(&key, part))?;
            }
            Ok(places.iter().cloned().collect::<BTreeSet<_>>())
        };
        let runs = if raw.runs == ["*"] {
            Runs::Any
        } else {
            let unknown_one = raw.runs.iter().find(|name| !self.operations.contains_key(*name));
            if let Some(name) = unknown_one {
                return Err(unknown(&format!("{key}.runs"), "operation", name));
            }
            Runs::Only(raw.runs.iter().cloned().collect())
        };
        Ok(Effects {
            reads: places("reads", &raw.reads)?,
            writes: places("writes", &raw.writes)?,
            runs,
            invalidates: self.names.handle_set(&format!("{key}.invalidates"), &raw.invalidates)?,
            blocks: raw.blocks,
        })
    }

    pub(super) fn object(
        &self,
        key: &str,
        raw: &text::Object,
        helpers: &BTreeMap<String, Helper>,
    ) -> Result<Object, PlatformError> {
        let handle = self.names.handle(&format!("{key}.handle"), &raw.handle)?;
        let access = |role: &str, helper: &str, needs: &[&str]| {
            accessor(&format!("{key}.{role}"), helpers, helper, handle, needs)
        };
        access("getter", &raw.getter, &[KEY])?;
        raw.setter.as_deref().map_or(Ok(()), |setter| access("setter", setter, &[KEY, VALUE]))?;
        if let Some(Metadata { getter, setter, .. }) = &raw.metadata {
            access("metadata.getter", getter, &[SLOT])?;
            access("metadata.setter", setter, &[SLOT, VALUE])?;
        }
        within(&format!("{key}.keys"), raw.keys.len(), MAX_ITEMS)?;
        let mut keys = BTreeMap::new();
        for (i, one) in raw.keys.iter().enumerate() {
            let key = format!("{key}.keys.{i}");
            let field = self.key(&key, one, raw, helpers)?;
            if keys.values().any(|other: &Key| other.name == one.name)
                || keys.insert(one.key, field).is_some()
            {
                return Err(rule(&key, Rule::Duplicate(one.name.clone())));
            }
        }
        let (getter, setter) = (raw.getter.clone(), raw.setter.clone());
        Ok(Object { handle, getter, setter, metadata: raw.metadata.clone(), keys })
    }

    fn key(
        &self,
        key: &str,
        raw: &text::Key,
        object: &text::Object,
        helpers: &BTreeMap<String, Helper>,
    ) -> Result<Key, PlatformError> {
        check_name(&format!("{key}.name"), &raw.name)?;
        if raw.get.is_none() && raw.set.is_none() {
            return Err(rule(key, Rule::Misplaced("a field that is neither read nor written")));
        }
        if raw.set.is_none() && raw.hazard.is_some() || raw.set.is_some() && object.setter.is_none() {
            return Err(rule(key, Rule::Misplaced("set or hazard")));
        }
        let value = |raw: &Option<String>| match raw.as_deref() {
            None => Ok(None),
            Some("input") => Ok(Some(Value::Input)),
            Some("output") => Ok(Some(Value::Output)),
            Some("return") => Ok(Some(Value::Return)),
            Some(name) => self.names.kind(key, name).map(|kind| Some(Value::Fixed(kind))),
        };
        let (get, set) = (value(&raw.get)?, value(&raw.set)?);
        if matches!(set, Some(Value::Input | Value::Return)) {
            return Err(rule(key, Rule::Misplaced("set")));
        }
        if let Some(index) = &raw.index {
            if !self.indices.contains_key(index) {
                return Err(unknown(key, "index", index));
            }
            let takes_one = |helper: &String| helpers[helper].arguments.iter().any(|one| one.name == INDEX);
            if !takes_one(&object.getter) {
                return Err(rule(key, Rule::Misplaced("index")));
            }
        } else if matches!((get, set), (Some(Value::Input | Value::Output), _) | (_, Some(Value::Output))) {
            return Err(rule(key, Rule::Misplaced("input or output without an index")));
        }
        raw.hazard.as_ref().map_or(Ok(()), |words| check_line(&format!("{key}.hazard"), words))?;
        let (name, nullable, index, hazard) =
            (raw.name.clone(), raw.nullable, raw.index.clone(), raw.hazard.clone());
        Ok(Key { name, get, set, nullable, index, hazard })
    }
}

/// Checks that `helper` is there, takes `handle`, and has the arguments `needs`, by name.
fn accessor(
    key: &str,
    helpers: &BTreeMap<String, Helper>,
    helper: &str,
    handle: HandleId,
    needs: &[&str],
) -> Result<(), PlatformError> {
    let arguments = &helpers.get(helper).ok_or_else(|| unknown(key, "helper", helper))?.arguments;
    if !arguments.iter().any(|argument| argument.kind == ArgumentKind::Handle(handle)) {
        return Err(rule(
            key,
            Rule::WrongKind { kind: "helper that takes the object", name: helper.to_owned() },
        ));
    }
    for name in needs {
        find(key, arguments, name, "number", |kind| matches!(kind, ArgumentKind::Number(..)))?;
    }
    Ok(())
}
