//! Bytecode for tests: written as text, run on a machine that trusts nothing, made at random.
//!
//! For tests alone; nothing here is part of what a validator does, and what is wrong with a test's own text panics. The
//! machine is the other side of every verifier: what one *proves* of a program has to hold in every run here, whatever the
//! host's helpers give.

pub mod adversary;
pub mod assembly;
pub mod code;
pub mod elf;
pub mod generate;
pub mod machine;
pub mod memory;
pub mod mutate;
mod text;
