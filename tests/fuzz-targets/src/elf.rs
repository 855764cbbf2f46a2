//! Objects as a compiler for BPF writes them, around code and relocations of anybody's choice.

use crate::feed::Feed;

/// An object in the making: sections are null, code, data, relocations, symbols, strings.
#[derive(Debug, Default)]
pub struct Elf {
    /// Instructions of 8 bytes, perhaps not whole.
    pub code: Vec<u8>,
    /// Name, info, section, value.
    pub symbols: Vec<(&'static str, u8, u16, u64)>,
    /// Byte in the code, type, index in `symbols`.
    pub relocations: Vec<(u64, u32, u32)>,
    /// Contents of the data section.
    pub data: Vec<u8>,
    /// Flags of the data section: 2 is read-only.
    pub data_flags: u64,
}

/// What uBPF's compiler relocates: 64-bit loads of data, and calls.
const KINDS: [u32; 4] = [1, 10, 2, 3];

impl Elf {
    /// An object of this code alone, with its entry.
    pub fn new(code: Vec<u8>) -> Self {
        Self {
            code,
            symbols: vec![("entry", 0x12, 1, 0)],
            data: b"text\0".to_vec(),
            data_flags: 2,
            ..Self::default()
        }
    }

    /// An object of three symbols, the relocations that a feed chooses, and the rest of the feed as code.
    pub fn of_feed(feed: &mut Feed<'_>) -> Self {
        let relocations = feed.below(5);
        let chosen: Vec<_> = (0..relocations).map(|_| (feed.short(), feed.byte(), feed.byte())).collect();
        let flags = u64::from(feed.byte() & 7) ^ 2;
        let mut elf = Self::new(feed.rest().to_vec());
        elf.data_flags = flags;
        elf.symbols.extend([("helper", 0x10, 0, 0), ("text", 0x11, 2, 0), ("tail", 0x11, 2, 2)]);
        for (slot, kind, symbol) in chosen {
            let kind = KINDS[usize::from(kind) % 4];
            elf.relocations.push((slot as u64 * 8, kind, u32::from(symbol) % 5));
        }
        elf
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut strings = vec![0];
        let mut name = |text: &str| {
            let at = u32::try_from(strings.len()).expect("a few names");
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at.to_le_bytes()
        };
        let names = [".text", ".rodata", ".rel.text", ".symtab", ".strtab"].map(&mut name);
        // Symbol 0 is the null symbol; ours follow.
        let mut symbols = vec![0; 24];
        for (text, info, section, value) in &self.symbols {
            symbols.extend(name(text));
            symbols.extend([*info, 0]);
            symbols.extend(section.to_le_bytes());
            symbols.extend(value.to_le_bytes());
            symbols.extend([0; 8]);
        }
        let relocation = |(at, kind, symbol): &(u64, u32, u32)| {
            [&at.to_le_bytes()[..], &kind.to_le_bytes(), &(symbol + 1).to_le_bytes()].concat()
        };
        let relocations = self.relocations.iter().flat_map(relocation).collect();
        // Type, flags, link, info, contents.
        let sections = [
            (1u32, 6, 0u32, 0u32, self.code.clone()),
            (1, self.data_flags, 0, 0, self.data.clone()),
            (9, 0, 4, 1, relocations),
            (2, 0, 5, 1, symbols),
            (3, 0, 0, 0, strings),
        ];
        let (mut body, mut table) = (vec![0; 64], vec![0; 64]);
        for ((kind, flags, link, info, contents), name) in sections.iter().zip(names) {
            table.extend(name);
            table.extend(kind.to_le_bytes());
            for field in [*flags, 0, body.len() as u64, contents.len() as u64] {
                table.extend(field.to_le_bytes());
            }
            table.extend(link.to_le_bytes());
            table.extend(info.to_le_bytes());
            table.extend([0; 16]);
            body.extend_from_slice(contents);
        }
        body.resize(body.len().next_multiple_of(8), 0);
        body[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        for (at, field) in [(16, 1u16), (18, 247), (20, 1), (52, 64), (58, 64), (60, 6), (62, 5)] {
            body[at..at + 2].copy_from_slice(&field.to_le_bytes());
        }
        let table_at = body.len() as u64;
        body[40..48].copy_from_slice(&table_at.to_le_bytes());
        body.extend(table);
        body
    }
}
