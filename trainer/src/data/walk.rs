//! Which files a source has: recursively, in name order, never outside its folder.

use super::{DataError, io};
use std::fs;
use std::path::{Path, PathBuf};

/// A file found, or something that is none; its path begins as the source's was given.
pub(super) enum Found {
    File(PathBuf),
    NotFile(PathBuf),
}

/// Walks one source, which is a file or a folder.
pub(super) struct Walk {
    given: PathBuf,
    root: PathBuf,
    extensions: Vec<String>,
    pending: Vec<PathBuf>,
}

impl Walk {
    /// Starts at `source`; a link given here by name is followed. With `extensions`, only files
    /// within folders that have one of them are found.
    pub(super) fn new(source: &Path, extensions: &[String]) -> Result<Self, DataError> {
        let root = fs::canonicalize(source).map_err(io("find", source))?;
        Ok(Self {
            given: source.to_owned(),
            pending: vec![root.clone()],
            root,
            extensions: extensions.to_vec(),
        })
    }

    /// The next file, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Found>, DataError> {
        while let Some(path) = self.pending.pop() {
            let kind = fs::symlink_metadata(&path)
                .map_err(io("look at", &path))?
                .file_type();
            if kind.is_dir() {
                self.push_entries(&path)?;
            } else if kind.is_symlink() {
                self.check_link(&path)?;
                return Ok(Some(Found::NotFile(self.as_given(&path))));
            } else if !kind.is_file() {
                return Ok(Some(Found::NotFile(self.as_given(&path))));
            } else if self.wanted(&path) {
                return Ok(Some(Found::File(self.as_given(&path))));
            }
        }
        Ok(None)
    }

    /// A path below the root, as people know it.
    fn as_given(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.root) {
            Ok(below) if below == Path::new("") => self.given.clone(),
            Ok(below) if self.given == Path::new(".") => below.to_owned(),
            Ok(below) => self.given.join(below),
            Err(_) => path.to_owned(),
        }
    }

    fn wanted(&self, path: &Path) -> bool {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let listed = |extension: &str| self.extensions.iter().any(|wanted| wanted == extension);
        self.extensions.is_empty() || path == self.root || extension.is_some_and(listed)
    }

    fn push_entries(&mut self, folder: &Path) -> Result<(), DataError> {
        let entries = fs::read_dir(folder).map_err(io("list", folder))?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(io("list", folder))?.path());
        }
        // The last in the list is taken first.
        paths.sort_by(|a, b| b.file_name().cmp(&a.file_name()));
        self.pending.append(&mut paths);
        Ok(())
    }

    /// A link within the folder is not read, for its target is; one that leaves it is refused.
    fn check_link(&self, link: &Path) -> Result<(), DataError> {
        let target = fs::canonicalize(link).map_err(io("follow", link))?;
        if target.starts_with(&self.root) {
            return Ok(());
        }
        Err(DataError::LinkLeaves {
            link: link.to_owned(),
            target,
        })
    }
}
