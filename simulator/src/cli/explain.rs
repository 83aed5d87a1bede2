//! `archipel-sim explain`: what led to the failure of a run.

use super::run::{self, Manner};
use crate::{
    report::{Violation, json, units},
    session::{folder, trace},
};
use std::path::PathBuf;

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
    let path = args.dir.join("trace.jsonl.zst");
    let lines = match path.is_file() {
        true => trace::read(&path)?,
        false => {
            let (scenario, schedule) = folder::read(&args.dir)?;
            let manner = Manner::quiet();
            let (_, lines) = run::traced(&scenario, &schedule, &manner, trace::LINES)?;
            trace::write(&path, &lines)?;
            lines
        }
    };
    super::say(headline(violation, findings.seed));
    super::say("What led to it, through the messages that reached the member; the newest last:\n");
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
    format!(
        "{invariant} seed={seed} at {clock} round {round}: {}",
        units::plain(text)
    )
}
