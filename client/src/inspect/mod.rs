//! Showing what a file is and says, of every kind of file the system has.
//!
//! Pure. NOTHING IS VERIFIED here: whoever prints a dump says so. Kinds are told apart by trying; the strict encodings
//! make a second match rare, and then both are shown. Secrets are never shown.

mod artefact;
mod item;
mod text;

use pds_core::log::tile::{FULL_WIDTH, decode_entries};
use pds_schemas::Artefact;
use pds_schemas::cose::CoseSign1;
use pds_schemas::json::{LogProof, Problem, SubmissionStatus};

pub use self::item::Item;
use self::item::{count, text};

/// Most bytes of a file that is shown: the largest artefact there is.
pub const MAX_BYTES: usize = pds_schemas::Transition::MAX_BYTES;

/// What a file may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Dump {
    /// In words, e.g. `evidence (CBOR)`.
    pub kind: String,
    /// What it says.
    pub content: Item,
}

/// Everything that `bytes` may be, at least one thing.
pub fn inspect(bytes: &[u8]) -> Vec<Dump> {
    let mut dumps = text::dumps(bytes);
    if dumps.is_empty() {
        dumps = json(bytes);
    }
    if dumps.is_empty() {
        dumps = artefact::dumps(bytes);
    }
    if dumps.is_empty() {
        dumps.extend(bundle(bytes));
    }
    if dumps.is_empty() {
        dumps.push(generic(bytes));
    }
    dumps
}

fn dump(kind: impl Into<String>, content: Item) -> Dump {
    Dump { kind: kind.into(), content }
}

/// The JSON answers of a validator.
fn json(bytes: &[u8]) -> Vec<Dump> {
    let mut dumps = Vec::new();
    if let Ok(status) = serde_json::from_slice::<SubmissionStatus>(bytes) {
        dumps.push(dump("submission status (JSON)", Item::of(&status)));
    }
    if let Ok(proof) = serde_json::from_slice::<LogProof>(bytes) {
        dumps.push(dump("log proof (JSON)", Item::of(&proof)));
    }
    if let Ok(problem) = serde_json::from_slice::<Problem>(bytes) {
        dumps.push(dump("problem (JSON)", Item::of(&problem)));
    }
    dumps
}

/// A bundle of log entries: STRs, each behind its length.
fn bundle(bytes: &[u8]) -> Option<Dump> {
    let entries = (1..=FULL_WIDTH).find_map(|width| decode_entries(bytes, width).ok())?;
    let entry = |bytes: &&[u8]| Some(artefact::cose(&CoseSign1::from_bytes(bytes).ok()?));
    let entries: Option<Vec<Item>> = entries.iter().map(entry).collect();
    Some(dump("entry bundle (C2SP tlog-tiles)", Item::List(entries?)))
}

/// CBOR of no kind that is known, or bytes of which nothing is known.
fn generic(bytes: &[u8]) -> Dump {
    match serde_cbor::from_slice::<serde_cbor::Value>(bytes) {
        // A lone number or short text is what almost any bytes begin with.
        Ok(
            value @ (serde_cbor::Value::Map(_) | serde_cbor::Value::Array(_) | serde_cbor::Value::Tag(..)),
        ) => dump("CBOR of no kind that PDS has", item::of_cbor(&value)),
        _ => {
            let start = &bytes[..bytes.len().min(32)];
            dump(
                "unknown",
                Item::Map(vec![
                    ("bytes".into(), count(bytes.len())),
                    ("sha256".into(), text(pds_core::hash::sha256(bytes))),
                    ("begins".into(), text(hex::encode(start))),
                ]),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use pds_core::cose;
    use pds_core::secret_key;
    use pds_schemas::cose::SignedKind;
    use pds_schemas::{Digest, OwnerRecord, PluginName, PosixTime, Receipt, Release};

    use super::*;

    fn only(bytes: &[u8]) -> Dump {
        let mut dumps = inspect(bytes);
        assert_eq!(dumps.len(), 1, "{dumps:?}");
        dumps.remove(0)
    }

    #[test]
    fn signed_receipt_is_shown_with_its_payload() {
        let key = pds_core::cose::SigningKey::from_bytes(&[1; 32]);
        let receipt = Receipt {
            origin: "pv.example".to_owned(),
            submission: Digest([7; 32]),
            name: PluginName::new("org.example.pacing").unwrap(),
            release: Release(3),
            index: 0,
            time: PosixTime(10),
            decide_by: PosixTime(20),
        };
        let dump = only(&cose::sign(SignedKind::Receipt, &receipt, &key).to_bytes());
        let shown = dump.content.to_string();
        for part in ["application/pds-receipt+cose", "pv.example", "org.example.pacing", &"07".repeat(32)] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn secret_key_is_not_shown() {
        let key = pds_core::cose::SigningKey::from_bytes(&[7; 32]);
        let file = secret_key::to_text(&key);
        let dump = only(file.as_bytes());
        let shown = format!("{} {} {}", dump.kind, dump.content, dump.content.to_json());
        let seed = file.lines().nth(1).unwrap();
        assert!(!shown.contains(seed) && !shown.contains(&"07".repeat(32)), "{shown}");
        assert!(shown.contains(&cose::public_key(&key).to_string()));
    }

    #[test]
    fn unknown_cbor_and_unknown_bytes_are_shown_as_such() {
        assert_eq!(only(&[0xa1, 0x18, 0x63, 0x61, 0x78]).content.to_string(), "99: x\n");
        assert!(only(&[0xff; 40]).kind.contains("unknown"));
        assert!(only(b"").kind.contains("unknown"));
    }

    #[test]
    fn text_of_strangers_is_shown_without_control_characters() {
        let owner = OwnerRecord::first(PluginName::new("a.b").unwrap(), pds_schemas::PublicKey([1; 32]));
        assert!(only(&owner.to_bytes()).kind.contains("owner-record"));
        let bytes = serde_cbor::to_vec(&vec!["\u{1b}[2J".to_owned()]).unwrap();
        assert!(!only(&bytes).content.to_string().contains('\u{1b}'));
    }
}
