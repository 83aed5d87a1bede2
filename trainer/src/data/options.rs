//! What a preparation is asked for: its sources, and what all of them have in common.

use super::{DataClass, DataError, Filters, TokenFormat};
use std::path::PathBuf;

/// The most bytes of a name.
const MAX_NAME_BYTES: usize = 200;

/// How a source's files hold documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// By the file's extension: `jsonl` and `ndjson`, `parquet`; those of formats that hold text
    /// among other things, such as `json`, `html` and `pdf`, are left out; everything else is text.
    #[default]
    Auto,
    /// A file is a document.
    Text,
    /// A line is a JSON object, one field of it a document.
    JsonLines,
    /// Objects in an array, or one after the other; one field of each is a document.
    Json,
    /// A row of a column is a document.
    Parquet,
    /// Tokens that another program made.
    Tokens(TokenFormat),
}

/// One source: files, and what their owner says about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOptions {
    /// Files, and folders of them.
    pub paths: Vec<PathBuf>,
    /// The source's name.
    pub name: String,
    /// The part of life it speaks of: what a plan mixes by, and what is evaluated apart.
    pub sector: String,
    /// Its language.
    pub language: String,
    /// Its licence.
    pub licence: String,
    /// Where it comes from.
    pub provenance: String,
    /// Who may see it; sovereign unless its owner says otherwise.
    pub class: DataClass,
    /// How its files hold documents.
    pub format: Format,
    /// The field or column of documents.
    pub field: String,
    /// Extensions of the files taken from folders, without the dot; none at all takes every file.
    pub extensions: Vec<String>,
}

impl SourceOptions {
    /// A source of the given files and folders, of which nothing else is known.
    pub fn of(paths: Vec<PathBuf>) -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            paths,
            name: "unnamed".to_owned(),
            sector: "general".to_owned(),
            language: unknown(),
            licence: unknown(),
            provenance: unknown(),
            class: DataClass::Sovereign,
            format: Format::Auto,
            field: "text".to_owned(),
            extensions: Vec::new(),
        }
    }

    /// Checks what becomes part of tables and of the plan; `index` counts from 1.
    fn check(&self, index: usize) -> Result<(), DataError> {
        for (field, found) in [("name", &self.name), ("sector", &self.sector)] {
            let bytes = 1..=MAX_NAME_BYTES;
            if !bytes.contains(&found.len()) || found.chars().any(char::is_control) {
                let (longest, found) = (MAX_NAME_BYTES, found.clone());
                return Err(DataError::Name {
                    index,
                    field,
                    longest,
                    found,
                });
            }
        }
        Ok(())
    }
}

/// What all sources of a preparation have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrepareOptions {
    /// The data's name.
    pub name: String,
    /// Part of each document that is held out, 1 to 50 percent.
    pub held_out_percent: u8,
    /// The most bytes of one shard.
    pub shard_bytes: u64,
    /// The most bytes of text, or of token files, taken in all; what would pass it is skipped.
    pub max_bytes: u64,
    /// Which documents are left out.
    pub filters: Filters,
    /// Whether a document that was taken before, byte for byte, is left out.
    pub deduplicate: bool,
    /// Whether records without a document are counted, instead of ending the preparation.
    pub skip_bad_lines: bool,
    /// A Hugging Face `tokenizer.json`; without one, text becomes bytes.
    pub tokenizer: Option<PathBuf>,
    /// The tokenizer's token before every document; without one, the first it has of those usual.
    pub boundary: Option<String>,
    /// Size of the vocabulary of token files whose tokenizer is not given.
    pub vocabulary: Option<u32>,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self {
            name: "unnamed".to_owned(),
            held_out_percent: 10,
            shard_bytes: 256 << 20,
            max_bytes: u64::MAX,
            filters: Filters::default(),
            deduplicate: true,
            skip_bad_lines: false,
            tokenizer: None,
            boundary: None,
            vocabulary: None,
        }
    }
}

impl PrepareOptions {
    /// Checks everything that needs no file.
    pub(super) fn check(&self, sources: &[SourceOptions]) -> Result<(), DataError> {
        let percent = u64::from(self.held_out_percent);
        if !(1..=50).contains(&percent) {
            let (field, expected) = ("held_out_percent", "in 1..=50");
            return Err(DataError::Option {
                field,
                expected,
                found: percent,
            });
        }
        if self.shard_bytes < 4096 {
            let (field, expected, found) = ("shard_bytes", "4096 or more", self.shard_bytes);
            return Err(DataError::Option {
                field,
                expected,
                found,
            });
        }
        self.filters.check()?;
        if sources.iter().all(|source| source.paths.is_empty()) {
            return Err(DataError::NoSource);
        }
        let mut sources = sources.iter().enumerate();
        sources.try_for_each(|(index, source)| source.check(index + 1))
    }
}
