//! Many seeds, one after the other, on as many threads as wanted.
//!
//! Seeds are independent, so threads change nothing: results are told in the order of the seeds,
//! each with a digest of its own. Every so many seeds one is played twice, and has to come out the
//! same (D1).

use super::{
    draw::draw,
    kind::{KINDS, Kind},
    play::{Outcome, Play, play},
};
use crate::report::Violation;
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

/// Every so many seeds one is played twice.
const TWICE_EVERY: u64 = 50;

/// What all seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Seeds played.
    pub seeds: u64,
    /// Seeds played twice.
    pub twice: u64,
    /// Seeds that failed, with the invariant that names the verdict.
    pub failed: Vec<(u64, String)>,
    /// Rounds certified.
    pub rounds: u64,
    /// Messages handed over.
    pub messages: u64,
    /// Virtual time, in microseconds.
    pub sim_us: u64,
    /// For every kind of fault: runs that had it, and how often it struck.
    pub faults: BTreeMap<Kind, (u64, u64)>,
    /// Hash over all digests, in the order of seeds.
    pub digest: String,
}

impl Tally {
    /// Exit code of the worst that happened: safety, liveness, convergence, resources,
    /// determinism, panic, a run without an end, in the order of their codes.
    pub fn code(&self) -> u8 {
        let codes = self.failed.iter().map(|(_, name)| code(name));
        codes.max().unwrap_or(0)
    }

    fn count(&mut self, seed: u64, outcome: &Outcome, hash: &mut blake3::Hasher) {
        self.seeds += 1;
        self.twice += u64::from(seed.is_multiple_of(TWICE_EVERY));
        self.rounds += outcome.rounds;
        self.messages += outcome.messages;
        self.sim_us += outcome.sim_us;
        for (kind, times) in &outcome.faults {
            let entry = self.faults.entry(*kind).or_default();
            *entry = (entry.0 + 1, entry.1 + times);
        }
        if let Some(fault) = outcome.fault() {
            self.failed.push((seed, fault.invariant.clone()));
        }
        hash.update(outcome.digest.as_bytes());
    }

    /// Kinds of faults that no run had.
    pub fn missing(&self) -> Vec<Kind> {
        let had = |kind: &Kind| self.faults.contains_key(kind);
        KINDS.into_iter().filter(|kind| !had(kind)).collect()
    }
}

/// The exit code that stands for an invariant.
pub fn code(name: &str) -> u8 {
    match name.as_bytes().first() {
        Some(b'S') => 10,
        Some(b'L') => 11,
        Some(b'C') => 12,
        Some(b'R') => 13,
        Some(b'D') => 14,
        Some(b'p') => 15,
        _ => 9,
    }
}

/// Plays seeds on `jobs` threads. `each` is told every outcome, in the order of seeds; where it
/// answers false, no further seeds are begun.
pub fn campaign(
    seeds: Range<u64>,
    jobs: usize,
    each: &mut dyn FnMut(u64, &Outcome) -> bool,
) -> Tally {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let (tell, told) = mpsc::sync_channel(1024);
    let mut tally = Tally::default();
    let mut hash = blake3::Hasher::new();
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let tell = tell.clone();
            let (next, stop, end) = (&next, &stop, seeds.end);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || tell.send((seed, outcome_of(seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        let mut waiting = BTreeMap::new();
        let mut expected = seeds.start;
        for (seed, outcome) in told {
            waiting.insert(seed, outcome);
            while let Some(outcome) = waiting.remove(&expected) {
                if !stop.load(Ordering::Relaxed) {
                    tally.count(expected, &outcome, &mut hash);
                    stop.store(!each(expected, &outcome), Ordering::Relaxed);
                }
                expected += 1;
            }
        }
    });
    tally.digest = hash.finalize().to_hex()[..32].to_owned();
    tally
}

/// Plays a seed, now and then twice.
fn outcome_of(seed: u64) -> Outcome {
    let (scenario, schedule) = draw(seed);
    let (scenario, schedule) = (Arc::new(scenario), Arc::new(schedule));
    let what = Play {
        scenario: &scenario,
        schedule: &schedule,
        bug: None,
    };
    let mut outcome = play(&what);
    if seed.is_multiple_of(TWICE_EVERY) {
        let again = play(&what);
        if again.digest != outcome.digest {
            outcome.violations.push(Violation {
                invariant: "D1".to_owned(),
                at_us: 0,
                round: 0,
                member: None,
                text: format!("digest {}, then {}", outcome.digest, again.digest),
            });
        }
    }
    outcome
}
