//! `archipel numerics`: which class this machine computes in, and the root that proves it.

use anyhow::bail;
use archipel_trainer::{FINGERPRINT, Isa, NUMERICS_CLASS, fingerprint};
use clap::{Args, ValueEnum};
use serde_json::json;

/// Show the class of this machine's arithmetic, and the root of the canonical run that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct NumericsArgs {
    /// Instructions to compute with [default: the widest there are].
    #[arg(long, value_enum, value_name = "ISA")]
    pub isa: Option<IsaArg>,
    /// Threads to compute with.
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: u16,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IsaArg {
    /// One number at a time, as the class is defined.
    Scalar,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512.
    Avx512,
}

/// `archipel numerics`.
///
/// # Errors
/// Instructions that this machine does not have, or a root that is not the class's.
pub fn numerics(args: &NumericsArgs) -> anyhow::Result<()> {
    if let Some(isa) = args.isa {
        match isa {
            IsaArg::Scalar => Isa::Scalar,
            IsaArg::Avx2 => Isa::Avx2,
            IsaArg::Avx512 => Isa::Avx512,
        }
        .choose()?;
    }
    let found = hex(&fingerprint(usize::from(args.threads))?);
    let (isa, expected) = (Isa::current().name(), hex(&FINGERPRINT));
    let proven = found == expected;
    if args.json {
        let object = json!({
            "class": NUMERICS_CLASS, "fingerprint": found, "expected": expected,
            "proven": proven, "isa": isa, "threads": args.threads,
        });
        println!("{object}");
    } else {
        println!("class        {NUMERICS_CLASS}");
        println!("fingerprint  {found}");
        println!(
            "computed     with {isa}, {} thread{}",
            args.threads,
            if args.threads == 1 { "" } else { "s" }
        );
    }
    if !proven {
        bail!(
            "expected the fingerprint {expected} of class {NUMERICS_CLASS}, found {found}: \
             training here cannot be replayed elsewhere; try --isa scalar, and build again with a \
             stable toolchain"
        );
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
