//! `archipel data …`: text in, token shards and a manifest out.

mod left_out;
mod prepare;
mod progress;
mod show;
mod sources;

use archipel_trainer::data::{DataClass, Manifest};
use clap::Subcommand;
use prepare::PrepareArgs;
use show::ShowArgs;

/// The commands on training data.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Turn text, and files of tokens, into training data.
    Prepare(Box<PrepareArgs>),
    /// Show what a folder of prepared data holds, and check every byte of it.
    Show(ShowArgs),
}

pub(super) fn run(command: DataCommand) -> anyhow::Result<()> {
    match command {
        DataCommand::Prepare(args) => prepare::run(&args),
        DataCommand::Show(args) => show::run(&args),
    }
}

fn class_name(class: DataClass) -> &'static str {
    match class {
        DataClass::Public => "public",
        DataClass::Shared => "shared",
        DataClass::Sovereign => "sovereign",
    }
}

/// The lines by which a charter names this data.
fn charter_lines(manifest: &Manifest) -> String {
    format!(
        "[[charter.plan.data.manifests]]\nhash = \"{}\"\nclass = \"{}\"\n",
        manifest.hash(),
        class_name(manifest.class)
    )
}
