//! Memory accesses, honest and hostile: what is proved, what is refused, and why.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

mod calls;
mod frame;
mod heap;
mod joins;
mod metadata;
mod pointers;

use std::sync::LazyLock;

use pds_bytecode::assembly::program;
use pds_validator::analysis::{DEFAULT_STEPS, analyse};
use pds_validator::cfg::Cfg;
use pds_validator::memory::{MemoryReport, memory};
use pds_validator::platform::Platform;
use pds_validator::verdict::{Judgement, Verdict};

static PQUIC: LazyLock<Platform> =
    LazyLock::new(|| Platform::parse(include_str!("../../../platforms/pquic.toml")).unwrap());

fn report_on(platform: &Platform, text: &str) -> MemoryReport {
    let program = program(text);
    let cfg = Cfg::new(&program);
    memory(&analyse(&program, &cfg, platform, DEFAULT_STEPS).unwrap())
}

fn report(text: &str) -> MemoryReport {
    report_on(&PQUIC, text)
}

fn proved(text: &str) {
    let found = report(text).memory;
    assert_eq!(found.verdict, Verdict::Proved, "{}\n{text}", causes(&found));
}

/// Refused by `memory` with this verdict, and a cause that has all of some words.
fn refused(verdict: Verdict, text: &str, words: &[&str]) {
    let found = report(text).memory;
    assert_eq!(found.verdict, verdict, "{}\n{text}", causes(&found));
    has_words(&found, words, text);
}

/// Wrong in every execution.
fn refuted(text: &str, words: &[&str]) {
    refused(Verdict::Refuted, text, words);
}

/// Not proved by `memory`, nor by `memory-monitored`.
fn unproved(text: &str, words: &[&str]) {
    refused(Verdict::Inconclusive, text, words);
    let monitored = report(text).monitored;
    assert_eq!(monitored.verdict, Verdict::Inconclusive, "{}\n{text}", causes(&monitored));
}

/// Not proved by `memory`, and left to the monitor.
fn left(text: &str, words: &[&str]) {
    refused(Verdict::Inconclusive, text, words);
    let monitored = report(text).monitored;
    assert_eq!(monitored.verdict, Verdict::Proved, "{}\n{text}", causes(&monitored));
}

fn has_words(found: &Judgement, words: &[&str], text: &str) {
    let cause = found.causes[0].to_string();
    for word in words {
        assert!(cause.contains(word), "{cause:?} lacks {word:?}\n{text}");
    }
}

fn causes(found: &Judgement) -> String {
    found.causes.iter().map(|cause| format!("{cause}\n")).collect()
}
