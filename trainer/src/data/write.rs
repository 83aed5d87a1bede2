//! Writes shards of bounded size, hashing what is written, and puts them in place at the end.
//!
//! Shards grow in a folder of their own within the folder to write to. They are moved out of it
//! when all of them are durable, the manifest last: before that, nothing is there that could be
//! taken for data. What an interrupted preparation left in that folder is removed by the next one.

use super::manifest::{MANIFEST_FILE, ShardFile, held_out_name, shard_name};
use super::{DataClass, DataError, Manifest, io};
use crate::durable::{self, Access};
use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Where shards grow, in the folder to write to.
const WORKPLACE: &str = ".preparing";
/// Held while a preparation writes.
const LOCK_FILE: &str = "lock";

/// One file being written.
struct OpenShard {
    path: PathBuf,
    name: String,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl OpenShard {
    fn create(dir: &Path, name: String, access: Access) -> Result<Self, DataError> {
        let path = dir.join(&name);
        let file = access.create(&path).map_err(io("create", &path))?;
        Ok(Self {
            path,
            name,
            file: BufWriter::with_capacity(1 << 18, file),
            hasher: blake3::Hasher::new(),
            bytes: 0,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.file
            .write_all(bytes)
            .map_err(io("write", &self.path))?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self, width: u8) -> Result<ShardFile, DataError> {
        self.file.flush().map_err(io("write", &self.path))?;
        self.file
            .get_ref()
            .sync_all()
            .map_err(io("flush", &self.path))?;
        Ok(ShardFile {
            file: self.name,
            blake3: self.hasher.finalize().to_hex().to_string(),
            tokens: self.bytes / u64::from(width),
        })
    }
}

/// The shards of the training or of the held-out tokens.
pub(super) struct PartWriter {
    dir: PathBuf,
    access: Access,
    name: fn(usize) -> String,
    width: u8,
    shard_bytes: u64,
    shards: usize,
    done: Vec<ShardFile>,
    open: Option<OpenShard>,
}

impl PartWriter {
    fn new(place: &Workplace, name: fn(usize) -> String, width: u8, shard_bytes: u64) -> Self {
        Self {
            dir: place.dir.clone(),
            access: place.access,
            name,
            width,
            shard_bytes: shard_bytes - shard_bytes % u64::from(width),
            shards: 0,
            done: Vec::new(),
            open: None,
        }
    }

    /// Appends tokens.
    pub(super) fn tokens(&mut self, tokens: &[u32]) -> Result<(), DataError> {
        let width = usize::from(self.width);
        let mut bytes = Vec::with_capacity(width * tokens.len().min(1 << 16));
        for block in tokens.chunks(1 << 16) {
            bytes.clear();
            for token in block {
                bytes.extend_from_slice(&token.to_le_bytes()[..width]);
            }
            self.bytes(&bytes)?;
        }
        Ok(())
    }

    /// Appends whole tokens, little endian; a full shard is followed by the next.
    pub(super) fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), DataError> {
        while !bytes.is_empty() {
            let mut shard = match self.open.take() {
                Some(shard) => shard,
                None => {
                    self.shards += 1;
                    OpenShard::create(&self.dir, (self.name)(self.shards - 1), self.access)?
                }
            };
            let room = (self.shard_bytes - shard.bytes).min(bytes.len() as u64) as usize;
            let (now, later) = bytes.split_at(room);
            shard.write(now)?;
            bytes = later;
            if shard.bytes == self.shard_bytes {
                self.done.push(shard.finish(self.width)?);
            } else {
                self.open = Some(shard);
            }
        }
        Ok(())
    }

    /// Ends the source that is being written: its shards, durable.
    pub(super) fn end_source(&mut self) -> Result<Vec<ShardFile>, DataError> {
        if let Some(shard) = self.open.take() {
            self.done.push(shard.finish(self.width)?);
        }
        Ok(std::mem::take(&mut self.done))
    }
}

/// The folder that is written to.
pub(super) struct Workplace {
    out: PathBuf,
    dir: PathBuf,
    access: Access,
    /// Whether the folder was made for this preparation.
    made: bool,
    _lock: File,
    finished: bool,
}

impl Workplace {
    /// Takes the folder `out`, which is created if it is absent: what is sovereign for its owner
    /// alone. A folder that is there keeps its mode, since it may hold other things.
    pub(super) fn take(out: &Path, class: DataClass) -> Result<Self, DataError> {
        let access = match class {
            DataClass::Sovereign => Access::Owner,
            DataClass::Public | DataClass::Shared => Access::Mask,
        };
        let made = !out.exists();
        if !made && !out.is_dir() {
            let out = out.to_owned();
            return Err(DataError::OutNoFolder { out });
        }
        access.make_folder(out).map_err(io("create", out))?;
        let dir = out.join(WORKPLACE);
        access.make_folder(&dir).map_err(io("create", &dir))?;
        let path = dir.join(LOCK_FILE);
        let lock = access.create(&path).map_err(io("create", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let out = out.to_owned();
                return Err(DataError::Busy { out });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock", &path)(source)),
        }
        let workplace = Self {
            out: out.to_owned(),
            dir,
            access,
            made,
            _lock: lock,
            finished: false,
        };
        workplace.sweep()?;
        workplace.refuse_use()?;
        Ok(workplace)
    }

    /// Writers for the training tokens and for those held out.
    pub(super) fn writers(&self, width: u8, shard_bytes: u64) -> (PartWriter, PartWriter) {
        let writer = |name| PartWriter::new(self, name, width, shard_bytes);
        (writer(shard_name), writer(held_out_name))
    }

    /// Writes a file that is not tokens.
    pub(super) fn file(&self, name: &str, bytes: &[u8]) -> Result<(), DataError> {
        let path = self.dir.join(name);
        durable::write(&path, bytes, self.access).map_err(io("write", &path))
    }

    /// Refuses to overwrite a file.
    pub(super) fn refuse_file(&self, name: &str) -> Result<(), DataError> {
        let path = self.out.join(name);
        match path.symlink_metadata() {
            Ok(_) => Err(DataError::InTheWay { path }),
            Err(_) => Ok(()),
        }
    }

    /// Puts everything in place, the manifest last: a folder without one is not data.
    pub(super) fn finish(mut self, manifest: &Manifest, other: &[&str]) -> Result<(), DataError> {
        let sources = manifest.sources.iter();
        let shards = sources.flat_map(|s| s.training.shards.iter().chain(&s.held_out.shards));
        let shards = shards.map(|shard| shard.file.as_str());
        let names: Vec<&str> = shards.chain(other.iter().copied()).collect();
        names.iter().try_for_each(|name| self.refuse_file(name))?;
        for name in &names {
            let path = self.out.join(name);
            fs::rename(self.dir.join(name), &path).map_err(io("create", &path))?;
        }
        let path = self.out.join(MANIFEST_FILE);
        let written = durable::write(&path, &manifest.to_json(), self.access);
        if let Err(error) = written {
            for name in &names {
                // The error of the manifest is the one that counts.
                let _ = fs::remove_file(self.out.join(name));
            }
            return Err(io("write", &path)(error));
        }
        self.finished = true;
        Ok(())
    }

    /// Removes what an interrupted preparation left here.
    fn sweep(&self) -> Result<(), DataError> {
        for entry in fs::read_dir(&self.dir).map_err(io("list", &self.dir))? {
            let path = entry.map_err(io("list", &self.dir))?.path();
            if path.file_name().is_some_and(|name| name != LOCK_FILE) {
                fs::remove_file(&path).map_err(io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn refuse_use(&self) -> Result<(), DataError> {
        let out = self.out.clone();
        if out.join(MANIFEST_FILE).exists() {
            return Err(DataError::OutInUse { out });
        }
        self.refuse_file(&shard_name(0))?;
        self.refuse_file(&held_out_name(0))
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next preparation.
        let _ = fs::remove_dir_all(&self.dir);
        if self.made && !self.finished {
            let _ = fs::remove_dir(&self.out);
        }
    }
}
