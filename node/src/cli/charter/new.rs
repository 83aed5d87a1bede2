//! `archipel charter new`: a charter without members, from a preset or a plan file.

use super::offer::{DEFAULT_GFLOPS, speed};
use crate::cli::{read_charter, read_text_as, write_new_file};
use crate::config::CHARTER_FILE;
use crate::driver::HOLDOUT_FILE;
use anyhow::{Context, bail};
use archipel_protocol::charter::{
    Charter, FaultModel, MAX_CHARTER_BYTES, Plan, SignedCharter, is_name,
};
use archipel_protocol::ids::BlobHash;
use clap::{Args, ValueEnum};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Write a charter without members.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct NewArgs {
    /// The file to write, in which a comment says what each field means; it must not exist.
    #[arg(long, value_name = "FILE", default_value = "charter.toml")]
    pub out: PathBuf,
    /// The federation's name: 1 to 64 of a-z 0-9 -.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The plan to start from.
    #[arg(long, value_enum, default_value_t = Preset::Nano, conflicts_with = "plan")]
    pub preset: Preset,
    /// A plan of your own: a charter that has it, or a file of its [charter.plan…] tables alone,
    /// without `charter.plan`.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// What members assume of each other.
    #[arg(long, value_enum, default_value_t = Faults::Byzantine)]
    pub fault_model: Faults,
    /// Votes that an amendment needs [default: the quorum].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub threshold: Option<u32>,
    /// Rounds after which the run ends [default: the plan's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pub rounds: Option<u64>,
    /// Held-out bytes that all members evaluate states on. Each member puts a copy of this file
    /// into its folder (the DIR of `archipel init --dir DIR`) as holdout.bin.
    #[arg(long, value_name = "FILE")]
    pub holdout: Option<PathBuf>,
}

/// A plan to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// 0.2 M parameters, context 64: seconds a round on one core.
    Nano,
    /// 1 M parameters, context 128: some seconds a round on a few cores.
    Micro,
    /// 15 M parameters, context 512: minutes a round on a server's cores.
    Small,
    /// 125 M parameters, context 1024, sparse updates of 2.5 MB: made for accelerators, one a
    /// site; 23 hours a round on two cores.
    Base,
    /// 1.1 G parameters, context 2048, sparse updates of 21 MB: made for accelerators, several a
    /// site; 32 days a round on two cores.
    #[value(name = "1b")]
    Billion,
    /// The demo's: 0.13 M parameters, an outer step for few rounds.
    Demo,
    /// The model of nano; sparse updates in two bits a kept value, for hundreds of rounds.
    Sparse,
}

impl Preset {
    fn plan(self) -> Plan {
        match self {
            Self::Nano => Plan::nano(),
            Self::Micro => Plan::micro(),
            Self::Small => Plan::small(),
            Self::Base => Plan::base(),
            Self::Billion => Plan::billion(),
            Self::Demo => Plan::demo(),
            Self::Sparse => Plan::sparse(),
        }
    }
}

/// What members assume of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Faults {
    /// Fewer than a third may lie in any way: four members or more.
    Byzantine,
    /// Members may stop, and never lie: for two or three that trust each other.
    Crash,
}

pub(super) fn run(args: &NewArgs) -> anyhow::Result<()> {
    let charter = draft(args)?;
    let note = speed(&charter.plan, DEFAULT_GFLOPS);
    let holdout = charter.plan.data.holdout.is_some();
    let text = SignedCharter::new(charter).to_annotated_toml(&note)?;
    write_new_file(&args.out, &text)?;
    let out = args.out.display();
    eprintln!("Wrote {out}, a charter without members.\n{note}\n");
    eprintln!(
        "Next:\n\
         \x20 1. Read the plan in it and change what should be otherwise.\n\
         \x20 2. archipel charter add-member {out} LINE, with the line that each site's\n\
         \x20    `archipel init` printed.\n\
         \x20 3. Send the file round: each site reads what it gives with `archipel charter show`\n\
         \x20    and signs with `archipel charter sign`. Copies that were signed side by side are\n\
         \x20    joined by `archipel charter merge`.\n\
         \x20 4. archipel charter verify {out}; then each site puts it into its folder as\n\
         \x20    {CHARTER_FILE}."
    );
    if let (Some(path), true) = (&args.holdout, holdout) {
        eprintln!(
            "\x20 5. Send {} round as well: each site puts a copy into its folder as\n\
             \x20    {HOLDOUT_FILE}.",
            path.display()
        );
    }
    Ok(())
}

fn draft(args: &NewArgs) -> anyhow::Result<Charter> {
    if !is_name(&args.name) {
        bail!(
            "--name: expected 1 to 64 characters of a-z 0-9 -, found {:?}",
            args.name
        );
    }
    let mut plan = match (&args.plan, args.preset) {
        (Some(path), _) => read_plan(path)?,
        (None, preset) => preset.plan(),
    };
    if let Some(rounds) = args.rounds {
        // The schedule's end follows the run's, or the rate would stay at its floor or peak.
        plan.rounds = rounds;
        plan.inner.total_steps = rounds.saturating_mul(plan.inner.steps);
        plan.inner.warmup_steps = plan.inner.warmup_steps.min(plan.inner.total_steps);
    }
    if let Some(path) = &args.holdout {
        let (hash, length) = hash_file(path)
            .with_context(|| format!("cannot read the held-out bytes {}", path.display()))?;
        (plan.data.holdout, plan.data.holdout_bytes) = (Some(hash), length);
    }
    let mut founding_nonce = [0; 32];
    getrandom::fill(&mut founding_nonce).context("the system gave no random bytes")?;
    // Member counts are not known yet: what depends on them is checked when members sign.
    plan.validate(usize::MAX, usize::MAX)?;
    Ok(Charter {
        name: args.name.clone(),
        founding_nonce,
        fault_model: match args.fault_model {
            Faults::Byzantine => FaultModel::Byzantine,
            Faults::Crash => FaultModel::Crash,
        },
        threshold: args.threshold,
        plan,
        members: Vec::new(),
    })
}

/// Reads a plan of a person's own: alone in its file, or in a charter.
pub(crate) fn read_plan(path: &Path) -> anyhow::Result<Plan> {
    let text = read_text_as("a plan", path, MAX_CHARTER_BYTES)?;
    if text
        .parse::<toml::Table>()
        .is_ok_and(|table| table.contains_key("charter"))
    {
        return Ok(read_charter(path)?.charter.plan);
    }
    toml::from_str(&text).with_context(|| {
        format!(
            "{}: expected a plan in TOML, found another text",
            path.display()
        )
    })
}

/// BLAKE3 and length of a file.
fn hash_file(path: &Path) -> std::io::Result<(BlobHash, u64)> {
    let mut hasher = blake3::Hasher::new();
    let length = std::io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok((BlobHash(*hasher.finalize().as_bytes()), length))
}
