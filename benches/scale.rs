//! Plays the tiers of the scale table through the library, and holds them against their aims.
//!
//! `cargo bench -p archipel-simulator --no-default-features --bench scale -- --tier A --json`
//!
//! Each tier runs in a process of its own, so that the peak of memory is its own. Where the machine
//! is shared, the time on a processor says more than the time that passed: the aims are for one
//! core that nobody else uses, so both are told.
//!
//! The packs have members that train unequally long, so that updates come one after the other and
//! are acknowledged in many small batches. `--alike` has them all train equally long: updates come
//! together, and each member acknowledges them in one message, as the scale table has it.

use anyhow::{Context as _, ensure};
use archipel_simulator::{
    cli::stopwatch::{Stopwatch, peak_rss_bytes},
    fuzzing::campaign::campaign,
    scenario::pack_named,
    schedule::expand,
    session::{Go, Options, play},
};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use std::{env, fs, process::Command};

/// Clock ticks a second in `/proc`: the same on every Linux.
const TICKS: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
enum Tier {
    /// 16 members, 10,000 rounds.
    A,
    /// 64 members, 500 rounds.
    B,
    /// 62 federations of 16 members, 1,000 rounds each.
    C,
    /// 1,000 seeds of the fuzzer, 20 rounds each.
    #[value(name = "fuzz")]
    Fuzz,
}

#[derive(Parser)]
struct Arguments {
    /// One tier alone; all of them where none is named.
    #[arg(long)]
    tier: Option<Tier>,
    /// Have all members train equally long, so that each says once what it holds.
    #[arg(long)]
    alike: bool,
    /// Print JSON objects, one a line, instead of a table.
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Tier {
    /// Seconds on one core that it is to take at most.
    fn aim_s(self) -> u64 {
        match self {
            Self::A => 25,
            Self::B => 20,
            Self::C => 150,
            Self::Fuzz => 120,
        }
    }

    fn pack(self) -> Option<&'static str> {
        match self {
            Self::A => Some("tier-a"),
            Self::B => Some("tier-b"),
            Self::C => Some("federations62"),
            Self::Fuzz => None,
        }
    }
}

/// How much was done.
struct Load {
    rounds: u64,
    messages: u64,
    digest: String,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.json {
        println!("tier  aim s  wall s   cpu s  us/message  messages/round  peak MiB");
    }
    match arguments.tier {
        Some(tier) => tell(&measured(tier, arguments.alike)?, arguments.json),
        None => {
            for tier in Tier::value_variants() {
                tell(&elsewhere(*tier, arguments.alike)?, arguments.json);
            }
        }
    }
    Ok(())
}

/// Runs a tier in a process of its own.
fn elsewhere(tier: Tier, alike: bool) -> anyhow::Result<Value> {
    let value = tier.to_possible_value().context("every tier has a name")?;
    let mut arguments = vec!["--tier", value.get_name(), "--json"];
    arguments.extend(alike.then_some("--alike"));
    let output = Command::new(env::current_exe()?).args(arguments).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tier {tier:?} failed: {errors}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn measured(tier: Tier, alike: bool) -> anyhow::Result<Value> {
    let (watch, before_us) = (Stopwatch::start(), cpu_us()?);
    let load = match tier.pack() {
        Some(name) => run_pack(name, alike)?,
        None => run_fuzzer()?,
    };
    let (wall_us, cpu_us) = (watch.elapsed_us(), cpu_us()? - before_us);
    Ok(json!({
        "tier": format!("{tier:?}"),
        "alike": alike,
        "aim_s": tier.aim_s(),
        "wall_s": wall_us as f64 / 1e6,
        "cpu_s": cpu_us as f64 / 1e6,
        "us_a_message": cpu_us as f64 / load.messages.max(1) as f64,
        "messages_a_round": load.messages as f64 / load.rounds.max(1) as f64,
        "messages": load.messages,
        "rounds": load.rounds,
        "peak_rss_bytes": peak_rss_bytes(),
        "digest": load.digest,
    }))
}

fn run_pack(name: &str, alike: bool) -> anyhow::Result<Load> {
    let pack = pack_named(name).with_context(|| format!("there is no pack {name}"))?;
    let mut scenario = pack.scenario();
    if alike {
        let members = scenario.members.iter_mut();
        members.for_each(|member| member.compute.spread = 0.0);
    }
    let schedule = expand(&scenario, scenario.seed);
    let played = play(&scenario, &schedule, Options::new(&mut |_| Go::On))?;
    let (found, verdict) = (played.findings, played.verdict);
    ensure!(
        found.violations.is_empty() && found.rounds_done > 0,
        "{name} came to {verdict:?} after {} rounds: {:?}",
        found.rounds_done,
        found.violations
    );
    Ok(Load {
        rounds: found.rounds_done * u64::from(scenario.federations),
        messages: found.messages,
        digest: played.digest,
    })
}

/// Failures count as work done: what they mean is the fuzzer's to say.
fn run_fuzzer() -> anyhow::Result<Load> {
    let (mut rounds, mut messages) = (0, 0);
    let tally = campaign(0..1000, 1, &mut |_, outcome| {
        rounds += outcome.rounds;
        messages += outcome.messages;
        true
    });
    Ok(Load {
        rounds,
        messages,
        digest: tally.digest,
    })
}

/// Time that this process has spent on processors, in microseconds.
fn cpu_us() -> anyhow::Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().context("a name in brackets")?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks =
        || -> anyhow::Result<u64> { Ok(fields.next().context("user and system time")?.parse()?) };
    Ok((ticks()? + ticks()?) * 1_000_000 / TICKS)
}

fn tell(measured: &Value, json: bool) {
    if json {
        println!("{measured}");
        return;
    }
    let number = |key: &str| measured[key].as_f64().unwrap_or_default();
    println!(
        "{:<4}  {:>5}  {:>6.1}  {:>6.1}  {:>10.2}  {:>14.0}  {:>8.0}",
        measured["tier"].as_str().unwrap_or_default(),
        number("aim_s"),
        number("wall_s"),
        number("cpu_s"),
        number("us_a_message"),
        number("messages_a_round"),
        number("peak_rss_bytes") / 1_048_576.0,
    );
}
