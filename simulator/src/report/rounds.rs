//! How long rounds took, and whom they waited for.

use super::{
    axis::{Axis, Quantity, Range, frame},
    figure::{Entry, FULL_PX, Figure, Swatch, by_id, legend, member_name, shade_windows},
    findings::{Findings, RoundFindings},
    svg::{Anchor, Area, Path, Svg, shortened, text_width},
    thin, units,
};
use std::collections::BTreeMap;

/// Durations that half, 95 % and 99 % of rounds do not exceed, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Half of them.
    pub p50_us: u64,
    /// 95 of 100.
    pub p95_us: u64,
    /// 99 of 100.
    pub p99_us: u64,
}

impl Percentiles {
    /// Those of the rounds of a run, by nearest rank; none without a round.
    pub fn of(rounds: &[RoundFindings]) -> Option<Self> {
        let mut durations: Vec<u64> = rounds.iter().map(duration_us).collect();
        durations.sort_unstable();
        let rank = |percent: usize| {
            let rank = (durations.len() * percent).div_ceil(100).max(1);
            durations.get(rank - 1).copied()
        };
        Some(Self {
            p50_us: rank(50)?,
            p95_us: rank(95)?,
            p99_us: rank(99)?,
        })
    }
}

/// How long a round took.
pub(crate) fn duration_us(round: &RoundFindings) -> u64 {
    round.ended_us.saturating_sub(round.begun_us)
}

/// A member that came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Straggler {
    pub member: u32,
    /// Rounds in which its update was the last one counted.
    pub rounds: usize,
    /// Median duration of those.
    pub median_us: u64,
}

/// Members by how often they came last, the most frequent first.
pub(crate) fn stragglers(rounds: &[RoundFindings]) -> Vec<Straggler> {
    let mut durations: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for round in rounds {
        if let Some(member) = round.straggler {
            durations
                .entry(member)
                .or_default()
                .push(duration_us(round));
        }
    }
    let of = |(member, mut durations): (u32, Vec<u64>)| {
        durations.sort_unstable();
        Straggler {
            member,
            rounds: durations.len(),
            median_us: durations[(durations.len() - 1) / 2],
        }
    };
    let mut stragglers: Vec<Straggler> = durations.into_iter().map(of).collect();
    stragglers.sort_by_key(|straggler| (std::cmp::Reverse(straggler.rounds), straggler.member));
    stragglers
}

/// Draws the duration of every round.
pub(crate) fn durations(findings: &Findings) -> Figure {
    let rounds = &findings.rounds;
    let Some(percentiles) = Percentiles::of(rounds) else {
        return Figure::empty("No round was certified before the run ended.");
    };
    let mut svg = Svg::new(FULL_PX);
    let area = Area {
        left: 62.0,
        top: 48.0,
        width: FULL_PX - 62.0 - 124.0,
        height: 230.0,
    };
    let numbers = rounds.iter().map(|round| round.round as f64);
    let x = Axis::over(numbers, Quantity::Count, Range::Exact, area.across());
    let us = || rounds.iter().map(|round| duration_us(round) as f64);
    // Decades from a hundredfold on; else from zero.
    let wide = us().fold(f64::INFINITY, f64::min) > 0.0
        && us().fold(0.0, f64::max) / us().fold(f64::INFINITY, f64::min) > 100.0;
    let range = if wide { Range::Log } else { Range::FromZero };
    let y = Axis::over(us(), Quantity::Time, range, area.upwards());
    let (Some(x), Some(y)) = (x, y) else {
        return Figure::empty("No round was certified before the run ended.");
    };
    shade_rounds(&mut svg, area, &x, findings);
    frame(&mut svg, area, (&x, "round"), (&y, "duration of a round"));
    let points = rounds.iter().map(|round| {
        let at = x.at(round.round as f64);
        (at, y.at(duration_us(round) as f64))
    });
    let line = thin::line(points);
    svg.path(&Path::through(line.iter().copied()), "thin s0");
    if rounds.len() <= 300 {
        line.iter().for_each(|&at| svg.dot(at, 1.6, "area s0"));
    }
    percentile_lines(&mut svg, area, &y, percentiles);
    name_slowest(&mut svg, area, findings, (&x, &y), percentiles);
    let mut keys = vec![Entry::new(Swatch::Line, "s0", "duration")];
    keys.push(Entry::new(Swatch::Dash, "s1", "percentiles"));
    if !findings.faults.is_empty() {
        keys.push(Entry::new(Swatch::Block, "shade", "rounds with a fault"));
    }
    legend(&mut svg, (area.left, 10.0), &keys);
    Figure::new(
        svg.finish(area.bottom() + 42.0, "Duration of every round"),
        thin::note(rounds.len(), "rounds").into_iter().collect(),
    )
}

fn percentile_lines(svg: &mut Svg, area: Area, y: &Axis, percentiles: Percentiles) {
    let named = [
        ("p50", percentiles.p50_us),
        ("p95", percentiles.p95_us),
        ("p99", percentiles.p99_us),
    ];
    let mut free_below = f64::INFINITY;
    for (name, us) in named {
        let at = y.at(us as f64);
        svg.line((area.left, at), (area.right(), at), "dash s1");
        // Labels keep their order and a line's distance, lines stay where they belong.
        let label_at = (at + 4.0).min(free_below);
        let text = format!("{name} {}", units::duration(us as f64));
        svg.text((area.right() + 8.0, label_at), Anchor::Start, "key", &text);
        free_below = label_at - 14.0;
    }
}

/// Names who the longest rounds waited for, where there is room.
fn name_slowest(
    svg: &mut Svg,
    area: Area,
    findings: &Findings,
    (x, y): (&Axis, &Axis),
    percentiles: Percentiles,
) {
    // Rounds as long as most have no straggler worth a name.
    let long = |round: &&RoundFindings| duration_us(round) / 11 > percentiles.p50_us / 10;
    let mut slowest: Vec<&RoundFindings> = findings.rounds.iter().filter(long).collect();
    slowest.sort_by_key(|round| (std::cmp::Reverse(duration_us(round)), round.round));
    let mut taken: Vec<Area> = Vec::new();
    for round in slowest.into_iter().take(8) {
        let Some(straggler) = round.straggler else {
            continue;
        };
        let (px, py) = (x.at(round.round as f64), y.at(duration_us(round) as f64));
        let name = shortened(&member_name(findings, straggler), 120.0);
        let width = text_width(&name);
        let left = px.clamp(area.left + width / 2.0, area.right() - width / 2.0) - width / 2.0;
        let place = Area {
            left,
            top: py - 17.0,
            width,
            height: 14.0,
        };
        let apart = |other: &Area| {
            place.right() + 4.0 < other.left
                || other.right() + 4.0 < place.left
                || place.bottom() < other.top
                || other.bottom() < place.top
        };
        if place.top >= area.top - 6.0 && taken.iter().all(apart) && taken.len() < 5 {
            let middle = (left + width / 2.0, py - 6.0);
            svg.text(middle, Anchor::Middle, "over", &name);
            taken.push(place);
        }
    }
}

/// Shades the rounds in which a fault's window lies.
fn shade_rounds(svg: &mut Svg, area: Area, x: &Axis, findings: &Findings) {
    let rounds = &findings.rounds;
    let number_at = |us: u64| {
        let index = rounds.partition_point(|round| round.ended_us <= us);
        let round = rounds.get(index).or(rounds.last());
        x.at(round.map_or(0.0, |round| round.round as f64))
    };
    let time = Axis::fixed(
        Quantity::Time,
        0.0,
        findings.sim_us.max(1) as f64,
        (0.0, 1.0),
    );
    for (_, windows) in by_id(&time, &findings.faults) {
        let windows = windows.iter().map(|fault| {
            let (from, to) = (number_at(fault.from_us), number_at(fault.to_us));
            ((from - 1.0).max(area.left), (to + 1.0).min(area.right()))
        });
        shade_windows(svg, area, windows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(number: u64, took_us: u64, straggler: u32) -> RoundFindings {
        RoundFindings {
            round: number,
            begun_us: 10,
            ended_us: 10 + took_us,
            straggler: Some(straggler),
            ..RoundFindings::default()
        }
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let rounds: Vec<RoundFindings> = (1..=200).map(|n| round(n, n, 0)).collect();
        let expected = Percentiles {
            p50_us: 100,
            p95_us: 190,
            p99_us: 198,
        };
        assert_eq!(Percentiles::of(&rounds), Some(expected));
        assert_eq!(Percentiles::of(&[]), None);
        assert_eq!(Percentiles::of(&rounds[..1]).map(|p| p.p99_us), Some(1));
    }

    #[test]
    fn who_came_last_most_often_is_first() {
        let rounds = [round(1, 5, 2), round(2, 7, 1), round(3, 9, 1)];
        let expected = [(1, 2, 7), (2, 1, 5)];
        let found = stragglers(&rounds);
        let found: Vec<(u32, usize, u64)> = found
            .iter()
            .map(|straggler| (straggler.member, straggler.rounds, straggler.median_us))
            .collect();
        assert_eq!(found, expected);
    }
}
