//! Takes documents in: judges each, encodes it, and writes it into the shards of its source.

use super::documents::{Document, Ending};
use super::encode::TextWriter;
use super::foreign::{TokenFile, TokenFormat};
use super::left_out::{self, Reason as Why};
use super::prepare::{Observer, PrepareProgress, Scheme};
use super::quality::{Measure, Reason};
use super::write::PartWriter;
use super::{
    DataError, Format, LeftOut, LineFault, PrepareOptions, ShardFile, Skipped, SourceOptions,
    Tokenizer, io, json, jsonl,
};
use archipel_protocol::crypto::holds_secret_key;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

/// Tokens of a file of tokens that are in memory at once.
const BLOCK_TOKENS: usize = 1 << 16;
/// A longer file is no key.
const MAX_KEY_BYTES: u64 = 4096;

/// What came of a source.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) documents: u64,
    pub(super) skipped: Skipped,
    training_bytes: u64,
    held_out_bytes: u64,
    /// Whether tokens were taken of which nobody knows the text.
    has_foreign: bool,
}

impl Counts {
    /// Bytes of text trained on and held out, where they are known.
    pub(super) fn text_bytes(&self) -> (Option<u64>, Option<u64>) {
        match self.has_foreign {
            true => (None, None),
            false => (Some(self.training_bytes), Some(self.held_out_bytes)),
        }
    }

    fn skip(&mut self, reason: Reason) {
        let skipped = &mut self.skipped;
        *match reason {
            Reason::TooShort => &mut skipped.too_short,
            Reason::TooLong => &mut skipped.too_long,
            Reason::FewLetters => &mut skipped.few_letters,
            Reason::MuchWhitespace => &mut skipped.much_whitespace,
            Reason::LongLine => &mut skipped.long_line,
            Reason::RepeatedLines => &mut skipped.repeated_lines,
        } += 1;
    }
}

/// A preparation under way.
pub(super) struct Intake<'a> {
    options: &'a PrepareOptions,
    scheme: &'a Scheme,
    training: PartWriter,
    held_out: PartWriter,
    seen: HashSet<[u8; 32]>,
    counts: Counts,
    /// Documents and bytes of all sources.
    documents: u64,
    bytes: u64,
    files: u64,
    left_out: LeftOut,
    read: u64,
    total: u64,
    progress: Observer<'a>,
}

/// Refuses a member's key: what it is trained on, a model may say.
fn refuse_key(path: &Path, length: u64) -> Result<(), DataError> {
    if length > MAX_KEY_BYTES || !holds_secret_key(&fs::read(path).map_err(io("read", path))?) {
        return Ok(());
    }
    Err(DataError::SecretKey {
        path: path.to_owned(),
    })
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        options: &'a PrepareOptions,
        scheme: &'a Scheme,
        (training, held_out): (PartWriter, PartWriter),
        total: u64,
        progress: Observer<'a>,
    ) -> Self {
        Self {
            options,
            scheme,
            training,
            held_out,
            seen: HashSet::new(),
            counts: Counts::default(),
            documents: 0,
            bytes: 0,
            files: 0,
            left_out: LeftOut::default(),
            read: 0,
            total,
            progress,
        }
    }

    /// Ends everything: files looked at, and those left out.
    pub(super) fn end(self) -> (u64, LeftOut) {
        (self.files, self.left_out)
    }

    /// Notes something that is no file.
    pub(super) fn note_no_file(&mut self, path: &Path) {
        self.files += 1;
        self.leave_out(path, Why::NotFile);
    }

    fn leave_out(&mut self, path: &Path, why: Why) {
        self.left_out.note(path, why, &mut self.counts.skipped);
    }

    /// Ends a source: its counts, and its shards of training and held-out tokens.
    pub(super) fn end_source(
        &mut self,
    ) -> Result<(Counts, Vec<ShardFile>, Vec<ShardFile>), DataError> {
        let (training, held_out) = (self.training.end_source()?, self.held_out.end_source()?);
        Ok((std::mem::take(&mut self.counts), training, held_out))
    }

    /// Takes the documents of a file.
    pub(super) fn take_file(
        &mut self,
        path: &Path,
        source: &SourceOptions,
    ) -> Result<(), DataError> {
        self.files += 1;
        let length = fs::metadata(path).map_err(io("look at", path))?.len();
        refuse_key(path, length)?;
        let end = self.read.saturating_add(length);
        match format_of(path, source.format) {
            Err(other) => self.leave_out(path, Why::Format(other)),
            Ok(Format::Parquet) => self.take_table(path, &source.field, length)?,
            Ok(Format::Tokens(format)) => self.take_tokens(path, format, length)?,
            Ok(_) if length == 0 => self.leave_out(path, Why::Empty),
            Ok(format @ (Format::JsonLines | Format::Json)) => {
                self.take_objects(path, format, &source.field)?;
            }
            Ok(Format::Text | Format::Auto) if length > self.room() => {
                self.counts.skipped.beyond_limit += 1;
            }
            Ok(Format::Text | Format::Auto) => self.take_document(Document::File(path))?,
        }
        self.read = end;
        self.tell(path);
        Ok(())
    }

    /// Bytes that may still be taken.
    fn room(&self) -> u64 {
        self.options.max_bytes - self.bytes
    }

    fn tell(&mut self, path: &Path) {
        (self.progress)(&PrepareProgress {
            path,
            documents: self.documents,
            bytes: self.bytes,
            read: self.read,
            total: self.total,
        });
    }

    fn take_objects(&mut self, path: &Path, format: Format, field: &str) -> Result<(), DataError> {
        let mut first = [0; 4];
        let count = File::open(path)
            .and_then(|mut file| file.read(&mut first))
            .map_err(io("read", path))?;
        if let Some(encoding) = left_out::wide_encoding(&first[..count]) {
            self.leave_out(path, Why::Wide(encoding));
            return Ok(());
        }
        let start = self.read;
        let mut take = |number, document, read| {
            self.take_record(path, number, document)?;
            self.read = start + read;
            self.tell(path);
            Ok(())
        };
        match format {
            Format::Json => json::documents(path, field, &mut take),
            _ => jsonl::documents(path, field, &mut take),
        }
    }

    #[cfg(feature = "parquet")]
    fn take_table(&mut self, path: &Path, field: &str, length: u64) -> Result<(), DataError> {
        let start = self.read;
        super::parquet::documents(path, field, &mut |(row, rows), document| {
            match document {
                super::parquet::Cell::NotUtf8 => self.counts.skipped.not_utf8 += 1,
                super::parquet::Cell::Text(text) => self.take_record(path, row, Ok(text))?,
                super::parquet::Cell::Null => {
                    let field = field.to_owned();
                    self.take_record(path, row, Err(LineFault::NotText { field }))?;
                }
            }
            let done = u128::from(length) * u128::from(row) / u128::from(rows.max(1));
            self.read = start + done as u64;
            self.tell(path);
            Ok(())
        })
    }

    #[cfg(not(feature = "parquet"))]
    fn take_table(&mut self, path: &Path, _: &str, _: u64) -> Result<(), DataError> {
        let path = path.to_owned();
        Err(DataError::NeedsParquet { path })
    }

    fn take_record(
        &mut self,
        path: &Path,
        line: u64,
        document: Result<String, LineFault>,
    ) -> Result<(), DataError> {
        match document {
            Ok(text) => self.take_document(Document::Text(&text, path)),
            Err(_) if self.options.skip_bad_lines => {
                self.counts.skipped.bad_lines += 1;
                Ok(())
            }
            Err(reason) => Err(DataError::BadLine {
                path: path.to_owned(),
                line,
                reason,
            }),
        }
    }

    /// Judges a document, and writes it if it is good.
    fn take_document(&mut self, document: Document<'_>) -> Result<(), DataError> {
        let mut measure = Measure::new(self.options.filters);
        let ending = document.pieces(&mut |piece| {
            // The byte that stands for a document's boundary; no text has it.
            let is_text = !piece.as_bytes().contains(&super::DOCUMENT_BOUNDARY);
            if is_text {
                measure.add(piece);
            }
            if let Document::File(path) = document {
                self.read += piece.len() as u64;
                self.tell(path);
            }
            Ok(is_text)
        })?;
        let bytes = measure.bytes;
        let skipped = &mut self.counts.skipped;
        match (ending, document) {
            (Ending::NotUtf8(at) | Ending::Enough(at), Document::File(path)) => {
                let why = left_out::look(path, at)?;
                self.leave_out(path, why);
            }
            (Ending::NotUtf8(_), Document::Text(..)) => skipped.not_utf8 += 1,
            (Ending::Enough(_), Document::Text(..)) => skipped.binary += 1,
            (Ending::Whole, _) if bytes == 0 => skipped.empty += 1,
            (Ending::Whole, _) if bytes > self.options.max_bytes - self.bytes => {
                skipped.beyond_limit += 1;
            }
            (Ending::Whole, _) => match measure.broken() {
                Some(reason) => self.counts.skip(reason),
                None if self.is_duplicate(measure.hash()) => self.counts.skipped.duplicates += 1,
                None => {
                    self.write(document, bytes, measure.hash())?;
                    self.note_taken(bytes);
                }
            },
        }
        Ok(())
    }

    fn note_taken(&mut self, bytes: u64) {
        self.counts.documents += 1;
        self.documents += 1;
        self.bytes += bytes;
    }

    fn is_duplicate(&mut self, hash: [u8; 32]) -> bool {
        self.options.deduplicate && !self.seen.insert(hash)
    }

    /// Encodes a document of `length` bytes, its last part for the held-out shards.
    fn write(
        &mut self,
        document: Document<'_>,
        length: u64,
        expected: [u8; 32],
    ) -> Result<(), DataError> {
        let tokenizer = self.scheme.tokenizer.as_ref();
        let tokenizer = tokenizer.expect("sources of text have a tokenizer");
        let border = length - part(length, self.options.held_out_percent);
        let mut training = TextWriter::new(tokenizer, &mut self.training);
        let mut held_out = TextWriter::new(tokenizer, &mut self.held_out);
        let (mut done, mut hasher) = (0, blake3::Hasher::new());
        training.begin()?;
        let ending = document.pieces(&mut |piece| {
            let bytes = piece.as_bytes();
            hasher.update(bytes);
            let at = border.saturating_sub(done).min(bytes.len() as u64) as usize;
            // Bytes may be cut anywhere; other tokens are made of whole characters.
            let at = match tokenizer {
                Tokenizer::Bytes => at,
                #[cfg(feature = "hf-tokenizer")]
                Tokenizer::Hf(_) => piece.floor_char_boundary(at),
            };
            training.add(&bytes[..at])?;
            if at < bytes.len() {
                held_out.begin()?;
                held_out.add(&bytes[at..])?;
            }
            done += bytes.len() as u64;
            Ok(done <= length)
        })?;
        self.counts.training_bytes += training.finish()?;
        self.counts.held_out_bytes += held_out.finish()?;
        if ending != Ending::Whole || hasher.finalize() != expected {
            let path = document.path().to_owned();
            return Err(DataError::Changing { path });
        }
        Ok(())
    }

    /// Takes the tokens that another program made. Filters speak of text, and pass them all.
    fn take_tokens(
        &mut self,
        path: &Path,
        format: TokenFormat,
        length: u64,
    ) -> Result<(), DataError> {
        if length > self.room() {
            self.counts.skipped.beyond_limit += 1;
            return Ok(());
        }
        let file = TokenFile::open(path, format)?;
        self.counts.has_foreign = true;
        for number in 0..file.documents() {
            let range = file.document(number);
            let bytes = (range.len() * file.width()) as u64;
            let mut hasher = blake3::Hasher::new_derive_key("archipel/token-document/v1");
            hasher.update(file.raw(range.clone()));
            if range.is_empty() {
                self.counts.skipped.empty += 1;
            } else if self.is_duplicate(*hasher.finalize().as_bytes()) {
                self.counts.skipped.duplicates += 1;
            } else {
                let held_out = part(range.len() as u64, self.options.held_out_percent) as usize;
                let border = range.end - held_out;
                self.copy_tokens(path, &file, range.start..border, Part::Training)?;
                self.copy_tokens(path, &file, border..range.end, Part::HeldOut)?;
                self.note_taken(bytes);
            }
            self.read += bytes;
            self.tell(path);
        }
        Ok(())
    }

    fn copy_tokens(
        &mut self,
        path: &Path,
        file: &TokenFile,
        range: std::ops::Range<usize>,
        part: Part,
    ) -> Result<(), DataError> {
        let vocabulary = self.scheme.id.vocabulary;
        for start in range.clone().step_by(BLOCK_TOKENS) {
            let block = start..range.end.min(start + BLOCK_TOKENS);
            let tokens = file.read(block, vocabulary);
            let tokens = tokens.map_err(|reason| DataError::TokenFile {
                path: path.to_owned(),
                reason,
            })?;
            match part {
                Part::Training => self.training.tokens(&tokens)?,
                Part::HeldOut => self.held_out.tokens(&tokens)?,
            }
        }
        Ok(())
    }
}

/// Where tokens go.
#[derive(Clone, Copy)]
enum Part {
    Training,
    HeldOut,
}

/// The part of a length that is held out, rounded down.
fn part(length: u64, percent: u8) -> u64 {
    (u128::from(length) * u128::from(percent) / 100) as u64
}

/// How a file's documents are found; or a format that is not read unasked.
fn format_of(path: &Path, format: Format) -> Result<Format, &'static left_out::OtherFormat> {
    if format != Format::Auto {
        return Ok(format);
    }
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    match extension.to_str() {
        Some("jsonl" | "ndjson") => Ok(Format::JsonLines),
        Some("parquet") => Ok(Format::Parquet),
        _ => left_out::by_extension(path).map_or(Ok(Format::Text), Err),
    }
}
