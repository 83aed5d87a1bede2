//! Would the checker notice? Every planted bug, played until one of its invariants falls.

use super::{
    draw::draw,
    play::{Outcome, Play, play},
};
use crate::{
    planted::{PLANTED, Planted},
    report::Violation,
    scenario::Scenario,
    schedule::Schedule,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Seeds after which a bug counts as not found.
pub const SEEDS: u64 = 400;

/// How a planted bug was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The bug's place in [`PLANTED`].
    pub bug: usize,
    /// Seeds played.
    pub seeds: u64,
    /// The seed that found it, and what fell; none where none did.
    pub by: Option<(u64, Violation)>,
    /// Invariants that fell first in other seeds, and are none of the bug's.
    pub others: Vec<String>,
}

/// The run of a seed, as it is shared.
pub fn drawn(seed: u64) -> (Arc<Scenario>, Arc<Schedule>) {
    let (scenario, schedule) = draw(seed);
    (Arc::new(scenario), Arc::new(schedule))
}

/// Looks for all planted bugs on `jobs` threads, with `seeds` seeds each. `told` hears of each as
/// it is done.
pub fn selftest(seeds: u64, jobs: usize, told: &(dyn Fn(&Found) + Sync)) -> Vec<Found> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let bug = next.fetch_add(1, Ordering::Relaxed);
                    let Some(planted) = PLANTED.get(bug) else {
                        return;
                    };
                    let found = look(bug, planted, seeds);
                    told(&found);
                    all.lock().expect("no thread panics with it").push(found);
                }
            });
        }
    });
    let mut all = all.into_inner().expect("no thread panics with it");
    all.sort_by_key(|found| found.bug);
    all
}

fn look(bug: usize, planted: &Planted, seeds: u64) -> Found {
    let mut found = Found {
        bug,
        seeds: 0,
        by: None,
        others: Vec::new(),
    };
    for seed in 0..seeds {
        let (scenario, schedule) = drawn(seed);
        let what = Play {
            scenario: &scenario,
            schedule: &schedule,
            bug: Some(planted.make),
        };
        found.seeds += 1;
        let outcome = judged(&what, planted);
        let Some(fault) = outcome.fault() else {
            continue;
        };
        if planted.violates.contains(&fault.invariant.as_str()) {
            found.by = Some((seed, fault.clone()));
            return found;
        }
        if !found.others.contains(&fault.invariant) {
            found.others.push(fault.invariant.clone());
        }
    }
    found
}

/// Plays a run; where the bug is one of determinism, twice.
fn judged(what: &Play<'_>, planted: &Planted) -> Outcome {
    let mut outcome = play(what);
    if planted.violates.contains(&"D1") {
        let again = play(what);
        if again.digest != outcome.digest {
            let text = format!("digest {}, then {}", outcome.digest, again.digest);
            let violation = Violation {
                invariant: "D1".to_owned(),
                at_us: 0,
                round: 0,
                member: None,
                text,
            };
            outcome.violations.insert(0, violation);
        }
    }
    outcome
}
