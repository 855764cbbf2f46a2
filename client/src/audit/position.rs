//! How far an audit came, so that the next one goes on from there.
//!
//! A file of our own, JSON: the log's edge and what the next epoch is checked against.

use std::collections::BTreeMap;

use pds_core::log::{Frontier, NodeReader};
use pds_schemas::{Digest, PosixTime, TreeSize};
use serde::{Deserialize, Serialize};

use super::AuditError;
use crate::state::Memory;

/// The state after some epochs; the default is that before the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// Epochs read.
    pub size: TreeSize,
    /// By level, the complete subtrees that a log of this size falls into.
    pub peaks: BTreeMap<u8, Digest>,
    /// RFC 6962 leaf hash of the last entry; zeros if there is none.
    pub str_hash: Digest,
    /// The last STR's time.
    pub time: PosixTime,
    /// The last prefix root.
    pub prefix_root: Digest,
    /// Names in the last epoch's tree.
    pub names: u64,
}

impl Position {
    pub fn recall(memory: &Memory, origin: &str) -> Result<Option<Self>, AuditError> {
        let Some(bytes) = memory.audit_position(origin)? else { return Ok(None) };
        Self::parse(&bytes).map(Some)
    }

    fn parse(bytes: &[u8]) -> Result<Self, AuditError> {
        let damaged = AuditError::Position("its file is damaged");
        let Ok(position) = serde_json::from_slice::<Self>(bytes) else { return Err(damaged) };
        let size = position.size.0;
        let is_peak = |level: &u8| size.checked_shr((*level).into()).is_some_and(|rest| rest & 1 == 1);
        if position.peaks.keys().all(is_peak) { Ok(position) } else { Err(damaged) }
    }

    pub fn store(&self, memory: &Memory, origin: &str) -> Result<(), AuditError> {
        let bytes = serde_json::to_vec(self).expect("numbers and digests become JSON");
        Ok(memory.set_audit_position(origin, &bytes)?)
    }

    pub fn frontier(&self) -> Result<Frontier, AuditError> {
        Frontier::load(&Peaks(self), self.size)
            .map_err(|NoPeak| AuditError::Position("its file lacks a part of the log's edge"))
    }
}

struct Peaks<'a>(&'a Position);
struct NoPeak;

impl NodeReader for Peaks<'_> {
    type Error = NoPeak;

    fn node(&self, level: u8, _index: u64) -> Result<Digest, NoPeak> {
        // A frontier asks for one node a level: the last complete one.
        self.0.peaks.get(&level).copied().ok_or(NoPeak)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_gives_back_the_edge_of_the_log() {
        let mut frontier = Frontier::new();
        let mut position = Position::default();
        for i in 0..=100 {
            assert_eq!(position.frontier().ok(), Some(frontier.clone()), "{i}");
            let leaf = pds_core::hash::sha256(&[i]);
            frontier.append(leaf, |node| _ = position.peaks.insert(node.level, node.hash)).unwrap();
            position.size.0 += 1;
        }
        position.peaks.clear();
        assert!(matches!(position.frontier(), Err(AuditError::Position(_))));
    }

    #[test]
    fn position_is_refused_when_its_levels_are_not_those_of_its_size() {
        let at = |size: u64, levels: &[u8]| {
            let peaks = levels.iter().map(|level| (*level, Digest::ZERO)).collect();
            let position = Position { size: TreeSize(size), peaks, ..Position::default() };
            Position::parse(&serde_json::to_vec(&position).unwrap())
        };
        assert!(at(5, &[0, 2]).is_ok());
        for levels in [&[0, 1, 2][..], &[0, 2, 64], &[2, 255]] {
            assert!(matches!(at(5, levels), Err(AuditError::Position(_))), "{levels:?}");
        }
    }
}
