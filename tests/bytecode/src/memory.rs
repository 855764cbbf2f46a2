//! Memory as a machine for tests has it: regions far from each other, every access checked.

/// What a region is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The stack frame.
    Frame,
    /// Memory of the pluglet's own.
    Allocation,
    /// Memory that pluglets of the plugin left in a word of metadata.
    Metadata,
    /// Read-only data.
    Data,
    /// Something of the host's, which it alone touches.
    Host,
}

/// Why an access is none that a pluglet may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not within one region.
    OutOfBounds,
    /// In a region that was freed.
    Freed,
    /// A store to read-only data.
    ReadOnly,
    /// In something of the host's.
    Opaque,
    /// A helper's argument that it does not take.
    Argument,
}

/// One region.
#[derive(Clone, Debug)]
pub struct Region {
    /// What it is for.
    pub kind: Kind,
    /// The address of its first byte.
    pub base: u64,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Which bytes were written since it was made.
    pub written: Vec<bool>,
    /// Until it is freed.
    pub live: bool,
}

/// All regions of a run.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// In order of their addresses; at most one in each 4 GiB.
    pub regions: Vec<Region>,
}

impl Memory {
    /// Makes a region of bytes that nobody wrote, whatever is in them, and gives its address.
    pub fn add(&mut self, kind: Kind, size: usize, random: &mut fastrand::Rng) -> u64 {
        let base = (self.regions.len() as u64 + 1) << 32 | random.u64(1..1 << 16) << 12;
        let bytes = std::iter::repeat_with(|| random.u8(..)).take(size).collect();
        self.regions.push(Region { kind, base, bytes, written: vec![false; size], live: true });
        base
    }

    /// Makes a region with contents.
    pub fn add_with(&mut self, kind: Kind, bytes: &[u8], random: &mut fastrand::Rng) -> u64 {
        let base = self.add(kind, bytes.len(), random);
        if let Some(region) = self.regions.last_mut() {
            region.bytes.copy_from_slice(bytes);
            region.written.fill(true);
        }
        base
    }

    /// The region that an address is in or near.
    pub fn region(&mut self, address: u64) -> Option<&mut Region> {
        let index = usize::try_from(address >> 32).ok()?.checked_sub(1)?;
        self.regions.get_mut(index)
    }

    /// The region and the range in it of an access that a pluglet may make.
    ///
    /// # Errors
    /// [`Fault`]
    pub fn access(
        &mut self,
        address: u64,
        size: usize,
        store: bool,
    ) -> Result<(&mut Region, std::ops::Range<usize>), Fault> {
        let region = self.region(address).ok_or(Fault::OutOfBounds)?;
        let start = address.checked_sub(region.base).ok_or(Fault::OutOfBounds)? as usize;
        let end =
            start.checked_add(size).filter(|end| *end <= region.bytes.len()).ok_or(Fault::OutOfBounds)?;
        match region.kind {
            _ if !region.live => Err(Fault::Freed),
            Kind::Data if store => Err(Fault::ReadOnly),
            Kind::Host => Err(Fault::Opaque),
            _ => Ok((region, start..end)),
        }
    }

    /// Loads up to 8 bytes, and says whether all of them were written.
    ///
    /// # Errors
    /// [`Fault`]
    pub fn load(&mut self, address: u64, size: u8) -> Result<(u64, bool), Fault> {
        let (region, range) = self.access(address, size.into(), false)?;
        let mut word = [0; 8];
        word[..range.len()].copy_from_slice(&region.bytes[range.clone()]);
        Ok((u64::from_le_bytes(word), region.written[range].iter().all(|written| *written)))
    }

    /// Stores the lower bytes of a word.
    ///
    /// # Errors
    /// [`Fault`]
    pub fn store(&mut self, address: u64, size: u8, word: u64) -> Result<(), Fault> {
        let (region, range) = self.access(address, size.into(), true)?;
        region.bytes[range.clone()].copy_from_slice(&word.to_le_bytes()[..range.len()]);
        region.written[range].fill(true);
        Ok(())
    }
}
