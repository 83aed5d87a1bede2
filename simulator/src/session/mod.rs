//! A run from its scenario to its verdict: what the command line, fuzzing and tests play.
//!
//! [`play`] puts a scenario and a schedule into a world, runs it to its end and judges it. It reads
//! no clock: whoever has a budget of real time says through [`Options::go_on`] when it is spent. A
//! panic inside a run is caught and becomes its verdict, with what was found until then.

mod compared;
pub mod folder;
pub(crate) mod naming;
pub mod trace;
mod verdict;
mod words;

pub use compared::{Player, compared};
pub use verdict::{Verdict, exit_of};

use crate::{
    deviation::Deviation,
    report::{FaultFindings, Findings, Violation, units},
    scenario::{Expect, Scenario},
    schedule::{Effect, Schedule},
    world::{BuildError, Ending, Witness, World},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// It does.
    On,
    /// Somebody wants it to end.
    Interrupt,
    /// Its real time is spent.
    Budget,
}

/// How a run is played. Only [`Self::everybody`] changes what happens in the run.
pub struct Options<'a> {
    /// Threads that a language model trains on.
    pub threads: usize,
    /// Asked every few thousand events.
    pub go_on: &'a mut dyn FnMut(&World) -> Go,
    /// A deviation of every member, for planted faults.
    pub everybody: &'a dyn Fn() -> Option<Box<dyn Deviation>>,
    /// Is shown everything that happens.
    pub witness: Option<Witness>,
}

impl<'a> Options<'a> {
    /// One thread, and nobody deviates alike.
    pub fn new(go_on: &'a mut dyn FnMut(&World) -> Go) -> Self {
        Self {
            threads: 1,
            go_on,
            everybody: &|| None,
            witness: None,
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Played {
    /// What its report says; real time and memory are the caller's to fill in.
    pub findings: Findings,
    /// Its verdict.
    pub verdict: Verdict,
    /// The hash over its events.
    pub digest: String,
    /// How it ended; none where it panicked.
    pub ending: Option<Ending>,
    /// The runs of its sweep, in their order, each with what it played.
    pub points: Vec<Point>,
}

/// A run of a sweep.
#[derive(Clone, Debug)]
pub struct Point {
    /// What it played; its name says which point it is.
    pub scenario: Scenario,
    /// The faults of it.
    pub schedule: Schedule,
    /// What came of it.
    pub findings: Findings,
}

impl Played {
    /// Judges it again, by its violations.
    fn judge(&mut self, expect: &Expect) {
        self.verdict = Verdict::of(expect, &self.findings.violations);
        self.findings.verdict = self.verdict.word().to_owned();
    }
}

/// Plays a scenario with its faults as scheduled.
///
/// # Errors
/// Where the world cannot be put together.
pub fn play(
    scenario: &Scenario,
    schedule: &Schedule,
    options: Options<'_>,
) -> Result<Played, BuildError> {
    let (scenario, schedule) = (Arc::new(scenario.clone()), Arc::new(schedule.clone()));
    let mut world = World::still(&scenario, &schedule, options.threads, options.everybody)?;
    world.witness = options.witness;
    let mut stopped = Go::On;
    let ending = catch_unwind(AssertUnwindSafe(|| {
        world.start_all();
        world.run(&mut |world| {
            stopped = (options.go_on)(world);
            stopped == Go::On
        })
    }));
    let panic = ending.as_ref().err().map(|panic| words(&**panic));
    let verdict = match (panic, stopped) {
        (Some(text), _) => Verdict::Panicked(text),
        _ if !world.invariants.violations().is_empty() => judged(&world),
        (None, Go::Interrupt) => Verdict::Interrupted,
        (None, Go::Budget) => Verdict::OutOfBudget,
        (None, Go::On) => judged(&world),
    };
    Ok(Played {
        findings: findings(&world, &verdict),
        digest: world.digest(),
        ending: ending.ok(),
        verdict,
        points: Vec::new(),
    })
}

fn judged(world: &World) -> Verdict {
    Verdict::of(&world.scenario.check.expect, world.invariants.violations())
}

fn findings(world: &World, verdict: &Verdict) -> Findings {
    let scenario = &*world.scenario;
    let mut found = world.recorder.findings(scenario, &lies(&world.schedule));
    found.sim_us = world.now().0;
    found.digest = world.digest();
    found.messages = world.messages;
    found.rounds_done = world.finished_rounds();
    found.verdict = verdict.word().to_owned();
    found.expected = match &scenario.check.expect {
        Expect::Pass => "pass".to_owned(),
        Expect::Fail(name) => format!("fail:{name}"),
    };
    found.faults = faults(world);
    found.violations = naming::violations(world);
    if let Verdict::Panicked(text) = verdict {
        let panic = Violation {
            invariant: "panic".to_owned(),
            at_us: world.now().0,
            round: world.invariants.highest(0).map_or(0, |round| round.0),
            member: None,
            text: text.clone(),
        };
        found.violations.insert(0, panic);
    }
    found
}

/// What came of the fault windows, by the names of their faults.
fn faults(world: &World) -> Vec<FaultFindings> {
    let named = |(window, mut found): (usize, FaultFindings)| {
        found.id.clone_from(&world.schedule.windows[window].fault);
        let mut faults = world.scenario.faults.iter();
        let fault = faults.find(|fault| fault.id == found.id);
        let kind = fault.map_or("", |fault| &fault.kind);
        found.kind = kind.to_owned();
        found
    };
    world.recorder.faults().into_iter().map(named).collect()
}

/// Who lies, and how.
fn lies(schedule: &Schedule) -> Vec<(u32, String)> {
    let windows = schedule.windows.iter();
    let lies = windows.filter_map(|window| match &window.effect {
        Effect::Byzantine {
            member, behaviour, ..
        } => Some((*member, behaviour.clone())),
        _ => None,
    });
    lies.collect()
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

/// One line about a run that did not pass: what failed, when, and how to see it again.
pub fn failure(findings: &Findings, verdict: &Verdict, out: &Path) -> String {
    let replay = format!("replay: archipel-sim replay {}", out.display());
    let seed = findings.seed;
    match (verdict, findings.violations.first()) {
        (Verdict::Unmoved(wanted), _) => {
            format!("FAIL seed={seed}: expected {wanted} to fall, nothing did · {replay}")
        }
        (Verdict::Violated(_) | Verdict::Panicked(_), Some(first)) => {
            let (name, round) = (&first.invariant, first.round);
            format!(
                "FAIL {name} seed={seed} at {} round {round} · {replay}",
                units::clock(first.at_us)
            )
        }
        _ => {
            let (word, now, round) = (
                verdict.word(),
                units::clock(findings.sim_us),
                findings.rounds_done,
            );
            format!(
                "{} seed={seed} at {now} round {round} · {replay}",
                word.to_uppercase()
            )
        }
    }
}
