//! An object's code as instructions, once its structure is in order.
//!
//! Pure. Only [`crate::structure::check`] makes a [`Program`], so whoever has one may rely on what that property says:
//! jumps lead to instructions, nothing falls off the end, a register is read only once set, every call has a helper's name.

mod elf;
mod op;

use std::collections::BTreeMap;

pub use elf::ElfError;
pub(crate) use elf::{Object, Relocation, Symbol, section_at};
pub use op::{AluOp, ByteOrder, Condition, InsnError, Op, Operand, Reg, Width};
pub(crate) use op::{Slot, check};

/// The instructions of one object, in slots of 8 bytes: a 64-bit constant takes two. Execution begins at slot 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub(crate) entry: String,
    /// `None` in the second slot of a 64-bit constant.
    pub(crate) ops: Vec<Option<Op>>,
    /// The helper called at a slot.
    pub(crate) calls: BTreeMap<usize, String>,
    /// The data that the constant at a slot refers to.
    pub(crate) data: BTreeMap<usize, Data>,
}

/// Read-only data that the loader copies for one 64-bit constant, which becomes the copy's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// Its symbol or, without one, its section.
    pub symbol: String,
    /// All that is copied: what there is up to and with the first zero byte.
    pub bytes: Vec<u8>,
}

impl Program {
    /// Name of the function at slot 0.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// Slots, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a program is never empty")]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// The instruction at a slot; `None` past the end and in the second slot of a 64-bit constant.
    pub fn op(&self, slot: usize) -> Option<&Op> {
        self.ops.get(slot)?.as_ref()
    }

    /// All instructions with their slots, whether any path leads there or not.
    pub fn ops(&self) -> impl Iterator<Item = (usize, &Op)> {
        self.ops.iter().enumerate().filter_map(|(slot, op)| Some((slot, op.as_ref()?)))
    }

    /// The helper that the call at a slot is of; `None` where there is no call.
    pub fn helper(&self, slot: usize) -> Option<&str> {
        self.calls.get(&slot).map(String::as_str)
    }

    /// The data that the 64-bit constant at a slot refers to; `None` where it is a number.
    pub fn data(&self, slot: usize) -> Option<&Data> {
        self.data.get(&slot)
    }

    /// Slots that may be next after the instruction at `slot`: none after an exit, of a branch the one not taken first.
    pub fn successors(&self, slot: usize) -> impl Iterator<Item = usize> + use<> {
        let op = self.op(slot);
        let next = op.filter(|op| !matches!(op, Op::Jump { .. } | Op::Exit)).map(|op| slot + op.slots());
        let target = op.and_then(|op| target(slot, op)).and_then(|target| usize::try_from(target).ok());
        next.into_iter().chain(target)
    }
}

/// Where the jump `op` at `slot` leads, if it is one; checked by nobody yet.
pub(crate) fn target(slot: usize, op: &Op) -> Option<i64> {
    op.displacement().map(|displacement| slot as i64 + 1 + i64::from(displacement))
}
