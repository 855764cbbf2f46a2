//! An abstract interpreter of pluglets: what registers and stack hold before each instruction, in every execution.
//!
//! Pure: a [`Program`], whose structure is in order, and a [`Platform`] in, an [`Analysis`] out; bounded in time and memory by a
//! number of steps. It errs to one side: an execution that fits the assumptions below never does what a state rules out.
//!
//! Words are numbers with bounds ([`Interval`]), addresses with a region and an offset ([`Pointer`]), or unknown
//! ([`Value`]); the frame is tracked byte by byte for what was written, and store by store for what it holds. Words that
//! are copies of each other have one [`Id`], so that a branch on one tells about all. An allocation is the latest of its call or
//! one of those before (recency abstraction, Balakrishnan and Reps 2006); what is stored in it is not tracked.
//!
//! Assumed:
//! - Helpers do of the program's memory what the platform's table says, and so do operations in that table, whoever replaced
//!   them, as long as they are given what it asks for.
//! - Words of metadata are what the plugin's [`Contract`] says, if there is one.
//! - The allocator is intact when the pluglet begins, and other threads leave its memory alone.
//! - Nobody has memory in the first page: going through null ends the pluglet or its host.
//! - Nothing of stores through pointers that are not known to be good: each may have overwritten the frame, and made
//!   the host write anywhere in a later call.
//!
//! Not here: which of it is a property (see `memory` and `effects`), and how often a loop runs.

mod access;
mod argument;
mod arithmetic;
mod branch;
mod call;
mod compare;
pub mod contract;
mod describe;
mod fixpoint;
mod frame;
mod interval;
mod liveness;
mod machine;
mod operation;
mod report;
mod result;
mod state;
mod touch;
mod value;

use crate::cfg::{BlockId, Cfg};
use crate::platform::{Helper, Platform};
use crate::program::{Program, Reg};
pub use access::{Access, Cause, Grade};
pub use argument::ArgumentCause;
pub use contract::Contract;
pub use fixpoint::Exhausted;
pub use frame::Frame;
pub use interval::{Interval, Thresholds};
use machine::{Flow, Machine};
use report::Sink;
pub use report::{Finding, Subject};
pub use state::{Memory, State};
pub use value::{Allocation, Id, Known, Pointer, Region, Value, Word};

/// Steps that are enough for any pluglet seen: a step is an instruction or a word that is compared, and takes well under a
/// microsecond.
pub const DEFAULT_STEPS: usize = 1_500_000;

/// What is known before each instruction of a program.
pub struct Analysis<'a> {
    machine: Machine<'a>,
    cfg: &'a Cfg,
    entries: Vec<Option<State>>,
}

/// Interprets a program whose flow is `cfg`, in at most `steps`. Nothing is known of what is in metadata.
///
/// # Errors
/// [`Exhausted`] when that takes more steps.
pub fn analyse<'a>(
    program: &'a Program,
    cfg: &'a Cfg,
    platform: &'a Platform,
    steps: usize,
) -> Result<Analysis<'a>, Exhausted> {
    static NOTHING: Contract = Contract::EMPTY;
    analyse_under(program, cfg, platform, &NOTHING, steps)
}

/// As [`analyse`], for a pluglet of a plugin whose pluglets all keep to `contract`.
///
/// # Errors
/// [`Exhausted`] when that takes more steps.
pub fn analyse_under<'a>(
    program: &'a Program,
    cfg: &'a Cfg,
    platform: &'a Platform,
    contract: &'a Contract,
    steps: usize,
) -> Result<Analysis<'a>, Exhausted> {
    let machine = Machine::new(program, platform, contract);
    let entries = fixpoint::solve(&machine, cfg, steps)?;
    Ok(Analysis { machine, cfg, entries })
}

impl<'a> Analysis<'a> {
    /// The program.
    pub fn program(&self) -> &'a Program {
        self.machine.program
    }

    /// Its flow.
    pub fn cfg(&self) -> &'a Cfg {
        self.cfg
    }

    /// The platform it is for.
    pub fn platform(&self) -> &'a Platform {
        self.machine.platform
    }

    /// What it relies on in the plugin's other pluglets.
    pub fn contract(&self) -> &'a Contract {
        self.machine.contract
    }

    /// What is known at a block's beginning; `None` where no execution gets.
    pub fn entry(&self, block: BlockId) -> Option<&State> {
        self.entries[block.0].as_ref()
    }

    /// What is known before the instruction at a slot; `None` where no execution gets. Executes the block up to there.
    pub fn before(&self, slot: usize) -> Option<State> {
        let block = self.cfg.block_of(slot)?;
        let mut state = self.entry(block)?.clone();
        for before in self.cfg.block(block).slots.start..slot {
            let Some(op) = self.machine.program.op(before) else { continue };
            if self.machine.step(before, op, &mut state, &mut Sink::silent()) == Flow::Ends {
                return None;
            }
        }
        Some(state)
    }

    /// What is known at a block's end on the way to each of its successors, in their order; `None` of a way that no execution
    /// takes.
    pub fn edges(&self, block: BlockId) -> Vec<Option<State>> {
        match self.entry(block) {
            Some(entry) => fixpoint::edges(&self.machine, self.cfg, block, entry),
            None => vec![None; self.cfg.block(block).successors.len()],
        }
    }

    /// The register with the argument of a helper that has a name; `None` when it has none of that name.
    pub fn argument_register(&self, helper: &str, name: &str) -> Option<Reg> {
        let arguments = &self.machine.platform.helpers.get(helper)?.arguments;
        let index = arguments.iter().position(|argument| argument.name == name)?;
        call::argument_registers().nth(index)
    }

    /// The constant that an argument of a helper is, as the host sees it.
    pub fn argument_constant(&self, state: &State, helper: &str, name: &str) -> Option<u64> {
        self.machine.argument_named(state, helper, name)?.number().as_constant()
    }

    /// The name of the operation that a call of `helper` runs, which the platform need not have.
    pub fn called_operation(&self, state: &State, helper: &Helper) -> Option<&'a str> {
        self.machine.called_name(state, helper)
    }

    /// Shows all that is reached, in order of blocks: `see` gets each instruction with what is known before it, and `find`
    /// what it may do wrong with what is known then.
    pub fn walk(&self, mut see: impl FnMut(usize, &State), mut find: impl FnMut(&State, Finding)) {
        for (id, block) in self.cfg.blocks() {
            let Some(mut state) = self.entry(id).cloned() else { continue };
            for slot in block.slots.clone() {
                let Some(op) = self.machine.program.op(slot) else { continue };
                see(slot, &state);
                if self.machine.step(slot, op, &mut state, &mut Sink::new(slot, &mut find)) == Flow::Ends {
                    break;
                }
            }
        }
    }
}
