//! What is read as CBOR, as a page, or as a tile: one value, one encoding.

use std::fmt::Debug;

use pds_client::inspect;
use pds_core::log::tile::{decode_entries, decode_tile, encode_entries, encode_tile};
use pds_core::prefix::{MemoryPages, PageId, PrefixTree, page_links, recompute_root, verify_inclusion};
use pds_schemas::cbor::{Decoder, Encoder};
use pds_schemas::cose::CoseSign1;
use pds_schemas::disk::{EpochRoot, Head, SubmissionEntry, SubmissionOutcome};
use pds_schemas::prefix::PrefixProof;
use pds_schemas::{
    Artefact, Binding, BuildEnvironment, ChangeSet, DecodeError, Digest, EpochNumber, Evidence,
    EvidenceExtra, FailureCause, NameHistory, NameRecord, OwnerRecord, PluginPackage, Policy, Receipt,
    SignedTreeRoot, Submission, Transition, Upload, Verdict,
};
use serde_cbor::Value;

use crate::feed::Feed;
use crate::naive::sha;

/// An artefact's name, and what must hold of bytes that are one.
type Kind = (&'static str, fn(&[u8]));

/// Every artefact; an input of [`artefact`] begins with a place in this list.
pub const KINDS: [Kind; 23] = [
    (Binding::NAME, check::<Binding>),
    (BuildEnvironment::NAME, check::<BuildEnvironment>),
    (ChangeSet::NAME, check::<ChangeSet>),
    (CoseSign1::NAME, check::<CoseSign1>),
    (EpochRoot::NAME, check::<EpochRoot>),
    (Evidence::NAME, check::<Evidence>),
    (EvidenceExtra::NAME, check::<EvidenceExtra>),
    (FailureCause::NAME, check::<FailureCause>),
    (Head::NAME, check::<Head>),
    (NameHistory::NAME, check::<NameHistory>),
    (NameRecord::NAME, check::<NameRecord>),
    (OwnerRecord::NAME, check::<OwnerRecord>),
    (PluginPackage::NAME, check::<PluginPackage>),
    (Policy::NAME, check::<Policy>),
    (PrefixProof::NAME, check::<PrefixProof>),
    (Receipt::NAME, check::<Receipt>),
    (SignedTreeRoot::NAME, check::<SignedTreeRoot>),
    (Submission::NAME, check::<Submission>),
    (SubmissionEntry::NAME, check::<SubmissionEntry>),
    (SubmissionOutcome::NAME, check::<SubmissionOutcome>),
    (Transition::NAME, check::<Transition>),
    (Upload::NAME, check::<Upload>),
    (Verdict::NAME, check::<Verdict>),
];

/// What decodes encodes to the same bytes, and is CBOR to other people's reader too.
fn check<A: Artefact + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(value) = A::from_bytes(bytes) else { return };
    assert_eq!(value.to_bytes(), bytes, "{} has a second encoding", A::NAME);
    assert!(serde_cbor::from_slice::<Value>(bytes).is_ok(), "{} is no CBOR", A::NAME);
}

/// The artefact that the first byte chooses.
pub fn artefact(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let (_, check) = KINDS[feed.below(KINDS.len())];
    check(feed.rest());
}

/// Evidence; as a tlog-proof it is the same.
pub fn evidence_bytes(bytes: &[u8]) {
    check::<Evidence>(bytes);
    let Ok(evidence) = Evidence::from_bytes(bytes) else { return };
    if let Ok(proof) = pds_core::evidence::to_tlog_proof(&evidence) {
        assert_eq!(pds_core::evidence::from_tlog_proof(&proof), Ok(evidence));
    }
}

/// A transition.
pub fn transition_bytes(bytes: &[u8]) {
    check::<Transition>(bytes);
}

/// A binding.
pub fn binding_bytes(bytes: &[u8]) {
    check::<Binding>(bytes);
}

/// An upload.
pub fn upload_bytes(bytes: &[u8]) {
    check::<Upload>(bytes);
}

/// A COSE_Sign1, and the payload it says it has.
pub fn cose_bytes(bytes: &[u8]) {
    use pds_schemas::cose::SignedKind;
    check::<CoseSign1>(bytes);
    let Ok(signed) = CoseSign1::from_bytes(bytes) else { return };
    match signed.kind {
        SignedKind::SignedTreeRoot => check::<SignedTreeRoot>(&signed.payload),
        SignedKind::Submission => check::<Submission>(&signed.payload),
        SignedKind::Receipt => check::<Receipt>(&signed.payload),
        SignedKind::OwnerRecord => check::<OwnerRecord>(&signed.payload),
    }
    // Whoever signed it, nobody here knows the secret to a key that only a fuzzer wrote.
    let _ = pds_core::cose::verify(&signed, signed.kind);
}

/// Reads that a shape asks for, against another reader of CBOR, and written again.
pub fn cbor(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let shape = feed.chunk();
    let input = feed.rest();
    let mut decoder = Decoder::new(input, "fuzz");
    let mut values = Vec::new();
    for read in shape {
        match read_one(*read, &mut decoder) {
            Ok(value) => values.push(value),
            Err(error) => return assert!(error.at <= input.len(), "{error}"),
        }
    }
    if decoder.end().is_ok() {
        let mut again = Encoder::default();
        values.iter().for_each(|value| write(value, &mut again));
        assert_eq!(again.into_bytes(), input, "a second encoding");
        let theirs: Result<Vec<Value>, _> = serde_cbor::Deserializer::from_slice(input).into_iter().collect();
        assert_eq!(theirs.ok(), Some(values), "read otherwise by others");
    }
}

/// One item; an array has one kind of items, which the higher bits of `read` choose.
fn read_one(read: u8, d: &mut Decoder<'_>) -> Result<Value, DecodeError> {
    const MOST: usize = 64;
    Ok(match read % 8 {
        0 => Value::Integer(d.uint()?.into()),
        1 => Value::Integer(-1 - i128::from(d.negative()?)),
        2 => Value::Bytes(d.bytes(MOST)?.to_vec()),
        3 => Value::Text(d.text(MOST)?.to_owned()),
        4 => d.nullable()?.map_or(Value::Null, |digest| Value::Bytes(digest.0.to_vec())),
        5 => Value::Array(d.array(MOST, |d| read_one(read / 8, d))?),
        6 => {
            let pairs = d.text_map(MOST, MOST, Decoder::uint)?;
            let pairs = pairs.into_iter().map(|(key, n)| (Value::Text(key), Value::Integer(n.into())));
            Value::Map(pairs.collect())
        }
        _ => {
            let line = d.line(MOST)?;
            assert!(!line.is_empty() && !line.chars().any(char::is_control), "{line:?}");
            Value::Text(line.to_owned())
        }
    })
}

fn write(value: &Value, e: &mut Encoder) {
    match value {
        Value::Integer(n) if *n < 0 => e.negative(u64::try_from(-1 - n).expect("read as 64 bits")),
        Value::Integer(n) => e.uint(u64::try_from(*n).expect("read as 64 bits")),
        Value::Bytes(bytes) => e.bytes(bytes),
        Value::Text(text) => e.text(text),
        Value::Array(items) => {
            e.array(items.len());
            items.iter().for_each(|item| write(item, e));
        }
        Value::Map(pairs) => {
            e.map(pairs.len());
            for (key, value) in pairs {
                write(key, e);
                write(value, e);
            }
        }
        _ => e.nullable(None),
    }
}

/// Whatever a file is, it is shown, and shown in plain lines.
pub fn inspect(bytes: &[u8]) {
    let dumps = inspect::inspect(bytes);
    assert!(!dumps.is_empty());
    for dump in dumps {
        let shown = format!("{}\n{}", dump.kind, dump.content);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        let _ = dump.content.to_json();
    }
}

/// A page of a prefix tree, under a name that goes with it.
pub fn page(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let (depth, raw) = (feed.byte() % 64 * 4, feed.byte() % 4 == 0);
    let mut prefix = sha(&[&[feed.byte()]]);
    for bit in usize::from(depth)..256 {
        prefix.0[bit / 8] &= !(0x80 >> (bit % 8));
    }
    let epoch = EpochNumber(u64::from(feed.byte()));
    let id = PageId::new(epoch, depth, prefix).expect("a depth and a prefix that go together");
    let bytes = if raw { feed.rest().to_vec() } else { plausible_page(&id, &mut feed) };
    let Ok(links) = page_links(&id, &bytes) else { return };
    let held = read_page(&bytes);
    let top = if depth == 0 { naive_page(&held, false) } else { naive_page(&held, true) };
    assert_eq!(links.hash, top, "the page's hash");
    for (below, _) in &links.below {
        assert!(below.epoch() <= epoch && below.depth() == depth + 4);
        assert!(below.prefix().common_prefix(id.prefix()) >= usize::from(depth));
    }
    if depth == 0 {
        check_root_page(id, &bytes, &links.hash, &held);
    }
}

/// A page whose slots hold what belongs there, as far as the feed wants.
fn plausible_page(id: &PageId, feed: &mut Feed<'_>) -> Vec<u8> {
    let (mut kinds, mut values) = (0u32, Vec::new());
    for slot in 0..16u8 {
        let kind = feed.byte();
        kinds |= u32::from(kind & 3) << (30 - 2 * slot);
        match kind & 3 {
            1 => {
                let mut key = *id.prefix();
                let (at, shift) =
                    (usize::from(id.depth() / 8), if id.depth().is_multiple_of(8) { 4 } else { 0 });
                key.0[at] |= (slot ^ (kind >> 7)) << shift;
                key.0[31] ^= if id.depth() < 248 { feed.byte() } else { 0 };
                values.extend(key.0);
                values.extend(feed.digest().0);
            }
            2 => {
                values.extend(feed.digest().0);
                values.extend(u32::from(feed.byte()).to_be_bytes());
            }
            _ => {}
        }
    }
    [&kinds.to_be_bytes()[..], &values].concat()
}

/// What a slot holds: nothing, key and commitment, or a subtree's hash.
type Slot = Option<Result<(Digest, Digest), Digest>>;

fn read_page(bytes: &[u8]) -> Vec<Slot> {
    let mut feed = Feed(bytes);
    let kinds = feed.take(4).iter().flat_map(|byte| [byte >> 6, byte >> 4 & 3, byte >> 2 & 3, byte & 3]);
    let kinds: Vec<u8> = kinds.collect();
    let mut digest = |tail| {
        let digest = Digest(feed.take(32).try_into().expect("a page that was accepted"));
        feed.take(tail);
        digest
    };
    let slot = |kind| match kind {
        0 => None,
        1 => Some(Ok((digest(0), digest(0)))),
        _ => Some(Err(digest(4))),
    };
    kinds.into_iter().map(slot).collect()
}

/// Hash of the node above these slots. A lone leaf takes its parent's place, unless that is the root.
fn naive_page(slots: &[Slot], below_root: bool) -> Digest {
    let mut held = slots.iter().flatten();
    match (held.next(), held.next()) {
        (None, _) => Digest::ZERO,
        (Some(Ok((key, commitment))), None) if below_root => sha(&[&[2], key.as_ref(), commitment.as_ref()]),
        (Some(Err(hash)), None) if slots.len() == 1 => *hash,
        _ => {
            let (left, right) = slots.split_at(slots.len() / 2);
            sha(&[&[3], naive_page(left, true).as_ref(), naive_page(right, true).as_ref()])
        }
    }
}

/// A tree of this page alone finds and proves every leaf in it.
fn check_root_page(id: PageId, bytes: &[u8], root: &Digest, held: &[Slot]) {
    let alone = recompute_root(id.epoch(), [(id, bytes)]);
    assert!(alone.is_err() || alone == Ok(*root));
    let pages = MemoryPages([(id, bytes.to_vec())].into());
    let tree = PrefixTree::open(*root, Some(id.epoch())).expect("a page has a root that is not zero");
    for (key, commitment) in held.iter().flatten().flatten() {
        assert_eq!(tree.lookup(&pages, key), Ok(Some(*commitment)));
        let proof = tree.prove(&pages, key).expect("a page that was read");
        assert_eq!(verify_inclusion(root, key, commitment, &proof), Ok(()));
    }
}

/// A tile of hashes, and a bundle of entries.
pub fn tile(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let width = u16::try_from(feed.short()).expect("two bytes");
    let bytes = feed.rest();
    if let Ok(hashes) = decode_tile(bytes, width) {
        assert_eq!((hashes.len(), encode_tile(&hashes).as_slice()), (usize::from(width), bytes));
    }
    if let Ok(entries) = decode_entries(bytes, width) {
        assert_eq!(entries.len(), usize::from(width));
        assert_eq!(encode_entries(entries).as_deref(), Ok(bytes));
    }
}
