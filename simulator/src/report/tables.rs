//! The tables of the HTML report.

use super::{
    figure::member_name,
    findings::{FaultFindings, Findings},
    outcomes::outcomes,
    rounds,
    svg::escape,
    units,
};

/// Most violations, and most windows of faults, that have a row of their own.
const MOST_ROWS: usize = 60;
/// Most rows of faults, the windows of one together.
const MOST_FAULTS: usize = 200;
/// Most lines of a schedule or a slice.
const MOST_LINES: usize = 400;
const MOST_STRAGGLERS: usize = 5;

/// A column: its head, and whether it holds numbers.
type Column = (&'static str, bool);

fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let class = |numeric: bool| if numeric { " class=\"num\"" } else { "" };
    let mut out = "<div class=\"scroll\"><table>\n<thead><tr>".to_owned();
    for &(head, numeric) in columns {
        out.push_str(&format!("<th{}>{head}</th>", class(numeric)));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (cell, &(_, numeric)) in row.iter().zip(columns) {
            out.push_str(&format!("<td{}>{}</td>", class(numeric), escape(cell)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

fn note(text: &str) -> String {
    format!("<p class=\"note\">{}</p>\n", escape(text))
}

/// What was violated, the first first.
pub(crate) fn violations(findings: &Findings) -> String {
    let columns = [
        ("invariant", false),
        ("at", true),
        ("round", true),
        ("member", false),
        ("what happened", false),
    ];
    let shown = findings.violations.iter().take(MOST_ROWS);
    let mut out = table(
        &columns,
        shown.map(|violation| {
            let member = violation.member.map(|member| member_name(findings, member));
            vec![
                violation.invariant.clone(),
                units::clock(violation.at_us),
                violation.round.to_string(),
                member.unwrap_or_else(|| "–".to_owned()),
                violation.text.clone(),
            ]
        }),
    );
    let more = findings.violations.len().saturating_sub(MOST_ROWS);
    if more > 0 {
        out.push_str(&note(&format!("{more} more are in report.json.")));
    }
    out
}

/// Lines as they are; the last ones of very many, because they are next to the failure.
pub(crate) fn lines(lines: &[String], what: &str) -> String {
    let left_out = lines.len().saturating_sub(MOST_LINES);
    let mut out = String::new();
    if left_out > 0 {
        let said = format!("{left_out} earlier lines of this {what} are in report.json.");
        out.push_str(&note(&said));
    }
    out.push_str("<pre>");
    for line in &lines[left_out..] {
        out.push_str(&escape(line));
        out.push('\n');
    }
    out.push_str("</pre>\n");
    out
}

/// Who came last, and how often.
pub(crate) fn stragglers(findings: &Findings) -> String {
    let mut stragglers = rounds::stragglers(&findings.rounds);
    stragglers.truncate(MOST_STRAGGLERS);
    if stragglers.is_empty() {
        return String::new();
    }
    let columns = [
        ("came last in the cut", false),
        ("rounds", true),
        ("share", true),
        ("median of these rounds", true),
    ];
    let all = findings.rounds.len().max(1) as f64;
    let rows = stragglers.into_iter().map(|straggler| {
        vec![
            member_name(findings, straggler.member),
            units::grouped(straggler.rounds as u64),
            units::percent(straggler.rounds as f64 / all),
            units::duration(straggler.median_us as f64),
        ]
    });
    table(&columns, rows)
}

/// Fault → effect seen → rounds to recover.
pub(crate) fn faults(findings: &Findings) -> String {
    match findings.faults.len() {
        0 => "<p class=\"empty\">No fault window came about in this run.</p>\n".to_owned(),
        1..=MOST_ROWS => windows(findings),
        _ => faults_together(findings),
    }
}

fn windows(findings: &Findings) -> String {
    let columns = [
        ("fault", false),
        ("kind", false),
        ("from", true),
        ("lasted", true),
        ("members", false),
        ("effect seen", false),
        ("recovered after", true),
    ];
    table(
        &columns,
        findings.faults.iter().map(|fault| {
            let recovered = match fault.recovery_rounds {
                None => "never".to_owned(),
                Some(1) => "1 round".to_owned(),
                Some(rounds) => format!("{rounds} rounds"),
            };
            let effect = match fault.effect.as_str() {
                "" => "none seen",
                effect => effect,
            };
            vec![
                fault.id.clone(),
                fault.kind.clone(),
                units::clock(fault.from_us),
                units::duration(fault.to_us.saturating_sub(fault.from_us) as f64),
                targets(findings, fault),
                effect.to_owned(),
                recovered,
            ]
        }),
    )
}

/// Names of the first few members that a fault touched.
fn targets(findings: &Findings, fault: &FaultFindings) -> String {
    const MOST: usize = 4;
    if fault.targets.is_empty() || fault.targets.len() == findings.members.len() {
        return "all".to_owned();
    }
    let named = fault.targets.iter().take(MOST);
    let mut text = (named.map(|&member| member_name(findings, member)))
        .collect::<Vec<_>>()
        .join(", ");
    if fault.targets.len() > MOST {
        text.push_str(&format!(" and {} more", fault.targets.len() - MOST));
    }
    text
}

fn faults_together(findings: &Findings) -> String {
    let columns = [
        ("fault", false),
        ("kind", false),
        ("windows", true),
        ("median length", true),
        ("effect seen", false),
        ("recovered after", true),
    ];
    let outcomes = outcomes(&findings.faults);
    let shown = outcomes.iter().take(MOST_FAULTS);
    let mut out = table(
        &columns,
        shown.map(|outcome| {
            let of = |fault: &&FaultFindings| fault.to_us.saturating_sub(fault.from_us);
            let mut lengths: Vec<u64> = outcome.windows.iter().map(of).collect();
            lengths.sort_unstable();
            let median = lengths[(lengths.len() - 1) / 2];
            vec![
                outcome.id.to_owned(),
                outcome.kind.to_owned(),
                units::grouped(outcome.windows.len() as u64),
                units::duration(median as f64),
                outcome.effect_text(3),
                outcome.recovery_text(),
            ]
        }),
    );
    let windows = units::grouped(findings.faults.len() as u64);
    out.push_str(&note(&format!(
        "Each of the {windows} windows is in faults.csv."
    )));
    out
}
