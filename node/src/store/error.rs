//! Why the store refused. Every message names the file, what was expected, what was found and
//! the way out.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use archipel_protocol::ids::BlobHash;

/// Why the store refused an operation, or refused to open.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error(
        "could not {action} {}: {source}; check free space, permissions and the disk, then retry",
        path.display()
    )]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process works in this folder.
    #[error(
        "{} is locked by {holder}: one process works in a folder at a time; \
         stop that one or choose another --dir",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds the lock.
        holder: Holder,
    },
    /// The folder was written by another version of this program.
    #[error(
        "{} says `{}`, this program reads `{}`; the program version that wrote the folder",
        path.display(),
        found.trim_end().escape_debug(),
        expected.trim_end()
    )]
    Version {
        /// The VERSION file.
        path: PathBuf,
        /// The text this program writes.
        expected: &'static str,
        /// The first bytes of the file, as text.
        found: String,
    },
    /// A file that every folder of this version has is not there.
    #[error(
        "{} is missing; without it this member could contradict what it signed: {}",
        path.display(),
        begin_anew(folder)
    )]
    Missing {
        /// The missing file.
        path: PathBuf,
        /// The node's folder.
        folder: PathBuf,
    },
    /// A file does not begin as it must.
    #[error(
        "{} begins with {found}, expected {expected}: {}", path.display(), begin_anew(above(path))
    )]
    Header {
        /// The file.
        path: PathBuf,
        /// The bytes that must stand there.
        expected: Hex,
        /// The bytes that stand there.
        found: Hex,
    },
    /// A complete entry of a log is not what was written.
    #[error(
        "{} is damaged at byte {offset} (entry {entry}): {damage}; nothing was cut or changed: {}",
        path.display(),
        begin_anew(above(path))
    )]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Where the entry begins, in bytes from the start of the file.
        offset: u64,
        /// The entry's number, from 0.
        entry: u64,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The content of a blob is not what its name says.
    #[error(
        "{} holds content with the hash {found}, expected {expected}: the disk damaged it, and \
         the node fetches it again if a round needs it",
        path.display()
    )]
    BlobDamaged {
        /// The blob's file.
        path: PathBuf,
        /// The hash in the name.
        expected: BlobHash,
        /// The hash of the content.
        found: BlobHash,
    },
    /// There is no such blob here.
    #[error("expected the blob {hash} in {}, found none", path.display())]
    BlobMissing {
        /// The hash asked for.
        hash: BlobHash,
        /// The folder of blobs.
        path: PathBuf,
    },
    /// Bytes that arrived do not have the hash they were announced with.
    #[error("expected content with the hash {expected}, received {found}; nothing was kept")]
    WrongContent {
        /// The announced hash.
        expected: BlobHash,
        /// The hash of what came.
        found: BlobHash,
    },
    /// A range lies outside what there is.
    #[error("{} has {have} {unit}, asked for {start} to {end}", path.display())]
    Range {
        /// The file.
        path: PathBuf,
        /// What is counted: bytes or records.
        unit: &'static str,
        /// The first one asked for.
        start: u64,
        /// One past the last asked for.
        end: u64,
        /// How many there are.
        have: u64,
    },
    /// Something is longer than its limit.
    #[error("{what} has {found} bytes or more, at most {limit} are allowed")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Bytes found, at least.
        found: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// An entry without a byte was to be appended.
    #[error("an entry of {} needs at least one byte", path.display())]
    Empty {
        /// The log.
        path: PathBuf,
    },
    /// A name cannot be used for a named file.
    #[error(
        "`{}` cannot name a file: expected 1 to {limit} of a-z, 0-9, '-', '_' and '.', \
         the first of them a letter or digit",
        name.escape_debug()
    )]
    Name {
        /// The name.
        name: String,
        /// Most characters allowed.
        limit: usize,
    },
    /// A named file is not what was written.
    #[error(
        "{} is damaged: checksum {found}, expected {expected}; \
         remove it to start without what it says",
        path.display()
    )]
    NamedDamaged {
        /// The file.
        path: PathBuf,
        /// The checksum in the file.
        expected: Hex,
        /// The checksum of what the file holds.
        found: Hex,
    },
    /// An fsync failed before: what the disk holds is unknown.
    #[error(
        "writing stopped when {} could not be synced; \
         check the disk, then restart: the node recovers what is durable",
        path.display()
    )]
    Stopped {
        /// The file whose fsync failed.
        path: PathBuf,
    },
    /// The index could not be used; the logs and blobs are unharmed.
    #[error(
        "the index {} failed: {source}; \
         restart the node, or remove the file: it is rebuilt from the logs",
        path.display()
    )]
    Index {
        /// The index file.
        path: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
}

/// What to do with a folder whose logs are lost. Old copies of them would be worse than none.
fn begin_anew(folder: &Path) -> String {
    format!(
        "move VERSION, wal, records, blobs, named, index.redb, states and training out of {}, \
         keep key, node.toml, charter.toml and the data, and start again: the node then asks the \
         other members what it signed, and takes the rest from them",
        folder.display()
    )
}

/// The folder of a node, of a file that lies in one of its folders.
fn above(path: &Path) -> &Path {
    path.ancestors().nth(2).unwrap_or(path)
}

impl StoreError {
    /// Wraps what the operating system said about `action` on `path`.
    pub(super) fn io(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            action,
            source,
        }
    }
}

/// What is wrong with a complete entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Its length is outside what the log takes.
    #[error("expected a length from {least} to {limit}, found {found}")]
    Length {
        /// The length found.
        found: u32,
        /// The shortest allowed.
        least: u32,
        /// The longest allowed.
        limit: u32,
    },
    /// The checksum of its length does not match.
    #[error("expected the length checksum {expected}, found {found}")]
    Head {
        /// The checksum of what stands there.
        expected: Hex,
        /// The checksum that stands there.
        found: Hex,
    },
    /// The checksum of its content does not match.
    #[error("expected the checksum {expected}, found {found}")]
    Seal {
        /// The checksum of what stands there.
        expected: Hex,
        /// The checksum that stands there.
        found: Hex,
    },
    /// It does not end as an entry must.
    #[error("expected the end mark {expected:#04x}, found {found:#04x}")]
    End {
        /// The byte that must stand there.
        expected: u8,
        /// The byte that stands there.
        found: u8,
    },
    /// It ends before it should, though it was complete when the store was opened.
    #[error("the file became shorter than it was when the store was opened")]
    Shrunk,
}

/// Up to 32 bytes, shown in hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct Hex(Box<[u8]>);

impl Hex {
    /// Keeps the first 32 of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes[..bytes.len().min(32)].into())
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who holds the lock on a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The process with this id.
    Process(u32),
    /// A process that has not written its id yet.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::Unknown => f.write_str("another process"),
        }
    }
}
