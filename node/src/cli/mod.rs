//! The command line: what each command takes, and where it goes.
//!
//! Every command that needs no running node and no model is here, one file each; the others are in
//! `commands`. What people read goes to stderr where stdout carries a result that another command
//! takes.

pub mod args;
mod charter;
mod data;
mod files;
mod init;
pub(crate) mod text;

pub use charter::CharterCommand;
pub(crate) use charter::{DEFAULT_GFLOPS, Offer, read_plan};
pub use data::DataCommand;
pub use files::{FileError, read_charter, read_text, read_text_as, replace_file, write_new_file};
pub use init::{InitArgs, init};
pub use text::told;
pub(crate) use text::{bytes, grouped, plural, wrapped};

use crate::{
    commands,
    demo::DemoArgs,
    doctor::{DoctorArgs, doctor},
};
use args::{
    CheckpointCommand, EvalArgs, FOLDER, GenerateArgs, LeaveArgs, RunArgs, StatusArgs, TopArgs,
};
use clap::{
    Arg, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind,
    parser::ValueSource,
};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

/// Train one model together, with no controller.
#[derive(Debug, Parser)]
#[command(
    name = "archipel",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "A command that works in a member's folder takes it as --dir DIR, before\n\
                  or after the command. Without it, the folder is the present one."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Found a federation in a folder, train one model together, and show it.
    Demo(DemoArgs),
    /// Make a member's key and configuration in a folder.
    Init(InitArgs),
    /// Write, sign, check and read the founding document of a federation.
    #[command(subcommand)]
    Charter(CharterCommand),
    /// Turn text into training data, or look at data prepared before.
    #[command(subcommand)]
    Data(DataCommand),
    /// Run the node of a member's folder, in the foreground.
    ///
    /// Ctrl-C, SIGTERM and SIGHUP end it in good order, a second one at once. Under `nohup` it
    /// outlives its terminal.
    Run(RunArgs),
    /// Check what this machine and a member's folder have, and say what to do about the rest.
    Doctor(DoctorArgs),
    /// Show where a node stands.
    Status(StatusArgs),
    /// Watch a running node: members, links, deadlines, incidents.
    Top(TopArgs),
    /// Leave the federation, or return to it.
    Leave(LeaveArgs),
    /// Write checkpoints that other programs load, and read theirs.
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
    /// Continue a text with a trained model.
    Generate(GenerateArgs),
    /// Show the class of this machine's arithmetic, and the root that proves it.
    Numerics(commands::NumericsArgs),
    /// Measure how fast this machine does what a node does.
    #[command(subcommand)]
    Bench(commands::BenchCommand),
    /// Measure how well a model predicts text that it was not trained on.
    Eval(EvalArgs),
}

impl Cli {
    /// Reads a command line.
    ///
    /// # Errors
    /// Words that are no command, and `--help` and `--version`, which clap takes for errors.
    pub fn read(
        words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> clap::error::Result<Self> {
        let matches = Self::grammar().try_get_matches_from(words)?;
        refuse_idle_folder(&matches)?;
        Self::from_arg_matches(&matches)
    }

    /// Every command with its arguments, and `--dir` before each of them.
    fn grammar() -> clap::Command {
        let folder = Arg::new(FOLDER).long("dir").value_name("DIR");
        let folder = folder.value_parser(clap::value_parser!(PathBuf));
        Self::command().arg(folder.global(true).hide(true))
    }
}

/// Refuses a `--dir` that the command has no use for.
fn refuse_idle_folder(matches: &ArgMatches) -> Result<(), clap::Error> {
    if matches.value_source(FOLDER) != Some(ValueSource::CommandLine) {
        return Ok(());
    }
    let mut command = Cli::command();
    let (mut place, mut words) = (matches, "archipel".to_owned());
    let mut used = false;
    while let Some((name, below)) = place.subcommand() {
        let found = command.find_subcommand(name).cloned();
        command = found.expect("what was read is in the grammar");
        used |= command.get_arguments().any(|arg| arg.get_id() == FOLDER);
        words = format!("{words} {name}");
        place = below;
    }
    if used {
        return Ok(());
    }
    let text = format!("`{words}` works in no member's folder and takes no --dir: see its --help");
    Err(Cli::command().error(ErrorKind::UnknownArgument, text))
}

/// Carries out one command.
///
/// # Errors
/// What was expected, what was found, and what to do.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let done = match cli.command {
        Command::Demo(args) => return commands::demo(&args),
        Command::Doctor(args) => return doctor(&args),
        Command::Init(args) => init(&args),
        Command::Charter(command) => charter::run(command),
        Command::Data(command) => data::run(command),
        Command::Run(args) => commands::run(&args),
        Command::Status(args) => commands::status(&args),
        Command::Top(args) => commands::top(&args),
        Command::Leave(args) => commands::leave(&args),
        Command::Checkpoint(CheckpointCommand::Export(args)) => commands::export(&args),
        Command::Checkpoint(CheckpointCommand::Import(args)) => commands::import(&args),
        Command::Generate(args) => commands::generate(&args),
        Command::Numerics(args) => commands::numerics(&args),
        Command::Bench(command) => commands::bench(&command),
        Command::Eval(args) => commands::eval(&args),
    };
    done.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
