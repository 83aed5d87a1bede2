//! Why data could not be prepared, opened or read.

use super::{LeftOut, LineFault, ManifestFault, TokenFileFault, TokenizerError};
use std::path::{Path, PathBuf};

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
    /// The disk is full, or the quota used up.
    #[error(
        "cannot {action} {}: {source}; make room or choose a folder on another disk, then do it \
         again: nothing of this attempt is kept",
        path.display()
    )]
    DiskFull {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A source is a member's key.
    #[error("{} is a secret key, not text to train on: name other sources", path.display())]
    SecretKey {
        /// The file.
        path: PathBuf,
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
    /// There are fewer tokens than one window has.
    #[error("a window has {expected} tokens, the held-out part has {found}: prepare more text")]
    TooShort {
        /// Tokens of a window.
        expected: usize,
        /// Tokens there are.
        found: u64,
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
    /// A name of the preparation is no name.
    #[error(
        "source {index}: its {field} must have 1 to {longest} bytes, none of them a control \
         character, found {found:?}"
    )]
    Name {
        /// Position of the source, from 1.
        index: usize,
        /// `name` or `sector`.
        field: &'static str,
        /// The most bytes.
        longest: usize,
        /// The name found.
        found: String,
    },
    /// There is nothing to prepare.
    #[error("a preparation needs a source at least, found none: name files or folders")]
    NoSource,
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
    /// The folder to write to is none.
    #[error("expected a folder to write to, found the file {}: name another", out.display())]
    OutNoFolder {
        /// What was named.
        out: PathBuf,
    },
    /// There is no prepared data.
    #[error(
        "expected prepared data in {}, found no manifest.json: name the folder that `archipel \
         data prepare --out` wrote", dir.display()
    )]
    NotPrepared {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder already holds prepared data.
    #[error("{} already holds prepared data: choose another folder or delete it", out.display())]
    OutInUse {
        /// The folder to write to.
        out: PathBuf,
    },
    /// A file would be overwritten.
    #[error(
        "{} is in the way, without a manifest beside it: it is left of a preparation that was \
         interrupted, or somebody else's; delete it or choose another folder",
        path.display()
    )]
    InTheWay {
        /// The file.
        path: PathBuf,
    },
    /// Another preparation writes to the same folder.
    #[error("another preparation is writing to {}: wait, or choose another folder", out.display())]
    Busy {
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
    /// A record has no document.
    #[error(
        "{}, record {line}: {reason}; mend it, or let such records be counted and left out \
         (--skip-bad-lines)",
        path.display()
    )]
    BadLine {
        /// The file.
        path: PathBuf,
        /// Line, or row of a table, from 1.
        line: u64,
        /// What is wrong with it.
        reason: LineFault,
    },
    /// A file is no JSON.
    #[error("{}: not JSON that can be read: {source}; mend it, or leave it out", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the reader said, and where.
        source: serde_json::Error,
    },
    /// A table cannot be read.
    #[cfg(feature = "parquet")]
    #[error("{}: not a Parquet file that can be read: {source}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: ::parquet::errors::ParquetError,
    },
    /// A table's column is no column of texts.
    #[error(
        "{}: expected a column {field:?} of texts, one a row, found {}; name it with --field",
        path.display(),
        .found.join(", ")
    )]
    Column {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        field: String,
        /// The columns there are, each with its type.
        found: Vec<String>,
    },
    /// Parquet is not built in.
    #[error(
        "{}: reading Parquet needs a build with it: cargo build --release -p archipel-node \
         --features parquet",
        path.display()
    )]
    NeedsParquet {
        /// The file.
        path: PathBuf,
    },
    /// No text was found.
    #[error(
        "expected text in the sources, found none: {files} files looked at, {skipped} documents \
         left out, none taken{}",
        first_of(left_out)
    )]
    NoText {
        /// Files looked at.
        files: u64,
        /// Documents left out.
        skipped: u64,
        /// Files left out, and what to do about them.
        left_out: LeftOut,
    },
    /// There is text, but too little of it to hold any out.
    #[error("the sources have {tokens} tokens, too few to hold {percent} % out: give more")]
    NothingHeldOut {
        /// Tokens of text.
        tokens: u64,
        /// The part asked for.
        percent: u8,
    },
    /// A file of tokens is not of its format.
    #[error("{}: {reason}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: TokenFileFault,
    },
    /// Text cannot become the tokens of a file whose tokenizer is not here.
    #[error(
        "source {index} has text, others have the tokens of some tokenizer: name that tokenizer \
         (--tokenizer FILE)"
    )]
    TextAmongTokens {
        /// Position of the source with text, from 1.
        index: usize,
    },
    /// The tokenizer refused.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
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

/// The first file that was left out, and what to do about it.
fn first_of(left_out: &LeftOut) -> String {
    let first = left_out.kinds().first();
    let first = first.and_then(|kind| Some((kind.files.first()?, kind)));
    first.map_or_else(String::new, |(path, kind)| {
        let command = kind.command.iter().map(|command| format!(": {command}"));
        let what = format!("; {} ({}): {}", path.display(), kind.kind, kind.advice);
        what + &command.collect::<String>()
    })
}

pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DataError {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let path = path.to_owned();
    move |source| match source.kind() {
        StorageFull | QuotaExceeded => DataError::DiskFull {
            action,
            path,
            source,
        },
        _ => DataError::Io {
            action,
            path,
            source,
        },
    }
}
