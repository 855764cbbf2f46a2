//! Plugins to submit: small, of names of their own, and as many as wanted.
//!
//! Pure. The key that signs them follows from the seed: whoever knows the seed can submit under these names, so they are
//! worth nothing.

use pds_core::cose::{self, SigningKey};
use pds_core::hash::sha256;
use pds_plugin::archive::pack_stored;
use pds_plugin::source::{SourceTree, source_digest};
use pds_schemas::cose::SignedKind;
use pds_schemas::{Artefact, OwnerRecord, PluginName, Release, Submission, Upload};

use super::random::Random;
use crate::submit::Prepared;

/// A pluglet that compiles and holds.
const HOLDS: &str = "unsigned long f(void *cnx) { return 0; }\n";
/// A pluglet that costs a validator one look at it.
const BROKEN: &str = "#error this one is to fail\n";
/// Most bytes of a plugin's source.
pub const MAX_BYTES: usize = 1 << 20;

/// What one writer submits.
#[derive(Debug)]
pub struct Generator {
    key: SigningKey,
    prefix: String,
    made: u64,
    bytes: usize,
    broken_percent: u8,
    random: Random,
}

impl Generator {
    /// Plugins of about `bytes` bytes of source, of which `broken_percent` in 100 do not compile.
    pub fn new(seed: u64, writer: u64, bytes: usize, broken_percent: u8) -> Self {
        Self {
            key: cose::signing_key(&sha256(format!("pds hammer {seed}").as_bytes()).0),
            prefix: format!("hammer.s{seed:016x}.w{writer}"),
            made: 0,
            bytes: bytes.min(MAX_BYTES),
            broken_percent,
            // Apart from what the writer's number is used for elsewhere.
            random: Random::of_worker(seed ^ u64::from_be_bytes(*b"generate"), writer),
        }
    }

    /// The next one, packed without compression so that its size is what was asked for, and signed.
    pub fn make(&mut self) -> Prepared {
        let name = PluginName::new(format!("{}n{}", self.prefix, self.made)).expect("letters and digits");
        self.made += 1;
        let manifest = format!("{name}\nset_timer pre f.o\n");
        let mut tree = SourceTree::default();
        tree.insert("f.c", self.code().into_bytes()).expect("a plain path");
        tree.insert("t.plugin", manifest.into_bytes()).expect("a plain path");
        let submission = Submission {
            owner: OwnerRecord::first(name.clone(), cose::public_key(&self.key)),
            name,
            release: Release(1),
            source: source_digest(&tree).expect("the tree has files"),
            manifest: "t.plugin".to_owned(),
            bytecode: None,
        };
        let signed = cose::sign(SignedKind::Submission, &submission, &self.key).to_bytes();
        let archive = pack_stored(&tree).expect("the paths are short");
        Prepared { digest: sha256(&submission.to_bytes()), submission, upload: Upload { signed, archive } }
    }

    /// C of the size asked for: comments that nobody compresses away or has seen before.
    fn code(&mut self) -> String {
        let is_broken = self.random.below(100) < u64::from(self.broken_percent);
        let mut code = String::with_capacity(self.bytes + 80);
        code += if is_broken { BROKEN } else { HOLDS };
        while code.len() < self.bytes {
            code += "//";
            for _ in 0..4 {
                code += &format!("{:016x}", self.random.number());
            }
            code.push('\n');
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use pds_plugin::archive::{ArchiveLimits, unpack};
    use pds_plugin::manifest::Manifest;

    use super::*;

    #[test]
    fn plugins_are_sound_and_no_two_alike() {
        let mut writers = [Generator::new(7, 0, 10_000, 50), Generator::new(7, 1, 10_000, 50)];
        let made: Vec<Prepared> = (0..40).map(|i| writers[i % 2].make()).collect();
        for Prepared { submission, digest, upload } in &made {
            let (opened, _) = cose::open_any_key(&upload.signed, SignedKind::Submission).unwrap();
            assert_eq!((submission, *digest), (&opened, sha256(&submission.to_bytes())));
            let tree = unpack(&upload.archive, &ArchiveLimits::default()).unwrap();
            assert_eq!(source_digest(&tree), Some(submission.source));
            let manifest = Manifest::parse(tree.get("t.plugin").unwrap()).unwrap();
            assert_eq!(manifest.name, submission.name);
            let size = upload.to_bytes().len();
            assert!((10_000..14_000).contains(&size), "{size}");
        }
        let names: std::collections::BTreeSet<_> = made.iter().map(|p| &p.submission.name).collect();
        let sources: std::collections::BTreeSet<_> = made.iter().map(|p| p.submission.source.0).collect();
        assert_eq!((names.len(), sources.len()), (40, 40));
        let again = Generator::new(7, 0, 10_000, 50).make();
        assert_eq!(again.digest, made[0].digest);
    }
}
