//! A log's nodes in memory.
//!
//! Pure. For small trees and for tests; a validator's log lives in the store.

use pds_schemas::{Digest, TreeSize};

use super::{EMPTY_ROOT, LogFull, NodeReader, edge_root};
use crate::hash::node_hash;

/// All complete subtrees of a log, level by level.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    /// `levels[l][i]` is the node at level `l` and index `i`.
    levels: Vec<Vec<Digest>>,
}

/// A node that is not complete at the log's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no complete node {index} at level {level} of this log")]
pub struct MissingNode {
    /// Level asked for.
    pub level: u8,
    /// Index asked for.
    pub index: u64,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf hash.
    ///
    /// # Errors
    /// [`LogFull`].
    pub fn append(&mut self, leaf: Digest) -> Result<(), LogFull> {
        if self.size().0 == u64::MAX {
            return Err(LogFull);
        }
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            let [.., left, right] = row.as_slice() else { break };
            if row.len() % 2 == 1 {
                break;
            }
            hash = node_hash(left, right);
        }
        Ok(())
    }

    /// Number of leaves.
    pub fn size(&self) -> TreeSize {
        TreeSize(self.levels.first().map_or(0, |leaves| leaves.len() as u64))
    }

    /// Root over all leaves.
    pub fn root(&self) -> Digest {
        match self.size().0 {
            0 => EMPTY_ROOT,
            size => edge_root(self, 0, size).expect("a log in memory has every node of its size"),
        }
    }
}

impl FromIterator<Digest> for MemoryLog {
    fn from_iter<I: IntoIterator<Item = Digest>>(leaves: I) -> Self {
        let mut log = Self::new();
        for leaf in leaves {
            log.append(leaf).expect("memory ends before 2^64 leaves");
        }
        log
    }
}

impl NodeReader for MemoryLog {
    type Error = MissingNode;

    fn node(&self, level: u8, index: u64) -> Result<Digest, MissingNode> {
        let row = self.levels.get(usize::from(level));
        let at = usize::try_from(index).ok();
        row.zip(at).and_then(|(row, at)| row.get(at)).copied().ok_or(MissingNode { level, index })
    }
}
