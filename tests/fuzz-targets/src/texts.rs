//! What is read as text: notes, keys, policies, proofs, expressions, manifests, settings. One value, one text, where the
//! format is strict; where it is not, what is printed reads back as the same value.

use std::io::Cursor;
use std::path::{Component, Path};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pds_client::hammer::journal::{self, Entry};
use pds_client::trust::TrustFile;
use pds_core::acceptance::Acceptance;
use pds_core::checkpoint::{Checkpoint, SignedCheckpoint};
use pds_core::cosignature::{self, Cosigner};
use pds_core::expression::{self, Expression};
use pds_core::formula::{self, Formula};
use pds_core::log::tile::{EntriesAddress, TileAddress};
use pds_core::note::{KeyName, KeyType, Note, NoteSigner, SignatureLine, VerifierKey};
use pds_core::prefix::PageId;
use pds_core::tlog_policy::{MAX_ITEMS, Member, Policy, Quorum, WitnessSet};
use pds_core::tlog_proof::TlogProof;
use pds_core::{cose, evidence, secret_key};
use pds_log_server::backup::manifest;
use pds_log_server::config::{Config, STORE_FOLDER};
use pds_log_server::control;
use pds_plugin::manifest::Manifest;
use pds_schemas::json::{LogProof, Problem, SubmissionStatus};
use pds_schemas::{Artefact, Digest, EpochNumber, PluginName, PosixTime, PublicKey, TreeSize, Verifier};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::feed::Feed;

/// A note with its lines, and what its text may say.
pub fn note(bytes: &[u8]) {
    if let Ok(line) = std::str::from_utf8(bytes)
        && let Some(read) = SignatureLine::parse(line)
    {
        assert_eq!(read.to_string(), line);
    }
    let Ok(note) = Note::parse(bytes) else { return };
    assert_eq!(note.to_string().as_bytes(), bytes);
    assert_eq!(Note::new(note.text(), note.signatures().to_vec()).as_ref(), Ok(&note));
    if let Ok(checkpoint) = note.text().parse::<Checkpoint>() {
        assert_eq!(checkpoint.to_note_text(), note.text());
    }
    let known = [LOG.verifier(), WITNESSES[0].verifier()];
    if let Ok(verified) = note.verify(&known) {
        assert!(!verified.is_empty());
    }
}

/// The log whose checkpoints are known here.
pub static LOG: LazyLock<NoteSigner> =
    LazyLock::new(|| NoteSigner::new(key_name("pv.example"), &[1; 32]).expect("a short name"));
/// The witnesses that are known here.
pub static WITNESSES: LazyLock<Vec<Cosigner>> = LazyLock::new(|| {
    let witness = |i: u8| Cosigner::new(key_name(&format!("w{i}.example")), &[10 + i; 32]);
    (0..6).map(|i| witness(i).expect("a short name")).collect()
});
/// Text of the one checkpoint that the log ever signed.
pub static SIGNED: LazyLock<SignedCheckpoint> = LazyLock::new(|| {
    let checkpoint = Checkpoint { origin: "pv.example".into(), size: TreeSize(7), root: Digest([7; 32]) };
    let mut signed = checkpoint.sign(&LOG).expect("the log's own origin");
    for witness in WITNESSES.iter().take(2) {
        let line = witness.cosign(&checkpoint.to_note_text(), COSIGNED).expect("a time in range");
        signed.add_cosignature(&line, witness.verifier()).expect("a true cosignature");
    }
    signed
});
/// When it was cosigned.
const COSIGNED: PosixTime = PosixTime(1_800_000_000);

fn key_name(name: &str) -> KeyName {
    KeyName::new(name).expect("a plain name")
}

/// Edits of a signed and cosigned checkpoint: nobody else's words are ever taken for the log's or a witness's.
pub fn checkpoint(bytes: &[u8]) {
    let signed = &*SIGNED;
    let edited = Feed(bytes).edit(signed.to_string().as_bytes(), 8);
    let Ok(opened) = SignedCheckpoint::open(&edited, LOG.verifier()) else { return };
    assert_eq!(opened.checkpoint(), signed.checkpoint(), "signed by nobody");
    let mut bare = signed.checkpoint().sign(&LOG).expect("the log's own origin");
    for line in opened.note().signatures() {
        for (i, witness) in WITNESSES.iter().enumerate() {
            let Ok(time) = cosignature::verify(opened.note().text(), line, witness.verifier()) else {
                continue;
            };
            assert!(i < 2 && time == COSIGNED, "cosigned by nobody");
            bare.add_cosignature(line, witness.verifier()).expect("a true cosignature");
            assert!(bare.is_signed_by(witness.verifier()));
        }
    }
}

/// `@0` to `@5` are witnesses' keys and `#` is the log's, since no fuzzer finds a key's ID.
fn with_keys(text: &[u8], keys: impl Fn(usize) -> String, log: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'@' => out.extend(keys(usize::from(bytes.next().unwrap_or(0)) % 6).bytes()),
            b'#' => out.extend(log.bytes()),
            other => out.push(other),
        }
    }
    out
}

/// A tlog-policy; whether two disjoint sets of witnesses satisfy it is held against trying all sets.
pub fn tlog_policy(bytes: &[u8]) {
    let key = |i: usize| WITNESSES[i].verifier().to_string();
    let text = with_keys(bytes, key, &LOG.verifier().to_string());
    let Ok(policy) = Policy::parse(&text) else { return };
    let count = policy.witnesses().len();
    assert!(count <= MAX_ITEMS && policy.logs().len() <= MAX_ITEMS && policy.groups().len() <= MAX_ITEMS);
    for (i, group) in policy.groups().iter().enumerate() {
        assert!((1..=group.members.len()).contains(&group.threshold));
        assert!(group.members.iter().all(|m| !matches!(m, Member::Group(other) if *other >= i)));
    }
    if count <= 6 {
        let set = |bits: u32| (0..count).filter(|i| bits >> i & 1 == 1).collect::<WitnessSet>();
        let all = (1u32 << count) - 1;
        let satisfied: Vec<bool> = (0..=all).map(|bits| policy.is_satisfied(&set(bits))).collect();
        assert!(satisfied[all as usize], "a policy that nobody can satisfy");
        assert_eq!(satisfied[0], policy.quorum() == Quorum::None);
        let disjoint = (0..=all).any(|bits| satisfied[bits as usize] && satisfied[(all & !bits) as usize]);
        assert_eq!(policy.has_disjoint_quorums(), disjoint);
    }
    if let Ok(evaluation) = policy.evaluate(SIGNED.note(), &crate::world::WINDOW) {
        assert_eq!(evaluation.has_quorum, policy.is_satisfied(&evaluation.counted()));
    }
}

/// A tlog-proof, and the evidence that may be in it.
pub fn tlog_proof(bytes: &[u8]) {
    let Ok(proof) = TlogProof::parse(bytes) else { return };
    assert_eq!(proof.to_string().as_bytes(), bytes);
    if let Ok(evidence) = evidence::from_tlog_proof(&proof) {
        assert_eq!(evidence::to_tlog_proof(&evidence), Ok(proof));
    }
}

/// A formula, and the same text as an acceptance expression.
pub fn formula(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = formula::parse(text);
    let policy = pds_schemas::Policy {
        origin: "pv.example".into(),
        acceptance: text.into(),
        verifiers: ["a", "b", "structure"].map(verifier).to_vec(),
        platforms: Vec::new(),
        epoch_interval_s: 1,
        decide_within_s: 2,
    };
    let known = |formula: &Formula| {
        let atoms = formula.atoms();
        atoms
            .iter()
            .all(|t| t.properties.is_empty() && ["a", "b", "structure"].contains(&t.nickname.as_str()))
    };
    let accepted = Acceptance::of_policy(&policy).is_ok();
    assert_eq!(accepted, parsed.as_ref().is_ok_and(known), "two readers of one grammar");
    let Ok(formula) = parsed else { return };
    let printed = formula.to_string();
    match formula::parse(&printed) {
        Ok(again) => assert_eq!(again, formula, "{printed}"),
        Err(error) => assert!(exceeds(&formula, &printed), "{printed}: {error}"),
    }
    assert!(formula.is_satisfied(&mut |_| true) && !formula.is_satisfied(&mut |_| false));
}

fn verifier(property: &str) -> Verifier {
    Verifier { property: property.into(), name: "v".into(), version: "1".into() }
}

/// Whether the parentheses of a formula as it is printed may be more than a formula may have.
fn exceeds(formula: &Formula, printed: &str) -> bool {
    let deepest = printed.bytes().scan(0usize, |depth, byte| {
        match byte {
            b'(' => *depth += 1,
            b')' => *depth -= 1,
            _ => {}
        }
        Some(*depth)
    });
    let groups = printed.bytes().filter(|byte| *byte == b'(').count();
    printed.len() > expression::MAX_BYTES
        || deepest.max().unwrap_or(0) >= expression::MAX_DEPTH
        || formula.atoms().len() + groups > expression::MAX_NODES
}

/// Everything small that has one text, or one key in a store.
pub fn words(bytes: &[u8]) {
    if let Ok(id) = PageId::from_key(bytes) {
        assert_eq!(id.to_key(), bytes);
        assert_eq!(PageId::new(id.epoch(), id.depth(), *id.prefix()), Ok(id));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = secret_key::from_text(text) {
        assert_eq!(secret_key::to_text(&key), text);
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
    let printed = [
        text.parse::<TileAddress>().ok().map(|it| it.to_string()),
        text.parse::<EntriesAddress>().ok().map(|it| it.to_string()),
        text.parse::<Digest>().ok().map(|it| it.to_string()),
        text.parse::<PluginName>().ok().map(|it| it.to_string()),
        KeyName::new(text).ok().map(|it| it.to_string()),
    ];
    for printed in printed.into_iter().flatten() {
        assert_eq!(printed, text);
    }
    // Numbers are read more widely than they are written; what must have one form is compared where it is read.
    if let Ok(number) = text.parse::<EpochNumber>() {
        assert_eq!(number.to_string().parse(), Ok(number));
    }
    let _ = pds_client::http::parse_base(text).map(|url| assert!(url.as_str().ends_with('/')));
}

/// JSON answers, by themselves.
pub fn json(bytes: &[u8]) {
    reread::<SubmissionStatus>(bytes);
    reread::<LogProof>(bytes);
    reread::<Problem>(bytes);
}

fn reread<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else { return };
    let printed = serde_json::to_vec(&value).expect("plain data");
    assert_eq!(serde_json::from_slice::<T>(&printed).ok(), Some(value));
}

/// A manifest, and the same one without what does not matter.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    let mut plain = manifest.name.to_string();
    manifest.options.iter().for_each(|option| plain += &format!(" {option}"));
    for attachment in &manifest.attachments {
        let param = attachment.param.map_or(String::new(), |param| format!(" param {param}"));
        plain += &format!("\n{}{param} {} {}", attachment.protoop, attachment.anchor, attachment.object);
    }
    assert!(!manifest.objects().is_empty());
    for object in manifest.objects() {
        assert!(pds_plugin::source::check_path(object).is_ok() && object.ends_with(".o"), "{object}");
    }
    assert_eq!(Manifest::parse(plain.as_bytes()), Ok(manifest));
}

/// A trust file: `@0` to `@5` are keys of STRs, `a` to `f` the policy files that go with them.
pub fn trust_file(bytes: &[u8]) {
    let text = with_keys(bytes, |i| str_key(i).to_string(), "");
    let read = |path: &Path| match path.to_str() {
        Some(name @ ("a" | "b" | "c" | "d" | "e" | "f")) => {
            let i = usize::from(name.as_bytes()[0] - b'a');
            let witness = WITNESSES[i].verifier();
            Ok(format!("log {}\nwitness w {witness}\nquorum w\n", log_key(i).verifier()).into_bytes())
        }
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let Ok(file) = TrustFile::parse(Path::new("trust.toml"), &text, read) else { return };
    assert!(!file.validators.is_empty());
    let everybody = file.everybody();
    assert_eq!(formula::parse(&everybody.to_string()).ok().as_ref(), Some(&everybody));
    let named = file.named_by(&everybody).expect("everybody is in the file");
    assert_eq!(named.len(), file.validators.len());
    for (i, known) in named.iter().enumerate() {
        assert!(pds_client::http::parse_base(&known.url).is_ok());
        assert!(named[..i].iter().all(|other| other.trusted.origin() != known.trusted.origin()));
    }
    let twice = Expression::Threshold { least: 2, of: vec![everybody.clone(), everybody.clone()] };
    let lone = matches!(everybody, Expression::Atom(_));
    assert_eq!(file.named_by(&twice).is_err(), lone, "one validator counts once");
}

fn log_key(i: usize) -> NoteSigner {
    let seed = [u8::try_from(i).expect("one of six") + 20; 32];
    NoteSigner::new(key_name(&format!("pv{i}.example")), &seed).expect("a short name")
}

fn str_key(i: usize) -> VerifierKey {
    let seed = [u8::try_from(i).expect("one of six") + 40; 32];
    let public: PublicKey = cose::public_key(&cose::signing_key(&seed));
    VerifierKey::new(key_name(&format!("pv{i}.example/str")), KeyType::StrV1, &public).expect("a short name")
}

/// A log server's settings: what is accepted makes a policy that everybody can read.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(config) = Config::parse(Path::new("/etc/pds/log-server.toml"), text) else { return };
    let policy = config.policy();
    assert_eq!(pds_schemas::Policy::from_bytes(&policy.to_bytes()), Ok(policy.clone()));
    assert!(Acceptance::of_policy(&policy).is_ok());
    assert!(key_name(&config.origin).as_str() == config.origin);
    assert!(!config.guard_file().starts_with(config.store_dir()));
    assert!(config.data_dir.is_absolute() && config.log_key.is_absolute());
}

/// What a backup says about itself: no file in it is outside of it.
pub fn backup_manifest(bytes: &[u8]) {
    let path = Path::new("backup.json");
    let Ok(read) = manifest::Manifest::parse(path, bytes) else { return };
    for file in &read.files {
        let parts: Vec<Component<'_>> = Path::new(&file.path).components().collect();
        assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))), "{}", file.path);
        assert!(parts.len() == 1 || parts[0].as_os_str() == STORE_FOLDER, "{}", file.path);
    }
    let printed = serde_json::to_vec_pretty(&read).expect("plain data");
    assert_eq!(manifest::Manifest::parse(path, &printed).ok(), Some(read));
}

/// A journal of receipts and checkpoints: what is written anew says the same, and a line that is cut off nothing.
pub fn hammer_journal(bytes: &[u8]) {
    let read = |bytes: &[u8]| journal::read_from(Path::new("journal"), Cursor::new(bytes));
    let Ok(entries) = read(bytes) else { return };
    let line = |entry: &Entry| match entry {
        Entry::Receipt(receipt) => format!("receipt {}\n", STANDARD.encode(receipt)),
        Entry::Checkpoint(note) => format!("checkpoint {}\n", STANDARD.encode(note)),
    };
    let written: String = entries.iter().map(line).collect();
    let written = format!("{}\n{written}", journal::HEADER);
    assert!(bytes.starts_with(written.as_bytes()), "a journal has one form");
    assert!(!bytes[written.len()..].contains(&b'\n'), "what is passed over is the beginning of a line");
    assert_eq!(read(written.as_bytes()).ok(), Some(entries));
}

/// What an operator's command and a server say to each other.
pub fn control_line(bytes: &[u8]) {
    reread::<control::Request>(bytes);
    reread::<control::Reply>(bytes);
}
