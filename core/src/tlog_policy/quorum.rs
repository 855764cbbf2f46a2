//! Which sets of witnesses are a quorum, and whether two quorums can have nobody in common.
//!
//! Pure. Source: C2SP tlog-policy for what a group means; the argument about disjoint quorums is given at its function.

use super::{MAX_ITEMS, Member, Policy, Quorum};

/// A set of a policy's witnesses, by position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WitnessSet(u64);

const _: () = assert!(MAX_ITEMS <= 64, "a witness set has 64 bits");

impl WitnessSet {
    /// Whether the witness at this position is in the set.
    pub fn contains(&self, witness: usize) -> bool {
        witness < MAX_ITEMS && self.0 >> witness & 1 == 1
    }

    /// Number of witnesses in the set.
    pub fn len(&self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether nobody is in the set.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether no witness is in both sets.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.0 & other.0 == 0
    }
}

/// Positions from [`MAX_ITEMS`] on, which no witness has, are passed over.
impl FromIterator<usize> for WitnessSet {
    fn from_iter<I: IntoIterator<Item = usize>>(witnesses: I) -> Self {
        let known = witnesses.into_iter().filter(|witness| *witness < MAX_ITEMS);
        Self(known.fold(0, |set, witness| set | 1 << witness))
    }
}

impl Policy {
    /// Whether these witnesses are a quorum.
    pub fn is_satisfied(&self, cosigned: &WitnessSet) -> bool {
        self.quorum_holds(
            |witness| cosigned.contains(witness),
            |members, threshold| members.iter().filter(|witnessed| **witnessed).count() >= threshold,
        )
        .unwrap_or(true)
    }

    /// Whether two sets of witnesses that have nobody in common can both be quorums, so that a log could show each half
    /// of the world its own history. Always so for `quorum none`: nobody and nobody.
    ///
    /// Exact, in one pass over the groups. Give each witness to one of two parties, A or B; giving one to neither helps
    /// nobody, since more witnesses never satisfy less. Every name is a member at most once, so the quorum is a tree, and
    /// what is given below one member says nothing about what is given below another. Any member can be satisfied for
    /// one party of our choice (give it all below), so all there is to know of a member is whether it can be satisfied
    /// for *both at once*:
    /// - a witness cannot: it is given once;
    /// - a group of n members and threshold k, d of which can: these d count for both parties, each of the other n - d
    ///   for one. Both parties then lack max(0, k - d), so it can if and only if 2 * max(0, k - d) <= n - d.
    ///
    /// Two disjoint quorums exist if and only if the quorum's member can.
    pub fn has_disjoint_quorums(&self) -> bool {
        self.quorum_holds(
            |_| false,
            |members, threshold| {
                let both = members.iter().filter(|both| **both).count();
                2 * threshold.saturating_sub(both) <= members.len() - both
            },
        )
        .unwrap_or(true)
    }

    /// Decides a property of the quorum from that of witnesses and, upwards, of groups; `None` for `quorum none`.
    fn quorum_holds(
        &self,
        witness: impl Fn(usize) -> bool,
        group: impl Fn(&[bool], usize) -> bool,
    ) -> Option<bool> {
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let holds = |member: &Member, groups: &[bool]| match *member {
            Member::Witness(i) => witness(i),
            Member::Group(i) => groups[i],
        };
        for each in &self.groups {
            let members: Vec<bool> = each.members.iter().map(|member| holds(member, &groups)).collect();
            groups.push(group(&members, each.threshold));
        }
        match &self.quorum {
            Quorum::None => None,
            Quorum::Member(member) => Some(holds(member, &groups)),
        }
    }
}
