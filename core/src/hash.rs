//! SHA-256, bare and as the two node hashes of a log.
//!
//! Pure, and nothing here touches the heap. Sources: FIPS 180-4; RFC 6962 section 2.1 for the 0x00 and 0x01 prefixes.
//! The prefix tree's hashes (0x02, 0x03) are in [`crate::prefix`].
//!
//! Nearly all that is hashed here is one or two blocks long. Those are padded in place and compressed at once, which costs a
//! third less than `sha2`'s buffered interface; the compression itself is always `sha2`'s.

use pds_schemas::Digest;
use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};

/// SHA-256 of `bytes`, without any prefix.
pub fn sha256(bytes: &[u8]) -> Digest {
    match bytes.len() {
        ..=ONE_BLOCK => one_block(&[], bytes),
        _ => Digest(Sha256::digest(bytes).into()),
    }
}

/// Hash of a log entry: SHA-256(0x00 ‖ entry), RFC 6962 section 2.1.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    if entry.len() < ONE_BLOCK {
        return one_block(&[0x00], entry);
    }
    let mut hasher = Sha256::new();
    hasher.update([0x00]);
    hasher.update(entry);
    Digest(hasher.finalize().into())
}

/// Hash of two adjacent subtrees: SHA-256(0x01 ‖ left ‖ right), RFC 6962 section 2.1.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    pair(0x01, left, right)
}

/// SHA-256(domain ‖ first ‖ second): what every node of both trees is.
pub(crate) fn pair(domain: u8, first: &Digest, second: &Digest) -> Digest {
    let mut message = [0; 128];
    message[0] = domain;
    message[1..33].copy_from_slice(&first.0);
    message[33..65].copy_from_slice(&second.0);
    pad_and_compress(message, 65)
}

/// Longest message that one block holds with its padding: 64 bytes less the bit that ends it and its length.
const ONE_BLOCK: usize = 55;

fn one_block(prefix: &[u8], rest: &[u8]) -> Digest {
    let mut message = [0; 64];
    let length = prefix.len() + rest.len();
    message[..prefix.len()].copy_from_slice(prefix);
    message[prefix.len()..length].copy_from_slice(rest);
    pad_and_compress(message, length)
}

/// SHA-256 of the first `length` bytes of `message`, the rest of which is zero and has room for the padding.
#[inline(always)]
fn pad_and_compress<const N: usize>(mut message: [u8; N], length: usize) -> Digest {
    // FIPS 180-4, section 5.3.3.
    let mut state = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19u32,
    ];
    // FIPS 180-4, section 5.1.1: a one bit, zeros, the length in bits.
    message[length] = 0x80;
    message[N - 8..].copy_from_slice(&(8 * length as u64).to_be_bytes());
    compress256(&mut state, message.as_chunks().0);
    let mut digest = Digest::ZERO;
    for (bytes, word) in digest.0.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sha2`'s own, buffered.
    fn expected(parts: &[&[u8]]) -> Digest {
        Digest(Sha256::digest(parts.concat()).into())
    }

    #[test]
    fn hashes_are_those_of_sha2_at_every_length_around_a_block() {
        let bytes: Vec<u8> = (0..200).collect();
        for length in 0..bytes.len() {
            let message = &bytes[..length];
            assert_eq!(sha256(message), expected(&[message]), "{length}");
            assert_eq!(leaf_hash(message), expected(&[&[0], message]), "{length}");
        }
    }

    #[test]
    fn pair_is_the_hash_of_the_domain_and_both() {
        let (first, second) = (sha256(b"first"), sha256(b"second"));
        for domain in [0x01, 0x02, 0x03] {
            assert_eq!(pair(domain, &first, &second), expected(&[&[domain], &first.0, &second.0]));
        }
        assert_eq!(node_hash(&first, &second), pair(0x01, &first, &second));
    }
}
