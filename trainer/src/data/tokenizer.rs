//! Text to tokens and back: bytes, or what a Hugging Face `tokenizer.json` says.
//!
//! The file is read with the crate `tokenizers`, behind the feature `hf-tokenizer`. Text is encoded
//! without the special tokens that a tokenizer would put around a request: documents are told apart
//! by one boundary token alone.

#[cfg(feature = "hf-tokenizer")]
mod hf;

use super::manifest::{BYTES, EXTERNAL, HF, TokenizerId};
use super::{DOCUMENT_BOUNDARY, byte_tokens};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The tokenizer's name in a data folder and in a checkpoint.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// The most bytes of a tokenizer's file.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Turns text into tokens and back.
#[derive(Debug)]
pub enum Tokenizer {
    /// A token is a byte.
    Bytes,
    /// What a `tokenizer.json` says.
    #[cfg(feature = "hf-tokenizer")]
    Hf(Box<HfTokenizer>),
}

#[cfg(feature = "hf-tokenizer")]
pub use hf::HfTokenizer;

/// Why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file cannot be read.
    #[error("cannot read the tokenizer {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any tokenizer.
    #[error("the tokenizer {}: expected at most {limit} bytes, found more", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes.
        limit: u64,
    },
    /// Such tokenizers are not built in.
    #[error(
        "{}: a Hugging Face tokenizer needs a build with it: cargo build --release \
         -p archipel-node --features hf-tokenizer",
        path.display()
    )]
    NeedsFeature {
        /// The file.
        path: PathBuf,
    },
    /// The file is not the one that the data was made with.
    #[error(
        "{} hashes to {found}, its manifest says {expected}: it was changed; restore it or \
         prepare the data again",
        path.display()
    )]
    Hash {
        /// The file.
        path: PathBuf,
        /// BLAKE3 expected, in hexadecimal.
        expected: String,
        /// BLAKE3 found, in hexadecimal.
        found: String,
    },
    /// The tokens were made elsewhere.
    #[error(
        "this data holds tokens of a tokenizer that is not here: prepare it again with \
         --tokenizer FILE"
    )]
    External,
    /// A kind that this program does not know.
    #[error("unknown tokenizer {found:?}: this program knows bytes and hf")]
    Unknown {
        /// The kind.
        found: String,
    },
    /// The file is no tokenizer.
    #[cfg(feature = "hf-tokenizer")]
    #[error("{} is no tokenizer that can be read: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: tokenizers::Error,
    },
    /// The tokenizer has none of the usual boundaries.
    #[error(
        "{} has none of the usual tokens that end a document: name the one it has (--boundary)",
        path.display()
    )]
    NoBoundary {
        /// The file.
        path: PathBuf,
    },
    /// The tokenizer lacks the boundary asked for.
    #[error("{} has no token {boundary:?}: name one that it has (--boundary)", path.display())]
    UnknownBoundary {
        /// The file.
        path: PathBuf,
        /// The token asked for.
        boundary: String,
    },
    /// The tokenizer has too few or too many tokens.
    #[error("{}: expected 1 to 2^31 tokens, found {found}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Tokens found.
        found: u64,
    },
    /// A text cannot be encoded, or tokens decoded.
    #[cfg(feature = "hf-tokenizer")]
    #[error("the tokenizer cannot {action}: {reason}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What it said.
        reason: tokenizers::Error,
    },
    /// A token that is no byte.
    #[error("token {token} is no byte: expected tokens below 256")]
    NoByte {
        /// The token.
        token: u32,
    },
}

/// Which token stands before every document.
#[cfg_attr(
    not(feature = "hf-tokenizer"),
    expect(dead_code, reason = "read by hf alone")
)]
enum Boundary<'a> {
    /// The first of those usual.
    Usual,
    Named(&'a str),
    Is(u32),
}

impl Tokenizer {
    /// Reads a `tokenizer.json`; `boundary` is its token before every document, or else the first
    /// it has of those usual.
    ///
    /// # Errors
    /// A file that is no tokenizer, or lacks the boundary; a build that cannot read one.
    pub fn read(path: &Path, boundary: Option<&str>) -> Result<Self, TokenizerError> {
        Self::of_file(path, &read_file(path)?, boundary)
    }

    /// As [`Self::read`], of a file that was read before.
    pub(super) fn of_file(
        path: &Path,
        bytes: &[u8],
        boundary: Option<&str>,
    ) -> Result<Self, TokenizerError> {
        let boundary = boundary.map_or(Boundary::Usual, Boundary::Named);
        Self::parse(path, bytes, boundary)
    }

    /// The tokenizer that a folder of prepared data was made with.
    ///
    /// # Errors
    /// A kind that this program or build does not know; a file that was changed.
    pub fn of_data(dir: &Path, id: &TokenizerId) -> Result<Self, TokenizerError> {
        match id.kind.as_str() {
            BYTES => Ok(Self::Bytes),
            EXTERNAL => Err(TokenizerError::External),
            HF => {
                let path = dir.join(TOKENIZER_FILE);
                let bytes = check_file(&path, id)?;
                let boundary = id.boundary.map_or(Boundary::Usual, Boundary::Is);
                Self::parse(&path, &bytes, boundary)
            }
            found => Err(TokenizerError::Unknown {
                found: found.to_owned(),
            }),
        }
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// A text that the tokenizer refuses.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        match self {
            Self::Bytes => Ok(byte_tokens(text.as_bytes())),
            #[cfg(feature = "hf-tokenizer")]
            Self::Hf(tokenizer) => tokenizer.encode(text),
        }
    }

    /// The text of tokens, as bytes; boundaries are left as they are with bytes, and out otherwise.
    ///
    /// # Errors
    /// Tokens that the tokenizer does not have.
    pub fn decode(&self, tokens: &[u32]) -> Result<Vec<u8>, TokenizerError> {
        let byte = |token: &u32| {
            u8::try_from(*token).map_err(|_| TokenizerError::NoByte { token: *token })
        };
        match self {
            Self::Bytes => tokens.iter().map(byte).collect(),
            #[cfg(feature = "hf-tokenizer")]
            Self::Hf(tokenizer) => tokenizer.decode(tokens),
        }
    }

    /// The token before every document.
    pub fn boundary(&self) -> u32 {
        match self {
            Self::Bytes => u32::from(DOCUMENT_BOUNDARY),
            #[cfg(feature = "hf-tokenizer")]
            Self::Hf(tokenizer) => tokenizer.boundary(),
        }
    }

    /// Tokens there are; each lies below.
    pub fn vocabulary(&self) -> u32 {
        match self {
            Self::Bytes => 256,
            #[cfg(feature = "hf-tokenizer")]
            Self::Hf(tokenizer) => tokenizer.vocabulary(),
        }
    }

    /// How manifests and plans name it.
    pub fn id(&self) -> TokenizerId {
        match self {
            Self::Bytes => TokenizerId::bytes(),
            #[cfg(feature = "hf-tokenizer")]
            Self::Hf(tokenizer) => TokenizerId {
                kind: HF.to_owned(),
                blake3: Some(tokenizer.blake3().to_owned()),
                vocabulary: tokenizer.vocabulary(),
                boundary: Some(tokenizer.boundary()),
            },
        }
    }

    #[cfg(feature = "hf-tokenizer")]
    fn parse(path: &Path, bytes: &[u8], boundary: Boundary<'_>) -> Result<Self, TokenizerError> {
        let tokenizer = HfTokenizer::parse(path, bytes, boundary)?;
        Ok(Self::Hf(Box::new(tokenizer)))
    }

    #[cfg(not(feature = "hf-tokenizer"))]
    fn parse(path: &Path, _: &[u8], _: Boundary<'_>) -> Result<Self, TokenizerError> {
        let path = path.to_owned();
        Err(TokenizerError::NeedsFeature { path })
    }
}

/// Reads a tokenizer's file, and no more than any such file has.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, TokenizerError> {
    let io = |source| TokenizerError::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    let mut limited = file.take(MAX_FILE_BYTES + 1);
    limited.read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(TokenizerError::TooLarge {
            path: path.to_owned(),
            limit: MAX_FILE_BYTES,
        });
    }
    Ok(bytes)
}

/// Reads the tokenizer's file of a data folder, and checks that it is the one its manifest names.
pub(super) fn check_file(path: &Path, id: &TokenizerId) -> Result<Vec<u8>, TokenizerError> {
    let bytes = read_file(path)?;
    let found = blake3::hash(&bytes).to_hex().to_string();
    match &id.blake3 {
        Some(expected) if *expected != found => Err(TokenizerError::Hash {
            path: path.to_owned(),
            expected: expected.clone(),
            found,
        }),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
pub(super) mod tests;
