//! A plugin's manifest: its name, and which pluglet attaches where.
//!
//! Pure: text in, values out. The format is PQUIC's `.plugin` file: the first line is the name and then options, each
//! further line is `protoop [param N] anchor object.o`. Lines that are empty or begin with `#` are skipped, as PQUIC
//! does. Stricter than PQUIC where its parser is lax: single spaces, whole keywords, nothing after the object, no CR, no
//! octal numbers. `include` lines and the `-` separator of PQUIC's test plugins are refused: a manifest stands alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use pds_schemas::{NameError, PluginName};

use crate::source::{PathError, check_path};

/// Most bytes a manifest may have.
pub const MAX_BYTES: usize = 64 << 10;
/// Most lines a manifest may have, comments included.
pub const MAX_LINES: usize = 256;
/// Most bytes of a protocol operation's name; PQUIC keeps names in 100 bytes with their end.
pub const MAX_PROTOOP_BYTES: usize = 99;

/// A plugin's manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The plugin's name.
    pub name: PluginName,
    /// Options behind the name, in the order written.
    pub options: Vec<PluginOption>,
    /// At least one, in the order written: PQUIC runs observers of one anchor in the order they were attached.
    pub attachments: Vec<Attachment>,
}

/// One pluglet attached to one protocol operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attachment {
    /// The protocol operation, `[a-z0-9_]+`.
    pub protoop: String,
    /// The parameter of a parametrised operation, e.g. a frame type. 0xffff is PQUIC's "none" and never here.
    pub param: Option<u16>,
    /// How it attaches.
    pub anchor: Anchor,
    /// The object, a path relative to the manifest's folder, ending in `.o`.
    pub object: String,
}

macro_rules! keywords {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// The keyword.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(word: &str) -> Result<Self, ()> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(()),
                }
            }
        }
    };
}

keywords! {
    /// How a pluglet attaches to a protocol operation. PQUIC itself knows the first four.
    Anchor {
        /// Runs instead of the operation.
        Replace = "replace",
        /// Runs before it and cannot change its result.
        Pre = "pre",
        /// Runs after it and cannot change its result.
        Post = "post",
        /// A new operation that the application calls.
        Extern = "extern",
        /// Runs before it.
        Before = "before",
        /// Runs after it.
        After = "after",
    }
}

keywords! {
    /// What a plugin asks of PQUIC besides attaching its pluglets.
    PluginOption {
        /// Its frames are not held to a share of the sending rate.
        RateUnlimited = "rate_unlimited",
        /// Its memory comes from an allocator of variable block size.
        DynamicMemory = "dynamic_memory",
        /// It is used only when both peers have it.
        Negotiate = "negotiate",
    }
}

/// Why a text is not a manifest. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Larger than [`MAX_BYTES`].
    #[error("the manifest has {0} bytes, the limit is {MAX_BYTES}")]
    TooLarge(usize),
    /// More lines than [`MAX_LINES`].
    #[error("the manifest has more than {MAX_LINES} lines")]
    TooManyLines,
    /// Not UTF-8.
    #[error("the manifest is not UTF-8")]
    NotUtf8,
    /// A carriage return or another control character.
    #[error("line {line}: control character {character:?}; lines end in a newline alone")]
    ControlCharacter {
        /// The line.
        line: usize,
        /// The character.
        character: char,
    },
    /// No line with a name.
    #[error("the manifest is empty: its first line is the plugin's name")]
    NoName,
    /// The first line does not begin with a plugin name.
    #[error("line {line}: {cause}")]
    Name {
        /// The line.
        line: usize,
        /// The rule the name breaks.
        cause: NameError,
    },
    /// An option that is not known, or is there twice.
    #[error("line {line}: option {word:?} is unknown or repeated")]
    Option {
        /// The line.
        line: usize,
        /// What stands there.
        word: String,
    },
    /// No attachment.
    #[error("the manifest attaches nothing")]
    NoAttachments,
    /// An include line.
    #[error("line {line}: include lines are not taken; write the attachments out")]
    Include {
        /// The line.
        line: usize,
    },
    /// PQUIC's separator between plugins that are and are not injected at start.
    #[error("line {line}: the separator - is not taken")]
    Separator {
        /// The line.
        line: usize,
    },
    /// Not the words of an attachment.
    #[error("line {line}: not \"protoop [param N] anchor object.o\" with single spaces")]
    Shape {
        /// The line.
        line: usize,
    },
    /// A protocol operation that is not `[a-z0-9_]+` of at most [`MAX_PROTOOP_BYTES`].
    #[error("line {line}: a protocol operation is 1 to {MAX_PROTOOP_BYTES} of a-z, 0-9 and _")]
    Protoop {
        /// The line.
        line: usize,
    },
    /// A parameter that is not a number from 0 to 65534.
    #[error("line {line}: parameter {word:?} is not a number from 0 to 65534, decimal or 0x and hexadecimal")]
    Param {
        /// The line.
        line: usize,
        /// What stands there.
        word: String,
    },
    /// An anchor that is not known.
    #[error("line {line}: {word:?} is not replace, pre, post, extern, before or after")]
    Anchor {
        /// The line.
        line: usize,
        /// What stands there.
        word: String,
    },
    /// An object that does not end in `.o`.
    #[error("line {line}: object {object:?} is not a name ending in .o")]
    ObjectName {
        /// The line.
        line: usize,
        /// What stands there.
        object: String,
    },
    /// An object that is not a plain relative path.
    #[error("line {line}: object {object:?}: {cause}")]
    ObjectPath {
        /// The line.
        line: usize,
        /// What stands there.
        object: String,
        /// The rule it breaks.
        cause: PathError,
    },
    /// Two pluglets where only one can be: `replace` and `extern` share one place, and nothing attaches twice.
    #[error("line {line}: line {first} already attaches there")]
    Duplicate {
        /// The line.
        line: usize,
        /// The earlier one.
        first: usize,
    },
    /// An operation both with and without a parameter.
    #[error("line {line}: line {first} has the same operation the other way, with or without a parameter")]
    MixedParam {
        /// The line.
        line: usize,
        /// The earlier one.
        first: usize,
    },
}

impl Manifest {
    /// Reads a manifest. A missing newline at the end is fine.
    ///
    /// # Errors
    /// [`ManifestError`], with the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::NotUtf8)?;
        if text.lines().count() > MAX_LINES {
            return Err(ManifestError::TooManyLines);
        }
        // Not `lines()`: it would take the CR of a CRLF away.
        let numbered = || text.split('\n').enumerate().map(|(i, line)| (i + 1, line));
        for (line, content) in numbered() {
            if let Some(character) = content.chars().find(|c| c.is_control()) {
                return Err(ManifestError::ControlCharacter { line, character });
            }
        }
        let mut lines = numbered().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let (line, first) = lines.next().ok_or(ManifestError::NoName)?;
        let (name, options) = parse_first(line, first)?;
        let mut seen = Seen::default();
        let mut attachments = Vec::new();
        for (line, content) in lines {
            let attachment = parse_attachment(line, content)?;
            seen.check(line, &attachment)?;
            attachments.push(attachment);
        }
        if attachments.is_empty() {
            return Err(ManifestError::NoAttachments);
        }
        Ok(Self { name, options, attachments })
    }

    /// The distinct objects, sorted: paths relative to the manifest's folder.
    pub fn objects(&self) -> BTreeSet<&str> {
        self.attachments.iter().map(|attachment| attachment.object.as_str()).collect()
    }
}

/// The C file an object is built from: `x.c` for `x.o`.
pub fn source_of(object: &str) -> String {
    format!("{}.c", object.strip_suffix(".o").unwrap_or(object))
}

fn parse_first(line: usize, content: &str) -> Result<(PluginName, Vec<PluginOption>), ManifestError> {
    let mut words = content.split(' ');
    let name = PluginName::new(words.next().unwrap_or_default())
        .map_err(|cause| ManifestError::Name { line, cause })?;
    let mut options = Vec::new();
    for word in words {
        match word.parse::<PluginOption>() {
            Ok(option) if !options.contains(&option) => options.push(option),
            _ => return Err(ManifestError::Option { line, word: word.to_owned() }),
        }
    }
    Ok((name, options))
}

fn parse_attachment(line: usize, content: &str) -> Result<Attachment, ManifestError> {
    if content.starts_with('-') {
        return Err(ManifestError::Separator { line });
    }
    let words: Vec<&str> = content.split(' ').collect();
    let (protoop, param, anchor, object) = match words[..] {
        [_, "include"] => return Err(ManifestError::Include { line }),
        [protoop, "param", number, anchor, object] => {
            let param =
                parse_param(number).ok_or_else(|| ManifestError::Param { line, word: number.to_owned() })?;
            (protoop, Some(param), anchor, object)
        }
        [protoop, anchor, object] => (protoop, None, anchor, object),
        _ => return Err(ManifestError::Shape { line }),
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if protoop.is_empty() || protoop.len() > MAX_PROTOOP_BYTES || !protoop.bytes().all(plain) {
        return Err(ManifestError::Protoop { line });
    }
    let anchor = anchor.parse().map_err(|()| ManifestError::Anchor { line, word: anchor.to_owned() })?;
    let stem = object.strip_suffix(".o").and_then(|stem| stem.rsplit('/').next());
    // A file name that begins with a dash would be an option to the compiler.
    if stem.is_none_or(str::is_empty) || object.split('/').any(|part| part.starts_with('-')) {
        return Err(ManifestError::ObjectName { line, object: object.to_owned() });
    }
    check_path(object).map_err(|cause| ManifestError::ObjectPath {
        line,
        object: object.to_owned(),
        cause,
    })?;
    Ok(Attachment { protoop: protoop.to_owned(), param, anchor, object: object.to_owned() })
}

/// A decimal or 0x number; no sign, and no leading zero, which C would take for octal.
fn parse_param(word: &str) -> Option<u16> {
    let number = match word.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u16::from_str_radix(digits, 16).ok()?
        }
        None if word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0')) => {
            word.parse().ok()?
        }
        _ => return None,
    };
    (number != u16::MAX).then_some(number)
}

/// What earlier lines attached, with their numbers.
#[derive(Default)]
struct Seen {
    exclusive: BTreeMap<(String, Option<u16>), usize>,
    whole: BTreeMap<Attachment, usize>,
    with_param: BTreeMap<String, (bool, usize)>,
}

impl Seen {
    fn check(&mut self, line: usize, attachment: &Attachment) -> Result<(), ManifestError> {
        let Attachment { protoop, param, anchor, .. } = attachment;
        let (with_param, first) = *self.with_param.entry(protoop.clone()).or_insert((param.is_some(), line));
        if with_param != param.is_some() {
            return Err(ManifestError::MixedParam { line, first });
        }
        if let Some(first) = self.whole.insert(attachment.clone(), line) {
            return Err(ManifestError::Duplicate { line, first });
        }
        if matches!(anchor, Anchor::Replace | Anchor::Extern)
            && let Some(first) = self.exclusive.insert((protoop.clone(), *param), line)
        {
            return Err(ManifestError::Duplicate { line, first });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "org.example.datagram dynamic_memory\n# frames\nparse_frame param 0x2c replace parse.o\n\n\
        parse_frame param 45 replace parse.o\nheader_parsed pre a/b.o\nheader_parsed pre c.o\nsend_message extern send.o";

    #[test]
    fn manifest_is_read_when_it_is_shaped_like_pquics() {
        let manifest = Manifest::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(manifest.name.as_str(), "org.example.datagram");
        assert_eq!(manifest.options, [PluginOption::DynamicMemory]);
        let params: Vec<Option<u16>> = manifest.attachments.iter().map(|a| a.param).collect();
        assert_eq!(params, [Some(0x2c), Some(45), None, None, None]);
        let anchors: Vec<&str> = manifest.attachments.iter().map(|a| a.anchor.as_str()).collect();
        assert_eq!(anchors, ["replace", "replace", "pre", "pre", "extern"]);
        assert_eq!(manifest.objects().into_iter().collect::<Vec<_>>(), ["a/b.o", "c.o", "parse.o", "send.o"]);
        assert_eq!(source_of("a/b.o"), "a/b.c");
        assert_eq!(Manifest::parse(format!("{GOOD}\n").as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn manifest_is_refused_with_line_and_cause() {
        use ManifestError as E;
        let check =
            |text: &str, expect| assert_eq!(Manifest::parse(text.as_bytes()), Err(expect), "{text:?}");
        let body = |text: &str| format!("a.b\n{text}");
        let line = 2;
        check("", E::NoName);
        check("# only\n", E::NoName);
        check("a.b\n", E::NoAttachments);
        check("parse_frame replace a.o\n", E::Name { line: 1, cause: NameError::OneLabel });
        check("a.b fast\n", E::Option { line: 1, word: "fast".into() });
        check("a.b negotiate negotiate\n", E::Option { line: 1, word: "negotiate".into() });
        check(&body("x replace a.o\r\n"), E::ControlCharacter { line, character: '\r' });
        check(&body("x\treplace a.o"), E::ControlCharacter { line, character: '\t' });
        check(&body("core.plugin include"), E::Include { line });
        check(&body("-"), E::Separator { line });
        check(&body("x replace"), E::Shape { line });
        check(&body("x  replace a.o"), E::Shape { line });
        check(&body("x replace a.o b.o"), E::Shape { line });
        check(&body("x param replace a.o"), E::Shape { line });
        check(&body("X replace a.o"), E::Protoop { line });
        check(&body(&format!("{} replace a.o", "x".repeat(100))), E::Protoop { line });
        for word in ["65535", "0xffff", "65536", "-1", "+1", "012", "0x", "0x+1", "1x", ""] {
            check(&body(&format!("x param {word} replace a.o")), E::Param { line, word: word.into() });
        }
        check(&body("x replaced a.o"), E::Anchor { line, word: "replaced".into() });
        for object in ["a.c", ".o", "a/.o", "-a.o", "a/-b.o", "o"] {
            check(&body(&format!("x replace {object}")), E::ObjectName { line, object: object.into() });
        }
        let path = |object: &str, cause| E::ObjectPath { line, object: object.into(), cause };
        check(&body("x replace /a.o"), path("/a.o", PathError::Absolute));
        check(&body("x replace ../a.o"), path("../a.o", PathError::DotComponent("..".into())));
        check(&body("x replace a\\b.o"), path("a\\b.o", PathError::Backslash));
        check(&body("x replace a.o\nx replace b.o"), E::Duplicate { line: 3, first: 2 });
        check(&body("x replace a.o\nx extern b.o"), E::Duplicate { line: 3, first: 2 });
        check(&body("x pre a.o\nx pre a.o"), E::Duplicate { line: 3, first: 2 });
        check(&body("x param 16 replace a.o\nx param 0x10 replace b.o"), E::Duplicate { line: 3, first: 2 });
        check(&body("x param 1 replace a.o\nx pre b.o"), E::MixedParam { line: 3, first: 2 });
        check(&"#\n".repeat(257), E::TooManyLines);
        check(&"#".repeat(MAX_BYTES + 1), E::TooLarge(MAX_BYTES + 1));
        assert_eq!(Manifest::parse(b"a.b\nx replace \xff.o"), Err(E::NotUtf8));
    }
}
