//! Running a world to its end.

use super::World;
use archipel_protocol::ids::Timestamp;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every running honest member certified the last round.
    Rounds,
    /// Its virtual time passed.
    Time,
    /// Nothing was left to happen, or no round was finished for far longer than any may take.
    Stuck,
    /// An invariant was violated.
    Violated,
    /// The caller wanted no more.
    Stopped,
}

/// Events between two questions whether to go on.
const ASK_EVERY: u64 = 4096;
/// Rounds' worth of the longest deadline without a new round, after which a run is stuck.
const PATIENCE: u64 = 60;

impl World {
    /// Runs to the end of the scenario. `go_on` is asked now and then.
    pub fn run(&mut self, go_on: &mut dyn FnMut(&Self) -> bool) -> Ending {
        let ending = self.run_events(go_on);
        self.measure_last();
        self.measured();
        let finished = ending == Ending::Rounds;
        let within = self.scenario.heal.map(|heal| heal.within_rounds);
        if ending != Ending::Stopped {
            self.invariants.end(self.now, finished, within);
        }
        ending
    }

    fn run_events(&mut self, go_on: &mut dyn FnMut(&Self) -> bool) -> Ending {
        let stop = self.scenario.stop;
        let last = stop.sim_us.map_or(Timestamp(u64::MAX), Timestamp);
        let patience_us = PATIENCE * 1000 * self.scenario.plan.timing.deadline_ceiling_ms;
        let (mut events, mut highest, mut since) = (0u64, None, self.now);
        loop {
            let Some(next) = self.agenda.next() else {
                return self.at_rest();
            };
            if next > last {
                self.now = last;
                return Ending::Time;
            }
            self.step();
            events += 1;
            if !self.invariants.violations().is_empty() {
                return Ending::Violated;
            }
            if events.is_multiple_of(64) && self.is_finished() {
                return Ending::Rounds;
            }
            let round = self.invariants.highest(0);
            if round != highest || self.is_disturbed() {
                (highest, since) = (round, self.now);
            } else if self.now.since(since) > patience_us && stop.sim_us.is_none() {
                return self.at_rest();
            }
            if events.is_multiple_of(ASK_EVERY) && !go_on(self) {
                return Ending::Stopped;
            }
        }
    }

    fn at_rest(&self) -> Ending {
        match self.is_finished() {
            true => Ending::Rounds,
            false => Ending::Stuck,
        }
    }

    /// True where the last round is certified by all it concerns, and the heal has come.
    fn is_finished(&self) -> bool {
        let Some(rounds) = self.scenario.stop.rounds else {
            return false;
        };
        let healed = self.scenario.heal.is_none() || self.healed;
        healed && self.all_reached(rounds)
    }
}
