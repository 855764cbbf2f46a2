//! The one text that a number or some bytes may have in notes, proofs and policies.
//!
//! Pure. Sources: the C2SP texts ("ASCII decimal with no leading zeroes"; RFC 4648 section 4 base64), read so that
//! parsing and then formatting always gives back the same text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pds_schemas::Digest;

/// The number that `text` is the only decimal form of.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if digits && !padded { text.parse().ok() } else { None }
}

/// The bytes that `text` is the only base64 form of; this engine demands padding and zero trailing bits.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// A digest as the 44 characters of its base64.
pub(crate) fn digest_from_base64(text: &str) -> Option<Digest> {
    let mut bytes = [0; 33];
    let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
    (length == 32).then(|| Digest(*bytes.first_chunk().expect("33 bytes begin with 32")))
}

/// Standard base64 with padding.
pub(crate) fn to_base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_is_refused_when_not_the_only_form() {
        let check = |text, expect| assert_eq!(decimal(text), expect, "{text:?}");
        check("0", Some(0));
        check("18446744073709551615", Some(u64::MAX));
        for text in ["", "00", "01", "+1", "-1", " 1", "1 ", "1_0", "0x1", "18446744073709551616", "١"] {
            check(text, None);
        }
    }

    #[test]
    fn base64_is_refused_when_not_the_only_form() {
        assert_eq!(from_base64("AAE="), Some(vec![0, 1]));
        for text in ["AAE", "AAF=", "AA==E", "AAE=\n", "AA E=", "_-8=", "AAE==", "A"] {
            assert_eq!(from_base64(text), None, "{text:?}");
        }
    }

    #[test]
    fn digest_is_refused_when_not_32_bytes() {
        for length in [0, 1, 31, 33, 34, 64] {
            assert_eq!(digest_from_base64(&to_base64(vec![7; length])), None, "{length}");
        }
        assert_eq!(digest_from_base64(&to_base64([7; 32])), Some(Digest([7; 32])));
    }
}
