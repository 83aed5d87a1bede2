//! Opens prepared data: shards mapped into memory, lengths checked at once, hashes on request.

use super::manifest::{PartEntry, ShardFile, SourceEntry};
use super::{
    DataError, Manifest, SectorRange, TOKENIZER_FILE, TokenSource, Tokenizer, TokenizerError, io,
    tokenizer, widen, window, windows,
};
use memmap2::Mmap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// An open folder of prepared data; as a [`TokenSource`] it is the training tokens.
#[derive(Debug)]
pub struct Dataset {
    dir: PathBuf,
    manifest: Manifest,
    training: Part,
    held_out: Part,
}

/// The tokens of all sources that are trained on, or all those held out.
#[derive(Debug)]
pub struct Part {
    shards: Vec<Shard>,
    sectors: Vec<SectorRange>,
    width: usize,
    tokens: u64,
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
        let training = Part::open(dir, &manifest, |source| &source.training)?;
        let held_out = Part::open(dir, &manifest, |source| &source.held_out)?;
        Ok(Self {
            dir: dir.to_owned(),
            training: training.with_sectors(manifest.training_sectors()),
            held_out: held_out.with_sectors(manifest.held_out_sectors()),
            manifest,
        })
    }

    /// Reads every shard, and the tokenizer's file, and checks their hashes.
    ///
    /// # Errors
    /// The first file that was changed.
    pub fn verify(&self) -> Result<(), DataError> {
        let id = &self.manifest.tokenizer;
        if id.blake3.is_some() {
            tokenizer::check_file(&self.dir.join(TOKENIZER_FILE), id)?;
        }
        let mut shards = self.training.shards.iter().chain(&self.held_out.shards);
        shards.try_for_each(Shard::verify)
    }

    /// What the folder holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The tokenizer that made the tokens.
    ///
    /// # Errors
    /// One that is not in the folder, or not in this build.
    pub fn tokenizer(&self) -> Result<Tokenizer, TokenizerError> {
        Tokenizer::of_data(&self.dir, &self.manifest.tokenizer)
    }

    /// The tokens that are never trained on.
    pub fn held_out(&self) -> &Part {
        &self.held_out
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
        self.training.len()
    }

    fn copy_window(&self, start: u64, out: &mut [u32]) -> Result<(), DataError> {
        self.training.copy_window(start, out)
    }

    fn sectors(&self) -> &[SectorRange] {
        self.training.sectors()
    }
}

impl Part {
    fn open(
        dir: &Path,
        manifest: &Manifest,
        part: fn(&SourceEntry) -> &PartEntry,
    ) -> Result<Self, DataError> {
        let width = manifest.token_bytes;
        let files = manifest.sources.iter().flat_map(|s| &part(s).shards);
        let (mut tokens, mut shards) = (0, Vec::new());
        for file in files {
            shards.push(Shard::open(dir, file, width, tokens)?);
            tokens += file.tokens;
        }
        Ok(Self {
            shards,
            sectors: Vec::new(),
            width: usize::from(width),
            tokens,
        })
    }

    fn with_sectors(mut self, sectors: Vec<SectorRange>) -> Self {
        self.sectors = sectors;
        self
    }
}

impl TokenSource for Part {
    fn len(&self) -> u64 {
        self.tokens
    }

    fn copy_window(&self, start: u64, out: &mut [u32]) -> Result<(), DataError> {
        window(start, out.len(), self.len())?;
        let first = self
            .shards
            .partition_point(|shard| shard.start <= start)
            .saturating_sub(1);
        let (mut at, mut rest) = (start, out);
        for shard in &self.shards[first..] {
            let from = (at - shard.start) as usize;
            let count = (shard.bytes.len() / self.width - from).min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            let bytes = &shard.bytes[self.width * from..self.width * (from + count)];
            widen(bytes, self.width, now);
            (at, rest) = (at + count as u64, later);
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn sectors(&self) -> &[SectorRange] {
        &self.sectors
    }
}

impl Shard {
    fn open(dir: &Path, file: &ShardFile, width: u8, start: u64) -> Result<Self, DataError> {
        let path = dir.join(&file.file);
        let handle = File::open(&path).map_err(io("open", &path))?;
        let found = handle.metadata().map_err(io("look at", &path))?.len();
        let expected = file.tokens.saturating_mul(u64::from(width));
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

/// Maps a file of tokens that nobody rewrites.
#[allow(unsafe_code)]
pub(super) fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the mapping is read-only and its bytes have no invalid value. A shard belongs to the
    // node that prepared it and is never rewritten in place, and a token file is read while its
    // owner prepares it; an operator who truncates one under a running process ends that process
    // by a signal, as with any mapped file.
    unsafe { Mmap::map(file) }
}
