//! Where tokens come from: bytes in memory, or shards on disk under a manifest.
//!
//! The tokenizer is the byte: a token is a byte's value, and [`DOCUMENT_BOUNDARY`] stands before
//! every document.

mod manifest;
mod prepare;
mod shards;
#[cfg(test)]
mod tests;
mod walk;
mod write;

pub use manifest::{DataClass, MANIFEST_FILE, Manifest, ShardFile, Skipped};
pub use prepare::{PrepareOptions, PrepareProgress, prepare};
pub use shards::Dataset;

use archipel_protocol::random::{Stream, derive_key};
use std::path::PathBuf;

/// The token before every document. Text has no such byte: files that do are skipped as binary.
pub const DOCUMENT_BOUNDARY: u8 = 0;

/// The tokens of `bytes` under the byte tokenizer: their values.
pub fn byte_tokens(bytes: &[u8]) -> Vec<u32> {
    bytes.iter().map(|byte| u32::from(*byte)).collect()
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
}

/// Tokens in memory.
#[derive(Clone, Debug)]
pub struct MemorySource {
    tokens: Kept,
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
        let tokens = Kept::Bytes(bytes);
        Self { tokens }
    }

    /// Takes tokens of any tokenizer over.
    pub fn of_tokens(tokens: Vec<u32>) -> Self {
        let tokens = Kept::Tokens(tokens);
        Self { tokens }
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
            Kept::Bytes(bytes) => widen(&bytes[range], out),
            Kept::Tokens(tokens) => out.copy_from_slice(&tokens[range]),
        }
        Ok(())
    }
}

/// Writes bytes as the tokens they are.
fn widen(bytes: &[u8], out: &mut [u32]) {
    for (token, byte) in out.iter_mut().zip(bytes) {
        *token = u32::from(*byte);
    }
}

/// Picks `count` windows of `length` byte tokens out of `bytes`, the same for the same seed.
///
/// # Errors
/// Where `bytes` is shorter than one window.
pub fn windows(
    bytes: &[u8],
    seed: [u8; 32],
    count: usize,
    length: usize,
) -> Result<Vec<Vec<u32>>, DataError> {
    if length == 0 || bytes.len() < length {
        return Err(DataError::TooShort {
            expected: length.max(1),
            found: bytes.len(),
        });
    }
    let mut stream = Stream::new(derive_key("archipel/held-out-windows/v1", &[&seed]));
    let starts = (bytes.len() - length + 1) as u64;
    let window = |_| {
        let start = stream.below(starts) as usize;
        byte_tokens(&bytes[start..start + length])
    };
    Ok((0..count).map(window).collect())
}

/// The positions of a window, or that it leaves the source.
fn window(start: u64, length: usize, tokens: u64) -> Result<std::ops::Range<usize>, DataError> {
    match start.checked_add(length as u64) {
        Some(end) if end <= tokens => Ok(start as usize..end as usize),
        _ => Err(DataError::Window {
            start,
            length,
            tokens,
        }),
    }
}

/// Why data could not be prepared, opened or read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A window leaves the source.
    #[error("a window of {length} tokens at {start} leaves a source of {tokens}")]
    Window {
        /// Where the window begins.
        start: u64,
        /// Tokens of the window.
        length: usize,
        /// Tokens of the source.
        tokens: u64,
    },
    /// There are fewer bytes than one window has.
    #[error("a window has {expected} bytes, the held-out text has {found}: prepare more text")]
    TooShort {
        /// Bytes of a window.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A setting of the preparation is out of its range.
    #[error("{field} must be {expected}, found {found}")]
    Option {
        /// The field's name.
        field: &'static str,
        /// The range, in words.
        expected: &'static str,
        /// The value found.
        found: u64,
    },
    /// The folder to write to is read from as well.
    #[error(
        "{} lies inside the source {}: choose a folder outside it",
        out.display(),
        source_path.display()
    )]
    OutInsideSource {
        /// The folder to write to.
        out: PathBuf,
        /// The source.
        source_path: PathBuf,
    },
    /// The folder already holds prepared data.
    #[error("{} already holds prepared data: choose another folder or delete it", out.display())]
    OutInUse {
        /// The folder to write to.
        out: PathBuf,
    },
    /// A symbolic link points out of the folder that is read.
    #[error(
        "the link {} leaves its folder for {}: remove it or give its target",
        link.display(),
        target.display()
    )]
    LinkLeaves {
        /// The link.
        link: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A file changed while it was read.
    #[error("{} changed while it was read: prepare again", path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// No text was found.
    #[error("no text in the sources: {files} files looked at, none was UTF-8 text with content")]
    NoText {
        /// Files looked at.
        files: u64,
    },
    /// There is text, but too little of it to hold any out.
    #[error("the sources have {bytes} bytes of text, too few to hold {percent} % out: give more")]
    NothingHeldOut {
        /// Bytes of text.
        bytes: u64,
        /// The part asked for.
        percent: u8,
    },
    /// The manifest is no manifest.
    #[error("{} is no manifest of this version: {reason}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: ManifestFault,
    },
    /// A shard is shorter or longer than its manifest says.
    #[error(
        "{} has {found} bytes, its manifest says {expected}: it was cut off or changed; \
         restore it or prepare the data again",
        path.display()
    )]
    ShardLength {
        /// The shard.
        path: PathBuf,
        /// Bytes the manifest names.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A shard's bytes are not those its manifest was written for.
    #[error(
        "{} hashes to {found}, its manifest says {expected}: it was changed; restore it or \
         prepare the data again",
        path.display()
    )]
    ShardHash {
        /// The shard.
        path: PathBuf,
        /// BLAKE3 the manifest names, in hexadecimal.
        expected: String,
        /// BLAKE3 found, in hexadecimal.
        found: String,
    },
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestFault {
    /// Larger than any manifest may be.
    #[error("it has {found} bytes, at most {limit} are read")]
    TooLarge {
        /// The most bytes read.
        limit: u64,
        /// Bytes found.
        found: u64,
    },
    /// Not the JSON of a manifest.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Another version or tokenizer.
    #[error("{field} must be {expected:?}, found {found:?}")]
    Unknown {
        /// The field.
        field: &'static str,
        /// The value this version reads.
        expected: &'static str,
        /// The value found.
        found: String,
    },
    /// A file is not named as shards are.
    #[error("shard {index} must be named {expected:?}, found {found:?}")]
    ShardName {
        /// Position in the list.
        index: usize,
        /// The name it must have.
        expected: String,
        /// The name found.
        found: String,
    },
    /// The counts do not add up.
    #[error("its shards have {found} tokens, it says {expected}")]
    Total {
        /// The total it names.
        expected: u64,
        /// The sum of its shards.
        found: u64,
    },
}

fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> DataError {
    let path = path.to_owned();
    move |source| DataError::Io {
        action,
        path,
        source,
    }
}
