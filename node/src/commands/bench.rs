//! `archipel bench`: how fast this machine does what a node does.

mod train;

use clap::Subcommand;

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Train a model of a given shape on noise, and count tokens.
    Train(train::TrainArgs),
}

/// `archipel bench`.
///
/// # Errors
/// A shape that is no model.
pub fn bench(command: &BenchCommand) -> anyhow::Result<()> {
    match command {
        BenchCommand::Train(args) => train::run(args),
    }
}
