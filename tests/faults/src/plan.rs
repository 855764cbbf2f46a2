//! Points where something can go wrong, and what.

use std::fmt;

/// A call on a stored file, in one run of the scenario.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// `log`, `table`, `manifest`, `CURRENT`, `guard`, `folder` or `other`.
    pub class: String,
    /// `open`, `create`, `write`, `sync`, `range`, `truncate`, `allocate`, `rename`, `unlink` or `mkdir`.
    pub operation: String,
    /// Counts the calls of this class and operation from 1.
    pub ordinal: u32,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It is done, and says EIO.
    EioDone,
    /// It is not done, and says EIO; of a sync, what it was to make last is gone. Power fails when the process ends.
    EioLost,
    /// As `EioDone`, with ENOSPC.
    EnospcDone,
    /// As `EioLost`, with ENOSPC; of a write, the first half is done.
    EnospcLost,
    /// It is done, then power fails: everything that was not synced is gone.
    KillCut,
    /// It is done, then the process is killed: everything is there.
    KillKept,
    /// It is done, then power fails: names are there, and of the bytes that were not synced the first half.
    KillTorn,
}

/// A point, and what goes wrong there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where.
    pub point: Point,
    /// What.
    pub effect: Effect,
}

impl Effect {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::EioDone,
        Self::EioLost,
        Self::EnospcDone,
        Self::EnospcLost,
        Self::KillCut,
        Self::KillKept,
        Self::KillTorn,
    ];

    /// Whether the process is killed.
    pub fn kills(self) -> bool {
        matches!(self, Self::KillCut | Self::KillKept | Self::KillTorn)
    }

    /// The shim's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::EioDone => "eio-done",
            Self::EioLost => "eio-lost",
            Self::EnospcDone => "enospc-done",
            Self::EnospcLost => "enospc-lost",
            Self::KillCut => "kill-cut",
            Self::KillKept => "kill-kept",
            Self::KillTorn => "kill-torn",
        }
    }
}

impl Point {
    /// What can go wrong here: everything, or, where a call changes nothing that could last, each kind once.
    pub fn effects(&self) -> &'static [Effect] {
        match self.operation.as_str() {
            "open" | "range" | "mkdir" => &[Effect::EioDone, Effect::EnospcLost, Effect::KillCut],
            _ => &Effect::ALL,
        }
    }

    /// All that can go wrong here.
    pub fn faults(&self) -> impl Iterator<Item = Fault> + '_ {
        self.effects().iter().map(|effect| Fault { point: self.clone(), effect: *effect })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.class, self.operation, self.ordinal)
    }
}

/// As the shim reads it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.point, self.effect.name())
    }
}
