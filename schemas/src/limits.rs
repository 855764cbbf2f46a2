//! Every bound of the formats in one place, so that a refusal can name it.

/// Most bytes of an origin (the key name of a log's notes).
pub const ORIGIN_BYTES: usize = 255;
/// Most keys of one owner record, and most recovery keys.
pub const OWNER_KEYS: usize = 16;
/// Most bytes of a path in a source tree.
pub const PATH_BYTES: usize = 250;
/// Most compiled objects of one plugin.
pub const OBJECTS: usize = 256;
/// Most bytes of one compiled object.
pub const OBJECT_BYTES: usize = 1 << 20;
/// Most bytes of a manifest.
pub const MANIFEST_BYTES: usize = 64 << 10;
/// Most bytes of a submission's gzip'ed tar.
pub const ARCHIVE_BYTES: usize = 8 << 20;
/// Most verdicts of one binding or cause: some properties for each object and some for the whole plugin.
pub const VERDICTS: usize = 16 * (OBJECTS + 1);
/// Most bytes of a verdict's or a failure's cause.
pub const CAUSE_BYTES: usize = 16 << 10;
/// Most bytes of the name of a property, verifier, version, platform or bound.
pub const LABEL_BYTES: usize = 128;
/// Most bounds of one verdict.
pub const BOUNDS: usize = 16;
/// Most bytes of an acceptance expression.
pub const EXPRESSION_BYTES: usize = 4096;
/// Most verifiers and most platforms of one policy.
pub const POLICY_ITEMS: usize = 64;
/// Most compiler flags of a build environment, and most bytes of one.
pub const FLAGS: usize = 128;
/// Most changes of one epoch.
pub const CHANGES: usize = 65_536;
/// Most bytes of a signed tree root, signature included.
pub const STR_BYTES: usize = 4096;
/// Most bytes of a signed note.
pub const NOTE_BYTES: usize = 512 << 10;
/// Most hashes of an inclusion or consistency proof.
pub const PROOF_HASHES: usize = 64;
