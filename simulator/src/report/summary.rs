//! What a person sees in the terminal at the end of a run, in at most 100 columns.

use super::{Findings, outcomes::outcomes, rounds, rounds::Percentiles, times, units};

/// Columns that a line has at most.
const COLUMNS: usize = 100;
/// Most lines of faults.
const MOST_FAULTS: usize = 12;
/// Column in which values begin.
const INDENT: usize = 16;

/// The end of a run in words and numbers, ending with a new line.
pub fn render(findings: &Findings) -> String {
    let mut lines = vec![verdict(findings)];
    for violation in findings.violations.iter().skip(1).take(4) {
        let clock = units::clock(violation.at_us);
        let said = format!(
            "{} at {clock} round {}",
            violation.invariant, violation.round
        );
        lines.push(row("also", &format!("{said}: {}", violation.text)));
    }
    if findings.violations.len() > 5 {
        let more = findings.violations.len() - 5;
        lines.push(row(
            "also",
            &format!("{more} more violations, see report.json"),
        ));
    }
    if !findings.off.is_empty() {
        lines.push(row("switched off", &findings.off.join(" ")));
    }
    lines.push(row("rounds", &rounds_text(findings)));
    lines.extend(slowest(findings));
    lines.push(row("loss", &loss_text(findings)));
    if !findings.band.is_empty() {
        lines.push(row("band", &findings.band));
    }
    lines.push(row("bytes", &bytes_text(findings)));
    lines.push(row("training", &training_text(findings)));
    let rest = times::rest(findings);
    let rest = rest.iter().map(|(name, text)| row(name, text));
    lines.extend(rest);
    lines.push(row("time", &time_text(findings)));
    lines.extend(faults(findings));
    lines.push(row("digest", &findings.digest));
    let mut out = lines.join("\n");
    out.push('\n');
    out
}

fn verdict(findings: &Findings) -> String {
    let name = &findings.name;
    let head = format!(
        "{} {name} seed={}",
        findings.verdict.to_uppercase(),
        findings.seed
    );
    let line = match findings.violations.first() {
        Some(first) => format!(
            "{} {} {name} seed={} at {} round {}: {}",
            findings.verdict.to_uppercase(),
            first.invariant,
            findings.seed,
            units::clock(first.at_us),
            first.round,
            first.text
        ),
        None if !findings.expected.is_empty() && findings.expected != "pass" => {
            format!("{head}, expected {}", findings.expected)
        }
        None => head,
    };
    cut(&line, COLUMNS)
}

fn row(name: &str, value: &str) -> String {
    cut(
        &format!("  {name:<width$}{value}", width = INDENT - 2),
        COLUMNS,
    )
}

/// Text on one line of at most `columns` characters.
fn cut(text: &str, columns: usize) -> String {
    let text = units::plain(text);
    if text.chars().count() <= columns {
        return text;
    }
    let kept: String = text.chars().take(columns - 1).collect();
    kept + "…"
}

fn rounds_text(findings: &Findings) -> String {
    let done = units::grouped(findings.rounds_done);
    let Some(of) = Percentiles::of(&findings.rounds) else {
        return format!("{done} certified");
    };
    let [p50, p95, p99] = [of.p50_us, of.p95_us, of.p99_us].map(|us| units::duration(us as f64));
    format!("{done} certified, each p50 {p50} · p95 {p95} · p99 {p99}")
}

fn slowest(findings: &Findings) -> Option<String> {
    let stragglers = rounds::stragglers(&findings.rounds);
    let first = stragglers.first()?;
    let name = super::figure::member_name(findings, first.member);
    let all = units::grouped(findings.rounds.len() as u64);
    let times = units::grouped(first.rounds as u64);
    Some(row(
        "straggler",
        &format!("{name} came last in {times} of {all} rounds"),
    ))
}

fn loss_text(findings: &Findings) -> String {
    let (Some(first), Some(last)) = (findings.losses.first(), findings.losses.last()) else {
        return "none measured".to_owned();
    };
    let what = super::loss::loss_title(&findings.mode);
    let (from, to) = (units::number(first.loss), units::number(last.loss));
    let diverged = match findings.diverged() {
        true => ": diverged",
        false => "",
    };
    format!("{from} → {to} ({what}, round {}){diverged}", last.round)
}

fn bytes_text(findings: &Findings) -> String {
    let members = findings.members.len().max(1) as f64;
    let rounds = findings.rounds_done.max(1) as f64;
    let sum = |bulk: bool| {
        let kinds = findings.members.iter().flat_map(|member| &member.bytes);
        let wanted = kinds.filter(|(kind, _)| super::bars::is_bulk(kind) == bulk);
        wanted.map(|(_, &count)| count as f64).sum::<f64>()
    };
    let each = |total: f64| units::bytes((total / members / rounds).round());
    format!(
        "{} a member a round ({} bulk, {} control), {} messages",
        each(sum(true) + sum(false)),
        each(sum(true)),
        each(sum(false)),
        units::grouped(findings.messages)
    )
}

fn training_text(findings: &Findings) -> String {
    let shares = || findings.members.iter().map(|member| member.utilisation);
    if findings.members.is_empty() {
        return "no member ran".to_owned();
    }
    let mean = shares().sum::<f64>() / findings.members.len() as f64;
    let lowest = findings
        .members
        .iter()
        .min_by(|a, b| a.utilisation.total_cmp(&b.utilisation));
    let lowest = lowest.map_or(String::new(), |member| {
        format!(
            ", least {} ({})",
            units::percent(member.utilisation),
            member.name
        )
    });
    format!("{} of the time up{lowest}", units::percent(mean))
}

fn time_text(findings: &Findings) -> String {
    let simulated = units::duration(findings.sim_us as f64);
    let real = units::duration(findings.wall_us as f64);
    let peak = match findings.peak_rss_bytes {
        0 => String::new(),
        peak => format!(", {} of memory at most", units::bytes(peak as f64)),
    };
    format!("{simulated} simulated in {real}{peak}")
}

fn faults(findings: &Findings) -> Vec<String> {
    let outcomes = outcomes(&findings.faults);
    let line = |(index, outcome): (usize, &super::outcomes::Outcome<'_>)| {
        let times = match outcome.windows.len() {
            1 => String::new(),
            windows => format!(" × {}", units::grouped(windows as u64)),
        };
        let name = if index == 0 { "faults" } else { "" };
        let (effect, recovery) = (outcome.effect_text(1), outcome.recovery_text());
        let (id, kind) = (outcome.id, outcome.kind);
        row(
            name,
            &format!("{id} ({kind}){times}: {effect}; recovered after {recovery}"),
        )
    };
    let mut lines: Vec<String> = outcomes
        .iter()
        .enumerate()
        .take(MOST_FAULTS)
        .map(line)
        .collect();
    if outcomes.len() > MOST_FAULTS {
        let more = outcomes.len() - MOST_FAULTS;
        lines.push(row("", &format!("{more} more, see faults.csv")));
    }
    lines
}
