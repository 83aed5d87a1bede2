//! What may be wrong with a file of tokens.

/// What is wrong with a file of tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileFault {
    /// The file ends early, or goes on too long.
    #[error("expected {expected} bytes of {what}, found {found}: the file was cut off or is other")]
    Length {
        /// Which part.
        what: &'static str,
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// There are no tokens.
    #[error("expected tokens, found none")]
    Empty,
    /// The bytes are no whole number of tokens.
    #[error("expected tokens of {width} bytes each, found {found} bytes")]
    Ragged {
        /// Bytes of a token.
        width: u64,
        /// Bytes found.
        found: u64,
    },
    /// The file begins otherwise than files of its format.
    #[error("expected a {format} file to begin with {expected}, found {found:02x?}")]
    Magic {
        /// The format.
        format: &'static str,
        /// How it begins, in words.
        expected: &'static str,
        /// The first bytes found.
        found: Vec<u8>,
    },
    /// A version that is not read.
    #[error("expected version {expected}, found {found}")]
    Version {
        /// The version that is read.
        expected: u64,
        /// The version found.
        found: u64,
    },
    /// Numbers that are no tokens.
    #[error("expected integers of code 1, 3, 4, 5 or 8 for tokens, found type code {found}")]
    Type {
        /// The code found.
        found: u8,
    },
    /// A number that does not follow from the others.
    #[error("{what} {index}: expected {expected}, found {found}: the index does not add up")]
    Index {
        /// Which list of the index.
        what: &'static str,
        /// Position in it.
        index: u64,
        /// The number that adds up.
        expected: i64,
        /// The number found.
        found: i64,
    },
    /// The index names more than any file can have.
    #[error(
        "expected counts that a file can hold, found {sequences} sequences, {documents} documents"
    )]
    Counts {
        /// Sequences it names.
        sequences: u64,
        /// Documents it names.
        documents: u64,
    },
    /// A sequence's mode is not read.
    #[error("expected text alone, found modes of sequences: data of several kinds is not read")]
    Modes,
    /// A token is none of the tokenizer's.
    #[error(
        "token {token} at {position} lies outside the vocabulary of {vocabulary}: wrong \
             tokenizer, format or number of tokens (--vocabulary)"
    )]
    Token {
        /// The token.
        token: i64,
        /// Its position.
        position: u64,
        /// Size of the vocabulary.
        vocabulary: u32,
    },
    /// Nothing says how many tokens there are.
    #[error("nothing says how many tokens its tokenizer has: give --tokenizer or --vocabulary")]
    NoVocabulary,
}
