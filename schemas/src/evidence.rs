//! What convinces a peer offline: evidence about a name, and a plugin with its evidence.

use crate::cbor::{Artefact, DecodeError, Decoder, Encoder, Malformed};
use crate::limits;
use crate::prefix::{PrefixProof, Terminal};
use crate::submission::epoch;
use crate::{Digest, EpochNumber};

/// All that is needed to check offline where a name stands with one validator at one epoch.
///
/// What it holds is kept as the very bytes that are hashed or signed. Its C2SP tlog-proof form has `index`, `inclusion` and
/// `checkpoint` in their own lines and an [`EvidenceExtra`] in the `extra` line; the conversion loses nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What the tlog-proof carries as extra data.
    pub extra: EvidenceExtra,
    /// Index of the STR in the log; an honest one is the STR's epoch.
    pub index: EpochNumber,
    /// RFC 6962 inclusion proof of the STR at `index`, leaf's sibling first.
    pub inclusion: Vec<Digest>,
    /// The cosigned checkpoint, a C2SP signed note.
    pub checkpoint: String,
}

/// The part of [`Evidence`] that C2SP tlog-proof has no lines for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceExtra {
    /// A [`crate::NameRecord`]; `None` when the name is absent.
    pub name_record: Option<Vec<u8>>,
    /// A [`crate::Binding`]; present exactly when the record names one.
    pub binding: Option<Vec<u8>>,
    /// Inclusion or absence of the name in the STR's prefix tree.
    pub prefix: PrefixProof,
    /// The log entry: a COSE_Sign1 of a [`crate::SignedTreeRoot`].
    pub signed_tree_root: Vec<u8>,
}

impl Artefact for EvidenceExtra {
    const NAME: &'static str = "evidence-extra";
    const MAX_BYTES: usize = 1 << 20;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            if let Some(record) = &self.name_record {
                r.key(1).bytes(record);
            }
            if let Some(binding) = &self.binding {
                r.key(2).bytes(binding);
            }
            self.prefix.encode(r.key(3));
            r.key(4).bytes(&self.signed_tree_root);
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let extra = Self {
                name_record: r
                    .optional(1, "evidence.name-record", |d| d.bytes(crate::NameRecord::MAX_BYTES))?
                    .map(<[u8]>::to_vec),
                binding: r
                    .optional(2, "evidence.binding", |d| d.bytes(crate::Binding::MAX_BYTES))?
                    .map(<[u8]>::to_vec),
                prefix: r.required(3, "evidence.prefix", PrefixProof::decode)?,
                signed_tree_root: r
                    .required(4, "evidence.signed-tree-root", |d| d.bytes(limits::STR_BYTES))?
                    .to_vec(),
            };
            let included = extra.prefix.terminal == Terminal::Inclusion;
            r.rule(
                included == extra.name_record.is_some(),
                "a name record stands exactly beside a proof of inclusion",
            )?;
            r.rule(included || extra.binding.is_none(), "a binding stands only beside a name record")?;
            Ok(extra)
        })
    }
}

impl Artefact for Evidence {
    const NAME: &'static str = "evidence";
    const MAX_BYTES: usize = 2 << 20;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            self.extra.encode(r.key(1));
            r.key(2).uint(self.index.0);
            let inclusion = r.key(3);
            inclusion.array(self.inclusion.len());
            for hash in &self.inclusion {
                inclusion.bytes(hash.as_ref());
            }
            r.key(4).text(&self.checkpoint);
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            Ok(Self {
                extra: r.required(1, "evidence.extra", EvidenceExtra::decode)?,
                index: r.required(2, "evidence.index", epoch)?,
                inclusion: r
                    .required(3, "evidence.inclusion", |d| d.array(limits::PROOF_HASHES, Decoder::digest))?,
                checkpoint: r.required(4, "evidence.checkpoint", |d| d.text(limits::NOTE_BYTES))?.to_owned(),
            })
        })
    }
}

/// `[kind, depth, bitmap, hashes]`, and for another leaf `[1, depth, bitmap, hashes, key, commitment]`.
///
/// The bitmap has one bit a level, deepest first, most significant bit first: whether that sibling exists; `hashes` are the
/// existing siblings, 32 bytes each, in the same order.
impl Artefact for PrefixProof {
    const NAME: &'static str = "prefix-proof";
    const MAX_BYTES: usize = 10 << 10;

    fn encode(&self, out: &mut Encoder) {
        let mut bitmap = vec![0; self.copath.len().div_ceil(8)];
        let mut hashes = Vec::with_capacity(self.copath.len() * 32);
        for (i, sibling) in self.copath.iter().enumerate() {
            if let Some(hash) = sibling {
                bitmap[i / 8] |= 0x80 >> (i % 8);
                hashes.extend_from_slice(hash.as_ref());
            }
        }
        let kind = match self.terminal {
            Terminal::Inclusion => 0,
            Terminal::OtherLeaf { .. } => 1,
            Terminal::MissingChild => 2,
        };
        out.array(if kind == 1 { 6 } else { 4 });
        out.uint(kind);
        out.uint(self.copath.len() as u64);
        out.bytes(&bitmap);
        out.bytes(&hashes);
        if let Terminal::OtherLeaf { key, commitment } = &self.terminal {
            out.bytes(key.as_ref());
            out.bytes(commitment.as_ref());
        }
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let items = d.array_head()?;
        let kind = d.uint()?;
        d.rule(kind <= 2, "a prefix proof's kind is 0 (inclusion), 1 (other leaf) or 2 (missing child)")?;
        d.rule(items == if kind == 1 { 6 } else { 4 }, "a prefix proof has 4 items, with another leaf 6")?;
        let depth = d.uint()?;
        d.rule(depth <= 255, "a prefix proof's depth is at most 255")?;
        d.rule(depth > 0 || kind == 2, "a leaf is never at depth 0")?;
        let copath = read_copath(d, depth as usize)?;
        let terminal = match kind {
            0 => Terminal::Inclusion,
            1 => Terminal::OtherLeaf { key: d.digest()?, commitment: d.digest()? },
            _ => Terminal::MissingChild,
        };
        Ok(Self { terminal, copath })
    }
}

fn read_copath(d: &mut Decoder<'_>, depth: usize) -> Result<Vec<Option<Digest>>, DecodeError> {
    let bitmap = d.bytes(32)?;
    d.rule(bitmap.len() == depth.div_ceil(8), "the bitmap has one bit for each level")?;
    let padding = bitmap.last().is_none_or(|last| depth.is_multiple_of(8) || last << (depth % 8) == 0);
    d.rule(padding, "unused bits of the bitmap are zero")?;
    let present: usize = bitmap.iter().map(|b| b.count_ones() as usize).sum();
    let hashes = d.bytes(255 * 32)?;
    d.rule(hashes.len() == present * 32, "there is one hash for each bit set in the bitmap")?;
    let mut hashes = hashes.chunks_exact(32);
    let mut copath = Vec::with_capacity(depth);
    for level in 0..depth {
        let exists = bitmap[level / 8] & (0x80 >> (level % 8)) != 0;
        let hash = exists.then(|| hashes.next()).flatten();
        let hash = hash.map(|h| Digest(h.try_into().expect("chunks_exact gives 32 bytes")));
        if hash == Some(Digest::ZERO) {
            return Err(d.error(Malformed::Rule("a missing sibling is a zero bit, never a zero hash")));
        }
        copath.push(hash);
    }
    Ok(copath)
}

/// Answer of `GET /plugins/{name}/history`: one or more name records, each naming the one
/// after it in this list as its previous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameHistory {
    /// Encoded [`crate::NameRecord`]s, newest first. More follow if the last one has a previous.
    pub records: Vec<Vec<u8>>,
}

impl NameHistory {
    /// Most records of one answer.
    pub const MAX_RECORDS: usize = 1000;
}

impl Artefact for NameHistory {
    const NAME: &'static str = "name-history";
    const MAX_BYTES: usize = 2 << 20;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            let records = r.key(1);
            records.array(self.records.len());
            for record in &self.records {
                records.bytes(record);
            }
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let read = |d: &mut Decoder<'_>| d.bytes(crate::NameRecord::MAX_BYTES).map(<[u8]>::to_vec);
            let records = r.required(1, "name-history.records", |d| d.array(Self::MAX_RECORDS, read))?;
            // An empty one would have the bytes of an empty change set.
            r.rule(!records.is_empty(), "a history has at least one record")?;
            Ok(Self { records })
        })
    }
}

/// A plugin as one peer gives it to another: bytecode, manifest, and evidence from one or more validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginPackage {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// Object name and bytecode, in the order of [`crate::ObjectMap`].
    pub objects: Vec<(String, Vec<u8>)>,
    /// Encoded [`Evidence`], one for each validator.
    pub evidence: Vec<Evidence>,
}

impl PluginPackage {
    /// Most validators' evidence in one package.
    pub const MAX_EVIDENCE: usize = 32;
}

impl Artefact for PluginPackage {
    const NAME: &'static str = "plugin-package";
    const MAX_BYTES: usize = 64 << 20;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).bytes(&self.manifest);
            let objects = r.key(2);
            objects.map(self.objects.len());
            for (name, bytes) in &self.objects {
                objects.text(name);
                objects.bytes(bytes);
            }
            let evidence = r.key(3);
            evidence.array(self.evidence.len());
            for item in &self.evidence {
                item.encode(evidence);
            }
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            Ok(Self {
                manifest: r
                    .required(1, "plugin-package.manifest", |d| d.bytes(limits::MANIFEST_BYTES))?
                    .to_vec(),
                objects: r.required(2, "plugin-package.objects", |d| {
                    d.text_map(limits::OBJECTS, limits::PATH_BYTES, |d| {
                        d.bytes(limits::OBJECT_BYTES).map(<[u8]>::to_vec)
                    })
                })?,
                evidence: r.required(3, "plugin-package.evidence", |d| {
                    d.array(Self::MAX_EVIDENCE, Evidence::decode)
                })?,
            })
        })
    }
}
