//! A Hugging Face tokenizer, as the crate `tokenizers` reads it.

use super::{Boundary, TokenizerError};
use std::path::Path;

/// Tokens that usually end or begin a document, the likeliest first.
const USUAL_BOUNDARIES: [&str; 8] = [
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|begin_of_text|>",
    "</s>",
    "<s>",
    "<eos>",
    "<bos>",
    "[SEP]",
];
/// The most tokens, so that any fits a positive `i32` in other programs' files.
const MAX_TOKENS: u64 = 1 << 31;

/// What a `tokenizer.json` says.
#[derive(Debug)]
pub struct HfTokenizer {
    tokenizer: tokenizers::Tokenizer,
    blake3: String,
    vocabulary: u32,
    boundary: u32,
}

impl HfTokenizer {
    pub(super) fn parse(
        path: &Path,
        bytes: &[u8],
        boundary: Boundary<'_>,
    ) -> Result<Self, TokenizerError> {
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(bytes).map_err(|reason| {
            TokenizerError::Malformed {
                path: path.to_owned(),
                reason,
            }
        })?;
        // A file may ask for requests of one length; documents have their own.
        let truncation = tokenizer.with_truncation(None);
        truncation.map_err(|reason| TokenizerError::Malformed {
            path: path.to_owned(),
            reason,
        })?;
        tokenizer.with_padding(None);
        // Numbers may be left out, so the last token counts and not how many there are.
        let last = tokenizer.get_vocab(true).into_values().max();
        let found = last.map_or(0, |last| u64::from(last) + 1);
        if !(1..=MAX_TOKENS).contains(&found) {
            let path = path.to_owned();
            return Err(TokenizerError::Size { path, found });
        }
        Ok(Self {
            boundary: find_boundary(&tokenizer, path, boundary, found)?,
            tokenizer,
            blake3: blake3::hash(bytes).to_hex().to_string(),
            vocabulary: found as u32,
        })
    }

    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoded = self.tokenizer.encode_fast(text, false);
        let encoding = encoded.map_err(|reason| TokenizerError::Refused {
            action: "encode a text",
            reason,
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    pub(super) fn decode(&self, tokens: &[u32]) -> Result<Vec<u8>, TokenizerError> {
        let decoded = self.tokenizer.decode(tokens, true);
        let text = decoded.map_err(|reason| TokenizerError::Refused {
            action: "decode tokens",
            reason,
        })?;
        Ok(text.into_bytes())
    }

    pub(super) fn blake3(&self) -> &str {
        &self.blake3
    }

    pub(super) fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    pub(super) fn boundary(&self) -> u32 {
        self.boundary
    }
}

fn find_boundary(
    tokenizer: &tokenizers::Tokenizer,
    path: &Path,
    boundary: Boundary<'_>,
    tokens: u64,
) -> Result<u32, TokenizerError> {
    let path = || path.to_owned();
    match boundary {
        Boundary::Is(id) if u64::from(id) < tokens => Ok(id),
        Boundary::Is(id) => Err(TokenizerError::UnknownBoundary {
            path: path(),
            boundary: id.to_string(),
        }),
        Boundary::Named(name) => {
            let found = tokenizer.token_to_id(name);
            found.ok_or_else(|| TokenizerError::UnknownBoundary {
                path: path(),
                boundary: name.to_owned(),
            })
        }
        Boundary::Usual => {
            let mut names = USUAL_BOUNDARIES.iter();
            let found = names.find_map(|name| tokenizer.token_to_id(name));
            found.ok_or_else(|| TokenizerError::NoBoundary { path: path() })
        }
    }
}
