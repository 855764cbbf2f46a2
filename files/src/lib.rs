//! Durable files and secret key files, the same for clients and daemons.
//!
//! Nothing here knows what the files are for. Formats are `pds-schemas`' and `pds-core`'s.

pub mod durable;
pub mod key_file;
