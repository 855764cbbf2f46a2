//! The property `effects`: what a pluglet writes and calls is known.
//!
//! Pure. *Proved* means that every helper is in the platform's table, and that the sets of [`Effects`] hold whatever any
//! execution writes, calls and looks at through helpers: fields of the host's objects by their number, the plugin's metadata
//! by slot, operations by name. A key, slot or operation that is not one constant is a cause; one that the platform has not is
//! worth a look, and writes nothing.
//!
//! Only calls count that can be reached. Out of scope: what the operations do that are called, and stores through pointers,
//! which `memory` is about.

use std::collections::BTreeSet;

use crate::analysis::{Analysis, State};
use crate::platform::Helper;
use crate::program::Reg;
use crate::verdict::{Cause, Judgement, Verdict};

/// What a pluglet does to the world, in sorted sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Helpers that are called.
    pub helpers: BTreeSet<String>,
    /// Their classes.
    pub classes: BTreeSet<String>,
    /// Fields of objects that are read.
    pub reads: BTreeSet<Field>,
    /// Fields of objects that are written.
    pub writes: BTreeSet<Field>,
    /// Words of metadata that are read, by object.
    pub metadata_reads: BTreeSet<Slot>,
    /// Words of metadata that are written, by object.
    pub metadata_writes: BTreeSet<Slot>,
    /// Operations that are called by name.
    pub operations: BTreeSet<String>,
    /// State besides that helpers read, as the platform names it.
    pub state_reads: BTreeSet<String>,
    /// State besides that helpers write, as the platform names it.
    pub state_writes: BTreeSet<String>,
    /// Calls with a constant that the platform has no field or word of metadata for: nothing is read or written.
    pub void: Vec<Cause>,
}

/// A field of an object of the host's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    /// The object's name in the platform.
    pub object: String,
    /// The field's number.
    pub key: u16,
    /// Which of its values; `None` when it has but one, or when that is not known.
    pub index: Option<u16>,
}

/// A word of metadata.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The object it is on, by its name in the platform.
    pub object: String,
    /// Which.
    pub slot: u16,
}

/// Computes a pluglet's effects, and whether they are all.
pub fn effects(analysis: &Analysis<'_>) -> (Effects, Judgement) {
    let mut collector = Collector { analysis, effects: Effects::default(), causes: Vec::new() };
    analysis.walk(|slot, state| collector.instruction(slot, state), |_, _| {});
    (collector.effects, Judgement::of(collector.causes))
}

struct Collector<'a, 'b> {
    analysis: &'b Analysis<'a>,
    effects: Effects,
    causes: Vec<Cause>,
}

impl Collector<'_, '_> {
    fn instruction(&mut self, slot: usize, state: &State) {
        let Some(name) = self.analysis.program().helper(slot) else { return };
        self.effects.helpers.insert(name.to_owned());
        let Some(helper) = self.analysis.platform().helpers.get(name) else {
            self.cause(slot, Verdict::Refuted, format!("the platform has no helper {name}"), vec![]);
            return;
        };
        self.effects.classes.insert(helper.class.clone());
        self.effects.state_reads.extend(helper.effects.reads.iter().cloned());
        self.effects.state_writes.extend(helper.effects.writes.iter().cloned());
        self.fields(slot, state, name);
        self.metadata(slot, state, name);
        self.operation(slot, state, helper);
    }

    fn fields(&mut self, slot: usize, state: &State, name: &str) {
        for (object, entry) in &self.analysis.platform().objects {
            let is_setter = entry.setter.as_deref() == Some(name);
            if !is_setter && entry.getter != name {
                continue;
            }
            let Some(key) = self.constant(slot, state, name, "key") else { continue };
            let field = entry.keys.get(&key);
            if field.is_none_or(|field| if is_setter { field.set.is_none() } else { field.get.is_none() }) {
                let verb = if is_setter { "written" } else { "read" };
                self.void(slot, format!("{object} has no field {key} that can be {verb}"));
                continue;
            }
            let index = field
                .and_then(|field| field.index.as_ref())
                .and_then(|_| self.analysis.argument_constant(state, name, "index"))
                .and_then(|index| u16::try_from(index).ok());
            let field = Field { object: object.clone(), key, index };
            if is_setter {
                self.effects.writes.insert(field)
            } else {
                self.effects.reads.insert(field)
            };
        }
    }

    fn metadata(&mut self, slot: usize, state: &State, name: &str) {
        for (object, entry) in &self.analysis.platform().objects {
            let Some(metadata) = &entry.metadata else { continue };
            let is_setter = metadata.setter == name;
            if !is_setter && metadata.getter != name {
                continue;
            }
            let Some(word) = self.constant(slot, state, name, "slot") else { continue };
            if word >= metadata.slots {
                let text =
                    format!("{object} has {} words of metadata, and this is number {word}", metadata.slots);
                self.void(slot, text);
                continue;
            }
            let word = Slot { object: object.clone(), slot: word };
            if is_setter {
                self.effects.metadata_writes.insert(word)
            } else {
                self.effects.metadata_reads.insert(word)
            };
        }
    }

    fn operation(&mut self, slot: usize, state: &State, helper: &Helper) {
        let Some(calls) = helper.calls else { return };
        match self.analysis.called_operation(state, helper) {
            Some(name) => {
                self.effects.operations.insert(name.to_owned());
            }
            None => {
                let registers = [Some(calls.name), calls.identity]
                    .into_iter()
                    .flatten()
                    .filter_map(|position| Reg::new(position.0 + 1))
                    .map(|register| self.analysis.describe(state, register))
                    .collect();
                self.cause(
                    slot,
                    Verdict::Inconclusive,
                    "which operation is called is not known".to_owned(),
                    registers,
                );
            }
        }
    }

    /// The argument of a helper that has to be one constant.
    fn constant(&mut self, slot: usize, state: &State, helper: &str, argument: &str) -> Option<u16> {
        let value = self.analysis.argument_constant(state, helper, argument);
        if value.is_none() {
            let register = self.analysis.argument_register(helper, argument);
            let registers = register.map(|register| self.analysis.describe(state, register));
            let text = format!("the {argument} of {helper} is not one constant");
            self.cause(slot, Verdict::Inconclusive, text, registers.into_iter().collect());
            return None;
        }
        // Beyond 16 bits there is none.
        value.map(|value| u16::try_from(value).unwrap_or(u16::MAX))
    }

    fn void(&mut self, slot: usize, text: String) {
        self.effects.void.push(Cause { verdict: Verdict::Proved, slot, line: None, text, registers: vec![] });
    }

    fn cause(&mut self, slot: usize, verdict: Verdict, text: String, registers: Vec<String>) {
        self.causes.push(Cause { verdict, slot, line: None, text, registers });
    }
}
