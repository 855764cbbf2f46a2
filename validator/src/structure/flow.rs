//! Where execution can go, and which registers are set when it gets there.
//!
//! Pure. Each pass looks at an instruction a bounded number of times.

use super::{Finding, StructureError, StructureLimits};
use crate::program::{self, Op, Reg};

/// Instructions by slot; `None` in the second slot of a 64-bit constant.
type Ops = [Option<Op>];

/// At the entry: r1, the connection, and r10, the frame pointer.
const SET_AT_ENTRY: u16 = 1 << 1 | 1 << 10;
/// A call sets r0 and leaves r1 to r5 to the helper.
const LOST_IN_CALL: u16 = 0b11_1110;

/// Checks every jump of the code, reached or not, and what uBPF's memory checks do to them; gives the number of slots
/// with these checks.
pub(super) fn check_jumps(ops: &Ops, limits: &StructureLimits) -> Result<u32, StructureError> {
    // uBPF puts a check before every access but those through r10. `before[i]`: checked accesses in slots below i.
    let mut before = Vec::with_capacity(ops.len() + 1);
    let mut accesses = 0;
    before.push(0);
    for op in ops {
        let base = op.and_then(|op| op.access()).map(|(base, ..)| base);
        let is_checked = base.is_some_and(|base| base != Reg::FRAME);
        accesses += usize::from(is_checked);
        before.push(accesses);
    }
    if accesses > limits.checked_accesses {
        return Err(StructureError::TooManyAccesses { found: accesses, limit: limits.checked_accesses });
    }
    let found = ops.len() + accesses * limits.slots_per_check;
    if found > limits.checked_slots {
        return Err(StructureError::TooManyInstructions { found, limit: limits.checked_slots });
    }
    for (index, op) in ops.iter().enumerate() {
        let Some(op) = op else { continue };
        if let Some(target) = target(ops, index, op)? {
            if target == index {
                return Err(StructureError::JumpToItself { index });
            }
            let place = |slot: usize| (slot + before[slot] * limits.slots_per_check) as i64;
            let displacement = place(target) - place(index + 1);
            if i16::try_from(displacement).is_err() {
                return Err(StructureError::JumpOverflow { index, displacement });
            }
        }
        let is_last = index + op.slots() == ops.len();
        if is_last && !matches!(op, Op::Jump { .. } | Op::Exit) {
            return Err(StructureError::FallsOffTheEnd { index });
        }
    }
    Ok(u32::try_from(found).expect("an object is smaller than 4 GiB"))
}

/// Checks that every path from the entry can end and reads only what was set; gives what is never reached.
pub(super) fn check_paths(ops: &Ops) -> Result<Option<Finding>, StructureError> {
    let set = registers_set(ops)?;
    let reached = |index: &usize| set[*index].is_some();
    for index in (0..ops.len()).filter(reached) {
        let (Some(op), Some(set)) = (ops[index], set[index]) else { continue };
        let missing = op.reads() & !set;
        if missing != 0 {
            return Err(StructureError::Uninitialised { index, register: missing.trailing_zeros() as u8 });
        }
    }
    let ends = can_end(ops)?;
    if let Some(index) = (0..ops.len()).filter(reached).find(|index| !ends[*index]) {
        return Err(StructureError::Endless { index });
    }
    // The second slot of a 64-bit load is no instruction of its own.
    let mut lost = (0..ops.len()).filter(|index| ops[*index].is_some() && !reached(index));
    Ok(lost.next().map(|first| Finding::Unreachable { first, count: 1 + lost.count() }))
}

/// The registers set on every path to each instruction; `None` where no path leads.
fn registers_set(ops: &Ops) -> Result<Vec<Option<u16>>, StructureError> {
    let mut set: Vec<Option<u16>> = vec![None; ops.len()];
    let mut open = vec![(0, SET_AT_ENTRY)];
    // A mask only loses bits, so an instruction is looked at again at most 11 times.
    while let Some((index, arriving)) = open.pop() {
        let merged = set[index].map_or(arriving, |old| old & arriving);
        if set[index] == Some(merged) {
            continue;
        }
        set[index] = Some(merged);
        let Some(op) = ops[index] else { continue };
        let kept = if op == Op::Call { merged & !LOST_IN_CALL } else { merged };
        let after = kept | op.writes().map_or(0, Reg::bit);
        open.extend(successors(ops, index, &op)?.into_iter().flatten().map(|next| (next, after)));
    }
    Ok(set)
}

/// From which instructions some path leads to an exit.
fn can_end(ops: &Ops) -> Result<Vec<bool>, StructureError> {
    let mut predecessors = vec![Vec::new(); ops.len()];
    let mut open = Vec::new();
    for (index, op) in ops.iter().enumerate() {
        let Some(op) = op else { continue };
        for next in successors(ops, index, op)?.into_iter().flatten() {
            predecessors[next].push(index);
        }
        if *op == Op::Exit {
            open.push(index);
        }
    }
    let mut ends = vec![false; ops.len()];
    while let Some(index) = open.pop() {
        if !std::mem::replace(&mut ends[index], true) {
            open.extend(&predecessors[index]);
        }
    }
    Ok(ends)
}

/// The instructions that may follow one.
fn successors(ops: &Ops, index: usize, op: &Op) -> Result<[Option<usize>; 2], StructureError> {
    let next = match op {
        Op::Exit | Op::Jump { .. } => None,
        _ if index + op.slots() < ops.len() => Some(index + op.slots()),
        _ => return Err(StructureError::FallsOffTheEnd { index }),
    };
    Ok([next, target(ops, index, op)?])
}

/// Where a jump leads: an instruction of the code. `None` for what is no jump.
fn target(ops: &Ops, index: usize, op: &Op) -> Result<Option<usize>, StructureError> {
    let Some(target) = program::target(index, op) else { return Ok(None) };
    let slot = usize::try_from(target).ok().filter(|slot| *slot < ops.len());
    let slot = slot.ok_or(StructureError::JumpOutside { index, target })?;
    match ops[slot] {
        Some(_) => Ok(Some(slot)),
        None => Err(StructureError::JumpIntoLoad { index, target: slot }),
    }
}
