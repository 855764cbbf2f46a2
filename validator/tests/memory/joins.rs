//! Paths that meet.

use super::{left, proved, report, unproved};

#[test]
fn divisor_of_zero_ends_the_pluglet() {
    let text = "call picoquic_current_time; r1 = 100; r1 /= r0; r0 = 0; exit";
    let found = report(text);
    let cause = found.divisions[0].to_string();
    assert!(cause.contains("instruction 2") && cause.contains("r0 may be zero"), "{cause}");
    // Not once it was checked, and afterwards it is none.
    assert!(
        report("call picoquic_current_time; if r0 == 0 goto end; r1 = 9; r1 /= r0; end: exit")
            .divisions
            .is_empty()
    );
    let text = "call picoquic_current_time; r1 = 100; r1 %= r0; r2 = r1; r2 /= r0; r0 = 0; exit";
    assert_eq!(report(text).divisions.len(), 1);
}

#[test]
fn remainder_bounds_an_index() {
    let text =
        "r6 = r1; r2 = 64; call my_malloc; if r0 == 0 goto end; r7 = r0; call picoquic_current_time; r0 %= 64
        r7 += r0; *(u8 *)(r7 + 0) = 1; end: r0 = 0; exit";
    proved(text);
    left(&text.replace("%= 64", "%= 65"), &["may leave its allocation"]);
}

#[test]
fn ways_that_are_not_taken_do_not_count() {
    proved("r1 = 5; if r1 == 5 goto end; r0 = *(u64 *)(r10 - 8); end: r0 = 0; exit");
    proved("r1 = 5; r2 = 0; if r1 s> -1 goto end; *(u64 *)(r2 + 0) = 1; end: r0 = 0; exit");
    // Two halves of the numbers.
    let text =
        "call picoquic_current_time; if r0 > 10 goto end; if r0 <= 10 goto end; r1 = 0; *(u64 *)(r1 + 0) = 1
        end: r0 = 0; exit";
    proved(text);
}

#[test]
fn two_allocations_are_not_one() {
    let text =
        "r6 = r1; r2 = 64; call my_malloc; if r0 == 0 goto end; r7 = r0; r1 = r6; r2 = 8; call my_malloc
        if r0 == 0 goto end; if r6 == 0 goto write; r7 = r0; write: *(u64 *)(r7 + 0) = 1; end: r0 = 0; exit";
    // r6 is never null: only one way is taken.
    proved(text);
    let text = text
        .replace("if r6 == 0", "call get_errno; r0 &= 1; if r0 == 0")
        .replace("r7 = r0; write", "r7 = r8; write");
    let text = text.replace("if r0 == 0 goto end; call", "if r0 == 0 goto end; r8 = r0; call");
    left(&text, &["nothing is known of"]);
}

#[test]
fn nested_loops_keep_to_their_array() {
    let text = |rows: u8| {
        format!(
            "r6 = r1; r2 = 64; call my_malloc; if r0 == 0 goto end; r7 = r0; r1 = 0
            rows: r2 = 0
            columns: r3 = r1; r3 <<= 3; r3 += r2; r4 = r7; r4 += r3; *(u8 *)(r4 + 0) = 1; r2 += 1; if r2 != 8 goto columns
            r1 += 1; if r1 != {rows} goto rows; end: r0 = 0; exit"
        )
    };
    proved(&text(8));
    left(&text(9), &["may leave its allocation"]);
}

#[test]
fn counter_on_the_stack_is_followed() {
    let text = |end: u8| {
        format!(
            "r6 = r1; r2 = 64; call my_malloc; if r0 == 0 goto end; r7 = r0; *(u64 *)(r10 - 8) = 0
            loop: r1 = *(u64 *)(r10 - 8); r2 = r7; r2 += r1; *(u8 *)(r2 + 0) = 1; r1 += 1; *(u64 *)(r10 - 8) = r1
            call picoquic_current_time; r1 = *(u64 *)(r10 - 8); if r1 < {end} goto loop; end: r0 = 0; exit"
        )
    };
    proved(&text(64));
    // The store that goes too far may overwrite the counter.
    left(&text(65), &["instruction 9", "nothing is known of"]);
}

#[test]
fn counter_of_32_bits_is_followed() {
    // As LLVM writes `for (int i = 0; i < 16; i++) a[i] = i` when it may not assume 64 bits.
    let text = |end: u8| {
        format!(
            "r6 = r1; r2 = 64; call my_malloc; if r0 == 0 goto end; r7 = r0; r1 = 0
            loop: r2 = r1; r2 <<= 32; r2 s>>= 32; r3 = r2; r3 <<= 2; r4 = r7; r4 += r3; *(u32 *)(r4 + 0) = 1; r1 += 1
            r2 = r1; r2 <<= 32; r2 s>>= 32; if r2 s< {end} goto loop; end: r0 = 0; exit"
        )
    };
    proved(&text(16));
    left(&text(17), &["may leave its allocation"]);
}

#[test]
fn loop_without_a_bound_is_refused() {
    let text = "call picoquic_current_time; r6 = r0; r1 = r10; r1 += -64
        loop: *(u8 *)(r1 + 0) = 1; r1 += 1; r6 += -1; if r6 != 0 goto loop; r0 = 0; exit";
    unproved(text, &["instruction 4", "may leave the stack frame"]);
}
