//! The chain of STRs, and the transitions between their trees.

use pds_core::cose;
use pds_core::evidence::TrustedValidator;
use pds_core::hash::{leaf_hash, sha256};
use pds_core::log::{Frontier, Node};
use pds_core::prefix::verify_transition;
use pds_schemas::cose::SignedKind;
use pds_schemas::prefix::Change;
use pds_schemas::{Artefact, ChangeSet, Digest, EpochNumber, SignedTreeRoot, Transition, TreeSize};

use super::position::Position;
use super::{AuditError, Counts, Violation, Violations, WIDTH};
use crate::api::ValidatorApi;
use crate::parallel;

/// Follows a log entry by entry. Written only by the audit's walk.
pub(super) struct Chain<'a> {
    validator: &'a TrustedValidator,
    position: Position,
    frontier: Frontier,
    is_broken: bool,
}

/// An STR that fits the one before it, and what its changes are held against.
pub(super) struct Step {
    pub str: SignedTreeRoot,
    root_before: Digest,
    names_before: u64,
}

impl<'a> Chain<'a> {
    pub fn new(validator: &'a TrustedValidator, position: Position) -> Result<Self, AuditError> {
        let frontier = position.frontier()?;
        Ok(Self { validator, position, frontier, is_broken: false })
    }

    pub fn size(&self) -> TreeSize {
        self.position.size
    }

    pub fn root(&self) -> Digest {
        self.frontier.root()
    }

    pub fn names(&self) -> u64 {
        self.position.names
    }

    pub fn last_hash(&self) -> Digest {
        self.position.str_hash
    }

    /// Whether an entry could not be read, so that nothing behind it can be held against anything.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    pub fn give_up(&mut self) {
        self.is_broken = true;
    }

    pub fn into_position(self) -> Position {
        self.position
    }

    /// Takes the next entry, and hands the log nodes it completes to `store`; `None` for one that is no STR.
    pub fn append(
        &mut self,
        entry: &[u8],
        violations: &mut Violations,
        mut store: impl FnMut(Node),
    ) -> Option<Step> {
        let index = self.position.size.0;
        let key = self.validator.str_key();
        let str: SignedTreeRoot = match cose::open_by(entry, SignedKind::SignedTreeRoot, key) {
            Ok(str) => str,
            Err(cause) => {
                violations.push(Violation::Entry { index, cause });
                self.give_up();
                return None;
            }
        };
        self.check(&str, violations);
        let step = Step {
            root_before: self.position.prefix_root,
            names_before: self.position.names,
            str: str.clone(),
        };
        let hash = leaf_hash(entry);
        let peaks = &mut self.position.peaks;
        let appended = self.frontier.append(hash, |node| {
            peaks.insert(node.level, node.hash);
            store(node);
        });
        appended.expect("a log that was read is not full");
        let size = TreeSize(index + 1);
        self.position.peaks.retain(|level, _| size.0 >> level & 1 == 1);
        self.position.size = size;
        self.position.str_hash = hash;
        self.position.time = str.time;
        self.position.prefix_root = str.prefix_root;
        self.position.names = str.names;
        Some(step)
    }

    fn check(&self, str: &SignedTreeRoot, violations: &mut Violations) {
        let before = &self.position;
        let epoch = str.epoch;
        if str.origin != self.validator.origin() {
            violations.push(Violation::Origin { epoch, found: str.origin.clone() });
        }
        if epoch.0 != before.size.0 {
            violations.push(Violation::Place { index: before.size.0, epoch });
        }
        if str.previous != before.str_hash {
            violations.push(Violation::Previous { epoch, expected: before.str_hash, found: str.previous });
        }
        if str.time < before.time {
            violations.push(Violation::Time { epoch, before: before.time, found: str.time });
        }
    }
}

/// One name's change, in an epoch whose transition holds.
pub(super) struct Changed {
    pub epoch: EpochNumber,
    pub change: Change,
}

/// Fetches the changes of each step and checks that they lead from root to root; gives them in the order of epochs.
pub(super) async fn check_transitions(
    api: &ValidatorApi,
    steps: Vec<Step>,
    counts: &mut Counts,
    violations: &mut Violations,
) -> Result<Vec<Changed>, AuditError> {
    let nothing = sha256(&ChangeSet::default().to_bytes());
    let is_quiet = |step: &Step| {
        let Step { str, root_before, names_before } = step;
        str.changes == nothing && str.prefix_root == *root_before && str.names == *names_before
    };
    let steps = steps.into_iter().filter(|step| !is_quiet(step));
    let checked = parallel::map(steps, WIDTH, |step| {
        let api = api.clone();
        async move {
            let epoch = step.str.epoch;
            // Verified here and not kept: a transition may be large.
            let answer = api.changes(epoch).await.map(|transition| check_transition(&step, transition));
            (epoch, answer)
        }
    })
    .await;
    let mut all = Vec::new();
    for (epoch, answer) in checked {
        match violations.unless_withheld(&format!("the change set of epoch {epoch}"), answer)? {
            Some(Ok(changes)) => {
                counts.changes += changes.len() as u64;
                all.extend(changes.into_iter().map(|change| Changed { epoch, change }));
            }
            Some(Err(violation)) => violations.push(*violation),
            None => {}
        }
    }
    Ok(all)
}

fn check_transition(step: &Step, transition: Transition) -> Result<Vec<Change>, Box<Violation>> {
    let Step { str, root_before, names_before } = step;
    let epoch = str.epoch;
    if transition.epoch != epoch {
        return Err(Box::new(Violation::OtherEpoch { epoch, found: transition.epoch }));
    }
    let found = sha256(&transition.changes.to_bytes());
    if found != str.changes {
        return Err(Box::new(Violation::Changes { epoch, expected: str.changes, found }));
    }
    let changes = transition.changes.changes;
    verify_transition(root_before, &str.prefix_root, &changes, &transition.proof)
        .map_err(|cause| Violation::Transition { epoch, cause })?;
    let added = changes.iter().filter(|change| change.old.is_none()).count() as u64;
    let expected = names_before.saturating_add(added);
    if str.names != expected {
        return Err(Box::new(Violation::Names { epoch, expected, found: str.names }));
    }
    Ok(changes)
}
