//! Reads the text: what a person names, or what every machine has.

use super::{CorpusError, Document, registry};
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Most text a demo reads, in bytes.
pub const MAXIMUM_BYTES: usize = 256 * 1024 * 1024;
/// Most files a demo lists.
const MAXIMUM_FILES: usize = 100_000;
/// Folders deeper than this are left out.
const MAXIMUM_DEPTH: usize = 32;

/// Text that was read and not yet dealt.
pub(super) struct Text {
    /// In name order.
    pub documents: Vec<Document>,
    /// Whether each document may go to one member as a whole.
    pub dealable: bool,
    /// One line for people.
    pub source: String,
}

/// Reads a file, or a folder with what is below it.
pub(super) fn read(path: &Path) -> Result<Text, CorpusError> {
    let unreadable = |error| CorpusError::Unreadable {
        path: path.to_owned(),
        error,
    };
    if fs::metadata(path).map_err(unreadable)?.is_dir() {
        read_folder(path)
    } else {
        read_single(path)
    }
}

/// The Rust sources of the crates in `Cargo.lock`, or what the binary carries.
pub(super) fn default_text() -> Result<Text, CorpusError> {
    if let Some(text) = registry::sources() {
        return Ok(text);
    }
    carried()
}

fn read_single(path: &Path) -> Result<Text, CorpusError> {
    let unreadable = |error| CorpusError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let (bytes, whole) = read_bounded(path, MAXIMUM_BYTES).map_err(unreadable)?;
    let text = into_text(bytes, whole).map_err(|position| CorpusError::NotText {
        path: path.to_owned(),
        position,
    })?;
    let note = if whole { "" } else { ", its first 256 MiB" };
    let source = format!("{}{note}", path.display());
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into());
    Ok(Text {
        documents: vec![Document { name, text }],
        dealable: false,
        source,
    })
}

fn read_folder(path: &Path) -> Result<Text, CorpusError> {
    let mut files = Vec::new();
    let unreadable = |error| CorpusError::Unreadable {
        path: path.to_owned(),
        error,
    };
    list(path, "", 0, &|_| true, &mut files).map_err(unreadable)?;
    let listed = files.len();
    if !files.iter().all(|(name, _)| is_about_text(name)) {
        files.retain(|(name, _)| !is_about_text(name));
    }
    let about = listed - files.len();
    let share = MAXIMUM_BYTES / files.len().max(1);
    let (mut documents, mut left_out, mut shortened) = (Vec::new(), 0, 0);
    for (name, file) in files {
        let unreadable = |error| CorpusError::Unreadable {
            path: file.clone(),
            error,
        };
        let (bytes, whole) = read_bounded(&file, share).map_err(unreadable)?;
        match into_text(bytes, whole) {
            Ok(text) => {
                shortened += usize::from(!whole);
                documents.push(Document { name, text });
            }
            Err(_) => left_out += 1,
        }
    }
    let mut source = format!("{} files in {}", documents.len(), path.display());
    if about > 0 {
        source += &format!(", without {about} about them (README, LICENSE)");
    }
    if left_out > 0 {
        source += &format!(", {left_out} more left out as no UTF-8 text");
    }
    if shortened > 0 {
        source += &format!(", {shortened} of them shortened to {share} bytes");
    }
    Ok(Text {
        documents,
        dealable: true,
        source,
    })
}

/// Whether a file tells of the text beside it, and would be one member's only text.
fn is_about_text(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    name.starts_with("readme") || name.starts_with("license")
}

/// Lists regular files below `path` that `wanted` takes by name, in name order.
///
/// Dot files, symbolic links and everything too deep or too many are left out.
pub(super) fn list(
    path: &Path,
    prefix: &str,
    depth: usize,
    wanted: &dyn Fn(&str) -> bool,
    files: &mut Vec<(String, PathBuf)>,
) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
        {
            entries.push((name, kind, entry.path()));
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, kind, path) in entries {
        let full = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        if kind.is_dir() && depth < MAXIMUM_DEPTH {
            list(&path, &full, depth + 1, wanted, files)?;
        } else if kind.is_file() && wanted(&full) && files.len() < MAXIMUM_FILES {
            files.push((full, path));
        }
    }
    Ok(())
}

/// Reads at most `limit` bytes, and says whether that was everything.
pub(super) fn read_bounded(path: &Path, limit: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let mut file = fs::File::open(path)?;
    file.by_ref().take(limit as u64).read_to_end(&mut bytes)?;
    let whole = bytes.len() < limit || file.read(&mut [0])? == 0;
    Ok((bytes, whole))
}

/// Takes bytes for text; the end of shortened text may lie within a character.
fn into_text(bytes: Vec<u8>, whole: bool) -> Result<String, usize> {
    String::from_utf8(bytes).or_else(|error| {
        let position = error.utf8_error().valid_up_to();
        let cut_short = !whole && error.utf8_error().error_len().is_none();
        let mut bytes = error.into_bytes();
        bytes.truncate(position);
        if cut_short {
            String::from_utf8(bytes).map_err(|_| position)
        } else {
            Err(position)
        }
    })
}

/// Unpacks the sources and documents of Archipel that `build.rs` put into the binary.
pub(super) fn carried() -> Result<Text, CorpusError> {
    let packed = include_bytes!(concat!(env!("OUT_DIR"), "/sources.zst")).as_slice();
    let mut plain = Vec::new();
    zstd::Decoder::new(packed)
        .and_then(|decoder| decoder.take(MAXIMUM_BYTES as u64).read_to_end(&mut plain))
        .map_err(|error| CorpusError::Damaged { error })?;
    let documents = unpack(&plain).map_err(|error| CorpusError::Damaged { error })?;
    let source = format!(
        "{} of Archipel's own sources and documents, carried in this binary (Cargo's registry \
         has no sources here)",
        documents.len()
    );
    Ok(Text {
        documents,
        dealable: false,
        source,
    })
}

fn unpack(mut plain: &[u8]) -> io::Result<Vec<Document>> {
    let mut documents = Vec::new();
    while !plain.is_empty() {
        let mut lengths = [0; 2];
        for length in &mut lengths {
            let (bytes, rest) = plain
                .split_first_chunk()
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            (*length, plain) = (u32::from_be_bytes(*bytes) as usize, rest);
        }
        let mut texts = [String::new(), String::new()];
        for (text, length) in texts.iter_mut().zip(lengths) {
            let (bytes, rest) = plain
                .split_at_checked(length)
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            *text = String::from_utf8(bytes.to_vec()).map_err(io::Error::other)?;
            plain = rest;
        }
        let [name, text] = texts;
        documents.push(Document { name, text });
    }
    Ok(documents)
}
