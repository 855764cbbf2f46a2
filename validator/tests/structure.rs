//! Bytecode from strangers: what PQUIC's uBPF would load, and must not be given.
//!
//! Objects are written by hand: see `pds_bytecode::elf`.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use object::{Object as _, ObjectSection as _};
use pds_bytecode::elf::{DATA, Elf, FUNCTION, Insn, OBJECT, R_64_32, R_64_64, TEXT, UNTYPED, insn};
use pds_validator::structure::{
    ElfError, Finding, InsnError, StructureError, StructureLimits, StructureReport, verify,
};
use proptest::prelude::*;

/// `rD = imm`
const fn set(dst: u8, imm: i32) -> Insn {
    insn(0xb7, dst, 0, 0, imm)
}
/// `rD = rS`
const fn copy(dst: u8, src: u8) -> Insn {
    insn(0xbf, dst, src, 0, 0)
}
const fn ja(offset: i16) -> Insn {
    insn(0x05, 0, 0, offset, 0)
}
/// `if rD == 0 goto`
const fn jeq0(dst: u8, offset: i16) -> Insn {
    insn(0x15, dst, 0, offset, 0)
}
/// `rD = *(u64 *)(rS + offset)`
const fn load(dst: u8, src: u8, offset: i16) -> Insn {
    insn(0x79, dst, src, offset, 0)
}
/// `*(u64 *)(rD + offset) = rS`
const fn store(dst: u8, src: u8, offset: i16) -> Insn {
    insn(0x7b, dst, src, offset, 0)
}
/// A call as LLVM writes it, to be completed by a relocation.
const CALL: Insn = insn(0x85, 0, 1, 0, -1);
const EXIT: Insn = insn(0x95, 0, 0, 0, 0);
/// The slots of `rD = imm ll`.
const fn load64(dst: u8, imm: i32) -> [Insn; 2] {
    [insn(0x18, dst, 0, 0, imm), insn(0, 0, 0, 0, 0)]
}

fn refusal(code: &[Insn]) -> StructureError {
    Elf::new(code).refusal()
}

fn accepted(code: &[Insn]) -> StructureReport {
    Elf::new(code).verify().unwrap()
}

#[test]
fn smallest_pluglet_is_accepted() {
    let report = accepted(&[set(0, 0), EXIT]);
    let expect = StructureReport {
        entry: "entry".into(),
        instructions: 2,
        checked_instructions: 2,
        stack_bytes: 0,
        helpers: BTreeSet::new(),
        warnings: vec![],
    };
    assert_eq!(report, expect);
}

#[test]
fn helpers_stack_and_checks_are_reported() {
    // A 64-bit load, two checked accesses, two through r10, two helpers of which one is called twice.
    let [low, high] = load64(2, 5);
    let code = [
        copy(6, 1),
        CALL,
        low,
        high,
        store(10, 0, -24),
        load(3, 10, -24),
        load(0, 6, 8),
        CALL,
        CALL,
        store(6, 0, 0),
        EXIT,
    ];
    let report =
        Elf::new(&code).helper(1, "get_cnx").helper(7, "my_free").helper(8, "get_cnx").verify().unwrap();
    assert_eq!(report.helpers, ["get_cnx", "my_free"].map(str::to_owned).into());
    assert_eq!((report.instructions, report.checked_instructions, report.stack_bytes), (11, 51, 24));
}

#[test]
fn frame_is_refused_when_left() {
    let check = |access: Insn| refusal(&[set(0, 0), access, EXIT]);
    let outside = |offset, size| StructureError::OutsideFrame { index: 1, offset, size };
    // Above the frame pointer: what PQUIC's uBPF takes as 0, and what it takes as inside.
    assert_eq!(check(load(0, 10, 0)), outside(0, 8));
    assert_eq!(check(store(10, 1, 0)), outside(0, 8));
    assert_eq!(check(insn(0x72, 10, 0, 0, 1)), outside(0, 1));
    assert_eq!(check(load(0, 10, 8)), outside(8, 8));
    // Astride.
    assert_eq!(check(load(0, 10, -4)), outside(-4, 8));
    assert_eq!(check(insn(0x62, 10, 0, -3, 1)), outside(-3, 4));
    // Below.
    assert_eq!(check(load(0, 10, -2049)), outside(-2049, 8));
    assert_eq!(check(load(0, 10, i16::MIN)), outside(i16::MIN, 8));
    accepted(&[set(0, 0), store(10, 0, -8), store(10, 0, -2048), insn(0x72, 10, 0, -1, 1), EXIT]);
}

#[test]
fn loop_without_a_way_out_is_refused() {
    assert_eq!(refusal(&[set(0, 0), set(2, 1), ja(-2), EXIT]), StructureError::Endless { index: 0 });
    // An exit can be reached, and so can a loop that never gets there.
    assert_eq!(
        refusal(&[set(0, 0), jeq0(1, 1), EXIT, set(2, 1), ja(-2)]),
        StructureError::Endless { index: 3 }
    );
    assert_eq!(refusal(&[set(0, 0), jeq0(1, -1), EXIT]), StructureError::JumpToItself { index: 1 });
    assert_eq!(refusal(&[ja(-1)]), StructureError::JumpToItself { index: 0 });
    // A loop with a way out is the property termination's concern.
    accepted(&[set(0, 0), insn(0x07, 0, 0, 0, 1), insn(0x55, 0, 0, -2, 9), EXIT]);
}

#[test]
fn end_of_the_code_is_refused_when_it_can_be_passed() {
    assert_eq!(refusal(&[set(0, 0)]), StructureError::FallsOffTheEnd { index: 0 });
    assert_eq!(
        refusal(&[set(0, 0), jeq0(0, 1), EXIT, set(0, 1)]),
        StructureError::FallsOffTheEnd { index: 3 }
    );
    assert_eq!(refusal(&[set(0, 0), EXIT, jeq0(0, -2)]), StructureError::FallsOffTheEnd { index: 2 });
    let [low, high] = load64(0, 1);
    assert_eq!(refusal(&[set(0, 0), EXIT, low, high]), StructureError::FallsOffTheEnd { index: 2 });
    assert_eq!(
        Elf::new(&[set(0, 0), EXIT, CALL]).helper(2, "h").refusal(),
        StructureError::FallsOffTheEnd { index: 2 }
    );
    accepted(&[ja(1), EXIT, set(0, 0), ja(-3)]);
}

#[test]
fn register_is_refused_when_not_set_on_every_path() {
    let unset = |index, register| StructureError::Uninitialised { index, register };
    assert_eq!(refusal(&[EXIT]), unset(0, 0));
    assert_eq!(refusal(&[copy(0, 2), EXIT]), unset(0, 2));
    assert_eq!(refusal(&[insn(0x07, 3, 0, 0, 1), set(0, 0), EXIT]), unset(0, 3));
    assert_eq!(refusal(&[store(10, 9, -8), set(0, 0), EXIT]), unset(0, 9));
    assert_eq!(refusal(&[set(0, 0), insn(0x1d, 1, 5, 0, 0), EXIT]), unset(1, 5));
    // Set on one path alone.
    assert_eq!(refusal(&[jeq0(1, 1), set(0, 0), EXIT]), unset(2, 0));
    // A call leaves r1 to r5 to the helper, and keeps r6 to r9.
    assert_eq!(Elf::new(&[CALL, copy(0, 1), EXIT]).helper(0, "h").refusal(), unset(1, 1));
    Elf::new(&[copy(6, 1), CALL, copy(1, 6), CALL, EXIT]).helper(1, "h").helper(3, "h").verify().unwrap();
    // A loop whose second round has lost what the first had.
    let round = [set(2, 1), copy(3, 2), copy(6, 1), CALL, jeq0(0, -4), EXIT];
    assert_eq!(Elf::new(&round).helper(3, "h").refusal(), unset(1, 2));
}

#[test]
fn local_call_is_refused() {
    let local = |target: &str| StructureError::LocalCall { index: 0, target: target.into() };
    // As clang writes it: relative to the call, without a relocation.
    let code = [insn(0x85, 0, 1, 0, 1), EXIT, set(0, 0), EXIT];
    assert_eq!(refusal(&code), local("unnamed"));
    // By a relocation to a function of the object, or to the code section itself.
    for (name, info) in [("other", FUNCTION), ("", 0x03)] {
        let mut elf = Elf::new(&[CALL, EXIT, set(0, 0), EXIT]);
        elf.symbols.push((name, info, TEXT, 16, 0));
        elf.relocations.push((0, R_64_32, 1));
        assert_eq!(elf.refusal(), local(name));
    }
    let numbered = StructureError::NumberedCall { index: 0, number: 38 };
    assert_eq!(refusal(&[insn(0x85, 0, 0, 0, 38), EXIT]), numbered);
    for name in ["", "not a name", "1st", "naïve"] {
        let refused = Elf::new(&[CALL, EXIT]).helper(0, name).refusal();
        assert_eq!(refused, StructureError::HelperName { index: 0 }, "{name:?}");
    }
}

#[test]
fn jump_is_refused_when_it_lands_on_no_instruction() {
    let check = |offset, target| {
        let expect = StructureError::JumpOutside { index: 1, target };
        assert_eq!(refusal(&[set(0, 0), jeq0(0, offset), EXIT]), expect);
    };
    check(1, 3);
    check(-3, -1);
    check(i16::MAX, 32769);
    check(i16::MIN, -32766);
    let [low, high] = load64(2, 1);
    let into = refusal(&[set(0, 0), jeq0(0, 1), low, high, EXIT]);
    assert_eq!(into, StructureError::JumpIntoLoad { index: 1, target: 3 });
    // In code that is never reached, too.
    assert_eq!(refusal(&[set(0, 0), EXIT, ja(5)]), StructureError::JumpOutside { index: 2, target: 8 });
}

#[test]
fn instruction_is_refused_wherever_it_stands() {
    let check = |bad: Insn, cause| {
        assert_eq!(refusal(&[set(0, 0), bad, EXIT]), StructureError::Insn { index: 1, cause });
        assert_eq!(refusal(&[set(0, 0), EXIT, bad, EXIT]), StructureError::Insn { index: 2, cause });
    };
    check(set(10, 0), InsnError::FramePointer);
    check(set(11, 0), InsnError::Register(11));
    check(insn(0x37, 0, 0, 0, 0), InsnError::DivisionByZero);
    check(insn(0xdb, 1, 0, 0, 0), InsnError::Opcode(0xdb));
    check(insn(0x16, 0, 0, 0, 0), InsnError::Opcode(0x16));
    check(insn(0x8d, 0, 0, 0, 0), InsnError::Opcode(0x8d));
    check(insn(0x18, 0, 0, 0, 0), InsnError::HalfLoad);
    assert_eq!(
        refusal(&[insn(0x18, 0, 0, 0, 0)]),
        StructureError::Insn { index: 0, cause: InsnError::HalfLoad }
    );
    let half = [insn(0x18, 0, 0, 0, 0), insn(0, 1, 0, 0, 0), EXIT];
    assert_eq!(refusal(&half), StructureError::Insn { index: 0, cause: InsnError::HalfLoad });
}

#[test]
fn code_is_refused_when_memory_checks_overflow_16_bits() {
    // Each checked access takes 21 slots; 2,048 of them are as many as uBPF has room for.
    let with_accesses = |accesses: usize, others: usize| {
        let mut code = vec![set(0, 0)];
        code.extend(vec![load(2, 1, 0); accesses]);
        code.extend(vec![set(2, 0); others]);
        code.push(EXIT);
        Elf::new(&code).verify()
    };
    assert_eq!(with_accesses(2_048, 0).unwrap().checked_instructions, 43_010);
    let many = StructureError::TooManyAccesses { found: 2_049, limit: 2_048 };
    assert_eq!(with_accesses(2_049, 0), Err(many));
    assert_eq!(with_accesses(2_048, 22_525).unwrap().checked_instructions, 65_535);
    let long = StructureError::TooManyInstructions { found: 65_536, limit: 65_535 };
    assert_eq!(with_accesses(2_048, 22_526), Err(long));
    // A jump over 1,600 accesses is 33,600 long after the rewriting, which wraps around to before its start.
    let jump = |accesses: usize, backwards: bool| {
        let mut code = vec![set(0, 0)];
        if !backwards {
            code.push(jeq0(1, accesses as i16));
        }
        code.extend(vec![load(2, 1, 0); accesses]);
        if backwards {
            code.push(jeq0(1, -(accesses as i16) - 1));
        }
        code.push(EXIT);
        Elf::new(&code).verify()
    };
    assert!(jump(1_560, false).is_ok() && jump(1_560, true).is_ok());
    assert_eq!(jump(1_600, false), Err(StructureError::JumpOverflow { index: 1, displacement: 33_600 }));
    assert_eq!(jump(1_600, true), Err(StructureError::JumpOverflow { index: 1_601, displacement: -33_601 }));
}

/// `r1 = DATA ll; helper(r1)`
fn refers(imm: i32, symbol: (&'static str, u8, u16, u64, u64), data: &[u8]) -> Elf<'static> {
    let [low, high] = load64(1, imm);
    Elf::new(&[low, high, CALL, EXIT]).helper(2, "log").refers(0, symbol, data)
}

#[test]
fn data_reference_is_reported_when_the_loader_takes_other_data() {
    let warnings = |elf: &Elf| elf.verify().unwrap().warnings;
    let section = ("", 0x03, DATA, 0, 0);
    assert_eq!(warnings(&refers(0, section, b"one\0")), []);
    let ignored = Finding::AddendIgnored { index: 0, symbol: ".rodata".into(), addend: 4 };
    let mut strings = refers(4, section, b"one\0two\0");
    strings.flags[1] = 0x32;
    assert_eq!(warnings(&strings), [ignored]);
    let cut = Finding::CutShort { index: 0, symbol: "table".into(), copied: 2 };
    assert_eq!(warnings(&refers(0, ("table", OBJECT, DATA, 0, 8), &[1, 0, 2, 0, 3, 0, 4, 0])), [cut]);
    let mut high = refers(0, section, b"one\0");
    high.code[1][4] = 1;
    let ignored = Finding::AddendIgnored { index: 0, symbol: ".rodata".into(), addend: 1 << 32 };
    assert_eq!(warnings(&high), [ignored]);
}

#[test]
fn data_reference_is_refused_when_it_is_not_to_read_only_data() {
    let no_data = |symbol: &str| StructureError::NoData { index: 0, symbol: symbol.into() };
    assert_eq!(refers(0, ("other", OBJECT, 0, 0, 0), b"\0").refusal(), no_data("other"));
    assert_eq!(refers(0, ("common", OBJECT, 0xfff2, 0, 0), b"\0").refusal(), no_data("common"));
    assert_eq!(refers(0, ("absolute", OBJECT, 0xfff1, 0, 0), b"\0").refusal(), no_data("absolute"));
    assert_eq!(refers(0, ("past", OBJECT, DATA, 1, 0), b"\0").refusal(), no_data("past"));
    assert_eq!(refers(0, ("far", OBJECT, DATA, u64::MAX, 0), b"\0").refusal(), no_data("far"));
    let not_read_only = |symbol: &str, section: &str| StructureError::NotReadOnly {
        index: 0,
        symbol: symbol.into(),
        section: section.into(),
    };
    assert_eq!(refers(0, ("code", FUNCTION, TEXT, 0, 0), b"\0").refusal(), not_read_only("code", ".text"));
    assert_eq!(refers(0, ("meta", OBJECT, 5, 0, 0), b"\0").refusal(), not_read_only("meta", ".strtab"));
    let mut writable = refers(0, ("counter", OBJECT, DATA, 0, 0), b"\0");
    writable.flags[1] = 3;
    assert_eq!(writable.refusal(), not_read_only("counter", ".rodata"));
    let unterminated = StructureError::Unterminated { index: 0, symbol: "text".into() };
    assert_eq!(refers(0, ("text", OBJECT, DATA, 0, 0), b"no end").refusal(), unterminated);
}

#[test]
fn relocation_is_refused_when_it_does_not_fit() {
    let check = |at, kind| {
        let [low, high] = load64(1, 0);
        let mut elf = Elf::new(&[low, high, CALL, EXIT]).helper(2, "log");
        elf.relocations.push((at, kind, 1));
        assert_eq!(elf.refusal(), StructureError::Relocation { offset: at, kind });
    };
    check(0, R_64_32);
    check(0, 2);
    check(0, 0);
    check(8, R_64_64);
    check(4, R_64_64);
    check(16, R_64_32);
    check(24, R_64_32);
    check(32, R_64_32);
    check(u64::MAX, R_64_32);
    let mut call = Elf::new(&[CALL, EXIT]).helper(0, "log");
    call.relocations[0].1 = R_64_64;
    assert_eq!(call.refusal(), StructureError::Relocation { offset: 0, kind: R_64_64 });
    call.relocations[0] = (0, R_64_32, 77);
    assert_eq!(call.refusal(), StructureError::Elf(ElfError::NoSymbol(0)));
    call.relocation_kind = 4;
    assert_eq!(call.refusal(), StructureError::Elf(ElfError::Rela));
}

#[test]
fn entry_is_refused_when_not_a_global_function_at_the_start() {
    for symbol in [
        ("entry", FUNCTION, TEXT, 8, 0),
        ("entry", 0x02, TEXT, 0, 0),
        ("entry", UNTYPED, TEXT, 0, 0),
        ("entry", FUNCTION, DATA, 0, 0),
        ("not a name", FUNCTION, TEXT, 0, 0),
        ("", FUNCTION, TEXT, 0, 0),
    ] {
        let mut elf = Elf::new(&[set(0, 0), EXIT]);
        elf.symbols = vec![symbol];
        assert_eq!(elf.refusal(), StructureError::NoEntry, "{symbol:?}");
    }
}

#[test]
fn unreachable_code_is_reported() {
    let [low, high] = load64(0, 1);
    let report = accepted(&[set(0, 0), EXIT, low, high, EXIT]);
    assert_eq!(report.warnings, [Finding::Unreachable { first: 2, count: 2 }]);
}

#[test]
fn object_is_refused_when_it_is_not_one_for_bpf() {
    let good = Elf::new(&[set(0, 0), EXIT]).bytes();
    let field = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        match verify(&bytes, &StructureLimits::default()) {
            Err(StructureError::Elf(ElfError::Header { field, .. })) => field,
            other => panic!("byte {at}: {other:?}"),
        }
    };
    assert_eq!(field(0, 0), "the magic");
    assert_eq!(field(4, 1), "the class");
    assert_eq!(field(5, 2), "the byte order");
    assert_eq!(field(6, 0), "the ELF version");
    assert_eq!(field(7, 3), "the OS ABI");
    assert_eq!(field(16, 2), "the type");
    assert_eq!(field(18, 62), "the machine");
    assert_eq!(field(58, 40), "the section header size");
    let elf = |change: fn(&mut Elf)| {
        let mut elf = Elf::new(&[set(0, 0), EXIT]);
        change(&mut elf);
        match elf.refusal() {
            StructureError::Elf(cause) => cause,
            other => panic!("{other}"),
        }
    };
    assert_eq!(elf(|elf| elf.flags[0] = 2), ElfError::NoCode);
    let second = ElfError::SecondCode { first: ".text".into(), second: ".rodata".into() };
    assert_eq!(elf(|elf| elf.flags[1] = 6), second);
    assert_eq!(elf(|elf| elf.flags[0] = 7), ElfError::CodeFlags(".text".into()));
    assert_eq!(elf(|elf| elf.code.clear()), ElfError::CodeSize(0));
    let tight = |limits: StructureLimits| verify(&good, &limits);
    let limits = StructureLimits { object_bytes: good.len() - 1, ..StructureLimits::default() };
    assert!(matches!(tight(limits), Err(StructureError::Elf(ElfError::TooLarge { .. }))));
    let limits = StructureLimits { sections: 5, ..StructureLimits::default() };
    assert!(matches!(
        tight(limits),
        Err(StructureError::Elf(ElfError::TooManySections { found: 6, limit: 5 }))
    ));
    for length in 0..good.len() {
        assert!(verify(&good[..length], &StructureLimits::default()).is_err(), "{length}");
    }
}

/// Compiles C for BPF, through pipes alone.
fn compile(source: &str) -> Vec<u8> {
    use std::io::Write;
    let mut clang = Command::new("/usr/bin/clang")
        .args(["-target", "bpf", "-O2", "-x", "c", "-c", "-", "-o", "/dev/stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("clang is missing: install it (apt-get install clang), as `make` does");
    clang.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    let output = clang.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

const PLUGLET: &str = r#"
    unsigned long get(void *c, int key);
    void tell(const char *text, unsigned long value);
    unsigned long entry(void *c) {
        unsigned long sum = 0, n = get(c, 1);
        for (unsigned long i = 0; i < n; i++) sum += get(c, 2);
        tell("sum", sum);
        return sum;
    }"#;

#[test]
fn compiled_pluglet_is_accepted_and_read_like_another_elf_reader_does() {
    let bytes = compile(PLUGLET);
    let report = verify(&bytes, &StructureLimits::default()).unwrap();
    let other = object::File::parse(&*bytes).unwrap();
    let code = other.section_by_name(".text").unwrap();
    assert_eq!(u64::from(report.instructions), code.size() / 8);
    assert_eq!((report.entry.as_str(), report.warnings.len()), ("entry", 0));
    assert_eq!(report.helpers, ["get", "tell"].map(str::to_owned).into());
}

#[test]
fn compiled_pluglet_is_refused_for_what_the_loader_gets_wrong() {
    let check = |source: &str| verify(&compile(source), &StructureLimits::default());
    let variable = check("static long calls; long entry(void *c) { return ++calls; }");
    assert!(matches!(variable, Err(StructureError::NotReadOnly { .. })), "{variable:?}");
    let helper_first = "static __attribute__((noinline)) long part(long x) { return x * x + 1; }
        long entry(void *c) { return part((long)c); }";
    assert!(matches!(check(helper_first), Err(StructureError::NoEntry | StructureError::LocalCall { .. })));
    let two = "void tell(const char *); long entry(void *c) { tell(\"one\"); tell(\"two\"); return 0; }";
    assert!(matches!(check(two).unwrap().warnings[..], [Finding::AddendIgnored { addend: 4, .. }]));
}

proptest! {
    #[test]
    fn verify_never_panics_on_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = verify(&bytes, &StructureLimits::default());
    }

    #[test]
    fn verify_never_panics_on_a_damaged_object(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
        is_cut in prop::bool::weighted(0.1),
    ) {
        let mut bytes = refers(4, ("", 0x03, DATA, 0, 0), b"one\0two\0").bytes();
        let length = bytes.len();
        for (at, byte) in damage {
            bytes[at.index(length)] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(length));
        }
        let _ = verify(&bytes, &StructureLimits::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn accepted_code_has_no_fault_a_walk_would_meet(
        code in prop::collection::vec(any_insn(), 1..8),
        is_set in any::<bool>(),
        choices in prop::collection::vec(any::<bool>(), 200),
    ) {
        let first = if is_set { set(0, 0) } else { ja(0) };
        let code: Vec<Insn> = [first].into_iter().chain(code).chain([EXIT]).collect();
        if Elf::new(&code).verify().is_ok() {
            walk(&code, &choices);
        }
    }
}

/// Instructions of which a few in a row are often acceptable, and often just not.
fn any_insn() -> impl Strategy<Value = Insn> {
    prop_oneof![
        (0u8..3).prop_map(|dst| set(dst, 1)),
        (0u8..3, 0u8..3).prop_map(|(dst, src)| copy(dst, src)),
        (0u8..2, -3i16..5).prop_map(|(dst, offset)| jeq0(dst, offset)),
        (-2i16..4).prop_map(ja),
        (0u8..3, 0u8..2).prop_map(|(dst, src)| load(dst, src, 0)),
        (0u8..2, -16i16..-5).prop_map(|(src, offset)| store(10, src, offset)),
        Just(EXIT),
    ]
}

/// Runs code with branches taken by choice, and checks what each step touches: an oracle written the other way round.
fn walk(code: &[Insn], choices: &[bool]) {
    let mut set = BTreeSet::from([1, 10]);
    let mut at = 0i64;
    for taken in choices {
        let [opcode, registers, o0, o1, ..] =
            *code.get(usize::try_from(at).unwrap()).expect("inside the code");
        let (dst, src) = (registers & 15, registers >> 4);
        let offset = i64::from(i16::from_le_bytes([o0, o1]));
        at += 1;
        let reads: &[u8] = match opcode {
            0xb7 | 0x05 => &[],
            0xbf | 0x79 => &[src],
            0x15 => &[dst],
            0x7b => &[dst, src],
            _ => &[0],
        };
        assert!(reads.iter().all(|register| set.contains(register)), "{code:?}");
        match opcode {
            0x95 => return,
            0x05 => at += offset,
            0x15 if *taken => at += offset,
            0x7b => assert!(dst == 10 && offset <= -8, "{code:?}"),
            0xb7 | 0xbf | 0x79 => drop(set.insert(dst)),
            _ => {}
        }
    }
}
