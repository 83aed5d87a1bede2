//! `archipel-sim experiment`: arms and seeds, their table, and what holds between them.

use super::{
    progress::{Progress, catch_interrupts, interrupted},
    run::cores,
};
use crate::{
    experiment::{
        Experiment, Outcome, csv, experiment_named, experiments, formula, judge, markdown, picture,
        read_csv,
    },
    pairs,
    report::{self, Findings},
    schedule::expand,
    session::{self, Options},
    world::World,
};
use anyhow::Context as _;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Exit code where a check does not hold: an experiment is about convergence.
const DOES_NOT_HOLD: u8 = 12;
/// Exit code of an experiment that was interrupted.
const INTERRUPTED: u8 = 9;

/// Which experiment, and how.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A file, or the name of one that is built in; all names where it is left out.
    experiment: Option<String>,
    /// Runs of every arm, in place of the experiment's own number.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=256))]
    seeds: Option<u64>,
    /// Rounds of every run, in place of the experiment's own number: for a first look.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rounds: Option<u64>,
    /// Only arms whose name contains one of these texts.
    #[arg(long)]
    arm: Vec<String>,
    /// Folder of texts to train on, in place of invented languages.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Folder in which it leaves its own.
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Plays nothing: draws the pictures of what an earlier call left in `out` again.
    #[arg(long)]
    redraw: bool,
    /// Runs played side by side; the result is the same with any number.
    #[arg(long, default_value_t = cores(), value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
}

pub(super) fn command(args: &Args) -> anyhow::Result<u8> {
    let Some(name) = &args.experiment else {
        experiments().for_each(super::say);
        return Ok(0);
    };
    let mut experiment = named(name)?;
    if args.redraw {
        return redraw(&args.out.join(&experiment.name), experiment.unit());
    }
    experiment.seeds = args.seeds.unwrap_or(experiment.seeds);
    experiment.rounds = args.rounds;
    let wanted =
        |name: &str| args.arm.is_empty() || args.arm.iter().any(|some| name.contains(some));
    let arms = experiment.arms.iter().enumerate();
    let arms: Vec<usize> = arms
        .filter(|(_, arm)| wanted(&arm.name))
        .map(|(at, _)| at)
        .collect();
    if arms.is_empty() {
        let names = experiment.arms.iter().map(|arm| arm.name.as_str());
        let (wanted, names) = (args.arm.join(", "), names.collect::<Vec<_>>().join("; "));
        anyhow::bail!("no arm's name contains {wanted}: the arms of {name} are {names}");
    }
    catch_interrupts();
    let outcomes = play(&experiment, &arms, args)?;
    if interrupted() {
        return Ok(INTERRUPTED);
    }
    let there = |name: &str| outcomes.iter().any(|outcome| outcome.arm == name);
    experiment
        .checks
        .retain(|check| there(&check.arm) && there(&check.against));
    let judged = judge(&experiment.checks, &outcomes);
    let text = markdown(&experiment, &outcomes, &judged);
    let folder = args.out.join(&experiment.name);
    write(&folder, &text, &outcomes, experiment.unit())?;
    super::say(text.trim_end());
    super::say(format_args!(
        "\nin {}: table, losses and picture",
        folder.display()
    ));
    let holds = judged.iter().all(|check| check.holds);
    Ok(if holds { 0 } else { DOES_NOT_HOLD })
}

fn named(name: &str) -> anyhow::Result<Experiment> {
    let path = Path::new(name);
    match experiment_named(name) {
        Some(experiment) if !path.is_file() => Ok(experiment),
        None if !path.exists() => anyhow::bail!(
            "{name}: there is no such file, and no experiment of that name{}: `archipel-sim \
             experiment` lists what is built in",
            super::meant(name, experiments())
        ),
        _ => Ok(Experiment::load(path)?),
    }
}

/// Plays all seeds of the arms, several at once.
fn play(experiment: &Experiment, arms: &[usize], args: &Args) -> anyhow::Result<Vec<Outcome>> {
    let runs: Vec<(usize, u64)> = arms
        .iter()
        .flat_map(|arm| (1..=experiment.seeds).map(move |seed| (*arm, seed)))
        .collect();
    let side_by_side = usize::from(args.jobs).min(runs.len());
    eprintln!(
        "{} runs, {side_by_side} at once; each tells of itself when it ends",
        runs.len()
    );
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<anyhow::Result<Findings>>>> =
        runs.iter().map(|_| Mutex::default()).collect();
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((arm, seed)) = runs.get(at) else {
                return;
            };
            if interrupted() {
                return;
            }
            let played = one(experiment, *arm, *seed, args.data.as_deref());
            if let Ok(found) = &played {
                let (name, place) = (&experiment.arms[*arm].name, at + 1);
                let loss = found.losses.last().map_or(f64::NAN, |point| point.loss);
                let (verdict, seconds) = (&found.verdict, found.wall_us / 1_000_000);
                let diverged = if found.diverged() { ", diverged" } else { "" };
                eprintln!(
                    "run {place} of {}, {name}, seed {seed}: {verdict}, {loss:.4}{diverged}, \
                     {seconds} s",
                    runs.len()
                );
            }
            *done[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(played);
        }
    };
    thread::scope(|scope| {
        for _ in 0..side_by_side {
            scope.spawn(work);
        }
    });
    let mut outcomes: Vec<Outcome> = Vec::new();
    for ((arm, _), played) in runs.iter().zip(done) {
        let arm = *arm;
        let played = played.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(played) = played else { continue };
        let name = &experiment.arms[arm].name;
        match outcomes.last_mut().filter(|outcome| outcome.arm == *name) {
            Some(outcome) => outcome.runs.push(played?),
            None => outcomes.push(Outcome {
                arm: name.clone(),
                runs: vec![played?],
                formula_bytes: formula_bytes(experiment, arm)?,
            }),
        }
    }
    Ok(outcomes)
}

/// Bytes that a member sends in a round by the plan of an arm.
fn formula_bytes(experiment: &Experiment, arm: usize) -> anyhow::Result<f64> {
    let scenario = experiment.scenario(arm, 1)?;
    Ok(formula::bytes(&scenario.plan, scenario.members.len()))
}

fn one(
    experiment: &Experiment,
    arm: usize,
    seed: u64,
    data: Option<&Path>,
) -> anyhow::Result<Findings> {
    let mut scenario = experiment.scenario(arm, seed)?;
    if let Some(folder) = data {
        scenario.learning.data = Some(folder.to_owned());
    }
    let schedule = expand(&scenario, seed);
    let watch = Progress::new(None, None, true);
    if let Some(pairs) = experiment.arms[arm].pairs {
        let (scenario, schedule) = (Arc::new(scenario), Arc::new(schedule));
        let mut learning = World::still(&scenario, &schedule, 1, &|| None)?.into_learning();
        let mut go_on = || !interrupted();
        let mut findings = pairs::play(&scenario, &mut learning, pairs, &mut go_on)?;
        findings.wall_us = watch.elapsed_us();
        return Ok(findings);
    }
    let mut go_on = |world: &World| watch.go_on(world);
    let played = session::play(&scenario, &schedule, Options::new(&mut go_on))?;
    let mut findings = played.findings;
    findings.wall_us = watch.elapsed_us();
    Ok(findings)
}

/// Draws from the losses in a folder.
fn redraw(folder: &Path, unit: &str) -> anyhow::Result<u8> {
    let file = folder.join("losses.csv");
    let text = fs::read_to_string(&file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let outcomes = read_csv(&text).map_err(anyhow::Error::msg);
    let outcomes = outcomes.with_context(|| file.display().to_string())?;
    draw(folder, &outcomes, unit)?;
    super::say(format_args!("in {}: pictures", folder.display()));
    Ok(0)
}

/// Leaves the table, every loss, and the pictures.
fn write(folder: &Path, text: &str, outcomes: &[Outcome], unit: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, content) in [("table.md", text), ("losses.csv", &csv(outcomes))] {
        report::folder::write_whole(&folder.join(name), content.as_bytes())?;
    }
    draw(folder, outcomes, unit)
}

/// The curves, of each arm the first seed and the others behind it, and every arm's last losses.
fn draw(folder: &Path, outcomes: &[Outcome], unit: &str) -> anyhow::Result<()> {
    let curve = |outcome: &Outcome| {
        let mut first = outcome.runs[0].clone();
        first.baseline = outcome.runs.iter().map(|run| run.losses.clone()).collect();
        (outcome.arm.clone(), first)
    };
    let curves: Vec<(String, Findings)> = outcomes.iter().map(curve).collect();
    let drawn = report::compare::compare(&curves).svg;
    for (name, content) in [("losses.svg", drawn), ("arms.svg", picture(outcomes, unit))] {
        report::folder::write_whole(&folder.join(name), content.as_bytes())?;
    }
    Ok(())
}
