//! Blobs: payloads, states and other large things, one file each, named by its BLAKE3 hash.
//!
//! A blob appears under its name only after its bytes are synced and hashed, and is whole from
//! then on. Nothing is served that has not been hashed once since this process started: the first
//! ranged read of a blob reads all of it, later ones only if the file's identity (inode, length,
//! times) is no longer the one that was checked. Whole reads and [`Blobs::verify`] always hash.
//!
//! Removal is not synced: a blob that comes back after a power failure harms nobody.

mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use archipel_protocol::ids::{BlobHash, Round};
use tempfile::NamedTempFile;

use super::{
    disk::Disk,
    error::StoreError,
    index::{BlobNote, Index},
};

pub use writer::BlobWriter;

/// Most blobs whose check is remembered; beyond it the memory starts anew.
const CHECKED_LIMIT: usize = 1 << 16;
const BUFFER_BYTES: usize = 1 << 18;

/// A handle on the blobs of a store: cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Blobs {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    temporary: PathBuf,
    disk: Arc<Disk>,
    index: Arc<Index>,
    /// Held whenever a name appears or disappears.
    names: Mutex<Names>,
    checked: Mutex<BTreeMap<BlobHash, Identity>>,
}

/// What sweeps must know of blobs that arrive while they run.
#[derive(Default)]
struct Names {
    sweeps: usize,
    arrived: BTreeSet<BlobHash>,
}

/// What tells a file from one that was put in its place or written over.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Blobs {
    /// Takes over the folder of blobs and the folder of their temporary files.
    pub(super) fn new(
        folder: PathBuf,
        temporary: PathBuf,
        disk: Arc<Disk>,
        index: Arc<Index>,
    ) -> Self {
        let (names, checked) = (Mutex::default(), Mutex::default());
        Self {
            shared: Arc::new(Shared {
                folder,
                temporary,
                disk,
                index,
                names,
                checked,
            }),
        }
    }

    /// Stores bytes; durable on return. Stored before: checks what is there, and replaces it where
    /// it is damaged.
    pub fn put(&self, bytes: &[u8]) -> Result<BlobHash, StoreError> {
        self.shared.disk.check()?;
        let hash = BlobHash(*blake3::hash(bytes).as_bytes());
        if self.arrived_before(&hash)? && self.verify(&hash).is_ok() {
            self.shared.disk.sync_folder(&self.shard(&hash))?;
            return Ok(hash);
        }
        let mut writer = self.writer(bytes.len() as u64, Some(hash))?;
        writer.write(bytes)?;
        writer.finish()
    }

    /// Begins a blob of at most `limit` bytes that arrives in pieces.
    pub fn writer(&self, limit: u64, expected: Option<BlobHash>) -> Result<BlobWriter, StoreError> {
        self.shared.disk.check()?;
        let folder = &self.shared.temporary;
        let file = NamedTempFile::new_in(folder)
            .map_err(|e| StoreError::io(folder, "create a temporary file in", e))?;
        Ok(BlobWriter::new(self.clone(), file, limit, expected))
    }

    /// Says whether a blob is here; does not read it.
    pub fn contains(&self, hash: &BlobHash) -> Result<bool, StoreError> {
        Ok(self.len(hash)?.is_some())
    }

    /// The length of a blob in bytes, `None` where it is not here; does not read it.
    pub fn len(&self, hash: &BlobHash) -> Result<Option<u64>, StoreError> {
        let path = self.path(hash);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io(path, "examine", e)),
        }
    }

    /// Reads `length` bytes from `offset` on.
    ///
    /// # Errors
    /// A range that is not all inside the blob; a blob whose content is not what its name says.
    pub fn read(&self, hash: &BlobHash, offset: u64, length: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path(hash);
        let file = self.open_checked(hash)?;
        let have = file
            .metadata()
            .map_err(|e| StoreError::io(&path, "examine", e))?
            .len();
        let end = offset.saturating_add(length);
        if end > have {
            return Err(StoreError::Range {
                path,
                unit: "bytes",
                start: offset,
                end,
                have,
            });
        }
        let mut bytes = vec![0; usize::try_from(length).expect("64-bit machines only")];
        file.read_exact_at(&mut bytes, offset)
            .map_err(|e| StoreError::io(&path, "read", e))?;
        Ok(bytes)
    }

    /// Reads a whole blob of at most `limit` bytes, and checks it.
    pub fn read_all(&self, hash: &BlobHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        let (path, file) = (self.path(hash), self.open(hash)?);
        let found = file
            .metadata()
            .map_err(|e| StoreError::io(&path, "examine", e))?
            .len();
        if found > limit {
            return Err(StoreError::TooLong {
                what: "the blob",
                found,
                limit,
            });
        }
        let mut bytes = vec![0; usize::try_from(found).expect("64-bit machines only")];
        file.read_exact_at(&mut bytes, 0)
            .map_err(|e| StoreError::io(&path, "read", e))?;
        self.compare(hash, BlobHash(*blake3::hash(&bytes).as_bytes()))?;
        Ok(bytes)
    }

    /// Reads all of a blob and compares it with its name; returns its length in bytes.
    pub fn verify(&self, hash: &BlobHash) -> Result<u64, StoreError> {
        let (path, file) = (self.path(hash), self.open(hash)?);
        let metadata = file
            .metadata()
            .map_err(|e| StoreError::io(&path, "examine", e))?;
        let found = hash_of(&file).map_err(|e| StoreError::io(&path, "read", e))?;
        self.compare(hash, found)?;
        let mut checked = self
            .shared
            .checked
            .lock()
            .expect("nobody panics while holding it");
        if checked.len() >= CHECKED_LIMIT {
            checked.clear();
        }
        checked.insert(*hash, Identity::of(&metadata));
        Ok(metadata.len())
    }

    /// Notes what a blob is for (`kind` is the caller's own, not 0) and a round that needs it.
    ///
    /// The notes are lost when the index is rebuilt.
    pub fn note(&self, hash: &BlobHash, kind: u8, round: Round) -> Result<(), StoreError> {
        let _names = self.names();
        let Some(length) = self.len(hash)? else {
            return Err(self.missing(hash));
        };
        let known = self
            .shared
            .index
            .blob(hash)?
            .map_or(Round(0), |note| note.last_round);
        let note = BlobNote {
            length,
            kind,
            last_round: known.max(round),
        };
        self.shared.index.set_blob(hash, note)
    }

    /// What is known about a blob that is here.
    pub fn noted(&self, hash: &BlobHash) -> Result<Option<BlobNote>, StoreError> {
        self.shared.index.blob(hash)
    }

    /// Lists the blobs that are here, with their lengths in bytes. Reads the folder, not the index.
    pub fn list(&self) -> Result<BTreeMap<BlobHash, u64>, StoreError> {
        list(&self.shared.folder, |_| Ok(()))
    }

    /// Removes all blobs but `keep`; returns the bytes freed. Where other threads store
    /// blobs meanwhile, take a [`Self::sweep`] before `keep` is put together.
    pub fn retain(&self, keep: &BTreeSet<BlobHash>) -> Result<u64, StoreError> {
        self.sweep().retain(keep)
    }

    /// Begins a removal: whatever is stored from now on survives it, known to `keep` or not.
    pub fn sweep(&self) -> Sweep {
        self.names().sweeps += 1;
        Sweep {
            blobs: self.clone(),
        }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.shared
            .names
            .lock()
            .expect("nobody panics while holding it")
    }

    /// Says whether the name is taken, and if so keeps running sweeps from removing it.
    fn arrived_before(&self, hash: &BlobHash) -> Result<bool, StoreError> {
        let mut names = self.names();
        let present = self.contains(hash)?;
        if present {
            names.arrive(hash);
        }
        Ok(present)
    }

    /// Gives synced bytes their name.
    fn keep(&self, file: NamedTempFile, hash: &BlobHash, length: u64) -> Result<(), StoreError> {
        let (shard, path) = (self.shard(hash), self.path(hash));
        let mut names = self.names();
        if !shard.is_dir() {
            self.shared.disk.create_folder(&shard)?;
        }
        file.persist(&path)
            .map_err(|e| StoreError::io(&path, "create", e.error))?;
        names.arrive(hash);
        let known = self.shared.index.blob(hash)?;
        let (kind, last_round) = known.map_or((0, Round(0)), |note| (note.kind, note.last_round));
        self.shared.index.set_blob(
            hash,
            BlobNote {
                length,
                kind,
                last_round,
            },
        )?;
        drop(names);
        self.shared.disk.sync_folder(&shard)
    }

    fn open_checked(&self, hash: &BlobHash) -> Result<File, StoreError> {
        let file = self.open(hash)?;
        let path = self.path(hash);
        let metadata = file
            .metadata()
            .map_err(|e| StoreError::io(path, "examine", e))?;
        let checked = self
            .shared
            .checked
            .lock()
            .expect("nobody panics while holding it");
        let known = checked.get(hash) == Some(&Identity::of(&metadata));
        drop(checked);
        if !known {
            self.verify(hash)?;
        }
        Ok(file)
    }

    fn open(&self, hash: &BlobHash) -> Result<File, StoreError> {
        let path = self.path(hash);
        File::open(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => self.missing(hash),
            _ => StoreError::io(path, "open", e),
        })
    }

    fn missing(&self, hash: &BlobHash) -> StoreError {
        StoreError::BlobMissing {
            hash: *hash,
            path: self.shared.folder.clone(),
        }
    }

    fn compare(&self, expected: &BlobHash, found: BlobHash) -> Result<(), StoreError> {
        if *expected == found {
            return Ok(());
        }
        Err(StoreError::BlobDamaged {
            path: self.path(expected),
            expected: *expected,
            found,
        })
    }

    fn shard(&self, hash: &BlobHash) -> PathBuf {
        self.shared.folder.join(format!("{:02x}", hash.0[0]))
    }

    fn path(&self, hash: &BlobHash) -> PathBuf {
        self.shard(hash).join(hash.to_string())
    }
}

impl Names {
    fn arrive(&mut self, hash: &BlobHash) {
        if self.sweeps > 0 {
            self.arrived.insert(*hash);
        }
    }
}

/// A removal that has begun; see [`Blobs::sweep`].
pub struct Sweep {
    blobs: Blobs,
}

impl Sweep {
    /// Removes all blobs but `keep` and those stored since the sweep began; returns the bytes
    /// freed.
    pub fn retain(self, keep: &BTreeSet<BlobHash>) -> Result<u64, StoreError> {
        let mut freed = 0;
        for (hash, length) in self.blobs.list()? {
            let names = self.blobs.names();
            if keep.contains(&hash) || names.arrived.contains(&hash) {
                continue;
            }
            let path = self.blobs.path(&hash);
            match fs::remove_file(&path) {
                Ok(()) => freed += length,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(StoreError::io(path, "remove", e)),
            }
            self.blobs.shared.index.remove_blobs(&[hash])?;
        }
        Ok(freed)
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        let mut names = self.blobs.names();
        names.sweeps -= 1;
        if names.sweeps == 0 {
            names.arrived.clear();
        }
    }
}

/// Lists a folder of blobs; calls `visit` with every folder below it. Passes over foreign files.
pub(super) fn list(
    folder: &Path,
    mut visit: impl FnMut(&Path) -> Result<(), StoreError>,
) -> Result<BTreeMap<BlobHash, u64>, StoreError> {
    let mut blobs = BTreeMap::new();
    for shard in fs::read_dir(folder).map_err(|e| StoreError::io(folder, "list", e))? {
        let shard = shard.map_err(|e| StoreError::io(folder, "list", e))?;
        if !shard.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = shard.path();
        visit(&path)?;
        for file in fs::read_dir(&path).map_err(|e| StoreError::io(&path, "list", e))? {
            let file = file.map_err(|e| StoreError::io(&path, "list", e))?;
            let name = file.file_name();
            let Some(hash) = name.to_str().and_then(|name| name.parse::<BlobHash>().ok()) else {
                continue;
            };
            if shard.file_name().to_str() == Some(&format!("{:02x}", hash.0[0]))
                && let Ok(metadata) = file.metadata()
                && metadata.is_file()
            {
                blobs.insert(hash, metadata.len());
            }
        }
    }
    Ok(blobs)
}

fn hash_of(mut file: &File) -> io::Result<BlobHash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(BlobHash(*hasher.finalize().as_bytes())),
            Ok(read) => drop(hasher.update(&buffer[..read])),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests;
