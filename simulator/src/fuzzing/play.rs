//! One run, and what came of it.

use super::kind::Kind;
use crate::{
    deviation::Deviation,
    lies,
    report::{Findings, Violation},
    scenario::Scenario,
    schedule::{Effect, Schedule},
    session::naming,
    world::{Ending, World},
};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Messages after which a run is given up: a hundred times what one of twenty rounds takes.
const MESSAGES: u64 = 20_000_000;

/// What to play.
#[derive(Clone)]
pub struct Play<'a> {
    /// The scenario.
    pub scenario: &'a Arc<Scenario>,
    /// Its faults.
    pub schedule: &'a Arc<Schedule>,
    /// A bug that everybody has.
    pub bug: Option<fn() -> Box<dyn Deviation>>,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Hash over all events; empty after a panic.
    pub digest: String,
    /// What was violated, the verdict first. A panic is one called `panic`, a run that never ends
    /// one called `budget`.
    pub violations: Vec<Violation>,
    /// Rounds certified by anybody honest.
    pub rounds: u64,
    /// Messages handed over.
    pub messages: u64,
    /// Virtual time.
    pub sim_us: u64,
    /// Faults that began, by kind.
    pub faults: BTreeMap<Kind, u64>,
    /// What a report needs, of a run that failed.
    pub findings: Option<Box<Findings>>,
}

impl Outcome {
    /// The invariant that names the verdict.
    pub fn fault(&self) -> Option<&Violation> {
        self.violations.first()
    }

    fn of_panic(text: String) -> Self {
        Self {
            violations: vec![named("panic", 0, 0, text)],
            ..Self::default()
        }
    }
}

fn named(name: &str, at_us: u64, round: u64, text: String) -> Violation {
    Violation {
        invariant: name.to_owned(),
        at_us,
        round,
        member: None,
        text,
    }
}

/// Plays a run to its end. A panic is an outcome like others.
pub fn play(what: &Play<'_>) -> Outcome {
    let played = catch_unwind(AssertUnwindSafe(|| play_through(what)));
    played.unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| cause.downcast_ref::<String>().cloned());
        Outcome::of_panic(text.unwrap_or_else(|| "a panic without words".to_owned()))
    })
}

fn play_through(what: &Play<'_>) -> Outcome {
    let everybody = || what.bug.map(|bug| bug());
    let world = World::still(what.scenario, what.schedule, 1, &everybody);
    let mut world = match world {
        Ok(world) => world,
        Err(error) => return Outcome::of_panic(error.to_string()),
    };
    world.start_all();
    let ending = world.run(&mut |world| world.messages < MESSAGES);
    let rounds = world.invariants.highest(0).map_or(0, |round| round.0);
    let now = world.now().0;
    let mut violations = naming::violations(&world);
    if violations.is_empty() {
        violations.extend(unfinished(&world, ending, rounds));
    }
    let mut outcome = Outcome {
        digest: world.digest(),
        violations,
        rounds,
        messages: world.messages,
        sim_us: now,
        faults: faults(&world),
        findings: None,
    };
    if !outcome.violations.is_empty() {
        outcome.findings = Some(Box::new(findings(&world, &outcome)));
    }
    outcome
}

/// A run whose faults all pass must come to its heal and then to its end.
fn unfinished(world: &World, ending: Ending, rounds: u64) -> Option<Violation> {
    let now = world.now().0;
    let healed = world.scenario.heal.is_none() || world.is_healed();
    match ending {
        Ending::Stopped => {
            let text = format!("{} messages, and no end of it", world.messages);
            Some(named("budget", now, rounds, text))
        }
        Ending::Time | Ending::Stuck if !healed => {
            let text = "all faults passed, and the round of the heal never came".to_owned();
            Some(named("L1", now, rounds, text))
        }
        _ => None,
    }
}

fn faults(world: &World) -> BTreeMap<Kind, u64> {
    let mut faults = BTreeMap::new();
    for window in world.begun() {
        let kind = Kind::of(&world.schedule.windows[*window].effect);
        *faults.entry(kind).or_default() += 1;
    }
    faults
}

fn findings(world: &World, outcome: &Outcome) -> Findings {
    let liars: Vec<(u32, String)> = world
        .schedule
        .windows
        .iter()
        .filter_map(|window| match &window.effect {
            Effect::Byzantine {
                member, behaviour, ..
            } if lies::NAMES.contains(&behaviour.as_str()) => Some((*member, behaviour.clone())),
            _ => None,
        })
        .collect();
    let mut findings = world.recorder.findings(&world.scenario, &liars);
    findings.verdict = "fail".to_owned();
    findings.digest = outcome.digest.clone();
    findings.violations = outcome.violations.clone();
    findings.messages = outcome.messages;
    findings.rounds_done = outcome.rounds;
    findings.sim_us = outcome.sim_us;
    findings
}
