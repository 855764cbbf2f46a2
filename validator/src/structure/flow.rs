//! Where execution can go, and which registers are set when it gets there.
//!
//! Pure. Each pass looks at an instruction a bounded number of times.

use super::insn::{Insn, Kind};
use super::{Finding, Program, StructureError, StructureLimits};

/// At the entry: r1, the connection, and r10, the frame pointer.
const SET_AT_ENTRY: u16 = 1 << 1 | 1 << 10;
/// A call sets r0 and leaves r1 to r5 to the helper.
const LOST_IN_CALL: u16 = 0b11_1110;

/// Checks every jump of the code, reached or not, and what uBPF's memory checks do to them; gives the number of slots
/// with these checks.
pub(super) fn check_jumps(program: &Program, limits: &StructureLimits) -> Result<u32, StructureError> {
    // uBPF puts a check before every access but those through r10. `before[i]`: checked accesses in slots below i.
    let mut before = Vec::with_capacity(program.len() + 1);
    let mut accesses = 0;
    before.push(0);
    for insn in program {
        let is_checked = insn.is_some_and(|insn| insn.access.is_some_and(|(base, _)| base != 10));
        accesses += usize::from(is_checked);
        before.push(accesses);
    }
    if accesses > limits.checked_accesses {
        return Err(StructureError::TooManyAccesses { found: accesses, limit: limits.checked_accesses });
    }
    let found = program.len() + accesses * limits.slots_per_check;
    if found > limits.checked_slots {
        return Err(StructureError::TooManyInstructions { found, limit: limits.checked_slots });
    }
    for (index, insn) in program.iter().enumerate() {
        let Some(insn) = insn else { continue };
        if matches!(insn.kind, Kind::Jump | Kind::Branch) {
            let target = target(program, index, insn)?;
            if target == index {
                return Err(StructureError::JumpToItself { index });
            }
            let place = |slot: usize| (slot + before[slot] * limits.slots_per_check) as i64;
            let displacement = place(target) - place(index + 1);
            if i16::try_from(displacement).is_err() {
                return Err(StructureError::JumpOverflow { index, displacement });
            }
        }
        let is_last = index + if insn.kind == Kind::LoadImm64 { 2 } else { 1 } == program.len();
        if is_last && !matches!(insn.kind, Kind::Jump | Kind::Exit) {
            return Err(StructureError::FallsOffTheEnd { index });
        }
    }
    Ok(u32::try_from(found).expect("an object is smaller than 4 GiB"))
}

/// Checks that every path from the entry can end and reads only what was set; gives what is never reached.
pub(super) fn check_paths(program: &Program) -> Result<Option<Finding>, StructureError> {
    let set = registers_set(program)?;
    let reached = |index: &usize| set[*index].is_some();
    for index in (0..program.len()).filter(reached) {
        let (Some(insn), Some(set)) = (program[index], set[index]) else { continue };
        let missing = insn.reads & !set;
        if missing != 0 {
            return Err(StructureError::Uninitialised { index, register: missing.trailing_zeros() as u8 });
        }
    }
    let ends = can_end(program)?;
    if let Some(index) = (0..program.len()).filter(reached).find(|index| !ends[*index]) {
        return Err(StructureError::Endless { index });
    }
    // The second slot of a 64-bit load is no instruction of its own.
    let mut lost = (0..program.len()).filter(|index| program[*index].is_some() && !reached(index));
    Ok(lost.next().map(|first| Finding::Unreachable { first, count: 1 + lost.count() }))
}

/// The registers set on every path to each instruction; `None` where no path leads.
fn registers_set(program: &Program) -> Result<Vec<Option<u16>>, StructureError> {
    let mut set: Vec<Option<u16>> = vec![None; program.len()];
    let mut open = vec![(0, SET_AT_ENTRY)];
    // A mask only loses bits, so an instruction is looked at again at most 11 times.
    while let Some((index, arriving)) = open.pop() {
        let merged = set[index].map_or(arriving, |old| old & arriving);
        if set[index] == Some(merged) {
            continue;
        }
        set[index] = Some(merged);
        let Some(insn) = program[index] else { continue };
        let mut after = merged | insn.writes.map_or(0, |register| 1 << register);
        if insn.kind == Kind::Call {
            after = after & !LOST_IN_CALL | 1;
        }
        open.extend(successors(program, index, &insn)?.into_iter().flatten().map(|next| (next, after)));
    }
    Ok(set)
}

/// From which instructions some path leads to an exit.
fn can_end(program: &Program) -> Result<Vec<bool>, StructureError> {
    let mut predecessors = vec![Vec::new(); program.len()];
    let mut open = Vec::new();
    for (index, insn) in program.iter().enumerate() {
        let Some(insn) = insn else { continue };
        for next in successors(program, index, insn)?.into_iter().flatten() {
            predecessors[next].push(index);
        }
        if insn.kind == Kind::Exit {
            open.push(index);
        }
    }
    let mut ends = vec![false; program.len()];
    while let Some(index) = open.pop() {
        if !std::mem::replace(&mut ends[index], true) {
            open.extend(&predecessors[index]);
        }
    }
    Ok(ends)
}

/// The instructions that may follow one.
fn successors(program: &Program, index: usize, insn: &Insn) -> Result<[Option<usize>; 2], StructureError> {
    let next = match insn.kind {
        Kind::LoadImm64 => index + 2,
        _ => index + 1,
    };
    let next =
        if next < program.len() { Ok(Some(next)) } else { Err(StructureError::FallsOffTheEnd { index }) };
    Ok(match insn.kind {
        Kind::Exit => [None, None],
        Kind::Jump => [Some(target(program, index, insn)?), None],
        Kind::Branch => [next?, Some(target(program, index, insn)?)],
        _ => [next?, None],
    })
}

/// Where a jump leads: an instruction of the code.
fn target(program: &Program, index: usize, insn: &Insn) -> Result<usize, StructureError> {
    let target = index as i64 + 1 + i64::from(insn.offset);
    let slot = usize::try_from(target).ok().filter(|slot| *slot < program.len());
    let slot = slot.ok_or(StructureError::JumpOutside { index, target })?;
    match program[slot] {
        Some(_) => Ok(slot),
        None => Err(StructureError::JumpIntoLoad { index, target: slot }),
    }
}
