//! `archipel charter verify`: every rule, every signature.

use crate::cli::{read_charter, text};
use anyhow::Context;
use archipel_protocol::crypto::Ed25519Verifier;
use clap::Args;
use std::path::PathBuf;

/// Check a charter and all its signatures; exit code 0 means that the run may begin.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct VerifyArgs {
    /// The charter file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let signed = read_charter(&args.file)?;
    signed
        .verify(&Ed25519Verifier)
        .with_context(|| args.file.display().to_string())?;
    let voters = text::plural(signed.charter.voters().len(), "voting member");
    println!(
        "{} is whole, and signed by all {voters}.",
        args.file.display()
    );
    println!("run {}", signed.run_id());
    println!("{}", super::show::agreement(&signed.charter));
    Ok(())
}
