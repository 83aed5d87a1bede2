//! Turns files and folders into token shards, a held-out part and a manifest.
//!
//! A document is its boundary token, then its text's tokens. The last part of each document is
//! held out, so that the held-out tokens cover every source in proportion. Sources follow each
//! other in the order given, files in name order, and every source has shards of its own.

use super::intake::{Counts, Intake};
use super::manifest::{FORMAT, PartEntry, SourceEntry, TokenizerId};
use super::walk::{Found, Walk};
use super::write::Workplace;
use super::{
    DataClass, DataError, Format, LeftOut, MAX_VOCABULARY, Manifest, PrepareOptions, SourceOptions,
    TOKENIZER_FILE, TokenFileFault, Tokenizer, foreign::TokenFile, io, tokenizer,
};
use std::fs;
use std::path::{Path, PathBuf};

/// How far a preparation is.
#[derive(Clone, Copy, Debug)]
pub struct PrepareProgress<'a> {
    /// The file being looked at.
    pub path: &'a Path,
    /// Documents taken so far.
    pub documents: u64,
    /// Bytes of text, or of token files, taken so far.
    pub bytes: u64,
    /// Bytes of files looked at so far.
    pub read: u64,
    /// Bytes of all files, as they were at the beginning.
    pub total: u64,
}

/// What a preparation made, and what it left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What the folder holds.
    pub manifest: Manifest,
    /// The files that were not taken.
    pub left_out: LeftOut,
}

/// Takes a preparation's progress.
pub(super) type Observer<'a> = &'a mut dyn FnMut(&PrepareProgress<'_>);

/// Prepares `sources` into the folder `out`, which is created if it is absent.
///
/// # Errors
/// A source that cannot be read, a link that leaves its folder, an `out` that is in use or within
/// a source, no text, a full disk. Without an error there is a manifest; with one, nothing of the
/// attempt is left.
pub fn prepare(
    sources: &[SourceOptions],
    out: &Path,
    options: &PrepareOptions,
    progress: Observer<'_>,
) -> Result<Prepared, DataError> {
    options.check(sources)?;
    for path in sources.iter().flat_map(|source| &source.paths) {
        fs::metadata(path).map_err(io("find", path))?;
    }
    let class = sources.iter().map(|source| source.class).max();
    let workplace = Workplace::take(out, class.unwrap_or_default())?;
    refuse_out(sources, out)?;
    let scheme = Scheme::choose(sources, options)?;
    if scheme.file.is_some() {
        workplace.refuse_file(TOKENIZER_FILE)?;
    }
    let writers = workplace.writers(scheme.id.token_bytes(), options.shard_bytes);
    let total = total_bytes(sources)?;
    let mut intake = Intake::new(options, &scheme, writers, total, progress);
    let (mut entries, mut ends) = (Vec::new(), (0, 0));
    for source in sources {
        for path in &source.paths {
            take_path(&mut intake, source, path)?;
        }
        let (counts, training, held_out) = intake.end_source()?;
        let entry = entry(source, &counts, training, held_out, ends);
        ends.0 += entry.training.tokens;
        ends.1 += entry.held_out.tokens;
        entries.push(entry);
    }
    let (files, left_out) = intake.end();
    let manifest = manifest(entries, options, scheme.id);
    refuse_nothing(&manifest, files, &left_out)?;
    let mut other = Vec::new();
    if let Some(bytes) = &scheme.file {
        workplace.file(TOKENIZER_FILE, bytes)?;
        other.push(TOKENIZER_FILE);
    }
    manifest.check_size(out)?;
    workplace.finish(&manifest, &other)?;
    Ok(Prepared { manifest, left_out })
}

/// What turns this preparation's documents into tokens.
pub(super) struct Scheme {
    /// Encodes text; absent where another program made all tokens.
    pub(super) tokenizer: Option<Tokenizer>,
    pub(super) id: TokenizerId,
    /// The tokenizer's file, of which the folder gets a copy.
    file: Option<Vec<u8>>,
}

impl Scheme {
    fn choose(sources: &[SourceOptions], options: &PrepareOptions) -> Result<Self, DataError> {
        let is_tokens = |source: &SourceOptions| matches!(source.format, Format::Tokens(_));
        if let Some(path) = &options.tokenizer {
            let file = tokenizer::read_file(path)?;
            let boundary = options.boundary.as_deref();
            let tokenizer = Tokenizer::of_file(path, &file, boundary)?;
            return Ok(Self {
                id: tokenizer.id(),
                tokenizer: Some(tokenizer),
                file: Some(file),
            });
        }
        if !sources.iter().any(is_tokens) {
            return Ok(Self {
                tokenizer: Some(Tokenizer::Bytes),
                id: TokenizerId::bytes(),
                file: None,
            });
        }
        if let Some(index) = sources.iter().position(|source| !is_tokens(source)) {
            return Err(DataError::TextAmongTokens { index: index + 1 });
        }
        Ok(Self {
            tokenizer: None,
            id: TokenizerId::external(vocabulary(sources, options)?),
            file: None,
        })
    }
}

/// Tokens of a tokenizer that is not here: as told, or as the files say.
fn vocabulary(sources: &[SourceOptions], options: &PrepareOptions) -> Result<u32, DataError> {
    if let Some(found) = options.vocabulary {
        if (1..=MAX_VOCABULARY).contains(&found) {
            return Ok(found);
        }
        return Err(DataError::Option {
            field: "vocabulary",
            expected: "1 to 2^31 tokens",
            found: u64::from(found),
        });
    }
    let mut most = 0;
    for source in sources {
        let Format::Tokens(format) = source.format else {
            continue;
        };
        for path in files(source)? {
            let found = TokenFile::open(&path, format)?.vocabulary;
            let reason = TokenFileFault::NoVocabulary;
            most = most.max(found.ok_or(DataError::TokenFile { path, reason })?);
        }
    }
    // Without a file there is no token either, which is told when all sources were read.
    Ok(most.max(1))
}

/// Every file of a source, in the order they are read.
fn files(source: &SourceOptions) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for path in &source.paths {
        let mut walk = walk(source, path)?;
        while let Some(found) = walk.next()? {
            if let Found::File(path) = found {
                files.push(path);
            }
        }
    }
    Ok(files)
}

fn walk(source: &SourceOptions, path: &Path) -> Result<Walk, DataError> {
    let is_tokens = matches!(source.format, Format::Tokens(_));
    match source.extensions.is_empty() && is_tokens {
        true => Walk::new(path, &["bin".to_owned()]),
        false => Walk::new(path, &source.extensions),
    }
}

fn total_bytes(sources: &[SourceOptions]) -> Result<u64, DataError> {
    let mut total = 0u64;
    for source in sources {
        for path in files(source)? {
            let length = fs::metadata(&path).map_err(io("look at", &path))?.len();
            total = total.saturating_add(length);
        }
    }
    Ok(total)
}

fn take_path(
    intake: &mut Intake<'_>,
    source: &SourceOptions,
    path: &Path,
) -> Result<(), DataError> {
    let mut walk = walk(source, path)?;
    while let Some(found) = walk.next()? {
        match found {
            Found::NotFile(path) => intake.note_no_file(&path),
            Found::File(path) => intake.take_file(&path, source)?,
        }
    }
    Ok(())
}

fn entry(
    source: &SourceOptions,
    counts: &Counts,
    training: Vec<super::ShardFile>,
    held_out: Vec<super::ShardFile>,
    starts: (u64, u64),
) -> SourceEntry {
    let part = |start, bytes, shards: Vec<super::ShardFile>| PartEntry {
        start,
        tokens: shards.iter().map(|shard| shard.tokens).sum(),
        bytes,
        shards,
    };
    let (training_bytes, held_out_bytes) = counts.text_bytes();
    SourceEntry {
        name: source.name.clone(),
        sector: source.sector.clone(),
        language: source.language.clone(),
        licence: source.licence.clone(),
        provenance: source.provenance.clone(),
        class: source.class,
        documents: counts.documents,
        skipped: counts.skipped,
        training: part(starts.0, training_bytes, training),
        held_out: part(starts.1, held_out_bytes, held_out),
    }
}

fn manifest(
    sources: Vec<SourceEntry>,
    options: &PrepareOptions,
    tokenizer: TokenizerId,
) -> Manifest {
    let class = sources.iter().map(|source| source.class).max();
    Manifest {
        format: FORMAT.to_owned(),
        name: options.name.clone(),
        class: class.unwrap_or(DataClass::Sovereign),
        token_bytes: tokenizer.token_bytes(),
        tokenizer,
        held_out_percent: options.held_out_percent,
        filters: options.filters,
        deduplicated: options.deduplicate,
        sources,
    }
}

fn refuse_nothing(manifest: &Manifest, files: u64, left_out: &LeftOut) -> Result<(), DataError> {
    if manifest.documents() == 0 {
        let skipped = manifest.sources.iter().map(|s| s.skipped.total()).sum();
        let left_out = left_out.clone();
        return Err(DataError::NoText {
            files,
            skipped,
            left_out,
        });
    }
    if manifest.held_out_tokens() == 0 {
        return Err(DataError::NothingHeldOut {
            tokens: manifest.training_tokens(),
            percent: manifest.held_out_percent,
        });
    }
    Ok(())
}

fn refuse_out(sources: &[SourceOptions], out: &Path) -> Result<(), DataError> {
    let real_out = fs::canonicalize(out).map_err(io("find", out))?;
    for source in sources.iter().flat_map(|source| &source.paths) {
        let real_source = fs::canonicalize(source).map_err(io("find", source))?;
        if real_out.starts_with(&real_source) {
            let (out, source_path) = (out.to_owned(), source.clone());
            return Err(DataError::OutInsideSource { out, source_path });
        }
    }
    Ok(())
}
