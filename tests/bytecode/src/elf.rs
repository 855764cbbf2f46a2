//! BPF objects written byte by byte, so that no compiler stands between a test and what it means.

use pds_validator::structure::{StructureError, StructureLimits, StructureReport, verify};

/// One slot.
pub type Insn = [u8; 8];

/// A slot of its fields.
pub const fn insn(opcode: u8, dst: u8, src: u8, offset: i16, imm: i32) -> Insn {
    let ([o0, o1], [i0, i1, i2, i3]) = (offset.to_le_bytes(), imm.to_le_bytes());
    [opcode, src << 4 | dst, o0, o1, i0, i1, i2, i3]
}

/// Type of a relocation of a 64-bit constant.
pub const R_64_64: u32 = 1;
/// Type of a relocation of a call.
pub const R_64_32: u32 = 10;
/// Info of a global function.
pub const FUNCTION: u8 = 0x12;
/// Info of a global object.
pub const OBJECT: u8 = 0x11;
/// Info of a global symbol of no type.
pub const UNTYPED: u8 = 0x10;
/// Section of the code.
pub const TEXT: u16 = 1;
/// Section of the data.
pub const DATA: u16 = 2;

/// An object in the making: sections are null, code, data, relocations, symbols, strings.
pub struct Elf<'a> {
    /// The slots.
    pub code: Vec<Insn>,
    /// Name, info, section, value, size.
    pub symbols: Vec<(&'a str, u8, u16, u64, u64)>,
    /// Byte in the code, type, index in `symbols`.
    pub relocations: Vec<(u64, u32, u32)>,
    /// What is in the data section.
    pub data: Vec<u8>,
    /// Flags of the code and the data section.
    pub flags: [u64; 2],
    /// Type of the section with relocations.
    pub relocation_kind: u32,
}

impl<'a> Elf<'a> {
    /// With nothing but code.
    pub fn new(code: &[Insn]) -> Self {
        let symbols = vec![("entry", FUNCTION, TEXT, 0, 0)];
        Self {
            code: code.to_vec(),
            symbols,
            relocations: vec![],
            data: vec![0],
            flags: [6, 2],
            relocation_kind: 9,
        }
    }

    /// With a call of a helper at an instruction.
    #[must_use]
    pub fn helper(mut self, index: u64, name: &'a str) -> Self {
        self.symbols.push((name, UNTYPED, 0, 0, 0));
        self.relocations.push((index * 8, R_64_32, self.symbols.len() as u32 - 1));
        self
    }

    /// With a data reference at an instruction.
    #[must_use]
    pub fn refers(mut self, index: u64, symbol: (&'a str, u8, u16, u64, u64), data: &[u8]) -> Self {
        self.data = data.to_vec();
        self.symbols.push(symbol);
        self.relocations.push((index * 8, R_64_64, self.symbols.len() as u32 - 1));
        self
    }

    /// The object.
    pub fn bytes(&self) -> Vec<u8> {
        let mut strings = vec![0];
        let mut name = |text: &str| {
            let at = strings.len() as u32;
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        let names = [".text", ".rodata", ".rel.text", ".symtab", ".strtab"].map(&mut name);
        // Symbol 0 is the null symbol; ours follow.
        let mut symbols = vec![0; 24];
        for (text, info, section, value, size) in &self.symbols {
            symbols.extend_from_slice(&name(text).to_le_bytes());
            symbols.extend_from_slice(&[*info, 0]);
            symbols.extend_from_slice(&section.to_le_bytes());
            symbols.extend_from_slice(&value.to_le_bytes());
            symbols.extend_from_slice(&size.to_le_bytes());
        }
        let relocation = |(at, kind, symbol): &(u64, u32, u32)| {
            let mut entry = at.to_le_bytes().to_vec();
            entry.extend_from_slice(&kind.to_le_bytes());
            entry.extend_from_slice(&(symbol + 1).to_le_bytes());
            entry
        };
        let relocations = self.relocations.iter().flat_map(relocation).collect();
        // Type, flags, link, info, contents.
        let sections = [
            (1u32, self.flags[0], 0u32, 0u32, self.code.concat()),
            (1, self.flags[1], 0, 0, self.data.clone()),
            (self.relocation_kind, 0, 4, 1, relocations),
            (2, 0, 5, 1, symbols),
            (3, 0, 0, 0, strings),
        ];
        let mut body = vec![0; 64];
        let mut table = vec![0; 64];
        for ((kind, flags, link, info, contents), name) in sections.iter().zip(names) {
            let offset = body.len() as u64;
            body.extend_from_slice(contents);
            table.extend_from_slice(&name.to_le_bytes());
            table.extend_from_slice(&kind.to_le_bytes());
            for field in [*flags, 0, offset, contents.len() as u64] {
                table.extend_from_slice(&field.to_le_bytes());
            }
            table.extend_from_slice(&link.to_le_bytes());
            table.extend_from_slice(&info.to_le_bytes());
            table.extend_from_slice(&[0; 16]);
        }
        body.resize(body.len().next_multiple_of(8), 0);
        let table_at = body.len() as u64;
        body[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        for (at, field) in [(16, 1u16), (18, 247), (20, 1), (52, 64), (58, 64), (60, 6), (62, 5)] {
            body[at..at + 2].copy_from_slice(&field.to_le_bytes());
        }
        body[40..48].copy_from_slice(&table_at.to_le_bytes());
        body.extend_from_slice(&table);
        body
    }

    /// What its structure is found to be.
    ///
    /// # Errors
    /// [`StructureError`]
    pub fn verify(&self) -> Result<StructureReport, StructureError> {
        verify(&self.bytes(), &StructureLimits::default())
    }

    /// Why its structure is refused.
    ///
    /// # Panics
    /// When it is not.
    pub fn refusal(&self) -> StructureError {
        self.verify().expect_err("hostile")
    }
}
