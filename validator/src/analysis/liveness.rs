//! Which registers may still be read.
//!
//! Pure; near linear for code of compilers. What is known of a register that nobody reads is not worth joining.

use crate::cfg::{Block, Cfg};
use crate::platform::Platform;
use crate::program::{Op, Program, Reg};

/// For each block the registers that may be read from its beginning on before they are written, a bit each.
pub(super) fn live(program: &Program, cfg: &Cfg, platform: &Platform) -> Vec<u16> {
    let mut live = vec![0; cfg.len()];
    let mut changes = true;
    // A mask only gains bits.
    while changes {
        changes = false;
        for (id, block) in cfg.blocks().rev() {
            let after = block.successors.iter().fold(0, |mask, next| mask | live[next.0]);
            let before = before(program, platform, block, after);
            changes |= live[id.0] != before;
            live[id.0] = before;
        }
    }
    live
}

fn before(program: &Program, platform: &Platform, block: &Block, after: u16) -> u16 {
    let ops = block.slots.clone().rev().filter_map(|slot| Some((slot, program.op(slot)?)));
    ops.fold(after, |live, (slot, op)| {
        let written = op.writes().map_or(0, Reg::bit);
        let lost = if *op == Op::Call { ARGUMENTS } else { 0 };
        live & !written & !lost | op.reads() | arguments(program, platform, slot) | Reg::FRAME.bit()
    })
}

/// r1 to r5.
const ARGUMENTS: u16 = 0b11_1110;

/// The registers that a call reads.
fn arguments(program: &Program, platform: &Platform, slot: usize) -> u16 {
    let Some(name) = program.helper(slot) else { return 0 };
    match platform.helpers.get(name) {
        Some(helper) if helper.values.is_none() => ARGUMENTS & ((2 << helper.arguments.len()) - 1),
        _ => ARGUMENTS,
    }
}
