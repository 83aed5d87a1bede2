//! The command line of `archipel-sim`.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | everything as the scenario expects |
//! | 1 | an error of this program, or a negative scenario in which no invariant fell |
//! | 2 | a bad scenario, schedule or command line |
//! | 9 | real time spent, or interrupted: never a pass |
//! | 10, 11, 12, 13 | safety, liveness, convergence, a resource limit |
//! | 14 | nondeterminism |
//! | 15 | a panic |

mod compare;
mod experiment;
mod explain;
mod fuzz;
mod packs;
pub mod progress;
mod replay;
mod run;
mod selftest;
mod shrink;
pub mod stopwatch;

use crate::{scenario::ScenarioError, session::folder::FolderError, world::BuildError};
use clap::{Parser, Subcommand};
use std::{
    io::{Write as _, stdout},
    process::ExitCode,
};

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
    /// Runs a scenario, and leaves a folder with its report.
    Run(run::Args),
    /// Runs what is in the folder of a run again, and holds the digests against each other.
    Replay(replay::Args),
    /// Sets runs beside each other: one table, CSV and SVG.
    Compare(compare::Args),
    /// Plays variants of a scenario with several seeds each, and says what holds between them.
    Experiment(experiment::Args),
    /// Tells what led to the failure of a run.
    Explain(explain::Args),
    /// Plays a drawn scenario for each of many seeds, and keeps those that fail.
    Fuzz(fuzz::Args),
    /// Takes away from a failing run whatever it does not need to fail.
    Shrink(shrink::Args),
    /// Plants bugs, and asks whether the checker finds them.
    Selftest(selftest::Args),
    /// Lists the scenarios that are built in, or prints one.
    Packs(packs::Args),
}

/// Exit code of an error of this program.
const INTERNAL: u8 = 1;

/// Runs the command that this process was given.
pub fn main() -> ExitCode {
    let code = match Cli::parse().command {
        Command::Run(args) => run::command(&args),
        Command::Replay(args) => replay::command(&args),
        Command::Compare(args) => compare::command(&args),
        Command::Experiment(args) => experiment::command(&args),
        Command::Explain(args) => explain::command(&args),
        Command::Fuzz(args) => fuzz::command(&args),
        Command::Shrink(args) => shrink::command(&args),
        Command::Selftest(args) => selftest::command(&args),
        Command::Packs(args) => packs::command(&args),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("archipel-sim: {}", in_words(&error));
            ExitCode::from(code_of(&error))
        }
    }
}

/// An error with its causes, each said once: many texts have that of their cause in them.
fn in_words(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
}

/// ` (did you mean "lan8"?)`, where a name is near enough to one that there is.
fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = crate::scenario::nearest(name, known);
    nearest.map_or(String::new(), |name| format!(" (did you mean {name:?}?)"))
}

/// Says a line on standard output; whoever closed it does not want to hear it.
fn say(text: impl std::fmt::Display) {
    let _ = writeln!(stdout().lock(), "{text}");
}

/// The exit code of an error.
fn code_of(error: &anyhow::Error) -> u8 {
    let folder = error.downcast_ref::<FolderError>();
    let scenario = error.is::<ScenarioError>() || error.is::<BuildError>();
    let read = matches!(
        folder,
        Some(FolderError::Scenario(_) | FolderError::Schedule { .. })
    );
    match scenario || read {
        true => ScenarioError::EXIT_CODE,
        false => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_cause_is_said_once() {
        let cause = anyhow::anyhow!("no such file");
        let said = in_words(&cause.context("cannot read x: no such file"));
        assert_eq!(said, "cannot read x: no such file");
        let failed: anyhow::Result<()> = Err(anyhow::anyhow!("no such file"));
        let said = in_words(&failed.context("in y").expect_err("it failed"));
        assert_eq!(said, "in y: no such file");
    }
}
