//! The runs of a sweep beside each other.

use super::{Findings, compare, csv};

/// One run of a sweep: its name, its members' rate in bytes a second, and what came of it.
pub type Point<'a> = (String, u64, &'a Findings);

/// A row a run: what a comparison tells of each, and the rate of its members.
pub fn table(points: &[Point<'_>]) -> String {
    let head: Vec<&str> = compare::HEAD
        .into_iter()
        .chain(["bandwidth_bytes_per_s", "analytic_utilisation"])
        .collect();
    let row = |(name, rate, findings): &Point<'_>| {
        let mut cells = compare::cells(name, findings);
        let analytic = findings.utilisation.first();
        cells.push(rate.to_string());
        cells.push(analytic.map_or(String::new(), |point| point.analytic.to_string()));
        cells
    };
    csv::table(&head, points.iter().map(row))
}

/// Every loss that was measured, a row a run and round.
pub fn losses(points: &[Point<'_>]) -> String {
    let head = [
        "run",
        "codec",
        "bandwidth_bytes_per_s",
        "round",
        "sim_us",
        "tokens",
        "bytes",
        "loss",
    ];
    let rows = points.iter().flat_map(|(name, rate, findings)| {
        let row = move |point: &super::LossPoint| {
            vec![
                name.clone(),
                findings.codec.clone(),
                rate.to_string(),
                point.round.to_string(),
                point.sim_us.to_string(),
                point.tokens.to_string(),
                point.bytes.to_string(),
                point.loss.to_string(),
            ]
        };
        findings.losses.iter().map(row)
    });
    csv::table(&head, rows)
}
