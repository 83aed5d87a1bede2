//! `archipel data prepare`: files and folders become shards under a manifest.

use super::progress::Progress;
use super::sources::{self, Described};
use super::{charter_lines, left_out, show};
use anyhow::bail;
use archipel_trainer::data::{
    DataClass, DataError, Filters, Format, PrepareOptions, Prepared, SourceOptions, TokenFormat,
    prepare,
};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Turn text, and files of tokens, into training data.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct PrepareArgs {
    /// Files, and folders of them; folders are read in name order.
    #[arg(
        required_unless_present = "sources_file",
        conflicts_with = "sources_file",
        value_name = "SRC"
    )]
    pub sources: Vec<PathBuf>,
    /// Folder to write to, outside the sources.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Several sources in one TOML file: one `[[source]]` each, with `paths` and the keys `name`,
    /// `sector`, `language`, `licence`, `provenance`, `class`, `format`, `field`, `extensions`.
    #[arg(long = "sources", value_name = "FILE")]
    pub sources_file: Option<PathBuf>,
    /// The data's name [default: that of the folder].
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Part of each document that is held out, in percent.
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u8).range(1..=50))]
    pub held_out_percent: u8,
    /// Most bytes of text to take; documents that would pass it are skipped.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_bytes: Option<u64>,
    /// A Hugging Face tokenizer.json to make tokens with [default: a token is a byte].
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// The tokenizer's token before every document, such as <|endoftext|>.
    #[arg(long, value_name = "TOKEN", requires = "tokenizer")]
    pub boundary: Option<String>,
    /// How many tokens the tokenizer of token files has, where it is not given.
    #[arg(long, value_name = "N", conflicts_with = "tokenizer",
        value_parser = clap::value_parser!(u32).range(1..=1 << 31))]
    pub vocabulary: Option<u32>,
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Take documents again that were taken before, byte for byte.
    #[arg(long)]
    pub keep_duplicates: bool,
    /// Count records that have no text, instead of stopping at the first.
    #[arg(long)]
    pub skip_bad_lines: bool,
}

/// What one source is; with `--sources` the file says it.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[group(id = "one_source", conflicts_with = "sources_file", multiple = true)]
pub struct SourceArgs {
    /// The part of life the text speaks of: what plans mix by, and what is evaluated apart
    /// [default: general].
    #[arg(long, value_name = "TEXT")]
    pub sector: Option<String>,
    /// Who may see the data [default: sovereign].
    #[arg(long, value_enum)]
    pub class: Option<ClassArg>,
    /// Its language [default: unknown].
    #[arg(long, value_name = "TEXT")]
    pub language: Option<String>,
    /// Its licence [default: unknown].
    #[arg(long, value_name = "TEXT")]
    pub licence: Option<String>,
    /// Where it comes from [default: unknown].
    #[arg(long, value_name = "TEXT")]
    pub provenance: Option<String>,
    /// How files hold documents [default: by their extension, text where it says nothing; JSON,
    /// tables, HTML, PDF, archives and the like are left out and named].
    #[arg(long, value_enum)]
    pub format: Option<FormatArg>,
    /// The field or column that holds the text, in JSON and Parquet [default: text].
    #[arg(long, value_name = "NAME")]
    pub field: Option<String>,
    /// From folders, take only files with this extension, such as txt; may be given several times.
    #[arg(long, value_name = "EXT")]
    pub extension: Vec<String>,
}

/// Which documents are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "Leave documents out")]
pub struct FilterArgs {
    /// Fewest bytes of a document.
    #[arg(long, value_name = "N")]
    pub min_document_bytes: Option<u64>,
    /// Most bytes of a document.
    #[arg(long, value_name = "N")]
    pub max_document_bytes: Option<u64>,
    /// Apply every rule below that is not given: 60, 40, 100000 and 30.
    #[arg(long)]
    pub quality: bool,
    /// Fewest letters, in percent of what is not white space.
    #[arg(long, value_name = "N", value_parser = percent())]
    pub min_letters: Option<u8>,
    /// Most white space, in percent of all characters.
    #[arg(long, value_name = "N", value_parser = percent())]
    pub max_whitespace: Option<u8>,
    /// Most bytes of the longest line.
    #[arg(long, value_name = "N")]
    pub max_line_bytes: Option<u64>,
    /// Most lines that stood in the document before, in percent of those not blank.
    #[arg(long, value_name = "N", value_parser = percent())]
    pub max_repeated_lines: Option<u8>,
}

fn percent() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(0..=100)
}

/// Who may see data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassArg {
    /// Everyone may replay it.
    Public,
    /// Served to members only, by hash, under its licence.
    Shared,
    /// Never leaves this site.
    Sovereign,
}

/// How files hold documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FormatArg {
    /// A file is a document.
    Text,
    /// A line is a JSON object, one field of it a document.
    Jsonl,
    /// An array's objects, or objects one after the other, one field of each a document.
    Json,
    /// A row of a column is a document.
    Parquet,
    /// nanoGPT's .bin of 16-bit tokens.
    Nanogpt,
    /// llm.c's .bin of tokens.
    #[value(name = "llm.c")]
    #[serde(rename = "llm.c")]
    LlmC,
    /// Megatron-LM's .bin of tokens, its .idx beside it.
    Megatron,
}

impl From<ClassArg> for DataClass {
    fn from(class: ClassArg) -> Self {
        match class {
            ClassArg::Public => Self::Public,
            ClassArg::Shared => Self::Shared,
            ClassArg::Sovereign => Self::Sovereign,
        }
    }
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Text => Self::Text,
            FormatArg::Jsonl => Self::JsonLines,
            FormatArg::Json => Self::Json,
            FormatArg::Parquet => Self::Parquet,
            FormatArg::Nanogpt => Self::Tokens(TokenFormat::NanoGpt),
            FormatArg::LlmC => Self::Tokens(TokenFormat::LlmC),
            FormatArg::Megatron => Self::Tokens(TokenFormat::Megatron),
        }
    }
}

pub(super) fn run(args: &PrepareArgs) -> anyhow::Result<()> {
    let (sources, options) = (sources(args)?, options(args));
    let mut progress = Progress::new();
    let prepared = prepare(&sources, &args.out, &options, &mut |at| progress.show(at));
    progress.finish();
    let Prepared { manifest, left_out } = match prepared {
        Err(DataError::NoText {
            files, left_out, ..
        }) => return Err(left_out::nothing_taken(files, &left_out)),
        prepared => prepared?,
    };
    print!("{}", show::page(&manifest));
    left_out::tell(&left_out);
    eprintln!(
        "\nWrote {}. A node trains on it when its node.toml says\n\
         \x20 data = {}\n\
         To declare it in the charter, add these lines, and `member = \"NAME\"` if it\n\
         is one's own:\n{}",
        args.out.display(),
        toml::Value::from(absolute(&args.out)),
        charter_lines(&manifest)
    );
    Ok(())
}

/// The sources of the command line, or of the file it names.
fn sources(args: &PrepareArgs) -> anyhow::Result<Vec<SourceOptions>> {
    if let Some(file) = &args.sources_file {
        return sources::read(file);
    }
    let extensions = args.source.extension.iter();
    let extensions = extensions.map(|e| e.trim_start_matches('.').to_owned());
    let extensions: Vec<String> = extensions.collect();
    if extensions.iter().any(String::is_empty) {
        bail!("--extension: expected letters such as txt, found nothing: leave it out for all");
    }
    let source = args.source.clone();
    let described = Described {
        paths: args.sources.clone(),
        name: Some(name(args)),
        sector: source.sector,
        language: source.language,
        licence: source.licence,
        provenance: source.provenance,
        class: source.class,
        format: source.format,
        field: source.field,
        extensions,
    };
    Ok(vec![described.options(Path::new(""))])
}

fn name(args: &PrepareArgs) -> String {
    let folder = args.out.file_name();
    let folder = folder.map(|name| name.to_string_lossy().into_owned());
    let name = args.name.clone().or(folder);
    name.unwrap_or_else(|| "unnamed".to_owned())
}

fn options(args: &PrepareArgs) -> PrepareOptions {
    PrepareOptions {
        name: name(args),
        held_out_percent: args.held_out_percent,
        max_bytes: args.max_bytes.unwrap_or(u64::MAX),
        filters: filters(&args.filters),
        deduplicate: !args.keep_duplicates,
        skip_bad_lines: args.skip_bad_lines,
        tokenizer: args.tokenizer.clone(),
        boundary: args.boundary.clone(),
        vocabulary: args.vocabulary,
        ..PrepareOptions::default()
    }
}

fn filters(args: &FilterArgs) -> Filters {
    let usual = match args.quality {
        true => Filters::QUALITY,
        false => Filters::default(),
    };
    Filters {
        min_bytes: args.min_document_bytes,
        max_bytes: args.max_document_bytes,
        min_letters_percent: args.min_letters.or(usual.min_letters_percent),
        max_whitespace_percent: args.max_whitespace.or(usual.max_whitespace_percent),
        max_line_bytes: args.max_line_bytes.or(usual.max_line_bytes),
        max_repeated_lines_percent: args.max_repeated_lines.or(usual.max_repeated_lines_percent),
    }
}

/// The folder's full path where the system knows it, else as given.
fn absolute(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
}
