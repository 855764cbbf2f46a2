//! What pluglets write and call, and what cannot be known of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::sync::LazyLock;

use pds_bytecode::assembly::program;
use pds_validator::analysis::{DEFAULT_STEPS, analyse};
use pds_validator::cfg::Cfg;
use pds_validator::effects::{Effects, Field, Slot, effects};
use pds_validator::platform::Platform;
use pds_validator::verdict::{Judgement, Verdict};

static PQUIC: LazyLock<Platform> =
    LazyLock::new(|| Platform::parse(include_str!("../../platforms/pquic.toml")).unwrap());

fn found(text: &str) -> (Effects, Judgement) {
    let program = program(text);
    let cfg = Cfg::new(&program);
    effects(&analyse(&program, &cfg, &PQUIC, DEFAULT_STEPS).unwrap())
}

/// All that there is, proved.
fn proved(text: &str) -> Effects {
    let (effects, judgement) = found(text);
    assert_eq!(judgement.verdict, Verdict::Proved, "{judgement:?}\n{text}");
    effects
}

fn refused(verdict: Verdict, text: &str, words: &[&str]) {
    let (_, judgement) = found(text);
    assert_eq!(judgement.verdict, verdict, "{judgement:?}\n{text}");
    let cause = judgement.causes[0].to_string();
    for word in words {
        assert!(cause.contains(word), "{cause:?} lacks {word:?}\n{text}");
    }
}

fn field(object: &str, key: u16, index: Option<u16>) -> Field {
    Field { object: object.to_owned(), key, index }
}

#[test]
fn nothing_has_no_effects() {
    assert_eq!(proved("r0 = 0; exit"), Effects::default());
}

#[test]
fn fields_and_metadata_are_told_apart() {
    let text = "r6 = r1; r2 = 22; r3 = 0; r4 = 7; call set_cnx; r1 = r6; r2 = 46; r3 = 0; call get_cnx
        r1 = r0; r2 = 23; r3 = 0; r4 = 9; call set_path; r1 = r6; r2 = 3; r3 = 1; call set_cnx_metadata; r1 = r6; r2 = 4
        call get_cnx_metadata; r0 = 0; exit";
    let effects = proved(text);
    assert_eq!(effects.writes, [field("cnx", 22, None), field("path", 23, None)].into());
    assert_eq!(effects.reads, [field("cnx", 46, Some(0))].into());
    assert_eq!(effects.metadata_writes, [Slot { object: "cnx".into(), slot: 3 }].into());
    assert_eq!(effects.metadata_reads, [Slot { object: "cnx".into(), slot: 4 }].into());
    assert_eq!(effects.classes, ["getter", "metadata", "setter"].map(str::to_owned).into());
    assert!(effects.void.is_empty());
}

#[test]
fn state_of_the_platform_is_reported_by_its_names() {
    let effects = proved("r2 = 5; call picoquic_reinsert_cnx_by_wake_time; call picoquic_current_time; exit");
    assert_eq!(effects.state_writes, ["cnx.next_wake_time".to_owned()].into());
    assert_eq!(effects.state_reads, ["system.clock".to_owned()].into());
}

#[test]
fn key_by_two_ways_is_known_on_each() {
    let set = "r1 = r6; r3 = 0; r4 = 0; call set_cnx";
    let text = format!(
        "r6 = r1; call get_errno; r0 &= 1; if r0 == 0 goto other; r2 = 16; {set}; goto end; other: r2 = 17; {set}
        end: r0 = 0; exit"
    );
    assert_eq!(proved(&text).writes, [field("cnx", 16, None), field("cnx", 17, None)].into());
}

#[test]
fn key_that_is_not_constant_is_refused() {
    let text = "r6 = r1; call get_errno; r0 &= 1; r2 = r0; r2 += 16; r1 = r6; r3 = 0; r4 = 0; call set_cnx; r0 = 0; exit";
    refused(Verdict::Inconclusive, text, &["instruction 8", "key of set_cnx", "r2: number [16,17]"]);
    let text = text
        .replace("r2 += 16", "r2 += 0")
        .replace("r3 = 0; r4 = 0; call set_cnx", "r3 = 0; call set_cnx_metadata");
    refused(Verdict::Inconclusive, &text, &["slot of set_cnx_metadata", "r2: number [0,1]"]);
}

#[test]
fn key_is_what_the_host_sees_of_it() {
    let text = "r2 = 0x70016 ll; r3 = 0; r4 = 7; call set_cnx; r0 = 0; exit";
    assert_eq!(proved(text).writes, [field("cnx", 22, None)].into());
}

#[test]
fn key_from_the_stack_is_known_until_it_may_be_overwritten() {
    let text = |between: &str| {
        format!(
            "r6 = r1; *(u64 *)(r10 - 8) = 22; {between}; r1 = r6; r2 = *(u64 *)(r10 - 8); r3 = 0; r4 = 0; call set_cnx
            r0 = 0; exit"
        )
    };
    assert_eq!(proved(&text("call picoquic_current_time")).writes.len(), 1);
    let unknown = "r2 = 0; call get_cnx_metadata; *(u64 *)(r0 + 0) = 1";
    refused(Verdict::Inconclusive, &text(unknown), &["key of set_cnx"]);
}

#[test]
fn field_that_the_platform_has_not_is_written_down() {
    let effects = proved("r2 = 51; r3 = 0; r4 = 1; call set_cnx; r0 = 0; exit");
    assert!(effects.writes.is_empty());
    assert_eq!(effects.void[0].to_string(), "instruction 3: cnx has no field 51 that can be written");
    // One that can be read alone.
    assert_eq!(proved("r2 = 15; r3 = 0; r4 = 1; call set_cnx; r0 = 0; exit").void.len(), 1);
    assert_eq!(proved("r2 = 10; r3 = 1; call set_cnx_metadata; r0 = 0; exit").void.len(), 1);
}

#[test]
fn helper_that_the_platform_has_not_is_refuted() {
    refused(Verdict::Refuted, "call system; r0 = 0; exit", &["instruction 0", "no helper system"]);
}

#[test]
fn operations_are_called_by_name() {
    let call = |name: &str, identity: &str| {
        format!(
            "*(u64 *)(r10 - 32) = 0; *(u64 *)(r10 - 24) = 0; *(u64 *)(r10 - 16) = 0; *(u64 *)(r10 - 8) = 0
            r2 = r10; r2 += -32; r3 = {name}; r4 = {identity}; call plugin_run_protoop; r0 = 0; exit"
        )
    };
    assert_eq!(proved(&call("\"log_event\" ll", "0")).operations, ["log_event".to_owned()].into());
    // One that is the plugin's own.
    assert_eq!(proved(&call("\"mine\" ll", "0")).operations, ["mine".to_owned()].into());
    refused(
        Verdict::Inconclusive,
        &call("r1", "0"),
        &["which operation is called is not known", "r3: cnx of the host"],
    );
    // An identity wins over the name.
    refused(
        Verdict::Inconclusive,
        &call("\"log_event\" ll", "r10"),
        &["which operation is called is not known"],
    );
}

#[test]
fn what_is_never_reached_has_no_effect() {
    let text = "r2 = 5; if r2 == 5 goto end; r2 = 22; r3 = 0; r4 = 7; call set_cnx; end: r0 = 0; exit";
    assert!(proved(text).writes.is_empty());
}
