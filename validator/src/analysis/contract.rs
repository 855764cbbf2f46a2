//! What the pluglets of a plugin can rely on in each other: the memory that they keep in metadata.
//!
//! Pure. A word of metadata is 0 until a pluglet of the plugin sets it, and no other plugin can. If every pluglet sets it to
//! null or to an allocation of at least so many bytes, and none frees that, then whoever reads it gets null or as many bytes.
//! Nobody can free by accident what is found in one word of metadata alone: hence its address may be nowhere else. That is an induction over the runs of the plugin's pluglets: it holds when every one of them keeps to it, under the
//! assumptions of this module, and what one pluglet is proved to do with it is worth as much as all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::state::State;
use super::value::{Allocation, Known, Region, Taint, Value};
use super::{Analysis, Exhausted, Interval, analyse_under};
use crate::cfg::Cfg;
use crate::platform::{ArgumentKind, Platform};
use crate::program::Program;

/// A word of metadata: the object it is on, by its name in the platform, and which.
pub type Word = (String, u16);

/// For words of metadata, the bytes behind them when they are not null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contract {
    words: Vec<(Word, u32)>,
}

impl Contract {
    /// Nothing to rely on.
    pub const EMPTY: Self = Self { words: Vec::new() };

    /// The words and bytes, sorted.
    pub fn words(&self) -> &[(Word, u32)] {
        &self.words
    }

    /// The place of a word, and its bytes.
    pub(super) fn get(&self, object: &str, slot: u16) -> Option<(u16, u32)> {
        let key = (object, slot);
        let of = |((object, slot), _): &(Word, u32)| (object.as_str(), *slot) == key;
        let place = self.words.iter().position(of)?;
        Some((u16::try_from(place).ok()?, self.words[place].1))
    }
}

/// The contract that all pluglets of a plugin keep to. `pluglets` are all there are.
///
/// # Errors
/// [`Exhausted`] when one of them takes more than `steps`.
pub fn agree(
    pluglets: &[(&Program, &Cfg)],
    platform: &Platform,
    steps: usize,
) -> Result<Contract, Exhausted> {
    // What they would agree on if all they set were allocations; then, as long as somebody breaks a part, without that.
    let mut contract = round(pluglets, platform, &Contract::EMPTY, steps)?.wished();
    loop {
        if contract.words.is_empty() {
            return Ok(contract);
        }
        let offers = round(pluglets, platform, &contract, steps)?;
        let kept: Vec<_> =
            contract.words.iter().filter(|(word, bytes)| offers.keep(word, *bytes)).cloned().collect();
        if kept.len() == contract.words.len() {
            return Ok(contract);
        }
        contract = Contract { words: kept };
    }
}

fn round(
    pluglets: &[(&Program, &Cfg)],
    platform: &Platform,
    contract: &Contract,
    steps: usize,
) -> Result<Offers, Exhausted> {
    let mut offers = Offers::default();
    for (program, cfg) in pluglets {
        let analysis = analyse_under(program, cfg, platform, contract, steps)?;
        let mut watch = Watch { analysis: &analysis, contract, offers: &mut offers };
        analysis.walk(|slot, state| watch.instruction(slot, state), |_, _| {});
    }
    Ok(offers)
}

/// What pluglets do with words of metadata.
#[derive(Default)]
struct Offers {
    /// The least bytes of an allocation that anybody sets a word to.
    bytes: BTreeMap<Word, u32>,
    /// Words that are set to something else, or to what is found elsewhere too, or whose memory is freed.
    broken: BTreeSet<Word>,
    /// Whether a word is set or read, and nobody knows which, or a helper is called that nobody knows.
    any: bool,
}

impl Offers {
    fn wished(self) -> Contract {
        if self.any {
            return Contract::EMPTY;
        }
        Contract { words: self.bytes.into_iter().filter(|(_, bytes)| *bytes > 0).collect() }
    }

    fn keep(&self, word: &Word, bytes: u32) -> bool {
        let is_enough = self.bytes.get(word).is_some_and(|least| *least >= bytes);
        is_enough && !self.any && !self.broken.contains(word)
    }
}

/// Looks at one pluglet.
struct Watch<'a, 'b> {
    analysis: &'b Analysis<'a>,
    contract: &'b Contract,
    offers: &'b mut Offers,
}

impl Watch<'_, '_> {
    fn instruction(&mut self, slot: usize, state: &State) {
        state.shared.iter().for_each(|word| self.break_word(*word));
        let all = 0..u16::MAX;
        if state.shared_any || state.frame_escaped && state.frame.may_hold_own(&all) {
            self.break_all();
        }
        if state.frame_escaped {
            // Who may read the frame finds what is there.
            for region in state.frame.regions_in(&all) {
                if let Region::Metadata { word, .. } = region {
                    self.break_word(word);
                }
            }
        }
        if let Some(name) = self.analysis.program().helper(slot) {
            self.call(state, name);
        }
    }

    fn call(&mut self, state: &State, name: &str) {
        let platform = self.analysis.platform();
        let Some(helper) = platform.helpers.get(name) else {
            self.offers.any = true;
            return;
        };
        for argument in helper.arguments.iter().filter(|argument| argument.kind == ArgumentKind::Freed) {
            let register = self.analysis.argument_register(name, &argument.name);
            match register.map(|register| state.register(register).value) {
                Some(Value::Pointer(pointer)) => {
                    if let Region::Metadata { word, .. } = pointer.region {
                        self.break_word(word);
                    }
                }
                Some(value) if value.taint() == Taint::None => {}
                _ => self.break_all(),
            }
        }
        if platform.found_by(name).is_some() && self.analysis.argument_constant(state, name, "slot").is_none()
        {
            self.offers.any = true;
        }
        if let Some(object) = platform.kept_by(name) {
            self.set(state, name, object);
        }
    }

    fn break_all(&mut self) {
        self.offers.broken.extend(self.contract.words.iter().map(|(word, _)| word.clone()));
    }

    fn break_word(&mut self, place: u16) {
        let word = self.contract.words.get(usize::from(place));
        self.offers.broken.extend(word.map(|(word, _)| word.clone()));
    }

    fn set(&mut self, state: &State, setter: &str, object: &str) {
        let Some(slot) = self.analysis.argument_constant(state, setter, "slot") else {
            self.offers.any = true;
            return;
        };
        let slots = self.analysis.platform().objects.get(object).and_then(|object| object.metadata.as_ref());
        let Some(slot) = u16::try_from(slot).ok().filter(|slot| slots.is_some_and(|all| *slot < all.slots))
        else {
            return;
        };
        let word = (object.to_owned(), slot);
        let value =
            self.analysis.argument_register(setter, "value").map(|register| state.register(register).value);
        let (bytes, is_kept) = match value {
            Some(Value::Scalar(Interval::ZERO)) => return,
            Some(Value::Pointer(pointer)) if pointer.offset == Interval::ZERO => match pointer.region {
                Region::Allocation(allocation) => self.allocation(state, allocation),
                Region::Metadata { word: place, bytes } => {
                    let same =
                        self.contract.words.get(usize::from(place)).is_some_and(|(other, _)| *other == word);
                    (same.then_some(bytes), same)
                }
                _ => (None, false),
            },
            _ => (None, false),
        };
        // After a store that may have broken the allocator nothing is known to be an allocation.
        if !is_kept || state.corrupted {
            self.offers.broken.insert(word.clone());
        }
        if let Some(bytes) = bytes {
            self.offers.bytes.entry(word).and_modify(|least| *least = bytes.min(*least)).or_insert(bytes);
        }
    }

    /// The bytes of an allocation, and whether they are there, and nobody else has their address.
    fn allocation(&self, state: &State, allocation: Allocation) -> (Option<u32>, bool) {
        let Some(memory) = state.allocations.get(&allocation) else { return (None, false) };
        let hidden = state.frame_escaped
            && state.frame.regions_in(&(0..u16::MAX)).contains(&Region::Allocation(allocation));
        let is_kept = memory.freed == Known::Never && !memory.escaped && !hidden;
        (Some(u32::try_from(memory.bytes.umin()).unwrap_or(u32::MAX)), is_kept)
    }
}
