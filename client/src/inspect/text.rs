//! Files that are text: keys, notes, proofs, policies.

use pds_core::checkpoint::Checkpoint;
use pds_core::cose;
use pds_core::note::{Note, VerifierKey};
use pds_core::secret_key;
use pds_core::tlog_policy::{Member, Policy, Quorum};
use pds_core::tlog_proof::TlogProof;
use pds_schemas::{Artefact, EvidenceExtra};

use super::item::{Item, count, list, map, optional, text};
use super::{Dump, artefact, dump};

pub(super) fn dumps(bytes: &[u8]) -> Vec<Dump> {
    let Ok(string) = std::str::from_utf8(bytes) else { return Vec::new() };
    if let Ok(key) = secret_key::from_text(string) {
        let public = text(cose::public_key(&key));
        return vec![dump("secret key file", map([("public-key", public), ("secret", text("(not shown)"))]))];
    }
    if let Ok(proof) = TlogProof::parse(bytes) {
        return vec![dump("proof (C2SP tlog-proof)", tlog_proof(&proof))];
    }
    if let Ok(note) = Note::parse(bytes) {
        let kind = if note.text().parse::<Checkpoint>().is_ok() { "checkpoint" } else { "signed note" };
        return vec![dump(format!("{kind} (C2SP)"), show_note(&note))];
    }
    if let Ok(key) = string.trim_end().parse::<VerifierKey>() {
        return vec![dump("verifier key (vkey)", vkey(&key))];
    }
    if let Ok(policy) = Policy::parse(bytes) {
        return vec![dump("trust policy (C2SP tlog-policy)", show_policy(&policy))];
    }
    Vec::new()
}

pub(super) fn show_note(note: &Note) -> Item {
    let content = match note.text().parse::<Checkpoint>() {
        Ok(c) => map([("origin", text(c.origin)), ("size", Item::Number(c.size.0)), ("root", text(c.root))]),
        Err(_) => text(note.text()),
    };
    let signatures = list(note.signatures(), |line| {
        let bytes = [line.key_id.0.as_slice(), &line.signature].concat();
        // A cosignature begins with its time; other signatures of this length do not exist.
        let time = line.signature.first_chunk().filter(|_| line.signature.len() == 72);
        map([
            ("key-name", text(&line.name)),
            ("key-id", text(line.key_id)),
            ("time", time.map_or(Item::Nothing, |time| Item::Number(u64::from_be_bytes(*time)))),
            ("signature-bytes", count(bytes.len() - 4)),
        ])
    });
    map([("text", content), ("signatures", signatures)])
}

fn tlog_proof(proof: &TlogProof) -> Item {
    let extra = match proof.extra() {
        None => Item::Nothing,
        Some(bytes) => match EvidenceExtra::from_bytes(bytes) {
            Ok(extra) => artefact::extra(&extra),
            Err(_) => artefact::blob(bytes),
        },
    };
    map([
        ("index", Item::Number(proof.index())),
        ("hashes", list(proof.hashes(), text)),
        ("checkpoint", show_note(proof.note())),
        ("extra", extra),
    ])
}

fn vkey(key: &VerifierKey) -> Item {
    map([
        ("name", text(key.name())),
        ("key-id", text(key.id())),
        ("type", text(format!("{:?}", key.key_type()))),
        ("public-key", text(key.public_key())),
    ])
}

fn show_policy(policy: &Policy) -> Item {
    let url = |url: &Option<Vec<u8>>| optional(url.as_ref().map(|url| url.escape_ascii()));
    let member = |member: &Member| match *member {
        Member::Witness(i) => text(&policy.witnesses()[i].name),
        Member::Group(i) => text(&policy.groups()[i].name),
    };
    let quorum = match policy.quorum() {
        Quorum::None => text("none"),
        Quorum::Member(m) => member(&m),
    };
    let disjoint = if policy.has_disjoint_quorums() { "yes: a split view may not show" } else { "no" };
    map([
        ("logs", list(policy.logs(), |log| map([("key", vkey(&log.key)), ("url", url(&log.url))]))),
        (
            "witnesses",
            list(policy.witnesses(), |w| {
                map([("name", text(&w.name)), ("key", vkey(&w.key)), ("url", url(&w.url))])
            }),
        ),
        (
            "groups",
            list(policy.groups(), |g| {
                map([
                    ("name", text(&g.name)),
                    ("threshold", count(g.threshold)),
                    ("members", list(&g.members, member)),
                ])
            }),
        ),
        ("quorum", quorum),
        ("two-quorums-with-nobody-in-common", text(disjoint)),
    ])
}
