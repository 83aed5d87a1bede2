//! Runs that only together say something: loss bands and sweeps.

use super::{Played, Verdict};
use crate::{
    invariants::band,
    report::{Findings, UtilisationPoint, Violation},
    scenario::{Expect, Scenario},
    schedule::{Schedule, expand},
    world::BuildError,
};

/// Difference of measured and analytic utilisation that needs no reason.
const ALIKE: f64 = 0.05;

/// Plays one more run as the caller wants runs played; the text says what it is for.
pub type Player<'a> = &'a mut dyn FnMut(&str, &Scenario, &Schedule) -> Result<Played, BuildError>;

/// Runs what a scenario wants to be compared with, and adds what came of it to its findings: the
/// points of its sweep, the curves of the runs without faults, and the verdict over the band.
///
/// # Errors
/// Where a world cannot be put together.
pub fn compared(
    scenario: &Scenario,
    played: &mut Played,
    player: Player<'_>,
) -> Result<(), BuildError> {
    let open = played.findings.violations.is_empty() && !played.verdict.is_stopped();
    if scenario.check.loss_band.is_some() && open {
        loss_band(scenario, played, player)?;
    }
    if scenario.sweep.is_some() && !played.verdict.is_stopped() {
        sweep(scenario, played, player)?;
    }
    Ok(())
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

/// C1 over the seeds that the scenario asks for, its own the first of them.
fn loss_band(
    scenario: &Scenario,
    played: &mut Played,
    player: Player<'_>,
) -> Result<(), BuildError> {
    let Some(wanted) = scenario.check.loss_band else {
        return Ok(());
    };
    let mut faulty = vec![played.findings.losses.clone()];
    for more in 0..u64::from(wanted.seeds) {
        let seed = scenario.seed.wrapping_add(more);
        let calm = without_faults(scenario, seed);
        let text = format!("without faults, seed {seed}");
        let run = player(&text, &calm, &Schedule::default())?;
        if !accepted(played, &text, &run) {
            return Ok(());
        }
        played.findings.baseline.push(run.findings.losses);
        if more == 0 {
            continue;
        }
        let mut other = scenario.clone();
        other.seed = seed;
        other.check.expect = Expect::Pass;
        let text = format!("seed {seed}");
        let run = player(&text, &other, &expand(&other, seed))?;
        if !accepted(played, &text, &run) {
            return Ok(());
        }
        faulty.push(run.findings.losses);
    }
    let judged = band(&faulty, &played.findings.baseline, wanted.max_relative);
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

fn sweep(scenario: &Scenario, played: &mut Played, player: Player<'_>) -> Result<(), BuildError> {
    let own = point(scenario, &played.findings);
    played.findings.utilisation.push(own);
    for variant in scenario.variants() {
        let (codec, rate) = (variant.plan.exchange.codec, variant.members[0].up);
        let text = format!("{codec:?} at {rate} B/s");
        let run = player(&text, &variant, &expand(&variant, variant.seed))?;
        if run.findings.rounds_done > 0 {
            let point = point(&variant, &run.findings);
            let points = &mut played.findings.utilisation;
            points.retain(|p| (&p.codec, p.bandwidth) != (&point.codec, point.bandwidth));
            points.push(point);
        }
        if !accepted(played, &text, &run) {
            return Ok(());
        }
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
        let round_us = mean(
            findings
                .rounds
                .iter()
                .map(|r| (r.ended_us - r.begun_us) as f64),
        );
        let cut = mean(findings.rounds.iter().map(|r| f64::from(r.included)));
        let (cut, all) = (cut.unwrap_or(0.0), scenario.members.len() as f64);
        if difference > 0.0 && cut < all - 0.5 {
            reasons.push(format!(
                "cuts close with {cut:.1} of {all} updates: not all travel"
            ));
        }
        if difference > 0.0 {
            reasons.push("members train on while payloads of the round before travel".to_owned());
        } else if let Some(round_us) = round_us {
            let rest_us = round_us - self.compute_us - self.exchange_us;
            let share = 100.0 * rest_us / round_us;
            reasons.push(format!(
                "{share:.0} % of a round is neither: waiting for the slowest, encoding, folding, \
                 votes, slow start"
            ));
        }
        reasons.join("; ")
    }
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
