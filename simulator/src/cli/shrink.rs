//! `archipel-sim shrink`: the smallest run that still fails the same way.

use crate::{
    fuzzing::shrink::{self, Shrunk},
    scenario::Scenario,
    schedule::Schedule,
    session::folder,
};
use std::{path::PathBuf, sync::Arc};

/// Which folder, and how long to look.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The folder of a run that failed.
    dir: PathBuf,
    /// Folder for the smallest run; DIR-small without it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Runs that it may take.
    #[arg(long, default_value_t = shrink::RUNS)]
    runs: u32,
}

pub(super) fn command(args: &Args) -> anyhow::Result<u8> {
    let (scenario, schedule) = folder::read(&args.dir)?;
    let (scenario, schedule) = (Arc::new(scenario), Arc::new(schedule));
    println!("before  {}", size(&scenario, &schedule));
    eprintln!("looking for a smaller one, in at most {} runs", args.runs);
    let Some(shrunk) = shrink::shrink(&scenario, &schedule, None, args.runs) else {
        println!(
            "nothing to shrink: the run of {} does not fail",
            args.dir.display()
        );
        return Ok(0);
    };
    let Shrunk { outcome, runs, .. } = &shrunk;
    println!(
        "after   {}  ({runs} runs)",
        size(&shrunk.scenario, &shrunk.schedule)
    );
    let minimal = shrunk.scenario.fault_lines(&shrunk.schedule);
    minimal.iter().for_each(|line| println!("  {line}"));
    let fault = outcome.fault().expect("what is kept fails");
    println!(
        "{} in round {}: {}",
        fault.invariant, fault.round, fault.text
    );
    let beside = || {
        let mut name = args.dir.as_os_str().to_owned();
        name.push("-small");
        PathBuf::from(name)
    };
    let out = args.out.clone().unwrap_or_else(beside);
    let mut findings = outcome.findings.as_deref().cloned().unwrap_or_default();
    findings.scenario = shrunk.scenario.to_text(&shrunk.schedule);
    findings.minimal = minimal;
    folder::write(&out, &shrunk.scenario, &shrunk.schedule, &findings)?;
    println!("replay: archipel-sim replay {}", out.display());
    println!(
        "edit and run: archipel-sim run {} --out FOLDER",
        out.join("scenario.toml").display()
    );
    Ok(crate::fuzzing::campaign::code(&fault.invariant))
}

/// How large a run is, in words.
pub(super) fn size(scenario: &Scenario, schedule: &Schedule) -> String {
    let (windows, members) = (schedule.windows.len(), scenario.members.len());
    let rounds = scenario.stop.rounds.unwrap_or(0);
    format!("{windows} faults, {members} members, {rounds} rounds")
}
