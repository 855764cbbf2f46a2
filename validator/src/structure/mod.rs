//! The property `structure`: an object is bytecode that uBPF will run as it was written.
//!
//! Pure: bytes in, a report or the reason of refusal out; no panic and no unbounded allocation on any bytes. It covers
//! what PQUIC's uBPF (repository p-quic/ubpf) loads without a word and then runs as something else: jumps and counts
//! that overflow when it inserts its memory checks, local calls it takes for helper numbers, execution past the end.
//!
//! The rules follow that loader: execution begins at the first instruction; a call is resolved by the name of an
//! undefined symbol; a data reference is replaced by a private copy of the C string at its symbol, so only read-only
//! data can be meant, and its addend is lost, which is reported. A pluglet gets one argument, the connection, in r1; r10
//! points above a frame of 2,048 bytes.
//!
//! Not here: whether loops end, whether pointers are good (memory accesses through registers other than r10), what
//! helpers take and do. Those are properties of their own.

mod flow;
mod report;

use std::collections::BTreeMap;

pub use crate::program::{ElfError, InsnError};
pub use report::{Finding, StructureError, StructureLimits, StructureReport};

use crate::program::{self, Data, Object, Op, Program, Reg, Relocation, Slot, Symbol};

/// Checks the structure of one object.
///
/// # Errors
/// [`StructureError`], the first found.
pub fn verify(object: &[u8], limits: &StructureLimits) -> Result<StructureReport, StructureError> {
    check(object, limits).map(|(_, report)| report)
}

/// As [`verify`], and gives the code, for what looks at more than its structure.
///
/// # Errors
/// [`StructureError`], the first found.
pub fn check(object: &[u8], limits: &StructureLimits) -> Result<(Program, StructureReport), StructureError> {
    let object = Object::parse(object, limits)?;
    let entry = entry(&object)?;
    let slots: Vec<Slot> = object
        .code()
        .chunks_exact(8)
        .map(|bytes| Slot::decode(bytes.try_into().expect("chunks of 8")))
        .collect();
    let mut program = Program { entry, ops: decode(&slots)?, calls: BTreeMap::new(), data: BTreeMap::new() };
    let mut warnings = Vec::new();
    resolve(&object, &slots, &mut program, &mut warnings)?;
    let stack_bytes = check_frame(&program, limits)?;
    let checked_instructions = flow::check_jumps(&program.ops, limits)?;
    warnings.extend(flow::check_paths(&program.ops)?);
    let unrelocated = object.unrelocated_data();
    warnings.extend(unrelocated.map(|section| Finding::Unrelocated { section: section.to_owned() }));
    let report = StructureReport {
        entry: program.entry.clone(),
        instructions: u32::try_from(slots.len()).expect("an object is smaller than 4 GiB"),
        checked_instructions,
        stack_bytes,
        helpers: program.calls.values().cloned().collect(),
        warnings,
    };
    Ok((program, report))
}

/// The global function at the first instruction.
fn entry(object: &Object<'_>) -> Result<String, StructureError> {
    const GLOBAL_FUNCTION: u8 = 1 << 4 | 2;
    let is_entry = |symbol: &&Symbol<'_>| {
        symbol.info == GLOBAL_FUNCTION && usize::from(symbol.section) == object.text && symbol.value == 0
    };
    let entry = object.symbols.iter().find(is_entry).ok_or(StructureError::NoEntry)?;
    if is_c_name(entry.name) { Ok(entry.name.to_owned()) } else { Err(StructureError::NoEntry) }
}

/// `[A-Za-z_][A-Za-z0-9_]*` of at most 128 bytes.
fn is_c_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.len() <= 128
        && name.bytes().all(plain)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
}

fn decode(slots: &[Slot]) -> Result<Vec<Option<Op>>, StructureError> {
    let mut ops = Vec::with_capacity(slots.len());
    while ops.len() < slots.len() {
        let index = ops.len();
        let op = program::check(&slots[index..]).map_err(|cause| StructureError::Insn { index, cause })?;
        ops.push(Some(op));
        ops.resize(index + op.slots(), None);
    }
    Ok(ops)
}

/// Checks every relocation and call; writes down what they are of.
fn resolve(
    object: &Object<'_>,
    slots: &[Slot],
    program: &mut Program,
    warnings: &mut Vec<Finding>,
) -> Result<(), StructureError> {
    let mut by_index: BTreeMap<usize, &Relocation> = BTreeMap::new();
    for relocation in &object.relocations {
        let misfit = || StructureError::Relocation { offset: relocation.offset, kind: relocation.kind };
        let index = usize::try_from(relocation.offset / 8).map_err(|_| misfit())?;
        let doubled = by_index.insert(index, relocation).is_some();
        if relocation.offset % 8 != 0 || index >= slots.len() || doubled {
            return Err(misfit());
        }
    }
    for (index, op) in program.ops.iter().enumerate() {
        match (op, by_index.get(&index)) {
            (Some(Op::Call), relocation) => {
                program.calls.insert(index, resolve_call(object, index, slots[index], relocation.copied())?);
            }
            (Some(Op::LoadImm { value, .. }), Some(relocation)) => {
                let data = resolve_data(object, index, *value as i64, relocation, warnings)?;
                program.data.insert(index, data);
            }
            (_, Some(relocation)) => {
                return Err(StructureError::Relocation { offset: relocation.offset, kind: relocation.kind });
            }
            (_, None) => {}
        }
    }
    Ok(())
}

/// The helper's name. LLVM marks a call of any symbol as local (`src` 1); only the relocation tells.
fn resolve_call(
    object: &Object<'_>,
    index: usize,
    slot: Slot,
    relocation: Option<&Relocation>,
) -> Result<String, StructureError> {
    const R_BPF_64_32: u32 = 10;
    const UNDEFINED: u16 = 0;
    let Some(relocation) = relocation else {
        return Err(match slot.src {
            0 => StructureError::NumberedCall { index, number: slot.imm },
            _ => StructureError::LocalCall { index, target: "unnamed".to_owned() },
        });
    };
    if relocation.kind != R_BPF_64_32 {
        return Err(StructureError::Relocation { offset: relocation.offset, kind: relocation.kind });
    }
    let symbol = &object.symbols[relocation.symbol];
    if symbol.section != UNDEFINED {
        return Err(StructureError::LocalCall { index, target: symbol.name.to_owned() });
    }
    if is_c_name(symbol.name) {
        Ok(symbol.name.to_owned())
    } else {
        Err(StructureError::HelperName { index })
    }
}

fn resolve_data(
    object: &Object<'_>,
    index: usize,
    addend: i64,
    relocation: &Relocation,
    warnings: &mut Vec<Finding>,
) -> Result<Data, StructureError> {
    const R_BPF_64_64: u32 = 1;
    if relocation.kind != R_BPF_64_64 {
        return Err(StructureError::Relocation { offset: relocation.offset, kind: relocation.kind });
    }
    let symbol = &object.symbols[relocation.symbol];
    // Index 0 is "undefined"; common and absolute are numbers no object within the limits has sections for.
    let section = object.sections.get(usize::from(symbol.section)).filter(|_| symbol.section != 0);
    let name = || match (symbol.name, section) {
        ("", Some(section)) => section.name.to_owned(),
        (name, _) => name.to_owned(),
    };
    let section = section.ok_or_else(|| StructureError::NoData { index, symbol: name() })?;
    if !section.is_read_only_data() {
        return Err(StructureError::NotReadOnly { index, symbol: name(), section: section.name.to_owned() });
    }
    let start = usize::try_from(symbol.value).ok().filter(|start| *start < section.data.len());
    let start = start.ok_or_else(|| StructureError::NoData { index, symbol: name() })?;
    if addend != 0 {
        warnings.push(Finding::AddendIgnored { index, symbol: name(), addend });
    }
    let data = &section.data[start..];
    let zero = data.iter().position(|b| *b == 0);
    let copied = 1 + zero.ok_or_else(|| StructureError::Unterminated { index, symbol: name() })?;
    let meant = usize::try_from(symbol.size).ok().filter(|size| *size > 0).unwrap_or(data.len());
    if copied < meant && !section.is_strings() {
        warnings.push(Finding::CutShort { index, symbol: name(), copied });
    }
    Ok(Data { symbol: name(), bytes: data[..copied].to_vec() })
}

/// Direct accesses lie within the frame; gives how much of it they use.
fn check_frame(program: &Program, limits: &StructureLimits) -> Result<u16, StructureError> {
    let mut deepest = 0;
    for (index, op) in program.ops() {
        let Some((Reg::FRAME, offset, size)) = op.access() else { continue };
        let end = i32::from(offset) + i32::from(size);
        if end > 0 || i32::from(offset) < -i32::from(limits.stack_bytes) {
            return Err(StructureError::OutsideFrame { index, offset, size });
        }
        deepest = deepest.max(offset.unsigned_abs());
    }
    Ok(deepest)
}
