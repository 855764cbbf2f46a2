//! Reading a validator's whole log as a stranger would, and holding it to its word.
//!
//! From the entries that the validator serves, and nothing else, the log's root is recomputed; from its changes, every
//! prefix root; from its histories, every record; and all that records point at is fetched and rehashed. An epoch that
//! changed nothing must keep its root, and is not asked for its (empty) changes. The next audit goes on where this one
//! ended well. Out of scope: whether bytecode does what its verdicts say, and who else was shown what (see witnesses).

mod chain;
mod position;
mod reach;
mod records;
mod violation;

use std::collections::BTreeMap;

use pds_core::checkpoint::SignedCheckpoint;
use pds_core::log::tile::{EntriesAddress, FULL_WIDTH, TileAddress, TileError, tile_width_at, tiles_between};
use pds_core::tlog_policy::EvaluationError;
use pds_schemas::{Digest, EpochNumber, PosixTime, TreeSize};

use self::chain::Chain;
use self::position::Position;
use self::records::Records;
pub use self::violation::{Violation, Violations};
use crate::api::ApiError;
use crate::fetch::Source;
use crate::growth::{self, GrowthError};
use crate::state::{Memory, StateError};

/// Downloads under way at a time.
const WIDTH: usize = 8;

/// What was read and held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Entries, each an STR.
    pub epochs: u64,
    /// Tiles of hashes, compared with the entries.
    pub tiles: u64,
    /// Changes of names, each proved against the roots before and after.
    pub changes: u64,
    /// Name records, each the one its change commits to.
    pub records: u64,
    /// Policies in force in some epoch.
    pub policies: u64,
    /// Owner records.
    pub owners: u64,
    /// Bindings.
    pub bindings: u64,
    /// Failure causes.
    pub causes: u64,
    /// Bytecode, manifests and build environments of the bindings that stand at the end.
    pub objects: u64,
}

/// What an audit came to.
#[derive(Debug)]
pub struct Report {
    /// The log.
    pub origin: String,
    /// Where an earlier audit had ended; 0 for one from scratch.
    pub from: TreeSize,
    /// Size of the checkpoint.
    pub size: TreeSize,
    /// Its root, which the entries give too if there are no violations.
    pub root: Digest,
    /// Names in the last epoch's tree.
    pub names: u64,
    /// What was read.
    pub counts: Counts,
    /// What does not hold.
    pub violations: Violations,
}

/// Why an audit could not be done.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The server does not answer.
    #[error("read the log")]
    Api(#[from] ApiError),
    /// The checkpoint is not this log's.
    #[error("the checkpoint does not hold")]
    Checkpoint(#[from] EvaluationError),
    /// The log did not just grow.
    #[error(transparent)]
    Growth(#[from] GrowthError),
    /// Memory fails.
    #[error("remembered state")]
    State(#[from] StateError),
    /// What an earlier audit wrote down cannot be used.
    #[error("an earlier audit's position cannot be used ({0}): audit from scratch")]
    Position(&'static str),
    /// A log too long for its tiles to have addresses.
    #[error("the log is too long")]
    TooLong(#[from] TileError),
}

impl AuditError {
    /// Whether this is the validator's doing, and not a matter of being able to ask it.
    pub fn is_verdict(&self) -> bool {
        match self {
            Self::Api(e) | Self::Growth(GrowthError::Api(e)) => e.is_nonsense(),
            Self::Checkpoint(_) => true,
            Self::Growth(GrowthError::State(e)) | Self::State(e) => matches!(e, StateError::Conflict { .. }),
            Self::Growth(_) => true,
            Self::Position(_) | Self::TooLong(_) => false,
        }
    }
}

/// Audits the log of `source` from where the last audit ended, or from its first epoch.
///
/// Remembers checkpoint and position if everything holds.
///
/// # Errors
/// [`AuditError`]; what does not hold is in the report.
pub async fn audit(
    source: &Source,
    memory: &Memory,
    from_scratch: bool,
    now: PosixTime,
    on_progress: impl Fn(u64, u64),
) -> Result<Report, AuditError> {
    let Source { known, api } = source;
    let trusted = &known.trusted;
    let mut violations = Violations::default();
    let evaluation = trusted.policy().evaluate(&api.checkpoint().await?, &known.window(now))?;
    if !evaluation.has_quorum {
        let (counted, known) = (evaluation.counted().len(), trusted.policy().witnesses().len());
        violations.push(Violation::NoQuorum { counted, known });
    }
    let signed: SignedCheckpoint = evaluation.checkpoint;
    let (size, root) = (signed.checkpoint().size, signed.checkpoint().root);
    let grown = growth::check(api, memory, trusted, &signed).await?;

    let position = match from_scratch {
        true => Position::default(),
        false => Position::recall(memory, trusted.origin())?.unwrap_or_default(),
    };
    let from = position.size;
    if from > size {
        return Err(AuditError::Position("it is beyond the checkpoint"));
    }
    let mut walk = Walk {
        source,
        size,
        chain: Chain::new(trusted, position)?,
        records: Records::default(),
        upper: BTreeMap::new(),
        counts: Counts::default(),
        violations,
    };
    on_progress(from.0, size.0);
    let width = u64::from(FULL_WIDTH);
    for bundle in from.0 / width..size.0.div_ceil(width) {
        walk.bundle(bundle).await?;
        on_progress(walk.chain.size().0, size.0);
        if walk.violations.is_full() || walk.chain.is_broken() {
            break;
        }
    }
    if walk.chain.size() == size {
        walk.check_head(&root, from).await?;
    }
    let Walk { chain, records, mut counts, mut violations, .. } = walk;
    let names = chain.names();
    reach::check(api, records, &mut counts, &mut violations).await?;
    if violations.is_empty() {
        growth::remember(api, memory, trusted, &signed, grown).await?;
        chain.into_position().store(memory, trusted.origin())?;
    }
    Ok(Report { origin: trusted.origin().to_owned(), from, size, root, names, counts, violations })
}

struct Walk<'a> {
    source: &'a Source,
    size: TreeSize,
    chain: Chain<'a>,
    records: Records,
    /// Nodes of the tile levels above 0.
    upper: BTreeMap<(u8, u64), Digest>,
    counts: Counts,
    violations: Violations,
}

impl Walk<'_> {
    /// Reads one bundle of entries from the position on, and all that its epochs changed.
    async fn bundle(&mut self, index: u64) -> Result<(), AuditError> {
        let api = &self.source.api;
        let width = tile_width_at(self.size, 0, index).expect("the log has this bundle");
        let entries = api.entries(EntriesAddress::new(index, width)?).await;
        let Some(entries) = self.violations.unless_withheld("the entries", entries)? else {
            self.chain.give_up();
            return Ok(());
        };
        let first = index * u64::from(FULL_WIDTH);
        let skip = usize::try_from(self.chain.size().0 - first).expect("a position lies in its bundle");
        let mut steps = Vec::new();
        let mut leaves = Vec::new();
        for entry in &entries[skip..] {
            let step = self.chain.append(entry, &mut self.violations, |node| {
                if node.level == 0 {
                    leaves.push(node.hash);
                } else if node.level.is_multiple_of(8) {
                    self.upper.insert((node.level, node.index), node.hash);
                }
            });
            self.counts.epochs += 1;
            let Some(step) = step else { break };
            self.records.policies.insert(step.str.policy);
            steps.push(step);
        }
        self.check_leaves(index, width, skip, &leaves).await?;
        let changed = chain::check_transitions(api, steps, &mut self.counts, &mut self.violations).await?;
        self.records.follow(api, changed, &mut self.counts, &mut self.violations).await
    }

    async fn check_leaves(
        &mut self,
        index: u64,
        width: u16,
        skip: usize,
        leaves: &[Digest],
    ) -> Result<(), AuditError> {
        let address = TileAddress::new(0, index, width)?;
        let tile = self.source.api.tile(address).await;
        if let Some(tile) = self.violations.unless_withheld("a tile", tile)? {
            self.counts.tiles += 1;
            if !tile[skip..].starts_with(leaves) {
                self.violations.push(Violation::Tile(address));
            }
        }
        Ok(())
    }

    /// What the whole log is held against, once all of it was read.
    async fn check_head(&mut self, root: &Digest, from: TreeSize) -> Result<(), AuditError> {
        let api = &self.source.api;
        let recomputed = self.chain.root();
        if recomputed != *root {
            self.violations.push(Violation::Root { recomputed, signed: *root });
        }
        for address in tiles_between(from, self.size).filter(|address| address.level() > 0) {
            let Some(tile) = self.violations.unless_withheld("a tile", api.tile(address).await)? else {
                continue;
            };
            self.counts.tiles += 1;
            // Hashes from before the position were compared then.
            let known =
                address.nodes().zip(&tile).filter_map(|(node, hash)| Some((self.upper.get(&node)?, hash)));
            if known.into_iter().any(|(ours, theirs)| ours != theirs) {
                self.violations.push(Violation::Tile(address));
            }
        }
        let Some(last) = self.size.0.checked_sub(1) else { return Ok(()) };
        let epoch = EpochNumber(last);
        let served = api.signed_tree_root(epoch).await;
        if let Some(served) = self.violations.unless_withheld("the last STR", served)?
            && pds_core::hash::leaf_hash(&served) != self.chain.last_hash()
        {
            self.violations.push(Violation::OtherStr { epoch });
        }
        Ok(())
    }
}
