//! What all figures of a report share: a result with its notes, legends, and fault windows.

use super::{
    axis::Axis,
    findings::{FaultFindings, Findings},
    svg::{Anchor, Area, Path, Svg, text_width},
    thin,
};

/// Pixels of a figure that takes the width of the page.
pub(crate) const FULL_PX: f64 = 1000.0;
/// Pixels of one of two figures beside each other.
pub(crate) const HALF_PX: f64 = 490.0;

/// A figure, or why there is none.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// The picture; empty where there is nothing to draw.
    pub svg: String,
    /// Sentences below it: what was left out, what is not obvious.
    pub notes: Vec<String>,
}

impl Figure {
    pub(crate) fn new(svg: String, notes: Vec<String>) -> Self {
        Self { svg, notes }
    }

    /// No figure, because of `why`.
    pub(crate) fn empty(why: impl Into<String>) -> Self {
        let svg = String::new();
        let notes = vec![why.into()];
        Self { svg, notes }
    }
}

/// The form of a legend's swatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swatch {
    Line,
    Dash,
    Block,
}

/// One entry of a legend.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub swatch: Swatch,
    pub class: String,
    pub label: String,
}

impl Entry {
    pub(crate) fn new(swatch: Swatch, class: impl Into<String>, label: impl Into<String>) -> Self {
        let (class, label) = (class.into(), label.into());
        Self {
            swatch,
            class,
            label,
        }
    }
}

/// Draws entries from `at` to the figure's right edge in as many lines as they need.
///
/// Returns the pixels they took downwards.
pub(crate) fn legend(svg: &mut Svg, at: (f64, f64), entries: &[Entry]) -> f64 {
    const LINE: f64 = 17.0;
    let (left, top) = at;
    let (mut x, mut y) = at;
    for entry in entries {
        let room = svg.width() - left - 34.0;
        let width = text_width(&entry.label).min(room) + 34.0;
        if x > left && x + width > svg.width() {
            (x, y) = (left, y + LINE);
        }
        swatch(svg, (x, y), entry);
        let text_at = (x + 22.0, y + 4.0);
        svg.text_within(text_at, Anchor::Start, "key", &entry.label, room);
        x += width;
    }
    if entries.is_empty() {
        0.0
    } else {
        y - top + LINE
    }
}

fn swatch(svg: &mut Svg, (x, y): (f64, f64), entry: &Entry) {
    let class = &entry.class;
    match entry.swatch {
        Swatch::Line => svg.line((x, y), (x + 16.0, y), &format!("line {class}")),
        Swatch::Dash => svg.line((x, y), (x + 16.0, y), &format!("dash {class}")),
        Swatch::Block => {
            let area = Area {
                left: x + 2.0,
                top: y - 5.0,
                width: 12.0,
                height: 10.0,
            };
            svg.rect(area, class);
        }
    }
}

/// Colour of the `index`-th of several series; they repeat after eight.
pub(crate) fn series(index: usize) -> String {
    format!("s{}", index % 8)
}

/// Name of a member, or its position where the findings have none.
pub(crate) fn member_name(findings: &Findings, position: u32) -> String {
    let member = findings.members.get(position as usize);
    member.map_or_else(
        || format!("member {position}"),
        |member| member.name.clone(),
    )
}

/// Shades the windows of time of all faults over `area`; where faults overlap, it is darker.
pub(crate) fn shade(svg: &mut Svg, area: Area, axis: &Axis, faults: &[FaultFindings]) {
    for (_, windows) in by_id(axis, faults) {
        let windows = windows
            .iter()
            .filter_map(|fault| window_pixels(axis, fault));
        shade_windows(svg, area, windows);
    }
}

/// Shades windows of pixels over `area`.
pub(crate) fn shade_windows(
    svg: &mut Svg,
    area: Area,
    windows: impl IntoIterator<Item = (f64, f64)>,
) {
    let mut path = Path::default();
    for (from, to) in thin::windows(windows, 1.5) {
        path.rect(Area {
            left: from,
            width: to - from,
            ..area
        });
    }
    svg.path(&path, "shade");
}

/// Where a fault's window lies on the time axis; none where it lies outside.
pub(crate) fn window_pixels(axis: &Axis, fault: &FaultFindings) -> Option<(f64, f64)> {
    let (from, to) = (fault.from_us as f64, fault.to_us.max(fault.from_us) as f64);
    let (first, last) = (axis.at(from), axis.at(to));
    let touches = axis.holds(from) || axis.holds(to) || last > first;
    touches.then_some((first, last))
}

/// Most lines of fault windows above a chart.
const MOST_LANES: usize = 12;
const LANE_PX: f64 = 15.0;

/// Draws one line a fault id, named at the left, with a bar where each of its windows lies.
///
/// All windows of an id share a line, so that a thousand short ones need one label. Ids beyond
/// the twelfth share the last line. Returns the pixels taken downwards.
pub(crate) fn lanes(svg: &mut Svg, area: Area, axis: &Axis, faults: &[FaultFindings]) -> f64 {
    let lanes = by_id(axis, faults);
    for (index, (name, members)) in lanes.iter().enumerate() {
        let top = area.top + index as f64 * LANE_PX;
        let at = (area.left - 8.0, top + 10.0);
        svg.text_within(at, Anchor::End, "tick", name, area.left - 14.0);
        let windows = members
            .iter()
            .filter_map(|fault| window_pixels(axis, fault));
        let mut path = Path::default();
        for (from, to) in thin::windows(windows, 2.0) {
            path.rect(Area {
                left: from,
                top: top + 3.0,
                width: to - from,
                height: 7.0,
            });
        }
        svg.path(&path, "mark");
    }
    lanes.len() as f64 * LANE_PX
}

/// Fault windows by id, those of many ids together, without those outside the axis.
pub(crate) fn by_id<'a>(
    axis: &Axis,
    faults: &'a [FaultFindings],
) -> Vec<(String, Vec<&'a FaultFindings>)> {
    let mut lanes: Vec<(String, Vec<&FaultFindings>)> = Vec::new();
    for fault in faults {
        if window_pixels(axis, fault).is_none() {
            continue;
        }
        match lanes.iter_mut().find(|(id, _)| *id == fault.id) {
            Some((_, members)) => members.push(fault),
            None => lanes.push((fault.id.clone(), vec![fault])),
        }
    }
    if lanes.len() > MOST_LANES {
        let rest = lanes.split_off(MOST_LANES - 1);
        let name = format!("{} other faults", rest.len());
        let members = rest.into_iter().flat_map(|(_, members)| members);
        lanes.push((name, members.collect()));
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::axis::Quantity;

    fn fault(id: &str, from_us: u64, to_us: u64) -> FaultFindings {
        FaultFindings {
            id: id.to_owned(),
            from_us,
            to_us,
            ..FaultFindings::default()
        }
    }

    #[test]
    fn windows_of_an_id_share_a_lane_and_lanes_are_few() {
        let axis = Axis::fixed(Quantity::Time, 0.0, 100.0, (0.0, 100.0));
        let churn = (0..50).map(|at| fault("spot", at, at + 1));
        let others = (0..30).map(|n| fault(&format!("f{n}"), 2, 3));
        let faults: Vec<FaultFindings> = churn.chain(others).collect();
        let lanes = by_id(&axis, &faults);
        assert_eq!(lanes.len(), MOST_LANES);
        assert_eq!((lanes[0].0.as_str(), lanes[0].1.len()), ("spot", 50));
        assert_eq!(lanes[11].0, "20 other faults");
    }

    #[test]
    fn a_window_outside_the_axis_is_not_drawn() {
        let axis = Axis::fixed(Quantity::Time, 50.0, 100.0, (0.0, 100.0));
        assert_eq!(window_pixels(&axis, &fault("a", 10, 20)), None);
        assert_eq!(window_pixels(&axis, &fault("a", 10, 75)), Some((0.0, 50.0)));
        assert_eq!(
            window_pixels(&axis, &fault("a", 10, 200)),
            Some((0.0, 100.0))
        );
    }
}
