//! The text that members train on: sources of one language each, part of each held out.
//!
//! A source is a `.txt` file of the folder, or a subfolder with all `.txt` files in it, in name
//! order, a [`DOCUMENT_BOUNDARY`] before each. Names that begin with a dot, and files of other
//! kinds, are no sources. Text is UTF-8 without zero bytes. The last twentieth of a source, at
//! most [`MAX_HELD_OUT`] bytes, is never trained on.

use super::synthetic;
use archipel_trainer::data::{DOCUMENT_BOUNDARY, MemorySource, TokenSource as _, byte_tokens};
use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The most bytes of a source that are held out.
pub const MAX_HELD_OUT: usize = 64 << 10;
/// The most bytes of all sources together.
pub const MAX_BYTES: u64 = 256 << 20;
/// The most sources.
pub const MAX_SOURCES: usize = 256;
/// Bytes of each invented language.
const SYNTHETIC_BYTES: usize = 256 << 10;
/// One part in so many is held out.
const HELD_OUT_PART: usize = 20;

/// Why text cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// The system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder has no sources.
    #[error(
        "expected `.txt` files, or folders of them, in {}, found none: name a folder with one \
         file or subfolder a language, or leave `data` out to train on invented languages",
        folder.display()
    )]
    NoSource {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder has more sources than a world can use.
    #[error("expected at most {MAX_SOURCES} sources in {}, found more", folder.display())]
    TooManySources {
        /// The folder.
        folder: PathBuf,
    },
    /// A link, which could lead anywhere.
    #[error("{} is a link: put the text itself there", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A file is not text.
    #[error("expected UTF-8 text without zero bytes in {}, found other bytes", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// There is more text than is read.
    #[error(
        "expected at most {MAX_BYTES} bytes of text in all, found more in {}: give less",
        path.display()
    )]
    TooLarge {
        /// The file that was too much.
        path: PathBuf,
    },
    /// A source is too small to train on.
    #[error(
        "source {name} has {found} bytes, too few for windows of {window} and a held-out part: \
         expected at least {expected}"
    )]
    TooLittle {
        /// The source.
        name: String,
        /// Bytes of a window.
        window: usize,
        /// Bytes needed.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
}

/// One language, or whatever a file holds.
#[derive(Debug)]
pub(super) struct Source {
    pub name: String,
    pub training: MemorySource,
    pub held_out: Vec<u32>,
}

/// The sources of a world, in name order.
#[derive(Clone, Debug)]
pub(super) struct Corpus {
    pub sources: Vec<Arc<Source>>,
}

impl Corpus {
    /// Reads the sources of `folder` for windows of `window` bytes.
    pub fn read(folder: &Path, window: usize) -> Result<Self, CorpusError> {
        let mut room = MAX_BYTES;
        let mut found = Vec::new();
        for path in entries(folder)? {
            let mut text = Vec::new();
            append(&path, &mut text, &mut room)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            if !text.is_empty() {
                found.push((name.into_owned(), text));
            }
            if found.len() > MAX_SOURCES {
                let folder = folder.to_owned();
                return Err(CorpusError::TooManySources { folder });
            }
        }
        if found.is_empty() {
            let folder = folder.to_owned();
            return Err(CorpusError::NoSource { folder });
        }
        Self::new(found, window)
    }

    /// The invented languages of a seed.
    pub fn synthetic(seed: u64, window: usize) -> Result<Self, CorpusError> {
        let source = |name: &&str| {
            let mut text = vec![DOCUMENT_BOUNDARY];
            text.extend(synthetic::text(seed, name, SYNTHETIC_BYTES));
            ((*name).to_owned(), text)
        };
        Self::new(synthetic::LANGUAGES.iter().map(source).collect(), window)
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> u64 {
        let sources = self.sources.iter();
        sources
            .map(|source| source.training.len() + 4 * source.held_out.len() as u64)
            .sum()
    }

    fn new(found: Vec<(String, Vec<u8>)>, window: usize) -> Result<Self, CorpusError> {
        let split = |(name, text)| split(name, text, window).map(Arc::new);
        let sources = found.into_iter().map(split).collect::<Result<_, _>>()?;
        Ok(Self { sources })
    }
}

/// Holds out the end of a source.
fn split(name: String, mut text: Vec<u8>, window: usize) -> Result<Source, CorpusError> {
    // The smallest text of which so much is left on either side.
    let expected = (window * HELD_OUT_PART / (HELD_OUT_PART - 1) + 1).max(2 * HELD_OUT_PART);
    if text.len() < expected {
        return Err(CorpusError::TooLittle {
            name,
            window,
            expected,
            found: text.len(),
        });
    }
    let held_out = (text.len() / HELD_OUT_PART).min(MAX_HELD_OUT);
    let held_out = byte_tokens(&text.split_off(text.len() - held_out));
    let training = MemorySource::new(text);
    Ok(Source {
        name,
        training,
        held_out,
    })
}

/// What lies in a folder, in name order, hidden names left out.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let entry = entry.map_err(failed("list", folder))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Appends the text of a file, or of all files in a folder, as far as there is room.
fn append(start: &Path, text: &mut Vec<u8>, room: &mut u64) -> Result<(), CorpusError> {
    // The last one is taken first.
    let mut pending = vec![start.to_owned()];
    while let Some(path) = pending.pop() {
        let kind = fs::symlink_metadata(&path)
            .map_err(failed("look at", &path))?
            .file_type();
        let is_text = path.extension().is_some_and(|extension| extension == "txt");
        if kind.is_symlink() {
            return Err(CorpusError::Link { path });
        } else if kind.is_dir() {
            pending.extend(entries(&path)?.into_iter().rev());
        } else if kind.is_file() && is_text {
            let document = read(&path, room)?;
            if !document.is_empty() {
                text.push(DOCUMENT_BOUNDARY);
                text.extend(document);
            }
        }
    }
    Ok(())
}

fn read(path: &Path, room: &mut u64) -> Result<Vec<u8>, CorpusError> {
    let file = fs::File::open(path).map_err(failed("open", path))?;
    let mut bytes = Vec::new();
    let whole = file.take(*room + 1).read_to_end(&mut bytes);
    whole.map_err(failed("read", path))?;
    let left = room.checked_sub(bytes.len() as u64);
    *room = left.ok_or_else(|| CorpusError::TooLarge {
        path: path.to_owned(),
    })?;
    match bytes.contains(&DOCUMENT_BOUNDARY) || std::str::from_utf8(&bytes).is_err() {
        true => Err(CorpusError::NotText {
            path: path.to_owned(),
        }),
        false => Ok(bytes),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CorpusError {
    let path = path.to_owned();
    move |source| CorpusError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests;
