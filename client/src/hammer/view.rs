//! All checkpoints that a run was shown: of one log that only grows, or a contradiction.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pds_schemas::TreeSize;

use super::finding::{Finding, Trouble};
use super::target::Offered;
use super::tiles::{Edge, Tiles};
use crate::api::ValidatorApi;

/// Two signed checkpoints that cannot both be of one log that only grows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {}", describe(*.from, *.to))]
pub struct Contradiction {
    /// What is wrong with the two.
    pub kind: ContradictionKind,
    /// Size of the one seen first.
    pub from: TreeSize,
    /// Size of the other.
    pub to: TreeSize,
    /// The one seen first, a note.
    pub held: String,
    /// The other, a note.
    pub offered: String,
}

/// How two checkpoints contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContradictionKind {
    /// Two roots of one size.
    #[error("SPLIT VIEW, two roots")]
    TwoRoots,
    /// The tiles of the larger do not begin with the smaller.
    #[error("FORK, the larger log does not begin with the smaller")]
    Fork,
    /// An older head than one that was answered before the question.
    #[error("ROLLBACK, an older head after a newer one")]
    Rollback,
}

fn describe(from: TreeSize, to: TreeSize) -> String {
    format!("checkpoints of {from} and of {to} entries")
}

/// A checkpoint that is believed, with the edge that hashes to its root.
#[derive(Clone, Debug)]
pub struct Head {
    /// The checkpoint.
    pub checkpoint: Offered,
    /// The log's right edge under it.
    pub edge: Edge,
}

/// What was seen of one log.
#[derive(Debug)]
pub struct View {
    api: ValidatorApi,
    tiles: Tiles,
    seen: Mutex<Seen>,
    /// Held by who proves that the log grew: once for each size is enough.
    proving: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Seen {
    newest: Option<Arc<Head>>,
    /// Believed checkpoints by size: those of the last [`REMEMBERED`] sizes.
    checkpoints: BTreeMap<u64, Offered>,
}

/// Checkpoints that are kept: with a size a second, those of a day.
const REMEMBERED: usize = 86_400;

impl View {
    /// Nothing seen yet.
    pub fn new(api: ValidatorApi) -> Self {
        Self { api, tiles: Tiles::default(), seen: Mutex::default(), proving: tokio::sync::Mutex::default() }
    }

    /// The newest head.
    pub fn newest(&self) -> Option<Arc<Head>> {
        self.lock().newest.clone()
    }

    /// Verified tiles.
    pub fn tiles(&self) -> &Tiles {
        &self.tiles
    }

    /// Holds a signed checkpoint against all that were seen, and remembers it. `before` is the newest head when the
    /// question was asked that it answers. Whether it is new.
    ///
    /// # Errors
    /// [`Finding::Contradiction`], and what fetching tiles has.
    pub async fn meet(&self, offered: &Offered, before: Option<&Head>) -> Result<bool, Trouble> {
        if let Some(before) = before.filter(|before| offered.size < before.checkpoint.size) {
            return Err(contradiction(ContradictionKind::Rollback, &before.checkpoint, offered));
        }
        if self.knows(offered)? {
            return Ok(false);
        }
        let _turn = self.proving.lock().await;
        if self.knows(offered)? {
            return Ok(false);
        }
        let newest = self.newest();
        match newest.filter(|newest| newest.checkpoint.size > offered.size) {
            // Answered before the newest one was, to a question asked earlier.
            Some(newest) => {
                self.prove(&self.tiles, offered, &newest, offered).await?;
                self.lock().remember(offered.clone());
            }
            None => self.grow(offered).await?,
        }
        Ok(true)
    }

    async fn grow(&self, offered: &Offered) -> Result<(), Trouble> {
        let edge = Edge::fetch(&self.api, offered.size, &offered.root).await?;
        let head = Head { checkpoint: offered.clone(), edge };
        if let Some(newest) = self.newest() {
            // Tiles of a head that is not believed yet are not kept beside those of one that is.
            self.prove(&Tiles::default(), &newest.checkpoint, &head, offered).await?;
        }
        let mut seen = self.lock();
        seen.remember(offered.clone());
        seen.newest = Some(Arc::new(head));
        Ok(())
    }

    /// The log of `larger` begins with that of `smaller`; `offered` is the one of them that is new.
    async fn prove(
        &self,
        tiles: &Tiles,
        smaller: &Offered,
        larger: &Head,
        offered: &Offered,
    ) -> Result<(), Trouble> {
        let root = tiles.root_of_beginning(&self.api, &larger.edge, smaller.size).await?;
        if root == smaller.root {
            return Ok(());
        }
        let held = if offered == smaller { &larger.checkpoint } else { smaller };
        Err(contradiction(ContradictionKind::Fork, held, offered))
    }

    fn knows(&self, offered: &Offered) -> Result<bool, Trouble> {
        match self.lock().checkpoints.get(&offered.size.0) {
            None => Ok(false),
            Some(held) if held.root == offered.root => Ok(true),
            Some(held) => Err(contradiction(ContradictionKind::TwoRoots, held, offered)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn remember(&mut self, offered: Offered) {
        if self.checkpoints.len() >= REMEMBERED {
            self.checkpoints.pop_first();
        }
        self.checkpoints.insert(offered.size.0, offered);
    }
}

fn contradiction(kind: ContradictionKind, held: &Offered, offered: &Offered) -> Trouble {
    let (from, to) = (held.size, offered.size);
    let (held, offered) = (held.note.clone(), offered.note.clone());
    Finding::Contradiction(Box::new(Contradiction { kind, from, to, held, offered })).into()
}
