//! `pds-log-server fsck`: rereads and rehashes everything that a stopped validator stores.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use pds_store::{MemoryBudget, Store, fsck};

use crate::config::store_dir;
use crate::identity::PublicIdentity;

/// Checks the validator in `data_dir`; whether everything is sound.
///
/// Findings go to standard output, one a line, with the place and what is wrong there; then the counts.
///
/// # Errors
/// When it cannot be opened, such as while a server has it open.
pub fn run(data_dir: &Path, json: bool) -> anyhow::Result<bool> {
    let identity = PublicIdentity::load(data_dir)?;
    let store = Store::open_read_only(store_dir(data_dir), &MemoryBudget::default())
        .with_context(|| format!("open the database in {}", data_dir.display()))?;
    let keys = keys_of(&identity);
    let mut findings = Vec::new();
    let mut report = |finding: fsck::Finding| {
        if !json {
            println!("{finding}");
        }
        findings.push(finding.to_string());
    };
    let counts = fsck::check(&store, &keys, &mut report, &mut |_| {});
    let counted = BTreeMap::from([
        ("epochs", counts.epochs),
        ("nodes", counts.nodes),
        ("pages", counts.pages),
        ("changes", counts.changes),
        ("names", counts.names),
        ("blobs", counts.blobs),
        ("submissions", counts.submissions),
        ("queued", counts.queued),
        ("outcomes", counts.outcomes),
        ("archives", counts.archives),
    ]);
    if json {
        println!("{}", serde_json::json!({ "findings": findings, "checked": counted }));
    } else {
        let counted: Vec<_> = counted.iter().map(|(what, n)| format!("{n} {what}")).collect();
        println!("{}: checked {}; {} findings", keys.origin, counted.join(", "), findings.len());
    }
    Ok(findings.is_empty())
}

/// What fsck holds signatures against.
pub fn keys_of(identity: &PublicIdentity) -> fsck::Keys {
    fsck::Keys {
        origin: identity.log.origin().to_owned(),
        log: identity.log.clone(),
        str: identity.str.public_key(),
    }
}
