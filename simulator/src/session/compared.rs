//! Runs that only together say something: loss bands and sweeps.
//!
//! They are independent of each other, so they are played side by side on as many threads as
//! wanted; what comes of them is looked at in their own order, so that threads change nothing.

use super::{Played, Point, Verdict};
use crate::{
    invariants::{Band, BandError, band},
    report::{Activity, Findings, UtilisationPoint, Violation, units},
    scenario::{Expect, Scenario},
    schedule::{Schedule, expand},
    world::BuildError,
};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Difference of measured and analytic utilisation that needs no reason.
const ALIKE: f64 = 0.02;

/// Plays one more run as the caller wants runs played; the text says what it is for.
pub type Player<'a> = &'a (dyn Fn(&str, &Scenario, &Schedule) -> Result<Played, BuildError> + Sync);

/// A run that others are held against.
struct Run {
    /// What it is for.
    text: String,
    scenario: Scenario,
    schedule: Schedule,
}

/// Runs what a scenario wants to be compared with on `threads` threads, and adds what came of it
/// to its findings: the points of its sweep, the curves of the runs without faults, and the
/// verdict over the band.
///
/// # Errors
/// Where a world cannot be put together.
pub fn compared(
    scenario: &Scenario,
    played: &mut Played,
    threads: usize,
    player: Player<'_>,
) -> Result<(), BuildError> {
    let open = played.findings.violations.is_empty() && !played.verdict.is_stopped();
    if scenario.check.loss_band.is_some() && open {
        loss_band(scenario, played, threads, player)?;
    }
    if scenario.sweep.is_some() && !played.verdict.is_stopped() {
        sweep(scenario, played, threads, player)?;
    }
    Ok(())
}

/// Plays runs, in their order: as far as the first that does not pass, or, where every one of them
/// is wanted, that was stopped.
fn side_by_side(
    runs: &[Run],
    every: bool,
    threads: usize,
    player: Player<'_>,
) -> Result<Vec<Played>, BuildError> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done: Vec<Mutex<Option<Result<Played, BuildError>>>> =
        runs.iter().map(|_| Mutex::default()).collect();
    let goes_on = |played: &Played| match every {
        true => !played.verdict.is_stopped(),
        false => played.verdict == Verdict::Pass,
    };
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(run) = runs.get(index) else { return };
            let played = player(&run.text, &run.scenario, &run.schedule);
            let goes_on = played.as_ref().is_ok_and(goes_on);
            stop.fetch_or(!goes_on, Ordering::Relaxed);
            *done[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(played);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, runs.len().max(1)) {
            scope.spawn(work);
        }
    });
    // Whatever was begun was ended, and in order: only runs behind one that stopped are missing.
    let done = done.into_iter().map_while(|played| {
        let played = played.into_inner();
        played.unwrap_or_else(PoisonError::into_inner)
    });
    done.collect()
}

/// The same scenario without faults.
fn without_faults(scenario: &Scenario, seed: u64) -> Scenario {
    let mut calm = scenario.clone();
    calm.seed = seed;
    calm.faults.clear();
    calm.heal = None;
    calm.sweep = None;
    calm.check.expect = Expect::Pass;
    for member in &mut calm.members {
        member.joins_later = false;
    }
    calm
}

/// The runs of a band besides the scenario's own: for each seed without faults, then for each
/// further one with them.
fn band_runs(scenario: &Scenario, seeds: u64) -> Vec<Run> {
    let seed = |more: u64| scenario.seed.wrapping_add(more);
    let calm = (0..seeds).map(|more| Run {
        text: format!("without faults, seed {}", seed(more)),
        scenario: without_faults(scenario, seed(more)),
        schedule: Schedule::default(),
    });
    let faulty = (1..seeds).map(|more| {
        let mut other = scenario.clone();
        other.seed = seed(more);
        other.check.expect = Expect::Pass;
        Run {
            text: format!("seed {}", other.seed),
            schedule: expand(&other, other.seed),
            scenario: other,
        }
    });
    calm.chain(faulty).collect()
}

/// C1 over the seeds that the scenario asks for, its own the first of them.
fn loss_band(
    scenario: &Scenario,
    played: &mut Played,
    threads: usize,
    player: Player<'_>,
) -> Result<(), BuildError> {
    let Some(wanted) = scenario.check.loss_band else {
        return Ok(());
    };
    let runs = band_runs(scenario, u64::from(wanted.seeds));
    let mut faulty = vec![played.findings.losses.clone()];
    for (index, run) in side_by_side(&runs, false, threads, player)?
        .into_iter()
        .enumerate()
    {
        if !accepted(played, &runs[index].text, &run) {
            return Ok(());
        }
        match (index as u64) < u64::from(wanted.seeds) {
            true => played.findings.baseline.push(run.findings.losses),
            false => faulty.push(run.findings.losses),
        }
    }
    let judged = band(&faulty, &played.findings.baseline, wanted.max_relative);
    played.findings.band = match &judged {
        Ok(band) | Err(BandError::Outside(band)) => in_words(band, wanted.seeds),
        Err(_) => String::new(),
    };
    if let Err(outside) = judged {
        let violation = Violation {
            invariant: "C1".to_owned(),
            at_us: played.findings.sim_us,
            round: played.findings.rounds_done,
            member: None,
            text: outside.to_string(),
        };
        played.findings.violations.push(violation);
        played.judge(&scenario.check.expect);
    }
    Ok(())
}

/// Both means, and what may lie between them.
fn in_words(band: &Band, seeds: u32) -> String {
    let (found, expected) = (units::number(band.found), units::number(band.expected));
    let allowed = units::number(band.allowed);
    format!("{found} with faults, {expected} without, {seeds} seeds each; {allowed} more allowed")
}

/// Whether a run that is to be compared with passed; if not, its verdict becomes that of all.
fn accepted(played: &mut Played, which: &str, run: &Played) -> bool {
    if run.verdict == Verdict::Pass {
        return true;
    }
    let named = run
        .findings
        .violations
        .iter()
        .cloned()
        .map(|mut violation| {
            violation.text = format!("{which}: {}", violation.text);
            violation
        });
    played.findings.violations.extend(named);
    played.verdict = run.verdict.clone();
    played.findings.verdict = run.findings.verdict.clone();
    false
}

fn sweep(
    scenario: &Scenario,
    played: &mut Played,
    threads: usize,
    player: Player<'_>,
) -> Result<(), BuildError> {
    let own = point(scenario, &played.findings);
    played.findings.utilisation.push(own);
    let variants = scenario.variants().into_iter();
    let runs: Vec<Run> = variants
        .map(|variant| {
            let (codec, rate) = (variant.plan.exchange.codec, variant.members[0].up);
            Run {
                text: format!("{codec:?} at {rate} B/s"),
                schedule: expand(&variant, variant.seed),
                scenario: variant,
            }
        })
        .collect();
    let done = side_by_side(&runs, true, threads, player)?;
    let mut passed = true;
    for (run, mut other) in runs.into_iter().zip(done) {
        if other.findings.rounds_done > 0 {
            let point = point(&run.scenario, &other.findings);
            other.findings.utilisation.push(point.clone());
            let points = &mut played.findings.utilisation;
            points.retain(|p| (&p.codec, p.bandwidth) != (&point.codec, point.bandwidth));
            points.push(point);
        }
        // The first point that does not pass names the verdict; the others are measured all the
        // same.
        passed = passed && accepted(played, &run.text, &other);
        played.points.push(Point {
            scenario: run.scenario,
            schedule: run.schedule,
            findings: other.findings,
        });
    }
    Ok(())
}

/// Where a run lies in the plot of utilisation against bandwidth.
fn point(scenario: &Scenario, findings: &Findings) -> UtilisationPoint {
    let members = findings.members.iter().map(|member| member.utilisation);
    let measured = members.sum::<f64>() / findings.members.len().max(1) as f64;
    let analytic = Formula::of(scenario, findings);
    UtilisationPoint {
        codec: findings.codec.clone(),
        overlap: "none".to_owned(),
        bandwidth: rate(scenario),
        measured,
        analytic: analytic.utilisation(),
        why: analytic.why(scenario, findings, measured),
    }
}

/// The slowest direction of the slowest member, bytes a second.
fn rate(scenario: &Scenario) -> u64 {
    let rates = scenario
        .members
        .iter()
        .map(|member| member.up.min(member.down));
    rates.min().unwrap_or(0)
}

/// compute / (compute + exchange): every member trains, then takes the payloads of all others.
struct Formula {
    compute_us: f64,
    exchange_us: f64,
}

impl Formula {
    fn of(scenario: &Scenario, findings: &Findings) -> Self {
        let members = scenario.members.len() as f64;
        let steps = scenario.members.iter().map(|m| m.compute.step_us as f64);
        let step_us = steps.sum::<f64>() / members;
        let payload = scenario.network.payload_bytes.map(|bytes| bytes as f64);
        let payload = payload.unwrap_or_else(|| sent_each_round(findings) / (members - 1.0));
        let rate = rate(scenario).max(1) as f64;
        Self {
            compute_us: step_us * scenario.plan.inner.steps as f64,
            exchange_us: (members - 1.0) * payload / rate * 1e6,
        }
    }

    fn utilisation(&self) -> f64 {
        self.compute_us / (self.compute_us + self.exchange_us)
    }

    /// Why the measured value is another one, largest reason first.
    fn why(&self, scenario: &Scenario, findings: &Findings, measured: f64) -> String {
        let difference = measured - self.utilisation();
        if difference.abs() <= ALIKE {
            return String::new();
        }
        let mut reasons = Vec::new();
        let rounds = || findings.rounds.iter();
        let cut = mean(rounds().map(|r| f64::from(r.included)));
        let (cut, all) = (cut.unwrap_or(0.0), scenario.members.len() as f64);
        if difference > 0.0 && cut < all - 0.5 {
            reasons.push(format!(
                "cuts close with {cut:.1} of {all} updates: not all travel"
            ));
        }
        if difference > 0.0 {
            reasons.push("members train on while payloads of the round before travel".to_owned());
        } else if let Some(round_us) = mean(rounds().map(|r| (r.ended_us - r.begun_us) as f64)) {
            let slowest_us = slowest(findings).unwrap_or(0.0);
            let rest_us = round_us - self.compute_us - self.exchange_us - slowest_us;
            let share = |us: f64| (100.0 * us / round_us).max(0.0);
            let mut both = [
                (share(slowest_us), "waiting for whoever computes longest"),
                (share(rest_us), "encoding, folding, votes, what goes twice"),
            ];
            both.sort_by(|a, b| b.0.total_cmp(&a.0));
            let named = both.into_iter().filter(|(share, _)| *share >= 0.5);
            reasons.extend(named.map(|(share, what)| format!("{share:.0} % of a round is {what}")));
        }
        reasons.join("; ")
    }
}

/// How much longer the slowest member computes than the mean of all, in a mean round.
fn slowest(findings: &Findings) -> Option<f64> {
    mean(findings.rounds.iter().filter_map(|round| {
        let spans = findings.members.iter().flat_map(|member| &member.spans);
        let within = |at: u64| (round.begun_us..round.ended_us).contains(&at);
        let computed = spans.filter(|s| s.activity == Activity::Compute && within(s.from_us));
        let lasted: Vec<f64> = computed.map(|s| (s.to_us - s.from_us) as f64).collect();
        let longest = lasted.iter().copied().reduce(f64::max)?;
        Some(longest - mean(lasted.into_iter())?)
    }))
}

/// Bytes of payloads that a member sends a round.
fn sent_each_round(findings: &Findings) -> f64 {
    let payloads = findings
        .members
        .iter()
        .filter_map(|m| m.bytes.get("payload"));
    let sent: f64 = payloads.map(|bytes| *bytes as f64).sum();
    let rounds = findings.rounds_done.max(1) as f64;
    sent / rounds / findings.members.len().max(1) as f64
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    (count > 0.0).then(|| sum / count)
}
