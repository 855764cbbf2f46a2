//! Random graphs against the definitions, each taken literally and slowly.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::program::{AluOp, Condition, Operand, Reg, Width};

/// What a node of a test's graph does at its end.
#[derive(Clone, Copy, Debug)]
enum End {
    Exit,
    Jump(usize),
    Branch(usize, usize),
}

/// Two slots a node: a branch or nothing much, then a jump or an exit.
fn program(nodes: &[End]) -> Program {
    let nothing =
        Op::Alu { operation: AluOp::Move, width: Width::W64, dst: Reg::R0, source: Operand::Imm(0) };
    let displacement = |slot: usize, node: usize| (2 * node) as i16 - slot as i16 - 1;
    let jump = |node: usize, to| Op::Jump { displacement: displacement(2 * node + 1, to) };
    let ops = nodes.iter().enumerate().flat_map(|(node, end)| match *end {
        End::Exit => [nothing, Op::Exit],
        End::Jump(to) => [nothing, jump(node, to)],
        End::Branch(not_taken, taken) => {
            let (condition, left, right) = (Condition::Equal, Reg::R1, Operand::Imm(0));
            let displacement = displacement(2 * node, taken);
            [Op::Branch { condition, left, right, displacement }, jump(node, not_taken)]
        }
    });
    let ops = ops.map(Some).collect();
    Program { entry: "entry".to_owned(), ops, calls: BTreeMap::new(), data: BTreeMap::new() }
}

fn cfg(nodes: &[End]) -> Cfg {
    Cfg::new(&program(nodes))
}

/// Slots on some path from slot 0 that does not pass `without`.
fn reached(program: &Program, without: Option<usize>) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut open = vec![0];
    while let Some(slot) = open.pop() {
        if Some(slot) != without && seen.insert(slot) {
            open.extend(program.successors(slot));
        }
    }
    seen
}

/// The natural loop of `head`: for every source of a back edge, what reaches it without passing the head.
fn natural_loop(cfg: &Cfg, head: BlockId) -> Option<(Vec<BlockId>, BTreeSet<BlockId>)> {
    let is_back = |from: &BlockId| cfg.block(*from).successors.contains(&head) && cfg.dominates(head, *from);
    let latches: Vec<BlockId> = cfg.blocks().map(|(id, _)| id).filter(is_back).collect();
    let mut body = BTreeSet::from([head]);
    let mut open = latches.clone();
    while let Some(block) = open.pop() {
        if body.insert(block) {
            open.extend(&cfg.block(block).predecessors);
        }
    }
    (!latches.is_empty()).then_some((latches, body))
}

/// Whether what is left without back edges has a cycle.
fn is_irreducible(cfg: &Cfg) -> bool {
    let mut left: BTreeSet<BlockId> = cfg.blocks().map(|(id, _)| id).collect();
    loop {
        let forward = |from: BlockId, to: &BlockId| left.contains(to) && !cfg.dominates(*to, from);
        let leads_on = |from: BlockId| cfg.block(from).successors.iter().any(|to| forward(from, to));
        let Some(end) = left.iter().copied().find(|block| !leads_on(*block)) else {
            return !left.is_empty();
        };
        left.remove(&end);
    }
}

fn node(count: usize) -> impl Strategy<Value = End> {
    prop_oneof![
        1 => Just(End::Exit),
        3 => (0..count).prop_map(End::Jump),
        6 => (0..count, 0..count).prop_map(|(not_taken, taken)| End::Branch(not_taken, taken)),
    ]
}

fn nodes() -> impl Strategy<Value = Vec<End>> {
    (1..24_usize).prop_flat_map(|count| prop::collection::vec(node(count), count))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn blocks_are_the_runs_that_can_be_reached(nodes in nodes()) {
        let program = program(&nodes);
        let cfg = Cfg::new(&program);
        let reached = reached(&program, None);
        for slot in 0..program.len() {
            prop_assert_eq!(cfg.block_of(slot).is_some(), reached.contains(&slot));
        }
        for (id, block) in cfg.blocks() {
            let first_slots: Vec<usize> =
                block.successors.iter().map(|next| cfg.block(*next).slots.start).collect();
            prop_assert_eq!(first_slots, program.successors(block.last).collect::<Vec<_>>());
            for slot in block.slots.clone() {
                prop_assert_eq!(cfg.block_of(slot), Some(id));
                if slot != block.last {
                    prop_assert_eq!(program.successors(slot).collect::<Vec<_>>(), [slot + 1]);
                }
            }
            let leads_here = |(from, other): (BlockId, &Block)| other.successors.contains(&id).then_some(from);
            prop_assert_eq!(&block.predecessors, &cfg.blocks().filter_map(leads_here).collect::<Vec<_>>());
        }
        prop_assert_eq!(cfg.block_of(0), Some(Cfg::ENTRY));
    }

    #[test]
    fn dominators_are_those_without_which_no_path_leads(nodes in nodes()) {
        let program = program(&nodes);
        let cfg = Cfg::new(&program);
        for (dominator, block) in cfg.blocks() {
            let others = reached(&program, Some(block.slots.start));
            for (other, block) in cfg.blocks() {
                prop_assert_eq!(cfg.dominates(dominator, other), !others.contains(&block.slots.start));
            }
        }
        for (id, _) in cfg.blocks() {
            let mut strict: Vec<BlockId> =
                cfg.blocks().map(|(other, _)| other).filter(|other| *other != id && cfg.dominates(*other, id)).collect();
            // The closest is dominated by all others, and in this order the last.
            strict.sort_unstable();
            prop_assert_eq!(cfg.immediate_dominator(id), strict.pop());
        }
    }

    #[test]
    fn loops_are_natural_and_nested(nodes in nodes()) {
        let cfg = cfg(&nodes);
        let expect: BTreeMap<BlockId, _> =
            cfg.blocks().filter_map(|(id, _)| Some((id, natural_loop(&cfg, id)?))).collect();
        let heads: BTreeSet<BlockId> = cfg.loops().map(|(_, natural)| natural.head).collect();
        prop_assert_eq!(heads, expect.keys().copied().collect::<BTreeSet<_>>());
        prop_assert_eq!(cfg.loops().count(), expect.len());
        for (id, natural) in cfg.loops() {
            let (latches, body) = &expect[&natural.head];
            prop_assert_eq!(&natural.latches, latches);
            let blocks = cfg.loop_blocks(id);
            prop_assert_eq!(blocks[0], natural.head);
            prop_assert_eq!(blocks.len(), body.len());
            prop_assert_eq!(&blocks.iter().copied().collect::<BTreeSet<_>>(), body);
            for (block, _) in cfg.blocks() {
                prop_assert_eq!(cfg.loop_contains(id, block), body.contains(&block));
            }
            for (from, to) in cfg.loop_exits(id) {
                prop_assert!(body.contains(&from) && !body.contains(&to));
            }
            let around = |(_, other): &(LoopId, &Loop)| {
                let (_, other) = &expect[&other.head];
                other.len() > body.len() && other.is_superset(body)
            };
            let parent = cfg.loops().filter(around).min_by_key(|(_, other)| expect[&other.head].1.len());
            prop_assert_eq!(natural.parent, parent.map(|(parent, _)| parent));
            prop_assert!(natural.parent.is_none_or(|parent| parent < id));
            prop_assert_eq!(natural.depth, 1 + cfg.loops().filter(around).count());
        }
        for (block, _) in cfg.blocks() {
            let innermost = cfg.loops().filter(|(id, _)| cfg.loop_contains(*id, block)).max_by_key(|(_, l)| l.depth);
            prop_assert_eq!(cfg.innermost_loop(block), innermost.map(|(id, _)| id));
        }
    }

    #[test]
    fn flow_is_irreducible_when_cycles_are_left_without_back_edges(nodes in nodes()) {
        let cfg = cfg(&nodes);
        prop_assert_eq!(cfg.irreducible_edges().next().is_some(), is_irreducible(&cfg));
        for (from, to) in cfg.irreducible_edges() {
            prop_assert!(to <= from && !cfg.dominates(to, from) && cfg.block(from).successors.contains(&to));
        }
    }

    #[test]
    fn every_cycle_passes_the_target_of_a_retreating_edge(nodes in nodes()) {
        let cfg = cfg(&nodes);
        for (from, block) in cfg.blocks() {
            for to in &block.successors {
                prop_assert!(*to > from || cfg.is_retreat_target(*to));
            }
        }
    }
}

#[test]
fn cycle_with_two_ways_in_is_irreducible() {
    let cfg = cfg(&[End::Branch(1, 2), End::Jump(2), End::Branch(1, 3), End::Exit]);
    assert_eq!(cfg.irreducible_edges().count(), 1);
    assert_eq!(cfg.loops().count(), 0);
}

#[test]
fn longest_programs_take_no_time() {
    // Loops nested as deep as an object can hold, a ladder into them, and jumps from all to one: what makes simpler
    // algorithms quadratic or worse.
    let count = 16_000;
    let nested: Vec<End> = (0..count)
        .map(
            |i| if i < count / 2 { End::Jump(i + 1) } else { End::Branch((i + 1).min(count), count - i - 1) },
        )
        .chain([End::Exit])
        .collect();
    let deep = cfg(&nested);
    assert_eq!(deep.loops().map(|(_, natural)| natural.depth).max(), Some(count / 2));
    let ladder: Vec<End> = (0..count)
        .map(|i| End::Branch((i + 1).min(count), if i % 2 == 0 { count - i } else { i / 2 }))
        .chain([End::Exit])
        .collect();
    assert!(cfg(&ladder).irreducible_edges().next().is_some());
}
