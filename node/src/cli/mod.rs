//! The command line: what each command takes, and where it goes.
//!
//! Every command that needs no running node is here, one file each. What people read goes to
//! stderr where stdout carries a result that another command takes.

pub mod args;
mod charter;
mod data;
mod files;
mod init;
mod text;

pub use charter::CharterCommand;
pub use data::DataCommand;
pub use files::{FileError, read_charter, read_text, replace_file, write_new_file};
pub use init::{InitArgs, init};

use clap::{Parser, Subcommand};

/// Train one model together, with no controller.
#[derive(Debug, Parser)]
#[command(
    name = "archipel",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a member's key and configuration in a folder.
    Init(InitArgs),
    /// Write, sign, check and read the founding document of a federation.
    #[command(subcommand)]
    Charter(CharterCommand),
    /// Turn text into training data, or look at data prepared before.
    #[command(subcommand)]
    Data(DataCommand),
}

/// Carries out one command.
///
/// # Errors
/// What was expected, what was found, and what to do.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Init(args) => init(&args),
        Command::Charter(command) => charter::run(command),
        Command::Data(command) => data::run(command),
    }
}

#[cfg(test)]
mod tests;
