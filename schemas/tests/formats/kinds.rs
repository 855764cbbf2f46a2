//! Every artefact behind one type, so that a test can be about all of them.

use pds_schemas::cbor::{Artefact, DecodeError};
use pds_schemas::cose::CoseSign1;
use pds_schemas::disk::{EpochRoot, Head, SubmissionEntry, SubmissionOutcome};
use pds_schemas::prefix::PrefixProof;
use pds_schemas::*;

/// One type of artefact.
pub struct Kind {
    pub name: &'static str,
    pub max_bytes: usize,
    /// Decodes, and encodes again what was decoded.
    pub reencode: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
}

const fn kind<A: Artefact>() -> Kind {
    Kind {
        name: A::NAME,
        max_bytes: A::MAX_BYTES,
        reencode: |bytes| A::from_bytes(bytes).map(|value| value.to_bytes()),
    }
}

pub const KINDS: [Kind; 23] = [
    kind::<Binding>(),
    kind::<BuildEnvironment>(),
    kind::<ChangeSet>(),
    kind::<CoseSign1>(),
    kind::<EpochRoot>(),
    kind::<Evidence>(),
    kind::<EvidenceExtra>(),
    kind::<FailureCause>(),
    kind::<Head>(),
    kind::<NameHistory>(),
    kind::<NameRecord>(),
    kind::<OwnerRecord>(),
    kind::<PluginPackage>(),
    kind::<Policy>(),
    kind::<PrefixProof>(),
    kind::<Receipt>(),
    kind::<SignedTreeRoot>(),
    kind::<Submission>(),
    kind::<SubmissionEntry>(),
    kind::<SubmissionOutcome>(),
    kind::<Transition>(),
    kind::<Upload>(),
    kind::<Verdict>(),
];

/// The kind called `name`.
pub fn named(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).unwrap_or_else(|| panic!("no artefact is called {name}"))
}
