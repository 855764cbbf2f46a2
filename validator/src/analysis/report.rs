//! What the interpreter finds on its way, for properties to judge.
//!
//! Pure.

use super::access::{Access, Cause, Grade};
use super::argument::{ArgumentCause, Checked};
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
}

/// What an instruction does that can go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A load or store of the pluglet's own, and what is wrong with it unless it is proved.
    Access(Access, Option<Cause>),
    /// A division by a register that may be zero.
    Division(Reg),
    /// A call or an argument of one, when not proved.
    Argument {
        /// The register with the argument; `None` when it is the call as a whole.
        register: Option<Reg>,
        /// What of it, if not all: a field of a structure, an input of an operation.
        part: Option<String>,
        /// What is wrong.
        cause: ArgumentCause,
    },
}

type Take<'a> = &'a mut dyn FnMut(&State, Finding);

/// Takes findings on one instruction, or lets them go while they are not final.
pub(super) struct Sink<'a> {
    slot: usize,
    take: Option<Take<'a>>,
}

/// What a finding is on.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    Call,
    Argument(Reg),
    Field(Reg, &'a str),
    Input(&'a str),
}

impl<'a> Sink<'a> {
    pub fn silent() -> Self {
        Self { slot: 0, take: None }
    }

    pub fn new(slot: usize, take: Take<'a>) -> Self {
        Self { slot, take: Some(take) }
    }

    pub fn access(&mut self, state: &State, access: Access, grade: Grade, cause: Option<Cause>) {
        self.add(state, grade, || Subject::Access(access, cause));
    }

    pub fn division(&mut self, state: &State, divisor: Reg, grade: Grade) {
        self.add(state, grade, || Subject::Division(divisor));
    }

    pub fn argument(&mut self, state: &State, part: Part<'_>, checked: &Checked) {
        let Some(cause) = checked.cause else { return };
        self.add(state, checked.grade, || {
            let (register, part) = match part {
                Part::Call => (None, None),
                Part::Argument(register) => (Some(register), None),
                Part::Field(register, field) => (Some(register), Some(format!("field {field}"))),
                Part::Input(input) => (None, Some(format!("input {input}"))),
            };
            Subject::Argument { register, part, cause }
        });
    }

    fn add(&mut self, state: &State, grade: Grade, subject: impl FnOnce() -> Subject) {
        if let Some(take) = &mut self.take {
            take(state, Finding { slot: self.slot, subject: subject(), grade });
        }
    }
}
