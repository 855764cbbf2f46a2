//! What the library may not bring along: whoever embeds it has neither a web framework nor a database in mind.

use std::process::Command;

#[test]
fn client_links_no_web_framework_no_database_and_one_tls() {
    let mut tree = Command::new(env!("CARGO"));
    tree.args([
        "tree",
        "--offline",
        "--package",
        "pds-client",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ]);
    let output = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let has = |name: &str| tree.lines().any(|line| line.split(' ').next() == Some(name));
    assert!(has("pds-core") && has("ring"), "{tree}");
    for name in [
        "axum",
        "rocksdb",
        "librocksdb-sys",
        "pds-service",
        "pds-store",
        "aws-lc-rs",
        "native-tls",
        "openssl",
    ] {
        assert!(!has(name), "{name} is linked:\n{tree}");
    }
}
