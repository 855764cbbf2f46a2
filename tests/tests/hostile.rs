//! Hostile clients: every bad input is refused by name, nothing of it stays, and others are served all the while.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use pds_client::submit::Plugin;
use pds_core::cose::{self, SigningKey, public_key};
use pds_core::hash::sha256;
use pds_plugin::archive::pack;
use pds_schemas::cose::SignedKind;
use pds_schemas::json::SubmissionStatus;
use pds_schemas::{
    Artefact, Digest, ObjectMap, OwnerRecord, PublicKey, Receipt, Release, Submission, Upload, limits,
};
use pds_tests::archive::{Entry, archive, file, gzip, special};
use pds_tests::http::{Answer, Http};
use pds_tests::plugins::{HOLDS, developer, name, plugin, signed, tiny};
use pds_tests::random::from_environment;
use pds_tests::validator::Validator;
use tar::EntryType;

const NAME: &str = "org.example.hostile";

fn submission(plugin: &Plugin, key: &SigningKey) -> Submission {
    signed(plugin, 1, key).submission
}

/// What is sent for `submission`, whatever is in it, and the digest it would be known by.
fn sign(submission: &Submission, archive: Vec<u8>, key: &SigningKey) -> (Digest, Vec<u8>) {
    let signed = cose::sign(SignedKind::Submission, submission, key).to_bytes();
    (sha256(&submission.to_bytes()), Upload { signed, archive }.to_bytes())
}

/// A validator that must not keep anything of what it is sent.
struct Victim {
    validator: Validator,
    http: Http,
}

impl Victim {
    fn new() -> Self {
        let validator = Validator::started();
        let http = validator.http();
        Self { validator, http }
    }

    /// `upload` is refused with this status, kind, field and limit, and is not known afterwards.
    fn refuses(
        &self,
        what: &str,
        upload: &(Digest, Vec<u8>),
        expect: (u16, &str, Option<&str>, Option<u64>),
    ) {
        let problem = self.http.submit(&upload.1).problem();
        let found = (problem.status, problem.kind.as_str(), problem.field.as_deref(), problem.limit);
        assert_eq!(found, expect, "{what}: {}", problem.detail);
        assert_eq!(self.http.get(&format!("/submissions/{}", upload.0)).status, 404, "{what}");
    }

    /// It works as if nothing had happened: the honest submission is the `accepted`th that its queue and database saw.
    fn assert_unharmed(mut self, accepted: u64) {
        assert!(self.validator.is_well());
        let status = self.validator.publish_tiny("org.example.honest", 1);
        assert_eq!(status.index, accepted, "something else was queued");
        let log = self.validator.stop();
        assert!(!log.contains("panicked") && !log.contains("\"ERROR\""), "{log}");
        let output = self.validator.run(&["fsck", "data", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["checked"]["submissions"], accepted + 1, "{report}");
        assert_eq!(report["checked"]["archives"], accepted + 1, "{report}");
    }
}

#[test]
fn archives_are_refused_with_their_cause() {
    let victim = Victim::new();
    let plugin = tiny(NAME, HOLDS);
    let submission = submission(&plugin, &developer(1));
    let check = |what: &str, archive: Vec<u8>, limit: Option<u64>| {
        let upload = sign(&submission, archive, &developer(1));
        victim.refuses(what, &upload, (400, "bad-archive", Some("upload.archive"), limit));
    };
    let with = |entry: Entry<'_>| archive(honest().into_iter().chain([entry]));
    for path in
        ["../f.c", "a/../../f.c", "/etc/passwd", "./f.h", "a//b", "..", "a/..", "", "a\\..\\b", "a\nb"]
    {
        check(path, with(file(path, b"x")), None);
    }
    check("folder above", with(special("../a/", EntryType::Directory, "")), None);
    check("symbolic link", with(special("link", EntryType::Symlink, "/etc/passwd")), None);
    check("hard link", with(special("link", EntryType::Link, "f.c")), None);
    check("character device", with(special("null", EntryType::Char, "")), None);
    check("block device", with(special("sda", EntryType::Block, "")), None);
    check("fifo", with(special("pipe", EntryType::Fifo, "")), None);
    check("pax header", with(special("pax", EntryType::XHeader, "")), None);
    check("long name", with(special("././@LongLink", EntryType::GNULongName, "")), None);
    check("file and folder", with(file("f.c/x", b"x")), None);
    check("twice", with(file("f.c", b"other")), None);

    let names: Vec<String> = (0..10_000).map(|i| format!("f{i}")).collect();
    check("10,000 files", archive(names.iter().map(|name| file(name, b""))), Some(1000));
    let zeros = vec![0; 4 << 20];
    let bomb = names.iter().take(200).map(|name| file(name, &zeros));
    check("gzip bomb of 800 MiB", archive(bomb), Some(32 << 20));
    check("one large file", archive([file("f", &vec![0; (4 << 20) + 1])]), Some(4 << 20));
    let mut filled = vec![0; 1024];
    filled.resize(512 << 20, 0);
    check("nothing but zeros", gzip(&filled), None);

    let whole = pack(&plugin.tree).unwrap();
    check("no gzip", b"not gzip at all".to_vec(), None);
    check("empty", Vec::new(), None);
    check("no files", archive([]), None);
    check("cut short", whole[..whole.len() - 9].to_vec(), None);
    check("second member", [whole.clone(), whole.clone()].concat(), None);
    check("trailing bytes", [&whole[..], b"x"].concat(), None);
    check("checksum", flipped(&whole, whole.len() * 8 - 40), None);
    victim.assert_unharmed(0);
}

fn honest() -> [Entry<'static>; 2] {
    [file("t.plugin", b"org.example.hostile\nset_timer pre f.o\n"), file("f.c", HOLDS.as_bytes())]
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn submissions_are_refused_with_their_field() {
    let victim = Victim::new();
    let key = developer(1);
    let good = tiny(NAME, HOLDS);
    let base = submission(&good, &key);
    let check = |what: &str, plugin: &Plugin, change: &dyn Fn(&mut Submission), status, kind, field| {
        let mut submission = submission(plugin, &key);
        change(&mut submission);
        let upload = sign(&submission, pack(&plugin.tree).unwrap(), &key);
        victim.refuses(what, &upload, (status, kind, Some(field), None));
    };
    let manifest = |text: &str| plugin([("t.plugin", text.as_bytes().to_vec()), ("f.c", HOLDS.into())]);
    let keep = |_: &mut Submission| {};

    let missing = manifest("org.example.hostile\nset_timer pre gone.o\n");
    check("missing source", &missing, &keep, 400, "missing-source", "submission.manifest");
    let other = |s: &mut Submission| s.source = Digest([7; 32]);
    check("other source", &good, &other, 400, "source-digest", "submission.source");
    let nowhere = |s: &mut Submission| s.manifest = "gone.plugin".to_owned();
    check("no manifest", &good, &nowhere, 400, "bad-manifest", "submission.manifest");
    let no_manifest = |s: &mut Submission| s.manifest = "f.c".to_owned();
    check("not a manifest", &good, &no_manifest, 400, "bad-manifest", "submission.manifest");
    let renamed = |s: &mut Submission| {
        s.name = name("org.example.renamed");
        s.owner.name = s.name.clone();
    };
    check("manifest of another", &good, &renamed, 400, "bad-manifest", "submission.manifest");
    let objects =
        |s: &mut Submission| s.bytecode = Some(ObjectMap::new([("g.o".to_owned(), Digest([1; 32]))]));
    check("other objects", &good, &objects, 400, "bytecode", "submission.bytecode");
    let foreign = |s: &mut Submission| s.owner.name = name("org.example.other");
    check("owner of another name", &good, &foreign, 400, "malformed-submission", "submission.owner");
    let zero = |s: &mut Submission| s.release = Release(0);
    check("release 0", &good, &zero, 400, "malformed-submission", "submission.release");
    let stranger = |s: &mut Submission| s.owner.keys = vec![public_key(&developer(2))];
    check("signed by a stranger", &good, &stranger, 403, "signer-not-owner", "upload.signed");
    let later = |s: &mut Submission| {
        s.owner.sequence = 1;
        s.owner.previous = Some(Digest([1; 32]));
    };
    check("second owner of nothing", &good, &later, 403, "not-owner", "submission.owner");

    let packed = pack(&good.tree).unwrap();
    let mut nobody = base.clone();
    nobody.owner.keys.clear();
    let (digest, upload) = sign(&nobody, packed.clone(), &key);
    assert_eq!(victim.http.submit(&upload).problem().kind, "malformed-submission");
    assert_eq!(victim.http.get(&format!("/submissions/{digest}")).status, 404);
    let send = |what: &str, signed: Vec<u8>, expect| {
        let upload = Upload { signed, archive: packed.clone() }.to_bytes();
        victim.refuses(what, &(sha256(&base.to_bytes()), upload), expect);
    };
    let bad_signature = (400, "bad-signature", Some("upload.signed"), None);
    let signed = cose::sign(SignedKind::Submission, &base, &key);
    let mut other_key = signed.clone();
    other_key.key = public_key(&developer(2));
    send("other key", other_key.to_bytes(), bad_signature);
    let mut low_order = signed.clone();
    low_order.key = PublicKey([0; 32]);
    low_order.signature = [0; 64];
    send("key of low order", low_order.to_bytes(), bad_signature);
    send("as a receipt", cose::sign(SignedKind::Receipt, &base, &key).to_bytes(), bad_signature);
    let bytes = signed.to_bytes();
    for bit in (bytes.len() * 8 - 64 * 8..bytes.len() * 8).step_by(37) {
        send("flipped signature", flipped(&bytes, bit), bad_signature);
    }
    victim.assert_unharmed(0);
}

#[test]
fn names_and_releases_belong_to_whoever_came_first() {
    let victim = Victim::new();
    let code = |release: u64| tiny(NAME, &format!("// {release}\n{HOLDS}"));
    let upload = |release: u64, key: u8| {
        let prepared = signed(&code(release), release, &developer(key));
        (prepared.digest, prepared.upload.to_bytes())
    };
    let first = upload(3, 1);
    assert_eq!(victim.http.submit(&first.1).status, 202);
    let check = || {
        let not_owner = (403, "not-owner", Some("submission.owner"), None);
        victim.refuses("somebody else's name", &upload(4, 2), not_owner);
        let mut shared = submission(&code(4), &developer(2));
        shared.owner.keys.push(public_key(&developer(1)));
        shared.owner.keys.sort();
        let shared = sign(&shared, pack(&code(4).tree).unwrap(), &developer(2));
        victim.refuses("an owner record of one's own", &shared, not_owner);
        for old in [1, 2] {
            let old_release = (409, "old-release", Some("submission.release"), Some(3));
            victim.refuses("older release", &upload(old, 1), old_release);
        }
        let same = signed(&tiny(NAME, "// other\n"), 3, &developer(1));
        let same = (same.digest, same.upload.to_bytes());
        let old_release = (409, "old-release", Some("submission.release"), Some(3));
        victim.refuses("same release, other bytes", &same, old_release);
        let again = victim.http.submit(&first.1);
        assert_eq!((again.status, again.json::<SubmissionStatus>().index), (200, 0));
    };
    // While it waits, and once it is published.
    check();
    victim.validator.wait_published(&first.0);
    check();
    victim.assert_unharmed(1);
}

#[test]
fn bodies_that_are_no_uploads_are_refused() {
    let victim = Victim::new();
    let prepared = signed(&tiny(NAME, HOLDS), 1, &developer(1));
    let whole = prepared.upload.to_bytes();
    let check = |what: &str, body: &[u8]| {
        let answer = victim.http.submit(body);
        let problem = answer.problem();
        assert_eq!(problem.status, 400, "{what}: {}", problem.detail);
        assert!(problem.field.is_some(), "{what}: {}", problem.detail);
    };
    for end in (0..whole.len()).step_by(17) {
        check("cut short", &whole[..end]);
    }
    check("trailing byte", &[&whole[..], &[0]].concat());
    check("JSON", br#"{"signed": "", "archive": ""}"#);
    check("nested arrays", &[0x81; 100_000]);
    check("nested maps", &[0xa1, 0x00].repeat(50_000));
    check("nested tags", &[0xc1; 100_000]);
    check("indefinite", &[0xbf, 0xff]);
    check("claims 2^64 bytes", &[0xa3, 0, 1, 1, 0x5b, 255, 255, 255, 255, 255, 255, 255, 255, 0]);
    check("claims 2^32 items", &[0xbb, 0, 0, 0, 1, 0, 0, 0, 0]);
    let mut random = from_environment(3);
    for _ in 0..200 {
        let bit = random.below(200 * 8) as usize;
        let answer = victim.http.submit(&flipped(&whole, bit));
        assert!((400..500).contains(&answer.status), "bit {bit}: {}", answer.status);
        let noise: Vec<u8> = (0..random.below(300)).map(|_| random.number() as u8).collect();
        check("noise", &noise);
    }
    let large = Upload { signed: prepared.upload.signed, archive: vec![0; limits::ARCHIVE_BYTES + 1] };
    let problem = victim.http.submit(&large.to_bytes()).problem();
    assert_eq!((problem.status, problem.limit), (400, Some(limits::ARCHIVE_BYTES as u64)));
    assert_eq!(problem.field.as_deref(), Some("upload.archive"));
    assert_eq!(victim.http.get(&format!("/submissions/{}", prepared.digest)).status, 404);
    victim.assert_unharmed(0);
}

#[test]
fn bodies_are_refused_by_their_length() {
    const HUNDRED_MB: usize = 100_000_000;
    let victim = Victim::new();
    let check = |answer: &Answer| {
        let problem = answer.problem();
        assert_eq!((problem.status, problem.kind.as_str()), (413, "body-too-large"));
        assert_eq!((problem.field.as_deref(), problem.limit), (Some("body"), Some(Upload::MAX_BYTES as u64)));
    };
    let head = "POST /submissions HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
    // By what it says, before a byte of it is sent.
    let mut stream = victim.http.connect().unwrap();
    write!(stream, "{head}content-length: {HUNDRED_MB}\r\n\r\n").unwrap();
    check(&Answer::read(&stream, false).unwrap());
    // By what it is.
    let mut stream = victim.http.connect().unwrap();
    let answer = std::thread::scope(|scope| {
        let mut writer = stream.try_clone().unwrap();
        scope.spawn(move || {
            write!(writer, "{head}transfer-encoding: chunked\r\n\r\n")?;
            let chunk = vec![0; 1 << 20];
            for _ in 0..HUNDRED_MB >> 20 {
                write!(writer, "{:x}\r\n", chunk.len())?;
                writer.write_all(&chunk)?;
                writer.write_all(b"\r\n")?;
            }
            std::io::Result::Ok(())
        });
        Answer::read(&mut stream, false).unwrap()
    });
    check(&answer);
    // On every path, not only where bodies are expected.
    let mut stream = victim.http.connect().unwrap();
    write!(stream, "GET /checkpoint HTTP/1.1\r\nhost: a\r\ncontent-length: {HUNDRED_MB}\r\n\r\n").unwrap();
    check(&Answer::read(&stream, false).unwrap());
    victim.assert_unharmed(0);
}

#[test]
fn stalled_and_aborted_uploads_stop_nobody() {
    let victim = Victim::new();
    let whole = signed(&tiny(NAME, HOLDS), 1, &developer(1)).upload.to_bytes();
    let begin = |bytes: usize| {
        let mut stream = victim.http.connect().unwrap();
        write!(stream, "POST /submissions HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", whole.len())
            .unwrap();
        stream.write_all(&whole[..bytes]).unwrap();
        stream
    };
    let mut stalled: Vec<_> = (0..100).map(|i| begin(i % whole.len())).collect();
    // Others are served, and at once.
    let started = Instant::now();
    let status = victim.validator.publish_tiny("org.example.first", 1);
    assert_eq!(status.index, 0);
    assert!(started.elapsed() < Duration::from_secs(20));
    for stream in stalled.drain(..50) {
        drop(stream);
    }
    // One that was only slow is taken.
    let mut slow = stalled.remove(0);
    for byte in &whole[50..] {
        slow.write_all(&[*byte]).unwrap();
    }
    assert_eq!(Answer::read(&slow, false).unwrap().status, 202);
    drop((slow, stalled));
    victim.assert_unharmed(2);
}

#[test]
fn requests_that_are_too_large_or_no_http_are_refused() {
    let victim = Victim::new();
    let http = victim.http;
    let status = |method: &str, path: &str, headers: &[(&str, &str)]| {
        http.send(method, path, headers, &[]).unwrap_or_else(|e| panic!("{method} {path:.40}: {e}")).status
    };
    let long = "a".repeat(20_000);
    assert_eq!(status("GET", &format!("/plugins/{long}.a"), &[]), 400);
    assert_eq!(status("GET", &format!("/{long}"), &[]), 404);
    assert_eq!(status("GET", &format!("/plugins/org.example.a?epoch={long}"), &[]), 400);
    assert_eq!(status("GET", &format!("/tile/0/{}000", "x000/".repeat(1000)), &[]), 404);
    assert!(matches!(status("GET", &format!("/{}", "a".repeat(100_000)), &[]), 404 | 414 | 431));
    assert!(matches!(status("GET", "/checkpoint", &[("x", &"a".repeat(1_000_000))]), 400 | 431));
    let many: Vec<(&str, &str)> = vec![("x", "y"); 1000];
    assert!(matches!(status("GET", "/checkpoint", &many), 400 | 431));
    for path in
        ["/plugins/%", "/plugins/%zz", "/plugins/%ff", "/plugins/%00.a", "/epochs/%2e%2e%2fcheckpoint"]
    {
        assert_eq!(status("GET", path, &[]), 400, "{path}");
    }
    assert_eq!(status("GET", "/../../../../etc/passwd", &[]), 404);
    assert_eq!(status("GET", "/tile/entries/../../checkpoint", &[]), 404);
    for (request, expect) in [
        ("GET\r\n\r\n", 400),
        ("GET /checkpoint HTTP/9.9\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", 400),
        ("POST /submissions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        ("\0\0\0\0\r\n\r\n", 400),
    ] {
        let mut stream = http.connect().unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(Answer::read(&stream, false).unwrap().status, expect, "{request:?}");
    }
    victim.assert_unharmed(0);
}

#[test]
fn garbage_on_many_connections_stops_nobody() {
    let victim = Victim::new();
    let http = victim.http;
    std::thread::scope(|scope| {
        for seed in 0..200u8 {
            scope.spawn(move || {
                let mut stream = http.connect().unwrap();
                let garbage: Vec<u8> = (0..2000u32).map(|i| (i * 31 + u32::from(seed)) as u8).collect();
                // Answered with a refusal, or just closed.
                let _ = stream.write_all(&garbage);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let mut said = Vec::new();
                let _ = stream.read_to_end(&mut said);
                assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 4"), "{said:?}");
            });
        }
        for _ in 0..50 {
            assert_eq!(http.get("/checkpoint").status, 200);
        }
    });
    // As many that say nothing at all.
    let silent: Vec<_> = (0..200).map(|_| http.connect().unwrap()).collect();
    assert_eq!(http.get("/checkpoint").status, 200);
    drop(silent);
    victim.assert_unharmed(0);
}

#[test]
fn receipt_is_refused_when_sent_as_a_submission() {
    // A receipt is signed by the validator with the same kind of envelope; it opens as nothing else.
    let validator = Validator::started();
    let prepared = signed(&tiny(NAME, HOLDS), 1, &developer(1));
    let status: SubmissionStatus = validator.http().submit(&prepared.upload.to_bytes()).json();
    let receipt = pds_client::submit::receipt_bytes(&status).unwrap();
    let key = validator.str_key().public_key();
    assert!(cose::open::<Receipt>(&receipt, SignedKind::Receipt, &key).is_ok());
    assert!(cose::open::<OwnerRecord>(&receipt, SignedKind::OwnerRecord, &key).is_err());
    let upload = Upload { signed: receipt, archive: prepared.upload.archive };
    let problem = validator.http().submit(&upload.to_bytes()).problem();
    assert_eq!((problem.status, problem.kind.as_str()), (400, "bad-signature"));
}
