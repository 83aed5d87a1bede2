//! Opens prepared data: shards mapped into memory, lengths checked at once, hashes on request.

use super::manifest::ShardFile;
use super::{DataError, Manifest, TokenSource, io, widen, window, windows};
use memmap2::Mmap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// An open folder of prepared data; as a [`TokenSource`] it is the training tokens.
#[derive(Debug)]
pub struct Dataset {
    manifest: Manifest,
    training: Vec<Shard>,
    held_out: Shard,
}

/// A mapped shard and where it begins among the tokens of all shards.
#[derive(Debug)]
struct Shard {
    path: PathBuf,
    blake3: String,
    start: u64,
    bytes: Mmap,
}

impl Dataset {
    /// Opens the folder `dir` and checks that every shard is as long as its manifest says.
    ///
    /// # Errors
    /// A missing or wrong manifest; a shard that is missing, shorter or longer.
    pub fn open(dir: &Path) -> Result<Self, DataError> {
        let manifest = Manifest::read(dir)?;
        let mut start = 0;
        let mut training = Vec::new();
        for file in &manifest.training {
            training.push(Shard::open(dir, file, start)?);
            start += file.tokens;
        }
        let held_out = Shard::open(dir, &manifest.held_out, 0)?;
        Ok(Self {
            manifest,
            training,
            held_out,
        })
    }

    /// Reads every shard and checks its hash.
    ///
    /// # Errors
    /// The first shard that was changed.
    pub fn verify(&self) -> Result<(), DataError> {
        self.training
            .iter()
            .chain([&self.held_out])
            .try_for_each(Shard::verify)
    }

    /// What the folder holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The tokens that are never trained on.
    pub fn held_out(&self) -> &[u8] {
        &self.held_out.bytes
    }

    /// `count` windows of `length` held-out tokens, the same for the same seed.
    ///
    /// # Errors
    /// Where fewer tokens than one window are held out.
    pub fn windows(
        &self,
        seed: [u8; 32],
        count: usize,
        length: usize,
    ) -> Result<Vec<Vec<u32>>, DataError> {
        windows(self.held_out(), seed, count, length)
    }
}

impl TokenSource for Dataset {
    fn len(&self) -> u64 {
        self.manifest.training_tokens
    }

    fn copy_window(&self, start: u64, out: &mut [u32]) -> Result<(), DataError> {
        window(start, out.len(), self.len())?;
        let first = self
            .training
            .partition_point(|shard| shard.start <= start)
            .saturating_sub(1);
        let (mut at, mut rest) = (start, out);
        for shard in &self.training[first..] {
            let from = (at - shard.start) as usize;
            let count = (shard.bytes.len() - from).min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            widen(&shard.bytes[from..from + count], now);
            (at, rest) = (at + count as u64, later);
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

impl Shard {
    fn open(dir: &Path, file: &ShardFile, start: u64) -> Result<Self, DataError> {
        let path = dir.join(&file.file);
        let handle = File::open(&path).map_err(io("open", &path))?;
        let (expected, found) = (
            file.tokens,
            handle.metadata().map_err(io("look at", &path))?.len(),
        );
        if expected != found {
            return Err(DataError::ShardLength {
                path,
                expected,
                found,
            });
        }
        let bytes = map(&handle).map_err(io("map", &path))?;
        Ok(Self {
            path,
            blake3: file.blake3.clone(),
            start,
            bytes,
        })
    }

    fn verify(&self) -> Result<(), DataError> {
        let found = blake3::hash(&self.bytes).to_hex().to_string();
        if found == self.blake3 {
            return Ok(());
        }
        let (path, expected) = (self.path.clone(), self.blake3.clone());
        Err(DataError::ShardHash {
            path,
            expected,
            found,
        })
    }
}

#[allow(unsafe_code)]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the mapping is read-only and its bytes have no invalid value. A shard belongs to the
    // node that prepared it and is never rewritten in place; an operator who truncates one under a
    // running node ends that process by a signal, as with any mapped file.
    unsafe { Mmap::map(file) }
}
