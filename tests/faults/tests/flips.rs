//! Flipped bits, in small: `make faults` flips more.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use pds_faults::case::Injector;
use pds_faults::flips;
use pds_faults::template::Template;

/// Kinds of bytes a flip in which must not pass for sound: what is signed or answered is made from them.
const TOLD: [&str; 10] = [
    "CURRENT",
    "guard",
    "log checksum",
    "log payload",
    "log.vkey",
    "manifest payload",
    "secret key log",
    "secret key str",
    "table data",
    "table index",
];

#[test]
fn flipped_bit_is_told_of_or_changes_nothing() {
    let program = env!("CARGO_BIN_EXE_pds-faults").into();
    let injector = Injector { program, template: Template::make().unwrap(), lying: None };
    let report = flips::run(&injector, 3, 5).unwrap();
    println!("{report}");
    assert_eq!(report.violations, &[] as &[String]);
    for kind in TOLD {
        let row = report.rows.get(kind).unwrap_or_else(|| panic!("nothing was flipped in {kind}"));
        assert!(row.flips == 3 && row.harmless == 0, "{kind}: {row:?}");
    }
}
