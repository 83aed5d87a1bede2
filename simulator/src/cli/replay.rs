//! `archipel-sim replay`: the run of a folder once more.

use super::run::{self, Manner};
use crate::{
    report::json,
    session::{Verdict, folder},
};
use std::path::PathBuf;

/// Which folder.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The folder that a run left.
    dir: PathBuf,
    #[command(flatten)]
    manner: Manner,
}

/// Exits as the run does; 14 where it went another way than before.
pub(super) fn command(args: &Args) -> anyhow::Result<u8> {
    let (scenario, schedule) = folder::read(&args.dir)?;
    let before = json::read(&args.dir)?;
    let played = run::watched(&scenario, &schedule, &args.manner)?;
    let stopped = |word: &str| matches!(word, "interrupted" | "out of budget");
    if stopped(&before.verdict) || stopped(&played.findings.verdict) {
        super::say(
            "not compared: a run that was stopped has no digest to hold another one against",
        );
        return Ok(run::tell(&played, &args.dir, &args.manner));
    }
    if before.digest == played.digest {
        super::say(format_args!("equal: digest {} as before", played.digest));
        return Ok(run::tell(&played, &args.dir, &args.manner));
    }
    super::say(format_args!(
        "FAIL D1 seed={}: digest {} before, {} now",
        before.seed, before.digest, played.digest
    ));
    let mut played = played;
    played.verdict = Verdict::Nondeterministic;
    played.findings.verdict = played.verdict.word().to_owned();
    if args.manner.json {
        run::tell(&played, &args.dir, &args.manner);
    }
    Ok(played.verdict.exit())
}
