//! A plugin as its developer has it: a source tree, its manifest, and the archive that carries both.
//!
//! Functions over bytes; only [`archive::read_folder`] touches files. What a validator makes of a plugin is `pds-validator`'s.

pub mod archive;
pub mod manifest;
pub mod source;
