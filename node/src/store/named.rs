//! Small named files, such as which segment snapshot is the latest: replaced whole, and checked
//! against their name when read.
//!
//! `file := magic [16] · checksum [32] · bytes`; the checksum is BLAKE3 over a domain, the length
//! of the name, the name and the bytes, so that a file under another's name is refused.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    disk::{self, Disk},
    error::{Hex, StoreError},
};

const MAGIC: &[u8; 16] = b"archipel-named/1";
const PREFIX_LEN: usize = 48;
const NAME_LIMIT: usize = 64;
/// The longest named file, in bytes without its checksum.
pub const NAMED_LIMIT: u64 = 1 << 20;

/// Replaces the file `name`; durable on return.
pub(super) fn put(disk: &Disk, folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = path(folder, name)?;
    let found = bytes.len() as u64;
    if found > NAMED_LIMIT {
        return Err(StoreError::TooLong {
            what: "a named file",
            found,
            limit: NAMED_LIMIT,
        });
    }
    let mut file = Vec::with_capacity(PREFIX_LEN + bytes.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(checksum(name, bytes).as_bytes());
    file.extend_from_slice(bytes);
    disk.replace(&path, &file).map(drop)
}

/// Reads the file `name`; `None` where there is none.
pub(super) fn read(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let path = path(folder, name)?;
    let limit = NAMED_LIMIT + PREFIX_LEN as u64;
    let Some(mut file) = disk::read_limited(&path, "a named file", limit)? else {
        return Ok(None);
    };
    if file.len() < PREFIX_LEN || !file.starts_with(MAGIC) {
        let found = Hex::new(&file[..file.len().min(MAGIC.len())]);
        return Err(StoreError::Header {
            path,
            expected: Hex::new(MAGIC),
            found,
        });
    }
    let bytes = file.split_off(PREFIX_LEN);
    let (expected, found) = (&file[MAGIC.len()..], checksum(name, &bytes));
    if expected != found.as_bytes() {
        let (expected, found) = (Hex::new(expected), Hex::new(found.as_bytes()));
        return Err(StoreError::NamedDamaged {
            path,
            expected,
            found,
        });
    }
    Ok(Some(bytes))
}

/// Removes the file `name`, if there is one; durable on return.
pub(super) fn remove(disk: &Disk, folder: &Path, name: &str) -> Result<(), StoreError> {
    disk.check()?;
    let path = path(folder, name)?;
    match fs::remove_file(&path) {
        Ok(()) => disk.sync_folder(folder),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(StoreError::io(path, "remove", e)),
    }
}

fn path(folder: &Path, name: &str) -> Result<PathBuf, StoreError> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c);
    let first = name
        .bytes()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric());
    if first && name.len() <= NAME_LIMIT && name.bytes().all(allowed) {
        return Ok(folder.join(name));
    }
    let shown = name.chars().take(NAME_LIMIT).collect();
    Err(StoreError::Name {
        name: shown,
        limit: NAME_LIMIT,
    })
}

fn checksum(name: &str, bytes: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(b"archipel/named/v1\0")
        .update(&(name.len() as u64).to_be_bytes());
    hasher.update(name.as_bytes()).update(bytes);
    hasher.finalize()
}
