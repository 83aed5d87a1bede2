//! `archipel-sim fuzz`: many seeds, and what failed.

use super::progress::{catch_interrupts, interrupted, target};
use super::stopwatch::Stopwatch;
use crate::{
    fuzzing::{
        Outcome,
        campaign::{Tally, campaign},
        draw::draw,
    },
    report::{Findings, Violation},
    session::folder,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// Which seeds, and where failures go.
#[derive(clap::Args)]
pub(super) struct Args {
    /// First seed and the one after the last.
    #[arg(long, default_value = "0..1000", value_parser = range)]
    seeds: Range<u64>,
    /// Threads, each with a seed of its own; the results are the same with any number.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Folder in which every run that fails leaves its own.
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// The last line of standard output is a JSON object.
    #[arg(long)]
    json: bool,
}

/// Reads `A..B`.
pub(super) fn range(text: &str) -> Result<Range<u64>, String> {
    let wanted = || format!("expected A..B with A below B, for example 0..1000, found {text:?}");
    let (from, to) = text.split_once("..").ok_or_else(wanted)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wanted());
    let (from, to) = (number(from)?, number(to)?);
    if from >= to {
        Err(wanted())
    } else {
        Ok(from..to)
    }
}

pub(super) fn command(args: &Args) -> anyhow::Result<u8> {
    catch_interrupts();
    let clock = Stopwatch::start();
    let bar =
        ProgressBar::with_draw_target(Some(args.seeds.end - args.seeds.start), target(args.json));
    let template = "{prefix} [{bar:24}] {pos}/{len} seeds · {per_sec} · {msg} · {eta} left";
    bar.set_style(ProgressStyle::with_template(template)?.progress_chars("=> "));
    bar.set_prefix("fuzz");
    let (mut failed, mut kept) = (0, Ok(()));
    let tally = campaign(
        args.seeds.clone(),
        usize::from(args.jobs),
        &mut |seed, outcome| {
            bar.inc(1);
            if let Some(fault) = outcome.fault() {
                failed += 1;
                bar.set_message(format!("{failed} failed"));
                let dir = args.out.join(format!("fuzz-{seed}"));
                bar.suspend(|| println!("{}", line(seed, fault, &dir)));
                kept = keep(seed, outcome, &dir);
            }
            kept.is_ok() && !interrupted()
        },
    );
    bar.finish_and_clear();
    kept?;
    let stopped = tally.seeds < args.seeds.end - args.seeds.start;
    let seconds = clock.elapsed_us() as f64 / 1e6;
    if !args.json {
        tell(&tally, seconds);
    }
    let code = if stopped {
        tally.code().max(9)
    } else {
        tally.code()
    };
    if args.json {
        println!("{}", object(&tally, seconds, code));
    }
    Ok(code)
}

/// One line about a run that failed.
fn line(seed: u64, fault: &Violation, dir: &Path) -> String {
    let (ms, seconds) = (fault.at_us / 1000 % 1000, fault.at_us / 1_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!(
        "FAIL {} seed={seed} at {hours:02}:{minutes:02}:{:02}.{ms:03} round {} · {} · replay: \
         archipel-sim replay {}",
        fault.invariant,
        seconds % 60,
        fault.round,
        fault.text,
        dir.display()
    )
}

fn keep(seed: u64, outcome: &Outcome, dir: &Path) -> anyhow::Result<()> {
    let (scenario, schedule) = draw(seed);
    let findings = outcome.findings.as_deref().cloned();
    let mut findings = findings.unwrap_or_else(|| Findings {
        name: scenario.name.clone(),
        seed,
        verdict: "panic".to_owned(),
        violations: outcome.violations.clone(),
        ..Findings::default()
    });
    findings.scenario = scenario.to_text(&schedule);
    Ok(folder::write(dir, &scenario, &schedule, &findings)?)
}

fn tell(tally: &Tally, seconds: f64) {
    let per_second = tally.seeds as f64 / seconds.max(1e-6);
    println!(
        "seeds       {} ({per_second:.1} a second, {} twice)",
        tally.seeds, tally.twice
    );
    println!("failed      {}", tally.failed.len());
    println!("rounds      {}", tally.rounds);
    println!("messages    {}", tally.messages);
    println!("simulated   {:.0} hours", tally.sim_us as f64 / 3.6e9);
    println!("digest      {}", tally.digest);
    println!("\nfault            runs  strikes");
    for (kind, (runs, strikes)) in &tally.faults {
        println!("{:15}{runs:>6}{strikes:>9}", kind.name());
    }
    let missing: Vec<&str> = tally.missing().iter().map(|kind| kind.name()).collect();
    if !missing.is_empty() {
        println!("never        {}", missing.join(", "));
    }
}

fn object(tally: &Tally, seconds: f64, code: u8) -> serde_json::Value {
    let faults = tally.faults.iter();
    let faults: Vec<_> = faults
        .map(|(kind, (runs, times))| json!({"kind": kind.name(), "runs": runs, "strikes": times}))
        .collect();
    json!({
        "verdict": if code == 0 { "pass" } else { "fail" },
        "exit": code,
        "seeds": tally.seeds,
        "failed": tally.failed,
        "rounds": tally.rounds,
        "messages": tally.messages,
        "digest": tally.digest,
        "seconds": seconds,
        "faults": faults,
    })
}
