//! Bars, one a member: bytes a round by message kind, and high-water marks.

use super::{
    axis::{Axis, Quantity, Range, grid_across},
    figure::{Entry, Figure, HALF_PX, Swatch, legend, series},
    findings::{Findings, MemberFindings},
    rows::rows,
    svg::{Anchor, Area, Svg},
};
use std::collections::BTreeMap;

const LEFT_PX: f64 = 130.0;
/// Message kinds with a colour of their own; the others are one.
const MOST_KINDS: usize = 7;

/// Message kinds that carry payloads and states.
pub(crate) fn is_bulk(kind: &str) -> bool {
    matches!(kind, "payload" | "state")
}

/// Bytes a member sent a round, by message kind: all of them.
pub(crate) fn traffic(findings: &Findings) -> Figure {
    stacked(findings, "bytes sent a round", |_| true)
}

/// The same without payloads and states, beside which the others would not be seen.
pub(crate) fn control_traffic(findings: &Findings) -> Figure {
    stacked(findings, "control bytes sent a round", |kind| {
        !is_bulk(kind)
    })
}

fn stacked(findings: &Findings, title: &str, wanted: fn(&str) -> bool) -> Figure {
    let rounds = findings.rounds_done.max(1) as f64;
    // Ranked over all kinds, so that a kind has one colour in both figures.
    let ranked = ranked_kinds(findings);
    let (named, rest) = ranked.split_at(ranked.len().min(MOST_KINDS));
    let shown = |kinds: &[&'_ str]| kinds.iter().filter(|kind| wanted(kind)).count();
    if shown(&ranked) == 0 {
        return Figure::empty(format!("No {title}: no member sent any."));
    }
    let others = shown(rest);
    let mut keys: Vec<(usize, String)> = (named.iter().enumerate())
        .filter(|(_, kind)| wanted(kind))
        .map(|(colour, kind)| (colour, (*kind).to_owned()))
        .collect();
    match others {
        0 => {}
        1 => keys.push((MOST_KINDS, "1 other".to_owned())),
        _ => keys.push((MOST_KINDS, format!("{others} others"))),
    }
    let parts = |member: &MemberFindings| {
        let of = |kind: &&str| match wanted(kind) {
            true => member.bytes.get(*kind).copied().unwrap_or(0) as f64 / rounds,
            false => 0.0,
        };
        let mut parts: Vec<f64> = named.iter().map(of).collect();
        parts.resize(MOST_KINDS, 0.0);
        parts.push(rest.iter().map(of).sum());
        parts
    };
    let mut figure = bars(findings, (title, Quantity::Bytes), &keys, parts);
    if findings.rounds_done == 0 {
        let note = "No round was certified: the bars show the bytes of the whole run.";
        figure.notes.push(note.to_owned());
    }
    figure
}

/// Message kinds of which anything was sent, the largest first.
fn ranked_kinds(findings: &Findings) -> Vec<&str> {
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, &count) in findings.members.iter().flat_map(|member| &member.bytes) {
        let total = totals.entry(kind).or_default();
        *total = total.saturating_add(count);
    }
    totals.retain(|_, total| *total > 0);
    let mut kinds: Vec<(&str, u64)> = totals.into_iter().collect();
    kinds.sort_by_key(|&(kind, total)| (std::cmp::Reverse(total), kind));
    kinds.into_iter().map(|(kind, _)| kind).collect()
}

/// Most bytes that a member's machine, payloads and states took.
pub(crate) fn memory(findings: &Findings) -> Figure {
    let title = ("memory, highest", Quantity::Bytes);
    high_water(findings, title, |member| member.memory_high)
}

/// Most messages that waited for a member.
pub(crate) fn queues(findings: &Findings) -> Figure {
    let title = ("waiting messages, most", Quantity::Count);
    high_water(findings, title, |member| member.queue_high)
}

fn high_water(
    findings: &Findings,
    title: (&str, Quantity),
    of: fn(&MemberFindings) -> u64,
) -> Figure {
    if findings.members.iter().all(|member| of(member) == 0) {
        return Figure::empty(format!("Not measured in this run: {}.", title.0));
    }
    bars(findings, title, &[], |member| vec![of(member) as f64])
}

/// One bar a member, of `parts` beside each other, with a legend where `keys` name them.
fn bars(
    findings: &Findings,
    (title, quantity): (&str, Quantity),
    keys: &[(usize, String)],
    parts: impl Fn(&MemberFindings) -> Vec<f64>,
) -> Figure {
    let (rows, notes) = rows(findings);
    let pitch = if rows.len() <= 20 { 19.0 } else { 13.0 };
    let mut svg = Svg::new(HALF_PX);
    let entry = |(colour, label): &(usize, String)| {
        let class = format!("area {}", series(*colour));
        Entry::new(Swatch::Block, class, label.clone())
    };
    let entries: Vec<Entry> = keys.iter().map(entry).collect();
    let area = Area {
        left: LEFT_PX,
        top: legend(&mut svg, (8.0, 10.0), &entries) + 8.0,
        width: HALF_PX - LEFT_PX - 22.0,
        height: rows.len() as f64 * pitch,
    };
    let sums = rows
        .iter()
        .map(|&position| parts(&findings.members[position]).iter().sum());
    let axis = Axis::over(sums, quantity, Range::FromZero, area.across())
        .expect("bytes and counts are finite");
    grid_across(&mut svg, area, &axis, title);
    for (index, &position) in rows.iter().enumerate() {
        let member = &findings.members[position];
        let top = area.top + index as f64 * pitch;
        let at = (LEFT_PX - 8.0, top + pitch / 2.0 + 4.0);
        svg.text_within(at, Anchor::End, "key", &member.name, LEFT_PX - 14.0);
        let mut before = 0.0;
        for (part, size) in parts(member).into_iter().enumerate() {
            let (from, to) = (axis.at(before), axis.at(before + size));
            let bar = Area {
                left: from,
                top: top + pitch * 0.17,
                width: to - from,
                height: pitch * 0.66,
            };
            if bar.width >= 0.05 {
                svg.rect(bar, &format!("area {}", series(part)));
            }
            before += size;
        }
    }
    Figure::new(svg.finish(area.bottom() + 42.0, title), notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(kinds: &[(&str, u64)]) -> Findings {
        let bytes = kinds.iter().map(|&(kind, count)| (kind.to_owned(), count));
        Findings {
            members: vec![MemberFindings {
                name: "eu-1".to_owned(),
                bytes: bytes.collect(),
                ..MemberFindings::default()
            }],
            rounds_done: 10,
            ..Findings::default()
        }
    }

    #[test]
    fn rare_kinds_share_a_colour() {
        let kinds: Vec<(String, u64)> = (0..12).map(|n| (format!("kind-{n}"), 100 + n)).collect();
        let kinds: Vec<(&str, u64)> = kinds.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
        let figure = traffic(&findings(&kinds));
        assert!(figure.svg.contains("5 others") && figure.svg.contains("kind-11"));
        assert!(!figure.svg.contains("kind-3"));
    }

    #[test]
    fn payloads_do_not_hide_what_agreement_costs() {
        let findings = findings(&[("payload", 1_000_000), ("vote", 100)]);
        assert!(traffic(&findings).svg.contains("payload"));
        let control = control_traffic(&findings);
        assert!(control.svg.contains("vote") && !control.svg.contains("payload"));
    }

    #[test]
    fn what_was_not_measured_is_said() {
        assert!(memory(&findings(&[])).notes[0].contains("Not measured"));
        assert!(traffic(&findings(&[("vote", 0)])).notes[0].contains("no member sent any"));
    }
}
