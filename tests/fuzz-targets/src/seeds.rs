//! The inputs that every corpus begins with: something valid for each target, and a few choices and edits.
//!
//! Files whose names begin with `found-` or `regression-` are not from here: a fuzzer made them.

use std::path::Path;

use pds_core::note::SignatureLine;
use pds_core::{cose, evidence, secret_key};
use serde_json::Value;

use crate::artefacts::KINDS;
use crate::elf::Elf;
use crate::plugin::MANIFEST;
use crate::proof::SAID;
use crate::texts::{LOG, SIGNED, WITNESSES};

/// An input: its target, a name for its file, and its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// Largest vector that is taken, in bytes.
const MOST: usize = 2048;

/// All of them; `vectors` is the folder of accepted vectors of the formats.
pub fn seeds(vectors: &Path) -> Vec<Seed> {
    let mut seeds = of_artefacts(vectors);
    seeds.extend(of_texts());
    seeds.extend(of_answers(&seeds));
    seeds.extend(of_choices());
    seeds
}

/// The accepted vectors of an artefact, smallest first.
fn vectors_of(folder: &Path, artefact: &str) -> Vec<Vec<u8>> {
    let file = std::fs::read(folder.join(format!("{artefact}.json"))).expect("the vectors are there");
    let file: Value = serde_json::from_slice(&file).expect("the vectors are JSON");
    let bytes = |vector: &Value| {
        let text = vector["hex"].as_str().expect("a vector has bytes").as_bytes();
        let pair =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
        text.chunks(2).map(pair).collect()
    };
    let mut vectors: Vec<Vec<u8>> = file["vectors"].as_array().expect("a list").iter().map(bytes).collect();
    vectors.sort_by_key(Vec::len);
    vectors.retain(|vector| vector.len() <= MOST);
    vectors
}

fn of_artefacts(folder: &Path) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (i, (name, _)) in KINDS.iter().enumerate() {
        let vectors = vectors_of(folder, name);
        let apart = match *name {
            "evidence" => Some("evidence_bytes"),
            "transition" => Some("transition_bytes"),
            "binding" => Some("binding_bytes"),
            "upload" => Some("upload_bytes"),
            "cose-sign1" => Some("cose_bytes"),
            _ => None,
        };
        let kind = u8::try_from(i).expect("23 kinds");
        let ends = [vectors.first(), vectors.last().filter(|_| vectors.len() > 1)];
        for (which, vector) in
            ["smallest", "largest"].into_iter().zip(ends).filter_map(|(w, v)| Some((w, v?)))
        {
            seeds.push(("artefact", format!("{name}-{which}"), [&[kind][..], vector].concat()));
        }
        for (n, vector) in vectors.into_iter().enumerate().filter(|(n, _)| *n < 4) {
            if n == 0 {
                seeds.push(("inspect", (*name).to_owned(), vector.clone()));
            }
            seeds.extend(apart.map(|target| (target, format!("{name}-{n}"), vector)));
        }
    }
    seeds
}

const POLICY: &str = "# a policy\nlog # https://pv.example/\nwitness a @0\nwitness b @1 https://b.example/\n\
    witness c @2\ngroup g any b c\ngroup q 2 a g\nquorum q\n";
const TRUST: &str = "[validators.PV1]\nurl = \"http://127.0.0.1:7400/\"\nstr_key = \"@0\"\npolicy = \"a\"\n\n\
    [validators.PV2]\nurl = \"https://pv2.example/log\"\nstr_key = \"@1\"\npolicy = \"b\"\nmax_age_s = 60\nskew_s = 1\n";
const CONFIG: &str = "origin = \"pv.example\"\nlisten = \"127.0.0.1:0\"\ndata_dir = \"data\"\nlog_key = \"keys/log\"\n\
    str_key = \"keys/str\"\nepoch_interval_s = 60\nacceptance = \"structure\"\nlog_format = \"json\"\n";
const BACKUP: &str = "{\n  \"format\": \"pds-backup/1\",\n  \"origin\": \"pv.example\",\n  \"head\": @,\n  \"submissions\": 3,\n\
    \"files\": [{\"path\": \"log.vkey\", \"bytes\": 60, \"sha256\": \"#\"},\n\
    {\"path\": \"store/CURRENT\", \"bytes\": 16, \"sha256\": \"#\"}]\n}\n";
const HEAD_LINE: &str = "{\"size\":9,\"log_root\":\"#\",\"record\":\"#\"}";
const JOURNAL: &str = "pds-hammer-journal-v1\nreceipt AQID\ncheckpoint YSBub3RlCg==\nreceipt \n";
const CHECKPOINT: &str =
    "{\"checkpoint\":{\"folder\":\"/var/lib/pds/data/checkpoint\",\"head\":@,\"submissions\":3}}\n";
const STATUS: &str = "{\"submission\":\"0707070707070707070707070707070707070707070707070707070707070707\",\
    \"name\":\"org.example.pacing\",\"release\":1,\"index\":0,\"progress\":\"queued\",\"receipt\":\"AAAA\"}";
const PROOF: &str = "{\"hashes\":[\"0707070707070707070707070707070707070707070707070707070707070707\"]}";
const PROBLEM: &str =
    "{\"type\":\"not-found\",\"title\":\"not found\",\"status\":404,\"detail\":\"no such name\",\"limit\":8}";

/// `text` with a head for `@`.
fn with_head(text: &str) -> String {
    with_digests(&text.replace('@', HEAD_LINE))
}

fn with_digests(text: &str) -> String {
    text.replace('#', &"07".repeat(32))
}

fn of_texts() -> Vec<Seed> {
    let (_, said) = SAID.last().expect("a validator says something");
    let proof = evidence::to_tlog_proof(said).expect("its own evidence").to_string();
    let line: &SignatureLine = &SIGNED.note().signatures()[0];
    let key = secret_key::to_text(&cose::signing_key(&[7; 32]));
    let witness = WITNESSES[0].verifier();
    let texts = [
        ("note", "checkpoint", SIGNED.to_string()),
        ("note", "line", line.to_string()),
        ("tlog_policy", "groups", POLICY.into()),
        ("tlog_policy", "none", "quorum none\n".into()),
        ("tlog_policy", "all", "log #\nwitness a @0\nwitness b @1\ngroup g all a b\nquorum g\n".into()),
        ("tlog_proof", "evidence", proof.clone()),
        ("inspect", "tlog-proof", proof),
        ("inspect", "note", SIGNED.to_string()),
        ("inspect", "secret-key", key.clone()),
        ("inspect", "status", STATUS.into()),
        ("formula", "nested", "PV1 & (PV2 | PV3[termination, memory]) & 2 of (a, b & c, d)".into()),
        ("formula", "acceptance", "structure & (a | b)".into()),
        ("formula", "one-of-one", "1 of (1 of (a))".into()),
        ("words", "secret-key", key),
        ("words", "vkey-log", LOG.verifier().to_string()),
        ("words", "vkey-witness", witness.to_string()),
        ("words", "tile", "tile/1/x001/234.p/56".into()),
        ("words", "entries", "tile/entries/x001/x234/067".into()),
        ("words", "digest", "07".repeat(32)),
        ("words", "number", "18446744073709551615".into()),
        ("words", "name", "org.example.pacing".into()),
        ("words", "url", "https://pv.example:7400/log".into()),
        ("json", "status", STATUS.into()),
        ("json", "proof", PROOF.into()),
        ("json", "problem", PROBLEM.into()),
        ("manifest", "pacing", String::from_utf8_lossy(MANIFEST).into_owned()),
        (
            "manifest",
            "options",
            "a.b rate_unlimited negotiate\n# c\n\nx param 0x10 pre c.o\nx param 1 post c.o\n".into(),
        ),
        ("trust_file", "two", TRUST.into()),
        ("config", "plain", CONFIG.into()),
        ("backup_manifest", "two-files", with_head(BACKUP)),
        ("backup_manifest", "before-epoch-0", with_digests(&BACKUP.replace('@', "null"))),
        ("hammer_journal", "whole", JOURNAL.into()),
        ("hammer_journal", "cut-off", format!("{JOURNAL}checkpoint YSBu")),
        ("hammer_journal", "empty", "pds-hammer-journal-v1\n".into()),
        ("control_line", "backup", "\"backup\"\n".into()),
        ("control_line", "freeze", "\"freeze\"\n".into()),
        ("control_line", "checkpoint", with_head(CHECKPOINT)),
        ("control_line", "frozen", with_head("{\"frozen\":@}\n")),
        ("control_line", "refused", "{\"refused\":\"another backup is under way\"}\n".into()),
        ("config", "http", format!("{CONFIG}[http]\nconnections = 100\n")),
    ];
    let mut seeds: Vec<Seed> =
        texts.into_iter().map(|(target, name, text)| (target, name.to_owned(), text.into_bytes())).collect();
    let page = [0, 0, 0, 9, 8, 0xab];
    seeds.push(("words", "page-id".to_owned(), page.to_vec()));
    seeds
}

/// An answer to each call: the fourth byte on is a body that fits.
fn of_answers(seeds: &[Seed]) -> Vec<Seed> {
    let find = |target: &str, name: &str| {
        let found = seeds.iter().find(|(t, n, _)| *t == target && n == name);
        found.map_or(Vec::new(), |(_, _, bytes)| bytes.clone())
    };
    let artefact = |name: &str| find("artefact", &format!("{name}-smallest")).split_off(1);
    let answers = [
        ("checkpoint", 0, 4, find("note", "checkpoint")),
        ("tile", 1, 4, vec![7; 32]),
        ("entries", 2, 4, vec![0, 3, 1, 2, 3]),
        ("inclusion", 3, 1, PROOF.into()),
        ("tree-root", 5, 2, artefact("cose-sign1")),
        ("changes", 7, 0, artefact("transition")),
        ("evidence", 8, 0, artefact("evidence")),
        ("tlog-proof", 9, 4, find("tlog_proof", "evidence")),
        ("history", 10, 0, artefact("name-history")),
        ("cause", 11, 0, artefact("failure-cause")),
        ("policy", 12, 0, artefact("policy")),
        ("binding", 13, 0, artefact("binding")),
        ("owner", 14, 3, artefact("owner-record")),
        ("object", 15, 3, b"bytecode".to_vec()),
        ("status", 16, 1, STATUS.into()),
        ("submitted", 17, 1, STATUS.into()),
    ];
    let answer = |(name, call, media, body): (&str, u8, u8, Vec<u8>)| {
        ("answer", name.to_owned(), [&[call, 0, media][..], &body].concat())
    };
    let problem = [&[8, 1, 5][..], PROBLEM.as_bytes()].concat();
    answers.map(answer).into_iter().chain([("answer", "problem".to_owned(), problem)]).collect()
}

/// Instructions: `r0 = 0`, a call, a 64-bit load, a jump over one, exit.
const CODE: [[u8; 8]; 6] = [
    [0xb7, 0, 0, 0, 0, 0, 0, 0],
    [0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff],
    [0x18, 1, 0, 0, 0, 0, 0, 0],
    [0; 8],
    [0x05, 0, 0, 0, 0, 0, 0, 0],
    [0x95, 0, 0, 0, 0, 0, 0, 0],
];

fn of_choices() -> Vec<Seed> {
    let relocated = [&[2, 0, 1, 1, 1, 0, 2, 0, 2, 0][..], CODE.as_flattened()].concat();
    let mut lone = Elf::new([CODE[0], CODE[5]].concat());
    lone.symbols.push(("helper", 0x10, 0, 0));
    let tile: Vec<u8> = [&[0, 2][..], &[7; 64]].concat();
    let cbor = b"\x07\x00\x01\x02\x03\x04\x05\x06\x01\x20\x41\x01\x61a\xf6\x82\x01\x02\xa1\x61a\x01";
    let leaves = [5u8, 0, 0, 1, 2, 0, 9, 3, 4, 0, 20, 5, 6, 1, 250, 7, 8, 2, 3, 9, 10];
    let more = [3u8, 0, 200, 11, 12, 1, 1, 13, 14, 2, 99, 15, 16, 2, 0, 3, 1, 4];
    let ustar = [
        2u8, 3, 0, 4, b'a', b'/', b'b', b'c', 3, 1, 2, 3, 0, 1, b'd', 200, 9, 1, 4, b'd', b'i', b'r', b'/', 0,
    ];
    let choices: Vec<(&str, &str, Vec<u8>)> = vec![
        ("cbor", "one-of-each", cbor.to_vec()),
        ("page", "raw-empty", vec![0; 8]),
        ("page", "root", vec![0, 1, 0, 9, 1, 1, 1, 0, 0, 1, 2, 2, 2, 5, 1, 3, 3]),
        ("page", "deep", [&[63, 1, 1, 9][..], &[1, 5, 0, 2, 7, 1].repeat(8)].concat()),
        ("tile", "two-hashes", tile),
        ("tile", "two-entries", vec![0, 2, 0, 1, 9, 0, 0]),
        ("checkpoint", "as-signed", vec![0]),
        ("checkpoint", "cut", vec![7, 0, 90, 0]),
        ("prefix_proof", "five-leaves", [&leaves[..], &[0, 2, 1, 0]].concat()),
        ("prefix_proof", "absent-forged", [&leaves[..], &[1, 2, 40, 3, 1, 1, 0, 9, 2]].concat()),
        ("transition", "honest", [&leaves[..], &more].concat()),
        ("transition", "forged", [&leaves[..], &more, &[1, 0, 5, 3, 1, 0, 2, 1, 2, 2, 1, 3, 9]].concat()),
        ("log_proof", "seven", vec![6, 3, 3, 0, 1, 4, 0, 1]),
        ("log_proof", "forged", vec![69, 40, 40, 1, 9, 3, 0, 20, 1, 7, 1, 0, 9]),
        ("source_tree", "three", b"\x01a\x03b/c\x03b/d\x01b\x04../e\x01a".to_vec()),
        ("evidence", "now", vec![29, 0, 1, 0]),
        ("evidence", "absent", vec![5, 0, 1, 0]),
        ("evidence", "spliced", vec![28, 2, 25, 3, 26, 6, 1, 0]),
        ("evidence", "edited", vec![28, 0, 1, 1, 0, 200, 3, 0]),
        ("evidence_signed", "now", vec![0, 0, 0, 0, 2, 0, 1, 1]),
        ("evidence_signed", "absent", vec![0, 0, 0, 5, 2, 0, 1, 1]),
        ("evidence_signed", "forged", vec![0, 1, 0, 40, 3, 0, 0, 8, 1, 0, 3, 2, 0, 2, 0, 1, 1]),
        ("archive", "entries", ustar.to_vec()),
        ("archive", "raw", vec![0, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]),
        ("structure", "relocated", [&[1][..], &relocated].concat()),
        ("structure", "return", [&[1, 0, 0][..], CODE[0].as_slice(), &CODE[5]].concat()),
        ("structure", "file", [&[0][..], &lone.bytes()].concat()),
        ("intake", "plain", vec![1, 0, 0, 0, 0, 0, 0, 0]),
        ("intake", "folder", vec![1, 0, 5, 3, b'x', b'.', b'h', 0, 0, 0, 0]),
        ("intake", "edited", vec![1, 1, 3, 1, 0, 0, 0, 2, 0, 40, 9, 0, 0]),
    ];
    choices.into_iter().map(|(target, name, bytes)| (target, name.to_owned(), bytes)).collect()
}
