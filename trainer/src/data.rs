//! Where tokens come from: memory, or shards on disk under a manifest.
//!
//! A token is a number below its tokenizer's vocabulary. With the byte tokenizer it is a byte's
//! value, and [`DOCUMENT_BOUNDARY`] stands before every document.

mod documents;
mod encode;
mod error;
mod foreign;
mod intake;
mod json;
mod jsonl;
mod left_out;
mod manifest;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
mod prepare;
mod quality;
mod shards;
#[cfg(test)]
mod tests;
mod tokenizer;
mod walk;
mod write;

pub use error::DataError;
pub use foreign::{MAX_VOCABULARY, TokenFileFault, TokenFormat};
pub use jsonl::LineFault;
pub use left_out::{LeftOut, LeftOutKind};
pub use manifest::{
    DataClass, MANIFEST_FILE, Manifest, ManifestFault, PartEntry, ShardFile, Skipped, SourceEntry,
    TokenizerId,
};
pub use options::{Format, PrepareOptions, SourceOptions};
pub use prepare::{PrepareProgress, Prepared, prepare};
pub use quality::Filters;
pub use shards::{Dataset, Part};
pub use tokenizer::{TOKENIZER_FILE, Tokenizer, TokenizerError};

use archipel_protocol::random::{Stream, derive_key};
use error::io;
use std::ops::Range;

/// The byte tokenizer's token before every document. Text has no such byte: files that do are
/// skipped as binary.
pub const DOCUMENT_BOUNDARY: u8 = 0;

/// The tokens of `bytes` under the byte tokenizer: their values.
pub fn byte_tokens(bytes: &[u8]) -> Vec<u32> {
    bytes.iter().map(|byte| u32::from(*byte)).collect()
}

/// Tokens of one sector that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectorRange {
    /// The sector's name.
    pub sector: String,
    /// Which tokens of the source.
    pub tokens: Range<u64>,
}

/// Tokens that windows can be copied from.
pub trait TokenSource: Send + Sync {
    /// Number of tokens.
    fn len(&self) -> u64;

    /// Whether there are no tokens.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` with the tokens from `start` on.
    ///
    /// # Errors
    /// A window that leaves the source, or a source that cannot be read.
    fn copy_window(&self, start: u64, out: &mut [u32]) -> Result<(), DataError>;

    /// The sectors, in token order; a sector may have several ranges. None where nobody told them
    /// apart.
    fn sectors(&self) -> &[SectorRange] {
        &[]
    }

    /// For each token the one that is to be predicted in its place: itself where none is listed.
    /// Only studies of wrong labels list any.
    fn labels(&self) -> &[u32] {
        &[]
    }
}

/// Tokens in memory.
#[derive(Clone, Debug)]
pub struct MemorySource {
    tokens: Kept,
    sectors: Vec<SectorRange>,
}

/// Bytes stay bytes: text in memory is not to grow fourfold.
#[derive(Clone, Debug)]
enum Kept {
    Bytes(Vec<u8>),
    Tokens(Vec<u32>),
}

impl MemorySource {
    /// Takes the bytes over as tokens.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            tokens: Kept::Bytes(bytes),
            sectors: Vec::new(),
        }
    }

    /// Takes tokens of any tokenizer over.
    pub fn of_tokens(tokens: Vec<u32>) -> Self {
        Self {
            tokens: Kept::Tokens(tokens),
            sectors: Vec::new(),
        }
    }

    /// Tells sectors apart.
    #[must_use]
    pub fn with_sectors(mut self, sectors: Vec<SectorRange>) -> Self {
        self.sectors = sectors;
        self
    }
}

impl TokenSource for MemorySource {
    fn len(&self) -> u64 {
        let length = match &self.tokens {
            Kept::Bytes(bytes) => bytes.len(),
            Kept::Tokens(tokens) => tokens.len(),
        };
        length as u64
    }

    fn copy_window(&self, start: u64, out: &mut [u32]) -> Result<(), DataError> {
        let range = window(start, out.len(), self.len())?;
        match &self.tokens {
            Kept::Bytes(bytes) => widen(&bytes[range], 1, out),
            Kept::Tokens(tokens) => out.copy_from_slice(&tokens[range]),
        }
        Ok(())
    }

    fn sectors(&self) -> &[SectorRange] {
        &self.sectors
    }
}

/// Reads little-endian tokens of `width` bytes: 1, 2 or 4.
fn widen(bytes: &[u8], width: usize, out: &mut [u32]) {
    let read = |bytes: &[u8]| {
        let mut four = [0; 4];
        four[..width].copy_from_slice(bytes);
        u32::from_le_bytes(four)
    };
    for (token, bytes) in out.iter_mut().zip(bytes.chunks_exact(width)) {
        *token = read(bytes);
    }
}

/// Picks `count` windows of `length` tokens out of a source, the same for the same seed.
///
/// # Errors
/// Where the source is shorter than one window, or cannot be read.
pub fn windows(
    source: &dyn TokenSource,
    seed: [u8; 32],
    count: usize,
    length: usize,
) -> Result<Vec<Vec<u32>>, DataError> {
    if length == 0 || source.len() < length as u64 {
        return Err(DataError::TooShort {
            expected: length.max(1),
            found: source.len(),
        });
    }
    let mut stream = Stream::new(derive_key("archipel/held-out-windows/v1", &[&seed]));
    let starts = source.len() - length as u64 + 1;
    let mut window = || {
        let mut tokens = vec![0; length];
        source.copy_window(stream.below(starts), &mut tokens)?;
        Ok(tokens)
    };
    (0..count).map(|_| window()).collect()
}

/// The positions of a window, or that it leaves the source.
fn window(start: u64, length: usize, tokens: u64) -> Result<Range<usize>, DataError> {
    match start.checked_add(length as u64) {
        Some(end) if end <= tokens => Ok(start as usize..end as usize),
        _ => Err(DataError::Window {
            start,
            length,
            tokens,
        }),
    }
}
