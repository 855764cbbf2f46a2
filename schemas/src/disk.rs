//! What only a validator's own disk holds. Nobody else ever reads these; they are strict all the same.

use crate::cbor::{Artefact, DecodeError, Decoder, Encoder};
use crate::limits;
use crate::submission::{Submission, epoch};
use crate::{Digest, EpochNumber, PosixTime, TreeSize};

/// The last signed head of a log, in the database and, byte for byte the same, in the guard outside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Leaves of the log; the last epoch is one less.
    pub size: TreeSize,
    /// RFC 6962 root of the log.
    pub log_root: Digest,
    /// RFC 6962 leaf hash of the last STR.
    pub str_hash: Digest,
    /// The last STR's time.
    pub time: PosixTime,
    /// Root of the last prefix tree, and the epoch that wrote its top page; `None` for an empty tree.
    pub prefix: Option<(Digest, EpochNumber)>,
    /// Number of names.
    pub names: u64,
    /// The checkpoint, a signed note, as the log signed it.
    pub checkpoint: String,
}

impl Artefact for Head {
    const NAME: &'static str = "head";
    const MAX_BYTES: usize = 8192;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).uint(self.size.0);
            r.key(2).bytes(self.log_root.as_ref());
            r.key(3).bytes(self.str_hash.as_ref());
            r.key(4).uint(self.time.0);
            if let Some((root, page_epoch)) = &self.prefix {
                let prefix = r.key(5);
                prefix.array(2);
                prefix.bytes(root.as_ref());
                prefix.uint(page_epoch.0);
            }
            r.key(6).uint(self.names);
            r.key(7).text(&self.checkpoint);
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let head = Self {
                size: TreeSize(r.required(1, "head.size", Decoder::uint)?),
                log_root: r.required(2, "head.log-root", Decoder::digest)?,
                str_hash: r.required(3, "head.str-hash", Decoder::digest)?,
                time: PosixTime(r.required(4, "head.time", Decoder::uint)?),
                prefix: r.optional(5, "head.prefix", |d| {
                    d.tuple(2, "a prefix root is [hash, epoch of its page]", |d| Ok((d.digest()?, epoch(d)?)))
                })?,
                names: r.required(6, "head.names", Decoder::uint)?,
                checkpoint: r.required(7, "head.checkpoint", |d| d.text(4096))?.to_owned(),
            };
            r.rule(head.size.0 > 0, "a head has at least epoch 0")?;
            r.rule((head.names == 0) == head.prefix.is_none(), "a prefix root stands exactly beside names")?;
            Ok(head)
        })
    }
}

/// A submission the validator accepted. Written once; how it ended is a [`SubmissionOutcome`] beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmissionEntry {
    /// COSE_Sign1 of the [`Submission`].
    pub signed: Vec<u8>,
    /// COSE_Sign1 of the [`crate::Receipt`] that was given for it.
    pub receipt: Vec<u8>,
    /// Place in the queue.
    pub index: u64,
}

impl Artefact for SubmissionEntry {
    const NAME: &'static str = "submission-entry";
    const MAX_BYTES: usize = Submission::MAX_BYTES + 4096;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).bytes(&self.signed);
            r.key(2).bytes(&self.receipt);
            r.key(3).uint(self.index);
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let signed =
                r.required(1, "submission-entry.signed", |d| d.bytes(Submission::MAX_BYTES + 512))?.to_vec();
            let receipt = r.required(2, "submission-entry.receipt", |d| d.bytes(2048))?.to_vec();
            let index = r.required(3, "submission-entry.index", Decoder::uint)?;
            Ok(Self { signed, receipt, index })
        })
    }
}

/// How a submission ended; stored under its place in the queue once its decision is in a signed epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmissionOutcome {
    /// SHA-256 of the submission.
    pub submission: Digest,
    /// The epoch whose STR first covers the decision.
    pub epoch: EpochNumber,
    /// SHA-256 of the [`crate::FailureCause`] if it failed; `None` if it was validated.
    pub cause: Option<Digest>,
}

impl Artefact for SubmissionOutcome {
    const NAME: &'static str = "submission-outcome";
    const MAX_BYTES: usize = limits::LABEL_BYTES;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).bytes(self.submission.as_ref());
            r.key(2).uint(self.epoch.0);
            r.optional(3, self.cause.as_ref());
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            Ok(Self {
                submission: r.required(1, "submission-outcome.submission", Decoder::digest)?,
                epoch: r.required(2, "submission-outcome.epoch", epoch)?,
                cause: r.optional(3, "submission-outcome.cause", Decoder::digest)?,
            })
        })
    }
}

/// What of an epoch is needed to prove things about it later and is not in its STR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochRoot {
    /// Epoch that wrote the top page of the prefix tree; `None` for an empty tree.
    pub page_epoch: Option<EpochNumber>,
}

impl Artefact for EpochRoot {
    const NAME: &'static str = "epoch-root";
    const MAX_BYTES: usize = limits::LABEL_BYTES;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            if let Some(epoch) = self.page_epoch {
                r.key(1).uint(epoch.0);
            }
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| Ok(Self { page_epoch: r.optional(1, "epoch-root.page-epoch", epoch)? }))
    }
}
