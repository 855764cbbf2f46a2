//! What is shown: a tree of texts and numbers that keeps the order of fields, for people and as JSON.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// A value to be shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Not there.
    Nothing,
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// A list.
    List(Vec<Item>),
    /// Fields, in the order to show them in.
    Map(Vec<(String, Item)>),
}

/// A text.
pub(super) fn text(value: impl ToString) -> Item {
    Item::Text(value.to_string())
}

/// A number of things.
pub(super) fn count(value: usize) -> Item {
    Item::Number(value as u64)
}

/// A list of what `show` makes of each.
pub(super) fn list<T>(values: impl IntoIterator<Item = T>, show: impl FnMut(T) -> Item) -> Item {
    Item::List(values.into_iter().map(show).collect())
}

/// A text, or nothing.
pub(super) fn optional(value: Option<impl ToString>) -> Item {
    value.map_or(Item::Nothing, text)
}

/// Fields.
pub(super) fn map<const N: usize>(fields: [(&str, Item); N]) -> Item {
    Item::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

impl Item {
    /// As JSON; the order of fields is lost.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Text(text) => text.clone().into(),
            Self::Number(number) => (*number).into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(fields) => fields.iter().map(|(name, value)| (name.clone(), value.to_json())).collect(),
        }
    }

    /// What becomes of a value in JSON.
    pub(super) fn of<T: Serialize>(value: &T) -> Self {
        serde_json::to_value(value).map_or(Self::Nothing, |value| of_json(&value))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let margin = " ".repeat(indent);
        match self {
            Self::Map(fields) => {
                for (name, value) in fields {
                    write!(f, "{margin}{}:", plain(name))?;
                    value.write_behind(f, indent)?;
                }
                Ok(())
            }
            Self::List(items) => {
                for item in items {
                    write!(f, "{margin}-")?;
                    item.write_behind(f, indent)?;
                }
                Ok(())
            }
            leaf => writeln!(f, "{margin}{}", leaf.leaf()),
        }
    }

    /// Behind a name or a dash: on the same line, or on lines of its own.
    fn write_behind(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        match self {
            Self::Map(fields) if fields.is_empty() => writeln!(f, " (none)"),
            Self::List(items) if items.is_empty() => writeln!(f, " (none)"),
            Self::Map(_) | Self::List(_) => {
                writeln!(f)?;
                self.write(f, indent + 2)
            }
            Self::Text(text) if text.contains('\n') => {
                writeln!(f)?;
                let margin = " ".repeat(indent + 2);
                text.lines().try_for_each(|line| writeln!(f, "{margin}| {}", plain(line)))
            }
            leaf => writeln!(f, " {}", leaf.leaf()),
        }
    }

    fn leaf(&self) -> String {
        match self {
            Self::Text(text) => plain(text),
            Self::Number(number) => number.to_string(),
            _ => "(none)".to_owned(),
        }
    }
}

/// Indented lines, one for each field, without the control characters that strangers may have put into texts.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn of_json(value: &Value) -> Item {
    match value {
        Value::Null => Item::Nothing,
        Value::Number(number) => number.as_u64().map_or_else(|| text(number), Item::Number),
        Value::Array(items) => list(items, of_json),
        Value::Object(fields) => Item::Map(fields.iter().map(|(k, v)| (k.clone(), of_json(v))).collect()),
        Value::String(string) => text(string),
        Value::Bool(flag) => text(flag),
    }
}

/// Whatever CBOR there is.
pub(super) fn of_cbor(value: &serde_cbor::Value) -> Item {
    use serde_cbor::Value as V;
    match value {
        V::Null => Item::Nothing,
        V::Bool(flag) => text(flag),
        V::Integer(number) => u64::try_from(*number).map_or_else(|_| text(number), Item::Number),
        V::Float(number) => text(number),
        V::Bytes(bytes) => text(format!("h'{}'", hex::encode(bytes))),
        V::Text(string) => text(string),
        V::Array(items) => list(items, of_cbor),
        V::Map(fields) => {
            let key = |key: &V| match of_cbor(key) {
                Item::Text(text) => text,
                Item::Number(number) => number.to_string(),
                _ => format!("{key:?}"),
            };
            Item::Map(fields.iter().map(|(k, v)| (key(k), of_cbor(v))).collect())
        }
        V::Tag(tag, inner) => Item::Map(vec![(format!("tag {tag}"), of_cbor(inner))]),
        _ => Item::Nothing,
    }
}
