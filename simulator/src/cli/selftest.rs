//! `archipel-sim selftest`: planted bugs, and what finds them.

use super::shrink::size;
use crate::{
    fuzzing::{
        selftest::{self, Found, drawn},
        shrink,
    },
    planted::PLANTED,
};
use serde_json::json;

/// How many of the bugs that were found are shrunk, and how few faults are to be left.
const SHRUNK: usize = 3;
const FEW: usize = 3;

/// How long to look.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Seeds that each bug is given.
    #[arg(long, default_value_t = selftest::SEEDS)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Threads, each with a bug of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// The last line of standard output is a JSON object.
    #[arg(long)]
    json: bool,
}

/// Exits 0 where every bug was found by an invariant of its own.
pub(super) fn command(args: &Args) -> anyhow::Result<u8> {
    std::panic::set_hook(Box::new(|_| {}));
    println!("bug                   seeds  found by   expected");
    let all = selftest::selftest(args.seeds, usize::from(args.jobs), &|found| row(found));
    let missed = all.iter().filter(|found| found.by.is_none()).count();
    let small = smallest(&all);
    println!("\n{} of {} found", all.len() - missed, all.len());
    if args.json {
        let bugs: Vec<_> = all.iter().map(object).collect();
        println!(
            "{}",
            json!({"missed": missed, "shrunk": small, "bugs": bugs})
        );
    }
    Ok(u8::from(missed > 0 || small < SHRUNK))
}

fn row(found: &Found) {
    let bug = &PLANTED[found.bug];
    let by = found.by.as_ref().map_or("-", |(_, fault)| &fault.invariant);
    let expected = bug.violates.join(" ");
    println!(
        "{:22}{:>5}  {by:9}  {expected:14} {}",
        bug.name, found.seeds, bug.mistake
    );
    if found.by.is_none() && !found.others.is_empty() {
        println!("    not counted: {}", found.others.join(" "));
    }
}

fn object(found: &Found) -> serde_json::Value {
    let bug = &PLANTED[found.bug];
    let by = found.by.as_ref();
    json!({
        "bug": bug.name,
        "mistake": bug.mistake,
        "violates": bug.violates,
        "seeds": found.seeds,
        "seed": by.map(|(seed, _)| seed),
        "by": by.map(|(_, fault)| &fault.invariant),
    })
}

/// Shrinks bugs that needed faults to be found, those with most of them first. How many came down
/// to a few.
fn smallest(all: &[Found]) -> usize {
    let mut found: Vec<(usize, usize, u64)> = all
        .iter()
        .filter_map(|found| {
            let (seed, fault) = found.by.as_ref()?;
            let faults = drawn(*seed).1.windows.len();
            (fault.invariant != "D1").then_some((faults, found.bug, *seed))
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    let mut small = 0;
    println!();
    for (_, bug, seed) in found {
        let (scenario, schedule) = drawn(seed);
        let make = Some(PLANTED[bug].make);
        if let Some(shrunk) = shrink::shrink(&scenario, &schedule, make, shrink::RUNS) {
            let before = size(&scenario, &schedule);
            let after = size(&shrunk.scenario, &shrunk.schedule);
            println!(
                "{}: {before} → {after} in {} runs",
                PLANTED[bug].name, shrunk.runs
            );
            small += usize::from(shrunk.schedule.windows.len() <= FEW);
        }
        if small == SHRUNK {
            break;
        }
    }
    small
}
