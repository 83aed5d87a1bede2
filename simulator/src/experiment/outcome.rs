//! What came of an experiment, and whether it is as it should be.

use super::file::{Check, Wanted};
use crate::report::Findings;

/// The runs of one arm.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The arm's name.
    pub arm: String,
    /// What came of each seed, in their order.
    pub runs: Vec<Findings>,
    /// Bytes of payloads that a member sends in a round by arithmetic ([`super::formula`]).
    pub formula_bytes: f64,
}

impl Outcome {
    /// The last loss of every run; infinite where there is none, or where a run did not pass.
    pub fn losses(&self) -> Vec<f64> {
        let last = |run: &Findings| match (run.verdict.as_str(), run.losses.last()) {
            ("pass", Some(point)) if point.loss.is_finite() => point.loss,
            _ => f64::INFINITY,
        };
        self.runs.iter().map(last).collect()
    }

    /// Runs whose loss ran away.
    pub fn diverged(&self) -> usize {
        self.runs.iter().filter(|run| run.diverged()).count()
    }

    /// Runs that did not pass.
    pub fn failed(&self) -> usize {
        self.runs.iter().filter(|run| run.verdict != "pass").count()
    }

    /// Mean of the last losses.
    pub fn mean(&self) -> f64 {
        mean(&self.losses())
    }

    /// Standard deviation of the last losses, of a sample; 0 for one run.
    pub fn sigma(&self) -> f64 {
        sigma(&self.losses())
    }

    /// How many times the spread of replicas falls from its peak, on average; 1 without any.
    pub fn spread_fall(&self) -> f64 {
        let fall = |run: &Findings| {
            let most = run
                .spread
                .iter()
                .map(|(_, apart)| *apart)
                .fold(0.0, f64::max);
            let last = run.spread.last().map_or(0.0, |(_, apart)| *apart);
            if last > 0.0 { most / last } else { 1.0 }
        };
        mean(&self.runs.iter().map(fall).collect::<Vec<_>>())
    }

    /// Bytes of payloads that a member sends in a round on average, what it passes on included.
    pub fn payload_bytes(&self) -> f64 {
        self.mean_of(|run| sent(run) / run.rounds_done.max(1) as f64)
    }

    /// Bytes of payloads that a member sends in the whole run, what it passes on included.
    pub fn all_payload_bytes(&self) -> f64 {
        self.mean_of(sent)
    }

    fn mean_of(&self, each: impl Fn(&Findings) -> f64) -> f64 {
        mean(&self.runs.iter().map(each).collect::<Vec<_>>())
    }
}

/// Bytes of payloads that a member sends in a run on average.
fn sent(run: &Findings) -> f64 {
    let bytes = run.members.iter().filter_map(|m| m.bytes.get("payload"));
    bytes.sum::<u64>() as f64 / run.members.len().max(1) as f64
}

/// How much worse an arm ends than another, seed by seed: with the same draws for both, what a seed
/// does to both is not in it.
fn differences(arm: &Outcome, against: &Outcome) -> Vec<f64> {
    let pairs = arm.losses().into_iter().zip(against.losses());
    pairs.map(|(arm, against)| arm - against).collect()
}

fn sigma(values: &[f64]) -> f64 {
    let (mean, count) = (mean(values), values.len());
    if count < 2 || !mean.is_finite() {
        return 0.0;
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (count - 1) as f64).sqrt()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// A check and what was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What was to hold, in words.
    pub wanted: String,
    /// What was found, in words.
    pub found: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Holds every check against what came of the arms.
///
/// # Panics
/// Where a check names no arm, which reading an experiment excludes.
pub fn judge(checks: &[Check], outcomes: &[Outcome]) -> Vec<Judged> {
    let outcome = |name: &str| {
        let found = outcomes.iter().find(|outcome| outcome.arm == name);
        found.expect("checks name arms")
    };
    let judged = |check: &Check| judged(check, outcome(&check.arm), outcome(&check.against));
    checks.iter().map(judged).collect()
}

fn judged(check: &Check, arm: &Outcome, against: &Outcome) -> Judged {
    let (name, other) = (&check.arm, &check.against);
    let percent = |ratio: f64| 100.0 * (ratio - 1.0);
    let (wanted, found, holds) = match check.wanted {
        Wanted::AtMostPercent(limit) => {
            let found = percent(arm.mean() / against.mean());
            let wanted = format!("loss of {name} ≤ {other} + {limit} %");
            let spread = 100.0 * sigma(&differences(arm, against)) / against.mean();
            (
                wanted,
                format!("{found:+.2} % (σ {spread:.2})"),
                found <= limit,
            )
        }
        Wanted::PerplexityAtMostPercent(limit) => {
            // Losses are in bits: 2^bits is e^nats.
            let found = percent((arm.mean() - against.mean()).exp2());
            let wanted = format!("perplexity of {name} ≤ {other} + {limit} %");
            (wanted, format!("{found:+.2} %"), found <= limit)
        }
        Wanted::WorseBySigma(limit) => {
            let spread = sigma(&differences(arm, against));
            let found = (arm.mean() - against.mean()) / spread.max(1e-12);
            let wanted = format!("loss of {name} ≥ {other} + {limit} σ");
            // One seed has no σ to be worse by, unless it diverges.
            match arm.runs.len() {
                0 | 1 if arm.mean().is_finite() => (wanted, "one seed, no σ".to_owned(), false),
                _ => (wanted, format!("{found:+.1} σ"), found >= limit),
            }
        }
        Wanted::SpreadFalls(limit) => {
            let found = arm.spread_fall();
            let wanted = format!("spread of {name} falls ≥ {limit} times from its peak");
            (wanted, format!("{found:.2}"), found >= limit)
        }
        Wanted::BytesWithinPercent(limit) => {
            let found = percent(arm.payload_bytes() / arm.formula_bytes.max(1.0));
            let wanted = format!("bytes of {name} = formula ± {limit} %");
            (wanted, format!("{found:+.2} %"), found.abs() <= limit)
        }
        Wanted::FewerBytes(limit) => {
            let found = against.all_payload_bytes() / arm.all_payload_bytes().max(1.0);
            let wanted = format!("bytes of {name} ≤ {other} / {limit}");
            (wanted, format!("1 / {found:.2}"), found >= limit)
        }
    };
    Judged {
        wanted,
        found,
        holds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::LossPoint;

    fn outcome(arm: &str, losses: &[f64]) -> Outcome {
        let run = |loss: &f64| Findings {
            verdict: "pass".to_owned(),
            losses: vec![LossPoint {
                round: 1,
                sim_us: 0,
                tokens: 0,
                bytes: 0,
                loss: *loss,
            }],
            ..Findings::default()
        };
        Outcome {
            arm: arm.to_owned(),
            runs: losses.iter().map(run).collect(),
            formula_bytes: 0.0,
        }
    }

    fn check(wanted: Wanted) -> Check {
        let (arm, against) = ("b".to_owned(), "a".to_owned());
        Check {
            arm,
            against,
            wanted,
        }
    }

    #[test]
    fn bounds_hold_where_the_means_are_within_them() {
        let outcomes = [outcome("a", &[2.0, 2.2]), outcome("b", &[2.1, 2.142])];
        let holds = |wanted| judge(&[check(wanted)], &outcomes)[0].holds;
        assert!(holds(Wanted::AtMostPercent(1.1)) && !holds(Wanted::AtMostPercent(0.9)));
        assert!(holds(Wanted::PerplexityAtMostPercent(1.5)));
        assert!(!holds(Wanted::WorseBySigma(3.0)));
        let far = [outcome("a", &[2.0, 2.01]), outcome("b", &[2.5, 2.51])];
        assert!(judge(&[check(Wanted::WorseBySigma(3.0))], &far)[0].holds);
        assert!((far[0].sigma() - 0.01 / 2f64.sqrt()).abs() < 1e-12);
        let once = [outcome("a", &[2.0]), outcome("b", &[9.0])];
        assert!(!judge(&[check(Wanted::WorseBySigma(3.0))], &once)[0].holds);
    }

    #[test]
    fn a_run_that_diverges_is_worse_than_any() {
        let mut lost = outcome("b", &[2.0]);
        lost.runs[0].verdict = "fail".to_owned();
        let outcomes = [outcome("a", &[2.0]), lost];
        assert!(!judge(&[check(Wanted::AtMostPercent(1e9))], &outcomes)[0].holds);
        assert!(judge(&[check(Wanted::WorseBySigma(3.0))], &outcomes)[0].holds);
    }
}
