//! How many inner steps a member takes so that it is done when the fastest is (DyLU, Liu et al.,
//! arXiv 2401.09135): `H_i = ⌊H · speed_i / speed_max⌋`.
//!
//! Speeds are what this member sees: its own from asking the driver to the result, another's from
//! the round's start to its header. Latency makes others look slower than they are, never faster,
//! so a member errs towards more steps, and no deadline depends on it. Whoever announces before
//! it can have trained must not stop the others from training: the fastest is the (f+1)-th, as
//! fast as some honest member at most.

use crate::ids::MemberId;
use std::{collections::BTreeMap, mem};

/// Speeds of the round before and of the present one, in billionths of a step a microsecond.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    own: Option<u64>,
    fastest: Option<u64>,
    seen: BTreeMap<MemberId, u64>,
}

impl Pace {
    /// A round begins: what was seen in the one before counts from now on, but for the `faults`
    /// fastest.
    pub fn begin_round(&mut self, faults: usize) {
        let mut speeds: Vec<u64> = mem::take(&mut self.seen).into_values().collect();
        speeds.sort_unstable_by(|a, b| b.cmp(a));
        self.fastest = speeds.get(faults).copied().or(self.fastest);
    }

    /// This member did so many steps in that time.
    pub fn own(&mut self, steps: u64, elapsed_us: u64) {
        self.own = Some(speed(steps, elapsed_us));
    }

    /// The update of another came so long after the round's start.
    pub fn another(&mut self, member: MemberId, steps: u64, elapsed_us: u64) {
        self.seen.entry(member).or_insert(speed(steps, elapsed_us));
    }

    /// Inner steps of the next round, 1 to `most`; all where nothing is known yet.
    pub fn steps(&self, most: u64) -> u64 {
        match (self.own, self.fastest) {
            (Some(own), Some(fastest)) if own < fastest => {
                let share = u128::from(most) * u128::from(own) / u128::from(fastest);
                u64::try_from(share).unwrap_or(most).clamp(1, most)
            }
            _ => most,
        }
    }
}

fn speed(steps: u64, elapsed_us: u64) -> u64 {
    steps.saturating_mul(1_000_000_000) / elapsed_us.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(byte: u8) -> MemberId {
        MemberId([byte; 32])
    }

    #[test]
    fn the_slower_takes_its_share_and_the_fastest_all() {
        let mut pace = Pace::default();
        assert_eq!(pace.steps(30), 30, "nothing is known");
        pace.own(30, 30_000_000);
        pace.another(member(1), 30, 10_000_000);
        pace.another(member(2), 30, 15_000_000);
        assert_eq!(pace.steps(30), 30, "the round before counts");
        pace.begin_round(0);
        assert_eq!(pace.steps(30), 10);
        pace.begin_round(0);
        assert_eq!(pace.steps(30), 10, "nobody was seen: what was known stays");
        // Fewer steps in less time are the same speed.
        pace.own(10, 10_000_000);
        assert_eq!(pace.steps(30), 10);
        pace.own(10, 100);
        assert_eq!(pace.steps(30), 30, "the fastest");
        pace.own(1, u64::MAX);
        assert_eq!(pace.steps(30), 1);
    }

    #[test]
    fn who_announces_without_training_slows_nobody_down() {
        let mut pace = Pace::default();
        pace.own(30, 30_000_000);
        pace.another(member(1), 30, 1);
        pace.another(member(1), 30, 1);
        pace.another(member(2), 30, 15_000_000);
        pace.another(member(3), 30, 30_000_000);
        pace.begin_round(1);
        assert_eq!(pace.steps(30), 15);
    }
}
