//! What a host does with the arguments of one call.

use pds_validator::platform::{Access, Argument, ArgumentKind, FieldKind, Length, Platform, Range, Scalar};

use super::Adversary;
use crate::memory::{Kind, Memory, Region};

/// Arguments as they are described, and as they are.
pub(super) struct Passed<'a, 'b> {
    pub platform: &'a Platform,
    pub arguments: &'a [Argument],
    pub words: &'b [u64; 5],
    /// Bytes of the array for outputs of the operation that is called.
    pub outputs: u64,
}

impl Passed<'_, '_> {
    /// Does to memory what the table says, of every argument whatever the others are; false when one is such that the host
    /// may have written anywhere.
    pub fn serve(&self, host: &mut Adversary<'_>, memory: &mut Memory) -> bool {
        let mut keeps_to_it = true;
        for (argument, word) in self.arguments.iter().zip(self.words) {
            if argument.keeps {
                host.kept.push(*word);
            }
            if *word == 0 && argument.nullable {
                continue;
            }
            let served = self.serve_one(host, memory, &argument.kind, *word);
            host.is_misused |= served.is_none();
            keeps_to_it &= served.is_some() || is_harmless(host, memory, &argument.kind, *word);
        }
        keeps_to_it
    }

    fn serve_one(
        &self,
        host: &mut Adversary<'_>,
        memory: &mut Memory,
        kind: &ArgumentKind,
        word: u64,
    ) -> Option<()> {
        match kind {
            ArgumentKind::Number(scalar, range) => in_range(word, *scalar, *range),
            ArgumentKind::Handle(handle) if host.handles.get(handle) == Some(&word) => Some(()),
            ArgumentKind::Handle(_) => {
                // What it takes for its own it may write; what was guessed is not there to be given to it.
                if let Some(region) =
                    memory.region(word).filter(|region| region.kind != Kind::Data && !host.guesses)
                {
                    scribble(&mut host.random, region, 64);
                }
                None
            }
            ArgumentKind::Memory(access, length) => {
                let bytes = self.length(word, *length, memory)?;
                // Nothing is in the first page, and whoever writes there is ended.
                host.is_ended |= word < 4096 && bytes > 0 && *access == Access::Fills;
                touch(host, memory, word, bytes, *access)
            }
            ArgumentKind::Struct(id) => self.serve_fields(host, memory, word, usize::from(id.0)),
            ArgumentKind::Freed => {
                let region = memory.region(word)?;
                if region.kind != Kind::Allocation || region.base != word || !region.live {
                    return None;
                }
                region.live = false;
                Some(())
            }
        }
    }

    fn serve_fields(
        &self,
        host: &mut Adversary<'_>,
        memory: &mut Memory,
        base: u64,
        id: usize,
    ) -> Option<()> {
        let structure = &self.platform.structs[id];
        let mut words = Vec::new();
        for field in &structure.fields {
            let address = base.wrapping_add(field.offset.into());
            touch(host, memory, address, field.bytes.into(), field.access)?;
            let word = if field.bytes <= 8 { memory.load(address, field.bytes as u8).ok()?.0 } else { 0 };
            words.push(word);
        }
        for (field, word) in structure.fields.iter().zip(&words) {
            match &field.kind {
                FieldKind::Number(scalar, range) => in_range(*word, *scalar, *range)?,
                FieldKind::Pointer(..) if *word == 0 && field.nullable => {}
                FieldKind::Pointer(access, length) => {
                    let count =
                        |position: usize| match structure.fields.get(position).map(|field| &field.kind) {
                            Some(FieldKind::Number(scalar, _)) => Some(cut(words[position], *scalar)),
                            _ => None,
                        };
                    let bytes = match *length {
                        Length::Outputs => self.outputs,
                        Length::Text => text(memory, *word)?.len() as u64 + 1,
                        other => sized(other, &count)?,
                    };
                    touch(host, memory, *word, bytes, *access)?;
                }
                FieldKind::Opaque => {}
            }
        }
        Some(())
    }

    fn length(&self, word: u64, length: Length, memory: &mut Memory) -> Option<u64> {
        let count = |position: usize| match &self.arguments.get(position)?.kind {
            ArgumentKind::Number(scalar, _) => Some(cut(self.words[position], *scalar)),
            _ => None,
        };
        match length {
            Length::Text => Some(text(memory, word)?.len() as u64 + 1),
            Length::TextWithin(position) => {
                let most = count(position.0.into())?;
                Some(text(memory, word).map_or(most, |text| most.min(text.len() as u64 + 1)))
            }
            Length::Until { end, most } => {
                let bytes = self.words[usize::from(end.0)].checked_sub(word)?;
                Some(most.map_or(bytes, |most| bytes.min(most.into())))
            }
            Length::CountAt(position) => Some(memory.load(self.words[usize::from(position.0)], 4).ok()?.0),
            Length::Outputs => Some(self.outputs),
            other => sized(other, &count),
        }
    }
}

/// Whether the host writes nothing else of the pluglet's when this argument is wrong: it only reads, or was told nothing of the
/// stack.
fn is_harmless(host: &Adversary<'_>, memory: &mut Memory, kind: &ArgumentKind, word: u64) -> bool {
    match kind {
        ArgumentKind::Number(..) | ArgumentKind::Memory(Access::Reads, _) => true,
        ArgumentKind::Handle(_) => {
            host.guesses || memory.region(word).is_none_or(|region| region.kind != Kind::Frame)
        }
        _ => false,
    }
}

/// Bytes of a length that needs nothing but numbers beside it.
fn sized(length: Length, count: &dyn Fn(usize) -> Option<u64>) -> Option<u64> {
    match length {
        Length::Bytes(bytes) => Some(bytes.into()),
        Length::Count { count: position, times, plus, least, most } => {
            let bytes = count(position.0.into())?.saturating_mul(times.into()).saturating_add(plus.into());
            let bytes = bytes.max(least.into());
            Some(most.map_or(bytes, |most| bytes.min(most.into())))
        }
        _ => None,
    }
}

/// The part of a register that the host looks at; negative numbers are large ones.
fn cut(word: u64, scalar: Scalar) -> u64 {
    match scalar {
        Scalar::I32 => i64::from(word as i32) as u64,
        _ => word & u64::MAX >> (64 - scalar.bits()),
    }
}

fn in_range(word: u64, scalar: Scalar, range: Option<Range>) -> Option<()> {
    let Some(Range { min, max }) = range else { return Some(()) };
    let word = cut(word, scalar);
    let fits = match scalar {
        Scalar::I32 | Scalar::I64 | Scalar::Word => (min..=max).contains(&(word as i64)),
        _ => i64::try_from(word).is_ok_and(|word| (min..=max).contains(&word)),
    };
    fits.then_some(())
}

/// The string at an address, without its end.
pub(super) fn text(memory: &mut Memory, address: u64) -> Option<Vec<u8>> {
    let region = memory.region(address)?;
    let start = usize::try_from(address.checked_sub(region.base)?).ok()?;
    let bytes = region.bytes.get(start..).filter(|_| region.live)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    region.written[start..=start + end].iter().all(|written| *written).then(|| bytes[..end].to_vec())
}

/// Reads or writes memory as the host does; `None` when it is not there, or holds what nobody wrote.
fn touch(
    host: &mut Adversary<'_>,
    memory: &mut Memory,
    address: u64,
    bytes: u64,
    access: Access,
) -> Option<()> {
    if bytes == 0 {
        return Some(());
    }
    let region = memory.region(address).filter(|region| region.live)?;
    let start = usize::try_from(address.checked_sub(region.base)?).ok()?;
    let end = start.checked_add(usize::try_from(bytes).ok()?).filter(|end| *end <= region.bytes.len())?;
    let writes = access != Access::Reads;
    if writes && region.kind == Kind::Data {
        return None;
    }
    let reads = matches!(access, Access::Reads | Access::Updates);
    if reads && !region.written[start..end].iter().all(|written| *written) {
        return None;
    }
    for at in start..end {
        if access == Access::Fills || writes && host.random.bool() {
            region.bytes[at] = host.random.u8(..);
            region.written[at] = true;
        }
    }
    Some(())
}

/// Writes anything somewhere in a region, to at most so many bytes.
pub(super) fn scribble(random: &mut fastrand::Rng, region: &mut Region, most: usize) {
    if region.bytes.is_empty() {
        return;
    }
    let start = random.usize(..region.bytes.len());
    let end = start.saturating_add(random.usize(1..=most.min(64))).min(region.bytes.len());
    for at in start..end {
        region.bytes[at] = random.u8(..);
        region.written[at] = true;
    }
}
