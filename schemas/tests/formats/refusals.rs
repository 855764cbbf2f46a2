//! The table of refused vectors: an accepted sample, one change, and the error that the change must meet.

use crate::cbor::Node::{self, *};
use crate::cbor::{NULL, digest, text};
use crate::refused::Refusal;
use crate::samples;

/// One change of a sample.
type Edit = Box<dyn FnOnce(&mut Node)>;

/// Changes `sample` of `artefact` by `edit`.
fn row(
    artefact: &'static str,
    sample: &str,
    what: &str,
    cause: &'static str,
    field: &'static str,
    edit: Edit,
) -> Refusal {
    let mut node = Node::parse(&samples::named(artefact, sample).bytes);
    edit(&mut node);
    let name = format!("{sample}: {what}");
    Refusal { artefact, name, cause, field: Some(field), bytes: node.to_bytes() }
}

/// A change that has no word of its own.
fn by(edit: impl FnOnce(&mut Node) + 'static) -> Edit {
    Box::new(edit)
}

/// Puts `value` at `path`.
fn put(path: &'static [u64], value: Node) -> Edit {
    Box::new(move |node| *node.at(path) = value)
}

/// Takes the pair `key` away.
fn cut(key: u64) -> Edit {
    Box::new(move |node| node.remove(key))
}

/// Adds a pair.
fn add(key: u64, value: Node) -> Edit {
    Box::new(move |node| node.insert(key, value))
}

/// Writes what is at `path` with its argument in `width` bytes.
fn widen(path: &'static [u64], width: usize) -> Edit {
    Box::new(move |node| {
        let place = node.at(path);
        *place = Wide(width, Box::new(place.clone()));
    })
}

/// Writes what is at `path` with an indefinite length.
fn open(path: &'static [u64]) -> Edit {
    Box::new(move |node| {
        let place = node.at(path);
        *place = Indefinite(Box::new(place.clone()));
    })
}

fn raw(bytes: &[u8]) -> Node {
    Raw(bytes.to_vec())
}

fn null() -> Node {
    raw(&[NULL])
}

fn long(len: usize) -> Node {
    Text(vec![b'a'; len])
}

/// Every row.
pub fn table() -> Vec<Refusal> {
    [encoding(), names(), owner(), submission(), receipt(), verdict(), decision(), policy(), record()]
        .into_iter()
        .chain([
            tree(),
            change_set(),
            transition(),
            prefix(),
            evidence(),
            package(),
            history(),
            cose(),
            cose_header(),
            disk(),
        ])
        .flatten()
        .collect()
}

/// How values are written, shown on fields of each type.
fn encoding() -> Vec<Refusal> {
    let tree = |what, cause, field, edit: Edit| row("signed-tree-root", "epoch-3", what, cause, field, edit);
    let names = "signed-tree-root.names";
    let time = "signed-tree-root.time";
    let root = "signed-tree-root.prefix-root";
    let origin = "signed-tree-root.origin";
    vec![
        tree("3 in 1 byte more", "NonShortest", names, widen(&[6], 1)),
        tree("3 in 2 bytes more", "NonShortest", names, widen(&[6], 2)),
        tree("3 in 4 bytes more", "NonShortest", names, widen(&[6], 4)),
        tree("3 in 8 bytes more", "NonShortest", names, widen(&[6], 8)),
        tree("23 in 1 byte more", "NonShortest", names, put(&[6], Wide(1, Box::new(Uint(23))))),
        tree("255 in 2 bytes more", "NonShortest", names, put(&[6], Wide(2, Box::new(Uint(255))))),
        tree("65535 in 4 bytes more", "NonShortest", names, put(&[6], Wide(4, Box::new(Uint(65_535))))),
        tree("2^32 - 1 in 8 bytes more", "NonShortest", time, widen(&[3], 8)),
        tree("digest length in 2 bytes", "NonShortest", root, widen(&[5], 2)),
        tree("text length in 1 byte", "NonShortest", origin, widen(&[1], 1)),
        tree("text length in 8 bytes", "NonShortest", origin, widen(&[1], 8)),
        tree(
            "key 1 in 1 byte more",
            "NonShortest",
            origin,
            by(|n| {
                n.pairs()[1].0 = Wide(1, Box::new(Uint(1)));
            }),
        ),
        tree("byte string of indefinite length", "Indefinite", root, open(&[5])),
        tree("text of indefinite length", "Indefinite", origin, open(&[1])),
        tree("an integer with length code 28", "Indefinite", names, put(&[6], raw(&[0x1c]))),
        tree("an integer with length code 31", "Indefinite", names, put(&[6], raw(&[0x1f]))),
        tree("a bignum", "Tag", names, put(&[6], Tag(2, Box::new(Bytes(vec![3]))))),
        tree("a tagged digest", "Tag", root, put(&[5], Tag(24, Box::new(digest(1))))),
        tree("a half float", "WrongType", names, put(&[6], raw(&[0xf9, 0x42, 0]))),
        tree("a double", "WrongType", names, put(&[6], raw(&[0xfb, 0x40, 8, 0, 0, 0, 0, 0, 0]))),
        tree("null for a digest", "WrongType", root, put(&[5], null())),
        tree("undefined for a digest", "WrongType", root, put(&[5], raw(&[0xf7]))),
        tree("true for an integer", "WrongType", names, put(&[6], raw(&[0xf5]))),
        tree("a break for an integer", "WrongType", names, put(&[6], raw(&[0xff]))),
        tree("a negative integer", "WrongType", names, put(&[6], Negative(0))),
        tree("a text for an integer", "WrongType", names, put(&[6], text("3"))),
        tree("a text for a digest", "WrongType", root, put(&[5], text(&"2d".repeat(32)))),
        tree("bytes for a text", "WrongType", origin, put(&[1], Bytes(b"pv1.example/log".to_vec()))),
        tree("a map for a text", "WrongType", origin, put(&[1], Map(vec![]))),
        tree("an array for an integer", "WrongType", names, put(&[6], Array(vec![Uint(3)]))),
        tree("a digest of 31 bytes", "Rule", root, put(&[5], Bytes(vec![1; 31]))),
        tree("a digest of 33 bytes", "TooLong", root, put(&[5], Bytes(vec![1; 33]))),
        tree("an empty digest", "Rule", root, put(&[5], Bytes(vec![]))),
        tree("a text that ends inside a character", "NotUtf8", origin, put(&[1], Text(vec![0xc3]))),
        tree("a text with a surrogate", "NotUtf8", origin, put(&[1], Text(vec![0xed, 0xa0, 0x80]))),
        tree("a text with an overlong slash", "NotUtf8", origin, put(&[1], Text(vec![0xc0, 0xaf]))),
        tree(
            "a text of 2^64 - 1 bytes declared",
            "TooLong",
            origin,
            put(&[1], raw(&[0x7b, 255, 255, 255, 255, 255, 255, 255, 255])),
        ),
        tree(
            "a digest of 2^32 bytes declared",
            "TooLong",
            root,
            put(&[5], raw(&[0x5b, 0, 0, 0, 1, 0, 0, 0, 0])),
        ),
        tree(
            "2^64 - 1 pairs declared",
            "Truncated",
            "signed-tree-root",
            by(|n| {
                let pairs = n.to_bytes()[1..].to_vec();
                *n = Raw([vec![0xbb], vec![255; 8], pairs].concat());
            }),
        ),
        tree("keys 6 and 5 swapped", "MissingKey", root, by(|n| n.pairs().swap(5, 6))),
        tree("nested arrays for a digest", "WrongType", root, put(&[5], raw(&[0x81; 64]))),
        tree("nested maps for an integer", "WrongType", names, put(&[6], raw(&[0xa1; 64]))),
    ]
}

fn names() -> Vec<Refusal> {
    let name =
        |what, cause, value| row("name-record", "failed", what, cause, "name-record.name", put(&[1], value));
    vec![
        name("an empty name", "Rule", text("")),
        name("a name of one label", "Rule", text("datagram")),
        name("a name with an empty label", "Rule", text("be..datagram")),
        name("a name that ends in a dot", "Rule", text("be.mpiraux.")),
        name("a name with a capital", "Rule", text("be.Mpiraux")),
        name("a name with a hyphen first", "Rule", text("be.-mpiraux")),
        name("a name with an underscore last", "Rule", text("be.mpiraux_")),
        name("a name with a slash", "Rule", text("be.mpiraux/x")),
        name("a name with a zero byte", "Rule", text("be.mpiraux\0")),
        name("a name with a letter beyond ASCII", "Rule", text("be.mpir\u{e4}ux")),
        name("a label of 64 bytes", "Rule", text(&format!("{}.a", "x".repeat(64)))),
        name("a name of 251 bytes", "TooLong", text(&["abcde"; 42].join("."))),
        row("submission", "first", "release 0", "Rule", "submission.release", put(&[2], Uint(0))),
        row(
            "name-record",
            "failed",
            "highest release 0",
            "Rule",
            "name-record.highest-release",
            put(&[3], Uint(0)),
        ),
        row("receipt", "a-day", "release 0", "Rule", "receipt.release", put(&[4], Uint(0))),
        row("binding", "no-verdict", "release 0", "Rule", "binding.release", put(&[2], Uint(0))),
        row("failure-cause", "build", "release 0", "Rule", "failure-cause.release", put(&[2], Uint(0))),
        row("receipt", "a-day", "an empty origin", "Rule", "receipt.origin", put(&[1], text(""))),
        row("receipt", "a-day", "an origin with a plus", "Rule", "receipt.origin", put(&[1], text("a+b"))),
        row("receipt", "a-day", "an origin with a space", "Rule", "receipt.origin", put(&[1], text("a b"))),
        row(
            "receipt",
            "a-day",
            "an origin with U+2003",
            "Rule",
            "receipt.origin",
            put(&[1], text("a\u{2003}b")),
        ),
        row(
            "receipt",
            "a-day",
            "an origin with a newline",
            "Rule",
            "receipt.origin",
            put(&[1], text("a\nb")),
        ),
        row("receipt", "a-day", "an origin of 256 bytes", "TooLong", "receipt.origin", put(&[1], long(256))),
        row("policy", "least", "an empty origin", "Rule", "policy.origin", put(&[1], text(""))),
    ]
}

fn owner() -> Vec<Refusal> {
    let owner =
        |sample, what, cause, field, edit: Edit| row("owner-record", sample, what, cause, field, edit);
    let keys = "owner-record.keys";
    let last = "owner-record.transfer-delay-epochs";
    vec![
        owner("first", "no keys", "Rule", last, put(&[4], Array(vec![]))),
        owner("first", "threshold 0", "Rule", last, put(&[5], Uint(0))),
        owner("first", "threshold 2", "Rule", last, put(&[5], Uint(2))),
        owner("first", "a previous record at sequence 0", "Rule", last, add(3, digest(1))),
        owner("later", "no previous record at sequence 2", "Rule", last, cut(3)),
        owner("later", "a null previous record", "WrongType", "owner-record.previous", put(&[3], null())),
        owner("later", "keys unsorted", "Unsorted", keys, by(|n| n.at(&[4]).items().reverse())),
        owner("later", "one key twice", "Unsorted", keys, put(&[4], Array(vec![digest(1), digest(1)]))),
        owner("first", "a key of 31 bytes", "Rule", keys, put(&[4, 0], Bytes(vec![1; 31]))),
        owner("first", "17 keys", "TooLong", keys, put(&[4], Array((0..17).map(digest).collect()))),
        owner("first", "keys of indefinite length", "Indefinite", keys, open(&[4])),
        owner("first", "keys' length in 1 byte", "NonShortest", keys, widen(&[4], 1)),
        owner("first", "a map of keys", "WrongType", keys, put(&[4], Map(vec![]))),
        owner(
            "first",
            "17 recovery keys",
            "TooLong",
            "owner-record.recovery",
            put(&[6], Array((0..17).map(digest).collect())),
        ),
        owner("first", "recovery keys left out", "MissingKey", "owner-record.recovery", cut(6)),
    ]
}

fn submission() -> Vec<Refusal> {
    let objects = "submission.bytecode";
    let with = |what, cause, field, edit: Edit| row("submission", "with-bytecode", what, cause, field, edit);
    let upload = |what, cause, field, edit: Edit| row("upload", "with-archive", what, cause, field, edit);
    let pair = |name: &str| (text(name), digest(1));
    vec![
        with("no objects", "Rule", objects, put(&[5], Map(vec![]))),
        with("objects unsorted", "Unsorted", objects, by(|n| n.at(&[5]).pairs().reverse())),
        with(
            "objects in dictionary order",
            "Unsorted",
            objects,
            put(&[5], Map(vec![pair("aa.o"), pair("b.o")])),
        ),
        with("one object twice", "Unsorted", objects, put(&[5], Map(vec![pair("a.o"), pair("a.o")]))),
        with("an object without a name", "Rule", objects, put(&[5], Map(vec![pair("")]))),
        with("an object's name with an escape", "Rule", objects, put(&[5], Map(vec![pair("a\u{1b}[2J")]))),
        with(
            "an object's name that is no UTF-8",
            "NotUtf8",
            objects,
            put(&[5], Map(vec![(Text(vec![0xff]), digest(1))])),
        ),
        with(
            "an object's name of 251 bytes",
            "TooLong",
            objects,
            put(&[5], Map(vec![(long(251), digest(1))])),
        ),
        with(
            "an integer as an object's name",
            "WrongType",
            objects,
            put(&[5], Map(vec![(Uint(1), digest(1))])),
        ),
        with("a short digest of an object", "Rule", objects, put(&[5, 0], Bytes(vec![1; 20]))),
        with("257 objects declared", "TooLong", objects, put(&[5], raw(&[0xb9, 1, 1]))),
        with("objects of indefinite length", "Indefinite", objects, open(&[5])),
        with("null objects", "WrongType", objects, put(&[5], null())),
        with("an owner of another name", "Rule", "submission.owner", put(&[6, 1], text("be.other"))),
        with("an owner of a newer version", "NewerFormat", "submission.owner", put(&[6, 0], Uint(2))),
        with("an owner with key 8", "UnknownKey", "submission.owner", by(|n| n.at(&[6]).insert(8, Uint(0)))),
        with(
            "an owner in a byte string",
            "WrongType",
            "submission.owner",
            by(|n| {
                *n.at(&[6]) = Bytes(n.at(&[6]).to_bytes());
            }),
        ),
        with("an empty manifest path", "Rule", "submission.manifest", put(&[4], text(""))),
        with("a manifest path with a newline", "Rule", "submission.manifest", put(&[4], text("a\nb"))),
        with("a manifest path of 251 bytes", "TooLong", "submission.manifest", put(&[4], long(251))),
        with("no source", "MissingKey", "submission.source", cut(3)),
        upload("no archive", "MissingKey", "upload.archive", cut(2)),
        upload(
            "8 MiB and a byte declared",
            "TooLong",
            "upload.archive",
            put(&[2], raw(&[0x5a, 0, 0x80, 0, 1])),
        ),
        upload(
            "a statement of 64 KiB declared",
            "TooLong",
            "upload.signed",
            put(&[1], raw(&[0x5a, 0, 1, 0, 0])),
        ),
        upload(
            "a statement that is not wrapped",
            "Tag",
            "upload.signed",
            by(|n| {
                let Bytes(signed) = n.at(&[1]).clone() else { panic!("signed is a byte string") };
                *n.at(&[1]) = Raw(signed);
            }),
        ),
        upload("the archive in chunks", "Indefinite", "upload.archive", open(&[2])),
    ]
}

fn receipt() -> Vec<Refusal> {
    vec![
        row(
            "receipt",
            "a-day",
            "decide-by before time",
            "Rule",
            "receipt.decide-by",
            put(&[7], Uint(1_799_999_999)),
        ),
        row("receipt", "a-day", "no index", "MissingKey", "receipt.index", cut(5)),
        row(
            "receipt",
            "a-day",
            "a date as text",
            "WrongType",
            "receipt.time",
            put(&[6], text("2027-01-15T08:00:00Z")),
        ),
        row("receipt", "a-day", "a tagged time", "Tag", "receipt.time", put(&[6], Tag(1, Box::new(Uint(1))))),
    ]
}

fn verdict() -> Vec<Refusal> {
    let of = |sample, what, cause, field, edit: Edit| row("verdict", sample, what, cause, field, edit);
    let bounds = "verdict.bounds";
    let pair = |name: &str| (text(name), Uint(1));
    vec![
        of("proved", "finding 4", "Rule", "verdict.finding", put(&[4], Uint(4))),
        of("proved", "finding 2^64 - 1", "Rule", "verdict.finding", put(&[4], Uint(u64::MAX))),
        of("proved", "true for a finding", "WrongType", "verdict.finding", put(&[4], raw(&[0xf5]))),
        of("proved", "proved with a cause", "Rule", "verdict.cause", add(7, text("but"))),
        of("refuted", "refuted without a cause", "Rule", "verdict.cause", cut(7)),
        of("inconclusive", "inconclusive without a cause", "Rule", "verdict.cause", cut(7)),
        of("error", "error without a cause", "Rule", "verdict.cause", cut(7)),
        of(
            "error",
            "a cause of 16 KiB and a byte",
            "TooLong",
            "verdict.cause",
            put(&[7], raw(&[0x79, 0x40, 1])),
        ),
        of("proved", "an empty property", "Rule", "verdict.property", put(&[1], text(""))),
        of("proved", "a property of 129 bytes", "TooLong", "verdict.property", put(&[1], long(129))),
        of("proved", "a tab in the verifier", "Rule", "verdict.verifier", put(&[2], text("a\tb"))),
        of("proved", "a null object", "WrongType", "verdict.object", put(&[5], null())),
        of("proved", "an empty object", "Rule", "verdict.object", put(&[5], text(""))),
        of("proved", "no bounds", "MissingKey", bounds, cut(6)),
        of("proved", "17 bounds declared", "TooLong", bounds, put(&[6], raw(&[0xb1]))),
        of("proved", "bounds unsorted", "Unsorted", bounds, put(&[6], Map(vec![pair("b"), pair("a")]))),
        of("proved", "one bound twice", "Unsorted", bounds, put(&[6], Map(vec![pair("a"), pair("a")]))),
        of("proved", "a negative bound", "WrongType", bounds, put(&[6, 0], Negative(0))),
        of("proved", "bounds as an array", "WrongType", bounds, put(&[6], Array(vec![]))),
    ]
}

fn decision() -> Vec<Refusal> {
    let binding = |what, cause, field, edit: Edit| row("binding", "two-verdicts", what, cause, field, edit);
    let failure = |what, cause, field, edit: Edit| row("failure-cause", "build", what, cause, field, edit);
    let environment =
        |what, cause, field, edit: Edit| row("build-environment", "confined", what, cause, field, edit);
    vec![
        binding("no objects", "Rule", "binding.objects", put(&[4], Map(vec![]))),
        binding("no policy", "MissingKey", "binding.policy", cut(8)),
        binding("a null environment", "WrongType", "binding.environment", put(&[7], null())),
        binding("4113 verdicts declared", "TooLong", "binding.verdicts", put(&[9], raw(&[0x99, 0x10, 0x11]))),
        binding(
            "2^64 - 1 verdicts declared",
            "TooLong",
            "binding.verdicts",
            put(&[9], raw(&[0x9b, 255, 255, 255, 255, 255, 255, 255, 255])),
        ),
        binding(
            "a verdict that contradicts itself",
            "Rule",
            "verdict.cause",
            by(|n| n.at(&[9, 1]).remove(7)),
        ),
        binding("a verdict of a newer version", "NewerFormat", "binding.verdicts", put(&[9, 0, 0], Uint(2))),
        binding("verdicts of indefinite length", "Indefinite", "binding.verdicts", open(&[9])),
        binding("a null verdict", "WrongType", "binding.verdicts", put(&[9, 0], null())),
        failure("no message", "MissingKey", "failure-cause.message", cut(7)),
        failure("an empty stage", "Rule", "failure-cause.stage", put(&[5], text(""))),
        failure("an object of 251 bytes", "TooLong", "failure-cause.object", put(&[6], long(251))),
        failure(
            "a message of 16 KiB and a byte",
            "TooLong",
            "failure-cause.message",
            put(&[7], raw(&[0x79, 0x40, 1])),
        ),
        failure(
            "a message that is no UTF-8",
            "NotUtf8",
            "failure-cause.message",
            put(&[7], Text(vec![0x80])),
        ),
        environment("confined is 2", "Rule", "build-environment.confined", put(&[4], Uint(2))),
        environment("confined is true", "WrongType", "build-environment.confined", put(&[4], raw(&[0xf5]))),
        environment("129 flags declared", "TooLong", "build-environment.flags", put(&[2], raw(&[0x98, 129]))),
        environment("an empty flag", "Rule", "build-environment.flags", put(&[2, 0], text(""))),
        environment("a flag with a newline", "Rule", "build-environment.flags", put(&[2, 0], text("a\n"))),
        environment("a compiler of two lines", "Rule", "build-environment.compiler", put(&[1], text("a\nb"))),
    ]
}

fn policy() -> Vec<Refusal> {
    let of = |what, cause, field, edit: Edit| row("policy", "full", what, cause, field, edit);
    vec![
        of("an interval of 0", "Rule", "policy.decide-within-s", put(&[5], Uint(0))),
        of("an empty expression", "Rule", "policy.acceptance", put(&[2], text(""))),
        of("an expression of 4097 bytes", "TooLong", "policy.acceptance", put(&[2], raw(&[0x79, 0x10, 1]))),
        of("65 verifiers declared", "TooLong", "policy.verifiers", put(&[3], raw(&[0x98, 65]))),
        of(
            "a verifier of two items",
            "Rule",
            "policy.verifiers",
            by(|n| {
                n.at(&[3, 0]).items().pop();
            }),
        ),
        of(
            "a verifier of four items",
            "Rule",
            "policy.verifiers",
            by(|n| n.at(&[3, 0]).items().push(text("x"))),
        ),
        of("a verifier as a map", "WrongType", "policy.verifiers", put(&[3, 0], Map(vec![]))),
        of("65 platforms declared", "TooLong", "policy.platforms", put(&[4], raw(&[0x98, 65]))),
        of("an empty platform", "Rule", "policy.platforms", put(&[4, 0], text(""))),
    ]
}

fn record() -> Vec<Refusal> {
    let of = |sample, what, cause, field, edit: Edit| row("name-record", sample, what, cause, field, edit);
    let last = "name-record.previous";
    vec![
        of("pending", "state 5", "Rule", "name-record.state", put(&[4], Uint(5))),
        of("pending", "state as text", "WrongType", "name-record.state", put(&[4], text("pending"))),
        of("validated", "validated without a binding", "Rule", last, cut(5)),
        of("pending", "pending with a binding", "Rule", last, add(5, digest(1))),
        of("failed", "failed with a binding", "Rule", last, add(5, digest(1))),
        of("withdrawn-by-owner", "withdrawn by its owner with a binding", "Rule", last, add(5, digest(1))),
        of(
            "withdrawn-by-validator",
            "withdrawn by the validator with a binding",
            "Rule",
            last,
            add(5, digest(1)),
        ),
        of("failed", "failed without a cause", "Rule", last, cut(6)),
        of("withdrawn-by-validator", "withdrawn by the validator without a cause", "Rule", last, cut(6)),
        of("pending", "pending with a cause", "Rule", last, add(6, digest(1))),
        of("validated", "a null cause", "WrongType", "name-record.cause", add(6, null())),
        of("pending", "a null record before", "WrongType", last, put(&[8], null())),
        of(
            "pending",
            "changed in the reserved epoch",
            "Rule",
            "name-record.changed",
            put(&[7], Uint(u64::MAX)),
        ),
    ]
}

fn tree() -> Vec<Refusal> {
    let of =
        |sample, what, cause, field, edit: Edit| row("signed-tree-root", sample, what, cause, field, edit);
    let last = "signed-tree-root.extensions";
    vec![
        of("epoch-0-empty", "a digest before epoch 0", "Rule", last, put(&[4], digest(1))),
        of("epoch-3", "zeros before epoch 3", "Rule", last, put(&[4], digest(0))),
        of("epoch-0-empty", "a root without names", "Rule", last, put(&[5], digest(1))),
        of("epoch-3", "names without a root", "Rule", last, put(&[5], digest(0))),
        of("epoch-3", "no names beside a root", "Rule", last, put(&[6], Uint(0))),
        of("epoch-3", "the reserved epoch", "Rule", "signed-tree-root.epoch", put(&[2], Uint(u64::MAX))),
        of("epoch-3", "no extensions", "MissingKey", last, cut(9)),
        of("epoch-3", "no policy", "MissingKey", "signed-tree-root.policy", cut(8)),
    ]
}

fn change_set() -> Vec<Refusal> {
    let of = |what, cause, edit: Edit| row("change-set", "two", what, cause, "change-set.changes", edit);
    vec![
        of("changes unsorted", "Unsorted", by(|n| n.at(&[1]).items().reverse())),
        of("one key twice", "Unsorted", put(&[1, 1, 0], digest(0x41))),
        of("old equals new", "Rule", put(&[1, 1, 2], digest(0x51))),
        of("null for new", "WrongType", put(&[1, 0, 3], null())),
        of("undefined for old", "WrongType", put(&[1, 0, 2], raw(&[0xf7]))),
        of("false for old", "WrongType", put(&[1, 0, 2], raw(&[0xf4]))),
        of("null in two bytes", "WrongType", put(&[1, 0, 2], raw(&[0xf8, 0xf6]))),
        of(
            "a change of three items",
            "Rule",
            by(|n| {
                n.at(&[1, 0]).items().pop();
            }),
        ),
        of("a change of five items", "Rule", by(|n| n.at(&[1, 0]).items().push(Uint(0)))),
        of("a change of indefinite length", "Indefinite", open(&[1, 0])),
        of("a bad name", "Rule", put(&[1, 0, 1], text("datagram"))),
        of("a short key", "Rule", put(&[1, 0, 0], Bytes(vec![1; 16]))),
        of("65537 changes declared", "TooLong", put(&[1], raw(&[0x9a, 0, 1, 0, 1]))),
        of("65536 changes declared", "WrongType", put(&[1], raw(&[0x9a, 0, 1, 0, 0, 0]))),
        of("changes of indefinite length", "Indefinite", open(&[1])),
    ]
}

fn transition() -> Vec<Refusal> {
    let of = |what, cause, field, edit: Edit| row("transition", "two", what, cause, field, edit);
    let proof = "transition.proof";
    vec![
        of("values of 95 bytes", "Rule", proof, put(&[3, 1], Bytes(vec![1; 95]))),
        of("a proof of one item", "Rule", proof, put(&[3], Array(vec![Bytes(vec![])]))),
        of("kinds as integers", "WrongType", proof, put(&[3, 0], Array(vec![Uint(3)]))),
        of("128 MiB and a byte of kinds declared", "TooLong", proof, put(&[3, 0], raw(&[0x5a, 8, 0, 0, 1]))),
        of("128 MiB of kinds declared", "Truncated", proof, put(&[3, 0], raw(&[0x5a, 8, 0, 0, 0]))),
        of("changes of a newer version", "NewerFormat", "transition.changes", put(&[2, 0], Uint(2))),
        of("changes unsorted", "Unsorted", "change-set.changes", by(|n| n.at(&[2, 1]).items().reverse())),
        of("the reserved epoch", "Rule", "transition.epoch", put(&[1], Uint(u64::MAX))),
    ]
}

fn prefix() -> Vec<Refusal> {
    let of = |sample, what, cause, edit: Edit| row("prefix-proof", sample, what, cause, "prefix-proof", edit);
    let siblings = |n: usize| Bytes(vec![0x61; n * 32]);
    vec![
        of("inclusion", "kind 3", "Rule", put(&[0], Uint(3))),
        of("inclusion", "kind 1 with 4 items", "Rule", put(&[0], Uint(1))),
        of("other-leaf", "kind 0 with 6 items", "Rule", put(&[0], Uint(0))),
        of("missing-child", "kind 2 with 5 items", "Rule", by(|n| n.items().push(digest(1)))),
        of(
            "inclusion",
            "three items",
            "Rule",
            by(|n| {
                n.items().pop();
            }),
        ),
        of("inclusion-depth-255", "depth 256", "Rule", put(&[1], Uint(256))),
        of("inclusion-depth-255", "depth 2^64 - 1", "Rule", put(&[1], Uint(u64::MAX))),
        of("missing-child-empty-tree", "a leaf at depth 0", "Rule", put(&[0], Uint(0))),
        of(
            "other-leaf",
            "another leaf at depth 0",
            "Rule",
            by(|n| {
                *n = Array(vec![Uint(1), Uint(0), Bytes(vec![]), Bytes(vec![]), digest(1), digest(2)]);
            }),
        ),
        of("inclusion", "a padding bit", "Rule", put(&[2], Bytes(vec![0b1010_0001]))),
        of(
            "inclusion",
            "a padding bit and its hash",
            "Rule",
            by(move |n| {
                *n.at(&[2]) = Bytes(vec![0b1011_0000]);
                *n.at(&[3]) = siblings(3);
            }),
        ),
        of(
            "inclusion-depth-255",
            "the padding bit of 32 bytes",
            "Rule",
            by(|n| {
                let Bytes(bitmap) = n.at(&[2]) else { panic!("a bitmap is bytes") };
                bitmap[31] |= 1;
            }),
        ),
        of("inclusion", "no bitmap", "Rule", put(&[2], Bytes(vec![]))),
        of("inclusion", "a bitmap of two bytes", "Rule", put(&[2], Bytes(vec![0b1010_0000, 0]))),
        of("missing-child-empty-tree", "a bitmap at depth 0", "Rule", put(&[2], Bytes(vec![0]))),
        of("inclusion-depth-255", "a bitmap of 33 bytes", "TooLong", put(&[2], Bytes(vec![0; 33]))),
        of("inclusion", "a hash too few", "Rule", put(&[3], siblings(1))),
        of("inclusion", "a hash too many", "Rule", put(&[3], siblings(3))),
        of("inclusion", "half a hash", "Rule", put(&[3], Bytes(vec![1; 48]))),
        of("inclusion", "no hashes", "Rule", put(&[3], Bytes(vec![]))),
        of("inclusion", "256 hashes declared", "TooLong", put(&[3], raw(&[0x59, 0x20, 0]))),
        of("inclusion", "an explicit zero hash", "Rule", put(&[3], Bytes([[0; 32], [1; 32]].concat()))),
        of("other-leaf", "a short key", "Rule", put(&[4], Bytes(vec![1; 31]))),
        of("other-leaf", "a null commitment", "WrongType", put(&[5], null())),
        of("inclusion", "depth in 1 byte more", "NonShortest", widen(&[1], 1)),
        of("inclusion", "indefinite length", "Indefinite", open(&[])),
        of("inclusion", "length in 1 byte more", "NonShortest", widen(&[], 1)),
        of("inclusion", "copath as an array", "WrongType", put(&[3], Array(vec![digest(1)]))),
    ]
}

fn evidence() -> Vec<Refusal> {
    let extra =
        |sample, what, cause, field, edit: Edit| row("evidence-extra", sample, what, cause, field, edit);
    let of = |what, cause, field, edit: Edit| row("evidence", "validated", what, cause, field, edit);
    let last = "evidence.signed-tree-root";
    vec![
        extra("validated", "inclusion without a record", "Rule", last, cut(1)),
        extra("absent", "absence with a record", "Rule", last, add(1, Bytes(vec![1]))),
        extra("absent", "absence with a binding", "Rule", last, add(2, Bytes(vec![1]))),
        extra(
            "validated",
            "a record that is not wrapped",
            "WrongType",
            "evidence.name-record",
            by(|n| {
                let Bytes(record) = n.at(&[1]).clone() else { panic!("a record is a byte string") };
                *n.at(&[1]) = Raw(record);
            }),
        ),
        extra(
            "validated",
            "a record of 1025 bytes declared",
            "TooLong",
            "evidence.name-record",
            put(&[1], raw(&[0x59, 4, 1])),
        ),
        extra(
            "validated",
            "a binding of 768 KiB and a byte declared",
            "TooLong",
            "evidence.binding",
            put(&[2], raw(&[0x5a, 0, 0x0c, 0, 1])),
        ),
        extra("validated", "a null binding", "WrongType", "evidence.binding", put(&[2], null())),
        extra("absent", "no prefix proof", "MissingKey", "evidence.prefix", cut(3)),
        extra("absent", "a prefix proof of depth 256", "Rule", "evidence.prefix", put(&[3, 1], Uint(256))),
        extra(
            "absent",
            "a signed tree root of 4097 bytes declared",
            "TooLong",
            last,
            put(&[4], raw(&[0x59, 0x10, 1])),
        ),
        extra("absent", "no signed tree root", "MissingKey", last, cut(4)),
        of("65 hashes declared", "TooLong", "evidence.inclusion", put(&[3], raw(&[0x98, 65]))),
        of("a null hash", "WrongType", "evidence.inclusion", put(&[3, 0], null())),
        of("a hash of 31 bytes", "Rule", "evidence.inclusion", put(&[3, 1], Bytes(vec![1; 31]))),
        of("the reserved epoch", "Rule", "evidence.index", put(&[2], Uint(u64::MAX))),
        of("extra of a newer version", "NewerFormat", "evidence.extra", put(&[1, 0], Uint(2))),
        of("a checkpoint as bytes", "WrongType", "evidence.checkpoint", put(&[4], Bytes(vec![b'a']))),
        of("a checkpoint that is no UTF-8", "NotUtf8", "evidence.checkpoint", put(&[4], Text(vec![0xff]))),
        of(
            "a checkpoint of 512 KiB and a byte",
            "TooLong",
            "evidence.checkpoint",
            put(&[4], raw(&[0x7a, 0, 8, 0, 1])),
        ),
    ]
}

fn history() -> Vec<Refusal> {
    let of = |what, cause, edit: Edit| row("name-history", "two", what, cause, "name-history.records", edit);
    vec![
        of("no records", "Rule", put(&[1], Array(vec![]))),
        of("1001 records declared", "TooLong", put(&[1], raw(&[0x99, 3, 0xe9]))),
        of("a record of 1025 bytes declared", "TooLong", put(&[1, 0], raw(&[0x59, 4, 1]))),
        of("a null record", "WrongType", put(&[1, 0], null())),
    ]
}

fn package() -> Vec<Refusal> {
    let of =
        |what, cause, field, edit: Edit| row("plugin-package", "two-validators", what, cause, field, edit);
    let objects = "plugin-package.objects";
    vec![
        of("objects unsorted", "Unsorted", objects, by(|n| n.at(&[2]).pairs().reverse())),
        of(
            "one object twice",
            "Unsorted",
            objects,
            by(|n| {
                let first = n.at(&[2]).pairs()[0].clone();
                n.at(&[2]).pairs().insert(0, first);
            }),
        ),
        of("257 objects declared", "TooLong", objects, put(&[2], raw(&[0xb9, 1, 1]))),
        of(
            "an object of 1 MiB and a byte declared",
            "TooLong",
            objects,
            put(&[2, 0], raw(&[0x5a, 0, 0x10, 0, 1])),
        ),
        of("an object as text", "WrongType", objects, put(&[2, 0], text("x"))),
        of(
            "a manifest of 64 KiB and a byte declared",
            "TooLong",
            "plugin-package.manifest",
            put(&[1], raw(&[0x5a, 0, 1, 0, 1])),
        ),
        of("33 validators declared", "TooLong", "plugin-package.evidence", put(&[3], raw(&[0x98, 33]))),
        of("a null evidence", "WrongType", "plugin-package.evidence", put(&[3, 0], null())),
        of(
            "evidence in a byte string",
            "WrongType",
            "plugin-package.evidence",
            by(|n| {
                *n.at(&[3, 0]) = Bytes(n.at(&[3, 0]).to_bytes());
            }),
        ),
        of("five levels down, a bad kind", "Rule", "evidence.prefix", put(&[3, 0, 1, 3, 0], Uint(3))),
    ]
}

/// Steps into a COSE_Sign1 start with 0: through the tag.
fn cose() -> Vec<Refusal> {
    let of = |what, cause, edit: Edit| row("cose-sign1", "receipt", what, cause, "cose-sign1", edit);
    let retag = |tag: u64| by(move |n| *n = Tag(tag, Box::new(n.at(&[0]).clone())));
    vec![
        of("untagged", "WrongType", by(|n| *n = n.at(&[0]).clone())),
        of("tag 17, COSE_Mac0", "Rule", retag(17)),
        of("tag 98, COSE_Sign", "Rule", retag(98)),
        of("tag 18 twice", "Tag", by(|n| *n = Tag(18, Box::new(n.clone())))),
        of("tag 18 in 1 byte more", "NonShortest", widen(&[], 1)),
        of(
            "three items",
            "Rule",
            by(|n| {
                n.at(&[0]).items().pop();
            }),
        ),
        of("five items", "Rule", by(|n| n.at(&[0]).items().push(Bytes(vec![])))),
        of("items of indefinite length", "Indefinite", open(&[0])),
        of("items' length in 1 byte more", "NonShortest", widen(&[0], 1)),
        of("an unprotected kid", "Rule", put(&[0, 1], Map(vec![(Uint(4), digest(1))]))),
        of("an unprotected header of indefinite length", "Indefinite", open(&[0, 1])),
        of("an unprotected header in bytes", "WrongType", put(&[0, 1], Bytes(vec![0xa0]))),
        of("a detached payload", "WrongType", put(&[0, 2], null())),
        of(
            "a payload that is not wrapped",
            "WrongType",
            by(|n| {
                let Bytes(payload) = n.at(&[0, 2]).clone() else { panic!("a payload is a byte string") };
                *n.at(&[0, 2]) = Raw(payload);
            }),
        ),
        of("a payload in chunks", "Indefinite", open(&[0, 2])),
        of("a payload of 64 KiB and a byte declared", "TooLong", put(&[0, 2], raw(&[0x5a, 0, 1, 0, 1]))),
        of("a signature of 63 bytes", "Rule", put(&[0, 3], Bytes(vec![1; 63]))),
        of("a signature of 65 bytes", "TooLong", put(&[0, 3], Bytes(vec![1; 65]))),
        of("no signature", "Rule", put(&[0, 3], Bytes(vec![]))),
        of("two signatures", "WrongType", put(&[0, 3], Array(vec![Bytes(vec![1; 64]); 2]))),
    ]
}

/// What the protected header may not be.
fn cose_header() -> Vec<Refusal> {
    let of = |what, cause, edit: Edit| {
        row(
            "cose-sign1",
            "receipt",
            what,
            cause,
            "cose.protected",
            by(move |n| {
                let Bytes(header) = n.at(&[0, 0]).clone() else { panic!("a protected header is bytes") };
                let mut header = Node::parse(&header);
                edit(&mut header);
                *n.at(&[0, 0]) = Bytes(header.to_bytes());
            }),
        )
    };
    vec![
        of("no protected header", "Truncated", by(|n| *n = Raw(vec![]))),
        of("an empty protected header", "Rule", by(|n| *n = Map(vec![]))),
        of("alg ES256 (-7)", "Rule", put(&[1], Negative(6))),
        of("alg Ed25519 (-19)", "Rule", put(&[1], Negative(18))),
        of("alg 8", "WrongType", put(&[1], Uint(8))),
        of("alg as text", "WrongType", put(&[1], text("EdDSA"))),
        of("no alg", "Rule", cut(1)),
        of("a kid of 31 bytes", "Rule", put(&[4], Bytes(vec![1; 31]))),
        of("a kid of 33 bytes", "TooLong", put(&[4], Bytes(vec![1; 33]))),
        of("a kid as text", "WrongType", put(&[4], text("a1"))),
        of("no kid", "Rule", cut(4)),
        of("no typ", "Rule", cut(16)),
        of("an unknown typ", "Rule", put(&[16], text("application/pds-other+cose"))),
        of("a typ in capitals", "Rule", put(&[16], text("application/PDS-receipt+cose"))),
        of("a numeric typ", "WrongType", put(&[16], Uint(0))),
        of("a typ of 129 bytes", "TooLong", put(&[16], long(129))),
        of("a content type beside them", "Rule", add(3, Uint(0))),
        of("a content type for the kid", "Rule", by(|n| n.pairs()[1].0 = Uint(3))),
        of("a critical header", "Rule", add(2, Array(vec![Uint(16)]))),
        of("kid before alg", "Rule", by(|n| n.pairs().swap(0, 1))),
        of("alg twice", "Rule", by(|n| n.pairs()[1] = n.pairs()[0].clone())),
        of("length in 1 byte more", "NonShortest", widen(&[], 1)),
        of("indefinite length", "Indefinite", open(&[])),
        of("alg in 1 byte more", "NonShortest", widen(&[1], 1)),
        of("typ of indefinite length", "Indefinite", open(&[16])),
        of("a byte behind it", "TrailingBytes", by(|n| *n = Raw([n.to_bytes(), vec![0]].concat()))),
        of("in a byte string again", "WrongType", by(|n| *n = Bytes(n.to_bytes()))),
    ]
}

fn disk() -> Vec<Refusal> {
    let head = |sample, what, cause, field, edit: Edit| row("head", sample, what, cause, field, edit);
    let entry = |what, cause, field, edit: Edit| row("submission-entry", "later", what, cause, field, edit);
    let outcome =
        |what, cause, field, edit: Edit| row("submission-outcome", "failed", what, cause, field, edit);
    vec![
        head("empty", "size 0", "Rule", "head.checkpoint", put(&[1], Uint(0))),
        head("empty", "names without a root", "Rule", "head.checkpoint", put(&[6], Uint(1))),
        head("named", "a root without names", "Rule", "head.checkpoint", put(&[6], Uint(0))),
        head(
            "named",
            "a root without its page's epoch",
            "Rule",
            "head.prefix",
            by(|n| {
                n.at(&[5]).items().pop();
            }),
        ),
        head("named", "a page of the reserved epoch", "Rule", "head.prefix", put(&[5, 1], Uint(u64::MAX))),
        head("named", "a null root", "WrongType", "head.prefix", put(&[5], null())),
        head(
            "named",
            "a checkpoint of 4097 bytes declared",
            "TooLong",
            "head.checkpoint",
            put(&[7], raw(&[0x79, 0x10, 1])),
        ),
        entry("an epoch in the entry itself", "UnknownKey", "submission-entry", add(4, Uint(3))),
        entry(
            "a receipt of 2049 bytes declared",
            "TooLong",
            "submission-entry.receipt",
            put(&[2], raw(&[0x59, 8, 1])),
        ),
        outcome("a cause without an epoch", "MissingKey", "submission-outcome.epoch", cut(2)),
        outcome("the reserved epoch", "Rule", "submission-outcome.epoch", put(&[2], Uint(u64::MAX))),
        outcome("no submission", "MissingKey", "submission-outcome.submission", cut(1)),
        outcome("a null cause", "WrongType", "submission-outcome.cause", put(&[3], null())),
        row(
            "epoch-root",
            "page",
            "the reserved epoch",
            "Rule",
            "epoch-root.page-epoch",
            put(&[1], Uint(u64::MAX)),
        ),
        row("epoch-root", "page", "a null page", "WrongType", "epoch-root.page-epoch", put(&[1], null())),
    ]
}
