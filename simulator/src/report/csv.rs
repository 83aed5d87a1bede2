//! The findings as tables, for spreadsheets and notebooks. Columns carry their unit.
//!
//! Quoting is that of RFC 4180. Names come from scenario files: a cell that a spreadsheet would
//! take for a formula is preceded by an apostrophe.

use super::{Findings, LossPoint};

/// All tables: file name and content.
pub fn tables(findings: &Findings) -> [(&'static str, String); 5] {
    [
        ("members.csv", members(findings)),
        ("rounds.csv", rounds(findings)),
        ("losses.csv", losses(findings)),
        ("faults.csv", faults(findings)),
        ("utilisation.csv", utilisation(findings)),
    ]
}

/// One table: rows of cells, each as text.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = head.join(",");
    out.push('\n');
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

fn quoted(cell: &str) -> String {
    let formula =
        cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

fn members(findings: &Findings) -> String {
    let mut kinds: Vec<&str> = (findings.members.iter())
        .flat_map(|member| member.bytes.keys().map(String::as_str))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let of_kinds: Vec<String> = kinds
        .iter()
        .map(|kind| quoted(&format!("{kind}_bytes")))
        .collect();
    let fixed = [
        "position",
        "name",
        "group",
        "lies",
        "utilisation",
        "training_us",
        "encoding_us",
        "sending_us",
        "waiting_us",
        "idle_under_faults_us",
        "catching_up_us",
        "down_us",
        "counted_rounds",
        "memory_high_bytes",
        "queue_high",
    ];
    let head: Vec<&str> = fixed
        .into_iter()
        .chain(of_kinds.iter().map(String::as_str))
        .collect();
    let row = |(position, member): (usize, &super::MemberFindings)| {
        let mut row = vec![
            position.to_string(),
            member.name.clone(),
            member.group.clone(),
            member.lies.clone().unwrap_or_default(),
            member.utilisation.to_string(),
            member.spent.training_us.to_string(),
            member.spent.encoding_us.to_string(),
            member.spent.sending_us.to_string(),
            member.spent.waiting_us.to_string(),
            member.spent.idle_faults_us.to_string(),
            member.spent.catching_up_us.to_string(),
            member.spent.down_us.to_string(),
            member.counted.to_string(),
            member.memory_high.to_string(),
            member.queue_high.to_string(),
        ];
        let bytes = |kind: &&str| member.bytes.get(*kind).copied().unwrap_or(0).to_string();
        row.extend(kinds.iter().map(bytes));
        row
    };
    table(&head, findings.members.iter().enumerate().map(row))
}

fn rounds(findings: &Findings) -> String {
    let head = [
        "round",
        "begun_us",
        "ended_us",
        "included",
        "members",
        "straggler",
        "control_bytes",
        "bulk_bytes",
    ];
    table(
        &head,
        findings.rounds.iter().map(|round| {
            let straggler = round
                .straggler
                .map(|position| super::figure::member_name(findings, position));
            vec![
                round.round.to_string(),
                round.begun_us.to_string(),
                round.ended_us.to_string(),
                round.included.to_string(),
                round.members.to_string(),
                straggler.unwrap_or_default(),
                round.control_bytes.to_string(),
                round.bulk_bytes.to_string(),
            ]
        }),
    )
}

fn losses(findings: &Findings) -> String {
    let head = ["curve", "round", "sim_us", "tokens", "bytes", "loss"];
    let row = |curve: &str, point: &LossPoint| {
        vec![
            curve.to_owned(),
            point.round.to_string(),
            point.sim_us.to_string(),
            point.tokens.to_string(),
            point.bytes.to_string(),
            point.loss.to_string(),
        ]
    };
    let run = findings.losses.iter().map(|point| row("run", point));
    let baseline = findings
        .baseline
        .iter()
        .enumerate()
        .flat_map(|(index, curve)| {
            let name = format!("fault-free-{}", index + 1);
            curve.iter().map(move |point| row(&name, point))
        });
    table(&head, run.chain(baseline))
}

fn faults(findings: &Findings) -> String {
    let head = [
        "id",
        "kind",
        "from_us",
        "to_us",
        "targets",
        "effect",
        "recovery_rounds",
    ];
    table(
        &head,
        findings.faults.iter().map(|fault| {
            let targets: Vec<String> = fault.targets.iter().map(u32::to_string).collect();
            let recovery = fault.recovery_rounds.map(|rounds| rounds.to_string());
            vec![
                fault.id.clone(),
                fault.kind.clone(),
                fault.from_us.to_string(),
                fault.to_us.to_string(),
                targets.join(" "),
                fault.effect.clone(),
                recovery.unwrap_or_default(),
            ]
        }),
    )
}

fn utilisation(findings: &Findings) -> String {
    let head = [
        "codec",
        "overlap",
        "bandwidth_bytes_per_s",
        "measured",
        "analytic",
        "why",
    ];
    table(
        &head,
        findings.utilisation.iter().map(|point| {
            vec![
                point.codec.clone(),
                point.overlap.clone(),
                point.bandwidth.to_string(),
                point.measured.to_string(),
                point.analytic.to_string(),
                point.why.clone(),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cannot_become_columns_or_formulas() {
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"x\"\n"), "\"say \"\"x\"\"\n\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted("-0.5"), "-0.5");
        assert_eq!(quoted("-cmd|x"), "'-cmd|x");
    }

    #[test]
    fn every_row_has_as_many_cells_as_the_head() {
        let mut findings = Findings {
            members: vec![super::super::MemberFindings::default(); 2],
            rounds: vec![super::super::RoundFindings::default()],
            faults: vec![super::super::FaultFindings::default()],
            utilisation: vec![super::super::UtilisationPoint::default()],
            ..Findings::default()
        };
        findings.members[1].bytes.insert("vote".to_owned(), 7);
        for (name, content) in tables(&findings) {
            let columns: Vec<usize> = content
                .lines()
                .map(|line| line.split(',').count())
                .collect();
            assert!(
                columns.windows(2).all(|pair| pair[0] == pair[1]),
                "{name}: {content}"
            );
        }
        assert!(
            tables(&findings)[0]
                .1
                .ends_with("1,,,,0,0,0,0,0,0,0,0,0,0,0,7\n")
        );
    }
}
