//! What is no address, or not one to be followed.

use super::{PQUIC, left, proved, refuted, report_on, unproved};
use pds_validator::platform::{Monitor, Platform};
use pds_validator::verdict::Verdict;

#[test]
fn pointer_of_the_host_is_not_followed() {
    refuted("r0 = *(u64 *)(r1 + 0); exit", &["instruction 0", "of the host's", "r1: cnx of the host"]);
    refuted("*(u64 *)(r1 + 8) = 1; r0 = 0; exit", &["instruction 0", "store"]);
    let text = "r2 = 46; r3 = 0; call get_cnx; r0 = *(u64 *)(r0 + 0); exit";
    refuted(text, &["path of the host"]);
}

#[test]
fn unknown_pointer_is_left_to_the_monitor() {
    left(
        "r2 = 0; r3 = 0; call get_cnx; r0 = *(u64 *)(r0 + 0); exit",
        &["instruction 3", "nothing is known of", "r0: unknown"],
    );
}

#[test]
fn nothing_is_left_to_a_monitor_that_is_not_there() {
    let mut bare = Platform::clone(&PQUIC);
    bare.memory.monitor = Monitor::None;
    let found = report_on(&bare, "r2 = 0; r3 = 0; call get_cnx; r0 = *(u64 *)(r0 + 0); exit");
    assert_eq!(found.monitored.verdict, Verdict::Inconclusive);
}

#[test]
fn number_is_no_address() {
    unproved("call picoquic_current_time; r0 = *(u64 *)(r0 + 0); exit", &["instruction 1", "number"]);
    // An address cut to 32 bits is none.
    let text =
        "r2 = 64; call my_malloc; if r0 == 0 goto end; w0 = w0; *(u8 *)(r0 + 0) = 1; end: r0 = 0; exit";
    let text = text.replace("w0 = w0", "r0 <<= 32; r0 >>= 32");
    unproved(&text, &["instruction 5", "number", "r0: number [0,4294967295]"]);
    let text =
        "r2 = 64; call my_malloc; if r0 == 0 goto end; w0 += 0; *(u8 *)(r0 + 0) = 1; end: r0 = 0; exit";
    unproved(text, &["instruction 4", "number"]);
}

#[test]
fn address_times_two_is_none() {
    let text =
        "r2 = 64; call my_malloc; if r0 == 0 goto end; r0 += r0; *(u8 *)(r0 + 0) = 1; end: r0 = 0; exit";
    left(text, &["nothing is known of"]);
    let text =
        "r2 = 64; call my_malloc; if r0 == 0 goto end; r0 *= 2; *(u8 *)(r0 + 0) = 1; end: r0 = 0; exit";
    left(text, &["nothing is known of"]);
}

#[test]
fn read_only_data_is_read_and_not_written() {
    proved("r1 = \"abc\" ll; r0 = *(u8 *)(r1 + 3); exit");
    refuted("r1 = \"abc\" ll; r0 = *(u8 *)(r1 + 4); exit", &["leaves the data", "read-only data(4 bytes)"]);
    refuted("r1 = \"abc\" ll; r0 = *(u16 *)(r1 + 3); exit", &["leaves the data"]);
    refuted("r1 = \"abc\" ll; *(u8 *)(r1 + 0) = 1; r0 = 0; exit", &["writes read-only data"]);
}

#[test]
fn spilled_pointer_is_itself_again() {
    let text = |between: &str| {
        format!(
            "r2 = 64; call my_malloc; if r0 == 0 goto end; *(u64 *)(r10 - 8) = r0; {between}; r1 = *(u64 *)(r10 - 8)
            *(u64 *)(r1 + 56) = 1; end: r0 = 0; exit"
        )
    };
    proved(&text("r3 = 0"));
    proved(&text("*(u64 *)(r10 - 16) = 0"));
    for partial in
        ["*(u8 *)(r10 - 8) = 0", "*(u8 *)(r10 - 1) = 0", "*(u64 *)(r10 - 12) = 0", "*(u32 *)(r10 - 8) = 0"]
    {
        left(&text(partial), &["nothing is known of"]);
    }
    // A read of a part is a number.
    let text = "r2 = 64; call my_malloc; if r0 == 0 goto end; *(u64 *)(r10 - 8) = r0; r1 = *(u32 *)(r10 - 8)
        *(u8 *)(r1 + 0) = 1; end: r0 = 0; exit";
    unproved(text, &["number"]);
}

#[test]
fn store_through_an_unknown_pointer_may_hit_the_frame() {
    let text = "r6 = r1; r2 = 0; r3 = 0; call get_cnx; *(u64 *)(r10 - 8) = 8; *(u64 *)(r0 + 0) = 1
        r1 = *(u64 *)(r10 - 8); r2 = r10; r2 += -16; r2 += r1; *(u8 *)(r2 + 0) = 1; r0 = 0; exit";
    let found = super::report(text);
    assert_eq!(found.monitored.verdict, Verdict::Inconclusive, "{}", super::causes(&found.monitored));
    assert_eq!(found.monitored.causes[0].slot, 10);
    // Without it the place is known.
    proved(&text.replace("*(u64 *)(r0 + 0) = 1", "r3 = 0"));
}

#[test]
fn allocator_is_not_relied_on_after_a_store_that_nobody_knows() {
    let text = "r6 = r1; r2 = 0; r3 = 0; call get_cnx; *(u64 *)(r0 + 0) = 1; r1 = r6; r2 = 64; call my_malloc
        if r0 == 0 goto end; *(u64 *)(r0 + 0) = 1; end: r0 = 0; exit";
    let found = super::report(text).memory;
    assert!(
        found.causes.iter().any(|cause| cause.slot == 9 && cause.text.contains("comes after a store")),
        "{found:?}"
    );
}

#[test]
fn instruction_that_the_platform_runs_its_own_way_is_not_relied_on() {
    // PQUIC's compiler moves all 64 bits: this may be the frame's address.
    unproved("w1 = w10; *(u64 *)(r1 - 8) = 1; r0 = 0; exit", &["may lead into the stack frame"]);
    // And multiplies by r0.
    let text = "call picoquic_current_time; r1 = 5; r1 *= 0; r2 = r10; r2 += -8; r2 += r1; *(u8 *)(r2 + 0) = 1; exit";
    unproved(text, &["may leave the stack frame"]);
    let mut reliable = Platform::clone(&PQUIC);
    reliable.unreliable.clear();
    assert_eq!(report_on(&reliable, text).memory.verdict, Verdict::Proved);
}
