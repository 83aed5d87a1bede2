//! `archipel-sim`: runs a scenario and says what came of it.

use archipel_simulator::fixed::Scenario;
use clap::{Parser, Subcommand, ValueEnum};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "archipel-sim",
    version,
    about = "Runs the real protocol machines in an invented world, from one seed."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one scenario.
    Run {
        /// Which.
        scenario: Name,
        /// Everything random follows from it.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Members of the federation.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
        members: u64,
        /// Rounds to certify.
        #[arg(long, default_value_t = 20)]
        #[arg(value_parser = clap::value_parser!(u64).range(1..=100_000))]
        rounds: u64,
        /// One JSON object on standard output.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// Nothing is lost.
    Lossless,
    /// 5 % of the messages are lost, 2 % come twice, 1 % damaged.
    Lossy,
}

/// Exit code of a violated invariant.
const SAFETY: u8 = 10;

fn main() -> ExitCode {
    let Command::Run {
        scenario,
        seed,
        members,
        rounds,
        json,
    } = Cli::parse().command;
    let scenario = match scenario {
        Name::Lossless => Scenario::Lossless,
        Name::Lossy => Scenario::Lossy,
    };
    let outcome = scenario.run(seed, members as usize, rounds);
    if json {
        println!(
            "{}",
            serde_json::to_string(&outcome).expect("an outcome is plain data")
        );
    } else {
        println!(
            "{} {}: {} rounds by {members} members in {:.1} virtual seconds, {} messages",
            scenario.name(),
            outcome.verdict,
            outcome.rounds,
            outcome.sim_seconds,
            outcome.messages
        );
        println!(
            "digest {}, distance to the known answer {:.2e}",
            outcome.digest, outcome.distance
        );
        outcome
            .violations
            .iter()
            .for_each(|text| println!("FAIL {text} seed={seed}"));
    }
    match outcome.verdict {
        "pass" => ExitCode::SUCCESS,
        _ => ExitCode::from(SAFETY),
    }
}
