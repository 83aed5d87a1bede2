//! Several runs beside each other: one text table, one CSV, one SVG.

use super::{
    Findings, UtilisationPoint,
    axis::{Axis, Quantity, Range, frame},
    csv,
    figure::{Entry, FULL_PX, Swatch, legend, series},
    html::FIGURE_STYLE,
    loss::{Cost, curve, loss_title},
    rounds::Percentiles,
    svg::{Anchor, Area, Svg},
    units, utilisation,
};

/// What comes of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// A table for the terminal, one line a run.
    pub table: String,
    /// The same numbers in full.
    pub csv: String,
    /// Losses over tokens, durations of rounds, and utilisation of all runs, as one picture.
    pub svg: String,
}

/// Sets runs beside each other, in the order given.
pub fn compare(runs: &[(String, Findings)]) -> Comparison {
    Comparison {
        table: table(runs),
        csv: numbers(runs),
        svg: picture(runs),
    }
}

/// Numbers of one run that are compared.
struct Line {
    percentiles: Option<Percentiles>,
    loss: Option<f64>,
    each_bytes: f64,
    computing: f64,
    recovery: Option<u64>,
}

impl Line {
    fn of(findings: &Findings) -> Self {
        let members = findings.members.len().max(1) as f64;
        let bytes = findings
            .members
            .iter()
            .flat_map(|member| member.bytes.values());
        let sent: f64 = bytes.map(|&count| count as f64).sum();
        let computing: f64 = findings
            .members
            .iter()
            .map(|member| member.utilisation)
            .sum();
        Self {
            percentiles: Percentiles::of(&findings.rounds),
            loss: findings.losses.last().map(|point| point.loss),
            each_bytes: sent / members / findings.rounds_done.max(1) as f64,
            computing: computing / members,
            recovery: findings
                .faults
                .iter()
                .filter_map(|fault| fault.recovery_rounds)
                .max(),
        }
    }
}

fn table(runs: &[(String, Findings)]) -> String {
    let head = [
        "run",
        "verdict",
        "rounds",
        "p50",
        "p95",
        "p99",
        "loss",
        "state",
        "bytes*",
        "computing",
        "recovery",
    ];
    let dash = || "–".to_owned();
    let row = |(name, findings): &(String, Findings)| {
        let line = Line::of(findings);
        let us = |of: fn(Percentiles) -> u64| {
            let us = line.percentiles.map(of);
            us.map_or_else(dash, |us| units::duration(us as f64))
        };
        [
            shortened(name, 26),
            shortened(&findings.verdict, 11),
            units::grouped(findings.rounds_done),
            us(|of| of.p50_us),
            us(|of| of.p95_us),
            us(|of| of.p99_us),
            line.loss.map_or_else(dash, units::number),
            findings.divergence().to_owned(),
            units::bytes(line.each_bytes.round()),
            units::percent(line.computing),
            line.recovery
                .map_or_else(dash, |rounds| format!("≤ {rounds}")),
        ]
    };
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(runs.iter().map(row));
    // A column that says of nobody that it diverged says nothing.
    let some = runs.iter().any(|(_, findings)| findings.diverged());
    let shown = (0..head.len()).filter(|column| some || head[*column] != "state");
    let columns: Vec<usize> = shown.collect();
    let width = |column: &usize| {
        let cells = rows.iter().map(|row| row[*column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let aligned = |cells: &[String; 11]| {
        let cell = |(column, width): (&usize, &usize)| match column {
            0 | 1 => format!("{:<width$}", cells[*column]),
            _ => format!("{:>width$}", cells[*column]),
        };
        let cells: Vec<String> = columns.iter().zip(&widths).map(cell).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(aligned).collect();
    lines.push("* sent a member a round; recovery: most rounds after any fault".to_owned());
    lines.join("\n") + "\n"
}

fn shortened(text: &str, columns: usize) -> String {
    let text = units::plain(text);
    if text.chars().count() <= columns {
        return text;
    }
    let kept: String = text.chars().take(columns - 1).collect();
    kept + "…"
}

/// Columns of a run.
pub(crate) const HEAD: [&str; 19] = [
    "run",
    "scenario",
    "seed",
    "digest",
    "verdict",
    "violated",
    "codec",
    "members",
    "rounds",
    "p50_us",
    "p95_us",
    "p99_us",
    "final_loss",
    "diverged",
    "bytes_per_member_round",
    "utilisation",
    "worst_recovery_rounds",
    "sim_us",
    "messages",
];

fn numbers(runs: &[(String, Findings)]) -> String {
    csv::table(
        &HEAD,
        runs.iter().map(|(name, findings)| cells(name, findings)),
    )
}

/// The cells of a run, under [`HEAD`].
pub(crate) fn cells(name: &str, findings: &Findings) -> Vec<String> {
    let line = Line::of(findings);
    let text = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
    let violated = findings.violations.first();
    vec![
        name.to_owned(),
        findings.name.clone(),
        findings.seed.to_string(),
        findings.digest.clone(),
        findings.verdict.clone(),
        violated.map_or(String::new(), |violation| violation.invariant.clone()),
        findings.codec.clone(),
        findings.members.len().to_string(),
        findings.rounds_done.to_string(),
        text(line.percentiles.map(|of| of.p50_us)),
        text(line.percentiles.map(|of| of.p95_us)),
        text(line.percentiles.map(|of| of.p99_us)),
        line.loss.map_or(String::new(), |loss| loss.to_string()),
        findings.diverged().to_string(),
        line.each_bytes.to_string(),
        line.computing.to_string(),
        text(line.recovery),
        findings.sim_us.to_string(),
        findings.messages.to_string(),
    ]
}

/// Most runs in a picture: eight colours, each twice.
const MOST_RUNS: usize = 16;

fn picture(runs: &[(String, Findings)]) -> String {
    let shown = &runs[..runs.len().min(MOST_RUNS)];
    let mut svg = Svg::new(FULL_PX);
    let entry = |(index, (name, _)): (usize, &(String, Findings))| {
        Entry::new(Swatch::Line, series(index), name.clone())
    };
    let entries: Vec<Entry> = shown.iter().enumerate().map(entry).collect();
    let mut top = 14.0;
    top += legend(&mut svg, (62.0, top), &entries);
    if runs.len() > MOST_RUNS {
        let text = format!("The first {MOST_RUNS} of {} runs are drawn.", runs.len());
        svg.text((62.0, top + 4.0), Anchor::Start, "axis", &text);
        top += 16.0;
    }
    top = losses(&mut svg, shown, top + 10.0);
    top = durations(&mut svg, shown, top + 10.0);
    top = all_utilisation(&mut svg, shown, top + 10.0);
    svg.finish_alone(top, "Runs compared", FIGURE_STYLE)
}

/// A heading; returns where what follows begins.
fn heading(svg: &mut Svg, top: f64, text: &str) -> f64 {
    svg.text((4.0, top + 14.0), Anchor::Start, "head", text);
    top + 22.0
}

fn absent(svg: &mut Svg, top: f64, why: &str) -> f64 {
    svg.text((62.0, top + 16.0), Anchor::Start, "axis", why);
    top + 30.0
}

fn losses(svg: &mut Svg, runs: &[(String, Findings)], top: f64) -> f64 {
    let top = heading(svg, top, "Loss");
    let area = Area {
        left: 62.0,
        top: top + 24.0,
        width: FULL_PX - 86.0,
        height: 260.0,
    };
    let points = || runs.iter().flat_map(|(_, findings)| &findings.losses);
    let tokens = points().map(|point| Cost::Tokens.of(point));
    let x = Axis::over(tokens, Cost::Tokens.quantity(), Range::Exact, area.across());
    let values = points().map(|point| point.loss);
    let y = Axis::over(values, Quantity::Number, Range::LogIfWide, area.upwards());
    let (Some(x), Some(y)) = (x, y) else {
        return absent(svg, top, "No run has a loss that is a number.");
    };
    let mode = runs
        .first()
        .map_or("", |(_, findings)| findings.mode.as_str());
    let one_mode = runs.iter().all(|(_, findings)| findings.mode == mode);
    let title = loss_title(if one_mode { mode } else { "" });
    frame(svg, area, (&x, Cost::Tokens.title()), (&y, title));
    for (index, (_, findings)) in runs.iter().enumerate() {
        let class = format!("line {}", series(index));
        curve(svg, &findings.losses, Cost::Tokens, (&x, &y), &class);
    }
    area.bottom() + 42.0
}

fn durations(svg: &mut Svg, runs: &[(String, Findings)], top: f64) -> f64 {
    let top = heading(svg, top, "Duration of rounds: p50, p95, p99");
    let of = |findings: &Findings| {
        let of = Percentiles::of(&findings.rounds)?;
        Some([of.p50_us, of.p95_us, of.p99_us])
    };
    let area = Area {
        left: 62.0,
        top: top + 24.0,
        width: FULL_PX - 86.0,
        height: 180.0,
    };
    let all = runs
        .iter()
        .filter_map(|(_, findings)| of(findings))
        .flatten();
    let y = Axis::over(
        all.map(|us| us as f64),
        Quantity::Time,
        Range::FromZero,
        area.upwards(),
    );
    let Some(y) = y else {
        return absent(svg, top, "No run certified a round.");
    };
    // Groups have names, not numbers: the horizontal axis is drawn by hand.
    for (value, label) in y.ticks(5) {
        let at = y.at(value);
        svg.line((area.left, at), (area.right(), at), "grid");
        svg.text((area.left - 7.0, at + 4.0), Anchor::End, "tick", &label);
    }
    let unit = format!("duration of a round ({})", y.unit());
    svg.text((4.0, area.top - 10.0), Anchor::Start, "axis", &unit);
    let group = area.width / 3.0;
    let bar = (group - 40.0) / runs.len().max(1) as f64;
    for (place, name) in ["p50", "p95", "p99"].into_iter().enumerate() {
        let left = area.left + place as f64 * group;
        let middle = (left + group / 2.0, area.bottom() + 16.0);
        svg.text(middle, Anchor::Middle, "tick", name);
        for (index, (_, findings)) in runs.iter().enumerate() {
            let Some(percentiles) = of(findings) else {
                continue;
            };
            let height = area.bottom() - y.at(percentiles[place] as f64);
            let rect = Area {
                left: left + 20.0 + index as f64 * bar + bar * 0.1,
                top: area.bottom() - height,
                width: bar * 0.8,
                height,
            };
            svg.rect(rect, &format!("area {}", series(index)));
        }
    }
    svg.line(
        (area.left, area.bottom()),
        (area.right(), area.bottom()),
        "rule",
    );
    area.bottom() + 26.0
}

fn all_utilisation(svg: &mut Svg, runs: &[(String, Findings)], top: f64) -> f64 {
    let top = heading(svg, top, "Utilisation against bandwidth");
    // Lines are one a codec and overlap; of several runs, each has its own.
    let with_points = runs
        .iter()
        .filter(|(_, findings)| !findings.utilisation.is_empty());
    let several = with_points.clone().count() > 1;
    let named = |(name, findings): &(String, Findings)| {
        let rename = |point: &UtilisationPoint| {
            let mut point = point.clone();
            if several {
                point.codec = format!("{name}: {}", point.codec);
            }
            point
        };
        findings.utilisation.iter().map(rename).collect::<Vec<_>>()
    };
    let points: Vec<UtilisationPoint> = with_points.flat_map(named).collect();
    let drawn = utilisation::draw(svg, &utilisation::lines(&points), top);
    drawn.unwrap_or_else(|| absent(svg, top, "No run measured utilisation against bandwidth."))
}
