//! What a developer sends, who owns a name, and what a validator answers.

use crate::cbor::{Artefact, DecodeError, Decoder, Encoder, Malformed};
use crate::limits;
use crate::{Digest, EpochNumber, PluginName, PosixTime, PublicKey, Release};

/// Who may submit under a name. Content-addressed; sequence 0 is carried by the name's first submission, whose key must
/// be one of its keys: the first key owns the name. A later record is signed by the policy before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRecord {
    /// The name owned.
    pub name: PluginName,
    /// 0 for the first record of the name, then one more each time.
    pub sequence: u64,
    /// SHA-256 of the record before; `None` exactly at sequence 0.
    pub previous: Option<Digest>,
    /// Keys that may sign submissions, ascending.
    pub keys: Vec<PublicKey>,
    /// How many of `keys` must sign: 1 in this version.
    pub threshold: u64,
    /// Keys that may cancel a transfer, ascending.
    pub recovery: Vec<PublicKey>,
    /// Epochs before a transfer to another record takes effect.
    pub transfer_delay_epochs: u64,
}

impl OwnerRecord {
    /// Epochs that a transfer takes unless the owner said otherwise.
    pub const DEFAULT_TRANSFER_DELAY_EPOCHS: u64 = 1000;

    /// The record a name gets from its first submission when the developer says no more than a key.
    pub fn first(name: PluginName, key: PublicKey) -> Self {
        Self {
            name,
            sequence: 0,
            previous: None,
            keys: vec![key],
            threshold: 1,
            recovery: Vec::new(),
            transfer_delay_epochs: Self::DEFAULT_TRANSFER_DELAY_EPOCHS,
        }
    }
}

impl Artefact for OwnerRecord {
    const NAME: &'static str = "owner-record";
    const MAX_BYTES: usize = 4096;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).text(self.name.as_str());
            r.key(2).uint(self.sequence);
            r.optional(3, self.previous.as_ref());
            write_keys(r.key(4), &self.keys);
            r.key(5).uint(self.threshold);
            write_keys(r.key(6), &self.recovery);
            r.key(7).uint(self.transfer_delay_epochs);
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let record = Self {
                name: r.required(1, "owner-record.name", plugin_name)?,
                sequence: r.required(2, "owner-record.sequence", Decoder::uint)?,
                previous: r.optional(3, "owner-record.previous", Decoder::digest)?,
                keys: r.required(4, "owner-record.keys", read_keys)?,
                threshold: r.required(5, "owner-record.threshold", Decoder::uint)?,
                recovery: r.required(6, "owner-record.recovery", read_keys)?,
                transfer_delay_epochs: r.required(7, "owner-record.transfer-delay-epochs", Decoder::uint)?,
            };
            r.rule(
                (record.sequence == 0) == record.previous.is_none(),
                "a previous record stands exactly above sequence 0",
            )?;
            r.rule(!record.keys.is_empty(), "an owner has at least one key")?;
            r.rule(record.threshold == 1, "the threshold is 1 in this version")?;
            Ok(record)
        })
    }
}

fn write_keys(out: &mut Encoder, keys: &[PublicKey]) {
    out.array(keys.len());
    for key in keys {
        out.bytes(&key.0);
    }
}

fn read_keys(d: &mut Decoder<'_>) -> Result<Vec<PublicKey>, DecodeError> {
    let keys = d.array(limits::OWNER_KEYS, |d| d.array_of_bytes().map(PublicKey))?;
    if keys.is_sorted_by(|a, b| a < b) { Ok(keys) } else { Err(d.error(Malformed::Unsorted)) }
}

pub(crate) fn plugin_name(d: &mut Decoder<'_>) -> Result<PluginName, DecodeError> {
    let text = d.text(PluginName::MAX_BYTES)?;
    let rule = "a plugin name is two or more labels [a-z0-9]([a-z0-9_-]*[a-z0-9])? of 1 to 63 bytes";
    PluginName::new(text).map_err(|_| d.error(Malformed::Rule(rule)))
}

pub(crate) fn release(d: &mut Decoder<'_>) -> Result<Release, DecodeError> {
    let release = d.uint()?;
    d.rule(release > 0, "releases count from 1")?;
    Ok(Release(release))
}

/// An epoch that can have a log around it: one whose size is a `u64` too.
pub(crate) fn epoch(d: &mut Decoder<'_>) -> Result<EpochNumber, DecodeError> {
    let epoch = d.uint()?;
    d.rule(epoch < u64::MAX, "the last epoch number is reserved")?;
    Ok(EpochNumber(epoch))
}

/// Text of 1 to `limit` bytes without control characters.
pub(crate) fn line(d: &mut Decoder<'_>, limit: usize) -> Result<String, DecodeError> {
    d.line(limit).map(str::to_owned)
}

pub(crate) fn label(d: &mut Decoder<'_>) -> Result<String, DecodeError> {
    line(d, limits::LABEL_BYTES)
}

pub(crate) fn origin(d: &mut Decoder<'_>) -> Result<String, DecodeError> {
    let text = line(d, limits::ORIGIN_BYTES)?;
    d.rule(!text.contains('+') && !text.contains(char::is_whitespace), "an origin has no space and no plus")?;
    Ok(text)
}

/// Object names and their SHA-256, in the order RFC 8949 gives their encodings (shorter names first).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ObjectMap(Vec<(String, Digest)>);

impl ObjectMap {
    /// Sorts what may come in any order.
    ///
    /// The last of two entries of one name counts, as in a map.
    pub fn new(entries: impl IntoIterator<Item = (String, Digest)>) -> Self {
        let map: std::collections::BTreeMap<_, _> = entries.into_iter().collect();
        let mut entries: Vec<_> = map.into_iter().collect();
        entries.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        Self(entries)
    }

    /// The entries in encoded order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Digest)> {
        self.0.iter().map(|(name, digest)| (name.as_str(), digest))
    }

    /// The digest of the object called `name`.
    pub fn get(&self, name: &str) -> Option<&Digest> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, digest)| digest)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.map(self.0.len());
        for (name, digest) in &self.0 {
            out.text(name);
            out.bytes(digest.as_ref());
        }
    }

    pub(crate) fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let entries = d.text_map(limits::OBJECTS, limits::PATH_BYTES, Decoder::digest)?;
        d.rule(!entries.is_empty(), "a plugin has at least one object")?;
        Ok(Self(entries))
    }
}

/// What a developer asks a validator to validate; the payload of a [`crate::cose::SignedKind::Submission`].
///
/// Its digest, SHA-256 of these bytes, names the submission everywhere: the same statement signed twice is one submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The plugin's name.
    pub name: PluginName,
    /// Above every release ever seen for the name.
    pub release: Release,
    /// RFC 6962 root over the source files sorted by path.
    pub source: Digest,
    /// Path of the manifest in the source tree.
    pub manifest: String,
    /// SHA-256 of each object as the developer built it, if it says.
    pub bytecode: Option<ObjectMap>,
    /// The owner record it is made under: the name's current one, or with sequence 0 for a name nobody has.
    pub owner: OwnerRecord,
}

impl Artefact for Submission {
    const NAME: &'static str = "submission";
    const MAX_BYTES: usize = 48 << 10;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).text(self.name.as_str());
            r.key(2).uint(self.release.0);
            r.key(3).bytes(self.source.as_ref());
            r.key(4).text(&self.manifest);
            if let Some(objects) = &self.bytecode {
                objects.encode(r.key(5));
            }
            self.owner.encode(r.key(6));
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let submission = Self {
                name: r.required(1, "submission.name", plugin_name)?,
                release: r.required(2, "submission.release", release)?,
                source: r.required(3, "submission.source", Decoder::digest)?,
                manifest: r.required(4, "submission.manifest", |d| line(d, limits::PATH_BYTES))?,
                bytecode: r.optional(5, "submission.bytecode", ObjectMap::decode)?,
                owner: r.required(6, "submission.owner", OwnerRecord::decode)?,
            };
            r.rule(submission.owner.name == submission.name, "the owner record is of another name")?;
            Ok(submission)
        })
    }
}

/// The body of `POST /submissions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// A COSE_Sign1 of a [`Submission`].
    pub signed: Vec<u8>,
    /// The source tree as a gzip'ed tar. Transport only: what is signed is the tree's digest.
    pub archive: Vec<u8>,
}

impl Artefact for Upload {
    const NAME: &'static str = "upload";
    const MAX_BYTES: usize = limits::ARCHIVE_BYTES + (64 << 10);

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).bytes(&self.signed);
            r.key(2).bytes(&self.archive);
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            Ok(Self {
                signed: r.required(1, "upload.signed", |d| d.bytes(Submission::MAX_BYTES + 512))?.to_vec(),
                archive: r.required(2, "upload.archive", |d| d.bytes(limits::ARCHIVE_BYTES))?.to_vec(),
            })
        })
    }
}

/// A validator's promise to decide a submission; the payload of a [`crate::cose::SignedKind::Receipt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The validator.
    pub origin: String,
    /// SHA-256 of the [`Submission`].
    pub submission: Digest,
    /// The plugin's name.
    pub name: PluginName,
    /// The submitted release.
    pub release: Release,
    /// Place in the validator's queue, from 0.
    pub index: u64,
    /// When it was accepted.
    pub time: PosixTime,
    /// An STR of this time or later under which the release is still undecided is a broken promise.
    pub decide_by: PosixTime,
}

impl Artefact for Receipt {
    const NAME: &'static str = "receipt";
    const MAX_BYTES: usize = 1024;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).text(&self.origin);
            r.key(2).bytes(self.submission.as_ref());
            r.key(3).text(self.name.as_str());
            r.key(4).uint(self.release.0);
            r.key(5).uint(self.index);
            r.key(6).uint(self.time.0);
            r.key(7).uint(self.decide_by.0);
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let receipt = Self {
                origin: r.required(1, "receipt.origin", origin)?,
                submission: r.required(2, "receipt.submission", Decoder::digest)?,
                name: r.required(3, "receipt.name", plugin_name)?,
                release: r.required(4, "receipt.release", release)?,
                index: r.required(5, "receipt.index", Decoder::uint)?,
                time: PosixTime(r.required(6, "receipt.time", Decoder::uint)?),
                decide_by: PosixTime(r.required(7, "receipt.decide-by", Decoder::uint)?),
            };
            r.rule(receipt.decide_by >= receipt.time, "decide-by is not before the time of acceptance")?;
            Ok(receipt)
        })
    }
}
