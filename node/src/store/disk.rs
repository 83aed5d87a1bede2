//! What is durable: fsync of files and folders, files that appear whole or not at all, and the
//! refusal to go on after a failed fsync.
//!
//! Linux drops the dirty pages of a failed fsync: a second fsync succeeds although the data is
//! lost (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020). So one failure
//! stops all writing until the process restarts and recovers from what the disk really holds.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::error::StoreError;

/// How temporary files begin, in every folder but that of the blobs' own temporary files.
pub(super) const TEMPORARY: &str = ".new-";

/// An open file as a log needs it.
pub(super) trait Medium: Send {
    /// Writes all of `bytes` at `offset`.
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Drops everything from `length` on.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Makes everything written durable.
    fn sync(&mut self) -> io::Result<()>;
}

impl Medium for File {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The disk under one store: remembers the first fsync that failed.
#[derive(Debug, Default)]
pub(super) struct Disk {
    failed: OnceLock<PathBuf>,
}

impl Disk {
    /// Refuses where an fsync failed before.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.failed.get() {
            Some(path) => Err(StoreError::Stopped { path: path.clone() }),
            None => Ok(()),
        }
    }

    /// Stops all writing: what `path` holds is unknown.
    pub(super) fn stop(&self, path: &Path) {
        // A second failure adds nothing: the first is the one to look at.
        let _ = self.failed.set(path.to_owned());
    }

    /// Makes what was written to a file durable.
    pub(super) fn sync(&self, file: &mut dyn Medium, path: &Path) -> Result<(), StoreError> {
        self.check()?;
        file.sync().map_err(|source| {
            self.stop(path);
            StoreError::io(path, "sync", source)
        })
    }

    /// Makes the names in a folder durable.
    pub(super) fn sync_folder(&self, path: &Path) -> Result<(), StoreError> {
        let mut folder = File::open(path).map_err(|e| StoreError::io(path, "open", e))?;
        self.sync(&mut folder, path)
    }

    /// Creates a folder, unless it is there, and makes its name durable.
    pub(super) fn create_folder(&self, path: &Path) -> Result<(), StoreError> {
        self.check()?;
        if path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(path).map_err(|e| StoreError::io(path, "create", e))?;
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_folder(parent),
            _ => Ok(()),
        }
    }

    /// Puts a file with these bytes at `path`, whole or not at all, in place of what is there.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<File, StoreError> {
        self.check()?;
        let folder = path
            .parent()
            .expect("every path of the store lies in its folder");
        let mut temporary = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempfile_in(folder)
            .map_err(|e| StoreError::io(folder, "create a temporary file in", e))?;
        let file = temporary.as_file_mut();
        file.write(bytes, 0)
            .map_err(|e| StoreError::io(path, "write", e))?;
        self.sync(file, path)?;
        let file = temporary
            .persist(path)
            .map_err(|e| StoreError::io(path, "replace", e.error))?;
        self.sync_folder(folder)?;
        Ok(file)
    }

    /// Removes what a crash left of temporary files in `folder`; returns what it removed.
    pub(super) fn remove_temporary(
        &self,
        folder: &Path,
        prefix: &str,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let mut removed = Vec::new();
        for entry in fs::read_dir(folder).map_err(|e| StoreError::io(folder, "list", e))? {
            let entry = entry.map_err(|e| StoreError::io(folder, "list", e))?;
            let ours = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(prefix));
            if ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                let path = entry.path();
                fs::remove_file(&path).map_err(|e| StoreError::io(&path, "remove", e))?;
                removed.push(path);
            }
        }
        Ok(removed)
    }
}

/// What lies in a folder and has none of its own names.
pub(super) fn others(
    folder: &Path,
    is_own: &dyn Fn(&str) -> bool,
) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| StoreError::io(folder, "list", e))? {
        let entry = entry.map_err(|e| StoreError::io(folder, "list", e))?;
        if !entry.file_name().to_str().is_some_and(is_own) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Reads at most `limit` bytes of a file; `None` where there is none.
///
/// # Errors
/// A file longer than `limit`, before anything is read.
pub(super) fn read_limited(
    path: &Path,
    what: &'static str,
    limit: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io(path, "open", e)),
    };
    let found = file
        .metadata()
        .map_err(|e| StoreError::io(path, "examine", e))?
        .len();
    if found > limit {
        return Err(StoreError::TooLong { what, found, limit });
    }
    let mut bytes = vec![0; usize::try_from(found).expect("limits fit into memory")];
    file.read_exact_at(&mut bytes, 0)
        .map_err(|e| StoreError::io(path, "read", e))?;
    Ok(Some(bytes))
}
