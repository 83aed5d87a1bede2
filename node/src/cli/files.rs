//! Reading files of bounded length, and writing them so that a crash leaves the old or the new.

use archipel_protocol::{
    charter::{MAX_CHARTER_BYTES, SignedCharter},
    crypto::holds_secret_key,
};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is there already.
    #[error("{} exists and is not overwritten: name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file is too long.
    #[error(
        "{}: expected at most {limit} bytes, found more: is it the right file?",
        path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Bytes allowed.
        limit: usize,
    },
    /// The file holds a secret key, which no message may quote.
    #[error(
        "{} is a secret key, not {wanted}: nothing of it is shown. Name another file, and give \
         the key to nobody", path.display()
    )]
    SecretKey {
        /// The file.
        path: PathBuf,
        /// What it was read as.
        wanted: &'static str,
    },
    /// The file is not text.
    #[error("{}: expected UTF-8 text, found other bytes: is it the right file?", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// A file that cannot be read, is longer, holds a secret key, or is not UTF-8.
pub fn read_text(path: &Path, limit: usize) -> Result<String, FileError> {
    read_text_as("what is read here", path, limit)
}

/// Reads a text file that is `wanted`, such as `a charter`. See [`read_text`].
///
/// # Errors
/// As [`read_text`].
pub fn read_text_as(wanted: &'static str, path: &Path, limit: usize) -> Result<String, FileError> {
    let failed = io("read", path);
    let file = File::open(path).map_err(&failed)?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(&failed)?;
    if bytes.len() > limit {
        return Err(FileError::TooLong {
            path: path.to_owned(),
            limit,
        });
    }
    if holds_secret_key(&bytes) {
        return Err(FileError::SecretKey {
            path: path.to_owned(),
            wanted,
        });
    }
    String::from_utf8(bytes).map_err(|_| FileError::NotText {
        path: path.to_owned(),
    })
}

/// Reads a charter file. Nothing but its form is checked.
///
/// # Errors
/// A file that cannot be read, or is no charter.
pub fn read_charter(path: &Path) -> anyhow::Result<SignedCharter> {
    let text = read_text_as("a charter", path, MAX_CHARTER_BYTES)?;
    SignedCharter::from_toml(&text)
        .map_err(|error| anyhow::Error::new(error).context(path.display().to_string()))
}

/// Writes a new file and makes it durable.
///
/// # Errors
/// A file that exists, or cannot be written.
pub fn write_new_file(path: &Path, text: &str) -> Result<(), FileError> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(FileError::Exists {
                path: path.to_owned(),
            });
        }
        opened => opened.map_err(io("create", path))?,
    };
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io("write", path))
}

/// Replaces a file, or makes it: a temporary one, made durable, then renamed.
///
/// # Errors
/// A folder that cannot be written to.
pub fn replace_file(path: &Path, text: &str) -> Result<(), FileError> {
    let failed = io("write", path);
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut options = tempfile::Builder::new();
    #[cfg(unix)]
    options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = options.tempfile_in(dir).map_err(&failed)?;
    file.write_all(text.as_bytes()).map_err(&failed)?;
    file.as_file().sync_all().map_err(&failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(&failed)
}

fn io(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io {
        action,
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bounded_made_once_and_replaced_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("charter.toml");
        write_new_file(&path, "first").expect("a new file");
        assert!(matches!(
            write_new_file(&path, "x"),
            Err(FileError::Exists { .. })
        ));
        replace_file(&path, "second").expect("the folder is ours");
        assert_eq!(read_text(&path, 6).expect("six bytes"), "second");
        assert!(matches!(
            read_text(&path, 5),
            Err(FileError::TooLong { limit: 5, .. })
        ));
        std::fs::write(&path, [0xff]).expect("ours");
        assert!(matches!(
            read_text(&path, 5),
            Err(FileError::NotText { .. })
        ));
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }
}
