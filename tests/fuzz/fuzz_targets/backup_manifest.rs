#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pds_fuzz_targets::backup_manifest(bytes));
