//! Documents of text, given piece by piece as often as asked, so that none needs to fit in memory.

use super::{DataError, io};
use std::fs::File;
use std::io::Read;
use std::path::Path;

const BLOCK_BYTES: usize = 1 << 18;

/// A document that can be read more than once.
#[derive(Clone, Copy)]
pub(super) enum Document<'a> {
    /// The text of a whole file.
    File(&'a Path),
    /// A text in memory, and the file it comes from.
    Text(&'a str, &'a Path),
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything was read.
    Whole,
    /// What follows this byte is no UTF-8.
    NotUtf8(u64),
    /// The reader wanted no more: of the piece that begins at this byte.
    Enough(u64),
}

/// Takes a piece; whether it wants more.
pub(super) type Take<'a> = &'a mut dyn FnMut(&str) -> Result<bool, DataError>;

impl Document<'_> {
    /// The file it comes from.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Text(_, path) => path,
        }
    }

    /// Gives the text piece by piece.
    pub(super) fn pieces(&self, take: Take<'_>) -> Result<Ending, DataError> {
        match self {
            Self::File(path) => file_pieces(path, take),
            Self::Text("", _) => Ok(Ending::Whole),
            Self::Text(text, _) => Ok(match take(text)? {
                true => Ending::Whole,
                false => Ending::Enough(0),
            }),
        }
    }
}

fn file_pieces(path: &Path, take: Take<'_>) -> Result<Ending, DataError> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let mut block = vec![0; BLOCK_BYTES];
    let (mut carried, mut done) = (0, 0);
    loop {
        let count = match file.read(&mut block[carried..]) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(io("read", path))?,
        };
        if count == 0 {
            return Ok(if carried == 0 {
                Ending::Whole
            } else {
                Ending::NotUtf8(done)
            });
        }
        let filled = carried + count;
        // A character cut in two by the block's end is judged with the next block.
        let (valid, broken) = match std::str::from_utf8(&block[..filled]) {
            Ok(text) => (text.len(), false),
            Err(error) => (error.valid_up_to(), error.error_len().is_some()),
        };
        let text = std::str::from_utf8(&block[..valid]).expect("valid up to here");
        if !text.is_empty() && !take(text)? {
            return Ok(Ending::Enough(done));
        }
        done += valid as u64;
        if broken {
            return Ok(Ending::NotUtf8(done));
        }
        block.copy_within(valid..filled, 0);
        carried = filled - valid;
    }
}
