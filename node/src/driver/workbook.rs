//! What this member needs of its own past rounds in order to train the next: residuals, states of
//! the inner optimizer, and the snapshot of a round in progress.
//!
//! None of it ever leaves the machine: it tells more about the site's data than an update does, so
//! it lies apart from the blobs that are served.
//!
//! `workbook := magic [16] · BLAKE3 of the rest [32] · entries (postcard)`;
//! `snapshot := magic [16] · BLAKE3 of the rest [32] · length u32 big-endian · head (postcard) ·
//! parameters · optimizer state`. Other files are named by the hash of their bytes.

use super::{
    files::{self, FileError},
    states::{values_of, write_values},
};
use archipel_protocol::{
    encoding::{DecodeError, decode, encode},
    ids::{BlobHash, Digest, Root, Round},
    member::{ResidualRule, TrainTask, Trained},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const BOOK_MAGIC: &[u8; 16] = b"archipel-work/1\0";
const SNAPSHOT_MAGIC: &[u8; 16] = b"archipel-snap/1\0";
const PREFIX_BYTES: usize = 48;
/// Rounds whose entries are kept at the least, and whose optimizer states at the most.
const KEPT_ENTRIES: usize = 4;
const MAX_BOOK_BYTES: usize = 1 << 20;
const MAX_HEAD_BYTES: usize = 4 << 20;

/// Why the workbook cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WorkbookError {
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is not what it was written as.
    #[error(
        "{}: expected content with hash {expected}, found {found}: the disk damaged it",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The hash it should have.
        expected: BlobHash,
        /// The hash it has.
        found: BlobHash,
    },
    /// A file does not begin as it should, or does not decode.
    #[error("{}: {source}: it was written by another version, or damaged", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: DecodeError,
    },
}

/// One round that this member has trained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The round.
    pub round: Round,
    /// The state it was trained from.
    pub base: Root,
    /// How its residual came about.
    pub rule: ResidualRule,
    /// BLAKE3 of the payload.
    pub payload: BlobHash,
    /// Its length.
    pub payload_bytes: u64,
    /// Inner steps done.
    pub steps: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Mean loss, in micro-nats a token.
    pub loss_micro: i64,
    /// Floating-point operations.
    pub flop: u128,
    /// Root over the segment leaves.
    pub work_root: Digest,
    /// Residual before and after.
    pub residual: (BlobHash, BlobHash),
    /// Optimizer state before and after.
    pub optimizer: (BlobHash, BlobHash),
}

impl Entry {
    /// What the member is told of the round.
    pub fn trained(&self) -> Trained {
        Trained {
            round: self.round,
            base: self.base,
            payload: self.payload,
            payload_bytes: self.payload_bytes,
            steps: self.steps,
            tokens: self.tokens,
            loss_micro: self.loss_micro,
            flop: self.flop,
            work_root: self.work_root,
            residual: self.residual,
            optimizer: self.optimizer,
        }
    }
}

/// Where a round in progress stood at the end of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotHead {
    /// The round.
    pub round: Round,
    /// The state it is trained from.
    pub base: Root,
    /// Optimizer state at the round's beginning.
    pub optimizer_before: BlobHash,
    /// Inner steps of the round.
    pub steps: u64,
    /// Steps done.
    pub step: u64,
    /// Leaves of the segments done.
    pub leaves: Vec<Digest>,
    /// Bits of the sum of the steps' losses, an `f64`.
    pub loss_sum: u64,
    /// Length of the optimizer state in bytes; the parameters are before it.
    pub optimizer_bytes: u64,
}

/// A snapshot as read.
pub struct Snapshot {
    /// Where the round stood.
    pub head: SnapshotHead,
    /// The parameters.
    pub parameters: Vec<f32>,
    /// The optimizer state.
    pub optimizer: Vec<u8>,
}

/// This member's rounds, oldest first, and the files they name.
pub struct Workbook {
    folder: PathBuf,
    entries: Vec<Entry>,
    /// Rounds that are kept: a residual rule reaches back as many as there are fragments.
    kept: usize,
}

impl Workbook {
    /// Opens the folder, or makes it; rounds exchange so many fragments in turn. Without its
    /// notes, or with damaged ones, the member goes on with a fresh optimizer and no residual.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn open(folder: PathBuf, fragments: usize) -> Result<Self, WorkbookError> {
        files::clean(&folder)?;
        let path = folder.join("workbook");
        let entries = read_entries(&path).unwrap_or_else(|error| {
            tracing::warn!("{error}. Training goes on with a fresh optimizer and no residual");
            Vec::new()
        });
        for path in files::list(&folder)? {
            if !is_own(&path) {
                tracing::warn!(
                    "{}: not a file of the node's. It is passed over",
                    path.display()
                );
            }
        }
        let kept = KEPT_ENTRIES.max(fragments + 2);
        Ok(Self {
            folder,
            entries,
            kept,
        })
    }

    /// What was noted of a round.
    pub fn entry(&self, round: Round) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.round == round)
    }

    /// The result of a task that was done before, but perhaps never told.
    pub fn done(&self, task: &TrainTask) -> Option<&Entry> {
        self.entry(task.round)
            .filter(|entry| (entry.base, entry.rule) == (task.base, task.residual))
            .filter(|entry| entry.steps == task.steps)
    }

    /// The optimizer state with which a round begins: what the latest round before it left.
    pub fn optimizer_before(&self, round: Round) -> Option<BlobHash> {
        let earlier = self.entries.iter().filter(|entry| entry.round < round);
        earlier
            .max_by_key(|entry| entry.round)
            .map(|entry| entry.optimizer.1)
    }

    /// Lets the rounds that would begin with this optimizer state begin with a fresh one.
    pub fn forget_optimizer(&mut self, hash: &BlobHash) {
        let nothing = BlobHash(*blake3::hash(b"").as_bytes());
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.optimizer.1 == *hash)
        {
            entry.optimizer.1 = nothing;
        }
    }

    /// Notes a round, in place of what was noted of it before, and forgets the oldest; durable on
    /// return. Its files must be there already.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn note(&mut self, entry: Entry) -> Result<(), WorkbookError> {
        self.entries.retain(|other| other.round != entry.round);
        self.entries.push(entry);
        self.entries.sort_by_key(|entry| entry.round);
        let surplus = self.entries.len().saturating_sub(self.kept);
        self.entries.drain(..surplus);
        let bytes = encode(&self.entries);
        write_sealed(&self.folder.join("workbook"), BOOK_MAGIC, &[&bytes])?;
        Ok(self.sweep()?)
    }

    /// Keeps bytes under their hash; durable on return.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn put(&self, bytes: &[u8]) -> Result<BlobHash, WorkbookError> {
        let hash = BlobHash(*blake3::hash(bytes).as_bytes());
        let path = self.folder.join(hash.to_string());
        files::replace(&path, |out| out.write_all(bytes))?;
        Ok(hash)
    }

    /// Reads what was kept under a hash.
    ///
    /// # Errors
    /// A file that is absent, or has other bytes.
    pub fn get(&self, expected: &BlobHash) -> Result<Vec<u8>, WorkbookError> {
        let path = self.folder.join(expected.to_string());
        let bytes = fs::read(&path).map_err(FileError::of("read", &path))?;
        let found = BlobHash(*blake3::hash(&bytes).as_bytes());
        if found == *expected {
            return Ok(bytes);
        }
        Err(WorkbookError::Damaged {
            path,
            expected: *expected,
            found,
        })
    }

    /// Keeps the snapshot of a round in progress in place of the one before; durable on return.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn put_snapshot(
        &self,
        head: &SnapshotHead,
        parameters: &[f32],
        optimizer: &[u8],
    ) -> Result<(), WorkbookError> {
        let described = encode(head);
        let length = (described.len() as u32).to_be_bytes();
        let mut values = Vec::with_capacity(4 * parameters.len());
        write_values(&mut values, parameters).expect("memory takes every write");
        let parts: [&[u8]; 4] = [&length, &described, &values, optimizer];
        Ok(write_sealed(
            &self.folder.join("snapshot"),
            SNAPSHOT_MAGIC,
            &parts,
        )?)
    }

    /// Reads the snapshot of a model with `parameters`, if there is one.
    ///
    /// # Errors
    /// A snapshot that is damaged.
    pub fn snapshot(&self, parameters: usize) -> Result<Option<Snapshot>, WorkbookError> {
        let path = self.folder.join("snapshot");
        let Some(bytes) = read_sealed(&path, SNAPSHOT_MAGIC)? else {
            return Ok(None);
        };
        let malformed = || WorkbookError::Format {
            path: path.clone(),
            source: DecodeError::Malformed,
        };
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
        let described = rest.split_at_checked(u32::from_be_bytes(*length) as usize);
        let (described, rest) = described.ok_or_else(malformed)?;
        let head: SnapshotHead =
            decode(described, MAX_HEAD_BYTES).map_err(|source| WorkbookError::Format {
                path: path.clone(),
                source,
            })?;
        let values = rest
            .split_at_checked(4 * parameters)
            .ok_or_else(malformed)?;
        if values.1.len() as u64 != head.optimizer_bytes {
            return Err(malformed());
        }
        Ok(Some(Snapshot {
            head,
            parameters: values_of(values.0),
            optimizer: values.1.to_vec(),
        }))
    }

    /// Removes files that no entry names, and optimizer states that no round begins with.
    fn sweep(&self) -> Result<(), FileError> {
        let residuals = self.entries.iter().map(|entry| entry.residual.1);
        let latest = self.entries.iter().rev().take(KEPT_ENTRIES);
        let named: BTreeSet<String> = residuals
            .chain(latest.map(|entry| entry.optimizer.1))
            .map(|hash| hash.to_string())
            .collect();
        for path in files::list(&self.folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.parse::<BlobHash>().is_ok() && !named.contains(name.as_ref()) {
                files::remove(&path)?;
            }
        }
        Ok(())
    }
}

fn read_entries(path: &Path) -> Result<Vec<Entry>, WorkbookError> {
    let Some(bytes) = read_sealed(path, BOOK_MAGIC)? else {
        return Ok(Vec::new());
    };
    decode(&bytes, MAX_BOOK_BYTES).map_err(|source| WorkbookError::Format {
        path: path.to_owned(),
        source,
    })
}

fn is_own(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ["workbook", "snapshot"].contains(&&*name) || name.parse::<BlobHash>().is_ok()
}

fn write_sealed(path: &Path, magic: &[u8; 16], parts: &[&[u8]]) -> Result<(), FileError> {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    let hash = hasher.finalize();
    files::replace(path, |out| {
        out.write_all(magic)?;
        out.write_all(hash.as_bytes())?;
        parts.iter().try_for_each(|part| out.write_all(part))
    })
}

fn read_sealed(path: &Path, magic: &[u8; 16]) -> Result<Option<Vec<u8>>, WorkbookError> {
    let mut bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::of("read", path)(error).into()),
    };
    if bytes.len() < PREFIX_BYTES || !bytes.starts_with(magic) {
        return Err(WorkbookError::Format {
            path: path.to_owned(),
            source: DecodeError::Malformed,
        });
    }
    let content = bytes.split_off(PREFIX_BYTES);
    let found = BlobHash(*blake3::hash(&content).as_bytes());
    let mut expected = BlobHash::default();
    expected.0.copy_from_slice(&bytes[magic.len()..]);
    if found == expected {
        return Ok(Some(content));
    }
    Err(WorkbookError::Damaged {
        path: path.to_owned(),
        expected,
        found,
    })
}

#[cfg(test)]
mod tests;
