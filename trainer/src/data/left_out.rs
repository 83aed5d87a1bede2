//! Files that a preparation did not take: what each is, and how it becomes text.
//!
//! One such file among many does not end a preparation: it is left out and named. A preparation
//! that is left with nothing fails, and names them as well.

mod formats;
mod looking;
#[cfg(test)]
mod tests;

pub(super) use formats::{OtherFormat, by_extension};
pub(super) use looking::{look, wide_encoding};

use super::Skipped;
use std::path::{Path, PathBuf};

/// Why a file was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Characters of 16 or 32 bits, in an encoding as `iconv` names it.
    Wide(&'static str),
    /// Characters of another encoding, probably this one.
    Encoded(&'static str),
    /// UTF-8 with bytes among it that are none, the first of them here.
    Broken(u64),
    /// With bytes that no text has.
    Binary,
    /// Without content.
    Empty,
    /// Of a format that holds text among other things.
    Format(&'static OtherFormat),
    /// A link within its folder, a pipe, a socket or a device.
    NotFile,
}

impl Reason {
    /// What the file is, in words.
    fn kind(self) -> String {
        match self {
            Self::Wide(encoding) => format!("{}, not UTF-8", &encoding[..6]),
            Self::Encoded(guess) => format!("not UTF-8, probably {guess}"),
            Self::Broken(_) => "broken UTF-8".to_owned(),
            Self::Binary => "binary, not text".to_owned(),
            Self::Empty => "empty".to_owned(),
            Self::Format(format) => format.name.to_owned(),
            Self::NotFile => "links within a folder, and devices".to_owned(),
        }
    }

    /// What its owner may do about it, and the command for it where there is one.
    fn way_out(self, path: &Path) -> (String, Option<String>) {
        let iconv = |flags: &str, encoding: &str| {
            let (file, new) = (quoted(path), quoted(&beside(path)));
            Some(format!(
                "iconv {flags}-f {encoding} -t UTF-8 {file} > {new}"
            ))
        };
        let (advice, command) = match self {
            Self::Wide(encoding) => ("make them UTF-8", iconv("", encoding)),
            Self::Encoded(guess) => (
                "make them UTF-8; the encoding is a guess, so look at the letters afterwards \
                 (`iconv -l` lists others)",
                iconv("", guess),
            ),
            Self::Broken(at) => {
                let advice = format!("look at byte {at}, or make them UTF-8 without such bytes");
                return (advice, iconv("-c ", "UTF-8"));
            }
            Self::Binary => (
                "nothing, if they are no text; tokens of another program need their format: \
                 --format nanogpt, llm.c or megatron",
                None,
            ),
            Self::Empty => ("nothing, unless they should hold something", None),
            Self::Format(format) => return format.way_out(path),
            Self::NotFile => (
                "nothing: what a link within a folder points to is read where it lies",
                None,
            ),
        };
        (advice.to_owned(), command)
    }

    fn count(self, skipped: &mut Skipped) {
        *match self {
            Self::Wide(_) => &mut skipped.wide,
            Self::Encoded(_) | Self::Broken(_) => &mut skipped.not_utf8,
            Self::Binary => &mut skipped.binary,
            Self::Empty => &mut skipped.empty,
            Self::Format(_) => &mut skipped.other_formats,
            Self::NotFile => &mut skipped.not_files,
        } += 1;
    }
}

/// Files of one kind that were not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutKind {
    /// What they are.
    pub kind: String,
    /// What to do.
    pub advice: String,
    /// The command that does it to the first of them, as a shell takes it.
    pub command: Option<String>,
    /// Each of them, in the order in which they were found.
    pub files: Vec<PathBuf>,
}

/// The files that a preparation did not take, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    kinds: Vec<LeftOutKind>,
}

impl LeftOut {
    /// The kinds there are, in the order in which they were found.
    pub fn kinds(&self) -> &[LeftOutKind] {
        &self.kinds
    }

    /// All files.
    pub fn files(&self) -> usize {
        self.kinds.iter().map(|kind| kind.files.len()).sum()
    }

    pub(super) fn note(&mut self, path: &Path, reason: Reason, skipped: &mut Skipped) {
        reason.count(skipped);
        let kind = reason.kind();
        let known = self.kinds.iter().position(|known| known.kind == kind);
        let index = known.unwrap_or_else(|| {
            let (advice, command) = reason.way_out(path);
            self.kinds.push(LeftOutKind {
                kind,
                advice,
                command,
                files: Vec::new(),
            });
            self.kinds.len() - 1
        });
        self.kinds[index].files.push(path.to_owned());
    }
}

/// The name for a file's text in UTF-8, beside it.
fn beside(path: &Path) -> PathBuf {
    match path.extension() {
        Some(extension) => {
            let mut ending = std::ffi::OsString::from("utf8.");
            ending.push(extension);
            path.with_extension(ending)
        }
        None => path.with_extension("utf8"),
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        true => text,
        false if text.starts_with('-') => quoted(&Path::new(".").join(path)),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
