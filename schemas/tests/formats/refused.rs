//! Refused vectors: `vectors/refused/<artefact>.json` pins bytes and error of every row of [`crate::refusals`], and of the
//! mutations that every artefact has in common.

use pds_schemas::DecodeError;
use serde_json::json;

use crate::cbor::{NULL, Node, text};
use crate::golden::{check_file, files};
use crate::kinds::{self, KINDS};
use crate::refusals::table;
use crate::samples;

/// Bytes that must be refused, and with what.
pub struct Refusal {
    pub artefact: &'static str,
    /// The sample that was changed, and how.
    pub name: String,
    /// Name of the [`pds_schemas::Malformed`] variant.
    pub cause: &'static str,
    /// The field; `None` where it is only pinned by the file.
    pub field: Option<&'static str>,
    pub bytes: Vec<u8>,
}

/// The name of an error's variant.
fn variant(error: &DecodeError) -> String {
    let debug = format!("{:?}", error.cause);
    debug.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// What no record may be. The last sample of each artefact has the most fields.
fn common(artefact: &'static str) -> Vec<Refusal> {
    let sample = samples::all().into_iter().rfind(|s| s.artefact == artefact).unwrap();
    let row = |what: &str, cause, bytes: Vec<u8>| Refusal {
        artefact,
        name: format!("{}: {what}", sample.name),
        cause,
        field: None,
        bytes,
    };
    let node = Node::parse(&sample.bytes);
    let tagged = if artefact == "cose-sign1" { "Rule" } else { "Tag" };
    let mut rows = vec![
        row("no bytes at all", "Truncated", vec![]),
        row("last byte cut off", "Truncated", sample.bytes[..sample.bytes.len() - 1].to_vec()),
        row("a zero byte follows", "TrailingBytes", [&sample.bytes[..], &[0]].concat()),
        row("null", "WrongType", vec![NULL]),
        row("a text", "WrongType", text("be.mpiraux.datagram").to_bytes()),
        row("a half float", "WrongType", vec![0xf9, 0x3c, 0]),
        row("tag 24 around it", tagged, Node::Tag(24, Box::new(node.clone())).to_bytes()),
        row("tag 55799, self-described CBOR", tagged, Node::Tag(55_799, Box::new(node.clone())).to_bytes()),
    ];
    if !matches!(node, Node::Map(_)) {
        return rows;
    }
    let change = |edit: &dyn Fn(&mut Node)| {
        let mut node = node.clone();
        edit(&mut node);
        node.to_bytes()
    };
    rows.extend([
        row("indefinite length", "Indefinite", Node::Indefinite(Box::new(node.clone())).to_bytes()),
        row("length in one byte more", "NonShortest", Node::Wide(1, Box::new(node.clone())).to_bytes()),
        row("length code 28", "Indefinite", vec![0xbc]),
        row("version 2", "NewerFormat", change(&|n| *n.at(&[0]) = Node::Uint(2))),
        row("version 2^64 - 1", "NewerFormat", change(&|n| *n.at(&[0]) = Node::Uint(u64::MAX))),
        row("version 0", "Rule", change(&|n| *n.at(&[0]) = Node::Uint(0))),
        row("version as text", "WrongType", change(&|n| *n.at(&[0]) = text("1"))),
        row("no version", "MissingKey", change(&|n| n.remove(0))),
        row(
            "nothing but a version 2",
            "NewerFormat",
            Node::Map(vec![(Node::Uint(0), Node::Uint(2))]).to_bytes(),
        ),
        row("key 99", "UnknownKey", change(&|n| n.insert(99, Node::Uint(0)))),
        row("a text as key", "WrongType", change(&|n| n.pairs().push((text("x"), Node::Uint(0))))),
        row("a negative key", "WrongType", change(&|n| n.pairs().push((Node::Negative(0), Node::Uint(0))))),
        row(
            "last key twice",
            "DuplicateKey",
            change(&|n| {
                let last = n.pairs().last().unwrap().clone();
                n.pairs().push(last);
            }),
        ),
        row(
            "key 0 again at the end",
            "Unsorted",
            change(&|n| n.pairs().push((Node::Uint(0), Node::Uint(1)))),
        ),
        row("one pair more declared", "Truncated", {
            let mut bytes = sample.bytes.clone();
            bytes[0] += 1;
            bytes
        }),
        row("one pair less declared", "", {
            let mut bytes = sample.bytes.clone();
            bytes[0] -= 1;
            bytes
        }),
    ]);
    rows
}

fn describe(refusal: &Refusal) -> serde_json::Value {
    let name = &refusal.name;
    let error = match (kinds::named(refusal.artefact).reencode)(&refusal.bytes) {
        Err(error) => error,
        Ok(_) => panic!("{}: {name} was accepted", refusal.artefact),
    };
    let cause = variant(&error);
    let as_stated = refusal.cause.is_empty() || refusal.cause == cause;
    assert!(as_stated, "{}: {name}: {error:?}, expected {}", refusal.artefact, refusal.cause);
    if let Some(field) = refusal.field {
        assert_eq!(error.field, field, "{}: {name}: {error:?}", refusal.artefact);
    }
    json!({
        "name": name,
        "error": cause,
        "field": error.field,
        "offset": error.at,
        "message": error.cause.to_string(),
        "hex": hex::encode(&refusal.bytes),
    })
}

#[test]
fn refused_vectors_are_refused_with_their_error() {
    let mut count = 0;
    for kind in &KINDS {
        let special = table().into_iter().filter(|refusal| refusal.artefact == kind.name);
        let refusals: Vec<_> = common(kind.name).into_iter().chain(special).collect();
        count += refusals.len();
        check_file("refused", kind.name, refusals.iter().map(describe).collect());
    }
    assert!(count > 500, "{count} vectors");
    let expected: Vec<_> = KINDS.iter().map(|k| k.name.to_owned()).collect();
    assert_eq!(files("refused"), expected);
}

#[test]
fn refused_vectors_are_refused_by_every_other_artefact_too() {
    let mut read = Vec::new();
    for refusal in KINDS.iter().flat_map(|k| common(k.name)).chain(table()) {
        let readers = KINDS.iter().filter(|kind| (kind.reencode)(&refusal.bytes).is_ok());
        read.extend(readers.map(|kind| (refusal.artefact, refusal.name.clone(), kind.name)));
    }
    // An epoch may have no changes, so a name must have a history.
    assert_eq!(read, [("name-history", "two: no records".to_owned(), "change-set")]);
}
