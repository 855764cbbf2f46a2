//! Loops that end, and hostile ones that do not or may not.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use pds_bytecode::assembly::program;
use pds_plugin::manifest::Manifest;
use pds_validator::analysis::{DEFAULT_STEPS, analyse};
use pds_validator::cfg::Cfg;
use pds_validator::platform::Platform;
use pds_validator::termination::recursion::{self, Operations};
use pds_validator::termination::{Termination, verify};
use pds_validator::verdict::{Judgement, Verdict};

static PLATFORM: LazyLock<Platform> =
    LazyLock::new(|| Platform::parse(include_str!("../../platforms/pquic.toml")).unwrap());

fn termination(text: &str) -> Termination {
    let program = program(text);
    let cfg = Cfg::new(&program);
    let analysis = analyse(&program, &cfg, &PLATFORM, DEFAULT_STEPS).unwrap();
    verify(&program, &cfg, Some(&analysis))
}

/// Proved, with the most instructions.
fn most(text: &str) -> u64 {
    let found = termination(text);
    assert_eq!(found.judgement.verdict, Verdict::Proved, "{:?}\n{text}", found.judgement);
    found.count.unwrap().most
}

fn formula(text: &str) -> String {
    termination(text).count.unwrap().formula.unwrap()
}

/// Inconclusive, with the first cause.
fn cause(text: &str) -> String {
    let found = termination(text);
    assert_eq!(found.judgement.verdict, Verdict::Inconclusive, "{:?}\n{text}", found.loops);
    assert!(found.count.is_none());
    found.judgement.causes[0].to_string()
}

fn check_cause(text: &str, expect: &str) {
    let found = cause(text);
    assert!(found.contains(expect), "{found}\n{text}");
}

#[test]
fn program_without_loops_ends() {
    assert_eq!(most("r0 = 0; exit"), 2);
    assert_eq!(most("r0 = 5 ll; if r0 == 5 goto end\n r0 = 1; r0 = 2; end: exit"), 5);
    assert_eq!(
        most("r0 = 0; if r1 == 0 goto a\n r0 = 1; goto end\n a: r0 = 2; r0 = 3; r0 = 4\n end: exit"),
        6
    );
}

#[test]
fn counted_loops_are_counted() {
    // The bound is one round more than there are: the last may be left at any instruction.
    let bottom = |body: &str| most(&format!("r6 = 0; r0 = 0\nhead: {body} goto head\nexit"));
    assert_eq!(bottom("r6 += 1; if r6 < 10"), 2 + 10 * 2 + 1);
    assert_eq!(bottom("r6 += 1; if r6 <= 10"), 2 + 11 * 2 + 1);
    assert_eq!(bottom("r6 += 3; if r6 < 10"), 2 + 4 * 2 + 1);
    assert_eq!(bottom("r6 += 1; if r6 != 10"), 2 + 10 * 2 + 1);
    assert_eq!(bottom("r6 += 5; if r6 != 10"), 2 + 2 * 2 + 1);
    assert_eq!(bottom("r6 += 1; if r6 == 0"), 2 + 2 + 1);
    assert_eq!(bottom("r6 += -1; if r6 s> -10"), 2 + 10 * 2 + 1);
    assert_eq!(bottom("r6 += -1; if r6 s>= -10"), 2 + 11 * 2 + 1);
    assert_eq!(bottom("r6 += -1; if r6 != -10"), 2 + 10 * 2 + 1);
    let top = "r6 = 0; r0 = 0\nhead: if r6 > 9 goto end\nr6 += 1; goto head\nend: exit";
    assert_eq!(most(top), 2 + 11 * 3 + 1);
    assert_eq!(most("r6 = 10; r0 = 0\nhead: r6 -= 1; if r6 != 0 goto head\nexit"), 2 + 10 * 2 + 1);
}

#[test]
fn counter_may_be_a_copy_cut_or_shifted() {
    let check = |body: &str| most(&format!("r6 = 0; r0 = 0\nhead: r6 += 1; {body} goto head\nexit"));
    assert_eq!(check("r2 = r6; if r2 < 10"), 2 + 10 * 3 + 1);
    assert_eq!(check("r2 = r6; r2 <<= 32; r2 >>= 32; if r2 < 10"), 2 + 10 * 5 + 1);
    assert_eq!(check("r2 = r6; r2 <<= 32; r2 s>>= 32; if r2 s< 10"), 2 + 10 * 5 + 1);
    assert_eq!(check("r2 = r6; r2 += 5; if r2 < 10"), 2 + 5 * 4 + 1);
    assert_eq!(check("r6 <<= 32; r6 >>= 32; if r6 < 10"), 2 + 10 * 4 + 1);
    // As LLVM adds to a number of 32 bits with a sign.
    let shifted = "r6 = 0; r0 = 0; r2 = 0x100000000 ll
        head: r6 <<= 32; r6 += r2; r6 s>>= 32; r3 = 10; if r3 s> r6 goto head
        exit";
    assert_eq!(most(shifted), 3 + 10 * 5 + 1);
    assert_eq!(check("r6 &= 255; if r6 < 10"), 2 + 10 * 3 + 1);
    assert_eq!(check("r2 = 10; if r2 > r6"), 2 + 10 * 3 + 1);
    // A counter of 8 bits that is seen whole before it is cut.
    assert_eq!(
        most("r6 = 0; r0 = 0\nhead: if r6 > 9 goto end\n r6 += 1; r6 &= 255; goto head\nend: exit"),
        2 + 11 * 4 + 1
    );
}

#[test]
fn counter_may_be_on_the_stack() {
    let count = |body: &str| {
        format!(
            "*(u64 *)(r10 - 8) = 0; r6 = r1
            head: {body} r2 = *(u64 *)(r10 - 8); r2 += 1; *(u64 *)(r10 - 8) = r2
            if r2 < 10 goto head
            r0 = 0; exit"
        )
    };
    assert_eq!(most(&count("")), 2 + 10 * 4 + 2);
    // A store elsewhere, and a call that writes elsewhere.
    assert_eq!(most(&count("r3 = r10; r3 += -16; *(u64 *)(r3 + 0) = 7;")), 2 + 10 * 7 + 2);
    assert_eq!(most(&count("r1 = r6; r2 = 1; r3 = 0; call get_cnx;")), 2 + 10 * 8 + 2);
    let fills = |offset: i32| count(&format!("r1 = r10; r1 += {offset}; r2 = 7; r3 = 8; call my_memset;"));
    assert_eq!(most(&fills(-16)), 2 + 10 * 9 + 2);
    check_cause(&fills(-8), "not counted by constant steps");
    check_cause(&fills(-12), "not counted by constant steps");
    // A store that may lead there.
    check_cause(
        &count("r3 = *(u64 *)(r10 - 8); r3 += r10; *(u64 *)(r3 - 16) = 7;"),
        "not counted by constant steps",
    );
    check_cause(&count("*(u8 *)(r10 - 4) = 7;"), "not counted by constant steps");
}

#[test]
fn limit_may_be_a_register() {
    let check = |limit: &str, body: &str| format!("{limit}; r6 = 0; r0 = 0\nhead: {body} goto head\nexit");
    assert_eq!(most(&check("r7 = *(u64 *)(r1 + 0); r7 &= 63", "r6 += 1; if r6 < r7")), 4 + 63 * 2 + 1);
    assert_eq!(
        formula(&check("r7 = *(u64 *)(r1 + 0)", "r6 += 1; if r6 < r7")),
        "4 + 2*(1 + min(r7@3 - 1, 2^64-2))"
    );
    assert_eq!(most(&check("r7 = *(u64 *)(r1 + 0)", "r6 += 1; if r6 < r7")), u64::MAX);
    // Any limit that fits the counter is met by steps of one.
    assert_eq!(most(&check("r7 = *(u64 *)(r1 + 0)", "r6 += 1; if r6 != r7")), u64::MAX);
    assert_eq!(most(&check("r7 = *(u64 *)(r1 + 0); r7 &= 63", "r6 += 1; if r6 != r7")), u64::MAX);
    // One that changes is taken for its greatest.
    assert_eq!(most(&check("r7 = *(u64 *)(r1 + 0)", "r7 &= 63; r6 += 1; if r6 < r7")), 3 + 63 * 3 + 1);
}

#[test]
fn loops_in_loops_multiply() {
    let nested = "r6 = 0; r0 = 0
        outer: r7 = 0
        inner: r7 += 1; if r7 < 5 goto inner
        r6 += 1; if r6 < 10 goto outer
        exit";
    assert_eq!(most(nested), 2 + 10 * (1 + 5 * 2 + 2) + 1);
    let found = termination(nested);
    assert_eq!(
        found.loops.iter().map(|bound| (bound.head, bound.rounds)).collect::<Vec<_>>(),
        [(2, 9), (3, 4)]
    );
}

#[test]
fn shorter_way_of_two_does_not_count() {
    let arms = "r6 = 0; r0 = 0
        head: if r1 == 0 goto other
        r0 = 1; r0 = 2; r0 = 3; goto on
        other: r0 = 4
        on: r6 += 1; if r6 < 10 goto head
        exit";
    assert_eq!(most(arms), 2 + 10 * 7 + 1);
}

#[test]
fn endless_loops_are_not_proved() {
    // Two instructions that go on as long as a helper wants.
    check_cause(
        "r6 = r1\nhead: r1 = r6; r2 = 1; r3 = 0; call get_cnx; if r0 != 0 goto head\nexit",
        "memory or a helper",
    );
    check_cause(
        "r0 = 0; r6 = *(u64 *)(r1 + 0)\nhead: if r6 == 0 goto end\n goto head\nend: exit",
        "does not change",
    );
    check_cause("r6 = 0; r0 = 0\nhead: r6 += 0; if r6 < 10 goto head\nexit", "does not change");
    check_cause("r6 = 0; r0 = 0\nhead: r6 += 1; r6 -= 1; if r6 < 10 goto head\nexit", "does not change");
}

#[test]
fn counter_that_wraps_is_not_proved() {
    let check =
        |body: &str| cause(&format!("r6 = 0; r7 = *(u64 *)(r1 + 0); r0 = 0\nhead: {body} goto head\nexit"));
    let wraps = "so large or small";
    let over = "step over";
    assert!(check("r6 += 1; r6 &= 255; if r6 < 256").contains(wraps));
    assert!(check("r6 += 1; if r6 >= 0").contains(wraps));
    assert!(check("r6 += 1; if r6 <= r7").contains(wraps));
    assert!(check("r6 += 1; r2 = r6; r2 <<= 32; r2 >>= 32; if r2 < r7").contains(wraps));
    assert!(
        check("r6 += 1; r2 = r6; r2 <<= 32; r2 s>>= 32; r7 <<= 32; r7 s>>= 32; if r2 s<= r7").contains(wraps)
    );
    assert!(check("r6 += 2; if r6 < r7").contains(over));
    assert!(check("r6 += -1; if r6 >= 0").contains(wraps));
    assert!(check("r6 += 2; r6 &= 255; if r6 < 255").contains(over));
}

#[test]
fn exit_that_is_jumped_over_is_not_proved() {
    let check =
        |start: i32, body: &str| cause(&format!("r6 = {start}; r0 = 0\nhead: {body} goto head\nexit"));
    assert!(check(0, "r6 += 2; if r6 != 9").contains("step over"));
    assert!(check(1, "r6 += 4; if r6 != 10").contains("step over"));
    assert!(check(0, "r6 += 1; r6 &= 255; if r6 != 256").contains("so large or small"));
}

#[test]
fn counter_that_is_changed_on_some_ways_is_not_proved() {
    let check = |body: &str| {
        check_cause(&format!("r6 = 0; r7 = *(u64 *)(r1 + 0); r0 = 0\nhead: {body}\nexit"), "not counted")
    };
    check("if r7 == 0 goto on\n r6 = 0\n on: r6 += 1; if r6 < 10 goto head");
    check("if r7 == 0 goto on\n r6 += -1\n on: r6 += 1; if r6 < 10 goto head");
    check("r6 += 1; r6 ^= r7; if r6 < 10 goto head");
    check("r6 += r7; if r6 < 10 goto head");
    check("r6 *= 2; if r6 < 10 goto head");
    check("r6 >>= 1; if r6 != 0 goto head");
    // A limit that a helper sets anew in every round.
    check_cause(
        "r6 = r1; r7 = 0\nhead: r1 = r6; r2 = 1; r3 = 0; call get_cnx; r7 += 1; if r0 >= r7 goto head\nr0 = 0; exit",
        "so large or small",
    );
}

#[test]
fn limit_that_moves_is_not_proved() {
    let check = |body: &str| cause(&format!("r6 = 0; r7 = 9; r0 = 0\nhead: {body} goto head\nexit"));
    assert!(check("r6 += 1; r7 += 1; if r6 != r7").contains("limit changes"));
    assert!(check("r6 += 2; r7 += 2; if r6 < r7").contains("step over"));
    assert!(check("r6 += 1; r7 += 1; if r6 <= r7").contains("so large or small"));
}

#[test]
fn exits_on_different_ways_bound_a_loop_together() {
    let text = "r6 = 0; r7 = *(u64 *)(r1 + 0); r0 = 0
        head: if r7 == 0 goto other
        if r6 > 9 goto end
        goto on
        other: if r6 >= 20 goto end
        on: r6 += 1; goto head
        end: exit";
    assert_eq!(most(text), 3 + 21 * 5 + 1);
}

#[test]
fn exit_that_is_not_always_passed_is_not_proved() {
    let text = "r6 = 0; r7 = *(u64 *)(r1 + 0); r0 = 0
        head: if r7 == 0 goto on
        r6 += 1; if r6 > 9 goto end
        goto head
        on: r6 += 1; goto head
        end: exit";
    check_cause(text, "no exit");
    // Steps of either sign, each with an exit of its own.
    let text = "r6 = 0; r7 = *(u64 *)(r1 + 0); r0 = 0
        head: if r7 == 0 goto other
        r6 += 1; if r6 < 10 goto head
        goto end
        other: r6 += -1; if r6 < 10 goto head
        end: exit";
    check_cause(text, "no exit");
    let text = "r6 = 0; r7 = *(u64 *)(r1 + 0); r0 = 0
        head: r6 += 1; if r7 == 0 goto head
        if r6 < 9 goto head
        exit";
    check_cause(text, "no exit");
}

#[test]
fn inner_loop_that_resets_the_outer_counter_is_not_proved() {
    let text = "r6 = 0; r0 = 0
        outer: r7 = 0
        inner: r7 += 1; r6 = 0; if r7 < 5 goto inner
        r6 += 1; if r6 < 10 goto outer
        exit";
    check_cause(text, "not counted");
    let text = "*(u64 *)(r10 - 8) = 0; r0 = 0
        outer: r7 = 0
        inner: r7 += 1; *(u64 *)(r10 - 8) = r7; if r7 < 5 goto inner
        r2 = *(u64 *)(r10 - 8); r2 += 1; *(u64 *)(r10 - 8) = r2; if r2 < 10 goto outer
        exit";
    check_cause(text, "not counted");
}

#[test]
fn irreducible_flow_is_not_proved() {
    let text = "r6 = 0; r0 = 0; if r1 == 0 goto second
        first: r6 += 1
        second: r6 += 1; if r6 < 10 goto first
        exit";
    check_cause(text, "irreducible");
}

#[test]
fn loops_nested_too_deep_are_not_proved() {
    let nested = |depth: usize| {
        let heads: String =
            (0..depth).map(|i| format!("*(u64 *)(r10 - {}) = 0\nh{i}: ", 8 * (i + 1))).collect();
        let tails: String = (0..depth)
            .rev()
            .map(|i| {
                let at = 8 * (i + 1);
                format!(
                    "r2 = *(u64 *)(r10 - {at}); r2 += 1; *(u64 *)(r10 - {at}) = r2; if r2 < 2 goto h{i}\n"
                )
            })
            .collect();
        format!("r0 = 0\n{heads} r0 = 1\n{tails} exit")
    };
    assert!(most(&nested(16)) > 1 << 16);
    check_cause(&nested(17), "too deep");
}

#[test]
fn longest_programs_take_no_time() {
    let slots = |body: &dyn Fn(usize) -> String| (0..200).map(body).collect::<String>();
    // Loops nested as deep as is looked into, around branches and words of the stack without number.
    let heads: String = (0..16).map(|i| format!("r6 = 0\nh{i}: ")).collect();
    let tails: String = (0..16).rev().map(|i| format!("r6 += 1; if r6 < 9 goto h{i}\n")).collect();
    let stores = slots(&|i| format!("*(u64 *)(r10 - {}) = 0\n", 8 * (i + 1)));
    let branches: String =
        (0..10_000).map(|i| format!("if r7 == {i} goto b{i}\nr8 = r7\nb{i}: r8 += 1\n")).collect();
    let nested = format!(
        "r7 = *(u64 *)(r1 + 0); r8 = 0; r0 = 0; {stores}\n{heads}\n{stores}\n{branches}\n{tails}\nexit"
    );
    // Loops without number, one after the other, each with a call.
    let one = |i: usize| {
        format!("r6 = 0\nl{i}: r1 = r9; r2 = 1; r3 = 0; call get_cnx; r6 += 1; if r6 < 5 goto l{i}\n")
    };
    let many: String = (0..4_000).map(one).collect();
    let many = format!("r9 = r1; {stores}\n{many}\nr0 = 0; exit");
    for text in [nested, many] {
        let program = program(&text);
        let cfg = Cfg::new(&program);
        let begun = Instant::now();
        let analysis = analyse(&program, &cfg, &PLATFORM, DEFAULT_STEPS).ok();
        let analysed = begun.elapsed();
        let found = verify(&program, &cfg, analysis.as_ref());
        println!("{} slots: {analysed:?} to analyse, {:?} in all", program.len(), begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert!(
            found.loops.len() + found.judgement.causes.len() + found.judgement.more == cfg.loops().count()
        );
    }
}

#[test]
fn cause_names_loop_test_and_registers() {
    let found = cause(
        "r6 = 0; r7 = *(u64 *)(r1 + 0); r7 &= 7; r0 = 0\nhead: r6 += 1; r7 += 1; if r6 != r7 goto head\nexit",
    );
    let expect = "instruction 4: no bound is found for the loop that begins here: the limit changes from round to round, \
                  at the exit at instruction 6 (r6: any; r7: any)";
    assert_eq!(found, expect);
}

#[test]
fn budget_is_held_against_the_count() {
    let within = |text: &str, budget| termination(text).within_budget(budget);
    let counted = "r6 = 0; r0 = 0\nhead: r6 += 1; if r6 < 10 goto head\nexit";
    assert_eq!(within(counted, 23).verdict, Verdict::Proved);
    let over = within(counted, 22);
    assert_eq!(over.verdict, Verdict::Inconclusive);
    assert_eq!(over.causes[0].text, "up to 23 instructions, the budget is 22");
    assert_eq!(within("r0 = 0; r0 = 1; r0 = 2; exit", 3).verdict, Verdict::Refuted);
    assert_eq!(within("r0 = 0; r0 = 1; r0 = 2; exit", 4).verdict, Verdict::Proved);
    assert_eq!(
        within("r0 = 0; r6 = r1\nhead: r0 = 1; if r6 == 0 goto head\nexit", 9).verdict,
        Verdict::Inconclusive
    );
    let symbolic =
        within("r7 = *(u64 *)(r1 + 0); r6 = 0; r0 = 0\nhead: r6 += 1; if r6 < r7 goto head\nexit", 1_000);
    assert!(symbolic.causes[0].text.starts_with("up to 4 + 2*(1 + min(r7@3 - 1, 2^64-2))"), "{symbolic:?}");
}

fn operations(text: &str) -> Operations {
    let program = program(text);
    let cfg = Cfg::new(&program);
    Operations::of(&analyse(&program, &cfg, &PLATFORM, DEFAULT_STEPS).unwrap())
}

/// A call of a protocol operation by name, with a null identity.
fn runs(name: &str) -> String {
    let call =
        "*(u64 *)(r10 - 32) = 0; *(u64 *)(r10 - 24) = 0; *(u16 *)(r10 - 22) = 1; *(u64 *)(r10 - 16) = 0
                *(u64 *)(r10 - 8) = 0; r2 = r10; r2 += -32";
    format!("{call}; r3 = \"{name}\" ll; r4 = 0; call plugin_run_protoop; r0 = 0; exit")
}

fn plugin(attachments: &str, pluglets: &[(&str, &str)]) -> Judgement {
    let manifest = Manifest::parse(format!("org.example.a\n{attachments}").as_bytes()).unwrap();
    let operations = pluglets.iter().map(|(object, text)| ((*object).to_owned(), operations(text)));
    recursion::verify(&manifest, &operations.collect::<BTreeMap<_, _>>())
}

#[test]
fn operations_that_are_run_are_listed() {
    let named = |text: &str| operations(text).named.into_keys().collect::<Vec<_>>();
    assert_eq!(named(&runs("packet_was_lost")), ["packet_was_lost"]);
    assert_eq!(operations(&runs("packet_was_lost")).any, None);
    // One that a helper runs on its way, and one whose name nobody knows.
    assert_eq!(
        named("r2 = 1; r3 = r10; call reserve_frames; exit"),
        ["log_event", "pop_log_context", "push_log_context"]
    );
    let unknown = runs("x").replace("r3 = \"x\" ll", "r3 = *(u64 *)(r10 - 8)");
    assert_eq!((operations(&unknown).named.len(), operations(&unknown).any.is_some()), (0, true));
}

#[test]
fn pluglets_that_run_each_other_are_not_proved() {
    let end = "r0 = 0; exit";
    let both = "ping replace a.o\npong replace b.o\n";
    let proved = |judgement: Judgement| assert_eq!(judgement.verdict, Verdict::Proved, "{judgement:?}");
    proved(plugin(both, &[("a.o", &runs("pong")), ("b.o", end)]));
    proved(plugin(both, &[("a.o", &runs("other")), ("b.o", &runs("ping"))]));
    let found = plugin(both, &[("a.o", &runs("pong")), ("b.o", &runs("ping"))]);
    assert_eq!(found.verdict, Verdict::Inconclusive);
    let expect = "pluglets run each other: a.o runs pong at instruction 10, where b.o is attached; \
                  b.o runs ping at instruction 10, where a.o is attached";
    assert_eq!(found.causes[0].text, expect);
    // By itself, beside an operation, by three, with a parameter.
    let check = |attachments: &str, pluglets: &[(&str, &str)]| {
        assert_eq!(plugin(attachments, pluglets).verdict, Verdict::Inconclusive, "{attachments}");
    };
    check("ping replace a.o\n", &[("a.o", &runs("ping"))]);
    check("ping post a.o\n", &[("a.o", &runs("ping"))]);
    check("ping param 0x1 replace a.o\n", &[("a.o", &runs("ping"))]);
    let three = "a replace a.o\nb pre b.o\nc extern c.o\n";
    check(three, &[("a.o", &runs("b")), ("b.o", &runs("c")), ("c.o", &runs("a"))]);
    // One that may run anything, and one of which nothing is known.
    check("ping replace a.o\n", &[("a.o", &runs("x").replace("r3 = \"x\" ll", "r3 = *(u64 *)(r10 - 8)"))]);
    check("ping replace a.o\n", &[]);
}
