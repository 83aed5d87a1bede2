//! What each member did when, one line a member.
//!
//! A window with few spans shows each of them. One with more spans than pixels shows, in each
//! interval of some pixels, the shares of the activities upon each other: drawing spans narrower
//! than a pixel would show a pattern of rounding and nothing else.

use super::{
    axis::{Axis, Quantity, grid_across},
    figure::{Entry, FULL_PX, Figure, Swatch, lanes, legend, window_pixels},
    findings::{Activity, FaultFindings, Findings, MemberFindings},
    rows::rows,
    svg::{Anchor, Area, Path, Svg, shortened},
    thin, units,
};

const ACTIVITIES: [(Activity, &str, &str); 6] = [
    (Activity::Compute, "compute", "compute"),
    (Activity::Encode, "encode", "encode, fold"),
    (Activity::Send, "send", "send"),
    (Activity::Wait, "wait", "wait"),
    (Activity::CatchUp, "catch-up", "catch up"),
    (Activity::Down, "down", "down"),
];

/// Most spans a line has in a chart of single spans.
const MOST_SPANS_A_ROW: usize = 260;
/// Width of an interval in a chart of shares.
const INTERVAL_PX: f64 = 8.0;
const LEFT_PX: f64 = 150.0;

/// The whole run.
pub(crate) fn whole(findings: &Findings) -> Figure {
    if findings
        .members
        .iter()
        .all(|member| member.spans.is_empty())
    {
        return Figure::empty("No activity was recorded: the run ended before any member started.");
    }
    draw(findings, (0, last_us(findings).max(1)))
}

/// A window of the run in single spans, where the whole run does not show them; none else.
///
/// It lies around the first violation, else the beginning of the first fault that was seen, else
/// the beginning of the run.
pub(crate) fn close_up(findings: &Findings) -> Option<Figure> {
    let whole = (0, last_us(findings).max(1));
    if busiest(findings, whole) <= MOST_SPANS_A_ROW {
        return None;
    }
    let seen = |fault: &&FaultFindings| !fault.effect.is_empty();
    let fault = findings
        .faults
        .iter()
        .find(seen)
        .or(findings.faults.first());
    let around = findings.violations.first().map(|violation| violation.at_us);
    let around = around.or(fault.map(|fault| fault.from_us)).unwrap_or(0);
    let mut length = whole.1;
    let window = |length: u64| {
        let from = around.saturating_sub(length / 3).min(whole.1 - length);
        (from, from + length)
    };
    // Halved until its spans are wide enough to be seen.
    while length > 2 && busiest(findings, window(length)) > MOST_SPANS_A_ROW / 4 {
        length /= 2;
    }
    Some(draw(findings, window(length)))
}

fn last_us(findings: &Findings) -> u64 {
    let ends = findings
        .members
        .iter()
        .filter_map(|member| member.spans.last());
    ends.map(|span| span.to_us)
        .chain([findings.sim_us])
        .max()
        .unwrap_or(0)
}

/// Most spans that any member has in a window.
fn busiest(findings: &Findings, window: (u64, u64)) -> usize {
    let inside = |member: &MemberFindings| visible(member, window).count();
    findings.members.iter().map(inside).max().unwrap_or(0)
}

fn visible(member: &MemberFindings, (from, to): (u64, u64)) -> impl Iterator<Item = &super::Span> {
    let first = member.spans.partition_point(|span| span.to_us <= from);
    let rest = member.spans[first..].iter();
    rest.take_while(move |span| span.from_us < to)
        .filter(|span| span.to_us > span.from_us)
}

fn draw(findings: &Findings, window: (u64, u64)) -> Figure {
    let (rows, mut notes) = rows(findings);
    let pitch = if rows.len() <= 20 { 20.0 } else { 13.0 };
    let mut svg = Svg::new(FULL_PX);
    let keys = ACTIVITIES
        .map(|(_, class, label)| Entry::new(Swatch::Block, format!("area {class}"), label));
    let fault_key = Entry::new(Swatch::Block, "mark", "fault window");
    let keys: Vec<Entry> = keys.into_iter().chain([fault_key]).collect();
    let mut area = Area {
        left: LEFT_PX,
        top: legend(&mut svg, (LEFT_PX, 10.0), &keys) + 8.0,
        width: FULL_PX - LEFT_PX - 24.0,
        height: rows.len() as f64 * pitch,
    };
    let axis = Axis::fixed(
        Quantity::Time,
        window.0 as f64,
        window.1 as f64,
        area.across(),
    );
    area.top += lanes(&mut svg, area, &axis, &findings.faults) + 4.0;
    grid_across(&mut svg, area, &axis, "simulated time");
    shade_rows(&mut svg, area, &axis, findings, (&rows, pitch));
    let shares = busiest(findings, window) > MOST_SPANS_A_ROW;
    let mut paths = [const { None::<Path> }; ACTIVITIES.len()];
    for (index, &position) in rows.iter().enumerate() {
        let top = area.top + index as f64 * pitch;
        let bar = Area {
            top: top + pitch * 0.18,
            height: pitch * 0.64,
            ..area
        };
        label(&mut svg, findings, position, top + pitch / 2.0 + 4.0);
        let member = &findings.members[position];
        if shares {
            draw_shares(&mut paths, member, window, bar);
        } else {
            draw_spans(&mut paths, member, window, &axis, bar);
        }
    }
    for (path, (_, class, _)) in paths.iter().zip(ACTIVITIES) {
        if let Some(path) = path {
            svg.path(path, &format!("area {class}"));
        }
    }
    notes.extend(lies_note(findings, &rows));
    if shares {
        notes.push(share_note(window, area.width));
    }
    if findings.members.iter().any(|member| member.spans_cut) {
        notes.push("The run was longer than what was recorded: later spans are absent.".to_owned());
    }
    Figure::new(
        svg.finish(area.bottom() + 42.0, "What each member did when"),
        notes,
    )
}

fn share_note((from, to): (u64, u64), width: f64) -> String {
    let each = (to - from) as f64 * INTERVAL_PX / width;
    format!(
        "There are more spans than pixels: each interval of {} shows the share of every activity, \
         one upon the other.",
        units::duration(each)
    )
}

fn label(svg: &mut Svg, findings: &Findings, position: usize, baseline: f64) {
    let member = &findings.members[position];
    let at = (LEFT_PX - 8.0, baseline);
    let name = match member.lies {
        Some(_) => shortened(&member.name, LEFT_PX - 26.0) + " †",
        None => member.name.clone(),
    };
    svg.text_within(at, Anchor::End, "key", &name, LEFT_PX - 14.0);
}

/// A sentence on the members that lie, where some do.
fn lies_note(findings: &Findings, rows: &[usize]) -> Option<String> {
    const MOST: usize = 10;
    let liar = |&position: &usize| {
        let member = &findings.members[position];
        let lie = member.lies.as_ref()?;
        Some(format!("{} ({lie})", member.name))
    };
    let liars: Vec<String> = rows.iter().filter_map(liar).collect();
    let more = liars.len().saturating_sub(MOST);
    let mut text = liars.get(..MOST).unwrap_or(&liars).join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    (!liars.is_empty()).then(|| format!("† lies: {text}."))
}

/// Shades behind each line the windows of the faults that touch its member.
fn shade_rows(
    svg: &mut Svg,
    area: Area,
    axis: &Axis,
    findings: &Findings,
    (rows, pitch): (&[usize], f64),
) {
    let mut path = Path::default();
    for (index, &position) in rows.iter().enumerate() {
        let touches = |fault: &&FaultFindings| {
            fault.targets.is_empty() || fault.targets.contains(&(position as u32))
        };
        let faults = findings.faults.iter().filter(touches);
        let windows = faults.filter_map(|fault| window_pixels(axis, fault));
        for (from, to) in thin::windows(windows, 1.5) {
            path.rect(Area {
                left: from,
                top: area.top + index as f64 * pitch,
                width: to - from,
                height: pitch,
            });
        }
    }
    svg.path(&path, "shade");
}

type Paths = [Option<Path>; ACTIVITIES.len()];

fn place_of(activity: Activity) -> usize {
    let place = ACTIVITIES.iter().position(|&(known, ..)| known == activity);
    place.expect("the table has every activity")
}

fn draw_spans(
    paths: &mut Paths,
    member: &MemberFindings,
    window: (u64, u64),
    axis: &Axis,
    bar: Area,
) {
    for span in visible(member, window) {
        let (from, to) = (axis.at(span.from_us as f64), axis.at(span.to_us as f64));
        // A short stop is what one looks for: it stays visible.
        let narrowest = if span.activity == Activity::Down {
            1.5
        } else {
            0.2
        };
        let path = paths[place_of(span.activity)].get_or_insert_default();
        path.rect(Area {
            left: from,
            width: (to - from).max(narrowest),
            ..bar
        });
    }
}

fn draw_shares(paths: &mut Paths, member: &MemberFindings, window: (u64, u64), bar: Area) {
    let intervals = (bar.width / INTERVAL_PX).ceil() as usize;
    let shares = shares(member, window, intervals);
    let each = bar.width / intervals as f64;
    for (place, path) in paths.iter_mut().enumerate() {
        let mut index = 0;
        while index < intervals {
            let (top, height) = stacked(&shares[index], place, bar);
            // Equal neighbours are one rectangle.
            let alike = |other: &[f64; ACTIVITIES.len()]| {
                let (other_top, other_height) = stacked(other, place, bar);
                (other_top - top).abs() < 0.05 && (other_height - height).abs() < 0.05
            };
            let run = shares[index..]
                .iter()
                .take_while(|other| alike(other))
                .count();
            if height >= 0.05 {
                path.get_or_insert_default().rect(Area {
                    left: bar.left + index as f64 * each,
                    top,
                    width: run as f64 * each,
                    height,
                });
            }
            index += run.max(1);
        }
    }
}

/// Where the activity at `place` lies in a bar of shares: top and height.
fn stacked(shares: &[f64; ACTIVITIES.len()], place: usize, bar: Area) -> (f64, f64) {
    let below: f64 = shares[..place].iter().sum();
    let height = shares[place] * bar.height;
    (bar.bottom() - below * bar.height - height, height)
}

/// The share of each activity in each of `intervals` equal parts of a window.
fn shares(
    member: &MemberFindings,
    window: (u64, u64),
    intervals: usize,
) -> Vec<[f64; ACTIVITIES.len()]> {
    let mut shares = vec![[0.0; ACTIVITIES.len()]; intervals];
    let each = (window.1 - window.0) as f64 / intervals as f64;
    for span in visible(member, window) {
        let from = (span.from_us.max(window.0) - window.0) as f64 / each;
        let to = (span.to_us.min(window.1) - window.0) as f64 / each;
        let (first, last) = (from as usize, (to.ceil() as usize).min(intervals));
        for (index, interval) in shares.iter_mut().enumerate().take(last).skip(first) {
            let inside = to.min(index as f64 + 1.0) - from.max(index as f64);
            interval[place_of(span.activity)] += inside.max(0.0);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Span;

    fn busy(rounds: u64) -> MemberFindings {
        let span = |from_us, to_us, activity| Span {
            from_us,
            to_us,
            activity,
        };
        let round = |at: u64| {
            let compute = span(at * 100, at * 100 + 75, Activity::Compute);
            [compute, span(at * 100 + 75, at * 100 + 100, Activity::Wait)]
        };
        MemberFindings {
            name: "eu-1".to_owned(),
            spans: (0..rounds).flat_map(round).collect(),
            ..MemberFindings::default()
        }
    }

    #[test]
    fn shares_of_an_interval_add_up() {
        let member = busy(40);
        for interval in shares(&member, (0, 4000), 10) {
            assert!((interval[0] - 0.75).abs() < 1e-9 && (interval[3] - 0.25).abs() < 1e-9);
        }
        let half = shares(&member, (50, 150), 1)[0];
        assert!((half[0] - 0.75).abs() < 1e-9, "{half:?}");
    }

    #[test]
    fn a_long_run_shows_shares_and_a_close_up() {
        let short = Findings {
            members: vec![busy(20)],
            ..Findings::default()
        };
        assert!(close_up(&short).is_none() && whole(&short).notes.is_empty());
        let long = Findings {
            members: vec![busy(10_000)],
            ..Findings::default()
        };
        assert!(whole(&long).notes[0].contains("share of every activity"));
        let close = close_up(&long).expect("spans are too narrow in the whole run");
        assert!(close.notes.is_empty() && close.svg.contains("simulated time"));
    }

    #[test]
    fn nothing_recorded_is_said() {
        assert!(whole(&Findings::default()).notes[0].contains("No activity"));
    }
}
