//! What verifiers prove of programs, against runs of these programs with a host that does its worst.
//!
//! Programs are made at random, or are honest ones with something changed: a few written here, our sample plugins where
//! clang is, and PQUIC's where `PDS_PLUGIN_CORPUS` names a checkout. `PDS_DIFFERENTIAL_PROGRAMS` says how many there are,
//! `PDS_TEST_SEED` which.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use pds_bytecode::adversary::Adversary;
use pds_bytecode::assembly::assemble;
use pds_bytecode::code::Code;
use pds_bytecode::generate::{Callee, callees, program};
use pds_bytecode::machine::{End, Machine, Run};
use pds_bytecode::memory::{Fault, Kind};
use pds_bytecode::mutate::mutate;
use pds_plugin::archive::{ArchiveLimits, read_folder};
use pds_plugin::source::SourceTree;
use pds_validator::analysis::{Analysis, State, Value, analyse};
use pds_validator::build::{Circumstances, Recipe, build};
use pds_validator::cfg::Cfg;
use pds_validator::memory::{MemoryReport, memory};
use pds_validator::platform::Platform;
use pds_validator::program::{Program, Reg};
use pds_validator::structure::{StructureLimits, check};
use pds_validator::termination::{Termination, verify};
use pds_validator::verdict::Verdict;

static PLATFORM: LazyLock<Platform> =
    LazyLock::new(|| Platform::parse(include_str!("../../../platforms/pquic.toml")).unwrap());

/// Instructions that a run may take.
const STEPS: u64 = 4_000;
/// Runs of each program.
const RUNS: u64 = 3;

fn from_environment(name: &str, default: u64) -> u64 {
    let chosen = std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    println!("{name}={chosen}");
    chosen
}

/// What was seen of programs whose structure is in order.
#[derive(Debug, Default)]
struct Seen {
    programs: u64,
    /// Proved to end, some of these with loops, or to keep to their memory, in their own accesses and in calls too.
    ending: u64,
    ending_with_loops: u64,
    in_memory: u64,
    in_calls: u64,
    exits: u64,
    faults: u64,
    endless: u64,
}

#[test]
fn what_is_proved_holds_in_every_run() {
    let seed = from_environment("PDS_TEST_SEED", 20_261_125);
    let wanted = from_environment("PDS_DIFFERENTIAL_PROGRAMS", 100_000);
    let (honest, callees) = (honest(), callees(&PLATFORM));
    println!("{} honest programs, {} helpers", honest.len(), callees.len());
    let mut seen = Seen::default();
    for number in 0.. {
        if seen.programs == wanted {
            break;
        }
        // Each from its own number, so that one alone can be made again.
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(1 << 40 | 1).wrapping_add(number));
        let code = make(&honest, &callees, &mut random);
        if let Ok(program) = code.program() {
            examine(&program, number, random.u64(..), &mut seen);
        }
    }
    println!("{seen:?}");
    assert!(seen.ending * 10 >= wanted && seen.in_memory * 10 >= wanted, "too few are proved");
    assert!(seen.ending_with_loops * 20 >= wanted, "too few with loops are proved");
    assert!((seen.programs - seen.ending) * 20 >= wanted, "too few are not proved");
    assert!(seen.exits > 0 && seen.faults > 0 && seen.endless > 0);
}

fn make(honest: &[Code], callees: &[Callee], random: &mut fastrand::Rng) -> Code {
    let mut code = match random.u8(..10) {
        0 => honest[random.usize(..honest.len())].clone(),
        _ => program(random, callees),
    };
    if random.u8(..10) < 4 {
        mutate(&mut code, random);
    }
    code
}

fn examine(program: &Program, number: u64, seed: u64, seen: &mut Seen) {
    let cfg = Cfg::new(program);
    let analysis = analyse(program, &cfg, &PLATFORM, 100_000).ok();
    let found = verify(program, &cfg, analysis.as_ref());
    let report = analysis.as_ref().map(memory);
    let proved = |judgement: &pds_validator::verdict::Judgement| judgement.verdict == Verdict::Proved;
    seen.programs += 1;
    seen.ending += u64::from(proved(&found.judgement));
    seen.ending_with_loops += u64::from(proved(&found.judgement) && !found.loops.is_empty());
    seen.in_memory += u64::from(report.as_ref().is_some_and(|report| proved(&report.memory)));
    seen.in_calls += u64::from(report.as_ref().is_some_and(|report| proved(&report.calls)));
    // States take long to compute: of some programs only.
    let states = analysis
        .as_ref()
        .filter(|_| number.is_multiple_of(8))
        .map(|analysis| states(analysis, program.len()));
    for run in 0..RUNS {
        let (run, misused) = execute(program, seed.wrapping_add(run), states.as_deref(), number);
        let context = || format!("program {number}: {run:?}\n{}", Code::of(program));
        match run.end {
            End::Exit(_) => seen.exits += 1,
            End::Fault(..) => seen.faults += 1,
            End::OutOfSteps => seen.endless += 1,
            End::DivisionByZero(_) => {}
            End::Unset(_) => panic!("structure: {}", context()),
        }
        hold_termination(&found, &run, &context);
        if let Some(report) = &report {
            hold_memory(report, &run, misused, &context);
        }
    }
}

fn hold_termination(found: &Termination, run: &Run, context: &dyn Fn() -> String) {
    let Some(count) = &found.count else { return };
    assert!(run.executed <= count.most, "more than {} instructions: {}", count.most, context());
    let ends = matches!(run.end, End::Exit(_));
    assert!(!ends || run.executed >= count.least, "fewer than {} instructions: {}", count.least, context());
}

fn hold_memory(report: &MemoryReport, run: &Run, misused: bool, context: &dyn Fn() -> String) {
    if report.memory.verdict == Verdict::Proved {
        let own = |fault: &Fault| *fault != Fault::Argument;
        let faults = matches!(&run.end, End::Fault(_, fault) if own(fault));
        assert!(!faults, "memory was proved: {}", context());
        let uninitialised = matches!(run.uninitialised, Some((_, Kind::Frame)));
        assert!(!uninitialised, "reads what nobody wrote: {}", context());
    }
    assert!(!misused || report.calls.verdict != Verdict::Proved, "memory-calls was proved: {}", context());
}

/// What the analysis knows before each slot.
fn states(analysis: &Analysis<'_>, slots: usize) -> Vec<Option<State>> {
    let mut states = vec![None; slots];
    analysis.walk(|slot, state| states[slot] = Some(state.clone()), |_, _| {});
    states
}

/// Runs a program, and says whether it passed a helper what it does not take.
fn execute(program: &Program, seed: u64, states: Option<&[Option<State>]>, number: u64) -> (Run, bool) {
    let mut host = Adversary::new(&PLATFORM, seed);
    let mut machine = Machine::new(program, PLATFORM.limits.stack_bytes, None, seed);
    for register in 0..Reg::COUNT as u8 {
        if let Some(word) = host.entry(register, &mut machine.memory) {
            machine.registers[usize::from(register)] = Some(word);
        }
    }
    machine.quirks = seed & 1 == 0;
    // The analysis says nothing of what comes after an access that is none.
    machine.lenient = seed & 2 == 0 && states.is_none();
    let mut watch = |slot: usize, registers: &[Option<u64>; Reg::COUNT]| {
        let Some(states) = states else { return };
        let Some(state) = &states[slot] else { panic!("program {number}: nothing gets to {slot}") };
        for (register, word) in Reg::all().zip(registers) {
            if let (Value::Scalar(numbers), Some(word)) = (state.register(register).value, word) {
                assert!(
                    numbers.contains(*word),
                    "program {number}: {register} is {word} before {slot}, not {numbers:?}\n{}",
                    Code::of(program)
                );
            }
        }
    };
    let call =
        &mut |_: usize, name: &str, words: [Option<u64>; 5], memory: &mut _| host.call(name, words, memory);
    let run = machine.run_watched(STEPS, call, &mut watch);
    (run, host.is_misused)
}

/// Programs that do nothing wrong.
fn honest() -> Vec<Code> {
    let written = [
        "r6 = r1; r7 = 0; r8 = 0
         head: r1 = r6; r2 = 5; r3 = 0; call get_cnx; r8 += r0; r7 += 1; if r7 < 10 goto head
         r0 = r8; exit",
        "r6 = r1; r2 = 64; call my_malloc; r7 = r0; if r0 == 0 goto end
         r1 = 0
         head: r2 = r7; r2 += r1; *(u8 *)(r2 + 0) = r1; r1 += 1; if r1 != 64 goto head
         r1 = r6; r2 = r7; call my_free
         end: r0 = 0; exit",
        "*(u64 *)(r10 - 8) = 0; r6 = r1
         head: r1 = *(u64 *)(r10 - 8); r1 <<= 3; r1 &= 56; r2 = r10; r2 += r1; *(u64 *)(r2 - 72) = r6
         r1 = *(u64 *)(r10 - 8); r1 += 1; *(u64 *)(r10 - 8) = r1; r1 <<= 32; r1 s>>= 32; if r1 s< 8 goto head
         r0 = 0; exit",
        "r6 = r1; r7 = 3
         outer: r8 = 5
         inner: r8 -= 1; if r8 != 0 goto inner
         r7 -= 1; if r7 s> 0 goto outer
         r0 = 0; exit",
    ];
    let mut codes: Vec<Code> = written.into_iter().map(assemble).collect();
    codes.extend(samples());
    codes.extend(corpus());
    codes
}

/// Our sample plugins; none without a compiler.
fn samples() -> Vec<Code> {
    let recipe = Recipe::pquic();
    if !recipe.compiler_file().is_file() {
        return vec![];
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    compiled(&read_folder(&folder, &ArchiveLimits::default()).unwrap(), &recipe)
}

/// PQUIC's plugins.
fn corpus() -> Vec<Code> {
    let Some(root) = std::env::var_os("PDS_PLUGIN_CORPUS") else { return vec![] };
    let mut tree = SourceTree::default();
    for folder in ["plugins", "picoquic"] {
        let part = read_folder(&Path::new(&root).join(folder), &ArchiveLimits::default()).unwrap();
        for (path, content) in part.files() {
            tree.insert(&format!("{folder}/{path}"), content.to_vec()).unwrap();
        }
    }
    let mut recipe = Recipe::pquic();
    recipe.flags.extend(["-Ipicoquic", "-w"].map(str::to_owned));
    compiled(&tree, &recipe)
}

fn compiled(tree: &SourceTree, recipe: &Recipe) -> Vec<Code> {
    let runs = AtomicBool::new(false);
    let sources =
        tree.files().map(|(path, _)| path).filter(|path| path.ends_with(".c") && !path.contains("syntax"));
    let objects = sources.filter_map(|path| {
        let object = path.replace(".c", ".o");
        let built = build(tree, "", &BTreeSet::from([object.as_str()]), recipe, Circumstances::Plain, &runs);
        built.ok()?.objects.remove(&object)
    });
    let code = |object: Vec<u8>| Some(Code::of(&check(&object, &StructureLimits::default()).ok()?.0));
    objects.filter_map(code).collect()
}
