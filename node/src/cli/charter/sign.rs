//! `archipel charter sign`: a member agrees to the whole charter.

use super::document::CharterFile;
use super::{Standing, report_signatures};
use crate::cli::args::FOLDER;
use crate::config::{NodeConfig, SecretKey};
use anyhow::{Context, bail};
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
    let mut charter = CharterFile::open(&args.file)?;
    let mut signed = charter.signed().clone();
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
    let before = Standing::of(&signed, listed);
    signed
        .sign(&key.signer())
        .with_context(|| file.to_string())?;
    eprintln!("{}", super::show::summary(&signed.charter, &args.file));
    let mine = signed.signatures.iter().find(|s| s.member == key.member());
    charter.put_signature(mine.expect("it was just made"));
    if before == Standing::Signed {
        eprintln!("{} had signed run {} before.", config.name, signed.run_id());
    } else {
        charter.save()?;
        eprintln!("{} signed run {}.", config.name, signed.run_id());
    }
    report_signatures(charter.signed(), &args.file);
    Ok(())
}
