//! Measures how fast the members of a simulated world train, on how many threads and how much
//! memory, and which share of the time the engine takes.
//!
//! `cargo bench -p archipel-simulator --bench learning -- --members 16 --json`
//!
//! A round is what a world makes of it: all members begin from one state, are waited for in turn,
//! their updates encoded, decoded and folded, and the next state is measured. Peak memory comes
//! from `/proc`: Linux alone.

use anyhow::Context as _;
use archipel_protocol::{
    charter::{Charter, CharterMember, FaultModel, MemberRole, Plan, plan::CodecKind},
    codec::{Update, decode, encode},
    crypto::{Ed25519Signer, Signer},
    fold::fold,
    ids::{MemberId, Root, Round},
    member::{ResidualRule, Start, TrainTask},
    state::Tensors,
};
use archipel_simulator::learning::{Gradient, LanguageSettings, Learning, Problem};
use clap::Parser;
use serde_json::json;
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

#[derive(Parser)]
struct Arguments {
    /// Members that train.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=64))]
    members: u32,
    /// Rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Inner steps a round, 256 tokens each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    steps: u64,
    /// Worker threads.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
    /// A folder of languages; without it, invented ones.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Where the time of all rounds went.
#[derive(Default)]
struct Spent {
    training: Duration,
    coding: Duration,
    folding: Duration,
    measuring: Duration,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plan = plan(&arguments);
    let members: Vec<MemberId> = (0..arguments.members as u8).map(identity).collect();
    let charter = charter(&members, plan.clone());
    let problem = Problem::Language(LanguageSettings {
        data: arguments.data.clone(),
        ..LanguageSettings::default()
    });
    let threads = arguments.threads as usize;
    let mut learning = Learning::new(&problem, &charter, &members, 1, threads)?;
    let mut state = Arc::new(learning.founding());
    let mut bits = vec![learning.evaluate(&state)?.value];
    let mut spent = Spent::default();
    for round in 0..arguments.rounds {
        state = step(
            &mut learning,
            (&plan, arguments.members),
            round,
            &state,
            &mut spent,
        )?;
        let began = Instant::now();
        bits.push(learning.evaluate(&state)?.value);
        spent.measuring += began.elapsed();
    }
    report(&arguments, &plan, &learning, &spent, &bits)
}

/// The model of the scale table: 0.2 M parameters, 256 tokens a step.
fn plan(arguments: &Arguments) -> Plan {
    let mut plan = Plan::nano();
    plan.inner.batch_sequences = 4;
    plan.inner.micro_batch = 4;
    plan.inner.steps = arguments.steps;
    plan.inner.segment_steps = arguments.steps.min(10);
    plan.inner.total_steps = arguments.steps * arguments.rounds;
    plan.inner.warmup_steps = plan.inner.total_steps / 20;
    plan.exchange.codec = CodecKind::Int8;
    plan
}

/// One round of all members.
fn step(
    learning: &mut Learning,
    (plan, members): (&Plan, u32),
    round: u64,
    base: &Arc<Tensors>,
    spent: &mut Spent,
) -> anyhow::Result<Arc<Tensors>> {
    let task = TrainTask {
        round: Round(round),
        base: Root::default(),
        start: Start::Base,
        schedule: round * plan.inner.steps,
        steps: plan.inner.steps,
        residual: ResidualRule::Zero,
    };
    let began = Instant::now();
    let jobs: Vec<_> = (0..members)
        .map(|member| learning.begin(member, &task, base))
        .collect();
    let gradients = jobs
        .into_iter()
        .map(|job| learning.finish(job))
        .collect::<Result<Vec<Gradient>, _>>()?;
    spent.training += began.elapsed();
    let began = Instant::now();
    let layout = learning.layout();
    let mut updates: Vec<(u64, Update)> = Vec::new();
    for gradient in &gradients {
        let payload = encode(plan.codec(), layout, &gradient.delta)?.payload;
        let update = decode(plan.codec(), &payload, layout, &plan.limits())?;
        updates.push((gradient.tokens, update));
    }
    spent.coding += began.elapsed();
    let began = Instant::now();
    let updates: Vec<(u64, &Update)> = updates.iter().map(|(t, u)| (*t, u)).collect();
    let next = fold(plan, learning.shape().1, Round(round), base, &updates).tensors;
    spent.folding += began.elapsed();
    Ok(Arc::new(next))
}

fn report(
    arguments: &Arguments,
    plan: &Plan,
    learning: &Learning,
    spent: &Spent,
    bits: &[f64],
) -> anyhow::Result<()> {
    let tokens = plan.tokens_per_round() * arguments.rounds * u64::from(arguments.members);
    let seconds = |part: Duration| part.as_secs_f64();
    let all = spent.training + spent.coding + spent.folding + spent.measuring;
    let per_second = tokens as f64 / seconds(spent.training);
    let peak = peak_bytes()?;
    if arguments.json {
        let line = json!({
            "members": arguments.members, "threads": arguments.threads,
            "parameters": learning.layout().parameters(), "rounds": arguments.rounds,
            "steps": arguments.steps, "tokens": tokens, "tokens_per_second": per_second,
            "training_seconds": seconds(spent.training), "coding_seconds": seconds(spent.coding),
            "folding_seconds": seconds(spent.folding),
            "measuring_seconds": seconds(spent.measuring), "seconds": seconds(all),
            "learning_bytes": learning.bytes(), "peak_bytes": peak,
            "bits_per_byte": bits,
        });
        println!("{line}");
        return Ok(());
    }
    println!(
        "{} members of {} parameters on {} threads: {per_second:.0} tokens a second",
        arguments.members,
        learning.layout().parameters(),
        arguments.threads
    );
    for (what, part) in [
        ("training", spent.training),
        ("coding", spent.coding),
        ("folding", spent.folding),
        ("measuring", spent.measuring),
    ] {
        let share = 100.0 * seconds(part) / seconds(all);
        println!("{what:>10} {:8.2} s {share:5.1} %", seconds(part));
    }
    println!(
        "learning keeps {} bytes, the process peaked at {peak}",
        learning.bytes()
    );
    let (first, last) = (bits[0], bits[bits.len() - 1]);
    println!("{} from {first:.3} to {last:.3}", learning.unit());
    Ok(())
}

/// The most memory this process ever had.
fn peak_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(1024 * kib.context("VmHWM in /proc/self/status")?.parse::<u64>()?)
}

fn identity(index: u8) -> MemberId {
    Ed25519Signer::new(&[index + 1; 32]).member()
}

fn charter(members: &[MemberId], plan: Plan) -> Charter {
    let member = |(index, id): (usize, &MemberId)| CharterMember {
        id: *id,
        name: format!("member-{}", index + 1),
        role: MemberRole::Member,
        addresses: Vec::new(),
    };
    Charter {
        name: "bench".to_owned(),
        founding_nonce: [7; 32],
        fault_model: FaultModel::Byzantine,
        threshold: None,
        plan,
        members: members.iter().enumerate().map(member).collect(),
    }
}
