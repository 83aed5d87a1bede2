//! An experiment's result as text.

use super::{Experiment, Judged, Outcome};
use crate::report::{
    Findings, LossPoint,
    arms::{self, Arm},
    units,
};
use std::fmt::Write as _;

/// The result as Markdown: a row an arm, a row a check.
pub fn markdown(experiment: &Experiment, outcomes: &[Outcome], judged: &[Judged]) -> String {
    let mut out = format!("# {}\n\n{}\n\n", experiment.name, experiment.claim.trim());
    let unit = experiment.unit();
    let _ = writeln!(
        out,
        "| arm | seeds | last loss, {unit} | σ | diverged | payload a member and round |"
    );
    out.push_str("|---|---|---|---|---|---|\n");
    for outcome in outcomes {
        let mean = match outcome.failed() {
            0 => number(outcome.mean()),
            failed => format!("none: {failed} did not pass"),
        };
        let (sigma, diverged) = (number(outcome.sigma()), outcome.diverged());
        let bytes = units::bytes(outcome.payload_bytes().round());
        let seeds = outcome.runs.len();
        let _ = writeln!(
            out,
            "| {} | {seeds} | {mean} | {sigma} | {} | {bytes} |",
            outcome.arm,
            match diverged {
                0 => String::new(),
                some => format!("{some} of {seeds}"),
            }
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

/// A picture of all arms: every seed's last loss, mean and σ.
pub fn picture(outcomes: &[Outcome], unit: &str) -> String {
    let arm = |outcome: &Outcome| Arm {
        name: outcome.arm.clone(),
        mean: outcome.mean(),
        sigma: outcome.sigma(),
        losses: outcome.losses(),
    };
    arms::picture(&outcomes.iter().map(arm).collect::<Vec<_>>(), unit)
}

/// Every measured loss, a row an arm, seed and round, and whether the run diverged in the end.
pub fn csv(outcomes: &[Outcome]) -> String {
    let mut out = "arm,seed,round,tokens,bytes,loss,diverged\n".to_owned();
    for (outcome, run) in outcomes
        .iter()
        .flat_map(|o| o.runs.iter().map(move |run| (o, run)))
    {
        for point in &run.losses {
            let _ = writeln!(
                out,
                "\"{}\",{},{},{},{},{},{}",
                outcome.arm.replace('"', "'"),
                run.seed,
                point.round,
                point.tokens,
                point.bytes,
                point.loss,
                run.diverged()
            );
        }
    }
    out
}

/// Reads what [`csv`] wrote, to draw it again; bytes and verdicts are not in it.
///
/// # Errors
/// The first line that is none of its rows.
pub fn read_csv(text: &str) -> Result<Vec<Outcome>, String> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (line, row) in text.lines().enumerate().skip(1) {
        let refuse = || format!("line {}: expected a row of losses, found {row:?}", line + 1);
        let (arm, seed, point) = point_of(row).ok_or_else(refuse)?;
        if outcomes.last().is_none_or(|outcome| outcome.arm != arm) {
            outcomes.push(Outcome {
                arm,
                runs: Vec::new(),
                formula_bytes: 0.0,
            });
        }
        let runs = &mut outcomes.last_mut().expect("there is one").runs;
        if runs.last().is_none_or(|run| run.seed != seed) {
            runs.push(Findings {
                verdict: "pass".to_owned(),
                seed,
                ..Findings::default()
            });
        }
        runs.last_mut().expect("there is one").losses.push(point);
    }
    Ok(outcomes)
}

fn point_of(row: &str) -> Option<(String, u64, LossPoint)> {
    let (arm, rest) = row.strip_prefix('"')?.split_once("\",")?;
    let numbers: Vec<&str> = rest.split(',').collect();
    // Files of an earlier version do not say whether a run diverged; it follows from the losses.
    let ([seed, round, tokens, bytes, loss] | [seed, round, tokens, bytes, loss, _]) =
        numbers.as_slice()
    else {
        return None;
    };
    let point = LossPoint {
        round: round.parse().ok()?,
        sim_us: 0,
        tokens: tokens.parse().ok()?,
        bytes: bytes.parse().ok()?,
        loss: loss.parse().ok()?,
    };
    Some((arm.to_owned(), seed.parse().ok()?, point))
}

fn number(value: f64) -> String {
    match value {
        _ if !value.is_finite() => "diverged".to_owned(),
        _ if value != 0.0 && value < 0.01 => format!("{value:.2e}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let text = "arm,seed,round,tokens,bytes,loss,diverged\n\
                    \"a, b\",1,0,0,7,8.5,false\n\"a, b\",1,5,9,8,2.25,false\n\
                    \"a, b\",2,5,9,8,2.5,false\n\"c\",1,5,9,8,inf,true\n";
        let read = read_csv(text).expect("rows");
        assert_eq!(csv(&read), text);
        assert_eq!((read[0].losses(), read.len()), (vec![2.25, 2.5], 2));
        let before = "arm,seed,round,tokens,bytes,loss\n\"a\",1,0,0,7,8.5\n\"a\",1,5,9,8,13.2\n";
        let read = read_csv(before).expect("rows of an earlier version");
        assert_eq!((read[0].losses(), read[0].diverged()), (vec![13.2], 1));
        assert!(
            read_csv("head\n\"a\",1,2\n")
                .expect_err("three fields")
                .contains("line 2")
        );
    }
}
