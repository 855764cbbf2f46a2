//! Every endpoint: type, caching, compression, proofs, methods, and the problem that each mistake is answered with.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::io::Read;

use flate2::read::GzDecoder;
use pds_core::checkpoint::{Checkpoint, SignedCheckpoint};
use pds_core::cose;
use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::proof::{verify_consistency, verify_inclusion};
use pds_core::log::{MemoryLog, tile::decode_tile};
use pds_schemas::cose::SignedKind;
use pds_schemas::json::LogProof;
use pds_schemas::{Artefact, Binding, Digest, Evidence, NameHistory, NameRecord, SignedTreeRoot, TreeSize};
use pds_tests::http::{Answer, Http};
use pds_tests::plugins::{FAILS, HOLDS, developer, signed, tiny};
use pds_tests::validator::{ORIGIN, Validator};

const FOREVER: &str = "public, max-age=31536000, immutable";
const BRIEFLY: &str = "public, max-age=1";
const CBOR: &str = "application/cbor";
const COSE: &str = "application/cose; cose-type=\"cose-sign1\"";
const BYTES: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// A validator whose log has a few epochs and grows no more, with `org.example.a` in three releases, one failed.
struct Frozen {
    validator: Validator,
    http: Http,
    head: Checkpoint,
    submission: Digest,
}

fn frozen() -> Frozen {
    let mut validator = Validator::started();
    let submit = |release: u64, code: &str| {
        let plugin = tiny("org.example.a", &format!("// {release}\n{code}"));
        validator.publish(&signed(&plugin, release, &developer(1))).submission
    };
    submit(1, HOLDS);
    submit(2, HOLDS);
    let submission = submit(3, FAILS);
    validator.publish_tiny("org.example.b", 1);
    validator.stop();
    validator.set("epoch_interval_s", "3600");
    validator.set("decide_within_s", "7200");
    validator.start();
    let http = validator.http();
    let signed = SignedCheckpoint::open(&http.body("/checkpoint"), &validator.log_key()).unwrap();
    let head = signed.checkpoint().clone();
    Frozen { validator, http, head, submission }
}

/// A path of every endpoint, its type, its caching.
fn endpoints(frozen: &Frozen) -> Vec<(String, &'static str, &'static str)> {
    let http = frozen.http;
    let evidence: Evidence = http.artefact("/plugins/org.example.a");
    let record = NameRecord::from_bytes(&evidence.extra.name_record.unwrap()).unwrap();
    let (binding, cause) = (record.binding.unwrap(), record.cause.unwrap());
    let object = Binding::from_bytes(&http.addressed("bindings", &binding)).unwrap().manifest;
    let key = frozen.validator.str_key().public_key();
    let str: SignedTreeRoot =
        cose::open(&http.body("/epochs/latest"), SignedKind::SignedTreeRoot, &key).unwrap();
    let (size, last) = (frozen.head.size, str.epoch);
    vec![
        ("/".to_owned(), TEXT, BRIEFLY),
        ("/checkpoint".to_owned(), TEXT, BRIEFLY),
        (format!("/tile/0/000.p/{size}"), BYTES, FOREVER),
        (format!("/tile/entries/000.p/{size}"), BYTES, FOREVER),
        (format!("/proofs/inclusion?leaf=0&size={size}"), JSON, FOREVER),
        (format!("/proofs/consistency?from=1&to={size}"), JSON, FOREVER),
        ("/epochs/latest".to_owned(), COSE, BRIEFLY),
        (format!("/epochs/{last}"), COSE, FOREVER),
        (format!("/epochs/{last}/changes"), CBOR, FOREVER),
        (format!("/bindings/{binding}"), CBOR, FOREVER),
        (format!("/causes/{cause}"), CBOR, FOREVER),
        (format!("/policies/{}", str.policy), CBOR, FOREVER),
        (format!("/objects/{object}"), BYTES, FOREVER),
        ("/plugins/org.example.a".to_owned(), CBOR, BRIEFLY),
        ("/plugins/org.example.a?epoch=0".to_owned(), CBOR, BRIEFLY),
        ("/plugins/org.example.never".to_owned(), CBOR, BRIEFLY),
        ("/plugins/org.example.a/history".to_owned(), CBOR, BRIEFLY),
        (format!("/submissions/{}", frozen.submission), JSON, BRIEFLY),
        ("/healthz".to_owned(), TEXT, BRIEFLY),
        ("/readyz".to_owned(), TEXT, BRIEFLY),
        ("/metrics".to_owned(), "text/plain; version=0.0.4; charset=utf-8", BRIEFLY),
    ]
}

#[test]
fn endpoints_tell_type_and_caching() {
    let frozen = frozen();
    for (path, kind, caching) in endpoints(&frozen) {
        let answer = frozen.http.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        assert_eq!(answer.header("cache-control"), Some(caching), "{path}");
        assert!(!answer.body.is_empty(), "{path}");

        let head = frozen.http.send("HEAD", &path, &[], &[]).unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), Some(kind), "{path}");
        if path != "/metrics" {
            assert_eq!(head.header("content-length"), Some(&*answer.body.len().to_string()), "{path}");
        }
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
            let refused = frozen.http.send(method, &path, &[], &[]).unwrap();
            assert_eq!((refused.status, refused.header("allow")), (405, Some("GET,HEAD")), "{method} {path}");
            assert_eq!(refused.problem().kind, "method-not-allowed", "{method} {path}");
        }
    }
    let get = frozen.http.get("/submissions");
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    let landing = String::from_utf8(frozen.http.body("/")).unwrap();
    for known in [ORIGIN.to_owned(), frozen.validator.log_key().to_string()] {
        assert!(landing.contains(&known), "{landing}");
    }
}

#[test]
fn mistakes_are_answered_with_problems_that_name_the_field() {
    let frozen = frozen();
    let size = frozen.head.size.0;
    let zeros = Digest::ZERO;
    let check = |path: &str, status: u16, field: Option<&str>, limit: Option<u64>| {
        let problem = frozen.http.get(path).problem();
        let found = (problem.status, problem.field.as_deref(), problem.limit);
        assert_eq!(found, (status, field, limit), "{path}: {}", problem.detail);
    };
    for path in ["/nowhere", "//checkpoint", "/checkpoint/", "/Checkpoint", "/epochs", "/epochs/0/", "/tile"]
    {
        check(path, 404, None, None);
    }
    for tile in ["0/0", "0/000.p/256", "0/000.p/0", "64/000", "-1/000", "0/x000", "0/%30%30%30", "0/../0/000"]
    {
        check(&format!("/tile/{tile}"), 404, None, None);
    }
    for beyond in [
        "/tile/0/000".to_owned(),
        format!("/tile/0/000.p/{}", size + 1),
        "/tile/0/001.p/1".to_owned(),
        "/tile/1/000.p/1".to_owned(),
        "/tile/entries/000".to_owned(),
        format!("/tile/entries/000.p/{}", size + 1),
        format!("/epochs/{size}"),
        format!("/epochs/{size}/changes"),
        format!("/plugins/org.example.a?epoch={size}"),
        format!("/epochs/{}", u64::MAX),
    ] {
        check(&beyond, 404, None, None);
    }
    for epoch in ["x", "-1", "+1", "01", "1.0", "18446744073709551616", "%20", "latest%00"] {
        check(&format!("/epochs/{epoch}"), 400, Some("epoch"), None);
    }
    check("/plugins/org.example.a?epoch=x", 400, Some("epoch"), None);
    check("/plugins/org.example.a?epoch=", 400, Some("epoch"), None);
    check("/plugins/org.example.a?epochs=1", 400, Some("epochs"), None);
    for name in ["oneword", "Org.example", "org..example", "org.example.", "a.b%2fc", "%2e%2e.a", "a.%C3%A9"]
    {
        check(&format!("/plugins/{name}"), 400, Some("name"), None);
        check(&format!("/plugins/{name}/history"), 400, Some("name"), None);
    }
    check("/plugins/org.example.never/history", 404, None, None);
    check(&format!("/plugins/org.example.a/history?from={zeros}"), 404, None, None);
    check("/plugins/org.example.a/history?from=0", 400, Some("from"), None);
    check("/plugins/org.example.a/history?to=0", 400, Some("to"), None);
    for kind in ["bindings", "causes", "policies", "objects", "submissions"] {
        check(&format!("/{kind}/{zeros}"), 404, None, None);
        let upper = "A".repeat(64);
        for digest in ["x", "", &"0".repeat(63), &"0".repeat(65), upper.as_str()] {
            let (status, field) = if digest.is_empty() { (404, None) } else { (400, Some("sha256")) };
            check(&format!("/{kind}/{digest}"), status, field, None);
        }
    }
    for query in ["", "?leaf=0", "?leaf=0&size=x", "?leaf=0&size=1&more=1", "?leaf=0&leaf=0&size=1"] {
        check(&format!("/proofs/inclusion{query}"), 400, Some("query"), None);
    }
    check(&format!("/proofs/inclusion?leaf=0&size={}", size + 1), 400, Some("size"), Some(size));
    check(&format!("/proofs/inclusion?leaf={size}&size={size}"), 400, Some("leaf"), None);
    check("/proofs/inclusion?leaf=0&size=0", 400, Some("leaf"), None);
    for query in ["", "?from=0", "?from=x&to=1", "?from=1&to=1&more=1"] {
        check(&format!("/proofs/consistency{query}"), 400, Some("query"), None);
    }
    check(&format!("/proofs/consistency?from=0&to={}", size + 1), 400, Some("to"), Some(size));
    check("/proofs/consistency?from=2&to=1", 400, Some("from"), None);
    // Not UTF-8: refused before a handler sees it, and a problem all the same.
    assert_eq!(frozen.http.get("/plugins/%ff").problem().status, 400);
    assert_eq!(frozen.http.get("/plugins/%ff").header("cache-control"), Some("no-store"));
}

#[test]
fn tiles_of_all_past_sizes_are_served() {
    let frozen = frozen();
    let (http, head) = (frozen.http, &frozen.head);
    let size = u16::try_from(head.size.0).unwrap();
    assert!(size > 3);
    let whole = http.body(&format!("/tile/0/000.p/{size}"));
    let leaves = decode_tile(&whole, size).unwrap();
    let mut log = MemoryLog::new();
    leaves.iter().for_each(|leaf| log.append(*leaf).unwrap());
    assert_eq!(log.root(), head.root);
    let entries = http.body(&format!("/tile/entries/000.p/{size}"));
    for width in 1..=size {
        let tile = http.body(&format!("/tile/0/000.p/{width}"));
        assert_eq!(tile, whole[..usize::from(width) * 32]);
        assert!(entries.starts_with(&http.body(&format!("/tile/entries/000.p/{width}"))));
    }
}

#[test]
fn bundles_are_compressed_for_those_who_ask() {
    let frozen = frozen();
    let (http, head) = (frozen.http, &frozen.head);
    let path = format!("/tile/entries/000.p/{}", head.size);
    let plain = http.get(&path);
    assert_eq!(plain.header("content-encoding"), None);
    let gzip = http.get_with(&path, &[("accept-encoding", "gzip")]);
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(gzip.header("vary"), Some("accept-encoding"));
    assert_eq!((gzip.header("content-type"), gzip.header("cache-control")), (Some(BYTES), Some(FOREVER)));
    let mut unpacked = Vec::new();
    GzDecoder::new(&*gzip.body).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    // Hashes do not shrink.
    let tile = http.get_with(&format!("/tile/0/000.p/{}", head.size), &[("accept-encoding", "gzip")]);
    assert_eq!(tile.header("content-encoding"), None);
}

#[test]
fn evidence_comes_in_the_form_that_is_asked_for() {
    let frozen = frozen();
    let http = frozen.http;
    let check = |accept: &str, kind: &str| {
        let answer = http.get_with("/plugins/org.example.a", &[("accept", accept)]);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{accept}");
        assert_eq!(answer.header("vary"), Some("accept"), "{accept}");
        if kind == CBOR {
            Evidence::from_bytes(&answer.body).unwrap();
        } else {
            pds_core::tlog_proof::TlogProof::parse(&answer.body).unwrap();
        }
    };
    for accept in
        ["", "*/*", "application/cbor", "application/*", "image/png", "application/cbor, text/plain"]
    {
        check(accept, CBOR);
    }
    for accept in ["text/plain", "text/*", "text/html, text/plain;q=0.5", "text/plain, */*", "text/plain;x=y"]
    {
        check(accept, TEXT);
    }
    let answer = http.get("/plugins/org.example.a");
    assert_eq!((answer.header("content-type"), answer.header("vary")), (Some(CBOR), Some("accept")));
}

#[test]
fn proofs_hold_for_every_pair() {
    let frozen = frozen();
    let (http, head) = (frozen.http, &frozen.head);
    let mut log = MemoryLog::new();
    let mut roots = vec![log.root()];
    let mut leaves = Vec::new();
    for epoch in 0..head.size.0 {
        let leaf = leaf_hash(&http.body(&format!("/epochs/{epoch}")));
        log.append(leaf).unwrap();
        leaves.push(leaf);
        roots.push(log.root());
    }
    for size in 1..=head.size.0 {
        let root = &roots[size as usize];
        for leaf in 0..size {
            let LogProof { hashes } = http.json(&format!("/proofs/inclusion?leaf={leaf}&size={size}"));
            verify_inclusion(&leaves[leaf as usize], leaf, TreeSize(size), &hashes, root).unwrap();
        }
        for from in 1..=size {
            let LogProof { hashes } = http.json(&format!("/proofs/consistency?from={from}&to={size}"));
            verify_consistency(TreeSize(from), &roots[from as usize], TreeSize(size), root, &hashes).unwrap();
        }
    }
}

#[test]
fn history_is_a_chain_from_wherever_it_is_asked() {
    let frozen = frozen();
    let http = frozen.http;
    let history =
        |query: &str| -> NameHistory { http.artefact(&format!("/plugins/org.example.a/history{query}")) };
    let all = history("").records;
    assert!(all.len() >= 3);
    for (i, record) in all.iter().enumerate() {
        let digest = sha256(record);
        let previous = NameRecord::from_bytes(record).unwrap().previous;
        assert_eq!(previous, all.get(i + 1).map(|next| sha256(next)));
        assert_eq!(history(&format!("?from={digest}")).records, all[i..]);
        let of_another = http.get(&format!("/plugins/org.example.b/history?from={digest}"));
        assert_eq!(of_another.problem().status, 404);
    }
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let validator = Validator::started();
    validator.publish_tiny("org.example.a", 1);
    let broken = signed(&tiny("org.example.b", FAILS), 1, &developer(1));
    validator.publish(&broken);
    assert_eq!(validator.http().submit(b"nonsense").status, 400);
    let text = String::from_utf8(validator.http().body("/metrics")).unwrap();
    let sample = |line: &str| -> Option<(String, f64)> {
        let (series, value) = line.rsplit_once(' ')?;
        let name = series.split('{').next()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(name.starts_with("pds_") && name.chars().all(plain), "{line}");
        assert!(series.len() == name.len() || series.ends_with('}'), "{line}");
        Some((series.to_owned(), value.parse().unwrap()))
    };
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let samples: Vec<_> = lines.map(|line| sample(line).unwrap()).collect();
    let value = |series: &str| {
        samples.iter().find(|(s, _)| s == series).unwrap_or_else(|| panic!("no {series} in\n{text}")).1
    };
    assert_eq!(value("pds_submissions_accepted_total"), 2.0);
    assert_eq!(value("pds_validations_total{outcome=\"validated\"}"), 1.0);
    assert_eq!(value("pds_validations_total{outcome=\"failed\"}"), 1.0);
    assert_eq!(value("pds_http_requests_total{path=\"/submissions\",status=\"400\"}"), 1.0);
    assert_eq!(value("pds_names"), 2.0);
    assert!(value("pds_epoch") >= 1.0);
    let closed = value("pds_epoch_close_seconds_count");
    assert!(closed >= 1.0);
    for step in ["plan", "write", "check", "sign", "commit", "guard"] {
        // Epoch 0 is closed before the first tick.
        assert!(value(&format!("pds_epoch_step_seconds_count{{step=\"{step}\"}}")) >= closed, "{step}");
    }
    assert_eq!(value("pds_store_background_errors"), 0.0);
}

#[test]
fn submission_is_answered_with_the_same_receipt_when_sent_again() {
    let validator = Validator::started();
    let prepared = signed(&tiny("org.example.again", HOLDS), 1, &developer(1));
    let upload = prepared.upload.to_bytes();
    let submit = || validator.http().submit(&upload);
    let receipt = |answer: &Answer| {
        let status: pds_schemas::json::SubmissionStatus = answer.json();
        assert_eq!(status.submission, prepared.digest);
        (status.index, status.receipt)
    };
    let (first, second) = (submit(), submit());
    assert_eq!((first.status, second.status), (202, 200));
    assert_eq!(receipt(&first), receipt(&second));
    validator.wait_published(&prepared.digest);
    let third = submit();
    assert_eq!((third.status, receipt(&third)), (200, receipt(&first)));
}
