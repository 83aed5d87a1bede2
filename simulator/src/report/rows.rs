//! Which members get a line in charts that have one a member.

use super::findings::{Activity, Findings};
use std::collections::BTreeSet;

/// Most lines of a chart.
pub(crate) const MOST_ROWS: usize = 64;

/// Positions of the members that are drawn, in their order, and a sentence where some are not.
///
/// Where there are too many, those that lie, that violated something, that a fault touched, that
/// were down, and that computed least come first.
pub(crate) fn rows(findings: &Findings) -> (Vec<usize>, Vec<String>) {
    let count = findings.members.len();
    if count <= MOST_ROWS {
        return ((0..count).collect(), Vec::new());
    }
    let violators: BTreeSet<usize> = (findings.violations.iter())
        .filter_map(|violation| Some(violation.member? as usize))
        .collect();
    let touched: BTreeSet<usize> = (findings.faults.iter())
        .flat_map(|fault| fault.targets.iter().map(|&target| target as usize))
        .collect();
    let weight = |position: usize| {
        let member = &findings.members[position];
        let down = |span: &super::Span| span.activity == Activity::Down;
        let idle = (1.0 - member.utilisation.clamp(0.0, 1.0)) * 1e6;
        let idle = if idle.is_nan() { 0 } else { idle as u64 };
        (
            violators.contains(&position),
            member.lies.is_some(),
            touched.contains(&position),
            member.spans.iter().any(down),
            idle,
        )
    };
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&position| (std::cmp::Reverse(weight(position)), position));
    order.truncate(MOST_ROWS);
    order.sort_unstable();
    let note = format!(
        "{MOST_ROWS} of {count} members are drawn: those that violated something, lie, were \
         touched by a fault or were down, then those that computed least. members.csv has all."
    );
    (order, vec![note])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::MemberFindings;

    #[test]
    fn the_interesting_members_are_among_those_drawn() {
        let member = |position: usize| MemberFindings {
            name: format!("m{position}"),
            lies: (position == 150).then(|| "nan".to_owned()),
            utilisation: if position == 99 { 0.1 } else { 0.9 },
            ..MemberFindings::default()
        };
        let findings = Findings {
            members: (0..200).map(member).collect(),
            ..Findings::default()
        };
        let (rows, notes) = rows(&findings);
        assert_eq!(rows.len(), MOST_ROWS);
        assert!(rows.contains(&150) && rows.contains(&99));
        assert!(rows.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(notes[0].contains("64 of 200"));
    }
}
