//! Getting evidence and plugins from validators, and believing only what was verified.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pds_core::checkpoint::{CheckpointError, SignedCheckpoint};
use pds_core::cosignature::Window;
use pds_core::evidence::{self, Currency, EvidenceError, Step, Verified};
use pds_core::formula::Formula;
use pds_schemas::{
    Artefact, Binding, Digest, EpochNumber, Evidence, FailureCause, PluginName, PluginPackage, PosixTime,
    limits,
};

use crate::api::{ApiError, ValidatorApi};
use crate::growth::{self, Growth, GrowthError};
use crate::parallel;
use crate::state::{Memory, StateError};
use crate::trust::KnownValidator;

/// Downloads under way at a time.
const WIDTH: usize = 8;

/// A validator and how it is reached.
#[derive(Clone, Debug)]
pub struct Source {
    /// Who it is.
    pub known: KnownValidator,
    /// How it is reached.
    pub api: ValidatorApi,
}

/// Evidence that was fetched and holds.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Whose, by nickname.
    pub nickname: String,
    /// The evidence.
    pub evidence: Evidence,
    /// What it proves.
    pub verified: Verified,
    /// What was checked.
    pub steps: Vec<Step>,
    /// How its log grew since it was last seen.
    pub growth: Growth,
}

/// Why there is no evidence to use.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It could not be had.
    #[error("ask for evidence")]
    Api(#[from] ApiError),
    /// It proves nothing.
    #[error("the evidence does not hold")]
    Evidence(#[from] EvidenceError),
    /// The evidence's checkpoint does not open a second time; never seen.
    #[error("the evidence's checkpoint does not hold")]
    Checkpoint(#[from] CheckpointError),
    /// Asked was how things are, answered how they were.
    #[error("asked for now, the answer is history: epoch {epoch}, under a checkpoint of {size} epochs")]
    NotNow {
        /// The STR's epoch.
        epoch: EpochNumber,
        /// The checkpoint's size.
        size: u64,
    },
    /// The answer is about another epoch.
    #[error("asked for epoch {asked}, the answer is about epoch {found}")]
    OtherEpoch {
        /// What was asked for.
        asked: EpochNumber,
        /// What it is about.
        found: EpochNumber,
    },
    /// The log did not just grow.
    #[error(transparent)]
    Growth(#[from] GrowthError),
    /// Memory fails.
    #[error("remembered state")]
    State(#[from] StateError),
}

impl FetchError {
    /// Whether the validator answered, and what it answered does not hold; otherwise nothing can be told.
    pub fn is_verdict(&self) -> bool {
        match self {
            Self::Api(e) => e.is_nonsense() || e.is_not_found(),
            Self::Growth(GrowthError::Api(e)) => e.is_nonsense(),
            Self::State(e) | Self::Growth(GrowthError::State(e)) => matches!(e, StateError::Conflict { .. }),
            _ => true,
        }
    }

    /// Whether the log itself was caught: it went back on what it showed before.
    pub fn is_alarm(&self) -> bool {
        matches!(
            self,
            Self::Growth(
                GrowthError::TwoRoots { .. }
                    | GrowthError::Shrank { .. }
                    | GrowthError::NotProved { .. }
                    | GrowthError::State(StateError::Conflict { .. })
            ) | Self::State(StateError::Conflict { .. })
        )
    }
}

/// Evidence about `name`, now or at `epoch`: verified, its log's growth too, and then remembered.
///
/// # Errors
/// [`FetchError`].
pub async fn evidence(
    source: &Source,
    memory: &Memory,
    name: &PluginName,
    epoch: Option<EpochNumber>,
    now: PosixTime,
) -> Result<Fetched, FetchError> {
    let Source { known, api } = source;
    let evidence = api.evidence(name, epoch).await?;
    let window: Window = known.window(now);
    let mut steps = Vec::new();
    let verified = evidence::verify(&known.trusted, name, &evidence, &window, &mut steps)?;
    match (epoch, verified.currency) {
        (None, Currency::History { size }) => {
            return Err(FetchError::NotNow { epoch: verified.str.epoch, size: size.0 });
        }
        (Some(asked), _) if verified.str.epoch != asked => {
            return Err(FetchError::OtherEpoch { asked, found: verified.str.epoch });
        }
        _ => {}
    }
    let log_key = &known.trusted.policy().logs()[0].key;
    let checkpoint = SignedCheckpoint::open(evidence.checkpoint.as_bytes(), log_key)?;
    let grown = growth::check(api, memory, &known.trusted, &checkpoint).await?;
    let growth = grown.growth;
    growth::remember(api, memory, &known.trusted, &checkpoint, grown).await?;
    Ok(Fetched { nickname: known.nickname.clone(), evidence, verified, steps, growth })
}

/// The cause that a verified record names, if it names one.
///
/// # Errors
/// [`ApiError`].
pub async fn cause(api: &ValidatorApi, verified: &Verified) -> Result<Option<FailureCause>, ApiError> {
    match verified.record.as_ref().and_then(|record| record.cause) {
        Some(digest) => api.cause(&digest).await.map(Some),
        None => Ok(None),
    }
}

/// Why a plugin's bytes could not be had from anybody.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Nobody stands for the plugin.
    #[error("no validator that was asked stands for the plugin")]
    NotValidated,
    /// Nobody has these bytes.
    #[error("nobody gave {what}, {digest}: {reasons}")]
    Nobody {
        /// What it is.
        what: String,
        /// SHA-256 of it.
        digest: Digest,
        /// What each source said.
        reasons: String,
    },
    /// The plugin is larger than a package can be.
    #[error("the plugin and its evidence have more than the {limit} bytes that a package may have")]
    TooLarge {
        /// Most bytes of a package.
        limit: usize,
    },
}

/// The plugin that `fetched` stands for, byte for byte, with all the evidence.
///
/// When validators stand for different bytecode, that of those who satisfy `formula` is taken, or else the first's.
/// Bytes come from whichever source has them, and are rehashed.
///
/// # Errors
/// [`DownloadError`].
pub async fn package(
    sources: &[Source],
    fetched: &[Fetched],
    formula: &Formula,
    on_progress: impl Fn(u64, u64),
) -> Result<PluginPackage, DownloadError> {
    let binding = choose(fetched, formula).ok_or(DownloadError::NotValidated)?;
    let apis: Vec<ValidatorApi> = sources.iter().map(|source| source.api.clone()).collect();
    let total = binding.objects.len() as u64 + 1;
    on_progress(0, total);
    let manifest = from_anybody(&apis, "the manifest", binding.manifest, limits::MANIFEST_BYTES).await?;
    on_progress(1, total);
    let wanted: Vec<(String, Digest)> =
        binding.objects.iter().map(|(name, digest)| (name.to_owned(), *digest)).collect();
    let too_large = || DownloadError::TooLarge { limit: PluginPackage::MAX_BYTES };
    let held = Arc::new(AtomicUsize::new(0));
    let got = parallel::map(wanted, WIDTH, |(name, digest)| {
        let (apis, held) = (apis.clone(), Arc::clone(&held));
        async move {
            // A binding may name more than a package holds: no more of it is fetched then.
            if held.load(Ordering::Relaxed) > PluginPackage::MAX_BYTES {
                return Err(too_large());
            }
            let what = format!("object {name}");
            let bytes = from_anybody(&apis, &what, digest, limits::OBJECT_BYTES).await?;
            held.fetch_add(bytes.len(), Ordering::Relaxed);
            Ok((name, bytes))
        }
    })
    .await;
    let objects = got.into_iter().collect::<Result<_, _>>()?;
    on_progress(total, total);
    let evidence = fetched.iter().map(|f| f.evidence.clone()).collect();
    let package = PluginPackage { manifest, objects, evidence };
    if package.to_bytes().len() > PluginPackage::MAX_BYTES { Err(too_large()) } else { Ok(package) }
}

/// The bytes of `digest`, at most `cap`, from the first of `apis` that has them.
///
/// # Errors
/// [`DownloadError::Nobody`].
pub async fn from_anybody(
    apis: &[ValidatorApi],
    what: &str,
    digest: Digest,
    cap: usize,
) -> Result<Vec<u8>, DownloadError> {
    let mut reasons = Vec::new();
    for api in apis {
        match api.object(&digest, cap).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(DownloadError::Nobody { what: what.to_owned(), digest, reasons: reasons.join("; ") })
}

/// One of the bindings that stand now: one for whose bytes the formula is satisfied as far as nicknames go.
fn choose<'a>(fetched: &'a [Fetched], formula: &Formula) -> Option<&'a Binding> {
    let bindings: BTreeMap<&str, &Binding> =
        fetched.iter().filter_map(|f| Some((f.nickname.as_str(), f.verified.binding.as_ref()?))).collect();
    let same = |a: &Binding, b: &Binding| a.manifest == b.manifest && a.objects == b.objects;
    let satisfies = |candidate: &Binding| {
        formula.is_satisfied(&mut |term| {
            bindings.get(term.nickname.as_str()).is_some_and(|binding| same(binding, candidate))
        })
    };
    bindings.values().copied().find(|b| satisfies(b)).or_else(|| bindings.values().copied().next())
}
