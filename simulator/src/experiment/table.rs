//! An experiment's result as text.

use super::{Experiment, Judged, Outcome};
use crate::report::units;
use std::fmt::Write as _;

/// The result as Markdown: a row an arm, a row a check.
pub fn markdown(experiment: &Experiment, outcomes: &[Outcome], judged: &[Judged]) -> String {
    let mut out = format!("# {}\n\n{}\n\n", experiment.name, experiment.claim.trim());
    out.push_str("| arm | seeds | last loss, bits a byte | σ | payload a member and round |\n");
    out.push_str("|---|---|---|---|---|\n");
    for outcome in outcomes {
        let (mean, sigma) = (number(outcome.mean()), number(outcome.sigma()));
        let bytes = units::bytes(outcome.payload_bytes().round());
        let seeds = outcome.runs.len();
        let _ = writeln!(
            out,
            "| {} | {seeds} | {mean} | {sigma} | {bytes} |",
            outcome.arm
        );
    }
    if !judged.is_empty() {
        out.push_str("\n| wanted | found | |\n|---|---|---|\n");
    }
    for check in judged {
        let word = if check.holds {
            "holds"
        } else {
            "**does not hold**"
        };
        let _ = writeln!(out, "| {} | {} | {word} |", check.wanted, check.found);
    }
    out
}

/// Every measured loss, a row an arm, seed and round.
pub fn csv(outcomes: &[Outcome]) -> String {
    let mut out = "arm,seed,round,tokens,bytes,loss\n".to_owned();
    for (outcome, run) in outcomes
        .iter()
        .flat_map(|o| o.runs.iter().map(move |run| (o, run)))
    {
        for point in &run.losses {
            let _ = writeln!(
                out,
                "\"{}\",{},{},{},{},{}",
                outcome.arm.replace('"', "'"),
                run.seed,
                point.round,
                point.tokens,
                point.bytes,
                point.loss
            );
        }
    }
    out
}

fn number(value: f64) -> String {
    match value.is_finite() {
        true => format!("{value:.4}"),
        false => "diverged".to_owned(),
    }
}
