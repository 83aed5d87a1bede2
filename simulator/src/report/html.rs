//! The report as one HTML file: opens without a network, follows the reader's light or dark
//! scheme, holds neither script nor address, and forbids itself to load anything.

use super::{
    bars, figure::Figure, findings::Findings, gantt, loss, loss::Cost, rounds, rounds::Percentiles,
    svg::escape, tables, times, units, utilisation,
};
use std::fmt::Write as _;

/// Colours and shapes of figures, in reports and in files of their own.
pub(crate) const FIGURE_STYLE: &str = include_str!("style.css");
const PAGE_STYLE: &str = include_str!("page.css");

/// The report of a run.
pub fn render(findings: &Findings) -> String {
    let mut page = Page::default();
    page.head(findings);
    page.failure(findings);
    page.losses(findings);
    page.activity(findings);
    page.rounds(findings);
    page.faults(findings);
    page.traffic(findings);
    page.utilisation(findings);
    page.high_water(findings);
    page.scenario(findings);
    page.foot();
    page.out
}

/// Class and words of a verdict.
fn verdict(findings: &Findings) -> (&'static str, String) {
    let class = match findings.verdict.as_str() {
        "pass" => "is-pass",
        "fail" => "is-fail",
        _ => "is-open",
    };
    let words = match findings.violations.first() {
        Some(first) => format!("{} {}", findings.verdict, first.invariant),
        None => findings.verdict.clone(),
    };
    (class, words.to_uppercase())
}

#[derive(Default)]
struct Page {
    out: String,
}

impl Page {
    fn head(&mut self, findings: &Findings) {
        let name = escape(&findings.name);
        self.push(format_args!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; img-src data:\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{name} · archipel-sim</title>\n\
             <style>\n{FIGURE_STYLE}{PAGE_STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{name}</h1>\n"
        ));
        if !findings.claim.is_empty() {
            self.push(format_args!(
                "<p class=\"claim\">{}</p>\n",
                escape(&findings.claim)
            ));
        }
        let (class, words) = verdict(findings);
        self.push(format_args!(
            "<div class=\"verdict {class}\">{}</div>\n",
            escape(&words)
        ));
        if !findings.expected.is_empty() && findings.expected != "pass" {
            self.note(&format!("The scenario expects: {}.", findings.expected));
        }
        if !findings.off.is_empty() {
            self.push(format_args!(
                "<p class=\"off\">Checks that were switched off: {}</p>\n",
                escape(&findings.off.join(", "))
            ));
        }
        self.key_figures(findings);
    }

    fn key_figures(&mut self, findings: &Findings) {
        let members = findings.members.len() as u64;
        let sent: f64 = (findings.members.iter())
            .flat_map(|member| member.bytes.values())
            .map(|&count| count as f64)
            .sum();
        let each = sent / (members.max(1) * findings.rounds_done.max(1)) as f64;
        let computing = findings.members.iter().map(|member| member.utilisation);
        let computing = computing.sum::<f64>() / members.max(1) as f64;
        let rounds = Percentiles::of(&findings.rounds);
        let last_loss = findings.losses.last().map(|point| point.loss);
        let dash = || "–".to_owned();
        let loss_text = |loss| match findings.diverged() {
            true => format!("{}, diverged", units::number(loss)),
            false => units::number(loss),
        };
        let peak = match findings.peak_rss_bytes {
            0 => dash(),
            peak => units::bytes(peak as f64),
        };
        let rows = [
            ("seed", findings.seed.to_string()),
            ("mode", findings.mode.clone()),
            ("codec", findings.codec.clone()),
            ("members", units::grouped(members)),
            ("rounds certified", units::grouped(findings.rounds_done)),
            ("final loss", last_loss.map_or_else(dash, loss_text)),
            (
                "median round",
                rounds.map_or_else(dash, |of| units::duration(of.p50_us as f64)),
            ),
            ("sent a member a round", units::bytes(each)),
            ("time up spent training", units::percent(computing)),
            ("messages", units::grouped(findings.messages)),
            ("simulated time", units::duration(findings.sim_us as f64)),
            ("real time", units::duration(findings.wall_us as f64)),
            ("peak memory", peak),
        ];
        self.push(format_args!("<dl>\n"));
        for (name, value) in rows {
            let value = escape(&value);
            self.push(format_args!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"));
        }
        self.push(format_args!(
            "<div class=\"wide\"><dt>digest of all events</dt><dd><code>{}</code></dd></div>\n\
             </dl>\n",
            escape(&findings.digest)
        ));
    }

    fn failure(&mut self, findings: &Findings) {
        if findings.violations.is_empty() && findings.minimal.is_empty() {
            return;
        }
        self.heading("What was violated");
        self.push(format_args!("{}", tables::violations(findings)));
        if !findings.minimal.is_empty() {
            self.note("The smallest schedule that still shows it:");
            self.push(format_args!(
                "{}",
                tables::lines(&findings.minimal, "schedule")
            ));
        }
        if !findings.slice.is_empty() {
            self.note("The events that led to it, the last one being the violation:");
            self.push(format_args!("{}", tables::lines(&findings.slice, "trace")));
        }
    }

    fn losses(&mut self, findings: &Findings) {
        self.heading("Loss");
        self.figure(loss::loss(findings, Cost::Time, super::figure::FULL_PX));
        if findings.losses.is_empty() {
            return;
        }
        self.pair([Cost::Tokens, Cost::Bytes].map(|cost| {
            let mut figure = loss::loss(findings, cost, super::figure::HALF_PX);
            // The figure above says the same.
            figure.notes.retain(|_| figure.svg.is_empty());
            figure
        }));
    }

    fn activity(&mut self, findings: &Findings) {
        self.heading("What each member did");
        self.figure(gantt::whole(findings));
        let times = times::sentence(findings);
        if !times.is_empty() {
            self.note(&format!("Of the members' time besides training: {times}."));
        }
        if let Some(close_up) = gantt::close_up(findings) {
            self.note("A part of it in single spans:");
            self.figure(close_up);
        }
    }

    fn rounds(&mut self, findings: &Findings) {
        self.heading("Rounds");
        self.figure(rounds::durations(findings));
        self.push(format_args!("{}", tables::stragglers(findings)));
    }

    fn faults(&mut self, findings: &Findings) {
        self.heading("Faults");
        self.push(format_args!("{}", tables::faults(findings)));
    }

    fn traffic(&mut self, findings: &Findings) {
        self.heading("Bytes a member a round");
        self.pair([bars::traffic(findings), bars::control_traffic(findings)]);
    }

    fn utilisation(&mut self, findings: &Findings) {
        self.heading("Utilisation against bandwidth");
        self.figure(utilisation::utilisation(findings));
    }

    fn high_water(&mut self, findings: &Findings) {
        self.heading("High-water marks");
        self.pair([bars::memory(findings), bars::queues(findings)]);
    }

    /// The scenario's file and, folded up, the same with all that it does not say.
    fn scenario(&mut self, findings: &Findings) {
        let files = [
            (
                &findings.scenario,
                "scenario.toml, which can be edited and run again",
            ),
            (
                &findings.resolved,
                "The same with every default filled in and every draw made",
            ),
        ];
        let given = files.into_iter().filter(|(text, _)| !text.is_empty());
        if given.clone().next().is_none() {
            return;
        }
        self.heading("Scenario");
        for (text, title) in given {
            // Escaping makes one line of a text.
            let lines: Vec<String> = text.lines().map(escape).collect();
            self.push(format_args!(
                "<details><summary>{title}</summary>\n<pre>{}</pre>\n</details>\n",
                lines.join("\n").trim_end()
            ));
        }
    }

    fn foot(&mut self) {
        self.push(format_args!(
            "<footer>Written by archipel-sim. This folder is enough to run it again: \
             <code>archipel-sim replay FOLDER</code> gives the same digest, <code>archipel-sim run \
             FOLDER/scenario.toml</code> plays what you change in it. All numbers are in \
             report.json and the CSV files beside this one.</footer>\n</main>\n</body>\n</html>\n"
        ));
    }

    fn heading(&mut self, title: &str) {
        self.push(format_args!("<h2>{title}</h2>\n"));
    }

    fn note(&mut self, text: &str) {
        self.push(format_args!("<p class=\"note\">{}</p>\n", escape(text)));
    }

    fn pair(&mut self, figures: [Figure; 2]) {
        self.push(format_args!("<div class=\"pair\">\n"));
        figures.into_iter().for_each(|figure| self.figure(figure));
        self.push(format_args!("</div>\n"));
    }

    fn figure(&mut self, figure: Figure) {
        if figure.svg.is_empty() {
            let why = escape(&figure.notes.join(" "));
            self.push(format_args!("<p class=\"empty\">{why}</p>\n"));
            return;
        }
        self.push(format_args!("<figure>\n{}", figure.svg));
        for note in &figure.notes {
            self.push(format_args!("<figcaption>{}</figcaption>\n", escape(note)));
        }
        self.push(format_args!("</figure>\n"));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.out
            .write_fmt(text)
            .expect("writing into a string never fails");
    }
}
