//! `archipel charter sign`: a member agrees to the whole charter.

use super::{names, unsigned};
use crate::cli::{args::FOLDER, read_charter, replace_file};
use crate::config::{NodeConfig, SecretKey};
use anyhow::bail;
use clap::Args;
use std::path::PathBuf;

/// Sign a charter as a member.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct SignArgs {
    /// The charter file; the signature is added to it.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The folder of the member that signs.
    #[arg(id = FOLDER, long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

pub(super) fn run(args: &SignArgs) -> anyhow::Result<()> {
    let config = NodeConfig::load(&args.dir)?;
    let key = SecretKey::load(&config.key_path(&args.dir))?;
    let mut signed = read_charter(&args.file)?;
    let file = args.file.display();
    let Some(listed) = signed.charter.member(&key.member()) else {
        bail!(
            "{file} does not list {} ({}): expected its key among the members; add it with \
             `archipel charter add-member {file} {} {} ADDRESS`",
            config.name,
            key.member(),
            config.name,
            key.member(),
        );
    };
    if listed.name != config.name {
        bail!(
            "{file} calls this member {}, its node.toml calls it {}: change `name` in node.toml, \
             or have the charter changed",
            listed.name,
            config.name
        );
    }
    signed.sign(&key.signer())?;
    eprintln!("{}", super::show::summary(&signed.charter, &args.file));
    replace_file(&args.file, &signed.to_toml()?)?;
    eprintln!("{} signed run {}.", config.name, signed.run_id());
    match unsigned(&signed).as_slice() {
        [] => eprintln!("All voting members have signed: check it with `archipel charter verify`."),
        missing => eprintln!("Still to sign: {}.", names(missing)),
    }
    Ok(())
}
