//! The smallest run that still fails the same way.
//!
//! Delta debugging (Zeller, Hildebrandt, IEEE TSE 2002) over the windows of a schedule, then single
//! windows shortened, members left out, rounds cut off. Only the invariant that named the verdict
//! counts: another one is another failure. What is left stays within what faults may be
//! ([`super::draw`]): members are left out only while the others bear the liars.

use super::{
    kind::Kind,
    play::{Outcome, Play, play},
};
use crate::{
    deviation::Deviation,
    scenario::{Heal, Scenario},
    schedule::{Effect, Links, Schedule, When, Window},
};
use archipel_protocol::charter::FaultModel;
use std::{collections::BTreeSet, sync::Arc};

/// Runs that a shrinking may take.
pub const RUNS: u32 = 400;

/// A run that fails, and how small it has become.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The scenario left.
    pub scenario: Arc<Scenario>,
    /// The faults left.
    pub schedule: Arc<Schedule>,
    /// How it fails.
    pub outcome: Outcome,
    /// Runs taken.
    pub runs: u32,
}

struct Search {
    best: Shrunk,
    wanted: String,
    bug: Option<fn() -> Box<dyn Deviation>>,
    most: u32,
}

/// Shrinks a run that fails. None where it does not fail.
pub fn shrink(
    scenario: &Arc<Scenario>,
    schedule: &Arc<Schedule>,
    bug: Option<fn() -> Box<dyn Deviation>>,
    runs: u32,
) -> Option<Shrunk> {
    let what = Play {
        scenario,
        schedule,
        bug,
    };
    let outcome = play(&what);
    let wanted = outcome.fault()?.invariant.clone();
    let best = Shrunk {
        scenario: scenario.clone(),
        schedule: schedule.clone(),
        outcome,
        runs: 1,
    };
    let mut search = Search {
        best,
        wanted,
        bug,
        most: runs,
    };
    loop {
        let before = search.size();
        search.drop_windows();
        search.drop_members();
        search.shorten_windows();
        search.drop_rounds();
        if search.size() == before || search.best.runs >= search.most {
            return Some(search.best);
        }
    }
}

impl Search {
    fn size(&self) -> (usize, usize, Option<u64>) {
        let Shrunk {
            scenario, schedule, ..
        } = &self.best;
        (
            schedule.windows.len(),
            scenario.members.len(),
            scenario.stop.rounds,
        )
    }

    /// Keeps a smaller run where it fails alike.
    fn try_one(&mut self, scenario: Scenario, schedule: Schedule) -> bool {
        if self.best.runs >= self.most {
            return false;
        }
        self.best.runs += 1;
        let (scenario, schedule) = (Arc::new(scenario), Arc::new(schedule));
        let what = Play {
            scenario: &scenario,
            schedule: &schedule,
            bug: self.bug,
        };
        let outcome = play(&what);
        let same = outcome
            .fault()
            .is_some_and(|fault| fault.invariant == self.wanted);
        if same {
            self.best.scenario = scenario;
            self.best.schedule = schedule;
            self.best.outcome = outcome;
        }
        same
    }

    fn drop_windows(&mut self) {
        let mut size = self.best.schedule.windows.len();
        while size > 0 {
            let mut at = 0;
            while at < self.best.schedule.windows.len() {
                let mut schedule = (*self.best.schedule).clone();
                let end = (at + size).min(schedule.windows.len());
                schedule.windows.drain(at..end);
                if !self.try_one((*self.best.scenario).clone(), schedule) {
                    at += size;
                }
            }
            size /= 2;
        }
    }

    fn shorten_windows(&mut self) {
        for at in 0..self.best.schedule.windows.len() {
            loop {
                let mut schedule = (*self.best.schedule).clone();
                let Some(length) = schedule.windows[at].for_us.filter(|us| *us > 200_000) else {
                    break;
                };
                schedule.windows[at].for_us = Some(length / 2);
                if !self.try_one((*self.best.scenario).clone(), schedule) {
                    break;
                }
            }
        }
    }

    fn drop_members(&mut self) {
        let mut member = self.best.scenario.members.len();
        while member > 0 {
            member -= 1;
            let smaller = without(&self.best.scenario, &self.best.schedule, member as u32);
            if let Some((scenario, schedule)) = smaller {
                self.try_one(scenario, schedule);
            }
        }
    }

    /// Ends the run one round after it fails. What is about the heal needs the rounds after it.
    fn drop_rounds(&mut self) {
        let fault = self.best.outcome.fault();
        let last = fault.map_or(0, |fault| fault.round + 2);
        let mut scenario = (*self.best.scenario).clone();
        let fewer = scenario.stop.rounds.is_none_or(|rounds| last < rounds);
        if !fewer || self.wanted.starts_with('L') {
            return;
        }
        scenario.stop.rounds = Some(last);
        scenario.plan.rounds = last;
        let beyond = |heal: &Heal| matches!(heal.at, When::Round(round, _) if round >= last);
        if scenario.heal.as_ref().is_some_and(beyond) {
            scenario.heal = None;
        }
        self.try_one(scenario, (*self.best.schedule).clone());
    }
}

/// The run without one member. None where too few would be left for its faults.
fn without(scenario: &Scenario, schedule: &Schedule, member: u32) -> Option<(Scenario, Schedule)> {
    let (mut scenario, mut schedule) = (scenario.clone(), schedule.clone());
    let least = match scenario.fault_model {
        FaultModel::Byzantine => 4,
        FaultModel::Crash => 2,
    };
    if scenario.members.len() <= least || scenario.federations > 1 {
        return None;
    }
    scenario.members.remove(member as usize);
    scenario.network.latency_us.remove(member as usize);
    for row in &mut scenario.network.latency_us {
        row.remove(member as usize);
    }
    schedule.windows.retain_mut(|window| keep(window, member));
    let away = |window: &&Window| Kind::of(&window.effect).is_away();
    let away = schedule.windows.iter().filter(away).count();
    let impaired = schedule.windows.iter().filter_map(|window| {
        let kind = Kind::of(&window.effect);
        kind.impairs().then(|| of_member(&window.effect)).flatten()
    });
    let impaired: BTreeSet<u32> = impaired.collect();
    let left = scenario.members.len().saturating_sub(away);
    let borne = match scenario.fault_model {
        FaultModel::Byzantine => left.saturating_sub(1) / 3,
        FaultModel::Crash => 0,
    };
    let quorum = match scenario.fault_model {
        FaultModel::Byzantine => left - borne,
        FaultModel::Crash => left / 2 + 1,
    };
    let minimum = &mut scenario.plan.exchange.minimum_updates;
    *minimum = (*minimum).min(quorum as u32);
    (impaired.len() <= borne).then_some((scenario, schedule))
}

/// The member that an effect is about, where it is about one.
fn of_member(effect: &Effect) -> Option<u32> {
    match crate::world::touched(effect)[..] {
        [member] => Some(member),
        _ => None,
    }
}

/// Renumbers a window for a federation without a member. False where nothing is left of it.
fn keep(window: &mut Window, gone: u32) -> bool {
    let moved = |member: u32| member - u32::from(member > gone);
    let mut kept = true;
    crate::schedule::each_member(&mut window.effect, &mut |member| {
        kept &= *member != gone;
        *member = moved(*member);
    });
    if let Some(Links { from, to, .. }) = crate::schedule::links_of(&mut window.effect) {
        for side in [from, to] {
            side.retain(|member| *member != gone);
            side.iter_mut().for_each(|member| *member = moved(*member));
            kept &= !side.is_empty();
        }
    }
    kept
}
