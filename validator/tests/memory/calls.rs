//! Arguments of helpers and inputs of operations.

use super::{has_words, report};
use pds_validator::verdict::Verdict;

fn proved(text: &str) {
    let found = report(text).calls;
    assert_eq!(found.verdict, Verdict::Proved, "{}\n{text}", super::causes(&found));
}

/// Refused by `memory-calls` alone.
fn refused(verdict: Verdict, text: &str, words: &[&str]) {
    let found = report(text);
    assert_eq!(found.calls.verdict, verdict, "{}\n{text}", super::causes(&found.calls));
    has_words(&found.calls, words, text);
    assert_eq!(found.memory.verdict, Verdict::Proved, "{}\n{text}", super::causes(&found.memory));
}

fn refuted(text: &str, words: &[&str]) {
    refused(Verdict::Refuted, text, words);
}

fn unproved(text: &str, words: &[&str]) {
    refused(Verdict::Inconclusive, text, words);
}

const FILL: &str = "r1 = r10; r1 += -16; r2 = 0; r3 = 16; call my_memset";

#[test]
fn memory_of_a_helper_has_to_be_there() {
    proved(&format!("{FILL}; r0 = 0; exit"));
    let text = format!("{FILL}; r0 = 0; exit").replace("r3 = 16", "r3 = 17");
    refuted(&text, &["instruction 4", "my_memset with r1", "leaves the stack frame", "r1: r10-16"]);
    let text =
        "call picoquic_current_time; r3 = r0; r1 = r10; r1 += -16; r2 = 0; call my_memset; r0 = 0; exit";
    unproved(text, &["may leave the stack frame"]);
    let text = "call picoquic_current_time; if r0 > 16 goto end; r3 = r0; r1 = r10; r1 += -16; r2 = 0; call my_memset
        end: r0 = 0; exit";
    proved(text);
}

#[test]
fn memory_that_a_helper_reads_has_to_be_written() {
    let text = |bytes: u8| {
        format!(
            "{FILL}; r1 = r10; r1 += -32; r2 = r10; r2 += -16; r3 = {bytes}; call my_memcpy; r0 = 0; exit"
        )
    };
    proved(&text(16));
    let text = "r1 = r10; r1 += -32; r2 = r10; r2 += -16; r3 = 8; call my_memcpy; r0 = 0; exit";
    refuted(text, &["instruction 5", "my_memcpy with r2", "was not written"]);
}

#[test]
fn null_is_passed_only_where_it_may_be() {
    let text = "r6 = r1; r2 = 64; call my_malloc; r1 = r0; r2 = 0; r3 = 64; call my_memset; r0 = 0; exit";
    unproved(text, &["my_memset with r1", "may be null"]);
    refuted("r1 = 0; r2 = 0; r3 = 64; call my_memset; r0 = 0; exit", &["it is null"]);
    // Of no bytes it does not matter.
    proved("r1 = 0; r2 = 0; r3 = 0; call my_memset; r0 = 0; exit");
    refuted("r1 = 0; r2 = 1; r3 = 0; call get_cnx; r0 = 0; exit", &["get_cnx with r1", "null"]);
}

#[test]
fn pointers_of_the_host_are_not_confused() {
    proved(
        "r2 = 46; r3 = 0; call get_cnx; if r0 == 0 goto end; r1 = r0; r2 = 1; r3 = 0; call get_path; end: r0 = 0; exit",
    );
    refuted(
        "r2 = 1; r3 = 0; call get_path; r0 = 0; exit",
        &["instruction 2", "get_path with r1", "no pointer of the kind"],
    );
    let text = "r2 = 46; r3 = 0; call get_cnx; r1 = r0; r2 = 1; r3 = 0; call get_path; r0 = 0; exit";
    unproved(text, &["get_path with r1", "may be null", "path of the host, or null"]);
    let text = "r2 = 0; r3 = 0; call get_cnx; r1 = r0; r2 = 1; r3 = 0; call get_path; r0 = 0; exit";
    unproved(text, &["not known to be a pointer of the kind"]);
    // Moved by a little.
    refuted("r1 += 8; r2 = 1; r3 = 0; call get_cnx; r0 = 0; exit", &["no pointer of the kind"]);
}

#[test]
fn frees_take_what_was_allocated_once() {
    let allocated = |rest: &str| {
        format!("r6 = r1; r2 = 64; call my_malloc; if r0 == 0 goto end; r8 = r0; {rest}; end: r0 = 0; exit")
    };
    proved(&allocated("r1 = r6; r2 = r8; call my_free"));
    refuted(&allocated("r1 = r6; r2 = r8; call my_free; r1 = r6; r2 = r8; call my_free"), &["freed twice"]);
    refuted(&allocated("r1 = r6; r2 = r8; r2 += 8; call my_free"), &["beginning of an allocation"]);
    refuted(
        "r2 = r10; r2 += -8; call my_free; r0 = 0; exit",
        &["my_free with r2", "beginning of an allocation"],
    );
    refuted("r2 = r1; call my_free; r0 = 0; exit", &["beginning of an allocation"]);
    refuted("r2 = 0; call my_free; r0 = 0; exit", &["null"]);
    unproved(
        "r2 = 64; r6 = r1; call my_malloc; r1 = r6; r2 = r0; call my_free; r0 = 0; exit",
        &["may be null"],
    );
}

#[test]
fn registers_have_to_be_set_and_numbers_in_range() {
    refuted("r1 = r10; r1 += -8; r3 = 8; call my_memset; r0 = 0; exit", &["my_memset with r2", "not set"]);
    refuted(
        "r2 = 10; call get_cnx_metadata; r0 = 0; exit",
        &["get_cnx_metadata with r2", "out of range", "number 10"],
    );
    refuted("r2 = -1; call get_cnx_metadata; r0 = 0; exit", &["out of range"]);
    // The host looks at 32 bits.
    proved("r2 = 0x500000009 ll; call get_cnx_metadata; r0 = 0; exit");
}

#[test]
fn helpers_have_to_be_known() {
    refuted("call system; r0 = 0; exit", &["instruction 0", "call of system", "no such helper"]);
    refuted("r2 = 1; r3 = 1; call picoquic_memory_bound_error; r0 = 0; exit", &["no pluglet should call it"]);
}

#[test]
fn formats_show_numbers_alone() {
    let text = |format: &str| {
        format!(
            "r1 = r10; r1 += -64; r2 = 64; r3 = \"{format}\" ll; r4 = 1; r5 = 2; call snprintf; r0 = 0; exit"
        )
    };
    proved(&text("%d of %llu"));
    proved(&text("done"));
    unproved(&text("%s"), &["format"]);
    unproved(&text("%d%n"), &["format"]);
    unproved(&text("%*d"), &["format"]);
}

/// A call of an operation with two inputs from r10-48 and outputs at r10-64.
fn operation(name: &str, inputs: u8, outputs: &str) -> String {
    format!(
        "r6 = r1; *(u64 *)(r10 - 48) = 1; *(u64 *)(r10 - 40) = 2; *(u16 *)(r10 - 24) = -1; *(u8 *)(r10 - 22) = 1
        *(u32 *)(r10 - 20) = {inputs}; r1 = r10; r1 += -48; *(u64 *)(r10 - 16) = r1; r1 = {outputs}
        *(u64 *)(r10 - 8) = r1; r1 = r6; r2 = r10; r2 += -32; r3 = \"{name}\" ll; r4 = 0; call plugin_run_protoop
        r0 = 0; exit"
    )
}

#[test]
fn inputs_of_operations_are_checked() {
    proved(&operation("connection_state_changed", 2, "0"));
    let text = operation("connection_state_changed", 2, "0").replace("r10 - 40) = 2", "r10 - 40) = 19");
    refuted(&text, &["input to", "out of range"]);
    unproved(&operation("nobodys_operation", 2, "0"), &["which operation is called is not known"]);
    let text = operation("connection_state_changed", 2, "0").replace("*(u8 *)(r10 - 22) = 1", "r0 = 1");
    refuted(&text, &["field internal", "was not written"]);
}

#[test]
fn known_operation_leaves_the_frame_as_it_was() {
    let text = operation("connection_state_changed", 2, "0")
        .replace("r6 = r1;", "r6 = r1; *(u64 *)(r10 - 72) = 8;")
        .replace(
            "r0 = 0; exit",
            "r1 = *(u64 *)(r10 - 72); r2 = r10; r2 -= r1; *(u64 *)(r2 + 0) = 1; r0 = 0; exit",
        );
    super::proved(&text);
    // One that the platform does not know may keep the address of an input that is one in the frame.
    let kept = text.replace("connection_state_changed", "nobodys_operation");
    super::proved(&kept);
    let kept = kept.replace("*(u64 *)(r10 - 48) = 1", "*(u64 *)(r10 - 48) = r10");
    super::refused(Verdict::Inconclusive, &kept, &["stack frame"]);
}
