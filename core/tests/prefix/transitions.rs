use pds_core::prefix::{
    ChangeError, MAX_CHANGES, TransitionError, Update, verify_transition, verify_updates,
};
use pds_schemas::Digest;
use pds_schemas::prefix::{Change, TransitionProof};
use pds_schemas::{EpochNumber, PluginName};
use proptest::prelude::*;

use crate::naive::{
    Grown, Leaves, bits, changes, crowded_pair, digest, flip, pack, root, sha, spread, updates,
};

/// What an auditor is asked to believe.
#[derive(Clone, Debug)]
struct Claim {
    old: Digest,
    new: Digest,
    updates: Vec<Update>,
    proof: TransitionProof,
}

impl Claim {
    fn honest(before: &Leaves, new: &Leaves) -> Self {
        let grown = Grown::of(before);
        let updates = updates(before, new);
        let applied = grown.tree.apply_updates(&grown.pages, EpochNumber(1), &updates).unwrap();
        Self { old: grown.tree.root(), new: applied.tree.root(), updates, proof: applied.proof }
    }

    fn verify(&self) -> Result<(), TransitionError> {
        verify_updates(&self.old, &self.new, &self.updates, &self.proof)
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut forged = self.clone();
        change(&mut forged);
        forged
    }
}

fn check_refused(claim: &Claim, forged: Claim) {
    assert!(forged.verify().is_err(), "{claim:?} forged into {forged:?}");
}

/// Every bit of everything, every change left out or doubled, one put in, bytes cut off or added.
fn check_forgeries_refused(claim: &Claim) {
    assert_eq!(claim.verify(), Ok(()), "{claim:?}");
    let refused = |change: &dyn Fn(&mut Claim)| check_refused(claim, claim.with(|it| change(it)));
    for bit in 0..8 * claim.proof.kinds.len() {
        refused(&|it| it.proof.kinds[bit / 8] ^= 1 << (bit % 8));
    }
    for bit in 0..8 * claim.proof.values.len() {
        refused(&|it| it.proof.values[bit / 8] ^= 1 << (bit % 8));
    }
    for bit in 0..256 {
        refused(&|it| it.old = flip(&it.old, bit));
        refused(&|it| it.new = flip(&it.new, bit));
    }
    for i in 0..claim.updates.len() {
        for bit in (0..256).step_by(7) {
            refused(&|it| it.updates[i].key = flip(&it.updates[i].key, bit));
            refused(&|it| it.updates[i].new = flip(&it.updates[i].new, bit));
            refused(&|it| it.updates[i].old = Some(flip(&it.updates[i].old.unwrap_or_default(), bit)));
        }
        refused(&|it| {
            it.updates[i].old = if it.updates[i].old.is_some() { None } else { Some(Digest::ZERO) }
        });
        refused(&|it| _ = it.updates.remove(i));
        refused(&|it| it.updates.insert(i, it.updates[i]));
    }
    let added = Update { key: digest(77_777), old: None, new: digest(1) };
    let place = claim.updates.partition_point(|update| update.key < added.key);
    refused(&|it| it.updates.insert(place, added));
    refused(&|it| _ = it.proof.kinds.pop());
    refused(&|it| it.proof.kinds.push(0));
    refused(&|it| it.proof.kinds.push(0xff));
    refused(&|it| it.proof.values.push(0));
    refused(&|it| it.proof.values.extend([0; 32]));
    if !claim.proof.values.is_empty() {
        refused(&|it| _ = it.proof.values.pop());
        refused(&|it| it.proof.values.truncate(it.proof.values.len() - 32));
        refused(&|it| it.proof.values.clear());
    }
    if claim.old != claim.new {
        refused(&|it| std::mem::swap(&mut it.old, &mut it.new));
        refused(&|it| it.new = it.old);
        refused(&|it| it.old = it.new);
    }
}

#[test]
fn transition_is_refused_when_anything_in_it_is_changed() {
    let check = |before: Leaves, new: Leaves| check_forgeries_refused(&Claim::honest(&before, &new));
    check(Leaves::new(), Leaves::new());
    check(Leaves::new(), spread(0, 1));
    check(Leaves::new(), spread(0, 5));
    check(spread(0, 1), Leaves::new());
    check(spread(0, 1), spread(1, 1));
    check(spread(0, 9), Leaves::new());
    check(spread(0, 9), spread(20, 1));
    check(spread(0, 9), [(digest(4), digest(5))].into());
    check(spread(0, 60), spread(57, 6).into_keys().map(|key| (key, digest(3))).collect());
}

#[test]
fn split_leaf_travels_with_the_proof() {
    let (near, new) = (bits("0001"), bits("0000"));
    let claim =
        Claim::honest(&[(near, digest(1)), (bits("1"), digest(2))].into(), &[(new, digest(3))].into());
    assert_eq!(claim.proof.kinds, pack(&[3, 2, 1]));
    let right = sha(&[&[2], bits("1").as_ref(), digest(2).as_ref()]);
    assert_eq!(claim.proof.values, [near.0, digest(1).0, right.0].concat());
    assert_eq!(claim.verify(), Ok(()));
}

#[test]
fn change_set_is_checked_before_the_proof() {
    let (before, after) = (Leaves::new(), ["be.mpiraux.datagram", "a.b", "c.d", "e.f"]);
    let good = changes(&after, &before, 0);
    let leaves = good.iter().map(|change| (change.key, change.new)).collect();
    let proof = Claim::honest(&before, &leaves).proof;
    let verify = |changes: &[Change]| verify_transition(&root(&before), &root(&leaves), changes, &proof);
    assert_eq!(verify(&good), Ok(()));
    let check =
        |changes: &[Change], expect| assert_eq!(verify(changes), Err(TransitionError::Changes(expect)));
    let mut forged = good.clone();
    forged[1].name = PluginName::new("x.y").unwrap();
    check(&forged, ChangeError::Key(1));
    forged = good.clone();
    forged.swap(0, 1);
    check(&forged, ChangeError::Order(1));
    forged = good.clone();
    forged.push(good[3].clone());
    check(&forged, ChangeError::Order(4));
    check(&vec![good[0].clone(); MAX_CHANGES + 1], ChangeError::TooMany(MAX_CHANGES + 1));
}

/// Proofs made by hand, many with hashes that fit the old root they claim.
#[test]
fn transition_is_refused_when_the_proof_is_not_the_one_proof() {
    use TransitionError::*;
    let (zeros, one, ones) = (Digest::ZERO, digest(1), bits("11111111"));
    let insert = |key| Update { key, old: None, new: one };
    let replace = |key| Update { key, old: Some(one), new: digest(2) };
    let check = |updates: &[Update], kinds: &[u8], values: &[Digest], expect| {
        let values = values.iter().flat_map(|value| value.0).collect();
        let proof = TransitionProof { kinds: pack(kinds), values };
        let result = verify_updates(&digest(0), &digest(0), updates, &proof);
        assert_eq!(result, Err(expect), "{kinds:?}");
    };
    let near = bits("0001");
    check(&[insert(zeros)], &[], &[], KindsEnd(0));
    check(&[], &[], &[], KindsEnd(0));
    check(&[insert(zeros)], &[3, 3, 0, 1], &[one], KindsEnd(4));
    check(&[], &[1], &[], ValuesEnd(0));
    check(&[insert(zeros)], &[3, 2], &[near], ValuesEnd(1));
    check(&[insert(zeros)], &[3, 0, 1], &[], ValuesEnd(2));
    check(&[insert(zeros)], &[3, 0, 1], &[one, one], LeftOver);
    check(&[insert(zeros)], &[3, 0, 1, 1], &[one], LeftOver);
    check(&[insert(zeros)], &[3, 0, 1, 0, 0], &[one], LeftOver);
    check(&[], &[0, 1], &[], LeftOver);
    check(&[], &[2], &[one, one], Kind { node: 0, kind: 2 });
    check(&[], &[3, 1, 1], &[one, one], Kind { node: 0, kind: 3 });
    check(&[insert(zeros)], &[3, 0, 2], &[ones, one], Kind { node: 2, kind: 2 });
    check(&[insert(ones)], &[3, 3, 1, 1, 0], &[one, one], Kind { node: 1, kind: 3 });
    check(&[], &[1], &[zeros], ZeroHash(0));
    check(&[insert(zeros)], &[3, 0, 1], &[zeros], ZeroHash(2));
    check(&[replace(zeros)], &[1], &[], LeafAtRoot);
    check(&[insert(zeros)], &[2], &[near, one], LeafAtRoot);
    check(&[insert(zeros)], &[3, 0, 0], &[], NoChildren(0));
    check(&[insert(zeros)], &[3, 3, 0, 0, 1], &[one], NoChildren(1));
    check(&[insert(zeros)], &[3, 3, 2, 0, 0], &[near, one], LoneLeaf(1));
    check(&[replace(zeros)], &[3, 3, 1, 0, 1], &[one], LoneLeaf(1));
    check(&[insert(zeros), replace(bits("01"))], &[3, 3, 0, 1, 1], &[one], LoneLeaf(1));
    check(&[insert(zeros)], &[3, 2, 0], &[ones, one], LeafOffPath(1));
    check(&[insert(zeros)], &[3, 3, 2, 1, 1], &[bits("01"), one, one, one], LeafOffPath(2));
    check(&[insert(zeros)], &[3, 2, 0], &[zeros, one], LeafChanges(1));
    check(&[replace(zeros)], &[3, 2, 0], &[zeros, one], LeafChanges(1));
    check(&[insert(zeros)], &[3, 1, 0], &[], Old { key: zeros });
    check(&[replace(zeros)], &[3, 0, 1], &[one], Old { key: zeros });
    check(&[replace(zeros)], &[0], &[], Old { key: zeros });
    check(&[replace(zeros)], &[3, 2, 0], &[near, one], Old { key: zeros });
    check(&[replace(zeros), replace(near)], &[3, 1, 0], &[], Old { key: near });
    check(&[insert(zeros)], &[3; 300], &[], TooDeep);
    check(&[insert(zeros), insert(flip(&zeros, 255))], &[0], &[], TooDeep);
    check(&[insert(zeros)], &[3, 2, 0], &[flip(&zeros, 255), one], TooDeep);
    let single = sha(&[&[3], &[0; 32], one.as_ref()]);
    check(&[insert(zeros)], &[3, 0, 1], &[one], OldRoot { computed: single });
}

#[test]
fn transition_is_refused_when_only_the_new_root_is_another() {
    let claim = Claim::honest(&spread(0, 9), &spread(9, 2));
    let forged = claim.with(|it| it.new = digest(0));
    assert_eq!(forged.verify(), Err(TransitionError::NewRoot { computed: claim.new }));
    let older = claim.with(|it| it.old = digest(0));
    assert_eq!(older.verify(), Err(TransitionError::OldRoot { computed: claim.old }));
}

#[test]
fn transition_proof_is_refused_for_another_epochs_tree() {
    let before = spread(0, 30);
    let mut other = before.clone();
    other.insert(digest(3), digest(3));
    let (claim, others) = (Claim::honest(&before, &spread(30, 4)), Claim::honest(&other, &spread(30, 4)));
    check_refused(&claim, claim.with(|it| (it.old, it.new) = (others.old, others.new)));
    check_refused(&claim, claim.with(|it| it.proof = others.proof.clone()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn crowded_transition_is_refused_when_anything_in_it_is_changed((before, new) in crowded_pair(6)) {
        check_forgeries_refused(&Claim::honest(&before, &new));
    }

    #[test]
    fn random_transition_proof_is_refused(
        kinds in prop::collection::vec(any::<u8>(), 0..200),
        values in prop::collection::vec(any::<u8>(), 0..2000),
        count in 0u64..20,
    ) {
        let updates = updates(&Leaves::new(), &spread(0, count));
        let proof = TransitionProof { kinds, values };
        prop_assert!(verify_updates(&digest(1), &digest(2), &updates, &proof).is_err());
    }
}
