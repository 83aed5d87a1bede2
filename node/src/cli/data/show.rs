//! `archipel data show`: the manifest in words, every shard checked.

use super::{charter_lines, class_name};
use crate::cli::text::{bytes, grouped, plural, wrapped};
use archipel_trainer::data::{Dataset, Filters, Manifest, SourceEntry, TokenizerId};
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
    let class = match class_name(manifest.class) {
        "public" => "public: everyone may replay it",
        "shared" => "shared: served to members only, by hash",
        _ => "sovereign: never leaves this site",
    };
    let size = |tokens: u64| {
        let stored = tokens.saturating_mul(u64::from(manifest.token_bytes));
        format!("{} tokens ({})", grouped(tokens), bytes(stored))
    };
    let shards: usize = manifest.sources.iter().map(shards).sum();
    let duplicates = match manifest.deduplicated {
        true => "left out",
        false => "kept",
    };
    let mut rows = vec![
        ("name", manifest.name.clone()),
        ("class", class.to_owned()),
        ("tokenizer", tokenizer(&manifest.tokenizer)),
        ("documents", grouped(manifest.documents())),
        ("training", size(manifest.training_tokens())),
        ("held out", size(manifest.held_out_tokens())),
        ("duplicates", duplicates.to_owned()),
        ("filters", filters(&manifest.filters)),
    ];
    // One source needs no table beside it.
    if let [source] = manifest.sources.as_slice() {
        rows.extend(described(source));
        rows.push(("skipped", skipped(source)));
    }
    rows.push(("files", plural(shards, "shard")));
    rows.push(("manifest", manifest.hash()));
    let mut out = String::new();
    for (label, text) in rows {
        write_row(&mut out, label, &text);
    }
    if manifest.sources.len() > 1 {
        out.push_str(&sector_table(manifest));
        for source in &manifest.sources {
            out.push_str(&source_page(source));
        }
        out.push('\n');
    }
    out
}

/// A row of the page, in as many lines of 80 columns as it needs.
fn write_row(out: &mut String, label: &str, text: &str) {
    let mut lines = wrapped(text, 64).into_iter();
    let first = lines.next().unwrap_or_default();
    // Writing to a string does not fail.
    let _ = writeln!(out, "{label:15} {first}");
    for line in lines {
        let _ = writeln!(out, "{:15} {line}", "");
    }
}

fn shards(source: &SourceEntry) -> usize {
    source.training.shards.len() + source.held_out.shards.len()
}

fn described(source: &SourceEntry) -> [(&'static str, String); 4] {
    [
        ("sector", source.sector.clone()),
        ("language", source.language.clone()),
        ("licence", source.licence.clone()),
        ("provenance", source.provenance.clone()),
    ]
}

fn tokenizer(id: &TokenizerId) -> String {
    match (id.kind.as_str(), &id.blake3) {
        ("bytes", _) => "bytes: a token is a byte".to_owned(),
        (_, Some(hash)) => {
            let short = hash.get(..16).unwrap_or(hash);
            format!(
                "tokenizer.json {short}…, {} tokens",
                grouped(id.vocabulary.into())
            )
        }
        _ => {
            let tokens = grouped(id.vocabulary.into());
            format!("unknown, {tokens} tokens: another program made them")
        }
    }
}

fn filters(filters: &Filters) -> String {
    let rules = [
        (filters.min_bytes, "at least", "bytes"),
        (filters.max_bytes, "at most", "bytes"),
        (
            filters.min_letters_percent.map(u64::from),
            "at least",
            "% letters",
        ),
        (
            filters.max_whitespace_percent.map(u64::from),
            "at most",
            "% white space",
        ),
        (filters.max_line_bytes, "at most", "bytes a line"),
        (
            filters.max_repeated_lines_percent.map(u64::from),
            "at most",
            "% repeated lines",
        ),
    ];
    let rule = |(number, word, unit): (Option<u64>, &str, &str)| {
        number.map(|number| format!("{word} {} {unit}", grouped(number)))
    };
    let said: Vec<String> = rules.into_iter().filter_map(rule).collect();
    match said.is_empty() {
        true => "none".to_owned(),
        false => said.join(", "),
    }
}

fn skipped(source: &SourceEntry) -> String {
    let counts = source.skipped.counts().into_iter();
    let counts = counts.filter(|(count, _)| *count > 0);
    let said: Vec<String> = counts
        .map(|(count, kind)| format!("{} {kind}", grouped(count)))
        .collect();
    match said.is_empty() {
        true => "nothing".to_owned(),
        false => said.join(", "),
    }
}

/// The sectors side by side, each with its share of the training tokens.
fn sector_table(manifest: &Manifest) -> String {
    let names = manifest.sector_names();
    let wide = |name: &&str| name.chars().count();
    let width = names
        .iter()
        .map(wide)
        .max()
        .unwrap_or(0)
        .max("sector".len());
    let mut out = format!(
        "\n{:width$}  {:>9}  {:>15}  {:>6}  {:>13}\n",
        "sector", "documents", "training tokens", "share", "held out"
    );
    let all = manifest.training_tokens().max(1) as f64;
    for name in names {
        let sources = manifest.sources.iter().filter(|s| s.sector == name);
        let (documents, training, held_out) =
            sources.fold((0, 0, 0), |(documents, training, held_out), source| {
                (
                    documents + source.documents,
                    training + source.training.tokens,
                    held_out + source.held_out.tokens,
                )
            });
        let _ = writeln!(
            out,
            "{name:width$}  {:>9}  {:>15}  {:>4.1} %  {:>13}",
            grouped(documents),
            grouped(training),
            100.0 * training as f64 / all,
            grouped(held_out),
        );
    }
    out
}

fn source_page(source: &SourceEntry) -> String {
    let mut out = format!("\nsource {}\n", source.name);
    let mut rows = described(source).to_vec();
    let tokens = grouped(source.training.tokens);
    let held_out = grouped(source.held_out.tokens);
    let text = source.training.bytes.zip(source.held_out.bytes);
    let text = text.map_or_else(String::new, |(a, b)| {
        format!(", {} of text", bytes(a.saturating_add(b)))
    });
    rows.extend([
        ("class", class_name(source.class).to_owned()),
        ("documents", format!("{}{text}", grouped(source.documents))),
        ("tokens", format!("{tokens}, held out {held_out}")),
        ("skipped", skipped(source)),
    ]);
    for (label, text) in rows {
        write_row(&mut out, &format!("  {label}"), &text);
    }
    out
}
