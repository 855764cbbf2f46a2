//! What a worker does, and how often.

use std::fmt;
use std::str::FromStr;

use super::random::Random;

/// One kind of request, with all that is checked of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// The newest checkpoint: signed, cosigned, no older than one seen before, and one log with all that were seen.
    Checkpoint,
    /// A random tile, hashed up to the newest checkpoint's root.
    Tile,
    /// A random bundle of entries, hashed against its tile.
    Entries,
    /// The STR of a random epoch: signed, in its place, and the log's entry.
    Epoch,
    /// Evidence of now about a known name, verified as a peer does.
    Evidence,
    /// Proof that a name nobody submitted is absent now.
    Absence,
    /// Evidence of a random past epoch about a known name.
    Old,
    /// A known name's records, each naming the one before.
    History,
    /// A signed submission, answered with a receipt that holds.
    Submit,
    /// What became of an accepted submission: known, decided in time, and as evidence says.
    Status,
}

impl Operation {
    /// Every operation, in the order of tables.
    pub const ALL: [Self; 10] = [
        Self::Checkpoint,
        Self::Tile,
        Self::Entries,
        Self::Epoch,
        Self::Evidence,
        Self::Absence,
        Self::Old,
        Self::History,
        Self::Submit,
        Self::Status,
    ];

    /// Its name, as [`Mix`] takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Tile => "tile",
            Self::Entries => "entries",
            Self::Epoch => "epoch",
            Self::Evidence => "evidence",
            Self::Absence => "absence",
            Self::Old => "old",
            Self::History => "history",
            Self::Submit => "submit",
            Self::Status => "status",
        }
    }

    /// Whether every tlog-tiles log answers it, and not a validator only.
    pub fn is_of_any_log(self) -> bool {
        matches!(self, Self::Checkpoint | Self::Tile | Self::Entries)
    }

    /// Whether it asks about a name that is known to be there.
    pub fn takes_a_name(self) -> bool {
        matches!(self, Self::Evidence | Self::Old | Self::History)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How often readers do what: a weight for each operation that is not 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    weights: Vec<(Operation, u32)>,
    total: u64,
}

/// Why a text is no mix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    /// Not `operation=weight`.
    #[error("{0:?} is not operation=weight, e.g. evidence=4")]
    Form(String),
    /// No such operation for readers.
    #[error("{0:?} is no operation of readers; there are {known}", known = readers_operations())]
    Unknown(String),
    /// An operation twice.
    #[error("{0} stands twice")]
    Twice(Operation),
    /// Nothing has a weight.
    #[error("no operation has a weight above 0")]
    Empty,
}

impl Mix {
    /// For a validator: mostly what peers ask for.
    pub fn of_validator() -> Self {
        use Operation::{Absence, Checkpoint, Entries, Epoch, Evidence, History, Old, Status, Tile};
        let weights = [
            (Checkpoint, 10),
            (Tile, 10),
            (Entries, 5),
            (Epoch, 5),
            (Evidence, 40),
            (Absence, 10),
            (Old, 10),
            (History, 5),
            (Status, 5),
        ];
        Self::new(weights.into()).expect("the weights are above 0")
    }

    /// For any log: mostly tiles.
    pub fn of_any_log() -> Self {
        let weights = [(Operation::Checkpoint, 1), (Operation::Tile, 6), (Operation::Entries, 3)];
        Self::new(weights.into()).expect("the weights are above 0")
    }

    fn new(mut weights: Vec<(Operation, u32)>) -> Result<Self, MixError> {
        weights.retain(|(_, weight)| *weight > 0);
        let total = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
        if total == 0 { Err(MixError::Empty) } else { Ok(Self { weights, total }) }
    }

    /// The operations that have a weight.
    pub fn operations(&self) -> impl Iterator<Item = Operation> {
        self.weights.iter().map(|(operation, _)| *operation)
    }

    /// One of them, as often as its weight says.
    pub fn pick(&self, random: &mut Random) -> Operation {
        let mut at = random.below(self.total);
        for (operation, weight) in &self.weights {
            match at.checked_sub(u64::from(*weight)) {
                Some(rest) => at = rest,
                None => return *operation,
            }
        }
        unreachable!("the weights add up to the total")
    }
}

impl FromStr for Mix {
    type Err = MixError;

    /// Reads `evidence=4,tile=1`.
    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut weights: Vec<(Operation, u32)> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let form = || MixError::Form(part.to_owned());
            let (name, weight) = part.split_once('=').ok_or_else(form)?;
            let weight = weight.parse().map_err(|_| form())?;
            let known = Operation::ALL.into_iter().find(|operation| operation.name() == name);
            let known = known.filter(|operation| *operation != Operation::Submit);
            let operation = known.ok_or_else(|| MixError::Unknown(name.to_owned()))?;
            if weights.iter().any(|(before, _)| *before == operation) {
                return Err(MixError::Twice(operation));
            }
            weights.push((operation, weight));
        }
        Self::new(weights)
    }
}

fn readers_operations() -> String {
    let names = Operation::ALL.into_iter().filter(|operation| *operation != Operation::Submit);
    names.map(Operation::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_picks_by_weight() {
        let mix: Mix = "tile=3, evidence=1,absence=0".parse().unwrap();
        let mut random = Random::new(7);
        let picked: Vec<Operation> = (0..40_000).map(|_| mix.pick(&mut random)).collect();
        let tiles = picked.iter().filter(|operation| **operation == Operation::Tile).count();
        // Six standard deviations of a binomial distribution around 30,000.
        assert!((29_480..=30_520).contains(&tiles), "{tiles}");
        assert!(picked.iter().all(|o| matches!(o, Operation::Tile | Operation::Evidence)));
        assert_eq!(mix.operations().collect::<Vec<_>>(), [Operation::Tile, Operation::Evidence]);
    }

    #[test]
    fn mix_is_refused_when_it_is_none() {
        let check = |text: &str, expect: MixError| assert_eq!(text.parse::<Mix>(), Err(expect), "{text}");
        check("tile", MixError::Form("tile".to_owned()));
        check("", MixError::Form(String::new()));
        check("tile=-1", MixError::Form("tile=-1".to_owned()));
        check("tiles=1", MixError::Unknown("tiles".to_owned()));
        check("submit=1", MixError::Unknown("submit".to_owned()));
        check("tile=1,tile=2", MixError::Twice(Operation::Tile));
        check("tile=0", MixError::Empty);
    }
}
