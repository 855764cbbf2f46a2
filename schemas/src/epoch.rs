//! What one epoch fixes: name records, the change set, the signed tree root.

use std::fmt;

use crate::cbor::{Artefact, DecodeError, Decoder, Encoder, Malformed};
use crate::limits;
use crate::prefix::{Change, TransitionProof};
use crate::submission::{epoch, origin, plugin_name, release};
use crate::{Digest, EpochNumber, PluginName, PosixTime, Release};

/// Where a name stands with a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Admitted; no validation took place yet.
    Pending,
    /// A release is validated: the binding says which.
    Validated,
    /// No release is validated and the latest failed: the cause says why.
    Failed,
    /// Its owner took it back.
    WithdrawnByOwner,
    /// The validator took it back: the cause says why.
    WithdrawnByValidator,
}

impl State {
    /// Every state, in the order of its code.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Validated, Self::Failed, Self::WithdrawnByOwner, Self::WithdrawnByValidator];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Validated => "validated",
            Self::Failed => "failed",
            Self::WithdrawnByOwner => "withdrawn by its owner",
            Self::WithdrawnByValidator => "withdrawn by the validator",
        })
    }
}

/// All that a leaf of the prefix tree commits to: the state of one name since one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRecord {
    /// The plugin's name.
    pub name: PluginName,
    /// SHA-256 of the owner record in force.
    pub owner: Digest,
    /// Highest release ever seen, failed and undecided ones included.
    pub highest_release: Release,
    /// Where the name stands.
    pub state: State,
    /// SHA-256 of the [`crate::Binding`] of the release that holds now. Present exactly when validated.
    pub binding: Option<Digest>,
    /// SHA-256 of the [`crate::FailureCause`] of the latest decision; absent when that was a success.
    pub cause: Option<Digest>,
    /// Epoch in which this record replaced the one before.
    pub changed: EpochNumber,
    /// SHA-256 of the record before; `None` for the first.
    pub previous: Option<Digest>,
}

impl Artefact for NameRecord {
    const NAME: &'static str = "name-record";
    const MAX_BYTES: usize = 1024;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).text(self.name.as_str());
            r.key(2).bytes(self.owner.as_ref());
            r.key(3).uint(self.highest_release.0);
            r.key(4).uint(self.state as u64);
            r.optional(5, self.binding.as_ref());
            r.optional(6, self.cause.as_ref());
            r.key(7).uint(self.changed.0);
            r.optional(8, self.previous.as_ref());
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let record = Self {
                name: r.required(1, "name-record.name", plugin_name)?,
                owner: r.required(2, "name-record.owner", Decoder::digest)?,
                highest_release: r.required(3, "name-record.highest-release", release)?,
                state: r.required(4, "name-record.state", |d| {
                    let code = d.uint()?;
                    let state = State::ALL.get(usize::try_from(code).unwrap_or(usize::MAX));
                    state.copied().ok_or_else(|| d.error(Malformed::Rule("a state is 0 to 4")))
                })?,
                binding: r.optional(5, "name-record.binding", Decoder::digest)?,
                cause: r.optional(6, "name-record.cause", Decoder::digest)?,
                changed: r.required(7, "name-record.changed", epoch)?,
                previous: r.optional(8, "name-record.previous", Decoder::digest)?,
            };
            r.rule(
                (record.state == State::Validated) == record.binding.is_some(),
                "a binding stands exactly in a validated record",
            )?;
            let needs_cause = matches!(record.state, State::Failed | State::WithdrawnByValidator);
            r.rule(!needs_cause || record.cause.is_some(), "a failed or withdrawn record names its cause")?;
            r.rule(
                record.state != State::Pending || record.cause.is_none(),
                "a pending record has no cause: nothing was decided",
            )?;
            Ok(record)
        })
    }
}

/// A validator's signed tree root: the payload of the COSE_Sign1 that is the log's entry of its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTreeRoot {
    /// The validator; its log's origin.
    pub origin: String,
    /// The epoch; also the index of this entry in the log.
    pub epoch: EpochNumber,
    /// When it was closed; never before the previous one's.
    pub time: PosixTime,
    /// RFC 6962 leaf hash of the previous entry; zeros at epoch 0.
    pub previous: Digest,
    /// Root of the prefix tree.
    pub prefix_root: Digest,
    /// Number of names in the prefix tree.
    pub names: u64,
    /// Digest of the epoch's [`ChangeSet`].
    pub changes: Digest,
    /// SHA-256 of the [`crate::Policy`] in force.
    pub policy: Digest,
    /// Reserved for a digest of what later versions add; zeros now, and not interpreted.
    pub extensions: Digest,
}

impl Artefact for SignedTreeRoot {
    const NAME: &'static str = "signed-tree-root";
    const MAX_BYTES: usize = limits::STR_BYTES;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).text(&self.origin);
            r.key(2).uint(self.epoch.0);
            r.key(3).uint(self.time.0);
            r.key(4).bytes(self.previous.as_ref());
            r.key(5).bytes(self.prefix_root.as_ref());
            r.key(6).uint(self.names);
            r.key(7).bytes(self.changes.as_ref());
            r.key(8).bytes(self.policy.as_ref());
            r.key(9).bytes(self.extensions.as_ref());
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let str = Self {
                origin: r.required(1, "signed-tree-root.origin", origin)?,
                epoch: r.required(2, "signed-tree-root.epoch", epoch)?,
                time: PosixTime(r.required(3, "signed-tree-root.time", Decoder::uint)?),
                previous: r.required(4, "signed-tree-root.previous", Decoder::digest)?,
                prefix_root: r.required(5, "signed-tree-root.prefix-root", Decoder::digest)?,
                names: r.required(6, "signed-tree-root.names", Decoder::uint)?,
                changes: r.required(7, "signed-tree-root.changes", Decoder::digest)?,
                policy: r.required(8, "signed-tree-root.policy", Decoder::digest)?,
                extensions: r.required(9, "signed-tree-root.extensions", Decoder::digest)?,
            };
            r.rule(
                (str.epoch.0 == 0) == (str.previous == Digest::ZERO),
                "the previous digest is zeros exactly at epoch 0",
            )?;
            r.rule(
                (str.names == 0) == (str.prefix_root == Digest::ZERO),
                "the prefix root is zeros exactly when there are no names",
            )?;
            Ok(str)
        })
    }
}

/// What changed in one epoch. Its digest, SHA-256 of these bytes, is in the STR.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ChangeSet {
    /// Ascending by key, no key twice.
    pub changes: Vec<Change>,
}

impl Artefact for ChangeSet {
    const NAME: &'static str = "change-set";
    const MAX_BYTES: usize = 32 << 20;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            let list = r.key(1);
            list.array(self.changes.len());
            for change in &self.changes {
                list.array(4);
                list.bytes(change.key.as_ref());
                list.text(change.name.as_str());
                list.nullable(change.old.as_ref());
                list.bytes(change.new.as_ref());
            }
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let read = |d: &mut Decoder<'_>| {
                d.tuple(4, "a change is [key, name, old, new]", |d| {
                    Ok(Change {
                        key: d.digest()?,
                        name: plugin_name(d)?,
                        old: d.nullable()?,
                        new: d.digest()?,
                    })
                })
            };
            let changes = r.required(1, "change-set.changes", |d| {
                let changes = d.array(limits::CHANGES, read)?;
                let ascending = changes.is_sorted_by(|a, b| a.key < b.key);
                if ascending { Ok(changes) } else { Err(d.error(Malformed::Unsorted)) }
            })?;
            let real = changes.iter().all(|c| c.old != Some(c.new));
            r.rule(real, "a change changes something: old and new differ")?;
            Ok(Self { changes })
        })
    }
}

/// A change set with the proof that it leads from the previous epoch's prefix root to this one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The epoch.
    pub epoch: EpochNumber,
    /// What changed.
    pub changes: ChangeSet,
    /// Against the previous epoch's prefix root.
    pub proof: TransitionProof,
}

impl Artefact for Transition {
    const NAME: &'static str = "transition";
    const MAX_BYTES: usize = 128 << 20;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).uint(self.epoch.0);
            self.changes.encode(r.key(2));
            let proof = r.key(3);
            proof.array(2);
            proof.bytes(&self.proof.kinds);
            proof.bytes(&self.proof.values);
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            Ok(Self {
                epoch: r.required(1, "transition.epoch", epoch)?,
                changes: r.required(2, "transition.changes", ChangeSet::decode)?,
                proof: r.required(3, "transition.proof", |d| {
                    d.tuple(2, "a transition proof is [kinds, values]", |d| {
                        let kinds = d.bytes(Self::MAX_BYTES)?.to_vec();
                        let values = d.bytes(Self::MAX_BYTES)?.to_vec();
                        d.rule(values.len() % 32 == 0, "values are 32 bytes each")?;
                        Ok(TransitionProof { kinds, values })
                    })
                })?,
            })
        })
    }
}
