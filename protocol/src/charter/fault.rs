//! How many members may fail, and how many must agree.

use serde::{Deserialize, Serialize};

/// What the members of a federation assume of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultModel {
    /// Up to a third of the voting members may lie in any way about anything.
    Byzantine,
    /// Members may stop, but never lie: for two or three sites that trust each other.
    Crash,
}

impl FaultModel {
    /// The voting members of `voters` that may fail without harm.
    ///
    /// Byzantine: ⌊(n−1)/3⌋, which is 0 below four. Crash: n minus the quorum.
    pub fn faults(self, voters: usize) -> usize {
        match self {
            Self::Byzantine => voters.saturating_sub(1) / 3,
            Self::Crash => voters.saturating_sub(self.quorum(voters)),
        }
    }

    /// The votes that decide: Byzantine n − f, crash ⌊n/2⌋ + 1.
    ///
    /// Any two quorums share a member that does not lie: n − 2f of n > 3f members under
    /// Byzantine faults, and any one member under crash faults.
    pub fn quorum(self, voters: usize) -> usize {
        match self {
            Self::Byzantine => voters - self.faults(voters),
            Self::Crash => voters / 2 + 1,
        }
    }

    /// The byte that stands for the model in hashes.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Byzantine => 1,
            Self::Crash => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_follow_the_design() {
        for (voters, quorum, faults) in [(1, 1, 0), (3, 3, 0), (4, 3, 1), (7, 5, 2), (16, 11, 5)] {
            assert_eq!(FaultModel::Byzantine.quorum(voters), quorum);
            assert_eq!(FaultModel::Byzantine.faults(voters), faults);
        }
        assert_eq!(FaultModel::Byzantine.quorum(64), 43);
        for (voters, quorum, faults) in [(1, 1, 0), (2, 2, 0), (3, 2, 1), (5, 3, 2)] {
            assert_eq!(FaultModel::Crash.quorum(voters), quorum);
            assert_eq!(FaultModel::Crash.faults(voters), faults);
        }
    }

    #[test]
    fn two_quorums_share_an_honest_member() {
        for voters in 1..200 {
            let (q, f) = (
                FaultModel::Byzantine.quorum(voters),
                FaultModel::Byzantine.faults(voters),
            );
            assert!(2 * q > voters + f, "{voters}");
            assert!(2 * FaultModel::Crash.quorum(voters) > voters, "{voters}");
        }
    }
}
