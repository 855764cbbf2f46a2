//! What the interpreter finds on its way, for properties to judge.
//!
//! Pure.

use super::access::{Access, Cause, Grade};
use super::argument::ArgumentCause;
use super::state::State;
use crate::program::Reg;

/// One thing that an instruction does, and whether that is known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The instruction.
    pub slot: usize,
    /// What it does.
    pub subject: Subject,
    /// How far that is known to be good.
    pub grade: Grade,
    /// What is wrong with it, of an access that is not proved.
    pub cause: Option<Cause>,
}

/// What an instruction does that can go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A load or store of the pluglet's own.
    Access(Access),
    /// A division by a register that may be zero.
    Division(Reg),
    /// An argument of a call, or the call as a whole.
    Argument(Option<Reg>, ArgumentCause),
}

/// Takes findings, or lets them go while they are not final.
pub(super) struct Sink<'a>(pub Option<&'a mut dyn FnMut(&State, Finding)>);

impl Sink<'_> {
    pub fn add(&mut self, state: &State, _slot: usize, finding: impl FnOnce() -> Finding) {
        if let Some(take) = &mut self.0 {
            take(state, finding());
        }
    }
}
