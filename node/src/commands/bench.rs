//! `archipel bench`: how fast this machine does what a node does.

mod codec;
mod fold;
mod memory;
mod train;
mod update;

use clap::Subcommand;

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Train a model of a given shape on noise, and count tokens.
    Train(train::TrainArgs),
    /// Write and read an update with every codec, beside copying it.
    Codec(codec::CodecArgs),
    /// Fold a cut of decoded updates, beside reading and writing the parameters once.
    Fold(fold::FoldArgs),
}

/// `archipel bench`.
///
/// # Errors
/// A shape that is no model.
pub fn bench(command: &BenchCommand) -> anyhow::Result<()> {
    match command {
        BenchCommand::Train(args) => train::run(args),
        BenchCommand::Codec(args) => codec::run(args),
        BenchCommand::Fold(args) => fold::run(args),
    }
}
