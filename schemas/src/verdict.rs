//! What a verifier says of bytecode, and what a validator makes of it.

use crate::cbor::{Artefact, DecodeError, Decoder, Encoder, Malformed};
use crate::limits;
use crate::submission::{ObjectMap, label, line, origin, plugin_name, release};
use crate::{Digest, PluginName, Release};

/// What a verifier found. Never a bool: only `Proved` is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// The property holds, within the stated bounds.
    Proved,
    /// The property does not hold; the cause says where.
    Refuted,
    /// The verifier could not tell.
    Inconclusive,
    /// The verifier did not do its work: missing tool, crash, timeout.
    Error,
}

impl Finding {
    const ALL: [Self; 4] = [Self::Proved, Self::Refuted, Self::Inconclusive, Self::Error];
}

/// One verifier's answer about one property of one object, or of the whole plugin.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// E.g. `structure`.
    pub property: String,
    /// Who says so, e.g. `pds-validator`.
    pub verifier: String,
    /// Its version.
    pub version: String,
    /// The answer.
    pub finding: Finding,
    /// The object it is about; `None` for the whole plugin.
    pub object: Option<String>,
    /// What was counted, e.g. `instructions`, and the limits under which the answer holds. Ascending in encoded order.
    pub bounds: Vec<(String, u64)>,
    /// Why, for a person. Present exactly when not proved.
    pub cause: Option<String>,
}

impl Artefact for Verdict {
    const NAME: &'static str = "verdict";
    const MAX_BYTES: usize = 32 << 10;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).text(&self.property);
            r.key(2).text(&self.verifier);
            r.key(3).text(&self.version);
            r.key(4).uint(self.finding as u64);
            if let Some(object) = &self.object {
                r.key(5).text(object);
            }
            let bounds = r.key(6);
            bounds.map(self.bounds.len());
            for (name, value) in &self.bounds {
                bounds.text(name);
                bounds.uint(*value);
            }
            if let Some(cause) = &self.cause {
                r.key(7).text(cause);
            }
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let verdict = Self {
                property: r.required(1, "verdict.property", label)?,
                verifier: r.required(2, "verdict.verifier", label)?,
                version: r.required(3, "verdict.version", label)?,
                finding: r.required(4, "verdict.finding", |d| {
                    let code = d.uint()?;
                    let finding = Finding::ALL.get(usize::try_from(code).unwrap_or(usize::MAX));
                    finding.copied().ok_or_else(|| d.error(Malformed::Rule("a finding is 0 to 3")))
                })?,
                object: r.optional(5, "verdict.object", |d| line(d, limits::PATH_BYTES))?,
                bounds: r.required(6, "verdict.bounds", |d| {
                    d.text_map(limits::BOUNDS, limits::LABEL_BYTES, Decoder::uint)
                })?,
                cause: r.optional(7, "verdict.cause", cause_text)?,
            };
            r.rule(
                (verdict.finding == Finding::Proved) == verdict.cause.is_none(),
                "a cause stands exactly beside a finding other than proved",
            )?;
            Ok(verdict)
        })
    }
}

fn cause_text(d: &mut Decoder<'_>) -> Result<String, DecodeError> {
    d.text(limits::CAUSE_BYTES).map(str::to_owned)
}

fn write_verdicts(out: &mut Encoder, verdicts: &[Verdict]) {
    out.array(verdicts.len());
    for verdict in verdicts {
        verdict.encode(out);
    }
}

fn read_verdicts(d: &mut Decoder<'_>) -> Result<Vec<Verdict>, DecodeError> {
    d.array(limits::VERDICTS, Verdict::decode)
}

/// What a validator stands for: this bytecode was rebuilt from this source and passed. Immutable, content-addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The plugin's name.
    pub name: PluginName,
    /// The validated release.
    pub release: Release,
    /// SHA-256 of the [`crate::Submission`].
    pub submission: Digest,
    /// Every compiled object of the plugin.
    pub objects: ObjectMap,
    /// SHA-256 of the manifest's bytes.
    pub manifest: Digest,
    /// Digest of the source tree.
    pub source: Digest,
    /// SHA-256 of the [`BuildEnvironment`].
    pub environment: Digest,
    /// SHA-256 of the [`Policy`] that decided.
    pub policy: Digest,
    /// All verdicts, whatever the acceptance expression asked for.
    pub verdicts: Vec<Verdict>,
}

impl Artefact for Binding {
    const NAME: &'static str = "binding";
    const MAX_BYTES: usize = 768 << 10;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).text(self.name.as_str());
            r.key(2).uint(self.release.0);
            r.key(3).bytes(self.submission.as_ref());
            self.objects.encode(r.key(4));
            r.key(5).bytes(self.manifest.as_ref());
            r.key(6).bytes(self.source.as_ref());
            r.key(7).bytes(self.environment.as_ref());
            r.key(8).bytes(self.policy.as_ref());
            write_verdicts(r.key(9), &self.verdicts);
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            Ok(Self {
                name: r.required(1, "binding.name", plugin_name)?,
                release: r.required(2, "binding.release", release)?,
                submission: r.required(3, "binding.submission", Decoder::digest)?,
                objects: r.required(4, "binding.objects", ObjectMap::decode)?,
                manifest: r.required(5, "binding.manifest", Decoder::digest)?,
                source: r.required(6, "binding.source", Decoder::digest)?,
                environment: r.required(7, "binding.environment", Decoder::digest)?,
                policy: r.required(8, "binding.policy", Decoder::digest)?,
                verdicts: r.required(9, "binding.verdicts", read_verdicts)?,
            })
        })
    }
}

/// Why a release failed. Content-addressed; a name record names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCause {
    /// The plugin's name.
    pub name: PluginName,
    /// The release that failed.
    pub release: Release,
    /// SHA-256 of the [`crate::Submission`].
    pub submission: Digest,
    /// SHA-256 of the [`Policy`] that decided.
    pub policy: Digest,
    /// Where it failed: `manifest`, `build`, `verify`, …
    pub stage: String,
    /// The object it failed on, if on one.
    pub object: Option<String>,
    /// What to mend, for a person.
    pub message: String,
    /// The verdicts there were.
    pub verdicts: Vec<Verdict>,
}

impl Artefact for FailureCause {
    const NAME: &'static str = "failure-cause";
    const MAX_BYTES: usize = 768 << 10;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).text(self.name.as_str());
            r.key(2).uint(self.release.0);
            r.key(3).bytes(self.submission.as_ref());
            r.key(4).bytes(self.policy.as_ref());
            r.key(5).text(&self.stage);
            if let Some(object) = &self.object {
                r.key(6).text(object);
            }
            r.key(7).text(&self.message);
            write_verdicts(r.key(8), &self.verdicts);
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            Ok(Self {
                name: r.required(1, "failure-cause.name", plugin_name)?,
                release: r.required(2, "failure-cause.release", release)?,
                submission: r.required(3, "failure-cause.submission", Decoder::digest)?,
                policy: r.required(4, "failure-cause.policy", Decoder::digest)?,
                stage: r.required(5, "failure-cause.stage", label)?,
                object: r.optional(6, "failure-cause.object", |d| line(d, limits::PATH_BYTES))?,
                message: r.required(7, "failure-cause.message", cause_text)?,
                verdicts: r.required(8, "failure-cause.verdicts", read_verdicts)?,
            })
        })
    }
}

/// With what a validator rebuilt a plugin. Content-addressed; a binding names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildEnvironment {
    /// First line of the compiler's `--version`.
    pub compiler: String,
    /// The recipe's flags, in order.
    pub flags: Vec<String>,
    /// Platform the bytecode is for, e.g. `pquic`.
    pub platform: String,
    /// Whether the compiler ran confined.
    pub confined: bool,
}

impl Artefact for BuildEnvironment {
    const NAME: &'static str = "build-environment";
    const MAX_BYTES: usize = 64 << 10;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).text(&self.compiler);
            let flags = r.key(2);
            flags.array(self.flags.len());
            for flag in &self.flags {
                flags.text(flag);
            }
            r.key(3).text(&self.platform);
            r.key(4).uint(u64::from(self.confined));
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            Ok(Self {
                compiler: r.required(1, "build-environment.compiler", |d| line(d, limits::PATH_BYTES))?,
                flags: r.required(2, "build-environment.flags", |d| {
                    d.array(limits::FLAGS, |d| line(d, limits::PATH_BYTES))
                })?,
                platform: r.required(3, "build-environment.platform", label)?,
                confined: r.required(4, "build-environment.confined", |d| {
                    let flag = d.uint()?;
                    d.rule(flag <= 1, "confined is 0 or 1")?;
                    Ok(flag == 1)
                })?,
            })
        })
    }
}

/// One verifier a validator runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// The property it decides.
    pub property: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// By what a validator decides. Content-addressed: each STR names the one in force, each binding the one that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The validator.
    pub origin: String,
    /// Expression over properties that must be proved, e.g. `structure & reproducible`.
    pub acceptance: String,
    /// What it runs, in the order it runs them.
    pub verifiers: Vec<Verifier>,
    /// Platforms it validates for.
    pub platforms: Vec<String>,
    /// Seconds between epochs.
    pub epoch_interval_s: u64,
    /// Seconds in which a submission is decided.
    pub decide_within_s: u64,
}

impl Artefact for Policy {
    const NAME: &'static str = "policy";
    const MAX_BYTES: usize = 64 << 10;

    fn encode(&self, out: &mut Encoder) {
        out.record(|r| {
            r.key(1).text(&self.origin);
            r.key(2).text(&self.acceptance);
            let verifiers = r.key(3);
            verifiers.array(self.verifiers.len());
            for v in &self.verifiers {
                verifiers.array(3);
                verifiers.text(&v.property);
                verifiers.text(&v.name);
                verifiers.text(&v.version);
            }
            let platforms = r.key(4);
            platforms.array(self.platforms.len());
            for platform in &self.platforms {
                platforms.text(platform);
            }
            r.key(5).uint(self.epoch_interval_s);
            r.key(6).uint(self.decide_within_s);
        });
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.record(|r| {
            let verifier = |d: &mut Decoder<'_>| {
                d.tuple(3, "a verifier is [property, name, version]", |d| {
                    Ok(Verifier { property: label(d)?, name: label(d)?, version: label(d)? })
                })
            };
            let policy = Self {
                origin: r.required(1, "policy.origin", origin)?,
                acceptance: r.required(2, "policy.acceptance", |d| line(d, limits::EXPRESSION_BYTES))?,
                verifiers: r.required(3, "policy.verifiers", |d| d.array(limits::POLICY_ITEMS, verifier))?,
                platforms: r.required(4, "policy.platforms", |d| d.array(limits::POLICY_ITEMS, label))?,
                epoch_interval_s: r.required(5, "policy.epoch-interval-s", Decoder::uint)?,
                decide_within_s: r.required(6, "policy.decide-within-s", Decoder::uint)?,
            };
            r.rule(policy.epoch_interval_s > 0, "an epoch has at least one second")?;
            Ok(policy)
        })
    }
}
