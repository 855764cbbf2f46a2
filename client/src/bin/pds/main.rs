//! pds
fn main() {}
