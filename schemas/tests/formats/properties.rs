//! What holds for every value of every artefact, and for any bytes at all.

use std::fmt::Debug;

use pds_schemas::cbor::Artefact;
use pds_schemas::cose::CoseSign1;
use proptest::prelude::*;

use crate::cbor::Node;
use crate::kinds::{KINDS, Kind};
use crate::{samples, strategies};

/// The value survives its encoding, and no other bytes mean it.
fn check<A: Artefact + PartialEq + Debug>(value: &A, seed: usize) -> Result<(), TestCaseError> {
    let bytes = value.to_bytes();
    prop_assert_eq!(&A::from_bytes(&bytes).expect("what was encoded decodes"), value);
    // An odd step reaches bits of every place in a byte; the seed moves them.
    let step = (bytes.len() * 8 / 400) | 1;
    for bit in (seed % step..bytes.len() * 8).step_by(step) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = A::from_bytes(&flipped) {
            prop_assert_ne!(&other, value, "bit {}", bit);
            prop_assert_eq!(other.to_bytes(), flipped, "bit {}", bit);
        }
    }
    prop_assert_eq!(Node::parse(&bytes).to_bytes(), bytes, "the test's own CBOR agrees");
    Ok(())
}

/// A stock CBOR library takes the bytes too, as one item.
fn check_stock(bytes: &[u8]) -> Result<(), TestCaseError> {
    prop_assert!(serde_cbor::from_slice::<serde_cbor::Value>(bytes).is_ok(), "{}", hex::encode(bytes));
    Ok(())
}

/// Whatever is accepted is the one encoding of what it means.
fn check_canonical(kind: &Kind, bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(again) = (kind.reencode)(bytes) {
        prop_assert_eq!(hex::encode(again), hex::encode(bytes), "{}", kind.name);
    }
    Ok(())
}

macro_rules! round_trips {
    ($($artefact:ident)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(64))]
            $(
                #[test]
                fn $artefact(value in strategies::$artefact(), seed in any::<usize>()) {
                    check(&value, seed)?;
                    check_stock(&value.to_bytes())?;
                }
            )*
        }
    };
}

mod value_survives_and_no_flipped_bit_is_another_encoding_of {
    use super::*;

    round_trips! {
        binding build_environment change_set cose_sign1 epoch_root evidence evidence_extra failure_cause head name_history
        name_record
        owner_record plugin_package policy prefix_proof receipt signed_tree_root submission submission_entry submission_outcome transition
        upload verdict
    }
}

proptest! {
    #[test]
    fn random_bytes_are_never_read_twice_over(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for kind in &KINDS {
            check_canonical(kind, &bytes)?;
        }
    }

    /// Bytes that get past the first head: a map of few pairs and a version.
    #[test]
    fn random_records_are_never_read_twice_over(
        pairs in 0xa1_u8..0xac,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [&[pairs, 0, 1], &bytes[..]].concat();
        for kind in &KINDS {
            check_canonical(kind, &bytes)?;
        }
    }

    /// A sample with a few bytes overwritten, cut out, or put in.
    #[test]
    fn damaged_samples_are_refused_or_read_as_what_they_say(
        which in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..3, any::<u8>()), 1..6),
    ) {
        let samples = samples::all();
        let sample = which.get(&samples);
        let mut bytes = sample.bytes.clone();
        for (place, what, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let place = place.index(bytes.len());
            match what {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
        }
        for kind in &KINDS {
            check_canonical(kind, &bytes)?;
        }
        if KINDS.iter().any(|kind| (kind.reencode)(&bytes).is_ok()) {
            check_stock(&bytes)?;
        }
    }

    /// What is left in a protected header after damage is the profile's, or refused.
    #[test]
    fn cose_header_is_read_only_in_one_form(header in proptest::collection::vec(any::<u8>(), 0..100)) {
        let node = Node::Array(vec![
            Node::Bytes(header),
            Node::Map(vec![]),
            Node::Bytes(vec![]),
            Node::Bytes(vec![0; 64]),
        ]);
        let bytes = Node::Tag(18, Box::new(node)).to_bytes();
        if let Ok(signed) = CoseSign1::from_bytes(&bytes) {
            prop_assert_eq!(signed.to_bytes(), bytes);
        }
    }
}

#[test]
fn samples_cut_short_anywhere_are_refused() {
    for sample in samples::all() {
        for len in 0..sample.bytes.len() {
            let readers = KINDS.iter().filter(|kind| (kind.reencode)(&sample.bytes[..len]).is_ok());
            assert_eq!(readers.count(), 0, "{} {} cut to {len}", sample.artefact, sample.name);
        }
    }
}

#[test]
fn samples_with_any_bit_flipped_keep_one_encoding() {
    for sample in samples::all() {
        let kind = crate::kinds::named(sample.artefact);
        for bit in 0..sample.bytes.len() * 8 {
            let mut bytes = sample.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            check_canonical(kind, &bytes).unwrap();
        }
    }
}

/// A lenient reader takes most of these forms for the same value; we take none.
#[test]
fn samples_written_in_any_other_way_are_refused() {
    let (mut forms, mut taken_by_stock) = (0, 0);
    for sample in samples::all() {
        for bytes in Node::parse(&sample.bytes).other_encodings() {
            forms += 1;
            taken_by_stock += usize::from(serde_cbor::from_slice::<serde_cbor::Value>(&bytes).is_ok());
            for kind in &KINDS {
                assert!((kind.reencode)(&bytes).is_err(), "{} {}", sample.name, hex::encode(&bytes));
            }
        }
    }
    assert!(forms > 5000, "{forms} forms");
    assert_eq!(taken_by_stock, forms, "each form is sound CBOR of another shape");
}
