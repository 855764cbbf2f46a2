//! SHA-256, bare and as the two node hashes of a log.
//!
//! Pure, and nothing here touches the heap. Sources: FIPS 180-4; RFC 6962 section 2.1 for the 0x00 and 0x01 prefixes.
//! The prefix tree's hashes (0x02, 0x03) are in [`crate::prefix`].
//!
//! Nearly all that is hashed here is one or two blocks long. Those are padded in place and compressed at once, which costs a
//! third less than `sha2`'s buffered interface; the compression itself is always `sha2`'s. Where many hashes don't wait for
//! each other, [`leaf_hashes`] and [`node_hashes`] pad a few messages before they compress the first: compressing a message
//! just written waits until its bytes have left the processor's store buffer, a sixth of the time of a hash.

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

/// [`leaf_hash`] of each entry, in order; cheaper than one by one where entries are shorter than a block.
pub fn leaf_hashes<E: AsRef<[u8]>>(entries: &[E]) -> Vec<Digest> {
    let mut hashes = Vec::with_capacity(entries.len());
    for entries in entries.chunks(TOGETHER) {
        if entries.iter().any(|entry| entry.as_ref().len() >= ONE_BLOCK) {
            hashes.extend(entries.iter().map(|entry| leaf_hash(entry.as_ref())));
            continue;
        }
        let mut messages = [[0; 64]; TOGETHER];
        for (message, entry) in messages.iter_mut().zip(entries) {
            put_one_block(message, &[0x00], entry.as_ref());
        }
        hashes.extend(messages[..entries.len()].iter().map(compress));
    }
    hashes
}

/// [`node_hash`] of each two neighbours, in order; cheaper than one by one. Of an odd number, the last has no part in any.
pub fn node_hashes(row: &[Digest]) -> Vec<Digest> {
    let (pairs, _) = row.as_chunks();
    let mut hashes = Vec::with_capacity(pairs.len());
    each_pair(0x01, pairs.iter().map(|[left, right]| [left, right]), |hash| hashes.push(hash));
    hashes
}

/// [`pair`] of each two, in order, to `put`; cheaper than one by one.
#[inline(always)]
pub(crate) fn each_pair<'a>(
    domain: u8,
    pairs: impl IntoIterator<Item = [&'a Digest; 2]>,
    mut put: impl FnMut(Digest),
) {
    let mut pairs = pairs.into_iter();
    let Some([first, second]) = pairs.next() else { return };
    let Some(next) = pairs.next() else { return put(pair(domain, first, second)) };
    let mut pairs = [[first, second], next].into_iter().chain(pairs);
    let mut messages = [[0; 128]; TOGETHER];
    loop {
        let mut count = 0;
        for (message, [first, second]) in messages.iter_mut().zip(&mut pairs) {
            put_pair(message, domain, first, second);
            count += 1;
        }
        messages[..count].iter().for_each(|message| put(compress(message)));
        if count < TOGETHER {
            return;
        }
    }
}

/// Messages padded before the first of them is compressed: enough to keep the two apart, and few enough to stay near.
const TOGETHER: usize = 8;

/// SHA-256(domain ‖ first ‖ second): what every node of both trees is.
pub(crate) fn pair(domain: u8, first: &Digest, second: &Digest) -> Digest {
    let mut message = [0; 128];
    put_pair(&mut message, domain, first, second);
    compress(&message)
}

#[inline(always)]
fn put_pair(message: &mut [u8; 128], domain: u8, first: &Digest, second: &Digest) {
    message[0] = domain;
    message[1..33].copy_from_slice(&first.0);
    message[33..65].copy_from_slice(&second.0);
    pad(message, 65);
}

/// Longest message that one block holds with its padding: 64 bytes less the bit that ends it and its length.
const ONE_BLOCK: usize = 55;

fn one_block(prefix: &[u8], rest: &[u8]) -> Digest {
    let mut message = [0; 64];
    put_one_block(&mut message, prefix, rest);
    compress(&message)
}

/// Puts `prefix ‖ rest`, at most [`ONE_BLOCK`] bytes, into the zeros of `message`.
#[inline(always)]
fn put_one_block(message: &mut [u8; 64], prefix: &[u8], rest: &[u8]) {
    let length = prefix.len() + rest.len();
    message[..prefix.len()].copy_from_slice(prefix);
    message[prefix.len()..length].copy_from_slice(rest);
    pad(message, length);
}

/// Ends a message of `length` bytes, after which there are only zeros, and room for the padding: FIPS 180-4, section 5.1.1,
/// a one bit, zeros, the length in bits.
#[inline(always)]
fn pad<const N: usize>(message: &mut [u8; N], length: usize) {
    message[length] = 0x80;
    message[N - 8..].copy_from_slice(&(8 * length as u64).to_be_bytes());
}

/// SHA-256 of a padded message.
#[inline(always)]
fn compress<const N: usize>(message: &[u8; N]) -> Digest {
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
    fn hashes_made_together_are_those_made_one_by_one() {
        let entries: Vec<Vec<u8>> = (0..70).map(|length| vec![length as u8 + 1; length]).collect();
        for count in 0..=entries.len() {
            let entries = &entries[..count];
            let hashes = leaf_hashes(entries);
            assert_eq!(hashes, entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>());
            let pairs = hashes.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1]));
            assert_eq!(node_hashes(&hashes), pairs.collect::<Vec<_>>());
        }
        let long_first: Vec<_> = entries.iter().rev().collect();
        let hashes: Vec<_> = long_first.iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(leaf_hashes(&long_first), hashes);
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
