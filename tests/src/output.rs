//! How a command ended, and what it said.

use std::process::Output;

/// All that it said.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What it said; it must have ended well.
pub fn well(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, said(output));
    said(output)
}

/// It must have ended with exit code 1, and a reason that has `part` in it.
pub fn refused(output: &Output, part: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(part) && !said.contains("panicked"), "{part:?} is not in {said}");
}
