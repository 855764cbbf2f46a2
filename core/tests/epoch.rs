//! Closing epochs: what is planned, what is noticed on reading back, and what is signed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside the functions marked as such"
)]

mod common;

use common::*;
use pds_core::epoch::{
    EpochInput, EpochPlan, NameEvents, NamePlan, PagesRead, PlanError, ReadBackError, SealError, plan,
};
use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::proof::{prove_consistency, prove_inclusion, verify_consistency, verify_inclusion};
use pds_core::log::{EMPTY_ROOT, Frontier, MemoryLog, Node};
use pds_core::name_record::NameEvent;
use pds_core::prefix::{
    ApplyError, ChangeError, PageId, PrefixTree, RecomputeError, key_of, verify_transition,
};
use pds_schemas::{
    Artefact, Digest, EpochNumber, NameRecord, PosixTime, SignedTreeRoot, State, Transition, TreeSize,
};

/// A validator with one name, and the plan of an epoch in which it and 40 new ones change; it has several pages.
fn planned() -> (Validator, EpochPlan) {
    let mut pv = Validator::new(1);
    pv.close(&[(PACING, &[admitted(1)])]);
    let others: Vec<_> = (0..40).map(|i| format!("org.example.plugin{i}")).collect();
    let first = [admitted(1)];
    let mut happened: Vec<(&str, &[NameEvent])> = others.iter().map(|o| (o.as_str(), &first[..])).collect();
    happened.push((PACING, &first));
    let failure = [failed(1)];
    happened.last_mut().unwrap().1 = &failure;
    let plan = pv.plan_at(NOW, &pv.names(&happened)).unwrap();
    assert!(plan.pages.len() > 3);
    (pv, plan)
}

type Pages = Vec<(PageId, Vec<u8>)>;

/// What `check_read_back` says when `damage` hit the pages, the transition and the records on their way.
fn read_back(
    plan: &EpochPlan,
    damage: impl FnOnce(&mut Pages, &mut Vec<u8>, &mut Vec<(Digest, Vec<u8>)>),
) -> Result<(), ReadBackError> {
    let (mut pages, mut transition, mut records) =
        (plan.pages.clone(), plan.transition.to_bytes(), plan.records.to_vec());
    damage(&mut pages, &mut transition, &mut records);
    let record = |digest: &Digest| Some(records.iter().find(|(d, _)| d == digest)?.1.clone());
    plan.check_read_back(pages, &transition, record)
}

/// As [`read_back`], for a damaged transition that is still one.
fn read_back_transition(plan: &EpochPlan, damage: impl FnOnce(&mut Transition)) -> Result<(), ReadBackError> {
    let mut transition = plan.transition.clone();
    damage(&mut transition);
    read_back(plan, |_, bytes, _| *bytes = transition.to_bytes())
}

#[test]
fn plan_has_sorted_changes_that_lead_to_its_root() {
    let (pv, plan) = planned();
    let changes = &plan.transition.changes.changes;
    assert_eq!(changes.len(), 41);
    assert!(changes.is_sorted_by(|a, b| a.key < b.key));
    assert!(changes.iter().zip(plan.records.iter()).all(|(change, (digest, _))| change.new == *digest));
    let (old, new) = (pv.tree.root(), plan.str.prefix_root);
    assert_eq!(verify_transition(&old, &new, changes, &plan.transition.proof), Ok(()));
    assert_eq!(plan.str.changes, sha256(&plan.transition.changes.to_bytes()));
    assert_eq!(plan.tree.root(), new);
    let old: Vec<_> = changes.iter().filter_map(|c| c.old).collect();
    assert_eq!(old, [pv.plans[0].records[0].0]);
}

#[test]
fn plan_counts_names_once() {
    let pv = Validator::with_history(1);
    let names: Vec<_> = pv.plans.iter().map(|plan| plan.str.names).collect();
    assert_eq!(names, [1, 21, 21, 21]);
}

#[test]
fn plan_chains_strs_from_zeros_at_epoch_0() {
    let pv = Validator::with_history(1);
    let mut previous = Digest::ZERO;
    for (e, (plan, sealed)) in pv.plans.iter().zip(&pv.sealed).enumerate() {
        assert_eq!((plan.str.epoch.0, plan.str.previous), (e as u64, previous));
        let opened: SignedTreeRoot = pds_core::cose::open(
            &sealed.entry,
            pds_schemas::cose::SignedKind::SignedTreeRoot,
            &pds_core::cose::public_key(&pv.str_key),
        )
        .unwrap();
        assert_eq!(opened, plan.str);
        previous = leaf_hash(&sealed.entry);
        assert_eq!(sealed.head.str_hash, previous);
    }
}

#[test]
fn plan_of_a_heartbeat_keeps_the_tree_and_writes_no_page() {
    let mut pv = Validator::new(1);
    pv.close(&[]);
    assert_eq!((pv.plans[0].str.prefix_root, pv.plans[0].str.names), (Digest::ZERO, 0));
    assert_eq!(pv.sealed[0].head.prefix, None);
    pv.close(&[(PACING, &[admitted(1)])]);
    pv.close(&[]);
    pv.close(&[(PACING, &[admitted(1)])]);
    let root = pv.plans[1].str.prefix_root;
    for heartbeat in &pv.plans[2..] {
        assert_eq!(heartbeat.str.prefix_root, root);
        assert!(heartbeat.pages.is_empty() && heartbeat.records.is_empty());
        assert!(heartbeat.transition.changes.changes.is_empty());
    }
    assert_eq!(pv.sealed[3].head.prefix, Some((root, EpochNumber(1))));
}

#[test]
fn plan_never_goes_back_in_time() {
    let mut pv = Validator::new(1);
    let mut times = Vec::new();
    for now in [100, 90, 0, 101, 101, u64::MAX, 5] {
        let plan = pv.plan_at(PosixTime(now), &[]).unwrap();
        times.push(plan.str.time.0);
        pv.commit(plan);
    }
    assert_eq!(times, [100, 100, 100, 101, 101, u64::MAX, u64::MAX]);
}

#[test]
fn plan_and_seal_are_determined_by_their_input() {
    let (mut one, mut other) = (Validator::with_history(1), Validator::with_history(1));
    let happened: [(&str, &[NameEvent]); 2] =
        [("org.example.a", &[admitted(1)]), ("org.example.b", &[admitted(3)])];
    one.close(&happened);
    // Which name comes first does not matter, and neither does reading the tree from its pages.
    let root = other.tree.root();
    other.tree = PrefixTree::open(root, other.tree.root_page()).unwrap();
    let reversed: Vec<_> = happened.into_iter().rev().collect();
    other.close(&reversed);
    let (a, b) = (one.plans.last().unwrap(), other.plans.last().unwrap());
    assert_eq!((&a.str, &a.records, &a.pages), (&b.str, &b.records, &b.pages));
    assert_eq!(a.transition.to_bytes(), b.transition.to_bytes());
    let (a, b) = (one.sealed.last().unwrap(), other.sealed.last().unwrap());
    assert_eq!((&a.entry, &a.nodes, &a.head), (&b.entry, &b.nodes, &b.head));
}

#[test]
fn plan_applies_events_in_their_order() {
    let last = |events: &[NameEvent]| {
        let mut pv = Validator::new(1);
        pv.close(&[(PACING, events)]);
        let record = &pv.current[&name(PACING)];
        (record.state, record.highest_release.0, record.cause)
    };
    let good = binding(PACING, 1);
    assert_eq!(last(&[admitted(1), validated(&good), failed(2)]), (State::Validated, 2, Some(CAUSE)));
    assert_eq!(last(&[admitted(1), failed(1), validated(&binding(PACING, 2))]), (State::Validated, 2, None));
    assert_eq!(last(&[failed(1), admitted(2)]), (State::Failed, 2, Some(CAUSE)));
    assert_eq!(last(&[admitted(2), admitted(1)]), (State::Pending, 2, None));
}

#[test]
fn plan_chains_the_records_of_a_name() {
    let pv = Validator::with_history(1);
    let history: Vec<_> = pv
        .plans
        .iter()
        .flat_map(|plan| plan.records.iter())
        .map(|(digest, bytes)| (*digest, NameRecord::from_bytes(bytes).unwrap()))
        .filter(|(_, record)| record.name == name(PACING))
        .collect();
    assert_eq!(history.len(), 3);
    let mut previous = None;
    for (e, (digest, record)) in history.iter().enumerate() {
        assert_eq!((record.previous, record.changed.0), (previous, e as u64));
        previous = Some(*digest);
    }
}

#[test]
fn plan_is_refused_when_a_name_comes_twice() {
    let pv = Validator::new(1);
    let names = pv.names(&[(PACING, &[admitted(1)]), (PACING, &[admitted(2)])]);
    let refused = pv.plan_at(NOW, &names).unwrap_err();
    assert!(matches!(refused, PlanError::Tree(ApplyError::Changes(ChangeError::Order(1)))), "{refused:?}");
}

#[test]
fn plan_is_refused_when_a_record_is_not_the_trees() {
    let pv = Validator::with_history(1);
    let current = &pv.current[&name(PACING)];
    let foreign = NameRecord { owner: Digest([9; 32]), ..current.clone() };
    let other_name = pv.current[&name("org.example.plugin3")].clone();
    for current in [None, Some(foreign), Some(other_name)] {
        let names = [NameEvents { name: name(PACING), current: current.clone(), events: vec![admitted(9)] }];
        let refused = pv.plan_at(NOW, &names).unwrap_err();
        assert!(matches!(refused, PlanError::Tree(ApplyError::Old { .. })), "{current:?}: {refused:?}");
    }
}

#[test]
fn plan_is_refused_when_the_tree_is_not_the_heads() {
    let pv = Validator::with_history(1);
    let earlier = &pv.plans[0].tree;
    for (head, tree) in [(pv.head(), earlier), (pv.head(), &PrefixTree::empty()), (None, earlier)] {
        let input = EpochInput { origin: &pv.origin, policy: POLICY, head, tree, now: NOW };
        let refused = plan(input, NamePlan::default(), &pv.pages).unwrap_err();
        let expected = head.map_or(Digest::ZERO, |_| pv.tree.root());
        let other =
            matches!(refused, PlanError::OtherTree { head, tree: t } if head == expected && t == tree.root());
        assert!(other, "{refused:?}");
    }
}

#[test]
fn plan_holds_65536_changes_and_no_more() {
    let pv = Validator::new(1);
    let event = |i: usize| NameEvents {
        name: name(&format!("org.example{i}")),
        current: None,
        events: vec![admitted(1)],
    };
    let mut names: Vec<_> = (0..65_536).map(event).collect();
    let full = pv.plan_at(NOW, &names).unwrap();
    assert_eq!(full.str.names, 65_536);
    assert_eq!(read_back(&full, |_, _, _| {}).map_err(|e| e.to_string()), Ok(()));
    names.push(event(65_536));
    let refused = pv.plan_at(NOW, &names).unwrap_err();
    assert!(
        matches!(refused, PlanError::Tree(ApplyError::Changes(ChangeError::TooMany(65_537)))),
        "{refused:?}"
    );
}

#[test]
fn read_back_holds_when_nothing_is_damaged() {
    let (_, plan) = planned();
    assert!(read_back(&plan, |_, _, _| {}).is_ok());
}

#[test]
fn read_back_fails_with_any_byte_of_a_page_flipped() {
    let (mut pv, plan) = planned();
    // One page that names pages of this epoch and of an earlier one: the epochs in it are under no hash.
    pv.commit(plan);
    let plan = pv.plan_at(NOW, &pv.names(&[(PACING, &[admitted(2)])])).unwrap();
    for page in 0..plan.pages.len() {
        for at in 0..plan.pages[page].1.len() {
            let found = read_back(&plan, |pages, _, _| pages[page].1[at] ^= 1);
            assert!(
                matches!(
                    found,
                    Err(ReadBackError::Pages(_) | ReadBackError::Root { .. } | ReadBackError::Altered(_))
                ),
                "page {page} byte {at}: {found:?}"
            );
        }
    }
}

#[test]
fn read_back_tells_a_page_whose_hash_does_not_show_the_damage() {
    let (mut pv, plan) = planned();
    pv.commit(plan);
    pv.close(&[]);
    let plan = pv.plan_at(NOW, &pv.names(&[(PACING, &[admitted(2)])])).unwrap();
    let root = plan.pages[0].0;
    // An older page said to be of another older epoch: 1 becomes 0, in the last four bytes of some slot.
    let silent = (0..plan.pages[0].1.len()).filter(|at| {
        let found = read_back(&plan, |pages, _, _| pages[0].1[*at] ^= 1);
        matches!(found, Err(ReadBackError::Altered(id)) if id == root)
    });
    assert!(silent.count() > 0);
}

#[test]
fn read_back_fails_with_a_page_dropped_added_or_out_of_order() {
    let (_, plan) = planned();
    for page in 0..plan.pages.len() {
        let dropped = read_back(&plan, |pages, _, _| drop(pages.remove(page)));
        let id = plan.pages[page].0;
        let missing = matches!(dropped, Err(ReadBackError::Pages(RecomputeError::Missing(m))) if m == id);
        assert!(missing, "{page}: {dropped:?}");
        let twice = read_back(&plan, |pages, _, _| pages.insert(page, pages[page].clone()));
        let unreachable = matches!(twice, Err(ReadBackError::Pages(RecomputeError::Unreachable(u) | RecomputeError::Missing(u))) if u >= id);
        assert!(unreachable, "{page}: {twice:?}");
    }
    let none = read_back(&plan, |pages, _, _| pages.clear());
    assert!(matches!(none, Err(ReadBackError::Pages(RecomputeError::NoPages(EpochNumber(1))))), "{none:?}");
    let reversed = read_back(&plan, |pages, _, _| pages.reverse());
    assert!(matches!(reversed, Err(ReadBackError::Pages(RecomputeError::Missing(_)))), "{reversed:?}");
    let foreign = PageId::new(EpochNumber(2), 0, Digest::ZERO).unwrap();
    let extra = read_back(&plan, |pages, _, _| pages.push((foreign, pages[0].1.clone())));
    let unreachable =
        matches!(extra, Err(ReadBackError::Pages(RecomputeError::Unreachable(u))) if u == foreign);
    assert!(unreachable, "{extra:?}");
}

#[test]
fn read_back_in_parts_fails_as_it_does_in_one() {
    let (_, plan) = planned();
    let check = |pages: &Pages, cut: usize| {
        let (first, second) = pages.split_at(cut.min(pages.len()));
        let part = |pages: &[(PageId, Vec<u8>)], places| {
            let mut read = PagesRead::new(&plan, places);
            pages.iter().try_for_each(|(id, bytes)| read.take(*id, bytes))?;
            Ok::<_, ReadBackError>(read)
        };
        let mut read = part(first, 0..cut)?;
        read.append(part(second, cut..plan.pages.len())?);
        plan.check_pages(read)
    };
    for cut in 0..=plan.pages.len() {
        check(&plan.pages, cut).unwrap();
        for page in 0..plan.pages.len() {
            let mut pages = plan.pages.clone();
            *pages[page].1.last_mut().unwrap() ^= 1;
            assert!(check(&pages, cut).is_err(), "cut at {cut}, page {page} altered");
            pages.remove(page);
            assert!(check(&pages, cut).is_err(), "cut at {cut}, page {page} dropped");
        }
    }
}

#[test]
fn read_back_of_a_heartbeat_fails_with_any_page() {
    let (pv, written) = planned();
    let heartbeat = pv.plan_at(NOW, &[]).unwrap();
    assert!(read_back(&heartbeat, |_, _, _| {}).is_ok());
    let found = read_back(&heartbeat, |pages, _, _| pages.push(written.pages[0].clone()));
    let id = written.pages[0].0;
    let unreachable = matches!(found, Err(ReadBackError::Pages(RecomputeError::Unreachable(u))) if u == id);
    assert!(unreachable, "{found:?}");
}

#[test]
fn read_back_fails_with_another_consistent_tree() {
    let (pv, plan) = planned();
    let other = pv.plan_at(NOW, &pv.names(&[(PACING, &[admitted(7)])])).unwrap();
    let found = read_back(&plan, |pages, _, _| *pages = other.pages.clone());
    let root = matches!(found, Err(ReadBackError::Root { planned, found })
        if planned == plan.str.prefix_root && found == other.str.prefix_root);
    assert!(root, "{found:?}");
}

#[test]
fn read_back_fails_with_any_byte_of_the_transition_flipped() {
    let (_, plan) = planned();
    for at in 0..plan.transition.to_bytes().len() {
        let found = read_back(&plan, |_, transition, _| transition[at] ^= 1);
        assert!(
            matches!(
                found,
                Err(ReadBackError::Malformed(_)
                    | ReadBackError::Epoch { .. }
                    | ReadBackError::Changes { .. }
                    | ReadBackError::Transition(_))
            ),
            "byte {at}: {found:?}"
        );
    }
}

#[test]
fn read_back_names_what_is_wrong_with_a_transition() {
    let (_, plan) = planned();
    let found = read_back_transition(&plan, |t| t.epoch = EpochNumber(7));
    let epoch = matches!(found, Err(ReadBackError::Epoch { planned: EpochNumber(1), found: EpochNumber(7) }));
    assert!(epoch, "{found:?}");
    let found = read_back_transition(&plan, |t| drop(t.changes.changes.pop()));
    assert!(matches!(found, Err(ReadBackError::Changes { .. })), "{found:?}");
    let found = read_back_transition(&plan, |t| t.proof.kinds.push(0));
    assert!(matches!(found, Err(ReadBackError::Transition(_))), "{found:?}");
    let found = read_back(&plan, |_, transition, _| transition.push(0));
    assert!(matches!(found, Err(ReadBackError::Malformed(_))), "{found:?}");
}

#[test]
fn read_back_fails_with_any_record_gone_or_altered() {
    let (_, plan) = planned();
    for at in 0..plan.records.len() {
        let digest = plan.records[at].0;
        let gone = read_back(&plan, |_, _, records| drop(records.remove(at)));
        assert!(matches!(gone, Err(ReadBackError::Record(d)) if d == digest), "{gone:?}");
        let bent = read_back(&plan, |_, _, records| records[at].1[9] ^= 1);
        assert!(matches!(bent, Err(ReadBackError::Record(d)) if d == digest), "{bent:?}");
    }
}

#[test]
fn seal_is_refused_with_another_logs_edge() {
    let (pv, plan) = planned();
    let seal = |frontier| plan.seal(frontier, &pv.log_key, &pv.str_key).map(|_| ()).unwrap_err();
    let short = seal(Frontier::new());
    assert!(matches!(short, SealError::Frontier { expected: TreeSize(1), found: TreeSize(0) }), "{short:?}");
    let mut fork = Frontier::new();
    fork.append(Digest([7; 32]), |_| {}).unwrap();
    let forked = seal(fork);
    let (expected, found) = (pv.head().unwrap().log_root, Digest([7; 32]));
    let root =
        matches!(forked, SealError::FrontierRoot { expected: e, found: f } if e == expected && f == found);
    assert!(root, "{forked:?}");
    let first = Validator::new(1);
    let plan = first.plan_at(NOW, &[]).unwrap();
    let late = plan.seal(pv.frontier.clone(), &pv.log_key, &pv.str_key).map(|_| ()).unwrap_err();
    assert!(matches!(late, SealError::Frontier { expected: TreeSize(0), found: TreeSize(1) }), "{late:?}");
    assert_eq!(Frontier::new().root(), EMPTY_ROOT);
}

#[test]
fn seal_is_refused_with_another_logs_key() {
    let (pv, plan) = planned();
    let other = Validator::new(2);
    let refused = plan.seal(pv.frontier.clone(), &other.log_key, &pv.str_key).map(|_| ()).unwrap_err();
    assert!(matches!(refused, SealError::Checkpoint(_)), "{refused:?}");
}

#[test]
fn seal_completes_the_nodes_of_the_log() {
    let mut pv = Validator::new(1);
    for _ in 0..17 {
        pv.close(&[]);
    }
    let nodes: Vec<Node> = pv.sealed.iter().flat_map(|sealed| sealed.nodes.clone()).collect();
    for Node { level, index, hash } in nodes {
        assert_eq!(pds_core::log::NodeReader::node(&pv.log, level, index), Ok(hash));
    }
}

#[test]
fn checkpoints_of_all_sizes_are_consistent_and_hold_their_strs() {
    let mut pv = Validator::new(1);
    for i in 0..20u64 {
        let plugin = format!("org.example{}", i / 2);
        pv.close(&[(&plugin, &[admitted(1)])]);
    }
    let root = |size: u64| pv.checkpoint(size).checkpoint().root;
    for to in 1..=20 {
        let prefix: MemoryLog =
            pv.sealed.iter().take(to as usize).map(|sealed| leaf_hash(&sealed.entry)).collect();
        assert_eq!((prefix.size(), prefix.root()), (pv.checkpoint(to).checkpoint().size, root(to)));
        assert_eq!(pv.sealed[to as usize - 1].head.log_root, root(to));
        for from in 1..=to {
            let proof = prove_consistency(&pv.log, TreeSize(from), TreeSize(to)).unwrap();
            let held = verify_consistency(TreeSize(from), &root(from), TreeSize(to), &root(to), &proof);
            assert_eq!(held, Ok(()), "{from} to {to}");
            let (leaf, index) = (leaf_hash(&pv.sealed[from as usize - 1].entry), from - 1);
            let proof = prove_inclusion(&pv.log, index, TreeSize(to)).unwrap();
            assert_eq!(verify_inclusion(&leaf, index, TreeSize(to), &proof, &root(to)), Ok(()));
        }
    }
}

#[test]
fn head_opens_the_tree_it_names() {
    let pv = Validator::with_history(1);
    let head = pv.head().unwrap();
    let (root, page) = head.prefix.unwrap();
    let tree = PrefixTree::open(root, Some(page)).unwrap();
    let held = tree.lookup(&pv.pages, &key_of(&name(PACING))).unwrap().unwrap();
    assert_eq!(pv.records[&held], pv.current[&name(PACING)].to_bytes());
    assert_eq!(pds_schemas::disk::Head::from_bytes(&head.to_bytes()).as_ref(), Ok(head));
}
