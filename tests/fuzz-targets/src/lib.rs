//! What the fuzzers run: every reader of bytes from a network or a disk, as a function of bytes that panics when it finds
//! a fault.
//!
//! A program of a few lines in `tests/fuzz/` makes each of these a fuzz target (`make fuzz`). The corpora beside them are
//! replayed by this crate's tests, mutated a little, without any fuzzer. What fuzzers do not get past, such as a digest or
//! a signature, the target makes right itself: its input is then a list of choices and edits, see the module `feed`.
#![expect(clippy::panic, reason = "a panic is how a target tells of a fault")]

mod answers;
mod artefacts;
mod elf;
mod feed;
mod naive;
mod plugin;
mod proof;
pub mod seeds;
mod texts;
mod trees;
mod world;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its program and of its corpus.
    pub name: &'static str,
    /// Reads the bytes; panics when what it reads does not hold.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($module:ident: $($name:ident)*;)*) => {
        $($(pub use $module::$name;)*)*

        /// All of them.
        pub const TARGETS: &[Target] = &[$($(Target { name: stringify!($name), run: $name },)*)*];
    };
}

targets! {
    artefacts: artefact evidence_bytes transition_bytes binding_bytes upload_bytes cose_bytes cbor inspect page tile;
    texts: note checkpoint tlog_policy tlog_proof formula words json manifest trust_file config backup_manifest
        hammer_journal control_line;
    trees: prefix_proof transition log_proof source_tree;
    proof: evidence evidence_signed;
    plugin: archive structure intake;
    answers: answer;
}
