//! A host that does the worst a platform's table lets it do.
//!
//! Results are any that the table allows, the extremes most often; what helpers may write they write, with anything; what they
//! were given to keep they write or free later; and whoever passes an address to write to that the table does not allow finds all
//! memory overwritten.
//!
//! Some hosts guess: addresses of the program's own memory turn up wherever a word may be anything. Those do nothing later
//! with what they were given to keep, since they would know of addresses that nobody gave them.

mod arguments;

use std::collections::BTreeMap;

use pds_validator::platform::{
    ArgumentKind, HandleId, Helper, Operation, Platform, Range, Returns, Runs, Scalar, Type, Value,
};

use crate::memory::{Fault, Kind, Memory};
use arguments::Passed;

/// Largest allocation that is granted.
const MOST_ALLOCATED: u64 = 1 << 16;

/// A host for one run.
pub struct Adversary<'a> {
    platform: &'a Platform,
    random: fastrand::Rng,
    /// Something of the host's for each kind of pointer that was asked for.
    handles: BTreeMap<HandleId, u64>,
    /// What was last written to a word of metadata.
    metadata: BTreeMap<(&'a str, u64), u64>,
    /// Addresses that the host was given to keep.
    kept: Vec<u64>,
    guesses: bool,
    /// Whether some call had an argument that the table does not allow.
    pub is_misused: bool,
    /// Whether the host, and the run with it, was ended by such a call.
    is_ended: bool,
}

impl<'a> Adversary<'a> {
    /// A host whose choices depend on a seed.
    pub fn new(platform: &'a Platform, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            platform,
            guesses: random.bool(),
            random,
            handles: BTreeMap::new(),
            metadata: BTreeMap::new(),
            kept: Vec::new(),
            is_misused: false,
            is_ended: false,
        }
    }

    /// What a pluglet finds in a register when it begins; `None` when that holds a leftover.
    pub fn entry(&mut self, register: u8, memory: &mut Memory) -> Option<u64> {
        let kind = *self.platform.entry.get(&register)?;
        Some(self.typed(kind, memory))
    }

    /// Runs a helper.
    ///
    /// # Errors
    /// When there is no memory left, when there is no such helper, or when the host is ended: each ends the run.
    pub fn call(
        &mut self,
        name: &str,
        registers: [Option<u64>; 5],
        memory: &mut Memory,
    ) -> Result<u64, Fault> {
        let platform = self.platform;
        let (name, helper) = platform.helpers.get_key_value(name).ok_or(Fault::Argument)?;
        if registers.iter().take(helper.arguments.len()).any(Option::is_none) {
            return Err(Fault::Argument);
        }
        let words = registers.map(Option::unwrap_or_default);
        self.later(helper, memory);
        let operation = self.operation(helper, &words, memory);
        let mut passed = Passed { platform, arguments: &helper.arguments, words: &words, outputs: 128 };
        if let Some(operation) = operation {
            passed.outputs = 8 * operation.outputs.len() as u64;
        }
        let keeps_to_it = passed.serve(self, memory) && helper.unusable.is_none();
        if self.is_ended {
            return Err(Fault::Argument);
        }
        if !keeps_to_it {
            self.is_misused = true;
            self.scribble_everywhere(memory);
        }
        if let Some(operation) = operation.filter(|_| keeps_to_it) {
            self.outputs(helper, operation, &words, memory);
        }
        if let Some(setter) = self.metadata_slot(name, true) {
            self.metadata.insert((setter, words[setter_slot(helper)]), words[helper.arguments.len() - 1]);
        }
        match operation {
            Some(operation) => {
                let inputs = self.inputs(helper, operation, &words, memory);
                self.result(operation.returns, &operation.inputs, &inputs, memory)
            }
            None => self.field(name, helper, &words, memory),
        }
    }

    /// What others may do when they get to run.
    fn later(&mut self, helper: &Helper, memory: &mut Memory) {
        for address in if self.guesses { vec![] } else { self.kept.clone() } {
            let Some(region) = memory.region(address) else { continue };
            match self.random.u8(..10) {
                0..3 => arguments::scribble(&mut self.random, region, 16),
                3 if runs(helper) && region.kind == Kind::Allocation && region.base == address => {
                    region.live = false;
                }
                _ => {}
            }
        }
    }

    fn scribble_everywhere(&mut self, memory: &mut Memory) {
        for region in memory.regions.iter_mut().filter(|region| region.kind != Kind::Data) {
            arguments::scribble(&mut self.random, region, usize::MAX);
        }
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(..100) < percent
    }

    /// Any word.
    fn word(&mut self, memory: &Memory) -> u64 {
        match self.random.u8(..8) {
            0 => 0,
            1 => u64::MAX,
            2 => self.random.u64(..300),
            3 => 1 << self.random.u32(..64),
            4 => (1_u64 << self.random.u32(..64)).wrapping_sub(1),
            5 if self.guesses => {
                let region = &memory.regions[self.random.usize(..memory.regions.len())];
                region.base.wrapping_add(self.random.u64(..=region.bytes.len() as u64))
            }
            _ => self.random.u64(..),
        }
    }

    /// A number of its kind; the bits of a register that the kind does not speak of hold anything.
    fn number(&mut self, scalar: Scalar, range: Option<Range>, memory: &Memory) -> u64 {
        if scalar == Scalar::Word || scalar == Scalar::U64 && range.is_none() {
            return self.word(memory);
        }
        let (least, most) = range.map_or(scalar.bounds(), |range| (range.min, range.max));
        let value = match self.random.u8(..4) {
            0 => least,
            1 => most,
            2 => least.saturating_add(self.random.i64(0..20)).min(most),
            _ => self.random.i64(least..=most),
        };
        let above = if scalar.bits() < 64 { self.random.u64(..) << scalar.bits() } else { 0 };
        let kept = u64::MAX >> (64 - scalar.bits());
        value as u64 & kept | above
    }

    fn handle(&mut self, id: HandleId, memory: &mut Memory) -> u64 {
        let handle = self.platform.handle(id);
        let kind = if handle.heap { Kind::Metadata } else { Kind::Host };
        let random = &mut self.random;
        *self.handles.entry(id).or_insert_with(|| {
            let mut bytes: Vec<u8> =
                std::iter::repeat_with(|| random.u8(1..)).take(handle.bytes.max(8) as usize).collect();
            if handle.text {
                bytes.push(0);
            }
            memory.add_with(kind, &bytes, random)
        })
    }

    fn typed(&mut self, kind: Type, memory: &mut Memory) -> u64 {
        match kind {
            Type::Scalar(scalar) => self.number(scalar, None, memory),
            Type::Handle(handle) => self.handle(handle, memory),
        }
    }

    /// What a helper or an operation gives back.
    fn result(
        &mut self,
        returns: Returns,
        arguments: &[pds_validator::platform::Argument],
        words: &[u64],
        memory: &mut Memory,
    ) -> Result<u64, Fault> {
        let is_null = |nullable: bool, this: &mut Self| nullable && this.chance(20);
        let word = |position: pds_validator::platform::Position| {
            words.get(usize::from(position.0)).copied().unwrap_or_default()
        };
        Ok(match returns {
            Returns::Nothing => self.word(memory),
            Returns::Number(scalar, range) => self.number(scalar, range, memory),
            Returns::Handle { handle, nullable } => {
                if is_null(nullable, self) {
                    0
                } else {
                    self.handle(handle, memory)
                }
            }
            Returns::Allocation { size, nullable } => {
                let bits = match arguments.get(usize::from(size.0)).map(|argument| &argument.kind) {
                    Some(ArgumentKind::Number(scalar, _)) => scalar.bits(),
                    _ => 64,
                };
                let size = word(size) & u64::MAX >> (64 - bits);
                match size {
                    _ if is_null(nullable, self) => 0,
                    ..=MOST_ALLOCATED => memory.add(Kind::Allocation, size as usize, &mut self.random),
                    _ if nullable => 0,
                    _ => return Err(Fault::Argument),
                }
            }
            Returns::Argument { of, nullable } => {
                if is_null(nullable, self) {
                    0
                } else {
                    word(of)
                }
            }
            Returns::Inside { of, nullable } => {
                let address = word(of);
                let end = memory.region(address).map_or(0, |region| region.base + region.bytes.len() as u64);
                let room = end.saturating_sub(address);
                if is_null(nullable, self) { 0 } else { address + self.random.u64(..=room.min(4)).min(room) }
            }
        })
    }

    /// What a getter gives, or else what the table says.
    fn field(
        &mut self,
        name: &'a str,
        helper: &Helper,
        words: &[u64; 5],
        memory: &mut Memory,
    ) -> Result<u64, Fault> {
        if let Some(getter) = self.metadata_slot(name, false) {
            let stored = self.metadata.get(&(getter, words[setter_slot(helper)])).copied();
            let stored = stored.filter(|_| self.chance(70));
            return Ok(match stored {
                Some(word) => word,
                None if self.chance(50) => memory.add_with(Kind::Metadata, &[1; 64], &mut self.random),
                None => self.word(memory),
            });
        }
        let key = self.platform.read_by(name).and_then(|object| object.keys.get(&(words[1] as u16)));
        match key.map(|key| (key.get, key.nullable)) {
            Some((Some(Value::Fixed(kind)), nullable)) => {
                let is_pointer = matches!(kind, Type::Handle(_));
                Ok(if is_pointer && nullable && self.chance(20) { 0 } else { self.typed(kind, memory) })
            }
            _ => self.result(helper.returns, &helper.arguments, words, memory),
        }
    }

    /// The object whose metadata a helper reads, or writes.
    fn metadata_slot(&self, name: &str, writes: bool) -> Option<&'a str> {
        let objects = self.platform.objects.iter();
        let mut found = objects.filter(|(_, object)| {
            let metadata = object.metadata.as_ref();
            metadata.is_some_and(
                |metadata| if writes { metadata.setter == name } else { metadata.getter == name },
            )
        });
        found.next().map(|(object, _)| object.as_str())
    }

    /// The operation that a helper is told to run, if the platform knows it.
    fn operation(&self, helper: &Helper, words: &[u64; 5], memory: &mut Memory) -> Option<&'a Operation> {
        let calls = helper.calls?;
        if calls.identity.is_some_and(|identity| words[usize::from(identity.0)] != 0) {
            return None;
        }
        let name = arguments::text(memory, words[usize::from(calls.name.0)])?;
        self.platform.operations.get(std::str::from_utf8(&name).ok()?)
    }

    /// A word in the structure that describes a call.
    fn in_call(&self, helper: &Helper, field: usize, words: &[u64; 5], memory: &mut Memory) -> Option<u64> {
        let calls = helper.calls?;
        let field = self.platform.structure(calls.structure).fields.get(field)?;
        let address = words[usize::from(calls.call.0)].wrapping_add(field.offset.into());
        memory.load(address, field.bytes as u8).ok().map(|(word, _)| word)
    }

    fn inputs(
        &self,
        helper: &Helper,
        operation: &Operation,
        words: &[u64; 5],
        memory: &mut Memory,
    ) -> Vec<u64> {
        let place = helper.calls.map_or(0, |calls| usize::from(calls.inputs.0));
        let Some(array) = self.in_call(helper, place, words, memory) else { return vec![] };
        let count = operation.inputs.len() as u64;
        (0..count).map(|n| memory.load(array.wrapping_add(8 * n), 8).map_or(0, |(word, _)| word)).collect()
    }

    /// An operation writes all of its outputs.
    fn outputs(&mut self, helper: &Helper, operation: &Operation, words: &[u64; 5], memory: &mut Memory) {
        let place = helper.calls.map_or(0, |calls| usize::from(calls.outputs.0));
        let Some(array) = self.in_call(helper, place, words, memory).filter(|array| *array != 0) else {
            return;
        };
        for (n, output) in operation.outputs.iter().enumerate() {
            let word = match &output.kind {
                ArgumentKind::Number(scalar, range) => self.number(*scalar, *range, memory),
                ArgumentKind::Handle(_) if output.nullable && self.chance(20) => 0,
                ArgumentKind::Handle(handle) => self.handle(*handle, memory),
                _ => self.word(memory),
            };
            // Nothing is written where nothing can be.
            let _ = memory.store(array.wrapping_add(8 * n as u64), 8, word);
        }
    }
}

/// Whether operations may run in a helper, and whatever is attached to them.
fn runs(helper: &Helper) -> bool {
    let any = match &helper.effects.runs {
        Runs::Any => true,
        Runs::Only(operations) => !operations.is_empty(),
    };
    any || helper.calls.is_some()
}

/// The argument of a metadata helper that says which word: the one before the value, or the last.
fn setter_slot(helper: &Helper) -> usize {
    let is_slot = |argument: &pds_validator::platform::Argument| {
        matches!(argument.kind, ArgumentKind::Number(Scalar::I32, _))
    };
    helper.arguments.iter().position(is_slot).unwrap_or_default()
}
