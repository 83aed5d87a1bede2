//! Files of tokens that other programs made: nanoGPT, llm.c and Megatron-LM.
//!
//! Everything is little endian. *nanoGPT* writes tokens of 16 bits and nothing else. *llm.c* writes
//! a header of 256 numbers of 32 bits (magic, version, number of tokens, zeros), then the tokens:
//! 16 bits with GPT-2's, 32 with Llama 3's. *Megatron-LM* writes tokens into a `.bin`, and where
//! sequences and documents lie into an `.idx` beside it ([`megatron`]). Every length is checked
//! against the file's before anything is allocated, and every token against the vocabulary.

mod fault;
mod megatron;
#[cfg(test)]
mod tests;

pub use fault::TokenFileFault;

use super::{DataError, io, shards::map};
use TokenFileFault as Fault;
use memmap2::Mmap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// The most tokens of a vocabulary.
pub const MAX_VOCABULARY: u32 = 1 << 31;
/// Bytes of llm.c's header.
const LLM_C_HEADER: usize = 1024;

/// One of llm.c's kinds of files.
struct LlmC {
    magic: u32,
    version: u32,
    width: usize,
    vocabulary: u32,
}

/// GPT-2's tokens, and Llama 3's.
const LLM_C_KINDS: [LlmC; 2] = [
    LlmC {
        magic: 20_240_520,
        version: 1,
        width: 2,
        vocabulary: 50_257,
    },
    LlmC {
        magic: 20_240_801,
        version: 7,
        width: 4,
        vocabulary: 128_256,
    },
];

/// Who made the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFormat {
    /// nanoGPT's `.bin`.
    NanoGpt,
    /// llm.c's `.bin`.
    LlmC,
    /// Megatron-LM's `.bin`, with its `.idx` beside it.
    Megatron,
}

/// An open file of tokens, its header and index checked.
pub(super) struct TokenFile {
    bytes: Mmap,
    /// Where tokens begin.
    start: usize,
    /// Bytes of a token: 1, 2, 4 or 8.
    width: usize,
    /// Whether a token with its highest bit set is negative, which none may be.
    signed: bool,
    documents: Documents,
    /// Tokens of the tokenizer, where the format says it.
    pub(super) vocabulary: Option<u32>,
}

enum Documents {
    /// The file is one.
    One,
    /// An index tells them apart.
    Index(megatron::Index),
}

impl TokenFile {
    /// Opens a file and checks its header and index.
    pub(super) fn open(path: &Path, format: TokenFormat) -> Result<Self, DataError> {
        let bytes = mapped(path)?;
        let refused = |reason| DataError::TokenFile {
            path: path.to_owned(),
            reason,
        };
        match format {
            TokenFormat::NanoGpt => Self::one(bytes, 0, 2, None).map_err(refused),
            TokenFormat::LlmC => Self::llm_c(bytes).map_err(refused),
            TokenFormat::Megatron => {
                let path = path.with_extension("idx");
                let index = mapped(&path)?;
                let index = megatron::Index::read(index, bytes.len() as u64)
                    .map_err(|reason| DataError::TokenFile { path, reason })?;
                Ok(Self {
                    bytes,
                    start: 0,
                    width: index.width(),
                    signed: index.is_signed(),
                    documents: Documents::Index(index),
                    vocabulary: None,
                })
            }
        }
    }

    fn llm_c(bytes: Mmap) -> Result<Self, Fault> {
        let exactly = |what, expected: u64, found: u64| match expected == found {
            true => Ok(()),
            false => Err(Fault::Length {
                what,
                expected,
                found,
            }),
        };
        let all = bytes.len() as u64;
        exactly("header", LLM_C_HEADER as u64, all.min(LLM_C_HEADER as u64))?;
        let header = |index: usize| number(&bytes[4 * index..4 * index + 4]);
        let of_magic = |kind: &&LlmC| u64::from(kind.magic) == header(0);
        let kind = LLM_C_KINDS.iter().find(of_magic);
        let kind = kind.ok_or_else(|| Fault::Magic {
            format: "llm.c",
            expected: "the number 20240520 (GPT-2) or 20240801 (Llama 3)",
            found: bytes[..4].to_vec(),
        })?;
        let (expected, found) = (u64::from(kind.version), header(1));
        if expected != found {
            return Err(Fault::Version { expected, found });
        }
        // A count of 32 bits times a width cannot overflow 64.
        let tokens = header(2) * kind.width as u64;
        exactly("tokens", tokens, all - LLM_C_HEADER as u64)?;
        Self::one(bytes, LLM_C_HEADER, kind.width, Some(kind.vocabulary))
    }

    fn one(
        bytes: Mmap,
        start: usize,
        width: usize,
        vocabulary: Option<u32>,
    ) -> Result<Self, Fault> {
        let found = bytes.len() - start;
        if found == 0 {
            return Err(Fault::Empty);
        }
        if !found.is_multiple_of(width) {
            return Err(Fault::Ragged {
                width: width as u64,
                found: found as u64,
            });
        }
        Ok(Self {
            bytes,
            start,
            width,
            signed: false,
            documents: Documents::One,
            vocabulary,
        })
    }

    /// Documents there are.
    pub(super) fn documents(&self) -> u64 {
        match &self.documents {
            Documents::One => 1,
            Documents::Index(index) => index.documents(),
        }
    }

    /// Which tokens a document has.
    pub(super) fn document(&self, number: u64) -> Range<usize> {
        match &self.documents {
            Documents::One => 0..(self.bytes.len() - self.start) / self.width,
            Documents::Index(index) => index.document(number),
        }
    }

    /// Bytes of some tokens in the file.
    pub(super) fn raw(&self, tokens: Range<usize>) -> &[u8] {
        &self.bytes[self.start + self.width * tokens.start..self.start + self.width * tokens.end]
    }

    /// Bytes of a token in the file.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Reads some tokens, each of which must lie below `vocabulary`.
    pub(super) fn read(&self, range: Range<usize>, vocabulary: u32) -> Result<Vec<u32>, Fault> {
        let first = range.start as u64;
        let token = |(at, bytes): (usize, &[u8])| {
            let found = number(bytes);
            let token = match self.signed {
                true => {
                    let unused = 64 - 8 * self.width as u32;
                    ((found << unused) as i64) >> unused
                }
                false => found as i64,
            };
            match u32::try_from(token)
                .ok()
                .filter(|token| *token < vocabulary)
            {
                Some(token) => Ok(token),
                None => Err(Fault::Token {
                    token,
                    position: first + at as u64,
                    vocabulary,
                }),
            }
        };
        let raw = self.raw(range);
        raw.chunks_exact(self.width)
            .enumerate()
            .map(token)
            .collect()
    }
}

fn mapped(path: &Path) -> Result<Mmap, DataError> {
    let file = File::open(path).map_err(io("open", path))?;
    map(&file).map_err(io("map", path))
}

/// A little-endian number of at most 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(eight)
}
