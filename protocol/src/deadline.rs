//! How long a round waits for updates, learnt from how long they took.
//!
//! `max(1.25 × median, median + k·MAD)` over the arrivals of the last rounds, late ones included,
//! kept between the plan's floor and ceiling. Only the local monotonic clock is read; deadlines of
//! two members need not agree.
//!
//! A deadline that is too short would never be found out by itself: rounds end empty, long before
//! anything arrives that could be measured. So an empty round makes it forget what it learnt.

use std::collections::VecDeque;

/// Rounds whose arrivals count.
pub const ROUNDS: usize = 16;

/// Arrival times of recent rounds and the deadline that follows from them.
#[derive(Clone, Debug)]
pub struct Deadline {
    floor_us: u64,
    ceiling_us: u64,
    /// k × 1000.
    mad_factor_milli: u64,
    rounds: VecDeque<Vec<u64>>,
    most_arrivals: usize,
}

impl Deadline {
    /// Starts without any arrivals. `most_arrivals` bounds what is kept of one round.
    pub fn new(
        floor_us: u64,
        ceiling_us: u64,
        mad_factor_milli: u64,
        most_arrivals: usize,
    ) -> Self {
        assert!(floor_us <= ceiling_us, "the plan was validated");
        let rounds = VecDeque::new();
        Self {
            floor_us,
            ceiling_us,
            mad_factor_milli,
            rounds,
            most_arrivals,
        }
    }

    /// A new round begins; the oldest beyond [`ROUNDS`] is forgotten.
    pub fn begin_round(&mut self) {
        if self.rounds.len() == ROUNDS {
            self.rounds.pop_front();
        }
        self.rounds.push_back(Vec::new());
    }

    /// An update of the round `rounds_ago` arrived this long after that round's start.
    pub fn arrival(&mut self, rounds_ago: usize, elapsed_us: u64) {
        let round = self.rounds.len().checked_sub(rounds_ago + 1);
        if let Some(arrivals) = round.and_then(|index| self.rounds.get_mut(index))
            && arrivals.len() < self.most_arrivals
        {
            arrivals.push(elapsed_us);
        }
    }

    /// Nobody's update arrived in time: all that was learnt is forgotten, and the ceiling holds
    /// until something arrives.
    pub fn forget(&mut self) {
        self.rounds.clear();
    }

    /// The deadline of the present round, in microseconds after its start.
    pub fn length_us(&self) -> u64 {
        let past = self.rounds.len().saturating_sub(1);
        let past = self.rounds.iter().take(past);
        let mut samples = Vec::with_capacity(past.clone().map(Vec::len).sum());
        past.for_each(|round| samples.extend_from_slice(round));
        if samples.is_empty() {
            return self.ceiling_us;
        }
        let median = lower_median(&mut samples);
        samples.iter_mut().for_each(|s| *s = s.abs_diff(median));
        let spread = lower_median(&mut samples);
        let by_share = median.saturating_add(median / 4);
        let by_spread = median.saturating_add(spread.saturating_mul(self.mad_factor_milli) / 1000);
        by_share
            .max(by_spread)
            .clamp(self.floor_us, self.ceiling_us)
    }
}

fn lower_median(samples: &mut [u64]) -> u64 {
    let middle = (samples.len() - 1) / 2;
    *samples.select_nth_unstable(middle).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(rounds: &[&[u64]]) -> u64 {
        let mut deadline = Deadline::new(10, 1000, 3000, 64);
        for arrivals in rounds {
            deadline.begin_round();
            arrivals.iter().for_each(|a| deadline.arrival(0, *a));
        }
        deadline.begin_round();
        deadline.length_us()
    }

    #[test]
    fn what_was_learnt_is_forgotten_after_an_empty_round() {
        let mut deadline = Deadline::new(10, 1000, 3000, 64);
        deadline.begin_round();
        deadline.arrival(0, 20);
        deadline.begin_round();
        assert_eq!(deadline.length_us(), 25);
        deadline.forget();
        deadline.begin_round();
        assert_eq!(deadline.length_us(), 1000);
    }

    #[test]
    fn the_deadline_follows_from_the_arrivals() {
        for (why, rounds, expected) in [
            ("no arrivals: the ceiling", vec![], 1000),
            (
                "a quarter above the median",
                vec![&[100, 100, 100][..]],
                125,
            ),
            (
                "or three deviations above it",
                vec![&[100, 120, 80, 140][..]],
                160,
            ),
            ("never below the floor", vec![&[1, 1][..]], 10),
            ("never above the ceiling", vec![&[900, 900][..]], 1000),
        ] {
            assert_eq!(learnt(&rounds), expected, "{why}");
        }
    }

    #[test]
    fn late_arrivals_of_the_round_before_count() {
        let mut deadline = Deadline::new(10, 1000, 3000, 64);
        deadline.begin_round();
        deadline.arrival(0, 100);
        deadline.begin_round();
        deadline.arrival(1, 300);
        deadline.arrival(1, 300);
        assert_eq!(deadline.length_us(), 375);
    }

    #[test]
    fn sixteen_rounds_are_remembered() {
        let mut deadline = Deadline::new(10, 1000, 0, 64);
        for round in 0..40u64 {
            deadline.begin_round();
            deadline.arrival(0, if round < 20 { 800 } else { 100 });
        }
        assert_eq!(deadline.length_us(), 125);
    }
}
