//! Files that are replaced whole and are durable when the call returns. They tell of a site's data,
//! so they are their owner's alone: mode 600, in folders of mode 700, whatever the process's mask
//! says.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// What the names of files that are not finished end with.
const UNFINISHED: &str = "unfinished";

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}; check free space, permissions and the disk", path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl FileError {
    /// Names the file and the action in an error of the system.
    pub(super) fn of<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl Fn(io::Error) -> FileError + use<'a> {
        move |source| FileError {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Makes a folder whose name outlasts a crash.
pub(super) fn make_folder(path: &Path) -> Result<(), FileError> {
    let mut folder = DirBuilder::new();
    let made = folder.recursive(true).mode(0o700).create(path);
    made.map_err(FileError::of("make the folder", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Writes a file through `write`: whole, or not at all; durable on return.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let failed = FileError::of("write", path);
    let unfinished = path.with_added_extension(UNFINISHED);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&unfinished).map_err(&failed)?;
    let mut out = BufWriter::with_capacity(1 << 18, file);
    write(&mut out).map_err(&failed)?;
    let file = out.into_inner().map_err(|error| failed(error.into()))?;
    file.sync_all().map_err(&failed)?;
    fs::rename(&unfinished, path).map_err(&failed)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Removes a file, if there is one.
pub(super) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::of("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// The finished files of a folder, in name order.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut files = entries(folder)?;
    files.retain(|path| !is_unfinished(path));
    files.sort();
    Ok(files)
}

/// Removes what a crash left unfinished. Only for the one process that writes there.
pub(super) fn clean(folder: &Path) -> Result<(), FileError> {
    make_folder(folder)?;
    let unfinished = entries(folder)?.into_iter().filter(|p| is_unfinished(p));
    unfinished.into_iter().try_for_each(|path| remove(&path))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let failed = FileError::of("list", folder);
    let entries = fs::read_dir(folder).map_err(&failed)?;
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(&failed))
        .collect()
}

fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == UNFINISHED)
}

fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(FileError::of("sync", folder))
}
