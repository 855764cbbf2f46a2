//! The stack frame.

use super::{left, proved, refuted, unproved};

#[test]
fn what_was_written_is_read() {
    proved("r0 = 7; *(u64 *)(r10 - 8) = r0; r0 = *(u64 *)(r10 - 8); exit");
    proved("r0 = 7; *(u64 *)(r10 - 2048) = r0; r0 = *(u8 *)(r10 - 2048); exit");
    proved("r0 = 7; *(u32 *)(r10 - 4) = r0; *(u32 *)(r10 - 8) = 1; r0 = *(u64 *)(r10 - 8); exit");
    proved("r0 = 0; *(u8 *)(r10 - 1) = 1; *(u8 *)(r10 - 2) = 1; r0 = *(u16 *)(r10 - 2); exit");
    proved("r2 = r10; r2 += -16; r0 = 0; *(u64 *)(r2 + 8) = r0; r0 = *(u32 *)(r10 - 4); exit");
}

#[test]
fn access_above_the_frame_is_refuted() {
    let text = "r2 = r10; r0 = *(u64 *)(r2 + 0); exit";
    refuted(text, &["instruction 1", "load of 8 bytes at r2+0", "leaves the stack frame", "r2: r10"]);
    refuted("r0 = 0; r2 = r10; *(u8 *)(r2 + 0) = 1; exit", &["instruction 2", "store of 1 bytes"]);
    refuted("r0 = 0; r2 = r10; r2 += 8; *(u64 *)(r2 + 8) = r0; exit", &["instruction 3", "r2: r10+8"]);
    refuted("r0 = 0; r2 = r10; r2 += 2147483647; *(u64 *)(r2 + 0) = r0; exit", &["leaves the stack frame"]);
}

#[test]
fn access_astride_an_end_is_refuted() {
    refuted("r0 = 0; r2 = r10; *(u64 *)(r2 - 4) = r0; exit", &["instruction 2", "leaves the stack frame"]);
    refuted("r0 = 0; r2 = r10; r2 += -2052; *(u64 *)(r2 + 0) = r0; exit", &["instruction 3", "r2: r10-2052"]);
    refuted("r0 = 0; r2 = r10; r2 += -2049; *(u8 *)(r2 + 0) = 1; exit", &["leaves the stack frame"]);
    proved("r0 = 0; r2 = r10; r2 += -2048; *(u64 *)(r2 + 0) = r0; exit");
}

#[test]
fn unwritten_stack_is_refused() {
    refuted("r0 = *(u64 *)(r10 - 8); exit", &["instruction 0", "r10-8", "was not written"]);
    // One byte of eight is missing.
    let text = "r0 = 0; *(u32 *)(r10 - 8) = r0; *(u16 *)(r10 - 4) = r0; *(u8 *)(r10 - 1) = 0
        r0 = *(u64 *)(r10 - 8); exit";
    refuted(text, &["instruction 4", "was not written"]);
    // Written on one of two ways.
    let text = "r0 = 0; call get_errno; if r0 == 0 goto read; *(u64 *)(r10 - 8) = r0; read: r0 = *(u64 *)(r10 - 8); exit";
    unproved(text, &["instruction 4", "may not have been written"]);
}

#[test]
fn bytes_of_a_helper_count_as_written() {
    proved("r1 = r10; r1 += -16; r2 = 0; r3 = 16; call my_memset; r0 = *(u64 *)(r10 - 8); exit");
    let text = "r1 = r10; r1 += -16; r2 = 0; r3 = 15; call my_memset; r0 = *(u64 *)(r10 - 8); exit";
    refuted(text, &["instruction 5", "was not written"]);
    // As many bytes as nobody knows, up to 16.
    let text = "call get_errno; r3 = r0; r3 &= 15; r1 = r10; r1 += -16; r2 = 0; call my_memset
        r0 = *(u64 *)(r10 - 16); exit";
    unproved(text, &["instruction 7", "may not have been written"]);
    // A clock that fails writes nothing.
    let text = "r1 = 1; r2 = r10; r2 += -16; call clock_gettime; r0 = *(u64 *)(r10 - 16); exit";
    unproved(text, &["may not have been written"]);
}

#[test]
fn index_within_bounds_is_proved() {
    let index = |bound: &str, shift: u8| {
        format!(
            "r6 = r10; r6 += -64; r1 = r6; r2 = 0; r3 = 64; call my_memset
            call get_errno; r0 <<= 32; r0 >>= 32; if r0 > {bound} goto end; r0 <<= {shift}
            r6 += r0; r0 = *(u64 *)(r6 + 0); exit
            end: r0 = 0; exit"
        )
    };
    proved(&index("7", 3));
    unproved(&index("8", 3), &["instruction 12", "may leave the stack frame", "r6: r10+[-64,0] step 8"]);
    proved(&index("56", 0));
    unproved(&index("57", 0), &["may leave the stack frame"]);
}

#[test]
fn signed_check_of_an_unsigned_index_is_refused() {
    // A negative number passes a signed check from above alone.
    let text = |check: &str| {
        format!(
            "r6 = r10; r6 += -64; r1 = r6; r2 = 0; r3 = 64; call my_memset; call picoquic_current_time
            if r0 {check} 63 goto end; r6 += r0; r0 = *(u8 *)(r6 + 0); exit; end: r0 = 0; exit"
        )
    };
    proved(&text(">"));
    unproved(&text("s>"), &["instruction 9", "may leave the stack frame"]);
}

#[test]
fn index_whose_check_wraps_is_refused() {
    // The check is of the sum, which wraps to a small number.
    let text = "r6 = r10; r6 += -64; r1 = r6; r2 = 0; r3 = 64; call my_memset; call picoquic_current_time
        r1 = r0; r1 += 8; if r1 > 63 goto end; r6 += r0; r0 = *(u8 *)(r6 + 0); exit; end: r0 = 0; exit";
    unproved(text, &["may leave the stack frame"]);
    // A product that wraps.
    let text = "r6 = r10; r6 += -64; r1 = r6; r2 = 0; r3 = 64; call my_memset; call picoquic_current_time
        r1 = r0; r1 *= 4; if r1 > 63 goto end; r6 += r0; r0 = *(u8 *)(r6 + 0); exit; end: r0 = 0; exit";
    unproved(text, &["may leave the stack frame"]);
}

#[test]
fn truncated_check_of_a_wide_index_is_refused() {
    // What was checked is the lower half.
    let text = "r6 = r10; r6 += -64; r1 = r6; r2 = 0; r3 = 64; call my_memset; call picoquic_current_time
        r1 = r0; r1 <<= 32; r1 >>= 32; if r1 > 63 goto end; r6 += r0; r0 = *(u8 *)(r6 + 0); exit
        end: r0 = 0; exit";
    unproved(text, &["may leave the stack frame"]);
}

#[test]
fn check_of_a_copy_counts_for_all_copies() {
    // A copy in another register, and one on the stack.
    let text = "r6 = r10; r6 += -64; r1 = r6; r2 = 0; r3 = 64; call my_memset; call picoquic_current_time
        *(u64 *)(r10 - 72) = r0; r1 = r0; if r1 > 63 goto end
        r2 = *(u64 *)(r10 - 72); r6 += r2; r0 = *(u8 *)(r6 + 0); exit; end: r0 = 0; exit";
    proved(text);
    // Not once it was overwritten, in part or by a helper.
    let text = "r6 = r10; r6 += -64; r1 = r6; r2 = 0; r3 = 64; call my_memset; call picoquic_current_time
        *(u64 *)(r10 - 72) = r0; *(u8 *)(r10 - 65) = 9; r1 = r0; if r1 > 63 goto end
        r2 = *(u64 *)(r10 - 72); r6 += r2; r0 = *(u8 *)(r6 + 0); exit; end: r0 = 0; exit";
    unproved(
        text,
        &["goes through a pointer that nothing is known of, and that may lead into the stack frame"],
    );
}

#[test]
fn loops_over_the_frame_are_followed() {
    let walk = |end: i32, step: i32, condition: &str| {
        format!(
            "r1 = r10; r1 += -64; r2 = 0; r3 = 64; call my_memset; r1 = 0; r0 = 0
            loop: r2 = r10; r2 += -64; r2 += r1; r3 = *(u64 *)(r2 + 0); r0 += r3; r1 += {step}
            if r1 {condition} {end} goto loop; exit"
        )
    };
    proved(&walk(64, 8, "!="));
    proved(&walk(64, 8, "<"));
    proved(&walk(57, 1, "!="));
    proved(&walk(57, 8, "<"));
    unproved(&walk(72, 8, "!="), &["instruction 10"]);
    unproved(&walk(58, 1, "!="), &["instruction 10"]);
    // Never equal: walks off.
    unproved(&walk(60, 8, "!="), &["instruction 10", "may leave the stack frame"]);
}

#[test]
fn loop_down_to_zero_is_followed() {
    let text = "r1 = r10; r1 += -64; r2 = 0; r3 = 64; call my_memset; r1 = 64; r0 = 0
        loop: r1 += -8; r2 = r10; r2 += -64; r2 += r1; r3 = *(u64 *)(r2 + 0); r0 += r3; if r1 != 0 goto loop; exit";
    proved(text);
    let text = "r1 = r10; r1 += -64; r2 = 0; r3 = 64; call my_memset; r1 = 72; r0 = 0
        loop: r1 += -8; r2 = r10; r2 += -64; r2 += r1; r3 = *(u64 *)(r2 + 0); r0 += r3; if r1 != 0 goto loop; exit";
    unproved(text, &["instruction 11"]);
}

#[test]
fn pointer_that_walks_to_an_end_is_followed() {
    let text = |end: i32| {
        format!(
            "r1 = r10; r1 += -64; r2 = 0; r3 = 64; call my_memset; r1 = r10; r1 += -64; r2 = r10; r2 += {end}; r0 = 0
            loop: r3 = *(u64 *)(r1 + 0); r0 += r3; r1 += 8; if r1 < r2 goto loop; exit"
        )
    };
    proved(&text(0));
    proved(&text(-8));
    proved(&text(-7));
    unproved(&text(8), &["instruction 10"]);
}

#[test]
fn frame_pointers_that_are_told_apart_no_more_are_not_left_to_the_monitor() {
    // Of the frame or of the host: the monitor would let both pass.
    let text = "r6 = r1; r2 = 0; call get_cnx_metadata; r1 = r10; r1 += -8; if r0 == 0 goto write; r1 = r0
        write: *(u64 *)(r1 + 0) = 1; r0 = 0; exit";
    unproved(text, &["instruction 7", "may lead into the stack frame"]);
    // An address with its lower bits cut.
    unproved("r1 = r10; r1 &= -16; *(u64 *)(r1 - 8) = 1; r0 = 0; exit", &["may lead into the stack frame"]);
    // Put together from halves.
    let text =
        "*(u64 *)(r10 - 8) = r10; r1 = *(u32 *)(r10 - 8); *(u32 *)(r10 - 16) = r1; r1 = *(u32 *)(r10 - 4)
        *(u32 *)(r10 - 12) = r1; r1 = *(u64 *)(r10 - 16); *(u64 *)(r1 + 0) = 1; r0 = 0; exit";
    unproved(text, &["instruction 6"]);
}

#[test]
fn address_in_the_frame_that_others_hold_is_not_forgotten() {
    // Stored into metadata, and read back.
    let text = "r6 = r1; r2 = 0; r3 = r10; call set_cnx_metadata; r1 = r6; r2 = 0; call get_cnx_metadata
        *(u64 *)(r0 + 0) = 1; r0 = 0; exit";
    unproved(text, &["instruction 7", "may lead into the stack frame"]);
    let text = "r6 = r1; r2 = 0; r3 = 5; call set_cnx_metadata; r1 = r6; r2 = 0; call get_cnx_metadata
        *(u64 *)(r0 + 0) = 1; r0 = 0; exit";
    left(text, &["instruction 7", "nothing is known of"]);
}

#[test]
fn escaped_frame_is_unknown_after_each_call() {
    let text = |slot: &str| {
        format!(
            "r6 = r1; *(u64 *)(r10 - 8) = 7; r2 = 0; r3 = {slot}; call set_cnx_metadata; call picoquic_current_time
            r1 = *(u64 *)(r10 - 8); r2 = r10; r2 += -16; r2 += r1; *(u8 *)(r2 + 0) = 1; r0 = 0; exit"
        )
    };
    proved(&text("r6"));
    unproved(&text("r10"), &["instruction 10"]);
}
