//! Files that are whole or absent: a temporary file, flushed, then renamed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Who may read what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner alone: mode 600, in folders of mode 700, whatever the process's mask says.
    Owner,
    /// Whoever the process's mask allows.
    Mask,
}

impl Access {
    /// Makes a folder and those above it, unless they are there; they stay as they are then.
    pub(crate) fn make_folder(self, path: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        if self == Self::Owner {
            builder.mode(0o700);
        }
        builder.create(path)
    }

    /// Makes a file, or empties the one that is there.
    pub(crate) fn create(self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        if self == Self::Owner {
            options.mode(0o600);
        }
        options.open(path)
    }
}

/// Replaces the file at `path` by `bytes`; a crash leaves the old file or the new one.
pub(crate) fn write(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    write_with(path, access, |file| file.write_all(bytes))
}

/// As [`write`], with contents that need not be in memory at once.
pub(crate) fn write_with(
    path: &Path,
    access: Access,
    contents: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path names no file",
        ));
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.part", std::process::id()));
    let temporary = folder.join(temporary);
    let written = fill(&temporary, access, contents).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // What is left of the attempt is of no use; the first error is the one that counts.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

fn fill(
    path: &Path,
    access: Access,
    contents: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = io::BufWriter::with_capacity(1 << 18, access.create(path)?);
    contents(&mut file)?;
    file.flush()?;
    file.get_ref().sync_all()
}
