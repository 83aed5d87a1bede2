//! `archipel data show`: the manifest in words, every shard checked.

use super::{charter_lines, class_name};
use crate::cli::text::{bytes, grouped};
use archipel_trainer::data::{Dataset, Manifest};
use clap::Args;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Show what a folder of prepared data holds, and check every byte of it.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ShowArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Do not read the shards, only their lengths.
    #[arg(long)]
    pub quick: bool,
}

pub(super) fn run(args: &ShowArgs) -> anyhow::Result<()> {
    let dataset = Dataset::open(&args.dir)?;
    if !args.quick {
        dataset.verify()?;
    }
    let checked = if args.quick {
        "lengths only"
    } else {
        "every byte matches the manifest"
    };
    print!(
        "{}{:15} {checked}\n\n{}",
        page(dataset.manifest()),
        "checked",
        charter_lines(dataset.manifest())
    );
    Ok(())
}

/// The manifest in words.
pub(super) fn page(manifest: &Manifest) -> String {
    let skipped = manifest.skipped;
    let kinds = [
        (skipped.not_utf8, "not UTF-8"),
        (skipped.binary, "with a zero byte"),
        (skipped.empty, "empty"),
        (skipped.not_files, "links and devices"),
        (skipped.beyond_limit, "beyond the limit"),
    ];
    let skipped: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{} {kind}", grouped(*count)))
        .collect();
    let skipped = if skipped.is_empty() {
        "nothing".to_owned()
    } else {
        skipped.join(", ")
    };
    let class = match class_name(manifest.class) {
        "public" => "public: everyone may replay it",
        "shared" => "shared: served to members only, by hash",
        _ => "sovereign: never leaves this site",
    };
    let size = |tokens: u64| format!("{} tokens ({})", grouped(tokens), bytes(tokens));
    let rows = [
        ("name", manifest.name.clone()),
        ("class", class.to_owned()),
        ("language", manifest.language.clone()),
        ("licence", manifest.licence.clone()),
        ("provenance", manifest.provenance.clone()),
        ("documents", grouped(manifest.documents)),
        ("training", size(manifest.training_tokens)),
        ("held out", size(manifest.held_out.tokens)),
        ("skipped", skipped),
        ("manifest", manifest.hash()),
    ];
    let mut out = String::new();
    for (label, text) in rows {
        let _ = writeln!(out, "{label:15} {text}");
    }
    out
}
