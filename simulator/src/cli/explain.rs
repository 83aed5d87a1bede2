//! `archipel-sim explain`: who broke what, and what led to it.

use super::run::{self, Manner};
use crate::{
    report::{Findings, Violation, json, units},
    scenario::Scenario,
    session::{folder, trace},
};
use archipel_protocol::charter::FaultModel;
use std::{collections::BTreeSet, path::PathBuf};

/// Most members, faults and violations that are named.
const MOST: usize = 12;

/// Which folder.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The folder that a run left.
    dir: PathBuf,
}

pub(super) fn command(args: &Args) -> anyhow::Result<u8> {
    let findings = json::read(&args.dir)?;
    let Some(violation) = findings.violations.first() else {
        super::say(format_args!(
            "{}: nothing to explain, no invariant fell",
            findings.verdict
        ));
        return Ok(0);
    };
    let (scenario, schedule) = folder::read(&args.dir)?;
    let path = args.dir.join("trace.jsonl.zst");
    let lines = match path.is_file() {
        true => trace::read(&path)?,
        false => {
            let manner = Manner {
                quiet: false,
                ..Manner::quiet()
            };
            let (_, lines) = run::traced(&scenario, &schedule, &manner, trace::LINES)?;
            trace::write(&path, &lines)?;
            lines
        }
    };
    super::say(headline(violation, findings.seed));
    super::say("\nWho broke it:");
    culprits(&findings, &violation.invariant).for_each(super::say);
    cast(&findings, &scenario).into_iter().for_each(super::say);
    super::say(
        "\nWhat led to it, through the messages that reached the member; the newest last:\n",
    );
    for line in trace::slice(&lines, violation) {
        super::say(format_args!("  {line}"));
    }
    if !findings.minimal.is_empty() {
        super::say("\nThe faults that are needed for it:");
        findings
            .minimal
            .iter()
            .for_each(|line| super::say(format_args!("  {line}")));
    }
    Ok(0)
}

fn headline(violation: &Violation, seed: u64) -> String {
    let Violation {
        invariant,
        at_us,
        round,
        text,
        ..
    } = violation;
    let clock = units::clock(*at_us);
    let meaning = crate::scenario::invariant_meaning(invariant);
    format!(
        "{invariant} seed={seed} at {clock} round {round}: {}\n{invariant} says: {meaning}",
        units::plain(text)
    )
}

/// A line for each member that broke an invariant, by what it did first.
fn culprits<'a>(findings: &'a Findings, invariant: &'a str) -> impl Iterator<Item = String> + 'a {
    let mut seen = BTreeSet::new();
    let of_it = findings.violations.iter();
    let first =
        of_it.filter(move |other| other.invariant == invariant && seen.insert(other.member));
    first
        .take(MOST)
        .map(|violation| culprit(findings, violation))
}

fn culprit(findings: &Findings, violation: &Violation) -> String {
    let (clock, text) = (units::clock(violation.at_us), units::plain(&violation.text));
    let Some(position) = violation.member else {
        return format!(
            "  nobody alone: {text} (at {clock}, round {})",
            violation.round
        );
    };
    let role = role(findings, position, violation.at_us);
    format!(
        "  {}, {role}: {text} (at {clock}, round {})",
        name(findings, position),
        violation.round
    )
}

fn name(findings: &Findings, position: u32) -> String {
    let members = findings.members.len().max(1);
    let (federation, place) = (position as usize / members, position as usize % members);
    let member = findings.members.get(place);
    let name = member.map_or_else(|| format!("member {position}"), |m| m.name.clone());
    match federation {
        0 => name,
        other => format!("{name} of federation {}", other + 1),
    }
}

/// Whether a member lies, and what befell it up to a moment.
fn role(findings: &Findings, position: u32, at_us: u64) -> String {
    let members = findings.members.len().max(1);
    let member = findings.members.get(position as usize % members);
    let lie = member.and_then(|member| member.lies.as_ref());
    let role = match lie {
        Some(lie) => format!("a liar ({lie})"),
        None => "honest".to_owned(),
    };
    let befell = |fault: &&crate::report::FaultFindings| {
        let began = fault.from_us <= at_us && fault.kind != "byzantine";
        began && fault.targets.contains(&position)
    };
    let mut latest: Vec<_> = findings.faults.iter().filter(befell).collect();
    latest.sort_by_key(|fault| std::cmp::Reverse(fault.from_us));
    let Some(fault) = latest.first() else {
        return role;
    };
    let when = match fault.to_us >= at_us {
        true => format!("since {}", units::clock(fault.from_us)),
        false => format!("until {}", units::clock(fault.to_us)),
    };
    let kind = match fault.kind.as_str() {
        "" => String::new(),
        kind => format!(" ({kind})"),
    };
    format!("{role}, under fault {}{kind} {when}", fault.id)
}

/// Who lies in the run, and how many lies the federation was to bear.
fn cast(findings: &Findings, scenario: &Scenario) -> Vec<String> {
    let liars = findings.members.iter();
    let since = |position: usize| {
        let lie = |fault: &&crate::report::FaultFindings| {
            fault.kind == "byzantine" && fault.targets.contains(&(position as u32))
        };
        let first = findings
            .faults
            .iter()
            .filter(lie)
            .map(|lie| lie.from_us)
            .min();
        first.map_or(String::new(), |us| {
            format!(", from {} on", units::clock(us))
        })
    };
    let liars: Vec<String> = liars
        .enumerate()
        .filter_map(|(position, member)| {
            let lie = member.lies.as_ref()?;
            Some(format!("{}: {lie}{}", member.name, since(position)))
        })
        .collect();
    let all = scenario.members.len();
    let borne = match scenario.fault_model {
        FaultModel::Byzantine => scenario.fault_model.faults(all),
        FaultModel::Crash => 0,
    };
    let bears = match borne {
        0 => "this federation bears none".to_owned(),
        borne => format!("this federation bears {borne}"),
    };
    let said = match liars.len() {
        0 => return vec!["\nNobody lies in this run.".to_owned()],
        found if found > borne => {
            format!("{found} of {all} lie and {bears}: nothing is promised of such a run")
        }
        found => format!("{found} of {all} lie, {bears}, and invariants judge the others alone"),
    };
    let mut lines = vec![format!("\nWho lies: {said}.")];
    lines.extend(liars.iter().take(MOST).map(|liar| format!("  {liar}")));
    if liars.len() > MOST {
        lines.push(format!("  and {} more", liars.len() - MOST));
    }
    lines
}
