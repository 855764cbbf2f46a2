//! The ELF objects that a BPF compiler writes, read without trust.
//!
//! Pure; never panics, allocates in proportion to the bytes given. Only what uBPF's loader looks at is read: the header,
//! the sections, and for the code its symbols and relocations (System V ABI, ELF-64 object file format 1.5). A parser of
//! its own because every field has its own refusal and nothing may be overlooked.

use crate::structure::StructureLimits;

/// An executable section's index, and everything the loader reads.
pub(crate) struct Object<'a> {
    pub sections: Vec<Section<'a>>,
    /// Index of the one executable section.
    pub text: usize,
    pub symbols: Vec<Symbol<'a>>,
    /// Those that apply to the executable section, in file order.
    pub relocations: Vec<Relocation>,
}

#[derive(Clone, Copy)]
pub(crate) struct Section<'a> {
    pub name: &'a str,
    pub kind: u32,
    pub flags: u64,
    pub link: u32,
    pub info: u32,
    /// Empty for a section without bytes in the file (`.bss`).
    pub data: &'a [u8],
    /// Where `data` begins in the file.
    pub offset: u64,
}

pub(crate) struct Symbol<'a> {
    pub name: &'a str,
    pub info: u8,
    pub section: u16,
    pub value: u64,
    pub size: u64,
}

pub(crate) struct Relocation {
    pub offset: u64,
    pub kind: u32,
    pub symbol: usize,
}

/// Why bytes are not a BPF object that can be looked into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Over the limit in bytes.
    #[error("the object has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// What there is.
        size: usize,
        /// What may be.
        limit: usize,
    },
    /// Something lies outside the file.
    #[error("{0} lies outside the file")]
    OutOfBounds(&'static str),
    /// A header field with a value that a BPF object does not have.
    #[error("{field} is {found}, not {expected}")]
    Header {
        /// The field.
        field: &'static str,
        /// What it has.
        found: u64,
        /// What it should have.
        expected: &'static str,
    },
    /// More sections than uBPF takes.
    #[error("the object has {found} sections, the limit is {limit}")]
    TooManySections {
        /// What there is.
        found: usize,
        /// What may be.
        limit: usize,
    },
    /// A name that is not in its string table, not terminated, or not UTF-8.
    #[error("the name of {0} cannot be read")]
    Name(&'static str),
    /// No section with code.
    #[error("the object has no executable section")]
    NoCode,
    /// More than one executable section: uBPF takes the first and forgets the others.
    #[error("the object has more than one executable section: {first} and {second}")]
    SecondCode {
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// An executable section that is not exactly allocated, executable program bits.
    #[error("executable section {0} is not program bits with flags AX")]
    CodeFlags(String),
    /// Code that is empty or not a multiple of 8 bytes.
    #[error("the code has {0} bytes, not a positive multiple of 8")]
    CodeSize(usize),
    /// A relocation section or symbol table whose size is not a multiple of its entries', or whose link is wrong.
    #[error("{0} is malformed")]
    Table(&'static str),
    /// Relocations with explicit addends, which uBPF passes over.
    #[error("the code has relocations with addends (RELA)")]
    Rela,
    /// A relocation that names a symbol that is not there.
    #[error("relocation {0} names a symbol that does not exist")]
    NoSymbol(usize),
}

const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_STRTAB: u32 = 3;
const SHT_RELA: u32 = 4;
const SHT_NOBITS: u32 = 8;
const SHT_REL: u32 = 9;
const SHF_WRITE: u64 = 1;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
const SHF_STRINGS: u64 = 0x20;

impl Section<'_> {
    /// Bytes in the file that a running program may read and not write.
    pub fn is_read_only_data(&self) -> bool {
        self.kind == SHT_PROGBITS && self.flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR) == SHF_ALLOC
    }

    /// C strings, one after the other.
    pub fn is_strings(&self) -> bool {
        self.flags & SHF_STRINGS != 0
    }
}

impl<'a> Object<'a> {
    pub fn parse(bytes: &'a [u8], limits: &StructureLimits) -> Result<Self, ElfError> {
        if bytes.len() > limits.object_bytes {
            return Err(ElfError::TooLarge { size: bytes.len(), limit: limits.object_bytes });
        }
        let sections = sections(bytes, limits.sections)?;
        let text = find_text(&sections)?;
        let mut object = Self { sections, text, symbols: Vec::new(), relocations: Vec::new() };
        object.read_symbols()?;
        object.read_relocations()?;
        Ok(object)
    }

    pub fn code(&self) -> &'a [u8] {
        self.sections[self.text].data
    }

    /// Read-only data whose contents would need relocations, which uBPF does for code alone.
    pub fn unrelocated_data(&self) -> impl Iterator<Item = &'a str> {
        self.sections
            .iter()
            .filter(|section| matches!(section.kind, SHT_REL | SHT_RELA))
            .filter_map(|section| self.sections.get(section.info as usize).copied())
            .filter(|target| target.is_read_only_data() && target.name != ".eh_frame")
            .map(|target| target.name)
    }

    fn read_symbols(&mut self) -> Result<(), ElfError> {
        let mut tables = self.sections.iter().filter(|section| section.kind == SHT_SYMTAB);
        let Some(table) = tables.next() else { return Ok(()) };
        let strings = self.sections.get(table.link as usize).filter(|strings| strings.kind == SHT_STRTAB);
        let (Some(strings), None, 0) = (strings, tables.next(), table.data.len() % 24) else {
            return Err(ElfError::Table("the symbol table"));
        };
        for entry in table.data.chunks_exact(24) {
            let field = Fields(entry, "a symbol");
            let name = name_at(strings.data, field.u32(0)?, "a symbol")?;
            let (section, value) = (field.u16(6)?, field.u64(8)?);
            self.symbols.push(Symbol { name, info: entry[4], section, value, size: field.u64(16)? });
        }
        Ok(())
    }

    fn read_relocations(&mut self) -> Result<(), ElfError> {
        for section in &self.sections {
            if section.info as usize != self.text || !matches!(section.kind, SHT_REL | SHT_RELA) {
                continue;
            }
            if section.kind == SHT_RELA {
                return Err(ElfError::Rela);
            }
            let table = self.sections.get(section.link as usize);
            if section.data.len() % 16 != 0 || table.is_none_or(|table| table.kind != SHT_SYMTAB) {
                return Err(ElfError::Table("the relocation section"));
            }
            for entry in section.data.chunks_exact(16) {
                let field = Fields(entry, "a relocation");
                let (offset, kind, symbol) = (field.u64(0)?, field.u32(8)?, field.u32(12)? as usize);
                if symbol >= self.symbols.len() {
                    return Err(ElfError::NoSymbol(self.relocations.len()));
                }
                self.relocations.push(Relocation { offset, kind, symbol });
            }
        }
        Ok(())
    }
}

/// The sections of an ELF file, for naming where two objects differ; `None` when it cannot be read.
pub(crate) fn section_at(bytes: &[u8], offset: usize) -> Option<(&str, u64)> {
    let sections = sections(bytes, usize::from(u16::MAX)).ok()?;
    let offset = offset as u64;
    let within = |s: &&Section| s.offset <= offset && offset < s.offset + s.data.len() as u64;
    sections.iter().find(within).map(|section| (section.name, offset - section.offset))
}

fn sections(bytes: &[u8], most: usize) -> Result<Vec<Section<'_>>, ElfError> {
    let field = Fields(bytes, "the ELF header");
    let check = |name, found: u64, expect: u64, expected| {
        if found == expect { Ok(()) } else { Err(ElfError::Header { field: name, found, expected }) }
    };
    check("the magic", u64::from(field.u32(0)?), u64::from(u32::from_le_bytes(*b"\x7fELF")), "0x7f ELF")?;
    let ident = field.take(0, 16)?;
    check("the class", u64::from(ident[4]), 2, "64-bit")?;
    check("the byte order", u64::from(ident[5]), 1, "little-endian")?;
    check("the ELF version", u64::from(ident[6]), 1, "1")?;
    check("the OS ABI", u64::from(ident[7]), 0, "none")?;
    check("the type", u64::from(field.u16(16)?), 1, "relocatable")?;
    check("the machine", u64::from(field.u16(18)?), 247, "BPF")?;
    check("the section header size", u64::from(field.u16(58)?), 64, "64")?;
    let (table, count, names) = (field.u64(40)?, usize::from(field.u16(60)?), usize::from(field.u16(62)?));
    if count > most {
        return Err(ElfError::TooManySections { found: count, limit: most });
    }
    let table = Fields(slice(bytes, table, count as u64 * 64, "the section table")?, "a section header");
    let data = |i: usize| {
        let header = Fields(table.take(i * 64, 64)?, "a section header");
        let size = if header.u32(4)? == SHT_NOBITS || i == 0 { 0 } else { header.u64(32)? };
        slice(bytes, header.u64(24)?, size, "a section")
    };
    if names >= count {
        return Err(ElfError::Name("a section"));
    }
    let names = data(names)?;
    let mut sections = Vec::with_capacity(count);
    for i in 0..count {
        let header = Fields(table.take(i * 64, 64)?, "a section header");
        sections.push(Section {
            name: name_at(names, header.u32(0)?, "a section")?,
            kind: header.u32(4)?,
            flags: header.u64(8)?,
            link: header.u32(40)?,
            info: header.u32(44)?,
            data: data(i)?,
            offset: header.u64(24)?,
        });
    }
    Ok(sections)
}

/// The one executable section. An empty one beside it counts: uBPF would load that if it came first.
fn find_text(sections: &[Section<'_>]) -> Result<usize, ElfError> {
    let mut code = (0..sections.len()).filter(|i| sections[*i].flags & SHF_EXECINSTR != 0);
    let text = code.next().ok_or(ElfError::NoCode)?;
    if let Some(second) = code.next() {
        let name = |i: usize| sections[i].name.to_owned();
        return Err(ElfError::SecondCode { first: name(text), second: name(second) });
    }
    let section = &sections[text];
    if section.kind != SHT_PROGBITS || section.flags != SHF_ALLOC | SHF_EXECINSTR {
        return Err(ElfError::CodeFlags(section.name.to_owned()));
    }
    if section.data.is_empty() || !section.data.len().is_multiple_of(8) {
        return Err(ElfError::CodeSize(section.data.len()));
    }
    Ok(text)
}

fn slice<'a>(bytes: &'a [u8], offset: u64, size: u64, what: &'static str) -> Result<&'a [u8], ElfError> {
    let range = || {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        bytes.get(start..end)
    };
    if size == 0 { Ok(&[]) } else { range().ok_or(ElfError::OutOfBounds(what)) }
}

fn name_at<'a>(strings: &'a [u8], offset: u32, what: &'static str) -> Result<&'a str, ElfError> {
    let rest = strings.get(offset as usize..).ok_or(ElfError::Name(what))?;
    let end = rest.iter().position(|b| *b == 0).ok_or(ElfError::Name(what))?;
    std::str::from_utf8(&rest[..end]).map_err(|_| ElfError::Name(what))
}

/// Little-endian fields at byte offsets, and what they are fields of.
struct Fields<'a>(&'a [u8], &'static str);

impl<'a> Fields<'a> {
    fn take(&self, at: usize, size: usize) -> Result<&'a [u8], ElfError> {
        self.0.get(at..at + size).ok_or(ElfError::OutOfBounds(self.1))
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], ElfError> {
        Ok(self.take(at, N)?.try_into().expect("take gives as many bytes as asked for"))
    }

    fn u16(&self, at: usize) -> Result<u16, ElfError> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Result<u32, ElfError> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Result<u64, ElfError> {
        self.array(at).map(u64::from_le_bytes)
    }
}
