//! `archipel-sim packs`: what is built in.

use crate::scenario::{pack_named, packs};

/// Which pack.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Prints the file of this pack.
    name: Option<String>,
}

pub(super) fn command(args: &Args) -> anyhow::Result<u8> {
    match &args.name {
        None => list(),
        Some(name) => match pack_named(name) {
            Some(pack) => super::say(pack.text.trim_end()),
            None => anyhow::bail!(
                "no pack is named {name:?}{}: `archipel-sim packs` lists them",
                super::meant(name, packs().iter().map(|pack| pack.name))
            ),
        },
    }
    Ok(0)
}

fn list() {
    let width = packs().iter().map(|pack| pack.name.len()).max();
    let width = width.unwrap_or(0);
    for pack in packs() {
        super::say(format_args!("{:<width$}  {}", pack.name, pack.claim));
    }
    super::say("\nPacks named negative-… break an assumption: they pass where the checker fires.");
}
