//! Roots and proofs of a log: known values, two other implementations as oracles, and what must be refused.

use pds_core::hash::{leaf_hash, node_hash};
use pds_core::log::proof::{
    ConsistencyError, InclusionError, prove_consistency, prove_inclusion, verify_consistency,
    verify_inclusion,
};
use pds_core::log::{self, EMPTY_ROOT, Frontier, LogError, MemoryLog, MissingNode, Node, NodeReader};
use pds_schemas::{Digest, TreeSize};
use proptest::prelude::*;
use rs_merkle::{Hasher, MerkleTree};

/// The eight leaves of Certificate Transparency's own tests, in hex.
const CT_LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
/// Their roots at sizes 0 to 8.
const CT_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = [u8; 32];

    fn hash(data: &[u8]) -> [u8; 32] {
        leaf_hash(data).0
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        right.map_or(*left, |right| node_hash(&Digest(*left), &Digest(*right)).0)
    }
}

/// RFC 6962 section 2.1, to the letter.
fn mth(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&mth(left), &mth(right))
        }
    }
}

/// RFC 6962 section 2.1.2, to the letter; RFC PATH of section 2.1.1 likewise below.
fn subproof(m: usize, leaves: &[Digest], known: bool) -> Vec<Digest> {
    if m == leaves.len() {
        return if known { vec![] } else { vec![mth(leaves)] };
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut proof, other) = if m <= left.len() {
        (subproof(m, left, known), mth(right))
    } else {
        (subproof(m - left.len(), right, false), mth(left))
    };
    proof.push(other);
    proof
}

fn path(m: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return vec![];
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut proof, other) =
        if m < left.len() { (path(m, left), mth(right)) } else { (path(m - left.len(), right), mth(left)) };
    proof.push(other);
    proof
}

fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

fn log_of(count: u64) -> MemoryLog {
    leaves(count).into_iter().collect()
}

fn size(count: usize) -> TreeSize {
    TreeSize(count as u64)
}

#[test]
fn root_is_the_known_one_of_certificate_transparency() {
    let mut log = MemoryLog::new();
    let mut frontier = Frontier::new();
    for (i, leaf) in CT_LEAVES.iter().enumerate() {
        assert_eq!(log.root().to_string(), CT_ROOTS[i], "{i} leaves");
        assert_eq!(frontier.root(), log.root(), "{i} leaves");
        let leaf = leaf_hash(&hex::decode(leaf).unwrap());
        log.append(leaf).unwrap();
        frontier.append(leaf, |_| ()).unwrap();
    }
    for (i, root) in CT_ROOTS.iter().enumerate() {
        assert_eq!(log::root(&log, size(i)).unwrap().to_string(), *root, "{i} leaves");
    }
}

#[test]
fn roots_and_proofs_are_those_of_the_rfc_at_every_small_size() {
    let leaves = leaves(40);
    let log = log_of(40);
    for n in 1..=leaves.len() {
        let root = mth(&leaves[..n]);
        assert_eq!(log::root(&log, size(n)), Ok(root));
        for i in 0..n {
            let proof = prove_inclusion(&log, i as u64, size(n)).unwrap();
            assert_eq!(proof, path(i, &leaves[..n]), "{i} of {n}");
            assert_eq!(verify_inclusion(&leaves[i], i as u64, size(n), &proof, &root), Ok(()));
        }
        for m in 1..=n {
            let proof = prove_consistency(&log, size(m), size(n)).unwrap();
            assert_eq!(proof, subproof(m, &leaves[..n], true), "{m} to {n}");
            assert_eq!(verify_consistency(size(m), &mth(&leaves[..m]), size(n), &root, &proof), Ok(()));
        }
    }
}

#[test]
fn roots_and_paths_are_those_of_rs_merkle() {
    for count in [1, 2, 3, 7, 64, 65, 100, 127] {
        let leaves = leaves(count);
        let log = log_of(count);
        let raw: Vec<[u8; 32]> = leaves.iter().map(|leaf| leaf.0).collect();
        let oracle = MerkleTree::<Rfc6962>::from_leaves(&raw);
        assert_eq!(oracle.root(), Some(log.root().0), "{count} leaves");
        for i in 0..leaves.len() {
            let proof: Vec<[u8; 32]> =
                prove_inclusion(&log, i as u64, size(leaves.len())).unwrap().iter().map(|d| d.0).collect();
            assert_eq!(proof, oracle.proof(&[i]).proof_hashes(), "{i} of {count}");
        }
    }
}

#[test]
fn proofs_are_accepted_by_tlog_tiles() {
    use tlog_tiles::{Hash, check_record, check_tree};
    let raw = |proof: Vec<Digest>| proof.into_iter().map(|d| Hash(d.0)).collect::<Vec<_>>();
    let log = log_of(70);
    for n in [1, 2, 5, 64, 70] {
        let root = Hash(log::root(&log, TreeSize(n)).unwrap().0);
        for i in 0..n {
            let proof = raw(prove_inclusion(&log, i, TreeSize(n)).unwrap());
            check_record(&proof, n, root, i, Hash(log.node(0, i).unwrap().0)).unwrap();
            let proof = raw(prove_consistency(&log, TreeSize(i + 1), TreeSize(n)).unwrap());
            let earlier = Hash(log::root(&log, TreeSize(i + 1)).unwrap().0);
            check_tree(&proof, n, root, i + 1, earlier).unwrap();
        }
    }
}

#[test]
fn append_gives_every_node_once_when_the_log_grows() {
    let whole = log_of(300);
    let mut frontier = Frontier::new();
    let mut stored = 0;
    for (i, leaf) in leaves(300).into_iter().enumerate() {
        let mut streamed = Vec::new();
        frontier.append(leaf, |node| streamed.push(node)).unwrap();
        assert_eq!(log::append(&whole, size(i), leaf), Ok(streamed.clone()));
        assert_eq!(streamed[0], Node { level: 0, index: i as u64, hash: leaf });
        for node in &streamed {
            assert_eq!(whole.node(node.level, node.index), Ok(node.hash));
        }
        stored += streamed.len() as u32;
        let n = i as u64 + 1;
        // n leaves make n - (number of peaks) parents.
        assert_eq!(u64::from(stored), 2 * n - u64::from(n.count_ones()));
        assert_eq!(frontier.size(), TreeSize(n));
        assert_eq!(Ok(frontier.root()), log::root(&whole, TreeSize(n)));
        assert_eq!(Frontier::load(&whole, TreeSize(n)), Ok(frontier.clone()));
    }
}

#[test]
fn node_is_missing_when_not_complete() {
    let log = log_of(5);
    for (level, index) in [(0, 5), (1, 2), (2, 1), (3, 0), (63, 0), (255, 0), (0, u64::MAX)] {
        assert_eq!(log.node(level, index), Err(MissingNode { level, index }));
    }
    assert_eq!(Frontier::load(&log, TreeSize(6)), Err(MissingNode { level: 1, index: 2 }));
    let missing = LogError::Read(MissingNode { level: 0, index: 5 });
    assert_eq!(prove_inclusion(&log, 4, TreeSize(6)), Err(missing));
}

#[test]
fn proving_is_refused_when_out_of_range() {
    let log = log_of(5);
    let n = TreeSize;
    let beyond = |index, size| Err(LogError::IndexBeyondSize { index, size });
    assert_eq!(prove_inclusion(&log, 0, n(0)), beyond(0, n(0)));
    assert_eq!(prove_inclusion(&log, 5, n(5)), beyond(5, n(5)));
    assert_eq!(prove_inclusion(&log, u64::MAX, n(u64::MAX)), beyond(u64::MAX, n(u64::MAX)));
    let order = LogError::SizesOutOfOrder { from: n(3), to: n(2) };
    assert_eq!(prove_consistency(&log, n(3), n(2)), Err(order));
    assert_eq!(prove_consistency(&log, n(0), n(2)), Err(LogError::FromEmpty));
    assert_eq!(prove_consistency(&log, n(0), n(0)), Err(LogError::FromEmpty));
}

/// A log of any size whose node hashes follow from their addresses alone: for sizes that fit no memory.
struct Endless;

impl NodeReader for Endless {
    type Error = std::convert::Infallible;

    fn node(&self, level: u8, _: u64) -> Result<Digest, Self::Error> {
        // All leaves alike, so all nodes of a level are.
        Ok((0..level).fold(leaf_hash(b"same"), |hash, _| node_hash(&hash, &hash)))
    }
}

#[test]
fn proofs_hold_at_the_largest_sizes() {
    let sizes = [1, 2, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX];
    let leaf = leaf_hash(b"same");
    for to in sizes.map(TreeSize) {
        let root = log::root(&Endless, to).unwrap();
        for from in sizes.map(TreeSize).into_iter().filter(|from| *from <= to) {
            let index = from.0 - 1;
            let proof = prove_inclusion(&Endless, index, to).unwrap();
            assert_eq!(verify_inclusion(&leaf, index, to, &proof, &root), Ok(()), "{index} of {to}");
            let proof = prove_consistency(&Endless, from, to).unwrap();
            let from_root = log::root(&Endless, from).unwrap();
            let verified = verify_consistency(from, &from_root, to, &root, &proof);
            assert_eq!(verified, Ok(()), "{from} to {to}");
        }
    }
}

#[test]
fn extending_a_log_is_appending_each() {
    let leaves = leaves(70);
    for from in 0..=leaves.len() {
        for to in from..=leaves.len() {
            let mut one_by_one = Frontier::new();
            leaves[..from].iter().for_each(|leaf| one_by_one.append(*leaf, |_| ()).unwrap());
            let mut extended = one_by_one.clone();
            let (mut expected, mut stored) = (Vec::new(), Vec::new());
            for leaf in &leaves[from..to] {
                one_by_one.append(*leaf, |node| expected.push(node)).unwrap();
            }
            extended.extend(&leaves[from..to], |node| stored.push(node)).unwrap();
            assert_eq!(extended, one_by_one, "{from} to {to}");
            expected.sort_by_key(|node| (node.level, node.index));
            assert_eq!(stored, expected, "{from} to {to}");
        }
    }
}

#[test]
fn append_is_refused_when_no_number_is_left() {
    let leaf = leaf_hash(b"same");
    assert_eq!(log::append(&Endless, TreeSize(u64::MAX), leaf), Err(LogError::Full));
    let last = log::append(&Endless, TreeSize((1 << 63) - 1), leaf).unwrap();
    assert_eq!((last.len(), last[63].level, last[63].index), (64, 63, 0));

    let mut frontier = Frontier::load(&Endless, TreeSize(u64::MAX - 1)).unwrap();
    frontier.append(leaf, |_| ()).unwrap();
    assert_eq!(frontier.append(leaf, |_| panic!("stored a node of a full log")), Err(log::LogFull));
    assert_eq!(frontier.extend(&[leaf], |_| panic!("stored a node of a full log")), Err(log::LogFull));
    let mut frontier = Frontier::load(&Endless, TreeSize(u64::MAX - 1)).unwrap();
    assert_eq!(frontier.extend(&[leaf; 2], |_| panic!("stored a node of a full log")), Err(log::LogFull));
    frontier.extend(&[leaf], |_| ()).unwrap();
    assert_eq!(Ok(frontier.root()), log::root(&Endless, TreeSize(u64::MAX)));
}

#[test]
fn growth_is_refused_with_its_cause() {
    let (a, b) = (Digest([1; 32]), Digest([2; 32]));
    let check = |from, from_root, to, to_root, proof: &[Digest], expect| {
        let found = verify_consistency(TreeSize(from), from_root, TreeSize(to), to_root, proof);
        assert_eq!(found, Err(expect), "{from} to {to}");
    };
    let length = |expected, found| ConsistencyError::ProofLength { expected, found };
    check(2, &a, 1, &b, &[], ConsistencyError::Shrank { from: TreeSize(2), to: TreeSize(1) });
    check(1, &a, 0, &EMPTY_ROOT, &[], ConsistencyError::Shrank { from: TreeSize(1), to: TreeSize(0) });
    check(2, &a, 2, &b, &[], ConsistencyError::TwoRoots { size: TreeSize(2) });
    check(2, &a, 2, &b, &[a], ConsistencyError::TwoRoots { size: TreeSize(2) });
    check(0, &a, 0, &b, &[], ConsistencyError::TwoRoots { size: TreeSize(0) });
    check(0, &EMPTY_ROOT, 0, &EMPTY_ROOT, &[], ConsistencyError::FromEmpty);
    check(0, &EMPTY_ROOT, 9, &b, &[], ConsistencyError::FromEmpty);
    check(2, &a, 2, &a, &[b], length(0, 1));
    check(1, &a, 2, &b, &[], length(1, 0));
    check(3, &a, 4, &b, &[a, b], length(3, 2));
    check(1, &a, u64::MAX, &b, &[], length(64, 0));
    check(u64::MAX - 1, &a, u64::MAX, &b, &vec![a; 1000], length(64, 1000));
    check(1, &a, 2, &b, &[a], ConsistencyError::BadProof);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn inclusion_is_refused_when_anything_is_changed(
        n in 1u64..200, pick in any::<prop::sample::Index>(), other in 0u64..400, bit in 0usize..256,
    ) {
        let (log, n_size) = (log_of(n), TreeSize(n));
        let index = pick.index(n as usize) as u64;
        let (leaf, root) = (log.node(0, index).unwrap(), log.root());
        let proof = prove_inclusion(&log, index, n_size).unwrap();
        let bad = Err(InclusionError::BadProof);
        prop_assert_eq!(verify_inclusion(&leaf, index, n_size, &proof, &root), Ok(()));
        prop_assert_eq!(verify_inclusion(&flip(leaf, bit), index, n_size, &proof, &root), bad);
        prop_assert_eq!(verify_inclusion(&leaf, index, n_size, &proof, &flip(root, bit)), bad);
        for i in 0..proof.len() {
            let mut changed = proof.clone();
            changed[i] = flip(changed[i], bit);
            prop_assert_eq!(verify_inclusion(&leaf, index, n_size, &changed, &root), bad);
            changed.remove(i);
            let short = InclusionError::ProofLength { expected: proof.len(), found: proof.len() - 1 };
            prop_assert_eq!(verify_inclusion(&leaf, index, n_size, &changed, &root), Err(short));
            if i > 0 {
                let mut swapped = proof.clone();
                swapped.swap(i - 1, i);
                prop_assert_eq!(verify_inclusion(&leaf, index, n_size, &swapped, &root), bad);
            }
        }
        let mut long = proof.clone();
        long.push(root);
        prop_assert!(verify_inclusion(&leaf, index, n_size, &long, &root).is_err());
        if other != index {
            prop_assert!(verify_inclusion(&leaf, other, n_size, &proof, &root).is_err());
        }
        // Another size under the same root can demand the very same steps; what it must never do is move the leaf.
        prop_assert!(verify_inclusion(&leaf, index, TreeSize(index), &proof, &root).is_err());
        prop_assert!(verify_inclusion(&leaf, index, TreeSize(2 * n + 1), &proof, &root).is_err());
    }

    #[test]
    fn growth_is_refused_when_anything_is_changed(
        n in 2u64..200, pick in any::<prop::sample::Index>(), bit in 0usize..256,
    ) {
        let log = log_of(n);
        let (from, to) = (TreeSize(pick.index(n as usize - 1) as u64 + 1), TreeSize(n));
        let (from_root, root) = (log::root(&log, from).unwrap(), log.root());
        let proof = prove_consistency(&log, from, to).unwrap();
        let bad = Err(ConsistencyError::BadProof);
        prop_assert_eq!(verify_consistency(from, &from_root, to, &root, &proof), Ok(()));
        prop_assert_eq!(verify_consistency(from, &flip(from_root, bit), to, &root, &proof), bad);
        prop_assert_eq!(verify_consistency(from, &from_root, to, &flip(root, bit), &proof), bad);
        prop_assert_eq!(verify_consistency(from, &root, to, &from_root, &proof), bad);
        for i in 0..proof.len() {
            let mut changed = proof.clone();
            changed[i] = flip(changed[i], bit);
            prop_assert_eq!(verify_consistency(from, &from_root, to, &root, &changed), bad);
            changed.remove(i);
            let short = ConsistencyError::ProofLength { expected: proof.len(), found: proof.len() - 1 };
            prop_assert_eq!(verify_consistency(from, &from_root, to, &root, &changed), Err(short));
            if i > 0 {
                let mut swapped = proof.clone();
                swapped.swap(i - 1, i);
                prop_assert_eq!(verify_consistency(from, &from_root, to, &root, &swapped), bad);
            }
        }
        let mut long = proof.clone();
        long.push(root);
        prop_assert!(verify_consistency(from, &from_root, to, &root, &long).is_err());
        prop_assert!(verify_consistency(TreeSize(from.0 - 1), &from_root, to, &root, &proof).is_err());
        // A log that rewrote a leaf has no proof, whichever of the two histories it is made from.
        let mut rewritten = leaves(n);
        rewritten[from.0 as usize - 1] = flip(rewritten[from.0 as usize - 1], bit);
        let rewritten: MemoryLog = rewritten.into_iter().collect();
        let other = prove_consistency(&rewritten, from, to).unwrap();
        prop_assert_eq!(verify_consistency(from, &from_root, to, &rewritten.root(), &proof), bad);
        prop_assert_eq!(verify_consistency(from, &from_root, to, &rewritten.root(), &other), bad);
    }

    #[test]
    fn verifying_never_panics(
        a in any::<u64>(), b in any::<u64>(), length in 0usize..70, seed in any::<[u8; 32]>(),
    ) {
        let (digest, proof) = (Digest(seed), vec![Digest(seed); length]);
        prop_assert!(verify_inclusion(&digest, a, TreeSize(b), &proof, &digest).is_err() || b == 1);
        let verified = verify_consistency(TreeSize(a), &digest, TreeSize(b), &digest, &proof);
        prop_assert!(verified.is_err() || a == b);
    }
}

fn flip(digest: Digest, bit: usize) -> Digest {
    let mut bytes = digest.0;
    bytes[bit / 8] ^= 1 << (bit % 8);
    Digest(bytes)
}
