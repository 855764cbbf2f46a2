//! Memory that the pluglet allocates.

use super::{left, proved, refuted, report};
use pds_validator::verdict::Verdict;

/// With r8 an allocation of 64 bytes that is not null.
fn allocated(rest: &str) -> String {
    format!("r6 = r1; r2 = 64; call my_malloc; if r0 == 0 goto end; r8 = r0; {rest}; end: r0 = 0; exit")
}

#[test]
fn own_memory_is_read_and_written() {
    proved(&allocated("*(u64 *)(r8 + 0) = 1; *(u64 *)(r8 + 56) = 1; r0 = *(u8 *)(r8 + 63)"));
    proved(&allocated("r1 = r8; r1 += 56; r1 -= 16; *(u64 *)(r1 + 16) = 1"));
    proved(&allocated("r1 = 8; r1 += r8; *(u64 *)(r1 + 0) = 1; r1 = r6; r2 = r8; call my_free"));
}

#[test]
fn own_memory_is_refuted_when_left_by_one() {
    let out = |rest: &str| {
        refuted(&allocated(rest), &["leaves its allocation", "allocation(instruction 2, 64 bytes)"])
    };
    out("*(u64 *)(r8 + 57) = 1");
    out("*(u8 *)(r8 + 64) = 1");
    out("*(u8 *)(r8 - 1) = 1");
    out("r1 = r8; r1 += 64; r0 = *(u8 *)(r1 + 0)");
    out("r1 = r8; r1 -= 1; r0 = *(u8 *)(r1 + 0)");
    out("r1 = 57; r1 += r8; *(u64 *)(r1 + 0) = 1");
    out("r2 = 8; r2 <<= 3; r1 = r8; r1 += r2; *(u8 *)(r1 + 0) = 1");
    out("r2 = -1; r1 = r8; r1 += r2; *(u8 *)(r1 + 0) = 1");
    // An offset that wraps around to below the beginning.
    out("r2 = 0x7fffffffffffffff ll; r1 = r8; r1 += r2; r1 += r2; *(u8 *)(r1 + 1) = 1");
    // The whole way around is where it was.
    proved(&allocated("r2 = 0x7fffffffffffffff ll; r1 = r8; r1 += r2; r1 += r2; *(u8 *)(r1 + 2) = 1"));
}

#[test]
fn own_memory_is_left_to_the_monitor_when_an_index_is_not_bounded() {
    let index = |check: &str| {
        allocated(&format!(
            "call picoquic_current_time; if r0 {check} goto end; r8 += r0; *(u8 *)(r8 + 0) = 1"
        ))
    };
    proved(&index("> 63"));
    left(&index("> 64"), &["instruction 8", "may leave its allocation", "+[0,64]"]);
    left(&index("s> 63"), &["may leave its allocation"]);
    left(&index("== 64"), &["may leave its allocation"]);
}

#[test]
fn loop_that_walks_off_is_refused() {
    let walk = |end: i32| {
        allocated(&format!(
            "r1 = 0; loop: r2 = r8; r2 += r1; *(u32 *)(r2 + 0) = r1; r1 += 4; if r1 != {end} goto loop"
        ))
    };
    proved(&walk(64));
    left(&walk(68), &["instruction 8", "may leave its allocation"]);
    left(&walk(66), &["instruction 8", "may leave its allocation"]);
    let walk = |end: i32| {
        allocated(&format!(
            "r1 = r8; r2 = r8; r2 += {end}; loop: *(u8 *)(r1 + 0) = 1; r1 += 1; if r1 != r2 goto loop"
        ))
    };
    proved(&walk(64));
    left(&walk(65), &["instruction 8", "may leave its allocation"]);
}

#[test]
fn size_of_an_allocation_is_what_the_host_sees() {
    // The host looks at 32 bits: this asks for 8 bytes.
    let text =
        "r2 = 0x100000008 ll; call my_malloc; if r0 == 0 goto end; *(u64 *)(r0 + 8) = 1; end: r0 = 0; exit";
    refuted(text, &["leaves its allocation", "8 bytes"]);
    // Of a size that is bounded from below.
    let text = |offset: u8| {
        format!(
            "r6 = r1; call picoquic_current_time; r0 &= 255; r0 += 16; r1 = r6; r2 = r0; call my_malloc
            if r0 == 0 goto end; *(u64 *)(r0 + {offset}) = 1; end: r0 = 0; exit"
        )
    };
    proved(&text(8));
    left(&text(9), &["may leave its allocation", "[16,271] bytes"]);
}

#[test]
fn null_is_refused() {
    let text = "r2 = 64; call my_malloc; *(u64 *)(r0 + 0) = 1; r0 = 0; exit";
    left(text, &["instruction 2", "may be null", "r0: allocation(instruction 1, 64 bytes), or null"]);
    refuted("r1 = 0; r0 = *(u64 *)(r1 + 0); exit", &["instruction 1", "null", "r1: number 0"]);
    refuted("r1 = 0; r1 += 16; r0 = *(u64 *)(r1 + 0); exit", &["null"]);
    // Where it is known to be null.
    let text = "r2 = 64; call my_malloc; if r0 != 0 goto end; *(u64 *)(r0 + 8) = 1; end: r0 = 0; exit";
    refuted(text, &["instruction 3", "null"]);
    // A check of the wrong one.
    let text =
        "r6 = r1; r2 = 64; call my_malloc; r7 = r0; r1 = r6; r2 = 64; call my_malloc; if r0 == 0 goto end
        *(u64 *)(r7 + 8) = 1; end: r0 = 0; exit";
    left(text, &["instruction 8", "may be null"]);
}

#[test]
fn check_for_null_counts_for_all_copies() {
    // A copy, one on the stack, and one that was moved before the check.
    let text = "r2 = 64; call my_malloc; r7 = r0; r8 = r0; r8 += 8; *(u64 *)(r10 - 8) = r0; if r7 == 0 goto end
        *(u64 *)(r0 + 0) = 1; *(u64 *)(r8 + 0) = 1; r1 = *(u64 *)(r10 - 8); *(u64 *)(r1 + 0) = 1; end: r0 = 0; exit";
    proved(text);
    // Null or not, from two ways.
    let text = "r6 = r1; r2 = 64; call my_malloc; r7 = 0; if r0 == 0 goto both; r7 = r0
        both: if r7 == 0 goto end; *(u64 *)(r7 + 56) = 1; end: r0 = 0; exit";
    proved(text);
}

#[test]
fn freed_memory_is_refused() {
    refuted(
        &allocated("r1 = r6; r2 = r8; call my_free; *(u64 *)(r8 + 0) = 1"),
        &["instruction 8", "freed memory", "freed)"],
    );
    // Through a pointer into it, and one kept on the stack.
    let text = allocated("r7 = r8; r7 += 8; r1 = r6; r2 = r8; call my_free; r0 = *(u64 *)(r7 + 0)");
    refuted(&text, &["freed memory"]);
    let text = allocated(
        "*(u64 *)(r10 - 8) = r8; r1 = r6; r2 = r8; call my_free; r7 = *(u64 *)(r10 - 8); r0 = *(u64 *)(r7 + 0)",
    );
    refuted(&text, &["freed memory"]);
    // Freed on one of two ways.
    let text = allocated(
        "call get_errno; r0 &= 1; if r0 == 0 goto write; r1 = r6; r2 = r8; call my_free; write: *(u64 *)(r8 + 0) = 1",
    );
    left(&text, &["may have been freed"]);
    // What realloc took is gone.
    let text = allocated("r1 = r6; r2 = r8; r3 = 128; call my_realloc; *(u64 *)(r8 + 0) = 1");
    refuted(&text, &["freed memory"]);
    proved(&allocated(
        "r1 = r6; r2 = r8; r3 = 128; call my_realloc; if r0 == 0 goto end; *(u64 *)(r0 + 120) = 1",
    ));
}

#[test]
fn memory_that_others_may_free_is_not_relied_on() {
    // An operation's pluglets may free what metadata leads to.
    let run = "*(u64 *)(r10 - 32) = 0; *(u16 *)(r10 - 24) = -1; *(u8 *)(r10 - 22) = 1; *(u32 *)(r10 - 20) = 0
        *(u64 *)(r10 - 16) = 0; *(u64 *)(r10 - 8) = 0; r1 = r6; r2 = r10; r2 += -32; r3 = \"pop_log_context\" ll; r4 = 0
        call plugin_run_protoop";
    proved(&allocated(&format!("{run}; *(u64 *)(r8 + 0) = 1")));
    let keep = "r1 = r6; r2 = 0; r3 = r8; call set_cnx_metadata";
    proved(&allocated(&format!("{keep}; *(u64 *)(r8 + 0) = 1")));
    left(&allocated(&format!("{keep}; {run}; *(u64 *)(r8 + 0) = 1")), &["may have been freed"]);
    // Kept by way of a copy on the stack that nobody tracks.
    let hidden = "*(u64 *)(r10 - 40) = r8; *(u8 *)(r10 - 33) = 0; r1 = r6; r2 = 0; r3 = *(u64 *)(r10 - 40)
        call set_cnx_metadata";
    left(&allocated(&format!("{hidden}; {run}; *(u64 *)(r8 + 0) = 1")), &["may have been freed"]);
    // Copied by a helper.
    let copied = "*(u64 *)(r10 - 40) = r8; r1 = r8; r2 = r10; r2 += -40; r3 = 8; call my_memcpy";
    left(&allocated(&format!("{copied}; {run}; *(u64 *)(r8 + 0) = 1")), &["may have been freed"]);
}

#[test]
fn free_of_something_else_casts_doubt_on_all() {
    // The word from metadata may be the allocation.
    let text = allocated(
        "r1 = r6; r2 = 0; r3 = r8; call set_cnx_metadata; r1 = r6; r2 = 0; call get_cnx_metadata
        r1 = r6; r2 = r0; call my_free; *(u64 *)(r8 + 0) = 1",
    );
    left(&text, &["may have been freed"]);
    assert_eq!(report(&text).calls.verdict, Verdict::Inconclusive);
}

#[test]
fn allocations_of_a_loop_are_told_apart() {
    // The latest is live and not null; those before it may be freed.
    let text = "r6 = r1; r7 = 0; r8 = 0
        loop: r1 = r6; r2 = 16; call my_malloc; if r0 == 0 goto end; *(u64 *)(r0 + 8) = r7; r1 = r6; r2 = r0; call my_free
        r7 += 1; if r7 != 10 goto loop; end: r0 = 0; exit";
    proved(text);
    let text = "r6 = r1; r7 = 0; r8 = 0
        loop: r9 = r8; r1 = r6; r2 = 16; call my_malloc; if r0 == 0 goto end; r8 = r0; if r9 == 0 goto next
        *(u64 *)(r9 + 8) = r7; next: r1 = r6; r2 = r8; call my_free; r7 += 1; if r7 != 10 goto loop; end: r0 = 0; exit";
    let found = report(text).memory;
    assert_eq!(found.verdict, Verdict::Refuted, "{:?}", found.causes);
}
