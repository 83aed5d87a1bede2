//! `archipel-sim run`: one scenario, from its file to its verdict.

use super::{
    progress::{self, Progress},
    stopwatch::peak_rss_bytes,
};
use crate::{
    report::{self, Findings, summary},
    scenario::{self, Scenario},
    schedule::{Schedule, expand},
    session::{
        self, Options, Played, Verdict,
        trace::{self, Line, Tracer},
    },
    world::{BuildError, World},
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

/// Lines of a trace that was asked for.
const TRACE_LINES: usize = 1_000_000;

/// Which scenario, and how.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A scenario file, or the name of one that is built in.
    scenario: String,
    /// Everything random follows from it, in place of the scenario's own.
    #[arg(long)]
    seed: Option<u64>,
    /// Folder in which the run leaves its own, NAME-SEED.
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Leaves a trace of the last million lines, even where nothing fails.
    #[arg(long)]
    trace: bool,
    #[command(flatten)]
    manner: Manner,
}

/// How runs are played and told.
#[derive(Clone, clap::Args)]
pub(super) struct Manner {
    /// The last line of standard output is a JSON object.
    #[arg(long)]
    pub json: bool,
    /// Threads that a language model trains on, and that the runs of a band or a sweep are played
    /// on; the result is the same with any number. As many as there are cores unless given.
    #[arg(long, default_value_t = cores(), value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Kept in the record of the run: invariants see every event with or without it.
    #[arg(long)]
    pub paranoid: bool,
    /// No progress bar, and no summary.
    #[arg(long)]
    pub quiet: bool,
}

/// Cores that this process may use, 256 at most.
pub(super) fn cores() -> u16 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    u16::try_from(cores).unwrap_or(u16::MAX).clamp(1, 256)
}

impl Manner {
    /// Says nothing.
    pub fn quiet() -> Self {
        Self {
            json: false,
            threads: 1,
            paranoid: false,
            quiet: true,
        }
    }
}

pub(super) fn command(args: &Args) -> anyhow::Result<u8> {
    let (mut scenario, mut text) = named(&args.scenario)?;
    if let Some(seed) = args.seed {
        scenario.seed = seed;
        text = scenario::with_seed(&text, seed);
    }
    scenario.check.paranoid |= args.manner.paranoid;
    let schedule = expand(&scenario, scenario.seed);
    let out = args
        .out
        .join(format!("{}-{}", scenario.name, scenario.seed));
    progress::catch_interrupts();
    session::folder::begin(&out, &scenario, &schedule, &text)?;
    let bar = bar(&scenario, &args.manner);
    let mut played = play(&bar, &scenario, &schedule, &args.manner)?;
    played.findings.scenario = text;
    played.findings.resolved = scenario.to_text(&schedule);
    let failed = !played.findings.violations.is_empty();
    // They go side by side: each has one thread.
    let alone = Manner {
        threads: 1,
        ..args.manner.clone()
    };
    let player = |what: &str, scenario: &Scenario, schedule: &Schedule| {
        bar.doing(&format!("{}, {what}", scenario.name));
        play(&bar, scenario, schedule, &alone)
    };
    let threads = usize::from(args.manner.threads);
    session::compared(&scenario, &mut played, threads, &player)?;
    finish(&bar, &mut played);
    drop(bar);
    let most = match (args.trace, failed) {
        (true, _) => TRACE_LINES,
        (false, true) => trace::LINES,
        (false, false) => 0,
    };
    traces(
        &args.manner,
        (&out, most),
        (&scenario, &schedule),
        &mut played,
    )?;
    report::folder::write(&out, &played.findings)?;
    session::folder::write_sweep(&out, &played.points)?;
    Ok(tell(&played, &out, &args.manner))
}

/// Leaves a trace of so many lines by running again, and the slice of it that led to a failure.
fn traces(
    manner: &Manner,
    (out, most): (&Path, usize),
    (scenario, schedule): (&Scenario, &Schedule),
    played: &mut Played,
) -> anyhow::Result<()> {
    let path = out.join("trace.jsonl.zst");
    if most == 0 {
        return match path.exists() {
            true => Ok(fs::remove_file(&path)?),
            false => Ok(()),
        };
    }
    let (again, lines) = traced(scenario, schedule, manner, most)?;
    trace::write(&path, &lines)?;
    if let Some(first) = played.findings.violations.first() {
        played.findings.slice = trace::slice(&lines, first);
    }
    let whole = again.ending.is_some() && again.ending == played.ending;
    if whole && again.digest != played.digest {
        played.verdict = Verdict::Nondeterministic;
        played.findings.verdict = played.verdict.word().to_owned();
    }
    Ok(())
}

/// The scenario of a file, or of a pack, and its text.
fn named(name: &str) -> anyhow::Result<(Scenario, String)> {
    let path = Path::new(name);
    match scenario::pack_named(name) {
        Some(pack) if !path.is_file() => Ok((pack.scenario(), pack.text.to_owned())),
        _ => Ok(scenario::load_with_text(path)?),
    }
}

/// Plays with a progress bar, a budget, and Ctrl-C.
pub(super) fn watched(
    scenario: &Scenario,
    schedule: &Schedule,
    manner: &Manner,
) -> anyhow::Result<Played> {
    progress::catch_interrupts();
    let bar = bar(scenario, manner);
    let mut played = play(&bar, scenario, schedule, manner)?;
    finish(&bar, &mut played);
    Ok(played)
}

fn bar(scenario: &Scenario, manner: &Manner) -> Progress {
    let bar = Progress::new(scenario.stop.rounds, scenario.stop.wall_us, manner.quiet);
    bar.doing(&scenario.name);
    bar
}

fn play(
    bar: &Progress,
    scenario: &Scenario,
    schedule: &Schedule,
    manner: &Manner,
) -> Result<Played, BuildError> {
    let mut go_on = |world: &World| bar.go_on(world);
    let options = Options {
        threads: usize::from(manner.threads),
        ..Options::new(&mut go_on)
    };
    session::play(scenario, schedule, options)
}

/// Notes real time and memory.
fn finish(bar: &Progress, played: &mut Played) {
    played.findings.wall_us = bar.elapsed_us();
    played.findings.peak_rss_bytes = peak_rss_bytes();
}

/// Plays the same again, and keeps the last lines of what happened.
pub(super) fn traced(
    scenario: &Scenario,
    schedule: &Schedule,
    manner: &Manner,
    most: usize,
) -> anyhow::Result<(Played, Vec<Line>)> {
    let bar = Progress::new(scenario.stop.rounds, None, manner.quiet);
    bar.doing(&format!("{}, traced", scenario.name));
    let names = scenario.members.iter().map(|member| member.name.clone());
    let tracer = Tracer::new(names.collect(), most);
    let seer = tracer.clone();
    let mut go_on = |world: &World| bar.go_on(world);
    let options = Options {
        threads: usize::from(manner.threads),
        witness: Some(Box::new(move |moment, seen| seer.see(moment, seen))),
        ..Options::new(&mut go_on)
    };
    let played = session::play(scenario, schedule, options)?;
    Ok((played, tracer.lines()))
}

/// Says what came of a run. The exit code.
pub(super) fn tell(played: &Played, out: &Path, manner: &Manner) -> u8 {
    let (findings, exit) = (&played.findings, played.verdict.exit());
    if exit != 0 {
        super::say(session::failure(findings, &played.verdict, out));
    }
    if !manner.quiet && !manner.json {
        super::say(summary::render(findings).trim_end());
        if !played.points.is_empty() {
            super::say(format_args!(
                "  sweep         {} runs beside each other in {}",
                played.points.len(),
                out.join("sweep.csv").display()
            ));
        }
        super::say(format_args!(
            "  report        {}",
            out.join("report.html").display()
        ));
    }
    if manner.json {
        super::say(line(played, exit, out));
    }
    exit
}

/// The JSON object of a run, with one for each run of its sweep.
fn line(played: &Played, exit: u8, out: &Path) -> serde_json::Value {
    let mut line = numbers(&played.findings);
    line["exit"] = json!(exit);
    line["wall_seconds"] = json!(played.findings.wall_us as f64 / 1e6);
    line["peak_rss_bytes"] = json!(played.findings.peak_rss_bytes);
    line["out"] = json!(out);
    if !played.points.is_empty() {
        let points = played.points.iter().map(|point| numbers(&point.findings));
        line["sweep"] = json!(points.collect::<Vec<_>>());
    }
    line
}

fn numbers(findings: &Findings) -> serde_json::Value {
    json!({
        "verdict": findings.verdict,
        "name": findings.name,
        "seed": findings.seed,
        "digest": findings.digest,
        "codec": findings.codec,
        "rounds": findings.rounds_done,
        "messages": findings.messages,
        "sim_seconds": findings.sim_us as f64 / 1e6,
        "loss": findings.losses.last().map(|point| point.loss),
        "diverged": findings.diverged(),
        "violations": findings.violations,
    })
}
