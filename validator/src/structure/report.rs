//! What is asked of an object's structure, what it turns out to hold, and why it is refused.

use std::collections::BTreeSet;

use crate::program::{ElfError, InsnError};

/// What uBPF can take. The defaults are PQUIC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StructureLimits {
    /// Most bytes of an object. Default 1 MiB less one: PQUIC reads no more.
    pub object_bytes: usize,
    /// Most sections. Default 32.
    pub sections: usize,
    /// Most instruction slots once memory checks are inserted. Default 65,535: uBPF counts in 16 bits.
    pub checked_slots: usize,
    /// Most loads and stores that get a memory check. Default 2,048.
    pub checked_accesses: usize,
    /// Slots that one memory check takes. Default 20.
    pub slots_per_check: usize,
    /// Bytes below the frame pointer. Default 2,048.
    pub stack_bytes: i16,
}

impl Default for StructureLimits {
    fn default() -> Self {
        Self {
            object_bytes: (1 << 20) - 1,
            sections: 32,
            checked_slots: 65_535,
            checked_accesses: 2_048,
            slots_per_check: 20,
            stack_bytes: 2_048,
        }
    }
}

/// What a well-formed object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructureReport {
    /// Name of the function at the first instruction, where execution begins.
    pub entry: String,
    /// Instruction slots as they stand in the object; a 64-bit load takes two.
    pub instructions: u32,
    /// Instruction slots once uBPF has inserted its memory checks.
    pub checked_instructions: u32,
    /// Bytes of stack addressed directly from the frame pointer.
    pub stack_bytes: u16,
    /// Helpers called, by name.
    pub helpers: BTreeSet<String>,
    /// What is allowed, and still worth a look; in order of instruction.
    pub warnings: Vec<Finding>,
}

/// Something odd that is no reason to refuse. Indices count instruction slots from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// uBPF ignores the addend of a data reference and takes the data at the symbol itself.
    #[error(
        "instruction {index}: addend {addend} to {symbol} is ignored by the loader, which takes other data"
    )]
    AddendIgnored {
        /// The load.
        index: usize,
        /// The symbol or section.
        symbol: String,
        /// Bytes from the symbol to what was meant.
        addend: i64,
    },
    /// uBPF copies data up to its first zero byte; the data goes on after it.
    #[error(
        "instruction {index}: the loader copies {copied} bytes at {symbol}, up to a zero byte, and not what follows"
    )]
    CutShort {
        /// The load.
        index: usize,
        /// The symbol or section.
        symbol: String,
        /// Bytes copied, with the zero.
        copied: usize,
    },
    /// Instructions that no path from the entry reaches.
    #[error("{count} instructions are never reached, the first is {first}")]
    Unreachable {
        /// The first.
        first: usize,
        /// How many slots in all.
        count: usize,
    },
    /// Read-only data that needs relocations, which uBPF does for code alone.
    #[error("section {section} needs relocations that the loader does not do")]
    Unrelocated {
        /// The section.
        section: String,
    },
}

/// Why an object is refused. Indices count instruction slots from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StructureError {
    /// Not a BPF object, or not one that can be looked into.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// No global function begins at the first instruction.
    #[error("no global function begins at the first instruction, where execution begins")]
    NoEntry,
    /// An instruction that is wrong by itself.
    #[error("instruction {index}: {cause}")]
    Insn {
        /// The instruction.
        index: usize,
        /// What is wrong.
        cause: InsnError,
    },
    /// A jump to outside the code.
    #[error("instruction {index}: jump to {target}, outside the code")]
    JumpOutside {
        /// The jump.
        index: usize,
        /// Where to.
        target: i64,
    },
    /// A jump between the two slots of a 64-bit load.
    #[error("instruction {index}: jump to {target}, the middle of a 64-bit load")]
    JumpIntoLoad {
        /// The jump.
        index: usize,
        /// Where to.
        target: usize,
    },
    /// A jump to itself, which uBPF refuses as an endless loop.
    #[error("instruction {index}: jump to itself")]
    JumpToItself {
        /// The jump.
        index: usize,
    },
    /// The last instruction neither exits nor jumps away.
    #[error("instruction {index} is the last one, and execution can go on after it")]
    FallsOffTheEnd {
        /// The last instruction.
        index: usize,
    },
    /// An instruction can be reached from which no path leads to an exit.
    #[error("instruction {index}: once here, no path leads to an exit")]
    Endless {
        /// The first of them.
        index: usize,
    },
    /// A register is read that is not set on every path there.
    #[error("instruction {index}: r{register} is read, and not set on every path")]
    Uninitialised {
        /// The instruction.
        index: usize,
        /// The register.
        register: u8,
    },
    /// A direct access above, astride or too far below the frame pointer.
    #[error("instruction {index}: {size} bytes at r10{offset:+} are not within the frame")]
    OutsideFrame {
        /// The access.
        index: usize,
        /// Its offset from r10.
        offset: i16,
        /// Its bytes.
        size: u8,
    },
    /// A call into the object itself; uBPF would take its target for a helper's number.
    #[error("instruction {index}: call of a function in the object ({target}); it has to be inlined")]
    LocalCall {
        /// The call.
        index: usize,
        /// The function, or `unnamed` when only its place is known.
        target: String,
    },
    /// A call of a helper by number: which one that is depends on who loads it.
    #[error("instruction {index}: call of helper number {number}; helpers are called by name")]
    NumberedCall {
        /// The call.
        index: usize,
        /// The number.
        number: i32,
    },
    /// A relocation that is neither of a helper call nor of a 64-bit load, or at the wrong place, or doubled.
    #[error("the relocation of type {kind} at byte {offset} does not fit what is there")]
    Relocation {
        /// Byte in the code.
        offset: u64,
        /// R_BPF type.
        kind: u32,
    },
    /// A helper whose name no C function has.
    #[error("instruction {index}: the helper has no proper name")]
    HelperName {
        /// The call.
        index: usize,
    },
    /// A reference to data that the object does not hold: undefined, common, absolute, or past its section's end.
    #[error("instruction {index}: the data {symbol:?} is not in the object")]
    NoData {
        /// The load.
        index: usize,
        /// The symbol.
        symbol: String,
    },
    /// A reference to something other than read-only data: a variable would be a fresh copy in every pluglet.
    #[error("instruction {index}: {symbol:?} in section {section} is not read-only data")]
    NotReadOnly {
        /// The load.
        index: usize,
        /// The symbol.
        symbol: String,
        /// Where it lies.
        section: String,
    },
    /// uBPF copies data up to its first zero byte, and there is none before the section ends: it would read on.
    #[error(
        "instruction {index}: the data at {symbol:?} is not ended by a zero byte, which the loader relies on"
    )]
    Unterminated {
        /// The load.
        index: usize,
        /// The symbol.
        symbol: String,
    },
    /// More checked loads and stores than uBPF has room for.
    #[error("{found} loads and stores need a check, the limit is {limit}")]
    TooManyAccesses {
        /// What there is.
        found: usize,
        /// What may be.
        limit: usize,
    },
    /// More slots than uBPF can count, once its checks are in.
    #[error("with memory checks the code has {found} instructions, the limit is {limit}")]
    TooManyInstructions {
        /// What there would be.
        found: usize,
        /// What may be.
        limit: usize,
    },
    /// A jump over so many memory checks that uBPF's 16-bit displacement overflows.
    #[error(
        "instruction {index}: with memory checks the jump is {displacement} long, more than 16 bits hold"
    )]
    JumpOverflow {
        /// The jump.
        index: usize,
        /// What it would be.
        displacement: i64,
    },
}
