//! The node's folder: its paths, its lock, its version, and what must be in it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Read,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use archipel_protocol::ids::BlobHash;

use super::{
    LogKind, WAL,
    disk::{self, Disk, TEMPORARY},
    error::{Holder, StoreError},
    frame::HEADER_LEN,
    log::Log,
};

const VERSION: &str = "archipel store 1\n";
const VERSION_LIMIT: u64 = 64;

/// Creates the folder and takes its lock, which lasts as long as the file is open.
pub(super) fn lock(dir: &Path, disk: &Disk) -> Result<File, StoreError> {
    disk.create_folder(dir)?;
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| StoreError::io(&path, "open", e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = holder(&file);
            return Err(StoreError::Locked { path, holder });
        }
        Err(TryLockError::Error(e)) => return Err(StoreError::io(path, "lock", e)),
    }
    let pid = format!("{}\n", std::process::id());
    let written = file
        .set_len(0)
        .and_then(|()| file.write_all_at(pid.as_bytes(), 0));
    written.map_err(|e| StoreError::io(&path, "write", e))?;
    Ok(file)
}

fn holder(file: &File) -> Holder {
    let mut text = String::new();
    let read = file.take(16).read_to_string(&mut text);
    match (read, text.trim().parse()) {
        (Ok(_), Ok(pid)) => Holder::Process(pid),
        _ => Holder::Unknown,
    }
}

/// Makes sure that the folder is one of this version and whole, or makes a new one.
///
/// VERSION is written last: a folder without it has never been used, or is not whole.
pub(super) fn prepare(dir: &Path, disk: &Disk) -> Result<(), StoreError> {
    let logs = [
        wal(dir),
        records(dir, LogKind::Main),
        records(dir, LogKind::Side),
    ];
    let version = dir.join("VERSION");
    if let Some(found) = read_version(&version)? {
        if found != VERSION.as_bytes() {
            let found = String::from_utf8_lossy(&found).into_owned();
            return Err(StoreError::Version {
                path: version,
                expected: VERSION,
                found,
            });
        }
        if let Some(path) = logs.into_iter().find(|path| !path.exists()) {
            return Err(StoreError::Missing {
                path,
                folder: dir.to_owned(),
            });
        }
        return create_folders(dir, disk);
    }
    let is_used = |path: &PathBuf| fs::metadata(path).is_ok_and(|m| m.len() > HEADER_LEN as u64);
    if logs.iter().any(is_used) {
        return Err(StoreError::Missing {
            path: version,
            folder: dir.to_owned(),
        });
    }
    create_folders(dir, disk)?;
    let specs = [&WAL, LogKind::Main.spec(), LogKind::Side.spec()];
    for (path, spec) in logs.iter().zip(specs) {
        Log::create(path, spec, disk)?;
    }
    disk.replace(&version, VERSION.as_bytes()).map(drop)
}

fn read_version(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    disk::read_limited(path, "VERSION", VERSION_LIMIT)
}

/// Creates the folders that are not there, and makes all their names durable.
fn create_folders(dir: &Path, disk: &Disk) -> Result<(), StoreError> {
    for name in ["wal", "records", "named", "blobs", "blobs/b3", "blobs/tmp"] {
        disk.create_folder(&dir.join(name))?;
    }
    for name in ["", "wal", "records", "named", "blobs", "blobs/b3"] {
        disk.sync_folder(&dir.join(name))?;
    }
    Ok(())
}

/// Removes what a crash left of files that had no name yet; returns what it removed.
pub(super) fn remove_temporary(dir: &Path, disk: &Disk) -> Result<Vec<PathBuf>, StoreError> {
    let mut removed = disk.remove_temporary(&blobs_temporary(dir), "")?;
    for folder in [
        dir.to_owned(),
        dir.join("wal"),
        dir.join("records"),
        named(dir),
    ] {
        removed.extend(disk.remove_temporary(&folder, TEMPORARY)?);
    }
    removed.sort();
    Ok(removed)
}

/// The files in the store's folders that no store writes, in name order.
pub(super) fn foreign(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let blobs = blobs(dir);
    let mut found = disk::others(&blobs, &is_shard)?;
    for shard in disk::others(&blobs, &|name| !is_shard(name))? {
        if shard.is_dir() {
            found.extend(disk::others(&shard, &|name| is_blob(name, &shard))?);
        } else {
            found.push(shard);
        }
    }
    for (folder, own) in [
        ("wal", &["current.log"][..]),
        ("records", &["main.log", "side.log"]),
    ] {
        found.extend(disk::others(&dir.join(folder), &|name| {
            own.contains(&name)
        })?);
    }
    found.extend(disk::others(&dir.join("blobs"), &|name| {
        ["b3", "tmp"].contains(&name)
    })?);
    found.sort();
    Ok(found)
}

fn is_shard(name: &str) -> bool {
    name.len() == 2
        && name
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_blob(name: &str, shard: &Path) -> bool {
    let hash = name.parse::<BlobHash>();
    let expected = hash.map(|hash| format!("{:02x}", hash.0[0]));
    expected.is_ok_and(|expected| shard.ends_with(expected))
}

/// The write-ahead log.
pub(super) fn wal(dir: &Path) -> PathBuf {
    dir.join("wal/current.log")
}

/// A log of records.
pub(super) fn records(dir: &Path, log: LogKind) -> PathBuf {
    match log {
        LogKind::Main => dir.join("records/main.log"),
        LogKind::Side => dir.join("records/side.log"),
    }
}

/// The folder of blobs.
pub(super) fn blobs(dir: &Path) -> PathBuf {
    dir.join("blobs/b3")
}

/// The folder of blobs that have no name yet.
pub(super) fn blobs_temporary(dir: &Path) -> PathBuf {
    dir.join("blobs/tmp")
}

/// The folder of small named files.
pub(super) fn named(dir: &Path) -> PathBuf {
    dir.join("named")
}

/// The index.
pub(super) fn index(dir: &Path) -> PathBuf {
    dir.join("index.redb")
}
