use pds_core::prefix::{PrefixProofError, verify_absence, verify_inclusion};
use pds_schemas::Digest;
use pds_schemas::prefix::{PrefixProof, Terminal};
use proptest::prelude::*;

use crate::naive::{Grown, Leaves, bits, crowded, digest, flip, proof, root, sha, spread};

/// What a verifier is asked to believe: that `key` holds `commitment`, or nothing, under `root`.
#[derive(Clone, Debug)]
struct Claim {
    root: Digest,
    key: Digest,
    commitment: Option<Digest>,
    proof: PrefixProof,
}

impl Claim {
    fn honest(leaves: &Leaves, key: Digest) -> Self {
        let commitment = leaves.get(&key).copied();
        Self { root: root(leaves), key, commitment, proof: proof(leaves, &key) }
    }

    fn verify(&self) -> Result<(), PrefixProofError> {
        match &self.commitment {
            Some(commitment) => verify_inclusion(&self.root, &self.key, commitment, &self.proof),
            None => verify_absence(&self.root, &self.key, &self.proof),
        }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut forged = self.clone();
        change(&mut forged);
        forged
    }
}

/// Every claim that differs from this honest one by one bit, or by one sibling missing, zeroed, swapped, left out or put in.
fn forgeries(claim: &Claim) -> Vec<Claim> {
    let mut forged = Vec::new();
    let depth = claim.proof.copath.len();
    for bit in 0..256 {
        forged.push(claim.with(|it| it.root = flip(&it.root, bit)));
        // Of an absent key, all keys behind the same missing child or other leaf are absent too.
        if claim.commitment.is_some() || bit < depth {
            forged.push(claim.with(|it| it.key = flip(&it.key, bit)));
        }
        if let Some(commitment) = claim.commitment {
            forged.push(claim.with(|it| it.commitment = Some(flip(&commitment, bit))));
        }
        if let Terminal::OtherLeaf { key, commitment } = claim.proof.terminal {
            let (flipped, changed) = (flip(&key, bit), flip(&commitment, bit));
            forged
                .push(claim.with(|it| it.proof.terminal = Terminal::OtherLeaf { key: flipped, commitment }));
            forged
                .push(claim.with(|it| it.proof.terminal = Terminal::OtherLeaf { key, commitment: changed }));
        }
    }
    for i in 0..depth {
        match claim.proof.copath[i] {
            Some(sibling) => {
                let flips =
                    (0..256).map(|bit| claim.with(|it| it.proof.copath[i] = Some(flip(&sibling, bit))));
                forged.extend(flips);
                forged.push(claim.with(|it| it.proof.copath[i] = None));
            }
            None => forged.push(claim.with(|it| it.proof.copath[i] = Some(digest(1)))),
        }
        forged.push(claim.with(|it| it.proof.copath[i] = Some(Digest::ZERO)));
        forged.push(claim.with(|it| _ = it.proof.copath.remove(i)));
        for sibling in [None, Some(Digest::ZERO), Some(digest(1)), claim.proof.copath[i]] {
            forged.push(claim.with(|it| it.proof.copath.insert(i, sibling)));
        }
        for j in 0..i {
            if claim.proof.copath[i] != claim.proof.copath[j] {
                forged.push(claim.with(|it| it.proof.copath.swap(i, j)));
            }
        }
    }
    if depth > 0 {
        forged.push(claim.with(|it| it.proof.copath.clear()));
    }
    forged.push(claim.with(|it| it.proof.copath.push(None)));
    forged.push(claim.with(|it| it.proof.copath.push(Some(digest(1)))));
    let own = Terminal::OtherLeaf { key: claim.key, commitment: claim.commitment.unwrap_or(digest(2)) };
    for terminal in [Terminal::Inclusion, Terminal::MissingChild, own] {
        if terminal != claim.proof.terminal {
            forged.push(claim.with(|it| it.proof.terminal = terminal));
            forged.push(claim.with(|it| {
                it.proof.terminal = terminal;
                it.commitment = if it.commitment.is_some() { None } else { Some(digest(2)) };
            }));
        }
    }
    let lie = if claim.commitment.is_some() { None } else { Some(digest(2)) };
    forged.push(claim.with(|it| it.commitment = lie));
    forged
}

fn check_forgeries_refused(claim: &Claim) {
    assert_eq!(claim.verify(), Ok(()), "{claim:?}");
    for forged in forgeries(claim) {
        assert!(forged.verify().is_err(), "{claim:?} forged into {forged:?}");
    }
}

#[test]
fn proof_is_refused_when_anything_in_it_is_changed() {
    for count in [1, 2, 3, 20] {
        let leaves = spread(0, count);
        for key in (0..count.min(4)).chain(100..112).map(digest) {
            check_forgeries_refused(&Claim::honest(&leaves, key));
        }
    }
}

#[test]
fn proof_of_the_deepest_leaves_is_refused_when_anything_in_it_is_changed() {
    let zeros = Digest::ZERO;
    let leaves: Leaves = [(zeros, digest(0)), (flip(&zeros, 254), digest(1))].into();
    check_forgeries_refused(&Claim::honest(&leaves, zeros));
    check_forgeries_refused(&Claim::honest(&leaves, flip(&zeros, 255)));
    check_forgeries_refused(&Claim::honest(&leaves, flip(&zeros, 200)));
}

#[test]
fn proof_is_refused_for_another_name_or_epoch() {
    let (old, new) = (spread(0, 40), spread(0, 41));
    for i in 0..40 {
        let claim = Claim::honest(&old, digest(i));
        assert!(claim.with(|it| it.key = digest((i + 1) % 40)).verify().is_err());
        assert!(claim.with(|it| it.root = root(&new)).verify().is_err());
        let later = Claim::honest(&new, digest(i));
        assert!(later.with(|it| it.root = root(&old)).verify().is_err());
    }
    let absent = Claim::honest(&old, digest(40));
    assert_eq!(absent.verify(), Ok(()));
    assert!(absent.with(|it| it.root = root(&new)).verify().is_err());
}

#[test]
fn both_kinds_of_absence_occur() {
    let grown = Grown::of(&["000", "001", "011"].map(|key| (bits(key), digest(0))).into());
    let kind = |key: &str| grown.tree.prove(&grown.pages, &bits(key)).unwrap();
    assert_eq!(kind("1").terminal, Terminal::MissingChild);
    assert_eq!(kind("1").copath.len(), 1);
    assert_eq!(kind("0001").terminal, Terminal::OtherLeaf { key: bits("000"), commitment: digest(0) });
    assert_eq!(kind("0001").copath.len(), 3);
}

fn hash_leaf(key: &Digest, commitment: &Digest) -> Digest {
    sha(&[&[2], key.as_ref(), commitment.as_ref()])
}

fn hash_parent(left: Digest, right: Digest) -> Digest {
    sha(&[&[3], left.as_ref(), right.as_ref()])
}

/// Proofs whose hashes do lead to the root, of trees that the profile does not allow.
#[test]
fn proof_is_refused_when_the_tree_has_another_shape() {
    use PrefixProofError::*;
    let (zeros, other, one) = (Digest::ZERO, bits("01"), digest(1));
    let leaf = hash_leaf(&zeros, &one);
    let check = |root, commitment: Option<Digest>, terminal, copath: &[Option<Digest>], expect| {
        let claim =
            Claim { root, key: zeros, commitment, proof: PrefixProof { terminal, copath: copath.to_vec() } };
        assert_eq!(claim.verify(), Err(expect), "{claim:?}");
    };
    let elsewhere = |key| Terminal::OtherLeaf { key, commitment: one };
    check(leaf, Some(one), Terminal::Inclusion, &[], LeafAtRoot);
    check(hash_leaf(&other, &one), None, elsewhere(other), &[], LeafAtRoot);
    check(hash_leaf(&zeros, &one), None, elsewhere(zeros), &[], LeafAtRoot);

    let lifted = hash_parent(hash_parent(leaf, Digest::ZERO), Digest::ZERO);
    check(lifted, Some(one), Terminal::Inclusion, &[None, None], NoDeepestSibling(2));
    let near = bits("0001");
    let lifted = hash_parent(hash_parent(hash_leaf(&near, &one), Digest::ZERO), Digest::ZERO);
    check(lifted, None, elsewhere(near), &[None, None], NoDeepestSibling(2));
    let childless = hash_parent(Digest::ZERO, Digest::ZERO);
    check(childless, None, Terminal::MissingChild, &[None], NoDeepestSibling(1));
    check(hash_parent(childless, one), None, Terminal::MissingChild, &[None, Some(one)], NoDeepestSibling(2));

    let single = hash_parent(leaf, Digest::ZERO);
    check(single, Some(one), Terminal::Inclusion, &[Some(Digest::ZERO)], ZeroSibling(0));
    let deep = hash_parent(hash_parent(leaf, one), Digest::ZERO);
    check(deep, Some(one), Terminal::Inclusion, &[Some(one), Some(Digest::ZERO)], ZeroSibling(1));
    check(childless, None, Terminal::MissingChild, &[Some(Digest::ZERO)], ZeroSibling(0));

    check(single, None, elsewhere(zeros), &[None], OtherLeafIsTarget);
    let off = hash_parent(hash_parent(hash_leaf(&other, &one), one), Digest::ZERO);
    check(off, None, elsewhere(other), &[Some(one), None], OtherLeafOffPath { shared: 1, depth: 2 });

    check(single, None, Terminal::Inclusion, &[None], NotAbsence);
    check(single, Some(one), Terminal::MissingChild, &[None], NotInclusion);
    check(single, Some(one), elsewhere(zeros), &[None], NotInclusion);
    check(leaf, None, Terminal::MissingChild, &[], Root { computed: Digest::ZERO });
    check(digest(5), Some(one), Terminal::Inclusion, &[None], Root { computed: single });

    let mut path = vec![Some(one); 256];
    let climb = |from, levels: usize| (0..levels).fold(from, |node, _| hash_parent(node, one));
    check(climb(leaf, 256), Some(one), Terminal::Inclusion, &path, TooDeep(256));
    check(climb(Digest::ZERO, 256), None, Terminal::MissingChild, &path, TooDeep(256));
    path.resize(100_000, Some(one));
    check(digest(5), Some(one), Terminal::Inclusion, &path, TooDeep(100_000));
    check(digest(5), None, Terminal::MissingChild, &path, TooDeep(100_000));
    check(digest(5), None, elsewhere(near), &path, OtherLeafOffPath { shared: 3, depth: 100_000 });
}

#[test]
fn empty_tree_admits_no_inclusion_and_only_the_bare_absence() {
    let claim = Claim::honest(&Leaves::new(), digest(1));
    check_forgeries_refused(&claim);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn crowded_proof_is_refused_when_anything_in_it_is_changed(
        leaves in crowded(12),
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0usize..256), 2),
    ) {
        for (index, bit) in picks {
            let key = leaves.keys().nth(index.index(leaves.len().max(1))).copied().unwrap_or_default();
            check_forgeries_refused(&Claim::honest(&leaves, key));
            check_forgeries_refused(&Claim::honest(&leaves, flip(&key, bit)));
        }
    }
}
