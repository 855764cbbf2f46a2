//! Bytes made to exhaust a reader, and the bounds that stop them.

use pds_schemas::cbor::{Decoder, MAX_DEPTH};
use pds_schemas::{DecodeError, Malformed, limits};

use crate::kinds::KINDS;
use crate::samples;

/// An array in an array in an array.
fn nest(d: &mut Decoder<'_>) -> Result<(), DecodeError> {
    d.array(1, nest).map(drop)
}

#[test]
fn nesting_is_refused_below_the_deepest_level() {
    let cause = |bytes: &[u8]| nest(&mut Decoder::new(bytes, "nest")).map_err(|e| (e.at, e.cause));
    let deepest = usize::from(MAX_DEPTH);
    let closed = |levels: usize| [vec![0x81; levels - 1], vec![0x80]].concat();
    assert_eq!(cause(&closed(deepest)), Ok(()));
    assert_eq!(cause(&closed(deepest + 1)), Err((deepest + 1, Malformed::TooDeep)));
    assert_eq!(cause(&vec![0x81; 10 << 20]), Err((deepest + 1, Malformed::TooDeep)));
}

#[test]
fn nesting_of_ten_megabytes_is_refused_at_its_first_bytes() {
    for initial in [0x81, 0x9f, 0xa1, 0xbf, 0xd2, 0xc1] {
        let bytes = vec![initial; 10 << 20];
        for kind in &KINDS {
            let error = (kind.reencode)(&bytes).unwrap_err();
            assert!(error.at <= 2, "{} read {} bytes: {error}", kind.name, error.at);
        }
    }
}

#[test]
fn list_grows_with_what_is_there_when_more_is_declared() {
    // A reader that reserves what is declared aborts here: no machine has 2^62 digests' room.
    let declared = [0x9b, 0x40, 0, 0, 0, 0, 0, 0, 0];
    let error = Decoder::new(&declared, "list").array(usize::MAX, Decoder::digest).unwrap_err();
    assert_eq!((error.at, error.cause), (9, Malformed::Truncated));
    let declared = [0xbb, 0x40, 0, 0, 0, 0, 0, 0, 0];
    let error = Decoder::new(&declared, "map").text_map(usize::MAX, 250, Decoder::digest).unwrap_err();
    assert_eq!((error.at, error.cause), (9, Malformed::Truncated));
    for major in [0x5b, 0x7b] {
        let declared = [major, 255, 255, 255, 255, 255, 255, 255, 255, 0];
        let mut d = Decoder::new(&declared, "string");
        let error = if major == 0x5b { d.bytes(usize::MAX).err() } else { d.text(usize::MAX).err() };
        assert_eq!(error.map(|e| (e.at, e.cause)), Some((9, Malformed::Truncated)));
    }
}

#[test]
fn artefact_above_its_size_is_refused_unread() {
    for kind in &KINDS {
        let found = kind.max_bytes + 1;
        let error = (kind.reencode)(&vec![0xa1; found]).unwrap_err();
        let expected =
            Malformed::TooLong { unit: "bytes", limit: kind.max_bytes as u64, found: found as u64 };
        assert_eq!((error.field, error.at, error.cause), (kind.name, 0, expected));
    }
}

#[test]
fn text_keys_ascend_by_length_and_then_by_byte() {
    let check = |bytes: &[u8], ok: bool| {
        let read = Decoder::new(bytes, "map").text_map(4, 4, Decoder::uint);
        assert_eq!(read.is_ok(), ok, "{}: {read:?}", hex::encode(bytes));
    };
    check(b"\xa2\x61b\x01\x62aa\x01", true);
    check(b"\xa2\x62aa\x01\x61b\x01", false);
    check(b"\xa2\x61a\x01\x61b\x01", true);
    check(b"\xa2\x61b\x01\x61a\x01", false);
    check(b"\xa2\x61a\x01\x61a\x01", false);
    // U+00E9 has two bytes, so it comes behind z; by characters it would come first against aa.
    check(b"\xa2\x61z\x01\x62\xc3\xa9\x01", true);
    check(b"\xa2\x62\xc3\xa9\x01\x62aa\x01", false);
    check(b"\xa3\x61a\x01\x61c\x01\x61b\x01", false);
}

#[test]
fn record_declared_with_more_pairs_than_there_are_ends_quickly() {
    for sample in samples::all().iter().filter(|s| s.bytes[0] >> 5 == 5) {
        let bytes = [&[0xbb, 255, 255, 255, 255, 255, 255, 255, 255], &sample.bytes[1..]].concat();
        let kind = crate::kinds::named(sample.artefact);
        let error = (kind.reencode)(&bytes).unwrap_err();
        assert_eq!((error.at, error.cause), (bytes.len(), Malformed::Truncated), "{}", sample.artefact);
    }
}

#[test]
fn every_epoch_that_is_read_has_a_log_size() {
    let most = pds_schemas::disk::EpochRoot { page_epoch: Some(pds_schemas::EpochNumber(u64::MAX - 1)) };
    let bytes = pds_schemas::Artefact::to_bytes(&most);
    let read = <pds_schemas::disk::EpochRoot as pds_schemas::Artefact>::from_bytes(&bytes).unwrap();
    assert_eq!(read.page_epoch.unwrap().log_size().0, u64::MAX);
}

#[test]
fn signed_things_of_the_largest_size_fit_where_they_are_carried() {
    use pds_schemas::cose::{CoseSign1, SignedKind};
    use pds_schemas::{Artefact, PublicKey, Receipt, Submission};
    let wrapped = |kind, payload: usize| {
        let signed =
            CoseSign1 { kind, key: PublicKey([1; 32]), payload: vec![0; payload], signature: [2; 64] };
        signed.to_bytes().len()
    };
    assert!(wrapped(SignedKind::Submission, Submission::MAX_BYTES) <= Submission::MAX_BYTES + 512);
    assert!(wrapped(SignedKind::Receipt, Receipt::MAX_BYTES) <= 2048);
    // An origin, five digests and three numbers are the most that a signed tree root holds.
    assert!(wrapped(SignedKind::SignedTreeRoot, limits::ORIGIN_BYTES + 5 * 35 + 4 * 10) <= limits::STR_BYTES);
}
