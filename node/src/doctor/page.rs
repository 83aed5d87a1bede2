//! The report as people read it: a mark, a thing, what was found, and below it what to do.

use super::{Finding, Report, Verdict};
use crate::cli::wrapped;
use console::{Style, style};
use std::fmt::Write as _;

/// Width of the column of things.
const WHAT: usize = 12;
/// Characters before what was found: mark, blanks, thing.
const INDENT: usize = 2 + 2 + WHAT + 2;
/// The widest a page gets.
const MAX_WIDTH: usize = 100;
/// The narrowest column of text that is worth one.
const MIN_TEXT: usize = 24;

/// Everything, for the terminal at hand.
pub(super) fn page(report: &Report) -> String {
    let columns = console::Term::stdout().size_checked();
    let width = columns.map_or(MAX_WIDTH, |(_, columns)| usize::from(columns));
    page_of(report, width.min(MAX_WIDTH))
}

pub(super) fn page_of(report: &Report, width: usize) -> String {
    let mut out = String::new();
    for group in &report.groups {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}", style(group.title).bold());
        for finding in &group.findings {
            write_finding(&mut out, finding, width);
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{}", ending(report));
    out
}

fn write_finding(out: &mut String, finding: &Finding, width: usize) {
    let room = width.saturating_sub(INDENT).max(MIN_TEXT);
    let (sign, look) = mark(finding.verdict);
    let mut rows = wrapped(&finding.found, room).into_iter();
    let (what, first) = (finding.what, rows.next().unwrap_or_default());
    let _ = writeln!(out, "  {} {what:<WHAT$}  {first}", look.apply_to(sign));
    for row in rows {
        let _ = writeln!(out, "{:INDENT$}{row}", "");
    }
    let advice = finding.advice.as_deref().unwrap_or_default();
    for (number, row) in wrapped(advice, room - 2).into_iter().enumerate() {
        let arrow = if number == 0 { "→" } else { " " };
        let line = style(format!("{arrow} {row}")).cyan();
        let _ = writeln!(out, "{:INDENT$}{line}", "");
    }
}

fn mark(verdict: Verdict) -> (char, Style) {
    match verdict {
        Verdict::Good => ('✓', Style::new().green()),
        Verdict::Untested => ('?', Style::new().dim()),
        Verdict::Note => ('!', Style::new().yellow().bold()),
        Verdict::Bad => ('✗', Style::new().red().bold()),
    }
}

fn ending(report: &Report) -> String {
    let things = |count: usize, one: &str, many: &str| match count {
        1 => format!("one thing {one}"),
        count => format!("{count} things {many}"),
    };
    let (notes, bad) = (report.count(Verdict::Note), report.count(Verdict::Bad));
    let notes = match notes {
        0 => String::new(),
        count => format!("; {}", things(count, "could be better", "could be better")),
    };
    match bad {
        0 => style(format!("a node can run here{notes}"))
            .green()
            .to_string(),
        count => style(format!(
            "{} in a node's way{notes}",
            things(count, "stands", "stand")
        ))
        .red()
        .to_string(),
    }
}
