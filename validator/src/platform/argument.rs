//! From arguments, results and fields as written to what they mean.

use std::collections::BTreeMap;

use super::error::{PlatformError, Rule};
use super::helper::{
    Access, Argument, ArgumentKind, Field, FieldKind, HandleId, Length, Position, Range, Returns, Scalar,
    StructId, Type,
};
use super::resolve::{check_name, within};
use super::text;

/// Bytes of a pointer.
const POINTER: u32 = 8;
/// Most bytes of one memory argument that a platform may speak of.
const MAX_MEMORY: u32 = 1 << 24;

/// Names that arguments refer to.
#[derive(Default)]
pub(super) struct Names {
    pub(super) handles: BTreeMap<String, HandleId>,
    pub(super) structs: BTreeMap<String, StructId>,
}

impl Names {
    pub(super) fn kind(&self, key: &str, name: &str) -> Result<Type, PlatformError> {
        scalar(name)
            .map_or_else(|| self.handle(key, name).map(Type::Handle), |scalar| Ok(Type::Scalar(scalar)))
    }

    pub(super) fn handle(&self, key: &str, name: &str) -> Result<HandleId, PlatformError> {
        self.handles.get(name).copied().ok_or_else(|| unknown(key, "type", name))
    }

    /// A whole list: arguments of a helper, inputs or outputs of an operation.
    pub(super) fn arguments(
        &self,
        key: &str,
        raw: &[text::Argument],
        most: usize,
    ) -> Result<Vec<Argument>, PlatformError> {
        within(key, raw.len(), most)?;
        for (i, argument) in raw.iter().enumerate() {
            let key = format!("{key}.{i}");
            check_name(&key, &argument.name)?;
            if raw[..i].iter().any(|other| other.name == argument.name) {
                return Err(rule(&key, Rule::Duplicate(argument.name.clone())));
            }
        }
        raw.iter().enumerate().map(|(i, one)| self.argument(&format!("{key}.{i}"), raw, one)).collect()
    }

    fn argument(
        &self,
        key: &str,
        all: &[text::Argument],
        raw: &text::Argument,
    ) -> Result<Argument, PlatformError> {
        let alternatives =
            [raw.kind.is_some(), raw.access.is_some(), raw.structure.is_some(), raw.frees].map(usize::from);
        if alternatives.iter().sum::<usize>() != 1 {
            return Err(rule(key, Rule::ExactlyOne("type, access, struct, frees")));
        }
        if raw.access.is_none() && has_length(raw) {
            return Err(rule(key, Rule::Misplaced("a length")));
        }
        let kind = if let Some(access) = raw.access {
            ArgumentKind::Memory(access, length(key, all, raw)?)
        } else if let Some(name) = &raw.structure {
            let id = self.structs.get(name).ok_or_else(|| unknown(key, "struct", name))?;
            ArgumentKind::Struct(*id)
        } else if let Some(name) = &raw.kind {
            match self.kind(key, name)? {
                Type::Scalar(scalar) => ArgumentKind::Number(scalar, range(key, scalar, raw.min, raw.max)?),
                Type::Handle(handle) => ArgumentKind::Handle(handle),
            }
        } else {
            ArgumentKind::Freed
        };
        let is_number = matches!(kind, ArgumentKind::Number(..));
        if !is_number && (raw.min.is_some() || raw.max.is_some()) {
            return Err(rule(key, Rule::Misplaced("min or max")));
        }
        let is_pointer = !is_number || matches!(kind, ArgumentKind::Number(Scalar::Word, _));
        if !is_pointer && (raw.nullable || raw.keeps) {
            return Err(rule(key, Rule::Misplaced("nullable or keeps")));
        }
        Ok(Argument { name: raw.name.clone(), kind, nullable: raw.nullable, keeps: raw.keeps })
    }

    /// What is given back, `all` being the arguments.
    pub(super) fn returns(
        &self,
        key: &str,
        all: &[Argument],
        raw: Option<&text::Returns>,
    ) -> Result<Returns, PlatformError> {
        let Some(raw) = raw else { return Ok(Returns::Nothing) };
        let nullable = raw.nullable;
        let is_memory =
            |kind: &ArgumentKind| matches!(kind, ArgumentKind::Memory(..) | ArgumentKind::Handle(_));
        let result = match (&raw.kind, &raw.allocation, &raw.argument, &raw.inside) {
            (Some(name), None, None, None) => match self.kind(key, name)? {
                Type::Scalar(_) if nullable => return Err(rule(key, Rule::Misplaced("nullable"))),
                Type::Scalar(scalar) => {
                    return Ok(Returns::Number(scalar, range(key, scalar, raw.min, raw.max)?));
                }
                Type::Handle(handle) => Returns::Handle { handle, nullable },
            },
            (None, Some(size), None, None) => {
                Returns::Allocation { size: find(key, all, size, "number", is_count)?, nullable }
            }
            (None, None, Some(name), None) => {
                Returns::Argument { of: find(key, all, name, "pointer", is_memory)?, nullable }
            }
            (None, None, None, Some(name)) => {
                Returns::Inside { of: find(key, all, name, "pointer", is_memory)?, nullable }
            }
            _ => return Err(rule(key, Rule::ExactlyOne("type, allocation, argument, inside"))),
        };
        if raw.min.is_some() || raw.max.is_some() {
            return Err(rule(key, Rule::Misplaced("min or max")));
        }
        Ok(result)
    }

    /// A field of a structure of `bytes`.
    pub(super) fn field(
        &self,
        key: &str,
        all: &[text::Field],
        raw: &text::Field,
    ) -> Result<Field, PlatformError> {
        let alternatives =
            [raw.scalar.is_some(), raw.points_to.is_some(), raw.bytes.is_some()].map(usize::from);
        if alternatives.iter().sum::<usize>() != 1 {
            return Err(rule(key, Rule::ExactlyOne("type, points_to, bytes")));
        }
        let behind = raw.count.is_some() || raw.times.is_some() || raw.text || raw.outputs || raw.nullable;
        if raw.points_to.is_none() && behind {
            return Err(rule(key, Rule::Misplaced("what is behind a pointer")));
        }
        let (kind, bytes) = if let Some(access) = raw.points_to {
            (FieldKind::Pointer(access, field_length(key, all, raw)?), POINTER)
        } else if let Some(name) = &raw.scalar {
            let scalar = scalar(name).ok_or_else(|| unknown(key, "number", name))?;
            (FieldKind::Number(scalar, range(key, scalar, raw.min, raw.max)?), scalar.bits() / 8)
        } else {
            (FieldKind::Opaque, raw.bytes.unwrap_or_default())
        };
        if !matches!(kind, FieldKind::Number(..)) && (raw.min.is_some() || raw.max.is_some()) {
            return Err(rule(key, Rule::Misplaced("min or max")));
        }
        let (name, offset, access, nullable) = (raw.name.clone(), raw.offset, raw.access, raw.nullable);
        Ok(Field { name, offset, bytes, access, kind, nullable })
    }
}

/// The position among `all` of what is named, which has to be a `kind`.
pub(super) fn find(
    key: &str,
    all: &[Argument],
    name: &str,
    kind: &'static str,
    fits: impl Fn(&ArgumentKind) -> bool,
) -> Result<Position, PlatformError> {
    let index = all.iter().position(|argument| argument.name == name);
    let index = index.ok_or_else(|| unknown(key, "argument", name))?;
    if fits(&all[index].kind) {
        Ok(position(index))
    } else {
        Err(rule(key, Rule::WrongKind { kind, name: name.to_owned() }))
    }
}

pub(super) fn rule(key: &str, rule: Rule) -> PlatformError {
    PlatformError::Rule { key: key.to_owned(), rule }
}

pub(super) fn unknown(key: &str, kind: &'static str, name: &str) -> PlatformError {
    rule(key, Rule::Unknown { kind, name: name.to_owned() })
}

/// Lists are shorter than 256.
pub(super) fn position(index: usize) -> Position {
    Position(u8::try_from(index).unwrap_or(u8::MAX))
}

fn scalar(name: &str) -> Option<Scalar> {
    use Scalar::{Bool, I32, I64, U8, U16, U32, U64, Word};
    let all = [
        ("bool", Bool),
        ("u8", U8),
        ("u16", U16),
        ("u32", U32),
        ("u64", U64),
        ("i32", I32),
        ("i64", I64),
        ("word", Word),
    ];
    all.into_iter().find(|(word, _)| *word == name).map(|(_, scalar)| scalar)
}

/// Whether something of this kind can say how many there are of something else.
fn is_count(kind: &ArgumentKind) -> bool {
    matches!(kind, ArgumentKind::Number(scalar, _) if *scalar != Scalar::Word && *scalar != Scalar::Bool)
}

fn range(
    key: &str,
    scalar: Scalar,
    min: Option<i64>,
    max: Option<i64>,
) -> Result<Option<Range>, PlatformError> {
    if min.is_none() && max.is_none() {
        return Ok(None);
    }
    if scalar == Scalar::Word {
        return Err(rule(key, Rule::Misplaced("min or max")));
    }
    let (least, most) = scalar.bounds();
    let range = Range { min: min.unwrap_or(least), max: max.unwrap_or(most) };
    let key_of = |name: &str| format!("{key}.{name}");
    number(&key_of("min"), range.min, least, most)?;
    number(&key_of("max"), range.max, range.min, most)?;
    Ok(Some(range))
}

pub(super) fn number(key: &str, found: i64, least: i64, most: i64) -> Result<(), PlatformError> {
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(rule(key, Rule::OutOfRange { found, least, most }))
    }
}

fn has_length(raw: &text::Argument) -> bool {
    let numbers = [raw.bytes, raw.times, raw.plus, raw.least, raw.most];
    let names = [&raw.count, &raw.until, &raw.count_at];
    raw.text || numbers.iter().any(Option::is_some) || names.into_iter().any(Option::is_some)
}

fn length(key: &str, all: &[text::Argument], raw: &text::Argument) -> Result<Length, PlatformError> {
    for (name, value) in [
        ("bytes", raw.bytes),
        ("times", raw.times),
        ("plus", raw.plus),
        ("least", raw.least),
        ("most", raw.most),
    ] {
        let least = i64::from(name != "plus" && name != "least");
        number(&format!("{key}.{name}"), value.unwrap_or(1).into(), least, MAX_MEMORY.into())?;
    }
    // Another argument, as it is written: which kinds can be what is seen before they are resolved.
    let other = |name: &str, kind: &'static str, fits: &dyn Fn(&text::Argument) -> bool| {
        let index = all.iter().position(|argument| argument.name == name);
        let index = index.ok_or_else(|| unknown(key, "argument", name))?;
        if fits(&all[index]) && all[index].name != raw.name {
            Ok(position(index))
        } else {
            Err(rule(key, Rule::WrongKind { kind, name: name.to_owned() }))
        }
    };
    let counts = |one: &text::Argument| {
        let scalar = one.kind.as_deref().and_then(scalar);
        scalar.is_some_and(|scalar| !matches!(scalar, Scalar::Word | Scalar::Bool))
    };
    let is_word = |one: &text::Argument| one.kind.as_deref() == Some("word");
    let holds_u32 = |one: &text::Argument| {
        matches!(one.access, Some(Access::Reads | Access::Updates)) && one.bytes == Some(4)
    };
    let factors = [raw.times, raw.plus, raw.least].iter().any(Option::is_some);
    match (raw.bytes, raw.count.as_deref(), raw.until.as_deref(), raw.count_at.as_deref()) {
        (Some(bytes), None, None, None) if !raw.text && !factors && raw.most.is_none() => {
            Ok(Length::Bytes(bytes))
        }
        (None, None, None, None) if raw.text && !factors && raw.most.is_none() => Ok(Length::Text),
        (None, Some(count), None, None) if raw.text && !factors && raw.most.is_none() => {
            Ok(Length::TextWithin(other(count, "number", &counts)?))
        }
        (None, Some(count), None, None) if !raw.text => Ok(Length::Count {
            count: other(count, "number", &counts)?,
            times: raw.times.unwrap_or(1),
            plus: raw.plus.unwrap_or(0),
            least: raw.least.unwrap_or(0),
            most: raw.most,
        }),
        (None, None, Some(end), None) if !raw.text && !factors => {
            Ok(Length::Until { end: other(end, "word", &is_word)?, most: raw.most })
        }
        (None, None, None, Some(at)) if !raw.text && !factors && raw.most.is_none() => {
            Ok(Length::CountAt(other(at, "pointer to 4 bytes that are read", &holds_u32)?))
        }
        _ => Err(rule(key, Rule::ExactlyOne("bytes, count, text, until, count_at, and what goes with it"))),
    }
}

fn field_length(key: &str, all: &[text::Field], raw: &text::Field) -> Result<Length, PlatformError> {
    match (raw.count.as_deref(), raw.text, raw.outputs) {
        (Some(count), false, false) => {
            let index = all.iter().position(|field| field.name == count);
            let index = index.ok_or_else(|| unknown(key, "field", count))?;
            if all[index].scalar.as_deref().and_then(scalar).is_none_or(|scalar| scalar == Scalar::Word) {
                return Err(rule(key, Rule::WrongKind { kind: "number", name: count.to_owned() }));
            }
            let times = raw.times.unwrap_or(1);
            number(&format!("{key}.times"), times.into(), 1, MAX_MEMORY.into())?;
            Ok(Length::Count { count: position(index), times, plus: 0, least: 0, most: None })
        }
        (None, true, false) if raw.times.is_none() => Ok(Length::Text),
        (None, false, true) if raw.times.is_none() => Ok(Length::Outputs),
        _ => Err(rule(key, Rule::ExactlyOne("count, text, outputs"))),
    }
}
