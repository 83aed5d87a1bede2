//! Writes shards of bounded size, hashing what is written.

use super::manifest::{HELD_OUT_FILE, MANIFEST_FILE, ShardFile, shard_name};
use super::{DataError, Manifest, io};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// One file being written.
struct OpenShard {
    path: PathBuf,
    name: String,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    tokens: u64,
}

impl OpenShard {
    fn create(dir: &Path, name: String) -> Result<Self, DataError> {
        let path = dir.join(&name);
        let file = File::create(&path).map_err(io("create", &path))?;
        let (file, hasher) = (
            BufWriter::with_capacity(1 << 18, file),
            blake3::Hasher::new(),
        );
        Ok(Self {
            path,
            name,
            file,
            hasher,
            tokens: 0,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.file
            .write_all(bytes)
            .map_err(io("write", &self.path))?;
        self.hasher.update(bytes);
        self.tokens += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self) -> Result<ShardFile, DataError> {
        self.file.flush().map_err(io("write", &self.path))?;
        self.file
            .get_ref()
            .sync_all()
            .map_err(io("flush", &self.path))?;
        let blake3 = self.hasher.finalize().to_hex().to_string();
        Ok(ShardFile {
            file: self.name,
            blake3,
            tokens: self.tokens,
        })
    }
}

/// The training shards and the held-out shard of one folder.
pub(super) struct ShardWriter {
    dir: PathBuf,
    shard_bytes: u64,
    done: Vec<ShardFile>,
    open: Option<OpenShard>,
    held_out: OpenShard,
}

impl ShardWriter {
    pub(super) fn create(dir: &Path, shard_bytes: u64) -> Result<Self, DataError> {
        let held_out = OpenShard::create(dir, HELD_OUT_FILE.to_owned())?;
        Ok(Self {
            dir: dir.to_owned(),
            shard_bytes,
            done: Vec::new(),
            open: None,
            held_out,
        })
    }

    /// Appends training tokens; a full shard is followed by the next.
    pub(super) fn train(&mut self, mut bytes: &[u8]) -> Result<(), DataError> {
        while !bytes.is_empty() {
            let mut shard = match self.open.take() {
                Some(shard) => shard,
                None => OpenShard::create(&self.dir, shard_name(self.done.len()))?,
            };
            let room = (self.shard_bytes - shard.tokens).min(bytes.len() as u64) as usize;
            let (now, later) = bytes.split_at(room);
            shard.write(now)?;
            bytes = later;
            if shard.tokens == self.shard_bytes {
                self.done.push(shard.finish()?);
            } else {
                self.open = Some(shard);
            }
        }
        Ok(())
    }

    /// Appends held-out tokens.
    pub(super) fn hold_out(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.held_out.write(bytes)
    }

    /// Makes everything durable: the training shards and the held-out one.
    pub(super) fn finish(mut self) -> Result<(Vec<ShardFile>, ShardFile), DataError> {
        if let Some(shard) = self.open.take() {
            self.done.push(shard.finish()?);
        }
        Ok((self.done, self.held_out.finish()?))
    }
}

/// Writes the manifest last, whole or not at all: a folder without one is not data.
pub(super) fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<(), DataError> {
    let path = dir.join(MANIFEST_FILE);
    crate::durable::write(&path, &manifest.to_json()).map_err(io("write", &path))
}
