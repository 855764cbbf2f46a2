//! Memory that the pluglets of a plugin keep in metadata, and whether they all keep to what they rely on.

use super::PQUIC;
use pds_bytecode::assembly::program;
use pds_validator::analysis::contract::{Contract, agree};
use pds_validator::analysis::{DEFAULT_STEPS, analyse_under};
use pds_validator::cfg::Cfg;
use pds_validator::memory::memory;
use pds_validator::program::Program;
use pds_validator::verdict::Verdict;

/// What the pluglets agree on, and the verdict on the first of them.
fn plugin(pluglets: &[&str]) -> (Contract, Verdict) {
    let pluglets: Vec<(Program, Cfg)> = pluglets
        .iter()
        .map(|text| {
            let program = program(text);
            let cfg = Cfg::new(&program);
            (program, cfg)
        })
        .collect();
    let all: Vec<(&Program, &Cfg)> = pluglets.iter().map(|(program, cfg)| (program, cfg)).collect();
    let contract = agree(&all, &PQUIC, DEFAULT_STEPS).unwrap();
    let analysis = analyse_under(all[0].0, all[0].1, &PQUIC, &contract, DEFAULT_STEPS).unwrap();
    let verdict = memory(&analysis).memory.verdict;
    (contract, verdict)
}

/// Reads a word and writes through it.
const READER: &str =
    "r2 = 0; call get_cnx_metadata; if r0 == 0 goto end; *(u64 *)(r0 + 32) = 1; end: r0 = 0; exit";

/// Sets it to memory of 40 bytes, with something before that and after.
fn setter(before: &str, after: &str) -> String {
    format!(
        "r6 = r1; {before}; r1 = r6; r2 = 40; call my_malloc; r7 = r0; r1 = r6; r2 = 0; r3 = r7; call set_cnx_metadata
        {after}; r0 = 0; exit"
    )
}

fn agreed(pluglets: &[&str]) {
    let (contract, verdict) = plugin(pluglets);
    assert_eq!(contract.words(), [(("cnx".to_owned(), 0), 40)]);
    assert_eq!(verdict, Verdict::Proved);
}

fn broken(pluglets: &[&str]) {
    let (contract, verdict) = plugin(pluglets);
    assert_eq!(contract, Contract::EMPTY, "{pluglets:?}");
    assert_eq!(verdict, Verdict::Inconclusive);
}

#[test]
fn word_that_all_set_to_enough_memory_is_relied_on() {
    agreed(&[READER, &setter("r1 = 0", "r1 = 0")]);
    // Found, or made and put there.
    let text = "r6 = r1; r2 = 0; call get_cnx_metadata; r7 = r0; if r7 != 0 goto use; r1 = r6; r2 = 40; call my_malloc
        r7 = r0; if r7 == 0 goto end; r1 = r6; r2 = 0; r3 = r7; call set_cnx_metadata; use: *(u64 *)(r7 + 32) = 1
        end: r0 = 0; exit";
    agreed(&[text]);
    // Null is fine, and so is what was there.
    agreed(&[READER, &setter("r1 = 0", "r1 = r6; r2 = 0; r3 = 0; call set_cnx_metadata")]);
    agreed(&[
        READER,
        &setter("r1 = 0", "r1 = 0"),
        "r6 = r1; r2 = 0; call get_cnx_metadata; r1 = r6; r2 = 0; r3 = r0; call set_cnx_metadata; r0 = 0; exit",
    ]);
}

#[test]
fn least_memory_counts() {
    let small = setter("r1 = 0", "r1 = 0").replace("r2 = 40", "r2 = 39");
    let (contract, verdict) = plugin(&[READER, &setter("r1 = 0", "r1 = 0"), &small]);
    assert_eq!(contract.words(), [(("cnx".to_owned(), 0), 39)]);
    assert_eq!(verdict, Verdict::Inconclusive);
}

#[test]
fn word_that_nobody_sets_is_not_relied_on() {
    broken(&[READER]);
}

#[test]
fn word_that_is_set_to_something_else_is_not_relied_on() {
    broken(&[READER, &setter("r1 = 0", "r1 = r6; r2 = 0; r3 = 5; call set_cnx_metadata")]);
    broken(&[READER, &setter("r1 = 0", "r1 = r6; r2 = 0; r3 = r10; call set_cnx_metadata")]);
    broken(&[READER, &setter("r1 = 0", "r1 = r6; r2 = 0; r3 = r7; r3 += 8; call set_cnx_metadata")]);
    // Nobody knows which word.
    broken(&[
        READER,
        &setter("r1 = 0", "call get_errno; r0 &= 1; r2 = r0; r1 = r6; r3 = 0; call set_cnx_metadata"),
    ]);
}

#[test]
fn memory_that_is_freed_is_not_relied_on() {
    broken(&[READER, &setter("r1 = 0", "r1 = r6; r2 = r7; call my_free")]);
    let frees = "r6 = r1; r2 = 0; call get_cnx_metadata; if r0 == 0 goto end; r1 = r6; r2 = r0; call my_free; end: r0 = 0; exit";
    broken(&[READER, &setter("r1 = 0", "r1 = 0"), frees]);
    // Before it is put there.
    let text =
        "r6 = r1; r2 = 40; call my_malloc; if r0 == 0 goto end; r7 = r0; r1 = r6; r2 = r7; call my_free
        r1 = r6; r2 = 0; r3 = r7; call set_cnx_metadata; end: r0 = 0; exit";
    broken(&[READER, text]);
}

#[test]
fn memory_that_is_found_elsewhere_too_is_not_relied_on() {
    // In another word, which somebody may free.
    broken(&[READER, &setter("r1 = 0", "r1 = r6; r2 = 1; r3 = r7; call set_cnx_metadata")]);
    // In memory of the plugin's, on the stack that others know, and put together from halves.
    broken(&[READER, &setter("r1 = 0", "if r7 == 0 goto end; *(u64 *)(r7 + 0) = r7; end: r1 = 0")]);
    broken(&[READER, &setter("r1 = r6; r2 = 2; r3 = r10; call set_cnx_metadata", "*(u64 *)(r10 - 8) = r7")]);
    broken(&[READER, &setter("r1 = 0", "*(u64 *)(r10 - 8) = r7; r1 = *(u32 *)(r10 - 8)")]);
    // Made something of, and passed on.
    agreed(&[READER, &setter("r1 = 0", "r7 ^= 1")]);
    broken(&[READER, &setter("r1 = 0", "r7 ^= 1; r1 = r6; r2 = 3; r3 = r7; call set_cnx_metadata")]);
    broken(&[READER, &setter("r1 = 0", "r7 ^= 1; r1 = r6; r2 = r7; call my_free")]);
    // A reader gives it away.
    let gives = "r6 = r1; r2 = 0; call get_cnx_metadata; r1 = r6; r2 = 22; r3 = 0; r4 = r0; call set_cnx; r0 = 0; exit";
    broken(&[READER, &setter("r1 = 0", "r1 = 0"), gives]);
}

#[test]
fn memory_from_an_allocator_that_may_be_broken_is_not_relied_on() {
    let unknown = "r1 = r6; r2 = 3; call get_cnx_metadata; *(u64 *)(r0 + 0) = 1";
    broken(&[READER, &setter(unknown, "r1 = 0")]);
}

#[test]
fn word_that_the_platform_has_not_is_nothing() {
    let text = setter("r1 = 0", "r1 = 0").replace("r2 = 0; r3 = r7", "r2 = 10; r3 = r7");
    let (contract, _) = plugin(&[READER, &text]);
    assert_eq!(contract, Contract::EMPTY);
}
