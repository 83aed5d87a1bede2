//! What may be wrong with a manifest.

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestFault {
    /// Larger than any manifest may be.
    #[error("it has {found} bytes, at most {limit} are read: prepare the data in parts")]
    TooLarge {
        /// The most bytes read.
        limit: u64,
        /// Bytes found.
        found: u64,
    },
    /// Not the JSON of a manifest.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error("format must be {expected:?}, found {found:?}: prepare the data again")]
    Format {
        /// The version this program reads.
        expected: &'static str,
        /// The version found.
        found: String,
    },
    /// A tokenizer that this program does not know.
    #[error("its tokenizer is {found:?}, this program knows bytes, hf and external")]
    UnknownTokenizer {
        /// The kind found.
        found: String,
    },
    /// A tokenizer without what it needs.
    #[error("its tokenizer {kind} must have {expected}")]
    Tokenizer {
        /// The kind.
        kind: String,
        /// What it must have, in words.
        expected: &'static str,
    },
    /// Tokens of another width than their vocabulary needs.
    #[error("a vocabulary of {vocabulary} needs tokens of {expected} bytes, it says {found}")]
    Width {
        /// Size of the vocabulary.
        vocabulary: u32,
        /// Bytes a token must have.
        expected: u8,
        /// Bytes it names.
        found: u8,
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
    /// A source does not begin where the one before it ends.
    #[error("source {index} must begin at token {expected}, it says {found}")]
    Start {
        /// Position of the source, from 0.
        index: usize,
        /// Where the source before it ends.
        expected: u64,
        /// Where it says it begins.
        found: u64,
    },
    /// The whole is open to more readers than a part.
    #[error("source {index} is closed to readers that the whole is open to")]
    Class {
        /// Position of the source, from 0.
        index: usize,
    },
}
