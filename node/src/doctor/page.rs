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
    }
    let (text, look) = ending(report);
    out.push('\n');
    for row in wrapped(&text, width) {
        let _ = writeln!(out, "{}", look.apply_to(row));
    }
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

/// Whether a node can run, and by name what to look at: on a small screen the rest has scrolled.
fn ending(report: &Report) -> (String, Style) {
    let names = |verdict| {
        let mut names: Vec<&str> = report.of_verdict(verdict).map(|f| f.what).collect();
        names.dedup();
        names.join(", ")
    };
    let things = |verdict, one: &str, many: &str| match report.of_verdict(verdict).count() {
        0 => None,
        1 => Some(format!("one thing {one} ({})", names(verdict))),
        count => Some(format!("{count} things {many} ({})", names(verdict))),
    };
    let better = "could be better";
    let notes = things(Verdict::Note, better, better);
    let notes = notes.map_or_else(String::new, |notes| format!("; {notes}"));
    match things(
        Verdict::Bad,
        "stands in a node's way",
        "stand in a node's way",
    ) {
        None => (format!("a node can run here{notes}"), Style::new().green()),
        Some(bad) => (format!("{bad}{notes}"), Style::new().red()),
    }
}
